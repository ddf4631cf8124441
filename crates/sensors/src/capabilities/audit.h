/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether the kernel would have the denial of a capability audited, told by the function that asks: the tracepoint does
 * not say it.
 *
 * To unwind the stack takes several times as long as all the rest. But all the way from the tracepoint to whoever
 * called cap_capable the frames are of one size each, so that a return address lies in the same place every time. User
 * space finds out where (see layout.rs) by one check of its own.
 */
#pragma once

#include "tasks.h"

/* Whether the kernel would have a denial audited: where it does not, it only decides between two ways of doing a thing.
 */
enum capability_audit {
	CAPABILITY_AUDITED,
	CAPABILITY_SILENT,
	CAPABILITY_AUDIT_UNKNOWN,
};
EXPORT(enum, capability_audit);

/* What a function asks with, or what else it is good for. */
enum caller_kind {
	/* It runs the programs on the tracepoint, and the context that they get is in its frame. */
	CALLER_RUNS_PROGRAMS,
	/* cap_capable itself: whoever asks is above it. */
	CALLER_CHECKS,
	/* It hands on what its own caller asks with. */
	CALLER_HANDS_ON,
	CALLER_AUDITS,
	CALLER_IS_SILENT,
};
EXPORT(enum, caller_kind);

#define MAX_CALLERS 48
/* Frames that are looked at, those of the program included. */
#define FRAMES 10
/* Words of the stack above the context that are looked at: a power of two. */
#define STACK_WORDS 64
#define MAX_STEPS   4

struct caller {
	/* A return address in it is above the first and not above the last. */
	u64 begin;
	u64 end;
	u64 kind;
};

/* User space knows where they are. */
struct callers {
	struct caller list[MAX_CALLERS];
};
const volatile struct callers callers SEC(".rodata.callers") = {};

/* A frame that is always the same: its return address, and which word of the stack that is. */
struct stack_step {
	u64 address;
	u64 at;
};

/* Where to find who asks. Each step proves the frame that the next one is in. */
struct stack_layout {
	u64 bytes; /* to be read, from the context on; 0: not known */
	u64 steps;
	struct stack_step step[MAX_STEPS];
	/* The word that says who called cap_capable. If it is this address, of security_capable, the next says who
	 * asks. */
	u64 caller_at;
	u64 handing_on;
	u64 asking_at;
};

/* A check by which user space learns the layout. */
struct stack_learning {
	/* The first argument of the call that it makes: by it that one check is known. 0: it makes none. */
	u64 trigger;
	u64 filled;
	u64 frames[FRAMES];
	u64 words[STACK_WORDS];
};

struct stack {
	struct stack_layout layout;
	struct stack_learning learning;
};
EXPORT(struct, stack);
volatile struct stack stack SEC(".data.stack") = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[STACK_WORDS]);
} stack_words SEC(".maps");

static __noinline int learn_stack(void *ctx)
{
	if (PT_REGS_PARM1_CORE_SYSCALL(registers_of_current()) != stack.learning.trigger)
		return 0;
	stack.learning.trigger = 0;
	if (bpf_get_stack(ctx, (void *)stack.learning.frames, sizeof(stack.learning.frames), 0) > 0 &&
	    !bpf_probe_read_kernel((void *)stack.learning.words, sizeof(stack.learning.words), ctx))
		stack.learning.filled = 1;
	return 0;
}

/* Which function a return address is in; -1 for none that is known. Not static, so that the verifier looks at it once. */
__noinline int kind_of_caller(u64 address)
{
	for (u32 i = 0; i < MAX_CALLERS; i++) {
		if (!callers.list[i].end)
			break;
		if (address > callers.list[i].begin && address <= callers.list[i].end)
			return callers.list[i].kind;
	}
	return -1;
}

/* The one who asks, by where it must be; -1 if this is another stack than the one that was learnt, or nobody is known.
 */
static __always_inline s32 kind_by_layout(void *ctx)
{
	u64 bytes = stack.layout.bytes, at, asking;
	u32 zero = 0;
	u64 *words = bpf_map_lookup_elem(&stack_words, &zero);

	barrier_var(bytes); /* the verifier must see the very number that is checked */
	if (!words || !bytes || bytes > STACK_WORDS * sizeof(u64) || bpf_probe_read_kernel(words, bytes, ctx))
		return -1;
	for (u32 i = 0; i < MAX_STEPS; i++) {
		if (i >= stack.layout.steps)
			break;
		at = stack.layout.step[i].at & (STACK_WORDS - 1);
		if (words[at] != stack.layout.step[i].address)
			return -1;
	}
	at = stack.layout.caller_at & (STACK_WORDS - 1);
	asking = words[at];
	if (asking == stack.layout.handing_on) {
		at = stack.layout.asking_at & (STACK_WORDS - 1);
		asking = words[at];
	}
	return kind_of_caller(asking);
}

static __noinline int audit_by_unwinding(void *ctx)
{
	u64 frames[FRAMES] = {};
	bool is_above = false;

	if (bpf_get_stack(ctx, frames, sizeof(frames), 0) < 0)
		return CAPABILITY_AUDIT_UNKNOWN;
	for (u32 i = 0; i < FRAMES; i++) {
		s32 kind = kind_of_caller(frames[i]);

		if (kind == CALLER_AUDITS)
			return CAPABILITY_AUDITED;
		if (kind == CALLER_IS_SILENT)
			return CAPABILITY_SILENT;
		/* Below cap_capable is only what called this program. */
		if (kind == CALLER_CHECKS)
			is_above = true;
		else if (is_above && kind != CALLER_HANDS_ON)
			break;
	}
	return CAPABILITY_AUDIT_UNKNOWN;
}

static __always_inline u8 audit_of_check(void *ctx)
{
	s32 kind = kind_by_layout(ctx);

	if (kind == CALLER_AUDITS)
		return CAPABILITY_AUDITED;
	if (kind == CALLER_IS_SILENT)
		return CAPABILITY_SILENT;
	return audit_by_unwinding(ctx);
}
