/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walks over the sets, which tell user space what each entry has come to. */
#pragma once

#include "files/names.h"

/* The head of a record of a set: when, and by whom, it was used first is told by its sample. */
static __always_inline void head_of_record(struct sample_header *header, u32 number, u8 phase, u8 kind)
{
	struct slot_state *slot = slot_at(number);

	__builtin_memset(header, 0, sizeof(*header));
	header->slot = number;
	header->generation = slot ? slot->generation : 0;
	header->sensor = SENSOR_files;
	header->kind = kind;
	header->phase = phase;
}

/* A record for each entry: its key and its value as they are in the map. */
#define WALK(program, record_type, key_type, use_type, kind)                                \
	struct record_type {                                                                \
		struct sample_header header;                                                \
		struct key_type key;                                                        \
		struct use_type use;                                                        \
	};                                                                                  \
	EXPORT(struct, record_type);                                                        \
                                                                                            \
	SEC("iter/bpf_map_elem")                                                            \
	int program(struct bpf_iter__bpf_map_elem *ctx)                                     \
	{                                                                                   \
		struct key_type *key = ctx->key;                                            \
		struct use_type *use = ctx->value;                                          \
		struct record_type record;                                                  \
                                                                                            \
		if (!key || !use || !is_walked(key->slot))                                  \
			return 0;                                                           \
		head_of_record(&record.header, key->slot, key->phase, kind);                \
		record.key = *key;                                                          \
		/* The longest is too much for the compiler to copy word by word. */        \
		if (bpf_probe_read_kernel(&record.use, sizeof(record.use), use))            \
			return 0;                                                           \
		bpf_seq_write(ctx->meta->seq, &record, sizeof(record));                     \
		return 0;                                                                   \
	}

WALK(read_file_use, file_record, file_key, file_use, FILES_FILE_USES)
WALK(read_name_use, name_record, name_key, name_use, FILES_NAME_USES)
WALK(read_directory_use, directory_record, directory_key, directory_use, FILES_DIRECTORY_USES)
WALK(read_mount_use, mount_record, mount_key, mount_use, FILES_MOUNT_USES)
