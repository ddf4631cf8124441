/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A runtime makes a container in the container's cgroup, with capabilities and mounts, and only then starts its
 * program. A newcomer is a process that came to a policy's cgroup from outside, with all its children, until it starts
 * a program (guard_rights.bpf.c).
 */
#pragma once

#include "guard.h"

struct newcomer {
	u32 mount_ns;
	/* So many programs it starts as the runtime, if they start where the runtime was. */
	u32 programs;
};

GUARD_MAP(newcomers, LRU_HASH, 1024, u32, struct newcomer, 0);

static __always_inline bool is_newcomer(void)
{
	u32 tgid = BPF_CORE_READ(current_task(), tgid);

	return bpf_map_lookup_elem(&newcomers, &tgid);
}
