/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the guards have in common that let nothing be done but what is listed: which policies do, and whom they do not
 * judge.
 *
 * A runtime that sets a container up, or brings a program into one, is in the container's cgroup and still in the root
 * of the host: what it does there is none of the container's.
 */
#pragma once

#include "guard.h"

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

/* Whether the task's root is that of the host: the same folder, and no mount lies above but the one that every mount
 * namespace begins with. */
static __always_inline bool is_in_root_of_host(struct listing *listing)
{
	struct task_struct *task = current_task();
	struct inode *root = BPF_CORE_READ(task, fs, root.dentry, d_inode);
	struct vfsmount *vfsmount = BPF_CORE_READ(task, fs, root.mnt);
	struct mount *above = BPF_CORE_READ(
		(struct mount *)((void *)vfsmount - bpf_core_field_offset(struct mount, mnt)), mnt_parent);

	return BPF_CORE_READ(root, i_ino) == listing->host_root_inode &&
	       BPF_CORE_READ(root, i_sb, s_dev) == listing->host_root_device &&
	       BPF_CORE_READ(above, mnt_parent) == above;
}
