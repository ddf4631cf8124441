/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls whose return sensors handle.
 *
 * One program on sys_exit serves all of them. User space writes down which calls each sensor asked for, by name; a call
 * that nobody asked for costs one look into that table.
 */
#pragma once

#include "tasks.h"

/* The tables that calls can come through: the machine's own, and that of its 32-bit programs. x32 shares the first. */
enum handled_table {
	HANDLED_NATIVE,
	HANDLED_32_BIT,
	HANDLED_TABLES,
};
EXPORT(enum, handled_table);

struct call_table {
	/* One bit for each sensor that asked for the call. */
	u32 sensors[HANDLED_TABLES * NATIVE_CALLS];
	/* Of these, those that want to know when it fails, too. */
	u32 sensors_of_failures[HANDLED_TABLES * NATIVE_CALLS];
	/* What the sensor calls it by: sensor after sensor. */
	u8 names[SENSORS * HANDLED_TABLES * NATIVE_CALLS];
};
const volatile struct call_table call_table SEC(".rodata.calls") = {};

/* A call that has just returned. */
struct returned_call {
	struct pt_regs *registers;
	struct task_struct *task;
	struct task_note *note;
	s64 result;
	u32 number;
	u32 table;   /* enum table */
	u32 errno;   /* as its program sees it; 0: it did not fail */
	u32 entered; /* 0: a filter refused it before */
};

/* A sensor's handler: build.rs finds it, and has it called. */
#define ON_RETURN(sensor) static __noinline int sensor##_on_return(struct returned_call *call)

#include "handlers.h" /* written by build.rs: each handler's prototype, and CALL_HANDLERS */

static __always_inline u32 handled_table(u32 table)
{
	return table == TABLE_X86 || table == TABLE_ARM ? HANDLED_32_BIT : HANDLED_NATIVE;
}

/* Whether the structs that the call passes have pointers of 32 bits. */
static __always_inline bool has_short_pointers(const struct returned_call *call)
{
	return handled_table(call->table) == HANDLED_32_BIT || call->table == TABLE_X32;
}

/* The sensors that asked for this call, as bits; if it failed, those that asked for that. */
static __always_inline u32 sensors_of_call(u32 table, u32 number, bool has_failed)
{
	u64 at = number;

	barrier_var(at); /* the verifier must see the very number that is checked */
	if (at >= NATIVE_CALLS)
		return 0;
	if (handled_table(table))
		at += NATIVE_CALLS;
	return has_failed ? call_table.sensors_of_failures[at] : call_table.sensors[at];
}

/* What this sensor calls it by; 0 if it did not ask for it. */
static __always_inline u32 name_of_call(const struct returned_call *call, u32 sensor)
{
	u64 at = call->number;
	u32 table = sensor * HANDLED_TABLES;

	barrier_var(at);
	if (at >= NATIVE_CALLS)
		return 0;
	return handled_table(call->table) ? call_table.names[(table + 1) * NATIVE_CALLS + at]
					  : call_table.names[table * NATIVE_CALLS + at];
}
