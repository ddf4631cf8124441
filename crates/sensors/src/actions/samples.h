/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What actions tells user space, and where it puts that together. */
#pragma once

#include "files/names.h"
#include "network/connections.h"
#include "privileged/confinement.h"

enum actions_kind {
	ACTIONS_ACTION,
	ACTIONS_IMAGE,
};
EXPORT(enum, actions_kind);

/* What user space chose before it loaded the programs. In a section of its own. */
struct action_settings {
	/* Without it nothing of this sensor is ever run, and the verifier leaves most of it out. */
	u32 enabled;
	/* Of the environment of a program that begins, how many bytes are told. */
	u32 environment_bytes;
	/* Which of the calls that come through socketcall(2), by its numbers, and which also if they fail: bits. */
	u32 socket_calls;
	u32 socket_failures;
};
const volatile struct action_settings action_settings SEC(".rodata.actions") = {};

/* With which rights a task does something. */
struct action_rights {
	u64 effective;
	u64 permitted;
	u64 inheritable;
	struct task_ids ids;
};

enum action_flag {
	/* A file or socket is known. */
	ACTION_FILE = 1,
	/* It is a socket. */
	ACTION_SOCKET = 2,
	/* The file is in the upper layer of an overlay file system. */
	ACTION_UPPER_LAYER = 4,
	/* How it was to be opened is known. */
	ACTION_OPENED = 8,
	ACTION_PATH_CUT = 16,
	ACTION_PATH_DELETED = 32,
	ACTION_PATH_UNREACHABLE = 64,
	/* A name is cut off or could not be read, or the head of its directory is missing. */
	ACTION_NAME_CUT = 128,
	/* A name has a directory that it starts from, and that is not below the task's root. */
	ACTION_BASE = 256,
	ACTION_BASE_UNREACHABLE = 512,
	ACTION_SECOND_BASE = 1024,
	ACTION_SECOND_BASE_UNREACHABLE = 2048,
	/* The other end of a unix socket is there, even if it has no name. */
	ACTION_PEER = 4096,
};
EXPORT(enum, action_flag);

/* Which side began a connection. */
enum action_direction {
	ACTION_DIRECTION_UNKNOWN,
	ACTION_DIRECTION_OUT,
	ACTION_DIRECTION_IN,
};
EXPORT(enum, action_direction);

/* What a socket connects. Addresses as in flow_key; of unix sockets the names are behind it. */
struct socket_ends {
	u64 local_address[2];
	u64 remote_address[2];
	u16 local_port;
	u16 remote_port;
	u16 family;
	u8 protocol;  /* enum network_protocol */
	u8 direction; /* enum action_direction */
};

/*
 * On the ring, followed by texts in the order of their lengths: the path of the file and the directories as path.h
 * writes them, names as they are.
 */
struct action_sample {
	struct sample_header header;
	u64 args[CALL_ARGUMENTS];
	s64 result;
	u32 number;
	u32 table;
	u32 socket_call; /* of socketcall(2) what it was asked for; 0: it is another call */
	u32 flags;
	u32 descriptor;
	u32 mode; /* of the inode */
	u32 open_flags;
	u32 passed_bytes;
	u64 passed[PASSED_WORDS]; /* struct sockaddr */
	struct action_rights rights;
	struct socket_ends ends;
	struct unix_name local_name;
	struct unix_name remote_name;
	u32 path_bytes;
	u32 base_bytes;
	u32 argument_bytes;
	u32 second_base_bytes;
	u32 second_argument_bytes;
	u32 pad;
};
EXPORT(struct, action_sample);

#define ENVIRONMENT_BYTES 4096

enum image_flag {
	IMAGE_FROM_MEMORY = 1,
	IMAGE_DELETED = 2,
	IMAGE_UPPER_LAYER = 4,
	IMAGE_TERMINAL = 8,
};
EXPORT(enum, image_flag);

#define STANDARD_STREAMS 3

/* What one of the first descriptors is. */
struct standard_stream {
	u32 mode;   /* of its inode; 0: it is closed */
	u32 family; /* of a socket */
};

/* On the ring, followed by the environment: each text ends with a zero byte. */
struct image_sample {
	struct sample_header header;
	struct action_rights rights;
	u64 inode;
	u64 changed_ns;
	u64 modified_ns;
	u32 login_uid; /* all ones: nobody */
	u32 terminal_major;
	u32 terminal_minor;
	u32 session;
	u32 process_group;
	u32 process_group_outside;
	u32 flags;
	u32 environment_bytes;
	struct standard_stream streams[STANDARD_STREAMS];
};
EXPORT(struct, image_sample);

#define ACTION_TEXT_BYTES (PATH_BYTES + 2 * (PATH_BYTES + ARGUMENT_TEXT_BYTES))

/*
 * What is to be told, and what it takes to find out. The parts that do it are no static functions, so that the verifier
 * looks at each once: such a function takes only numbers, and finds the rest here.
 */
struct action_draft {
	u64 file; /* struct file; 0: none */
	u64 hash; /* of all that tells it from other actions */
	u32 slot;
	u32 generation;
	u32 phase;
	u32 what; /* enum action_call */
	u32 errno;
	u32 is_compat;
	u32 has_names; /* a bit for each */
	u32 pad;
	union {
		struct action_sample sample;
		struct image_sample image;
		u8 bytes[sizeof(struct action_sample) + ACTION_TEXT_BYTES];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct action_draft);
} action_drafts SEC(".maps");

static __always_inline struct action_draft *action_draft(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&action_drafts, &zero);
}

/*
 * Number of an action -> it was told. Of the oldest it is told again. Configured to be short while nobody asks for
 * actions.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, u32);
} told_actions SEC(".maps");

static __always_inline void read_rights(struct action_rights *rights, struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);

	read_ids(&rights->ids, cred);
	rights->effective = CAPABILITIES_OF(cred, cap_effective);
	rights->permitted = CAPABILITIES_OF(cred, cap_permitted);
	rights->inheritable = CAPABILITIES_OF(cred, cap_inheritable);
}

/* Puts so many bytes of the draft onto the ring; what finds no room is counted. */
static __always_inline bool send_action(struct action_draft *draft, u64 length)
{
	barrier_var(length); /* the verifier must see the very number that is checked */
	if (length <= sizeof(draft->bytes) && !bpf_ringbuf_output(&samples, draft->bytes, length, 0))
		return true;
	count_lost_sample(draft->slot, SENSOR_actions);
	return false;
}
