/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the guards have in common that let nothing be done but what is listed: which policies do, and whom they do not
 * judge.
 *
 * A runtime that sets a container up, or brings a program into one, is in the container's cgroup and still in the root
 * of the host: what it does there is none of the container's.
 */
#pragma once

#include "guard_whom.h"

struct listing {
	/* The policies that let nothing run but what is listed, and those that let nothing else be written. */
	u64 policies;
	u64 writing;
	/* The folder that is the root of the host. */
	u64 host_root_inode;
	u32 host_root_device;
	/* Whether programs are judged only when their exec is done. */
	u32 only_at_the_end;
};

GUARD_MAP(listings, ARRAY, 1, u32, struct listing, 0);

static __always_inline struct listing *listing(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&listings, &zero);
}
