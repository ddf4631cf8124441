/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts every system call, and every errno, in the task's own counts. On request it also gives one sample per call;
 * without that request the verifier removes all of that part.
 */

#include "trace.h"

/* Counts where there is no counter of the thread's own. */
static __always_inline int count_rare(struct task_note *note, u32 table, u32 number, u32 errno, u64 n)
{
	struct slot_state *slot = slot_at(note->slot);

	/* The slot has a new owner, and this task is none of its. */
	if (!slot || slot->generation != note->generation)
		return 0;
	return count_in_total(note->slot, PHASE_AND_TABLE(note->phase, table), number, errno, n);
}

/* Tells those sensors of a call that begins which asked for it. */
static __always_inline void handle_entry(struct pt_regs *regs, struct task_note *note, u32 table, u32 number)
{
	u32 sensors = sensors_of_entry(table, number);
	struct entered_call call;

	if (!sensors)
		return;
	call.registers = regs;
	call.note = note;
	call.number = number;
	call.table = table;
	ENTRY_HANDLERS(sensors, &call);
}

#if OLD_KERNEL

static __noinline int count_shared_failure(u32 number, u32 errno)
{
	u8 table = table_of_call(ENTRY_FLAGS_OF_CURRENT(), &number);
	struct task_note *note = note_of_current();

	if (!note)
		return 0;
	if (!was_entered(note, table, number))
		errno |= ERRNO_REFUSED;
	return count_rare(note, table, number, errno, 1);
}

static __noinline int count_shared_entry(struct pt_regs *regs, u32 number)
{
	u8 table = table_of_call(ENTRY_FLAGS_OF_CURRENT(), &number);
	struct task_note *note = note_of_current();

	if (!note)
		return 0;
	note->current_call = number + 1;
	note->current_table = table;
	count_rare(note, table, number, 0, 1);
	handle_entry(regs, note, table, number);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long id)
{
	return shared.maybe_watched ? count_shared_entry(regs, id) : 0;
}

#else

/*
 * The first call of its kind by this thread since its last fold: remembers when it was, and who, if it is the slot's.
 * Not static, so that the verifier looks at it once.
 */
__noinline int begin_count(u32 slot, u32 phase, u32 number)
{
	struct call_key key = {
		.slot = slot,
		.number = number,
		.phase = phase,
		.table = TABLE_NATIVE,
	};

	/* Without room the count stays with the thread, and is lost, counted, when it is folded. */
	total_of(&key);
	return 0;
}

static __always_inline int count_entry(struct pt_regs *regs, u32 number)
{
	struct task_struct *task;
	struct task_note *note = note_by_stack((u64)regs, &task);
	struct task_counts *counts;
	u32 count, *counter;
	u8 table;

	if (!note || !note->slot)
		return 0;
	table = table_of_call(ENTRY_FLAGS(task), &number);
	if (tracing.enabled)
		begin_trace(bpf_get_current_task_btf(), regs, table, number);
	note->current_call = number + 1;
	note->current_table = table;
	counts = table == TABLE_NATIVE ? counts_at(note->counts) : 0;
	counter = counts ? counter_of(counts, number) : 0;
	if (counter) {
		count = *counter;
		*counter = count + 1;
		if (!count)
			begin_count(note->slot, note->phase, number);
		else if (count == (u32)-1)
			count_rare(note, table, number, 0, 1ULL << 32); /* the counter went round */
	} else {
		count_rare(note, table, number, 0, 1);
	}
	handle_entry(regs, note, table, number);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long id)
{
	return count_entry(regs, id);
}

