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
/* How many names and mounts a walk crosses. */
#define PATH_STEPS 256

enum path_flag {
	/* The head is missing. */
	PATH_CUT = 1,
	/* The file has no name any more. */
	PATH_DELETED = 2,
	/* The file is not below the task's root. */
	PATH_UNREACHABLE = 4,
};

/* Where a walk is. Pointers are numbers here: the verifier forgets what is kept in a map. */
struct path_walk {
	u64 dentry;
	u64 mount; /* 0: the walk ends at the root of the file system, wherever that is mounted */
	u64 root_dentry;
	u64 root_mount;
	u32 used;
	u32 flags;
	u8 bytes[PATH_BYTES + NAME_BYTES + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct path_walk);
} path_walks SEC(".maps");

static __always_inline int add_name(struct path_walk *walk, struct dentry *dentry)
{
	const u8 *name = BPF_CORE_READ(dentry, d_name.name);
	u32 length = BPF_CORE_READ(dentry, d_name.len) & NAME_BYTES;
	u32 used = walk->used;

	if (used + 1 + length > PATH_BYTES) {
		walk->flags |= PATH_CUT;
		return 1;
	}
	barrier_var(used); /* the verifier must see the very number that is checked */
	if (used >= PATH_BYTES)
		return 1;
	walk->bytes[used] = length;
	if (bpf_probe_read_kernel(walk->bytes + used + 1, length, name)) {
		walk->flags |= PATH_CUT;
		return 1;
	}
	walk->used = used + 1 + length;
	return 0;
}

/* One name or one mount further up; not 0 at the end. Not static, so that the verifier looks at it once, not per step.
 */
__noinline int walk_step(void)
{
	u32 zero = 0;
	struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &zero);
	struct dentry *dentry, *parent;
	struct vfsmount *vfsmount;
	struct mount *mount, *upper;

	if (!walk || (walk->dentry == walk->root_dentry && walk->mount == walk->root_mount))
		return 1;
	dentry = (struct dentry *)walk->dentry;
	vfsmount = (struct vfsmount *)walk->mount;
	parent = BPF_CORE_READ(dentry, d_parent);
	mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	if (vfsmount && dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
		upper = BPF_CORE_READ(mount, mnt_parent);
		if (upper == mount) {
			walk->flags |= PATH_UNREACHABLE;
			/* A file whose mount was taken away while it was open: its name is all there is. */
			if (!walk->used)
				add_name(walk, dentry);
			return 1;
		}
		walk->dentry = (u64)BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = (u64)((void *)upper + bpf_core_field_offset(struct mount, mnt));
		return 0;
	}
	if (dentry == parent) {
		if (!vfsmount)
			return 1;
		/* A file that never had a directory, such as a memfd: its name is all there is. */
		walk->flags |= PATH_UNREACHABLE;
		add_name(walk, dentry);
		return 1;
	}
	walk->dentry = (u64)parent;
	return add_name(walk, dentry);
}

/* Old verifiers add up the stacks of all functions that call each other, and there is no room for one more. */
#if OLD_KERNEL
#define WALK_TO_END static __always_inline
#else
#define WALK_TO_END __noinline
#endif

/* Whether the walk came to its end. As the one above where it can be. */
WALK_TO_END int walk_to_end(void)
{
	for (u32 i = 0; i < PATH_STEPS; i++)
		if (walk_step())
			return 1;
	return 0;
}

/* d_unlinked(): out of the hash and not a root. */
static __always_inline bool is_unlinked(struct dentry *dentry)
{
	return !BPF_CORE_READ(dentry, d_hash.pprev) && dentry != BPF_CORE_READ(dentry, d_parent);
}

/* Walks from where it is to its end, and writes the names to `bytes`, which has room for PATH_BYTES; gives how many. */
static __always_inline u32 finish_walk(struct path_walk *walk, u8 *bytes, u32 *flags)
{
	struct dentry *leaf = (struct dentry *)walk->dentry;
	u64 used;

	walk->used = 0;
	walk->flags = 0;
	if (is_unlinked(leaf))
		walk->flags = PATH_DELETED;
	if (!walk_to_end() && (walk->dentry != walk->root_dentry || walk->mount != walk->root_mount))
		walk->flags |= PATH_CUT;
	*flags = walk->flags;
	used = walk->used;
	barrier_var(used);
	if (used > PATH_BYTES || bpf_probe_read_kernel(bytes, used, walk->bytes))
		return 0;
	return used;
}

/* Writes the names of this place, seen from the root of `task`, to `bytes`, which has room for PATH_BYTES; gives how
 * many.
 */
static __always_inline u32 write_place(struct task_struct *task, const struct dentry *dentry,
				       const struct vfsmount *mount, u8 *bytes, u32 *flags)
{
	u32 zero = 0;
	struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &zero);

	*flags = 0;
	if (!walk)
		return 0;
	walk->dentry = (u64)dentry;
	walk->mount = (u64)mount;
	walk->root_dentry = (u64)BPF_CORE_READ(task, fs, root.dentry);
	walk->root_mount = (u64)BPF_CORE_READ(task, fs, root.mnt);
	return finish_walk(walk, bytes, flags);
}

static __always_inline u32 write_path(struct task_struct *task, const struct path *path, u8 *bytes, u32 *flags)
{
	return write_place(task, BPF_CORE_READ(path, dentry), BPF_CORE_READ(path, mnt), bytes, flags);
}

/* The same, seen from the root of the file system that it lies in. */
static __always_inline u32 write_place_in_file_system(const struct dentry *dentry, u8 *bytes, u32 *flags)
{
	u32 zero = 0;
	struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &zero);

	*flags = 0;
	if (!walk)
		return 0;
	walk->dentry = (u64)dentry;
	walk->mount = 0;
	walk->root_dentry = 0;
	walk->root_mount = 0;
	return finish_walk(walk, bytes, flags);
}

/* "memfd:" as the first bytes of a number. */
#define MEMFD_PREFIX	   0x3a64666d656dULL
#define MEMFD_PREFIX_BYTES 6

/* A file that never had a directory, with a name that only memfd_create(2) gives: mm/memfd.c (6.18). */
static __always_inline bool is_memfd(struct dentry *dentry)
{
	u64 name = 0;

	if (dentry != BPF_CORE_READ(dentry, d_parent))
		return false;
	bpf_probe_read_kernel(&name, MEMFD_PREFIX_BYTES, BPF_CORE_READ(dentry, d_name.name));
	return name == MEMFD_PREFIX;
}
