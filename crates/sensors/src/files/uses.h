/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The set of files: each path once, with how often it was opened and what was done with it. */
#pragma once

#include "files/directories.h"

struct file_key {
	u32 slot;
	u32 phase;
	u64 file; /* the number of its place */
};

struct file_use {
	u64 opens;
	/* Only if they were asked for. */
	u64 read_bytes;
	u64 written_bytes;
	u8 seen[16];
	u32 reported;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct file_key);
	__type(value, struct file_use);
} file_uses SEC(".maps");

/*
 * What is known of an open file, so that reading it again is cheap. An entry is right as long as its file, which the
 * kernel may use again, was not opened anew: then its epoch is another. A file that is passed in from outside goes by its
 * address and that of its name.
 */
struct known_file {
	u64 address;
	u64 dentry;
	u64 mount;
	u64 number;
	u32 slot;
	u32 generation;
	u32 epoch;
	u32 phase;
	u32 seen;
	u32 pad;
};

#define KNOWN_BITS 9
#define EPOCH_BITS 12

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << KNOWN_BITS);
	__type(key, u32);
	__type(value, struct known_file);
} known_files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << EPOCH_BITS);
	__type(key, u32);
	__type(value, u32);
} file_epochs SEC(".maps");

static __always_inline u32 hash_of_address(u64 address, u32 bits)
{
	return (u32)(address >> 4) * 0x9e3779b1 >> (32 - bits);
}

/* This one and use_file are not static, so that the verifier looks at them once. */
__noinline int report_file(u64 address_of_file, u64 number)
{
	struct file *file = (struct file *)address_of_file;
	struct files_work *work = files_work();
	struct files_draft *draft = work ? begin_draft(work, FILES_FILE) : 0;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct vfsmount *mount = BPF_CORE_READ(file, f_path.mnt);
	struct file_sample *sample;
	u64 used = sizeof(*sample);
	u32 flags;
	long length;

	if (!draft)
		return 0;
	sample = &draft->file;
	sample->file = number;
	sample->inode = BPF_CORE_READ(inode, i_ino);
	sample->inode_generation = BPF_CORE_READ(inode, i_generation);
	sample->pad = 0;
	sample->device = BPF_CORE_READ(inode, i_sb, s_dev);
	sample->mode = BPF_CORE_READ(inode, i_mode);
	sample->mount = mount_id(mount);
	for (u32 i = 0; i < sizeof(sample->seen); i++)
		sample->seen[i] = work->deed.accesses >> i & 1;
	sample->path_bytes = write_path(current_task(), &file->f_path, draft->bytes + used, &flags);
	sample->flags = flags_of_path(flags);
	used += sample->path_bytes;
	sample->argument_bytes = 0;
	if (used > sizeof(*sample) + PATH_BYTES)
		return 0;
	if (work->deed.argument) {
		length = bpf_probe_read_user_str(draft->bytes + used, ARGUMENT_TEXT_BYTES, (void *)work->deed.argument);
		if (length > 0)
			sample->argument_bytes = length - 1;
		else
			sample->flags |= FILE_ARGUMENT_UNREADABLE;
		if (length == ARGUMENT_TEXT_BYTES)
			sample->flags |= FILE_ARGUMENT_CUT;
	}
	used += sample->argument_bytes;
	return send_draft(draft, used);
}

/* Finds or makes the entry of a file; none if the container has too many, or all have. */
static __always_inline struct file_use *use_of(struct file_key *key)
{
	struct file_use *use = bpf_map_lookup_elem(&file_uses, key), fresh = {};
	u32 *count;

	if (use)
		return use;
	count = room_for(key->slot, ENTRY_FILE_OR_NAME, MAX_ENTRIES);
	if (!count)
		return 0;
	if (!bpf_map_update_elem(&file_uses, key, &fresh, BPF_NOEXIST))
		add(*count, 1);
	return bpf_map_lookup_elem(&file_uses, key);
}

/* Books something in the set that the entry in known_files does not know of yet. */
static __always_inline void book_file(struct files_work *work, u64 file, struct known_file *known)
{
	struct file_key key = {.slot = work->slot, .phase = work->phase, .file = known->number};
	struct deed *deed = &work->deed;
	struct file_use *use = use_of(&key);

	known->seen |= deed->accesses;
	if (!use) {
		use_directory(file, known->number);
		return;
	}
	if (deed->is_open)
		add(use->opens, 1);
	if (settings.file_bytes) {
		add(use->read_bytes, deed->read_bytes);
		add(use->written_bytes, deed->written_bytes);
	}
	for (u32 i = 0; i < ACCESSES; i++)
		if (deed->accesses & 1U << i)
			use->seen[i] = 1;
	if (!use->reported) {
		use_mount(known->mount, 0, 0);
		use->reported = report_file(file, known->number);
		if (!use->reported)
			count_lost_sample(work->slot, SENSOR_files);
	}
}

/* include/uapi/linux/magic.h (6.18) */
#define ANON_INODE_FS_MAGIC 0x09041934
#define PIPEFS_MAGIC	    0x50495045
#define SOCKFS_MAGIC	    0x534F434B

/* Whether it is something that has a path: not a socket, a pipe, nor what lies behind an eventfd and its like. */
static __always_inline bool has_path(struct inode *inode)
{
	struct super_block *super = PEEK(inode, i_sb);
	u64 magic = PEEK(super, s_magic);

	return magic != PIPEFS_MAGIC && magic != SOCKFS_MAGIC && magic != ANON_INODE_FS_MAGIC;
}

__noinline int use_file(u64 address)
{
	struct file *file = (struct file *)address;
	struct inode *inode = PEEK(file, f_inode);
	struct files_work *work = files_work();
	struct known_file *known;
	u32 index, *epoch;
	u64 place, mount;

	if (!work || !has_path(inode))
		return 0;
	index = hash_of_address(address, KNOWN_BITS);
	known = bpf_map_lookup_elem(&known_files, &index);
	index = hash_of_address(address, EPOCH_BITS);
	epoch = bpf_map_lookup_elem(&file_epochs, &index);
	if (!known || !epoch)
		return 0;
	place = address_of(PEEK(file, f_path.dentry));
	if (work->deed.is_open)
		add(*epoch, 1);
	if (work->deed.is_open || known->address != address || known->dentry != place ||
	    known->epoch != *epoch || known->slot != work->slot || known->generation != work->generation ||
	    known->phase != work->phase) {
		mount = address_of(PEEK(file, f_path.mnt));
		known->address = address;
		known->dentry = place;
		known->mount = mount;
		known->number = number_of_place(place, mount);
		known->slot = work->slot;
		known->generation = work->generation;
		known->epoch = *epoch;
		known->phase = work->phase;
		known->seen = 0;
	}
	if (work->deed.is_open || work->deed.accesses & ~known->seen || settings.file_bytes)
		book_file(work, address, known);
	if (work->deed.read_bytes | work->deed.written_bytes)
		use_mount(known->mount, work->deed.read_bytes, work->deed.written_bytes);
	return 0;
}
