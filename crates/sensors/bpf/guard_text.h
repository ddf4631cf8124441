/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The names in texts: of what a program is called by, and of its arguments. */
#pragma once

#include "guard.h"

/* Where a text is, and what ends a name in it. */
enum text_kind {
	TEXT_OF_KERNEL,
	TEXT_ARGUMENT,
	/* An argument that begins with two hyphens. */
	TEXT_OPTION,
};

enum text_part {
	/* Where the last name begins in it, if one does. */
	PART_BEGIN = TEXT_CHUNK - 1,
	PART_END = TEXT_CHUNK,
	PART_UNREADABLE = TEXT_CHUNK * 2,
};

/* What there is in one part of a text. Not static, so that the verifier looks at it once. */
__noinline u64 part_of_text(u64 text, u32 kind)
{
	char chunk[TEXT_CHUNK] = {};
	/* An address and no distance, as the verifier goes on with each distance apart. */
	u64 last = text;
	long length = kind == TEXT_OF_KERNEL ? bpf_probe_read_kernel_str(chunk, sizeof(chunk), (const void *)text)
					     : bpf_probe_read_user_str(chunk, sizeof(chunk), (const void *)text);

	if (length <= 0)
		return PART_UNREADABLE;
	for (u32 i = 0; i < TEXT_CHUNK - 1; i++) {
		if (!chunk[i])
			return (last - text) | PART_END;
		if (chunk[i] == '/' || (chunk[i] == '=' && kind == TEXT_OPTION))
			last = text + i + 1;
	}
	return last - text;
}

/* Where the last name of a text begins, 0 if it cannot be read, ENDLESS if it is too long to tell. As above. */
__noinline u64 last_name_of(u64 text, u32 is_argument)
{
	u32 kind = is_argument ? TEXT_ARGUMENT : TEXT_OF_KERNEL;
	u64 last = text;

	if (is_argument) {
		char begin[3] = {};

		if (bpf_probe_read_user_str(begin, sizeof(begin), (const void *)text) <= 0)
			return 0;
		/* A shell that logs in has this before its name; of an option, what counts is behind. */
		if (begin[0] == '-') {
			last = text + 1;
			if (begin[1] == '-')
				kind = TEXT_OPTION;
		}
	}
	for (u32 i = 0; i < TEXT_CHUNKS; i++) {
		u64 part = part_of_text(text, kind);

		if (part & PART_UNREADABLE)
			return 0;
		if (part & PART_BEGIN)
			last = text + (part & PART_BEGIN);
		if (part & PART_END)
			return last;
		text += TEXT_CHUNK - 1;
	}
	return ENDLESS;
}

/* Where the next argument begins; 0 if there is none. */
__noinline u64 after_text(u64 text)
{
	char chunk[TEXT_CHUNK];

	for (u32 i = 0; i < TEXT_CHUNKS; i++) {
		long length = bpf_probe_read_user_str(chunk, sizeof(chunk), (const void *)text);

		if (length <= 0)
			return 0;
		if (length < TEXT_CHUNK)
			return text + length;
		text += TEXT_CHUNK - 1;
	}
	return 0;
}
