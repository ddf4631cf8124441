/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is done to names, and opens that failed: there is no open file to go by, so this is what the program passed, and
 * the directory that it starts from.
 */
#pragma once

#include "files/uses.h"

struct name_key {
	u32 slot;
	u8 phase;
	u8 operation;
	u16 errno;
	u64 name; /* 0: all those that found no room themselves */
};

struct name_use {
	u64 count;
	u32 reported;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct name_key);
	__type(value, struct name_use);
} name_uses SEC(".maps");

/* A name, read once, so that what is reported is what was looked up. */
struct name_text {
	union {
		u64 words[ARGUMENT_TEXT_BYTES / 8 + 1];
		u8 bytes[ARGUMENT_TEXT_BYTES];
	};
	u32 length;
	u32 flags;
	/* The directory that a relative one starts from. */
	u64 dentry;
	u64 mount;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct name_text);
} name_texts SEC(".maps");

struct text_hash {
	struct sip_hash hash;
	struct name_text *text;
};

#if OLD_KERNEL

static __always_inline void add_words_to_hash(struct text_hash *of, u32 words)
{
	for (u32 i = 0; i < ARGUMENT_TEXT_BYTES / 8; i++) {
		if (i >= words)
			break;
		add_to_hash(&of->hash, of->text->words[i]);
	}
}

#else

static long add_word_to_hash(u64 index, struct text_hash *of)
{
	barrier_var(index); /* the verifier must see the very number that is checked */
	if (index >= ARGUMENT_TEXT_BYTES / 8)
		return 1;
	add_to_hash(&of->hash, of->text->words[index]);
	return 0;
}

static __always_inline void add_words_to_hash(struct text_hash *of, u32 words)
{
	bpf_loop(words, add_word_to_hash, of, 0);
}

#endif

/* Not static, so that the verifier looks at it once. */
__noinline u64 hash_of_text(u32 position, u64 before)
{
	struct text_hash of = {.text = bpf_map_lookup_elem(&name_texts, &position)};
	u32 length;

	if (!of.text)
		return before;
	length = of.text->length & (ARGUMENT_TEXT_BYTES - 1);
	*(u64 *)(of.text->bytes + length) = 0;
	begin_hash(&of.hash);
	add_to_hash(&of.hash, before);
	add_to_hash(&of.hash, length);
	add_words_to_hash(&of, (length + 7) / 8);
	return end_hash(&of.hash);
}

/* Reads a name and finds its directory; gives what hash comes of it and the one before. As the one above. */
__noinline u64 read_name(u32 position, u64 before)
{
	struct name_text *text = bpf_map_lookup_elem(&name_texts, &position);
	struct files_work *work = files_work();
	struct task_struct *task = current_task();
	struct passed_name *name;
	struct fs_struct *fs;
	struct sip_hash hash;
	struct file *file;
	u32 bytes;
	long length;

	begin_hash(&hash);
	add_to_hash(&hash, before);
	if (!text || !work)
		return before;
	name = position ? &work->names.second : &work->names.first;
	text->length = 0;
	text->flags = 0;
	text->dentry = 0;
	text->mount = 0;
	/* The second of a call that takes one name. */
	if (!name->is_there)
		return before;
	length = name->is_kernels
			 ? bpf_probe_read_kernel_str(text->bytes, sizeof(text->bytes), (void *)name->text)
			 : bpf_probe_read_user_str(text->bytes, sizeof(text->bytes), (void *)name->text);
	if (length < 0)
		text->flags = FILE_ARGUMENT_UNREADABLE;
	if (length == sizeof(text->bytes))
		text->flags = FILE_ARGUMENT_CUT;
	bytes = length > 0 ? (length - 1) & (sizeof(text->bytes) - 1) : 0;
	text->length = bytes;
	fs = BPF_CORE_READ(task, fs);
	if (bytes && text->bytes[0] == '/') {
		add_to_hash(&hash, (u64)BPF_CORE_READ(fs, root.dentry));
		add_to_hash(&hash, (u64)BPF_CORE_READ(fs, root.mnt));
	} else {
		if (name->descriptor == AT_FDCWD) {
			text->dentry = (u64)BPF_CORE_READ(fs, pwd.dentry);
			text->mount = (u64)BPF_CORE_READ(fs, pwd.mnt);
		} else {
			file = file_at(task, name->descriptor);
			if (file) {
				text->dentry = (u64)BPF_CORE_READ(file, f_path.dentry);
				text->mount = (u64)BPF_CORE_READ(file, f_path.mnt);
			}
		}
		if (text->dentry)
			add_to_hash(&hash, number_of_place(text->dentry, text->mount));
	}
	return hash_of_text(position, end_hash(&hash));
}

