/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Paths from the kernel's objects.
 *
 * A walk from the file up to the task's root, over mounts, as fs/d_path.c (6.18) does. The names are written leaf
 * first, each with its length before it; user space turns them round. When there is no more room, what is missing is
 * the head, never the tail.
 */
#pragma once

#include "ringfence.h"

#define PATH_BYTES 4096
#define NAME_BYTES 255
/* How many names and mounts a walk crosses; kernels without bpf_loop get fewer. */
#define PATH_STEPS	    512
#define PATH_STEPS_UNROLLED 40

enum path_flag {
	/* The head is missing. */
	PATH_CUT = 1,
	/* The file has no name any more. */
	PATH_DELETED = 2,
	/* The file is not below the task's root. */
	PATH_UNREACHABLE = 4,
};

struct path_walk {
	struct dentry *dentry;
	struct vfsmount *mount;
	struct dentry *root_dentry;
	struct vfsmount *root_mount;
	u8 *bytes; /* PATH_BYTES of them */
	u32 used;
	u32 flags;
};

static __always_inline long add_name(struct path_walk *walk, struct dentry *dentry)
{
	const u8 *name = BPF_CORE_READ(dentry, d_name.name);
	u32 length = BPF_CORE_READ(dentry, d_name.len) & NAME_BYTES;
	u32 used = walk->used;

	if (used > PATH_BYTES - NAME_BYTES - 1) {
		walk->flags |= PATH_CUT;
		return 1;
	}
	walk->bytes[used] = length;
	if (bpf_probe_read_kernel(walk->bytes + used + 1, length, name)) {
		walk->flags |= PATH_CUT;
		return 1;
	}
	walk->used = used + 1 + length;
	return 0;
}

/* One name or one mount further up; not 0 at the end. */
static long walk_step(u64 index, struct path_walk *walk)
{
	struct dentry *dentry = walk->dentry, *parent;
	struct vfsmount *vfsmount = walk->mount;
	struct mount *mount, *upper;

	if (dentry == walk->root_dentry && vfsmount == walk->root_mount)
		return 1;
	parent = BPF_CORE_READ(dentry, d_parent);
	mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
		upper = BPF_CORE_READ(mount, mnt_parent);
		if (upper == mount) {
			walk->flags |= PATH_UNREACHABLE;
			/* A file whose mount was taken away while it was open: its name is all there is. */
			if (!walk->used)
				add_name(walk, dentry);
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	if (dentry == parent) {
		/* A file that never had a directory, such as a memfd: its name is all there is. */
		walk->flags |= PATH_UNREACHABLE;
		add_name(walk, dentry);
		return 1;
	}
	walk->dentry = parent;
	return add_name(walk, dentry);
}

/* Writes the names of `path`, seen from the root of `task`, to `bytes`; gives how many bytes it took. */
static __always_inline u32 write_path(struct task_struct *task, const struct path *path, u8 *bytes, u32 *flags)
{
	struct dentry *leaf = BPF_CORE_READ(path, dentry);
	struct path_walk walk = {
		.dentry = leaf,
		.mount = BPF_CORE_READ(path, mnt),
		.root_dentry = BPF_CORE_READ(task, fs, root.dentry),
		.root_mount = BPF_CORE_READ(task, fs, root.mnt),
		.bytes = bytes,
	};

	/* d_unlinked(): out of the hash and not a root. */
	if (!BPF_CORE_READ(leaf, d_hash.pprev) && leaf != BPF_CORE_READ(leaf, d_parent))
		walk.flags |= PATH_DELETED;

#if OLD_KERNEL
	for (u32 i = 0; i < PATH_STEPS; i++)
		if (walk_step(i, &walk))
			break;
#else
	bpf_loop(PATH_STEPS, walk_step, &walk, 0);
#endif
	/* Neither at the root nor stopped by a flag: the steps ran out. */
	if ((walk.dentry != walk.root_dentry || walk.mount != walk.root_mount) && !(walk.flags & PATH_UNREACHABLE))
		walk.flags |= PATH_CUT;
	*flags = walk.flags;
	return walk.used > PATH_BYTES ? PATH_BYTES : walk.used;
}
