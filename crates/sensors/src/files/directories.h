/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files beyond those that a container may have in its set: counted by the directory that they are in.
 *
 * How many different ones they were is estimated by what hashes of them begin with (HyperLogLog): with 256 registers the
 * standard error is 1.04 / sqrt(256), 6.5 %.
 */
#pragma once

#include "files/mounts.h"

#define DIRECTORY_REGISTERS 256

/* Directory 0: all those that found no room themselves. */
struct directory_key {
	u32 slot;
	u32 phase;
	u64 directory;
};

struct directory_use {
	u64 opens;
	u8 seen[16];
	u32 reported;
	u32 pad;
	u8 registers[DIRECTORY_REGISTERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct directory_key);
	__type(value, struct directory_use);
} directory_uses SEC(".maps");

/* What a new entry is: too long for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct directory_use);
} blank_directory SEC(".maps");

/* This one and the next are not static, so that the verifier looks at them once. */
__noinline int report_directory(u64 number, u64 address_of_dentry, u64 address_of_mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry;
	struct vfsmount *mount = (struct vfsmount *)address_of_mount;
	struct files_work *work = files_work();
	struct files_draft *draft = work ? begin_draft(work, FILES_DIRECTORY) : 0;
	struct directory_sample *sample;
	u32 flags;

	if (!draft)
		return 0;
	sample = &draft->directory;
	sample->directory = number;
	sample->mount = mount_id(mount);
	sample->path_bytes = write_place(current_task(), dentry, mount, TEXTS(draft, directory_sample), &flags);
	sample->flags = flags_of_path(flags);
	sample->pad = 0;
	return send_draft(draft, sizeof(*sample) + sample->path_bytes);
}

/* Finds or makes the entry; directory 0 needs no room of the container's. */
static __always_inline struct directory_use *directory_of(struct directory_key *key)
{
	struct directory_use *use = bpf_map_lookup_elem(&directory_uses, key);
	u32 zero = 0, *count = 0;

	if (use)
		return use;
	if (key->directory) {
		count = room_for(key->slot, ENTRY_DIRECTORY, MAX_DIRECTORIES);
		if (!count)
			return 0;
	}
	use = bpf_map_lookup_elem(&blank_directory, &zero);
	if (use && !bpf_map_update_elem(&directory_uses, key, use, BPF_NOEXIST) && count)
		add(*count, 1);
	return bpf_map_lookup_elem(&directory_uses, key);
}

/* One more open, or only another kind of access, of a file that is in no set of its own. */
__noinline int use_directory(u64 address_of_file, u64 number)
{
	struct file *file = (struct file *)address_of_file;
	struct dentry *dentry = PEEK(file, f_path.dentry);
	struct vfsmount *mount = PEEK(file, f_path.mnt);
	struct files_work *work = files_work();
	struct directory_key key = {};
	struct directory_use *use;
	u32 rank, index;
	u64 rest;

	if (!work)
		return 0;
	key.slot = work->slot;
	key.phase = work->phase;
	if (dentry != PEEK(mount, mnt_root))
		dentry = PEEK(dentry, d_parent);
	key.directory = number_of_place(address_of(dentry), address_of(mount));
	use = directory_of(&key);
	if (!use) {
		key.directory = 0;
		use = directory_of(&key);
	}
	if (!use) {
		count_lost_entries(work->slot, SENSOR_files, 1);
		return 0;
	}
	if (work->deed.is_open)
		add(use->opens, 1);
	for (u32 i = 0; i < ACCESSES; i++)
		if (work->deed.accesses & 1U << i)
			use->seen[i] = 1;
	index = number & (DIRECTORY_REGISTERS - 1);
	rest = number >> 8 | 1ULL << 56;
	rank = 1;
	for (u32 i = 0; i < 56; i++) {
		if (rest & 1)
			break;
		rest >>= 1;
		rank++;
	}
	/* Another CPU may write a lower one in between: that only makes the estimate a little lower. */
	if (use->registers[index] < rank)
		use->registers[index] = rank;
	if (!use->reported && key.directory) {
		use->reported = report_directory(key.directory, address_of(dentry), address_of(mount));
		if (!use->reported)
			count_lost_sample(work->slot, SENSOR_files);
	}
	return 0;
}