SEC("tracepoint/raw_syscalls/sys_enter")
int on_sys_enter_held(struct trace_event_raw_sys_enter *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct stack_owner *owner;

	count_entry(regs, ctx->id);
	owner = owner_of((u64)regs);
	if (owner) {
		owner->entry_done = 1;
		owner->exit_done = 0;
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter_again, struct pt_regs *regs, long id)
{
	struct stack_owner *owner = owner_of((u64)regs);
	bool is_done = !owner || owner->entry_done;

	if (owner)
		owner->entry_done = 0;
	if (is_done)
		return 0;
	add(shared.made_up, 1);
	return count_entry(regs, id);
}

/*
 * One more failure of this kind: in the thread's own few pairs, one of which is folded if there is no room. As the one
 * above.
 */
__noinline int count_errno(u32 number_of_note, u32 number, u32 errno)
{
	struct task_note *note = note_at(number_of_note);
	struct slot_state *slot;
	struct thread_errno *pair;

	if (!note)
		return 0;
	for (u32 i = 0; i < THREAD_ERRNOS; i++) {
		pair = &note->errnos[i];
		if (pair->number == number && pair->errno == errno && pair->count && pair->count != (u32)-1) {
			pair->count++;
			return 0;
		}
	}
	pair = &note->errnos[note->next_errno++ % THREAD_ERRNOS];
	slot = slot_at(note->slot);
	if (slot)
		add(slot->folds_begun, 1);
	fold_errno(note, pair);
	if (slot)
		add(slot->folds_ended, 1);
	/* Who was refused first is told by the total: whoever folds may be another program by then. */
	if (errno & ERRNO_REFUSED)
		count_in_total(note->slot, PHASE_AND_TABLE(note->phase, TABLE_NATIVE), number, errno, 0);
	pair->number = number;
	pair->errno = errno;
	pair->count = 1;
	return 0;
}

#endif

/* include/linux/errno.h (6.18): -512 to -516 make the kernel restart the call; no program ever sees them. */
#define FIRST_RESTART 512
#define LAST_RESTART  516

static __always_inline bool is_restarted(long result)
{
	return result <= -FIRST_RESTART && result >= -LAST_RESTART;
}

/*
 * Sensors that handle a call also when the kernel will make it again, or would if the task were not ended by a signal:
 * as one that was interrupted.
 */
#define SENSORS_OF_RESTARTED (1U << SENSOR_network)
#define EINTR_OF_RESTARTED   4

/* The errno of a call that failed, as its program sees it; else 0. */
static __always_inline u32 errno_of(long result)
{
	return result >= 0 || result < -MAX_ERRNO || is_restarted(result) ? 0 : -result;
}

#if OLD_KERNEL

static __noinline int handle_exit(struct pt_regs *regs, u32 number, long result, u32 errno)
{
	u8 table = table_of_call(ENTRY_FLAGS_OF_CURRENT(), &number);
	struct task_note *note;
	struct returned_call call = {
		.registers = regs,
		.task = current_task(),
		.result = result,
		.number = number,
		.table = table,
		.errno = errno,
	};
	u32 sensors = sensors_of_call(table, number, errno || is_restarted(result));

	if (is_restarted(result)) {
		sensors &= SENSORS_OF_RESTARTED;
		call.errno = EINTR_OF_RESTARTED;
	}
	if (!sensors && !errno)
		return 0;
	note = note_of_current();
	if (!note)
		return 0;
	if (sensors) {
		call.note = note;
		call.entered = was_entered(note, table, number);
		CALL_HANDLERS(sensors, &call);
	}
	note->current_call = CALL_IS_OVER;
	return 0;
}

static __always_inline int count_exit(struct pt_regs *regs, long result)
{
	u32 errno = errno_of(result);
	/* After a return from a signal the registers are those of another call. */
	u32 number = returning_call(regs);

	if (!shared.maybe_watched || number == (u32)-1)
		return 0;
	if (errno)
		count_shared_failure(number, errno);
	return handle_exit(regs, number, result, errno);
}

#else

static __always_inline int count_failure(struct task_note *note, u8 table, u32 number, u32 errno)
{
	struct thread_errno *pair;

	if (table != TABLE_NATIVE || number >= NATIVE_CALLS || !note->counts)
		return count_rare(note, table, number, errno, 1);
	/* A loop that fails fails the same way again and again: spare it the call. */
	pair = &note->errnos[0];
	if (pair->number == number && pair->errno == errno && pair->count && pair->count != (u32)-1) {
		pair->count++;
		return 0;
	}
	return count_errno(note->counts, number, errno);
}

static __always_inline int count_exit(struct pt_regs *regs, long result)
{
	u32 errno = errno_of(result);
	u32 number = returning_call(regs);
	struct returned_call call;
	struct task_struct *task;
	struct task_note *note;
	bool entered;
	u32 sensors;
	u8 table;

	if (tracing.enabled)
		end_trace(bpf_get_current_task_btf(), true, result);
	/* Which table the number is of is not known yet: any sensor's in any table will do. */
	sensors = sensors_of_call(TABLE_NATIVE, plain_number(number), errno || is_restarted(result)) |
		  sensors_of_call(TABLE_X86, plain_number(number), errno || is_restarted(result));
	/* After a return from a signal the registers are those of another call. */
	if ((!errno && !sensors) || number == (u32)-1)
		return 0;
	note = note_by_stack((u64)regs, &task);
	if (!note || !note->slot)
		return 0;
	table = table_of_call(ENTRY_FLAGS(task), &number);
	entered = was_entered(note, table, number);
	if (errno)
		count_failure(note, table, number, entered ? errno : errno | ERRNO_REFUSED);
	/* One that the kernel makes again reports its entry again. */
	note->current_call = CALL_IS_OVER;
	if (!sensors)
		return 0;
	sensors = sensors_of_call(table, number, errno || is_restarted(result));
	if (is_restarted(result)) {
		sensors &= SENSORS_OF_RESTARTED;
		errno = EINTR_OF_RESTARTED;
	}
	if (!sensors)
		return 0;
	call.registers = regs;
	call.errno = errno;
	call.task = task;
	call.note = note;
	call.result = result;
	call.number = number;
	call.table = table;
	call.entered = entered;
	CALL_HANDLERS(sensors, &call);
	return 0;
}

#endif

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	return count_exit(regs, result);
}

