/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tasks by the kernel's object for their number. */
#pragma once

#include "ringfence.h"

/* include/linux/pid_types.h (6.18): the kernel's enum pid_type. */
#define OF_THREAD  0
#define OF_PROCESS 1
#define OF_GROUP   2

/* The address of the first task that has this number of this kind. */
static __always_inline u64 task_of_pid(struct pid *pid, u32 kind)
{
	u64 first = 0;

	if (!pid)
		return 0;
	bpf_probe_read_kernel(&first, sizeof(first),
			      (void *)pid + bpf_core_field_offset(struct pid, tasks) + kind * sizeof(u64));
	if (!first)
		return 0;
	return first - bpf_core_field_offset(struct task_struct, pid_links) - kind * sizeof(struct hlist_node);
}

/* The number that a pid has in the task's own pid namespace; 0 if it has none there. */
static __always_inline u32 number_seen_by(struct task_struct *task, struct pid *pid)
{
	struct pid *own = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(own, level);
	u64 place = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	struct upid *inside = (void *)own + place, *number = (void *)pid + place;

	if (!pid || BPF_CORE_READ(pid, level) < level || BPF_CORE_READ(number, ns) != BPF_CORE_READ(inside, ns))
		return 0;
	return BPF_CORE_READ(number, nr);
}
