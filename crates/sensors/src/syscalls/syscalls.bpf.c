/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts every system call, and every errno, in the storage of the task that made it. On request it also gives one
 * sample per call; without that request the verifier removes all of that part.
 */

#include "trace.h"

/* Counts where there is no counter of the thread's own. */
static __always_inline int count_rare(struct task_note *note, u32 table, u32 number, u32 errno, u64 n)
{
	return count_in_total(note->slot, PHASE_AND_TABLE(note->phase, table), number, errno, n);
}

/* A call by a task that has no storage, or whose storage cannot be read now. */
static __noinline int count_without_storage(u32 number, u32 errno, u32 can_store)
{
	u8 table = table_of_call(ENTRY_FLAGS_OF_CURRENT(), &number);
	struct task_note *note = can_store ? guessed_note() : note_without_storage();

	if (!note)
		return 0;
	if (!errno) {
		note->current_call = number + 1;
		note->current_table = table;
	}
	return count_rare(note, table, number, errno, 1);
}

#if OLD_KERNEL

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long id)
{
	return maybe_watched ? count_without_storage(id, 0, false) : 0;
}

#else

/* The first call of its kind by this thread since its last fold: remembers when it was, and who, if it is the slot's.
 */
static __noinline int begin_count(struct task_state *state, u32 number)
{
	struct call_key key = {
		.slot = state->note.slot,
		.number = number,
		.phase = state->note.phase,
		.table = TABLE_NATIVE,
	};

	/* Without room the count stays with the thread, and is lost, counted, when it is folded. */
	total_of(&key);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task;
	struct task_state *state;
	u32 number = id, count, *counter;
	u8 table;

	task = bpf_get_current_task_btf();
	if (!task->bpf_storage && !maybe_watched)
		return 0;
	state = stored_state(task);
	if (!state)
		state = late_state(task);
	if (!state)
		return count_without_storage(number, 0, !!task->bpf_storage);
	if (state->note.css_set != (u64)task->cgroups)
		renew_state(state);
	if (!state->note.slot)
		return 0;
	table = table_of_call(ENTRY_FLAGS(task), &number);
	if (trace_calls)
		begin_trace(task, regs, table, number);
	state->note.current_call = number + 1;
	state->note.current_table = table;
	counter = table == TABLE_NATIVE ? counter_of(state, number) : 0;
	if (!counter)
		return count_rare(&state->note, table, number, 0, 1);
	count = *counter;
	*counter = count + 1;
	if (!count)
		begin_count(state, number);
	else if (count == (u32)-1)
		count_rare(&state->note, table, number, 0, 1ULL << 32); /* the counter went round */
	return 0;
}

/* One more failure of this kind: in the thread's own few pairs, one of which is folded if there is no room. */
static __noinline int count_errno(struct task_state *state, u32 number, u32 errno)
{
	struct thread_errno *pair;

	for (u32 i = 0; i < THREAD_ERRNOS; i++) {
		pair = &state->errnos[i];
		if (pair->number == number && pair->errno == errno && pair->count && pair->count != (u32)-1) {
			pair->count++;
			return 0;
		}
	}
	pair = &state->errnos[state->note.next_errno++ % THREAD_ERRNOS];
	fold_errno(state, pair);
	pair->number = number;
	pair->errno = errno;
	pair->count = 1;
	return 0;
}

#endif

/* include/linux/errno.h (6.18): -512 to -516 make the kernel restart the call; no program ever sees them. */
#define FIRST_RESTART 512
#define LAST_RESTART  516

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	u32 number, errno;
#if !OLD_KERNEL
	struct task_struct *task;
	struct task_state *state;
	u8 table;

	if (trace_calls)
		end_trace(bpf_get_current_task_btf(), true, result);
#endif
	if (result >= 0 || result < -MAX_ERRNO)
		return 0;
	errno = -result;
	if (errno >= FIRST_RESTART && errno <= LAST_RESTART)
		return 0;
	/* After a return from a signal the registers are those of another call. */
	number = returning_call(regs);
	if (number == (u32)-1)
		return 0;
#if OLD_KERNEL
	return maybe_watched ? count_without_storage(number, errno, false) : 0;
#else
	task = bpf_get_current_task_btf();
	if (!task->bpf_storage && !maybe_watched)
		return 0;
	state = stored_state(task);
	if (!state)
		return count_without_storage(number, errno, !!task->bpf_storage);
	if (!state->note.slot)
		return 0;
	table = table_of_call(ENTRY_FLAGS(task), &number);
	if (table != TABLE_NATIVE || number >= NATIVE_CALLS)
		return count_rare(&state->note, table, number, errno, 1);
	/* A loop that fails fails the same way again and again: spare it the call. */
	if (state->errnos[0].number == number && state->errnos[0].errno == errno && state->errnos[0].count &&
	    state->errnos[0].count != (u32)-1) {
		state->errnos[0].count++;
		return 0;
	}
	return count_errno(state, number, errno);
#endif
}

#if !OLD_KERNEL
/* Calls that end the thread never return. Attached only while calls are traced. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_syscalls, struct task_struct *task)
{
	if (trace_calls)
		end_trace(task, false, 0);
	return 0;
}
#endif
