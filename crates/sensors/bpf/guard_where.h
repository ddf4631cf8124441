/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which policies are about a place in the tree of files, by whatever way a task came to it.
 *
 * A rule names a path, and means what lies there and, if that is a folder, all below. A file is under it if it or any
 * folder above it is the one that the rule means: by path, or, once user space has looked it up, by itself. A path is
 * told three ways, as a task may change its root, make a mount namespace of its own, or mount a part of the tree
 * elsewhere.
 */
#pragma once

#include "guard_whom.h"
#include "guard_what.h"

/* What is asked for, and by what it is told. */
enum file_access {
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	TOLD_BY_PATH = 4,
	TOLD_BY_FILE = 8,
};

#define ACCESS_ANY (ACCESS_READ | ACCESS_WRITE)

/* The mask of the policies that deny reading or writing there. */
GUARD_MAP(unreadable_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unwritable_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unreadable_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unwritable_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
/* Folders above: were one moved, the path would lead elsewhere. */
GUARD_MAP(fixed_paths, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(fixed_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
/* The last names of all paths of the first two: of no other name is the path asked for. */
GUARD_MAP(ruled_names, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);

static __always_inline u64 ruled_by_path(u32 access, u64 number)
{
	u64 found = 0;

	if (access & ACCESS_READ)
		found |= mask_in(&unreadable_paths, &number);
	if (access & ACCESS_WRITE)
		found |= mask_in(&unwritable_paths, &number);
	return found;
}

static __always_inline bool is_of_overlay(u64 dentry)
{
	return BPF_CORE_READ((struct dentry *)dentry, d_sb, s_magic) == OVERLAYFS_SUPER_MAGIC;
}

static __always_inline void key_of_dentry(u64 dentry, struct file_key *key)
{
	struct inode *inode = BPF_CORE_READ((struct dentry *)dentry, d_inode);

	key->inode = 0;
	key->device = 0;
	key->pad = 0;
	if (!inode)
		return;
	key->inode = BPF_CORE_READ(inode, i_ino);
	key->device = BPF_CORE_READ(inode, i_sb, s_dev);
}

/* Those of these policies with a rule for this very place, not for a folder above. Without a mount: in its file system
 * alone. As the one above. */
__noinline u64 ruled_here(u64 mask, u32 access, u64 dentry, u64 mount)
{
	struct file_key key;
	u64 name, found = 0;

	if (access & TOLD_BY_FILE) {
		key_of_dentry(dentry, &key);
		if (access & ACCESS_READ)
			found |= mask_in(&unreadable_files, &key);
		if (access & ACCESS_WRITE)
			found |= mask_in(&unwritable_files, &key);
		found &= mask;
	}
	if (!(access & TOLD_BY_PATH))
		return found;
	name = hash_of_name(dentry);
	mask &= mask_in(&ruled_names, &name);
	if (!mask)
		return found;
	if (mount) {
		found |= mask & ruled_by_path(access, hash_of_route(dentry, mount, ROUTE_FROM_ROOT));
		found |= mask & ruled_by_path(access, hash_of_route(dentry, mount, ROUTE_FROM_TOP));
	}
	/* Of other file systems the container has but a part. */
	if (is_of_overlay(dentry))
		found |= mask & ruled_by_path(access, hash_of_route(dentry, 0, ROUTE_WITHIN));
	return found;
}

/* Those with a rule for this place or a folder above it in its file system. As above. */
__noinline u64 ruled_within(u64 mask, u32 access, u64 address_of_dentry)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	u64 found = 0;

	for (u32 i = 0; i < PLACE_STEPS; i++) {
		found |= ruled_here(mask, access, (u64)dentry, 0);
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return found;
		dentry = parent;
	}
	/* What cannot be told is not let pass. */
	return mask;
}

/* Those with a rule for this place or a folder above it. As above. */
__noinline u64 ruled(u64 mask, u32 access, u64 address_of_dentry, u64 address_of_mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	struct vfsmount *vfsmount = (struct vfsmount *)address_of_mount;
	struct mount *mount, *upper;
	u64 found = 0;

	for (u32 i = 0; i < PLACE_STEPS; i++) {
		found |= ruled_here(mask, access, (u64)dentry, (u64)vfsmount);
		parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			/* A folder that is mounted alone: what is above it in its file system counts, too. */
			if (parent != dentry)
				found |= ruled_within(mask, access, (u64)parent);
			mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
			upper = BPF_CORE_READ(mount, mnt_parent);
			if (upper == mount)
				return found;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (parent == dentry)
			return found;
		dentry = parent;
	}
	return mask;
}

/* Those with a rule for something below this place. As above. */
__noinline u64 ruled_below(u64 mask, u32 access, u64 dentry, u64 mount)
{
	struct file_key key;
	u64 number, found = 0;

	if (access & TOLD_BY_FILE) {
		key_of_dentry(dentry, &key);
		found = mask_in(&fixed_files, &key);
	}
	if (access & TOLD_BY_PATH) {
		number = hash_of_route(dentry, mount, ROUTE_FROM_ROOT);
		found |= mask_in(&fixed_paths, &number);
		number = hash_of_route(dentry, mount, ROUTE_FROM_TOP);
		found |= mask_in(&fixed_paths, &number);
		if (is_of_overlay(dentry)) {
			number = hash_of_route(dentry, 0, ROUTE_WITHIN);
			found |= mask_in(&fixed_paths, &number);
		}
	}
	return found & mask;
}

/*
 * The policies with rules for files that the running task is under. While its root is still the host's it is a runtime
 * that sets the container up: the paths that it knows are not the container's, and it makes what will be there.
 */
static __always_inline u64 filing_policies(void)
{
	struct guard_facts *known = facts();
	struct inode *root;
	u64 mask;

	if (!known || !known->filing)
		return 0;
	mask = policies_of_current() & known->filing;
	if (!mask)
		return 0;
	root = BPF_CORE_READ(current_task(), fs, root.dentry, d_inode);
	if (BPF_CORE_READ(root, i_ino) == known->host_root_inode &&
	    BPF_CORE_READ(root, i_sb, s_dev) == known->host_root_device)
		return 0;
	return mask;
}
