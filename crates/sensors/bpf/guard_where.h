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
	/* Nobody is denied it: what is read there taints. 16 is taken (`WITH_BELOW`). */
	ACCESS_TAINTS = 32,
};

#define ACCESS_ANY  (ACCESS_READ | ACCESS_WRITE)
#define TOLD_BY_ANY (TOLD_BY_PATH | TOLD_BY_FILE)

enum place_slots {
	PLACE_SLOT_BITS = 14,
	PLACE_SLOTS = 1 << PLACE_SLOT_BITS,
	SLOTS_READ = 0,
	SLOTS_WRITE = 1,
	SLOTS_TAINT = 2,
};
EXPORT(enum, place_slots);

/* The end of a name (`read_end`), and its length. */
struct end_key {
	u64 end;
	u32 length;
	u32 pad;
};

/* The lengths of names, beside the numbers of inodes. */
#define LENGTHS_FROM (1ULL << 63)
/* The golden ratio of 2^64: numbers that are near each other fall on slots that are not. */
#define PLACE_MULTIPLIER 0x9e3779b97f4a7c15
/* Names from a file up to the root of its file system. */
#define GIVEN_STEPS 32

/* The mask of the policies that deny reading or writing there. */
GUARD_MAP(unreadable_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unwritable_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unreadable_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unwritable_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
/* That of those that wait until something there is read. */
GUARD_MAP(tainting_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(tainting_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
/* Folders above: were one moved, the path would lead elsewhere. */
GUARD_MAP(fixed_paths, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(fixed_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
/* The ends of the last names of these paths: of no other name is the path asked for. */
GUARD_MAP(unreadable_ends, HASH, 4096, struct end_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(unwritable_ends, HASH, 4096, struct end_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(tainting_ends, HASH, 4096, struct end_key, u64, BPF_F_NO_PREALLOC);

/*
 * How many of the files and ends above fall on this slot: a file by its inode, an end by how long the name is. Where
 * none does there is nothing to look up. One after the other for reading, writing, and what taints.
 */
GUARD_MAP(place_counts, ARRAY, 3 * PLACE_SLOTS, u32, u32, 0);

static __always_inline bool is_counted(u32 kind, u64 number)
{
	u32 slot = kind * PLACE_SLOTS + (number * PLACE_MULTIPLIER >> (64 - PLACE_SLOT_BITS));
	u32 *count = bpf_map_lookup_elem(&place_counts, &slot);

	return !count || *count;
}

static __always_inline u64 ruled_by_path(u32 access, u64 number)
{
	u64 found = 0;

	if (access & ACCESS_READ)
		found |= mask_in(&unreadable_paths, &number);
	if (access & ACCESS_WRITE)
		found |= mask_in(&unwritable_paths, &number);
	if (access & ACCESS_TAINTS)
		found |= mask_in(&tainting_paths, &number);
	return found;
}

static __always_inline u64 ruled_by_end(u32 access, const struct end_key *key)
{
	u64 found = 0;

	if (access & ACCESS_READ)
		found |= mask_in(&unreadable_ends, key);
	if (access & ACCESS_WRITE)
		found |= mask_in(&unwritable_ends, key);
	if (access & ACCESS_TAINTS)
		found |= mask_in(&tainting_ends, key);
	return found;
}

/* Gives whether it can be read. */
static __always_inline bool end_of_name(u64 name, u32 length, struct end_key *key)
{
	key->length = length;
	key->pad = 0;
	return read_end(name, length, false, &key->end);
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
	const struct dentry *place = (const struct dentry *)dentry;
	struct end_key end;
	u64 found = 0;

	if (access & TOLD_BY_FILE) {
		key_of_dentry(dentry, &key);
		if (access & ACCESS_READ)
			found |= mask_in(&unreadable_files, &key);
		if (access & ACCESS_WRITE)
			found |= mask_in(&unwritable_files, &key);
		if (access & ACCESS_TAINTS)
			found |= mask_in(&tainting_files, &key);
		found &= mask;
	}
	if (!(access & TOLD_BY_PATH))
		return found;
	if (end_of_name((u64)BPF_CORE_READ(place, d_name.name), BPF_CORE_READ(place, d_name.len), &end))
		mask &= ruled_by_end(access, &end);
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
			mount = mount_of((u64)vfsmount);
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

static __always_inline bool is_told(u32 kind, void *files, void *ends, const struct file_key *file, u64 name,
				    u32 length)
{
	struct end_key end;

	if (is_counted(kind, file->inode) && mask_in(files, file))
		return true;
	return is_counted(kind, LENGTHS_FROM | length) && (!end_of_name(name, length, &end) || mask_in(ends, &end));
}

/* Whether any rule may be about a file with this inode, or a name of this length. */
static __always_inline bool is_any_counted(u32 access, u64 inode, u32 length)
{
	if (access & ACCESS_READ && (is_counted(SLOTS_READ, inode) || is_counted(SLOTS_READ, LENGTHS_FROM | length)))
		return true;
	if (access & ACCESS_WRITE && (is_counted(SLOTS_WRITE, inode) || is_counted(SLOTS_WRITE, LENGTHS_FROM | length)))
		return true;
	return access & ACCESS_TAINTS &&
	       (is_counted(SLOTS_TAINT, inode) || is_counted(SLOTS_TAINT, LENGTHS_FROM | length));
}

/* Whether any policy may have a rule for a place with this file and name. As above. */
__noinline int may_be_told(u32 access, u64 inode, u32 device, u64 name, u32 length)
{
	struct file_key file = {inode, device, 0};

	if (access & ACCESS_READ && is_told(SLOTS_READ, &unreadable_files, &unreadable_ends, &file, name, length))
		return 1;
	if (access & ACCESS_WRITE && is_told(SLOTS_WRITE, &unwritable_files, &unwritable_ends, &file, name, length))
		return 1;
	return access & ACCESS_TAINTS && is_told(SLOTS_TAINT, &tainting_files, &tainting_ends, &file, name, length);
}

/* On to the place where a mount lies; 0 at the top. */
static __always_inline struct dentry *place_of_mount(struct mount **mount)
{
	struct mount *upper = BPF_CORE_READ(*mount, mnt_parent);
	struct dentry *place = upper == *mount ? 0 : BPF_CORE_READ(*mount, mnt_mountpoint);

	*mount = upper;
	return place;
}

/* Whether any policy may have a rule for a place above a mount. Not static, so that the verifier looks at it once. */
__noinline int may_be_ruled_above(u32 access, u64 vfsmount)
{
	struct mount *mount = mount_of(vfsmount);
	struct dentry *dentry = place_of_mount(&mount), *parent;
	struct inode *inode;
	u32 length;
	u64 number;

	for (u32 i = 0; i < PLACE_STEPS; i++) {
		if (!dentry)
			return 0;
		inode = BPF_CORE_READ(dentry, d_inode);
		number = BPF_CORE_READ(inode, i_ino);
		length = BPF_CORE_READ(dentry, d_name.len);
		if (is_any_counted(access, number, length) &&
		    may_be_told(access, number, BPF_CORE_READ(inode, i_sb, s_dev),
				(u64)BPF_CORE_READ(dentry, d_name.name), length))
			return 1;
		parent = BPF_CORE_READ(dentry, d_parent);
		dentry = parent == dentry ? place_of_mount(&mount) : parent;
	}
	return 1;
}

/*
 * Whether any policy, of whomever, may have a rule for a file that is opened, or for a folder above it: what is ruled
 * is among that, and hardly anything else. Most files are neither, so that nothing else is asked of them. What a
 * program is given is read without calls, and nothing is looked up but what is counted.
 */
static __always_inline bool may_be_ruled(u32 access, struct file *file)
{
	struct dentry *dentry = file->f_path.dentry, *parent;

	for (u32 i = 0; i < GIVEN_STEPS; i++) {
		struct inode *inode = dentry->d_inode;

		if (is_any_counted(access, inode->i_ino, dentry->d_name.len) &&
		    may_be_told(access, inode->i_ino, inode->i_sb->s_dev, number_of(dentry->d_name.name),
				dentry->d_name.len))
			return true;
		parent = dentry->d_parent;
		if (parent == dentry)
			return may_be_ruled_above(access, number_of(file->f_path.mnt));
		dentry = parent;
	}
	return true;
}

/*
 * The policies with rules for files that the running task is under. While its root is still the host's it is a runtime
 * that sets the container up: the paths that it knows are not the container's, and it makes what will be there.
 */
static __always_inline u64 filing_policies(void)
{
	struct guard_facts *known = facts();
	u64 mask;

	if (!known || !known->filing)
		return 0;
	mask = policies_of_current() & known->filing;
	if (!mask || is_in_root_of_host(known->host_root_inode, known->host_root_device))
		return 0;
	return mask;
}
