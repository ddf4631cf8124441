/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a path comes to as a number: the same path gives the same, however often it is opened.
 *
 * The number goes over the names, and the inode numbers of the directories, from the file up to the root of its mount.
 * So a directory that is renamed or replaced makes new paths of all that is in it, and a file that is replaced keeps its
 * own. It begins with a number that no container knows.
 */
#pragma once

#include "path.h"
#include "peek.h"

/* Directories whose names are in the number; of those above, only the lowest is. */
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

static __always_inline u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15; /* 2^64 divided by the golden ratio */
	return hash ^ hash >> 29;
}

/* Goes over the words that so many bytes take, of at most `room`; whoever calls this has cleared what follows them. */
#define HASH_BYTES(hash, words, length, room)                            \
	({                                                               \
		u64 __hash = mix(hash, length);                          \
		u32 __words = ((length) + 7) / 8;                        \
		for (u32 __i = 0; __i < (room) / 8; __i++) {             \
			if (__i >= __words)                              \
				break;                                   \
			__hash = mix(__hash, (words)[__i]);              \
		}                                                        \
		__hash;                                                  \
	})

static __always_inline u64 hash_of_name(struct dentry *dentry)
{
	u32 zero = 0, length = PEEK(dentry, d_name.len) & NAME_BYTES;
	struct name_buffer *buffer = bpf_map_lookup_elem(&name_buffers, &zero);

	if (!buffer || bpf_probe_read_kernel(buffer->words, length, PEEK(dentry, d_name.name)))
		return 0;
	*(u64 *)((u8 *)buffer->words + length) = 0;
	return HASH_BYTES(settings.seed, buffer->words, length, NAME_BYTES + 1);
}

static __always_inline u32 mount_id(const struct vfsmount *mount)
{
	struct mount *whole = (void *)address_of(mount) - bpf_core_field_offset(struct mount, mnt);

	return PEEK(whole, mnt_id);
}

/* The number of a place, as the current task sees it. Not static, so that the verifier looks at it once. */
__noinline u64 number_of_place(u64 address_of_dentry, u64 address_of_mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	struct vfsmount *mount = (struct vfsmount *)address_of_mount;
	struct task_struct *task = current_task();
	struct fs_struct *fs = PEEK(task, fs);
	struct dentry *root = PEEK(mount, mnt_root);
	u64 hash = hash_of_name(dentry);

	hash = mix(hash, address_of(PEEK(fs, root.dentry)));
	hash = mix(hash, address_of(PEEK(fs, root.mnt)));
	hash = mix(hash, mount_id(mount));
	for (u32 i = 0; i < PLACE_DIRECTORIES; i++) {
		struct inode *inode;

		if (dentry == root)
			break;
		parent = PEEK(dentry, d_parent);
		if (parent == dentry)
			break;
		dentry = parent;
		/* The kernel's own hash of the name, and its length. */
		hash = mix(hash, PEEK(dentry, d_name.hash_len));
		inode = PEEK(dentry, d_inode);
		if (inode)
			hash = mix(hash, PEEK(inode, i_ino));
	}
	return hash;
}