#if !OLD_KERNEL
SEC("tracepoint/raw_syscalls/sys_exit")
int on_sys_exit_held(struct trace_event_raw_sys_exit *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct stack_owner *owner;

	count_exit(regs, ctx->ret);
	owner = owner_of((u64)regs);
	if (owner) {
		owner->entry_done = 0;
		owner->exit_done = 1;
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit_again, struct pt_regs *regs, long result)
{
	struct stack_owner *owner = owner_of((u64)regs);
	bool is_done = !owner || owner->exit_done;

	if (owner)
		owner->exit_done = 0;
	if (is_done)
		return 0;
	add(shared.made_up, 1);
	/* The handlers have memory per CPU. */
	if (!bpf_preempt_disable || !bpf_preempt_enable)
		return 0;
	bpf_preempt_disable();
	count_exit(regs, result);
	bpf_preempt_enable();
	return 0;
}

/* Calls that end the thread never return. Attached only while calls are traced. */
HOOK_OF_EXIT(on_exit_syscalls)
{
	if (tracing.enabled)
		end_trace(task, false, 0);
	return 0;
}
#endif

struct counted_call {
	struct call_key key;
	u32 pad;
	struct call_total total;
};
EXPORT(struct, counted_call);

/* A walk over call_totals: unlike a batch of lookups it keeps no program on this CPU from running. */
SEC("iter/bpf_map_elem")
int read_total(struct bpf_iter__bpf_map_elem *ctx)
{
	struct call_key *key = ctx->key;
	struct call_total *total = ctx->value;
	struct counted_call record;

	if (!key || !total || !is_walked(key->slot))
		return 0;
	record.key = *key;
	record.pad = 0;
	record.total = *total;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
