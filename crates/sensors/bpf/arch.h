/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All that differs per architecture: which table a call belongs to, and where the registers are. */
#pragma once

#include "ringfence.h"

enum table {
	TABLE_X86_64,
	TABLE_X86,
	TABLE_X32,
	TABLE_AARCH64,
	TABLE_ARM,
};
EXPORT(enum, table);

#define CALL_ARGUMENTS 6

#if defined(__TARGET_ARCH_x86)

#define TABLE_NATIVE TABLE_X86_64
/* arch/x86/include/asm/page_64_types.h (5.10): THREAD_SIZE, without KASAN. */
#define STACK_BYTES 16384
/* arch/x86/include/asm/thread_info.h (6.18): set on entry by int 0x80 and 32-bit sysenter, whatever the task is. */
#define TS_COMPAT 0x0002
#define X32_BIT	  0x40000000

/* What says how the task entered the kernel. */
#define ENTRY_FLAGS(task)	 ((task)->thread_info.status)
#define ENTRY_FLAGS_OF_CURRENT() BPF_CORE_READ(current_task(), thread_info.status)

static __always_inline u8 table_of_call(u64 entry_flags, u32 *number)
{
	if (entry_flags & TS_COMPAT)
		return TABLE_X86;
	/* A number of -1 has the bit too, and is no x32 call. */
	if ((*number & X32_BIT) && (s32)*number > 0) {
		*number &= ~X32_BIT;
		return TABLE_X32;
	}
	return TABLE_X86_64;
}

/* The number of the call that is returning; -1 after a return from a signal. */
static __always_inline u32 returning_call(struct pt_regs *regs)
{
	return (u32)regs->orig_ax;
}

/* The number in its table, before it is known which that is. */
static __always_inline u32 plain_number(u32 number)
{
	return number & ~X32_BIT;
}

/* The number of the call that a task with these registers is in; -1 in a fault or an interrupt, and after a return from
 * a signal. */
static __always_inline u32 call_in_registers(struct pt_regs *regs)
{
	return BPF_CORE_READ(regs, orig_ax);
}

/* An argument of the call that is returning: entry.S keeps them in their registers. */
static __always_inline u64 call_argument(struct pt_regs *regs, u32 table, u32 position)
{
	if (table == TABLE_X86) {
		switch (position) {
		case 0:
			return (u32)regs->bx;
		case 1:
			return (u32)regs->cx;
		case 2:
			return (u32)regs->dx;
		case 3:
			return (u32)regs->si;
		case 4:
			return (u32)regs->di;
		default:
			return (u32)regs->bp;
		}
	}
	switch (position) {
	case 0:
		return regs->di;
	case 1:
		return regs->si;
	case 2:
		return regs->dx;
	case 3:
		return regs->r10;
	case 4:
		return regs->r8;
	default:
		return regs->r9;
	}
}

/* All of them at once. */
static __always_inline void call_arguments(struct pt_regs *regs, u32 table, u64 arguments[CALL_ARGUMENTS])
{
	if (table == TABLE_X86) {
		arguments[0] = (u32)regs->bx;
		arguments[1] = (u32)regs->cx;
		arguments[2] = (u32)regs->dx;
		arguments[3] = (u32)regs->si;
		arguments[4] = (u32)regs->di;
		arguments[5] = (u32)regs->bp;
		return;
	}
	arguments[0] = regs->di;
	arguments[1] = regs->si;
	arguments[2] = regs->dx;
	arguments[3] = regs->r10;
	arguments[4] = regs->r8;
	arguments[5] = regs->r9;
}

#elif defined(__TARGET_ARCH_arm64)

#define TABLE_NATIVE TABLE_AARCH64
/* arch/arm64/include/asm/memory.h (5.10): THREAD_SIZE, with pages of up to 16 KiB. */
#define STACK_BYTES  16384
/* arch/arm64/include/asm/thread_info.h (6.18): the task runs 32-bit code. */
#define TIF_32BIT    22

#define ENTRY_FLAGS(task)	 ((task)->thread_info.flags)
#define ENTRY_FLAGS_OF_CURRENT() BPF_CORE_READ(current_task(), thread_info.flags)

static __always_inline u8 table_of_call(u64 entry_flags, u32 *number)
{
	return entry_flags & (1UL << TIF_32BIT) ? TABLE_ARM : TABLE_AARCH64;
}

static __always_inline u32 returning_call(struct pt_regs *regs)
{
	return (u32)regs->syscallno;
}

static __always_inline u32 plain_number(u32 number)
{
	return number;
}

static __always_inline u32 call_in_registers(struct pt_regs *regs)
{
	return BPF_CORE_READ(regs, syscallno);
}

static __always_inline u64 call_argument(struct pt_regs *regs, u32 table, u32 position)
{
	switch (position) {
	case 0:
		return regs->orig_x0;
	case 1:
		return regs->regs[1];
	case 2:
		return regs->regs[2];
	case 3:
		return regs->regs[3];
	case 4:
		return regs->regs[4];
	default:
		return regs->regs[5];
	}
}

/* All of them at once. */
static __always_inline void call_arguments(struct pt_regs *regs, u32 table, u64 arguments[CALL_ARGUMENTS])
{
	arguments[0] = regs->orig_x0;
	arguments[1] = regs->regs[1];
	arguments[2] = regs->regs[2];
	arguments[3] = regs->regs[3];
	arguments[4] = regs->regs[4];
	arguments[5] = regs->regs[5];
}

#else
#error "no system-call tables for this architecture"
#endif
