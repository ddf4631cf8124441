/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of a call's arguments say what. */
#pragma once

#include "actions/samples.h"

/* What a call is like; actions/mod.rs says which call is like which. */
enum action_call {
	ACTION_CALL_NONE,
	ACTION_CALL_OTHER, /* nothing is known of it but its arguments */
	ACTION_CALL_OPEN,
	ACTION_CALL_CREAT,
	ACTION_CALL_OPENAT,
	ACTION_CALL_OPENAT2,
	ACTION_CALL_OPEN_HANDLE,
	ACTION_CALL_MEMFD,
	ACTION_CALL_SOCKET,
	ACTION_CALL_BIND,
	ACTION_CALL_CONNECT,
	ACTION_CALL_LISTEN,
	ACTION_CALL_ACCEPT,
	ACTION_CALL_SENDTO,
	ACTION_CALL_RECVFROM,
	ACTION_CALL_SENDMSG,
	ACTION_CALL_RECVMSG,
	ACTION_CALL_SOCKETCALL,
	ACTION_CALL_DUP,
	ACTION_CALL_FCNTL,
	ACTION_CALL_DESCRIPTOR,	  /* descriptor, and more that does not matter */
	ACTION_CALL_DESCRIPTOR_2, /* descriptor, a number that matters */
	ACTION_CALL_PATH,
	ACTION_CALL_PATH_2, /* path, a number that matters */
	ACTION_CALL_PATHS,
	ACTION_CALL_PATHAT,
	ACTION_CALL_PATHAT_3, /* directory, path, a number that matters */
	ACTION_CALL_PATHSAT,
	ACTION_CALL_SYMLINK,
	ACTION_CALL_SYMLINKAT,
	ACTION_CALL_MOUNT,
	ACTION_CALL_NUMBER,    /* the first argument matters */
	ACTION_CALL_NUMBERS_2, /* the first two */
	ACTION_CALL_NUMBERS_3, /* the first three */
	ACTION_CALL_MAKES_DESCRIPTOR,
	ACTION_CALL_EXECVE,
	ACTION_CALL_EXECVEAT,
	ACTION_CALLS,
};
EXPORT(enum, action_call);

/* Beside the call's number in the table: it is wanted also if it fails. */
enum action_call_flag {
	ACTION_CALL_ALSO_FAILED = 128,
};
EXPORT(enum, action_call_flag);
_Static_assert((u32)ACTION_CALLS <= (u32)ACTION_CALL_ALSO_FAILED, "the flag is no call");

enum action_trait {
	/* The file is the one that it returned. */
	RETURNS_FILE = 1,
	/* What it returned tells it from others. */
	RESULT_MATTERS = 2,
	/* A name is none of a file: no directory belongs to it. */
	FIRST_IS_NO_PATH = 4,
	/* The address is written by the kernel, and its length is behind a pointer. */
	GIVES_ADDRESS = 8,
	/* The address is in a struct msghdr. */
	IS_MESSAGE = 16,
	/* The open flags are at the beginning of a struct. */
	FLAGS_IN_STRUCT = 32,
	/* Its success is told by another sensor. */
	ONLY_FAILED = 64,
	/* Arguments that are too small to be addresses tell it from others. */
	SMALL_ARGUMENTS_MATTER = 128,
};

/* Each is the argument's position, plus 1. */
struct action_shape {
	u8 file;
	u8 names[2];
	u8 bases[2]; /* the directories that they start from; 0: the working directory */
	u8 flags;
	u8 address; /* its length is the next argument */
	u8 matters; /* a bit for each argument, from position 0 on */
	u8 traits;
};

#define FIRST	1
#define SECOND	2
#define THIRD	4

