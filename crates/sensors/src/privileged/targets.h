/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The task that a system call is about, by the number or the descriptor that was passed. */
#pragma once

#include "pids.h"
#include "privileged/operations.h"

/* include/linux/xarray.h (6.18): a pointer to a node has these bits, and is none of the numbers that stand for errors. */
#define XA_NODE_BITS   2
#define XA_NODE_MASK   3
#define XA_LAST_NUMBER 4096
/* Six bits of a number in each. */
#define XA_LEVELS      6

/* What lies at this number of an idr: lib/radix-tree.c (6.18), __radix_tree_lookup. */
static __always_inline u64 entry_of_idr(struct idr *idr, u64 index)
{
	u64 entry = (u64)BPF_CORE_READ(idr, idr_rt.xa_head), shift = 0;
	u32 slots = bpf_core_field_size(((struct xa_node *)0)->slots) / sizeof(void *);
	struct xa_node *node;

	index -= BPF_CORE_READ(idr, idr_base);
	for (u32 i = 0; i < XA_LEVELS; i++) {
		if ((entry & XA_NODE_MASK) != XA_NODE_BITS || entry <= XA_LAST_NUMBER)
			break;
		node = (struct xa_node *)(entry - XA_NODE_BITS);
		shift = BPF_CORE_READ(node, shift);
		if (!i && shift < 32 && index >> shift >= slots)
			return 0;
		entry = 0;
		bpf_probe_read_kernel(&entry, sizeof(entry),
				      (void *)node + bpf_core_field_offset(struct xa_node, slots) +
					      (index >> (shift & 63) & (slots - 1)) * sizeof(void *));
	}
	return shift ? 0 : entry;
}

/* The task at the number that the current one would pass. Not static, so that the verifier looks at it once. */
__noinline u64 task_by_number(u32 number, u32 kind)
{
	struct task_struct *task = current_task();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid *own = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			   BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);
	struct pid_namespace *namespace = BPF_CORE_READ(own, ns);

	if (!number || kind > OF_GROUP)
		return 0;
	return task_of_pid((struct pid *)entry_of_idr((void *)namespace + bpf_core_field_offset(struct pid_namespace, idr), number),
			   kind);
}

/* The process behind a descriptor. From 6.9 on a pidfd is a file of its own file system (fs/pidfs.c). */
static __always_inline u64 task_by_descriptor(struct task_struct *task, u32 descriptor)
{
	struct file *file = file_at(task, descriptor);
	void *pid;

	if (!file)
		return 0;
	pid = BPF_CORE_READ(file, private_data);
	if (!pid)
		pid = BPF_CORE_READ(file, f_inode, i_private);
	return task_of_pid(pid, OF_PROCESS);
}

static __always_inline void set_target(struct privileged_work *work, u64 address)
{
	struct task_struct *task = (struct task_struct *)address;
	struct task_note *note = note_at(note_number_of(task));
	struct slot_state *slot;

	refer_to(&work->state.target, task);
	work->key.has_target = 1;
	work->key.target_slot = note && note->slot ? note->slot : slot_of_task_by_cgroup(task);
	slot = slot_at(work->key.target_slot);
	work->key.target_generation = slot ? slot->generation : 0;
}
