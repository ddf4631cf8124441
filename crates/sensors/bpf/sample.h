/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring, what every record on it begins with, and the count of those that found no room. */
#pragma once

#include "slots.h"

/* A task at one moment: enough to tell it from every later one with the same pid. */
struct task_ref {
	u64 start_ns; /* of its process */
	u32 pid;
	u32 tid;
	u32 exec;
	u8 comm[COMM_BYTES];
	u32 pad;
};

struct sample_header {
	u64 boot_ns;
	u32 slot;
	u32 generation;
	struct task_ref task;
	u8 sensor;
	u8 kind; /* the sensor's own numbering */
	u8 phase;
	u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} samples SEC(".maps");

static __always_inline void refer_to(struct task_ref *ref, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	ref->start_ns = BPF_CORE_READ(leader, start_boottime);
	ref->pid = BPF_CORE_READ(task, tgid);
	ref->tid = BPF_CORE_READ(task, pid);
	ref->exec = (u32)BPF_CORE_READ(task, self_exec_id);
	ref->pad = 0;
	BPF_CORE_READ_INTO(&ref->comm, task, comm);
}

static __always_inline void fill_header(struct sample_header *header, struct task_struct *task, u32 slot,
					u32 generation, u8 phase, u8 sensor, u8 kind)
{
	header->boot_ns = bpf_ktime_get_boot_ns();
	header->slot = slot;
	header->generation = generation;
	refer_to(&header->task, task);
	header->sensor = sensor;
	header->kind = kind;
	header->phase = phase;
	__builtin_memset(header->pad, 0, sizeof(header->pad));
}

/* So many entries of a set, or counts, found no room in their map. */
static __always_inline void count_lost_entries(u32 number, u8 sensor, u64 n)
{
	struct slot_state *slot = slot_at(number);

	if (slot && sensor < SENSORS)
		add(slot->lost_entries[sensor], n);
}

static __always_inline void count_lost_sample(u32 number, u8 sensor)
{
	struct slot_state *slot = slot_at(number);

	if (slot && sensor < SENSORS)
		add(slot->lost_samples[sensor], 1);
	else
		add(shared.lost_without_slot, 1);
}
