/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which namespace a number means.
 *
 * The kernel gives the number of a namespace that is gone to the next one that is made.
 */
#pragma once

#include "ringfence.h"

static __always_inline u32 mount_ns_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

/* kernel/nscommon.c (6.18): no other namespace ever has this number. Before it was mount namespaces that had one,
 * fs/namespace.c (5.10). */
struct ns_common___with_id {
	u64 ns_id;
};

/* What tells the task's mount namespace from all that ever had its number; 0 if this kernel has no such thing. */
static __always_inline u64 mount_ns_id_of(struct task_struct *task)
{
	struct mnt_namespace *space = BPF_CORE_READ(task, nsproxy, mnt_ns);
	struct ns_common___with_id *common = (void *)&space->ns;

	if (bpf_core_field_exists(space->seq))
		return BPF_CORE_READ(space, seq);
	if (bpf_core_field_exists(common->ns_id))
		return BPF_CORE_READ(common, ns_id);
	return 0;
}
