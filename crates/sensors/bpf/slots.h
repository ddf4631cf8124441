/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which container a cgroup belongs to.
 *
 * A slot is the small number of a watched container. It is taken when the cgroup is made, before anything can be in
 * it, so that the first call of the first task is counted. User space reads the slots through a memory map, decides
 * which candidates are containers, and gives a slot back after its last read.
 */
#pragma once

#include "namespaces.h"
#include "ringfence.h"

#define SLOT_PATH_BYTES 256
/* How many sets with limits a sensor may have. */
#define ENTRY_KINDS 6

enum slot_status {
	SLOT_FREE,
	/* A cgroup that may become a container. */
	SLOT_CANDIDATE,
	/* A task in it got a root or a pid namespace of its own, or user space named it. */
	SLOT_CONTAINER,
	/* Its cgroup is gone: no task can ever be in it again. */
	SLOT_ENDED,
};
EXPORT(enum, slot_status);

enum slot_flag {
	/* The user named it: the first exec of a task that came from outside starts the workload. */
	SLOT_NAMED = 1,
	/* It ran already when the recording began: no runtime-init, main from the first call. */
	SLOT_ATTACHED = 2,
	/* It has no cgroup of its own and is told by its mount namespace or by inheritance. */
	SLOT_NO_CGROUP = 4,
	/* Its cgroup's path is longer than the slot has room for: the tail is missing. */
	SLOT_PATH_CUT = 8,
};
EXPORT(enum, slot_flag);

struct slot_state {
	u64 cgroup_id;
	u64 created_ns;
	u64 started_ns;
	u64 ended_ns;
	/* The root directory, and the namespaces, of the task that made the cgroup. */
	u64 outer_root;
	u32 outer_mount_ns;
	u32 outer_pid_ns;
	/* Those of the workload's first program. The kernel gives a namespace's number again when it is gone: which of
	 * them it is tells the one after it, 0 where that is not known. */
	u64 mount_ns_id;
	u32 mount_ns;
	u32 pid_ns;
	u32 user_ns;
	u32 init_pid;
	u32 generation;
	u32 status;
	u32 flags;
	u32 parent;
	u64 tasks_entered;
	u64 tasks_left;
	u64 processes;
	u64 threads;
	u64 execs;
	/* A snapshot is exact if these are equal before it and have not moved after it. */
	u64 folds_begun;
	u64 folds_ended;
	/* Losses, each counted where it happens. */
	u64 lost_samples[SENSORS];
	/* How many entries a sensor keeps in sets that have a limit for each container: ENTRY_KINDS for each sensor. */
	u32 entries[SENSORS * ENTRY_KINDS];
	u64 lost_entries[SENSORS]; /* of sets and counts: their map was full */
	u32 path_bytes;
	u8 path[SLOT_PATH_BYTES];
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_SLOTS);
	__type(key, u32);
	__type(value, struct slot_state);
} slots SEC(".maps");

/* Slots that may be taken: user space puts one back after its last read. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_SLOTS);
	__type(value, u32);
} free_slots SEC(".maps");

/* cgroup id in the identity hierarchy -> slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} cgroup_slots SEC(".maps");

/* Mount namespace of a started container -> slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SLOTS);
	__type(key, u32);
	__type(value, u32);
} namespace_slots SEC(".maps");

/* Process -> slot, for processes that the user named by pid; their children inherit it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u32);
} named_processes SEC(".maps");

/* The task that runs, on kernels whose helper gives only a number, too: read its fields with BPF_CORE_READ. */
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline struct slot_state *slot_at(u32 number)
{
	if (!number)
		return 0;
	return bpf_map_lookup_elem(&slots, &number);
}

static __always_inline u32 slot_of_cgroup(u64 cgroup_id)
{
	u32 *number = bpf_map_lookup_elem(&cgroup_slots, &cgroup_id);

	return number ? *number : 0;
}

/* The id of the task's cgroup in the identity hierarchy. */
static __always_inline u64 identity_cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state = 0;

	if (settings.identity_is_v2)
		return BPF_CORE_READ(set, dfl_cgrp, kn, id);
	bpf_probe_read_kernel(&state, sizeof(state),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
				      settings.identity_controller * sizeof(void *));
	return BPF_CORE_READ(state, cgroup, kn, id);
}

static __always_inline u32 slot_of_task_by_cgroup(struct task_struct *task)
{
	return slot_of_cgroup(identity_cgroup_of(task));
}

static __always_inline u32 slot_of_named_process(struct task_struct *task)
{
	u32 pid = BPF_CORE_READ(task, tgid);
	u32 *number = bpf_map_lookup_elem(&named_processes, &pid);

	return number ? *number : 0;
}

static __always_inline u64 root_of(struct task_struct *task)
{
	return (u64)BPF_CORE_READ(task, fs, root.dentry);
}

/* The pid namespace the task lives in (nsproxy has the one its children will get), and its number there. */
static __always_inline void pid_inside(struct task_struct *task, u32 *number, u32 *namespace)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *own =
		(void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	*number = BPF_CORE_READ(own, nr);
	*namespace = BPF_CORE_READ(own, ns, ns.inum);
}

static __always_inline u32 pid_ns_of(struct task_struct *task)
{
	u32 number, namespace;

	pid_inside(task, &number, &namespace);
	return namespace;
}

/* Whether a walk is to tell of this slot. */
static __always_inline bool is_walked(u32 number)
{
	u32 only = shared.walked_slot;

	return !only || only == number;
}

/* Takes a free slot; user space cleared it, but for the generation, before it put it back. */
static __always_inline u32 take_slot(struct slot_state **taken)
{
	u32 number = 0;
	struct slot_state *slot;

	if (bpf_map_pop_elem(&free_slots, &number))
		return 0;
	slot = slot_at(number);
	if (!slot)
		return 0;
	*taken = slot;
	return number;
}

/* Remembers what lies outside the new container: whatever differs later is its own. */
static __always_inline void set_outside(struct slot_state *slot, struct task_struct *maker)
{
	slot->outer_root = root_of(maker);
	slot->outer_mount_ns = mount_ns_of(maker);
	slot->outer_pid_ns = pid_ns_of(maker);
}
