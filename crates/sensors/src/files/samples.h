/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What files tells user space, and where it puts that together. */
#pragma once

#include "files/place.h"

#define ARGUMENT_TEXT_BYTES 4096
#define MOUNT_SOURCE_BYTES  256
/* How many files and names, directories, and mounts a container may have in the sets. */
#define MAX_ENTRIES	    8192
#define MAX_DIRECTORIES	    512
#define MAX_MOUNTS	    256
#define MOUNT_TYPE_BYTES    32

enum files_kind {
	/* Samples: the first use of a path, of a name, of a directory whose files are counted together, of a mount. */
	FILES_FILE,
	FILES_NAME,
	FILES_DIRECTORY,
	FILES_MOUNT,
	/* Records of the sets: what each of them has come to. */
	FILES_FILE_USES,
	FILES_NAME_USES,
	FILES_DIRECTORY_USES,
	FILES_MOUNT_USES,
};
EXPORT(enum, files_kind);

/* What was done with an open file. Each is a byte of its own: old kernels have no atomic OR. */
enum file_access {
	ACCESS_OPENED_TO_READ,
	ACCESS_OPENED_TO_WRITE,
	/* With O_PATH: neither. */
	ACCESS_OPENED_AS_PATH,
	ACCESS_CREATED,
	ACCESS_TRUNCATED,
	ACCESS_READ,
	ACCESS_WRITTEN,
	/* Its entries were read. */
	ACCESS_LISTED,
	ACCESS_MAPPED_TO_EXECUTE,
	/* As a program, or as the loader that a program names. */
	ACCESS_EXECUTED,
	ACCESS_MODE_CHANGED,
	ACCESS_OWNER_CHANGED,
	ACCESSES,
};
EXPORT(enum, file_access);

/* What was done to a name. */
enum name_operation {
	NAME_OPENED, /* or was to be */
	NAME_DELETED,
	NAME_RENAMED,
	NAME_LINKED,
	NAME_SYMLINKED,
	NAME_DIRECTORY_MADE,
	NAME_NODE_MADE,
	NAME_MODE_CHANGED,
	NAME_OWNER_CHANGED,
	NAME_TRUNCATED,
	NAME_RUN_AS_SCRIPT,
};
EXPORT(enum, name_operation);

enum file_flag {
	FILE_PATH_CUT = 1,
	FILE_DELETED = 2,
	FILE_UNREACHABLE = 4,
	FILE_ARGUMENT_CUT = 8,
	FILE_ARGUMENT_UNREADABLE = 16,
	FILE_READ_ONLY = 32,
	/* Of two names, the directory that the second starts from. */
	FILE_SECOND_UNREACHABLE = 64,
};
EXPORT(enum, file_flag);

/* The texts follow each of these, in the order of their lengths: paths as path.h writes them, others as they are. */
struct file_sample {
	struct sample_header header;
	u64 file;
	u64 inode;
	u32 inode_generation;
	u32 device;
	u32 mount;
	u32 mode;
	u32 flags;
	u32 pad;
	u8 seen[16];
	u32 path_bytes;
	u32 argument_bytes;
};
EXPORT(struct, file_sample);

struct name_sample {
	struct sample_header header;
	u64 name;
	u32 operation;
	u32 errno;
	u32 flags;
	u32 base_bytes;
	u32 argument_bytes;
	u32 second_base_bytes;
	u32 second_argument_bytes;
	u8 has_base;
	u8 has_second_base;
	u8 pad[2];
};
EXPORT(struct, name_sample);

struct directory_sample {
	struct sample_header header;
	u64 directory;
	u32 mount;
	u32 flags;
	u32 path_bytes;
	u32 pad;
};
EXPORT(struct, directory_sample);

struct mount_sample {
	struct sample_header header;
	u32 mount;
	u32 device;
	u32 flags;
	u32 point_bytes;
	u32 root_bytes; /* the directory of the file system that is mounted */
	u32 type_bytes;
	u32 source_bytes;
	u32 pad;
};
EXPORT(struct, mount_sample);

