/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a path comes to as a number: the same path gives the same, however often it is opened.
 *
 * The number goes over the names, and the inode numbers of the directories, from the file over all mounts up to the task's
 * root. So a directory that is renamed, replaced or mounted elsewhere makes new paths of all that is in it, and a file that
 * is replaced keeps its own. A directory that the kernel has forgotten meanwhile gets another hash: the same path may then
 * have two numbers, which user space puts together.
 */
#pragma once

#include "hash.h"
#include "path.h"
#include "peek.h"

/* Directories and mounts that are in the number; those further up are not. */
#define PLACE_DIRECTORIES 32

struct name_buffer {
	u64 words[(NAME_BYTES + 1) / 8 + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct name_buffer);
} name_buffers SEC(".maps");

static __always_inline void add_name_to_hash(struct sip_hash *hash, struct dentry *dentry)
{
	u32 zero = 0, length = PEEK(dentry, d_name.len) & NAME_BYTES;
	struct name_buffer *buffer = bpf_map_lookup_elem(&name_buffers, &zero);

	if (!buffer || bpf_probe_read_kernel(buffer->words, length, PEEK(dentry, d_name.name)))
		return;
	*(u64 *)((u8 *)buffer->words + length) = 0;
	ADD_BYTES_TO_HASH(hash, buffer->words, length, NAME_BYTES + 1);
}

static __always_inline u32 mount_id(const struct vfsmount *mount)
{
	struct mount *whole = (void *)address_of(mount) - bpf_core_field_offset(struct mount, mnt);

	return PEEK(whole, mnt_id);
}

/*
 * A number of the mount that is not used again, where the kernel has one (6.8 and later); else the one that
 * /proc/PID/mountinfo shows.
 */
static __always_inline u64 mount_number(const struct vfsmount *mount)
{
	struct mount *whole = (void *)address_of(mount) - bpf_core_field_offset(struct mount, mnt);

	if (bpf_core_field_exists(whole->mnt_id_unique))
		return PEEK(whole, mnt_id_unique);
	return PEEK(whole, mnt_id);
}

/* The number of a place, as the current task sees it. Not static, so that the verifier looks at it once. */
__noinline u64 number_of_place(u64 address_of_dentry, u64 address_of_mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	struct vfsmount *mount = (struct vfsmount *)address_of_mount;
	struct task_struct *task = current_task();
	struct fs_struct *fs = PEEK(task, fs);
	u64 root_dentry = address_of(PEEK(fs, root.dentry)), root_mount = address_of(PEEK(fs, root.mnt));
	struct sip_hash hash;

	begin_hash(&hash);
	add_to_hash(&hash, root_dentry);
	add_to_hash(&hash, root_mount);
	add_to_hash(&hash, mount_number(mount));
	add_name_to_hash(&hash, dentry);
	for (u32 i = 0; i < PLACE_DIRECTORIES; i++) {
		struct inode *inode;

		if (address_of(dentry) == root_dentry && address_of(mount) == root_mount)
			break;
		if (address_of(dentry) == address_of(PEEK(mount, mnt_root))) {
			struct mount *whole =
				(void *)address_of(mount) - bpf_core_field_offset(struct mount, mnt);
			u64 upper = address_of(PEEK(whole, mnt_parent));

			if (upper == address_of(whole))
				break;
			dentry = PEEK(whole, mnt_mountpoint);
			mount = (void *)(upper + bpf_core_field_offset(struct mount, mnt));
		} else {
			parent = PEEK(dentry, d_parent);
			if (address_of(parent) == address_of(dentry))
				break;
			dentry = parent;
		}
		/* The kernel's own hash of the name, and its length. */
		add_to_hash(&hash, PEEK(dentry, d_name.hash_len));
		inode = PEEK(dentry, d_inode);
		if (inode)
			add_to_hash(&hash, PEEK(inode, i_ino));
	}
	return end_hash(&hash);
}
