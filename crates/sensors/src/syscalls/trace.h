/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One sample per system call, for people who want to look at them all. */
#pragma once

#include "calls.h"

#define CALL_ARGS 6

enum syscalls_kind {
	SYSCALLS_CALL,
};
EXPORT(enum, syscalls_kind);

struct call_sample {
	struct sample_header header;
	u64 args[CALL_ARGS];
	s64 result;
	u64 duration_ns;
	u32 number;
	u8 table;
	u8 returned;
	u8 pad[2];
};
EXPORT(struct, call_sample);

/* What is to be traced; everything that is not asked about matches. */
struct tracing {
	/* One bit per number of the native table. */
	u64 numbers[(NATIVE_CALLS + 63) / 64];
	u8 comm[COMM_BYTES];
	u32 uid;
	bool enabled;
	bool failed_only;
	bool by_number;
	bool by_uid;
};
const volatile struct tracing tracing SEC(".rodata.tracing") = {};

#if !OLD_KERNEL
/* The call that a task is in. */
struct open_call {
	u64 entered_ns; /* 0: in none that is traced */
	u64 args[CALL_ARGS];
	u32 number;
	u8 table;
	u8 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct open_call);
} open_calls SEC(".maps");

static __always_inline bool is_traced(struct task_struct *task, u8 table, u32 number)
{
	if (tracing.by_number) {
		u64 word = number / 64;

		barrier_var(word); /* the verifier must see the very number that is checked */
		if (table != TABLE_NATIVE || word >= sizeof(tracing.numbers) / sizeof(tracing.numbers[0]))
			return false;
		if (!(tracing.numbers[word] & 1ULL << number % 64))
			return false;
	}
	if (tracing.by_uid && BPF_CORE_READ(task, real_cred, uid.val) != tracing.uid)
		return false;
	if (tracing.comm[0]) {
		u8 comm[COMM_BYTES];

		BPF_CORE_READ_INTO(&comm, task, comm);
		for (u32 i = 0; i < COMM_BYTES; i++) {
			if (comm[i] != tracing.comm[i])
				return false;
			if (!comm[i])
				break;
		}
	}
	return true;
}

static __always_inline void begin_trace(struct task_struct *task, struct pt_regs *regs, u8 table, u32 number)
{
	struct open_call *call;

	if (!is_traced(task, table, number))
		return;
	call = bpf_task_storage_get(&open_calls, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call) {
		struct task_note *note = current_note(task);

		if (note)
			count_lost_sample(note->slot, SENSOR_syscalls);
		return;
	}
	call->entered_ns = bpf_ktime_get_boot_ns();
	call->number = number;
	call->table = table;
	call->args[0] = PT_REGS_PARM1_CORE_SYSCALL(regs);
	call->args[1] = PT_REGS_PARM2_CORE_SYSCALL(regs);
	call->args[2] = PT_REGS_PARM3_CORE_SYSCALL(regs);
	call->args[3] = PT_REGS_PARM4_CORE_SYSCALL(regs);
	call->args[4] = PT_REGS_PARM5_CORE_SYSCALL(regs);
	call->args[5] = PT_REGS_PARM6_CORE_SYSCALL(regs);
}

static __always_inline void end_trace(struct task_struct *task, bool returned, long result)
{
	struct task_note *note;
	struct open_call *call;
	struct call_sample *sample;

	if (!task->bpf_storage)
		return;
	call = bpf_task_storage_get(&open_calls, task, 0, 0);
	if (!call || !call->entered_ns)
		return;
	note = current_note(task);
	if (!note || (tracing.failed_only && !(returned && result < 0 && result >= -MAX_ERRNO))) {
		call->entered_ns = 0;
		return;
	}
	sample = reserve_sample(call_sample, task, note, SENSOR_syscalls, SYSCALLS_CALL);
	if (sample) {
		sample->duration_ns = sample->header.boot_ns - call->entered_ns;
		sample->result = result;
		sample->number = call->number;
		sample->table = call->table;
		sample->returned = returned;
		sample->pad[0] = 0;
		sample->pad[1] = 0;
		for (u32 i = 0; i < CALL_ARGS; i++)
			sample->args[i] = call->args[i];
		bpf_ringbuf_submit(sample, 0);
	}
	call->entered_ns = 0;
}
#endif