/* Adds the directory and the name at this length of a draft. Gives the new one, 0 if there is no room. */
static __always_inline u64 add_text(u8 *bytes, u64 used, u64 room, struct name_text *text, u32 *base_bytes,
				    u32 *argument_bytes, u32 *flags)
{
	u32 path_flags = 0;
	u64 length = text->length;

	*base_bytes = 0;
	*argument_bytes = 0;
	*flags |= text->flags;
	barrier_var(used);
	if (used > room - PATH_BYTES - ARGUMENT_TEXT_BYTES)
		return 0;
	if (text->dentry) {
		*base_bytes = write_place(current_task(), (struct dentry *)text->dentry, (struct vfsmount *)text->mount,
					  bytes + used, &path_flags);
		*flags |= flags_of_path(path_flags);
	}
	used += *base_bytes;
	barrier_var(used);
	barrier_var(length);
	if (used > room - ARGUMENT_TEXT_BYTES || length >= ARGUMENT_TEXT_BYTES)
		return 0;
	if (bpf_probe_read_kernel(bytes + used, length, text->bytes))
		return 0;
	*argument_bytes = length;
	return used + length;
}

__noinline int report_name(u64 hash)
{
	struct files_work *work = files_work();
	struct files_draft *draft = work ? begin_draft(work, FILES_NAME) : 0;
	struct name_text *first, *second;
	struct name_sample *sample;
	u32 flags = 0, first_flags, base, argument, position = 0;
	u64 used;

	first = bpf_map_lookup_elem(&name_texts, &position);
	position = 1;
	second = bpf_map_lookup_elem(&name_texts, &position);
	if (!draft || !first || !second)
		return 0;
	sample = &draft->name;
	sample->name = hash;
	sample->operation = work->names.operation;
	sample->errno = work->names.errno;
	sample->has_base = first->dentry != 0;
	sample->has_second_base = second->dentry != 0;
	sample->pad[0] = 0;
	sample->pad[1] = 0;
	used = add_text(draft->bytes, sizeof(*sample), sizeof(*sample) + PATH_BYTES + ARGUMENT_TEXT_BYTES, first, &base,
			&argument, &flags);
	sample->base_bytes = base;
	sample->argument_bytes = argument;
	first_flags = flags;
	flags = 0;
	if (!used)
		return 0;
	used = add_text(draft->bytes, used, sizeof(draft->bytes), second, &base, &argument, &flags);
	sample->second_base_bytes = base;
	sample->second_argument_bytes = argument;
	sample->flags = first_flags | (flags & ~FILE_UNREACHABLE) |
			(flags & FILE_UNREACHABLE ? FILE_SECOND_UNREACHABLE : 0);
	if (!used)
		return 0;
	return send_draft(draft, used);
}

__noinline int use_name(void)
{
	struct files_work *work = files_work();
	struct name_use *use, fresh = {};
	struct name_key key = {};
	u32 *count;

	if (!work)
		return 0;
	key.slot = work->slot;
	key.phase = work->phase;
	key.operation = work->names.operation;
	key.errno = work->names.errno;
	key.name = read_name(0, 0);
	key.name = read_name(1, key.name);
	use = bpf_map_lookup_elem(&name_uses, &key);
	if (!use) {
		count = room_for(work->slot, ENTRY_FILE_OR_NAME, MAX_ENTRIES);
		if (count && !bpf_map_update_elem(&name_uses, &key, &fresh, BPF_NOEXIST))
			add(*count, 1);
		use = bpf_map_lookup_elem(&name_uses, &key);
	}
	if (!use) {
		key.name = 0;
		fresh.reported = 1; /* there is nothing to tell */
		bpf_map_update_elem(&name_uses, &key, &fresh, BPF_NOEXIST);
		use = bpf_map_lookup_elem(&name_uses, &key);
	}
	if (!use) {
		count_lost_entries(work->slot, SENSOR_files, 1);
		return 0;
	}
	add(use->count, 1);
	if (!use->reported) {
		use->reported = report_name(key.name);
		if (!use->reported)
			count_lost_sample(work->slot, SENSOR_files);
	}
	return 0;
}