/* clang-format off */
static const struct action_shape action_shapes[ACTION_CALLS] = {
	[ACTION_CALL_OTHER] = {.traits = SMALL_ARGUMENTS_MATTER},
	[ACTION_CALL_OPEN] = {.names = {1}, .flags = 2, .traits = RETURNS_FILE},
	[ACTION_CALL_CREAT] = {.names = {1}, .traits = RETURNS_FILE},
	[ACTION_CALL_OPENAT] = {.names = {2}, .bases = {1}, .flags = 3, .traits = RETURNS_FILE},
	[ACTION_CALL_OPENAT2] = {.names = {2}, .bases = {1}, .flags = 3, .traits = RETURNS_FILE | FLAGS_IN_STRUCT},
	[ACTION_CALL_OPEN_HANDLE] = {.flags = 3, .traits = RETURNS_FILE},
	[ACTION_CALL_MEMFD] = {.names = {1}, .matters = SECOND, .traits = RETURNS_FILE | FIRST_IS_NO_PATH},
	[ACTION_CALL_SOCKET] = {.matters = FIRST | SECOND | THIRD, .traits = RETURNS_FILE},
	[ACTION_CALL_BIND] = {.file = 1, .address = 2},
	[ACTION_CALL_CONNECT] = {.file = 1, .address = 2},
	[ACTION_CALL_LISTEN] = {.file = 1},
	[ACTION_CALL_ACCEPT] = {.address = 2, .traits = RETURNS_FILE | GIVES_ADDRESS},
	[ACTION_CALL_SENDTO] = {.file = 1, .address = 5},
	[ACTION_CALL_RECVFROM] = {.file = 1, .address = 5, .traits = GIVES_ADDRESS},
	[ACTION_CALL_SENDMSG] = {.file = 1, .address = 2, .traits = IS_MESSAGE},
	[ACTION_CALL_RECVMSG] = {.file = 1, .address = 2, .traits = IS_MESSAGE | GIVES_ADDRESS},
	[ACTION_CALL_DUP] = {.traits = RETURNS_FILE | RESULT_MATTERS},
	[ACTION_CALL_FCNTL] = {.file = 1, .matters = SECOND},
	[ACTION_CALL_DESCRIPTOR] = {.file = 1},
	[ACTION_CALL_DESCRIPTOR_2] = {.file = 1, .matters = SECOND},
	[ACTION_CALL_PATH] = {.names = {1}},
	[ACTION_CALL_PATH_2] = {.names = {1}, .matters = SECOND},
	[ACTION_CALL_PATHS] = {.names = {1, 2}},
	[ACTION_CALL_PATHAT] = {.names = {2}, .bases = {1}},
	[ACTION_CALL_PATHAT_3] = {.names = {2}, .bases = {1}, .matters = THIRD},
	[ACTION_CALL_PATHSAT] = {.names = {2, 4}, .bases = {1, 3}},
	[ACTION_CALL_SYMLINK] = {.names = {1, 2}, .traits = FIRST_IS_NO_PATH},
	[ACTION_CALL_SYMLINKAT] = {.names = {1, 3}, .bases = {0, 2}, .traits = FIRST_IS_NO_PATH},
	[ACTION_CALL_MOUNT] = {.names = {1, 2}, .matters = 1 << 3, .traits = FIRST_IS_NO_PATH},
	[ACTION_CALL_NUMBER] = {.matters = FIRST},
	[ACTION_CALL_NUMBERS_2] = {.matters = FIRST | SECOND},
	[ACTION_CALL_NUMBERS_3] = {.matters = FIRST | SECOND | THIRD},
	[ACTION_CALL_MAKES_DESCRIPTOR] = {.matters = FIRST, .traits = RETURNS_FILE},
	[ACTION_CALL_EXECVE] = {.names = {1}, .traits = ONLY_FAILED},
	[ACTION_CALL_EXECVEAT] = {.names = {2}, .bases = {1}, .traits = ONLY_FAILED},
};
/* clang-format on */

/* include/uapi/asm-generic/fcntl.h (6.18): what creat(2) stands for. */
#define CREAT_FLAGS 01101

/* include/uapi/asm-generic/fcntl.h and include/uapi/linux/fcntl.h (6.18) */
#define DUPLICATE_DESCRIPTOR		0
#define DUPLICATE_DESCRIPTOR_CLOEXEC	1030

/* include/uapi/linux/net.h (6.18): what socketcall(2) is asked for. */
static __always_inline u32 action_of_socket_call(u32 number)
{
	switch (number) {
	case 1:
		return ACTION_CALL_SOCKET;
	case 2:
		return ACTION_CALL_BIND;
	case 3:
		return ACTION_CALL_CONNECT;
	case 4:
		return ACTION_CALL_LISTEN;
	case 5:
	case 18:
		return ACTION_CALL_ACCEPT;
	case 9:
	case 11:
		return ACTION_CALL_SENDTO;
	case 10:
	case 12:
		return ACTION_CALL_RECVFROM;
	case 16:
		return ACTION_CALL_SENDMSG;
	case 17:
		return ACTION_CALL_RECVMSG;
	default:
		return ACTION_CALL_NONE;
	}
}