/* include/uapi/linux/fcntl.h (6.18) */
#define AT_FDCWD (-100)

/* What is done with a file. */
struct deed {
	u32 descriptor;
	u32 accesses; /* bits by enum file_access */
	u64 argument; /* the path that the program passed, in its memory; 0: none */
	u64 read_bytes;
	u64 written_bytes;
	u32 flags; /* of an open, as the program passed them */
	bool is_open;
};

/* A name that a program passed, and what it starts from. */
struct passed_name {
	u64 text;	/* its address */
	s32 descriptor; /* the directory that it starts from */
	bool is_there;
	bool is_kernels; /* the text is in the kernel's memory */
	u8 pad[2];
};

struct name_deed {
	u32 operation;
	u32 errno;
	struct passed_name first;
	struct passed_name second;
};

/*
 * What is to be done, and for whom. The parts that do it are no static functions, so that the verifier looks at each
 * once: such a function takes only numbers, and finds the rest here.
 */
struct files_work {
	u32 slot;
	u32 generation;
	u32 phase;
	u32 pad;
	struct deed deed;
	struct name_deed names;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct files_work);
} files_works SEC(".maps");

/* What has a limit of its own. */
enum files_entry {
	ENTRY_FILE_OR_NAME,
	ENTRY_DIRECTORY,
	ENTRY_MOUNT,
};
_Static_assert(ENTRY_MOUNT < ENTRY_KINDS, "each has a counter");

/* The counter of such entries; none if the container has as many as it may. */
static __always_inline u32 *room_for(u32 slot, u32 kind, u32 limit)
{
	struct slot_state *state = slot_at(slot);
	u32 *count;

	if (!state)
		return 0;
	count = &state->entries[SENSOR_files * ENTRY_KINDS + kind];
	return *count < limit ? count : 0;
}

static __always_inline struct files_work *files_work(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&files_works, &zero);
}

/* Room for the longest, which is that of a rename: it is put together here, then copied to the ring at its real length. */
/* No sample is longer without its texts. */
#define FIXED_BYTES	 128
#define DRAFT_TEXT_BYTES (2 * (PATH_BYTES + ARGUMENT_TEXT_BYTES))

struct files_draft {
	union {
		struct sample_header header;
		struct file_sample file;
		struct name_sample name;
		struct directory_sample directory;
		struct mount_sample mount;
		u8 bytes[FIXED_BYTES + DRAFT_TEXT_BYTES];
	};
};
_Static_assert(sizeof(struct file_sample) <= FIXED_BYTES && sizeof(struct name_sample) <= FIXED_BYTES, "they have room");

/* Where the texts of a sample of this type begin. */
#define TEXTS(draft, type) ((draft)->bytes + sizeof(struct type))

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct files_draft);
} files_drafts SEC(".maps");

/* Only for the current task. */
static __always_inline struct files_draft *begin_draft(const struct files_work *work, u8 kind)
{
	u32 zero = 0;
	struct files_draft *draft = bpf_map_lookup_elem(&files_drafts, &zero);

	if (draft)
		fill_header(&draft->header, current_task(), work->slot, work->generation, work->phase, SENSOR_files,
			    kind);
	return draft;
}

static __always_inline u32 flags_of_path(u32 flags)
{
	barrier_var(flags); /* old verifiers take what the compiler makes of it otherwise for a pointer */
	return (flags & PATH_CUT ? FILE_PATH_CUT : 0) | (flags & PATH_DELETED ? FILE_DELETED : 0) |
	       (flags & PATH_UNREACHABLE ? FILE_UNREACHABLE : 0);
}

/* Sends so many bytes of the draft; false if there was no room, which the next use makes up for. */
static __always_inline bool send_draft(struct files_draft *draft, u64 length)
{
	barrier_var(length); /* the verifier must see the very number that is checked */
	if (length > sizeof(*draft))
		return false;
	return !bpf_ringbuf_output(&samples, draft, length, 0);
}
