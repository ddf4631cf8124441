/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel side keeps of a watched task: its note, and its own counts.
 *
 * Only the task itself changes its counts, so no call touches anything that is shared. They are folded into the slot's
 * totals when the thread ends or its slot or phase changes. A task that has none of its own is counted in the totals
 * directly, at every call.
 */
#pragma once

#include "arch.h"
#include "sample.h"

enum task_flag {
	/* It came from outside after the workload had started. */
	TASK_SESSION = 1,
	/* Its slot is inherited, not told by its cgroup. */
	TASK_INHERITS = 2,
	/* It was made in its slot: all that the kernel ever counted for it belongs there. */
	TASK_BORN_INSIDE = 4,
};

struct thread_errno {
	u16 number;
	u16 errno;
	u32 count;
};

/* What is known of a watched task: one cache line. */
struct task_note {
	u64 css_set; /* task->cgroups when the slot was looked up; 0: look it up */
	u32 slot;
	u32 generation;
	u32 counts;	  /* where its own counts are; 0: it has none */
	u32 life;	  /* goes up when the note is taken and when it is given back: odd while in use */
	u32 current_call; /* the number, plus 1, of the call it is in; 0 before the first, or CALL_IS_OVER */
	u8 current_table;
	u8 phase;
	u8 flags;
	u8 next_errno; /* the pair to fold next */
	struct thread_errno errnos[THREAD_ERRNOS];
};
_Static_assert(sizeof(struct task_note) == 64, "a note is one cache line");

/* Nobody looks at the return of most calls that succeed: then the last call stays noted until the next. */
#define CALL_IS_OVER ((u32) - 1)

static __always_inline bool has_noted_call(const struct task_note *note)
{
	return note->current_call && note->current_call != CALL_IS_OVER;
}

/*
 * Whether a call that returns had been entered. One that a seccomp filter refuses returns as others do, but its entry
 * is never reported. Of a task that came from elsewhere in the middle of a call it is not known: then it counts as
 * entered.
 */
static __always_inline bool was_entered(const struct task_note *note, u8 table, u32 number)
{
	if (!note->current_call)
		return !(note->flags & TASK_BORN_INSIDE);
	return note->current_call == number + 1 && note->current_table == table;
}

/* Beside an errno: the call was refused before it was entered. */
enum errno_mark {
	ERRNO_REFUSED = 0x8000,
};
EXPORT(enum, errno_mark);

struct task_counts {
	u32 calls[NATIVE_CALLS];
};
_Static_assert(sizeof(struct task_counts) % 64 == 0, "no two tasks share a cache line");

/* User space makes these three as long as befits the machine, and sees the notes through its own memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct task_note);
} task_notes SEC(".maps");

/* Those with the lowest numbers also have counts of their own, under the same number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct task_counts);
} task_counts SEC(".maps");

/*
 * The last that was given back is the first that is taken: so few are ever touched, and mostly those with counts. On
 * old kernels, whose atomic additions tell nothing, user space puts all of them here.
 */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1);
	__type(value, u32);
} free_notes SEC(".maps");

/* Address of the task -> its note. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, u32);
} watched_tasks SEC(".maps");

/* One system call of one slot and phase (errno 0), or one way in which it failed. */
struct call_key {
	u32 slot;
	u32 number;
	u8 phase;
	u8 table;
	u16 errno; /* with its mark */
};

struct call_total {
	u64 count;
	u64 first_ns;
	struct task_ref first;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct call_key);
	__type(value, struct call_total);
} call_totals SEC(".maps");

/* Finds or makes the total; a new one remembers the current task as the first. */
static __always_inline struct call_total *total_of(struct call_key *key)
{
	struct call_total *total = bpf_map_lookup_elem(&call_totals, key);
	struct call_total fresh = {};

	if (total)
		return total;
	fresh.first_ns = bpf_ktime_get_boot_ns();
	refer_to(&fresh.first, current_task());
	/* Another CPU may have been first: then its entry stays. */
	bpf_map_update_elem(&call_totals, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&call_totals, key);
}

/*
 * Adds to a total. Not static, so that the verifier looks at it once, however often it is called: then only numbers can
 * be handed over, and few of them.
 */
__noinline int count_in_total(u32 number_of_slot, u32 phase_and_table, u32 number, u32 errno, u64 n)
{
	struct call_key key = {
		.slot = number_of_slot,
		.number = number,
		.phase = phase_and_table,
		.table = phase_and_table >> 8,
		.errno = errno,
	};
	struct call_total *total = total_of(&key);

	if (total)
		add(total->count, n);
	else
		count_lost_entries(number_of_slot, SENSOR_syscalls, n);
	return 0;
}

#define PHASE_AND_TABLE(phase, table) ((u32)(phase) | (u32)(table) << 8)

/* No note was left for a task that is in a container. */
#define NO_NOTE ((u32) - 1)

static __always_inline struct task_note *note_at(u32 number)
{
	if (!number || number == NO_NOTE)
		return 0;
	return bpf_map_lookup_elem(&task_notes, &number);
}

static __always_inline u32 note_number_of(struct task_struct *task)
{
	u64 key = (u64)task;
	u32 *number = bpf_map_lookup_elem(&watched_tasks, &key);

	return number ? *number : 0;
}

/* The number of a note that is nobody's; 0 if there is none left. */
static __always_inline u32 free_note(void)
{
	u32 number = 0;

	if (!bpf_map_pop_elem(&free_notes, &number))
		return number;
#if !OLD_KERNEL
	/* One that was never anybody's. */
	if (shared.unused_note < settings.followed_tasks) {
		number = __sync_fetch_and_add(&shared.unused_note, 1);
		if (number < settings.followed_tasks)
			return number;
	}
#endif
	return 0;
}

/* An empty note for the task; NO_NOTE, and a call of its container is lost, if there is none left. */
static __always_inline u32 take_note(struct task_struct *task, u32 number_of_slot)
{
	u64 key = (u64)task;
	u32 number = free_note();
	struct task_note *note;

	if (number) {
		note = note_at(number);
		if (!note)
			return NO_NOTE;
		/* Whatever else was there was cleared when it was given back. */
		note->counts = number < settings.counted_tasks ? number : 0;
		if (!bpf_map_update_elem(&watched_tasks, &key, &number, BPF_NOEXIST)) {
			add(note->life, 1);
			add(shared.maybe_watched, 1);
			return number;
		}
		bpf_map_push_elem(&free_notes, &number, 0);
	}
	/* Another CPU may have been first. */
	number = note_number_of(task);
	if (number)
		return number;
	count_lost_entries(number_of_slot, SENSOR_identity, 1);
	return NO_NOTE;
}

/* Nothing may be left in the note's counts. */
static __always_inline void give_note_back(struct task_struct *task, u32 number)
{
	u64 key = (u64)task;
	struct task_note *note = note_at(number);

	if (!note)
		return;
	bpf_map_delete_elem(&watched_tasks, &key);
	note->css_set = 0;
	note->slot = 0;
	note->current_call = 0;
	note->phase = 0;
	note->flags = 0;
	add(note->life, 1);
	add(shared.maybe_watched, -1);
	bpf_map_push_elem(&free_notes, &number, 0);
}

#if !OLD_KERNEL

/* The task's own counter of a native call; none for numbers beyond the table. */
static __always_inline u32 *counter_of(struct task_counts *counts, u32 number)
{
	u32 *counter;

	barrier_var(number); /* the verifier must see the very number that is checked */
	if (number >= NATIVE_CALLS)
		return 0;
	counter = counts->calls + number;
	barrier_var(counter);
	return counter;
}

static __always_inline struct task_counts *counts_at(u32 number)
{
	if (!number)
		return 0;
	return bpf_map_lookup_elem(&task_counts, &number);
}

/* Counts in one step of the fold: most of a thread's counts are zero. */
#define FOLD_WIDTH 8
_Static_assert(NATIVE_CALLS % FOLD_WIDTH == 0, "the last step would be cut");

struct fold {
	struct task_note *note;
	struct task_counts *counts;
	/* The slot has a new owner: these counts were read, from this task's own, when the last one was closed. */
	bool is_late;
};

static long fold_step(u64 step, struct fold *fold)
{
	struct task_note *note = fold->note;
	u32 where = PHASE_AND_TABLE(note->phase, TABLE_NATIVE);
	u32 base = step * FOLD_WIDTH;
	u32 *counts;
	u64 *pairs;

	barrier_var(base);
	if (base > NATIVE_CALLS - FOLD_WIDTH)
		return 1;
	counts = fold->counts->calls + base;
	barrier_var(counts);
	pairs = (u64 *)counts;
	if (!(pairs[0] | pairs[1] | pairs[2] | pairs[3]))
		return 0;
#pragma unroll
	for (u32 i = 0; i < FOLD_WIDTH; i++) {
		if (!counts[i])
			continue;
		if (!fold->is_late)
			count_in_total(note->slot, where, base + i, 0, counts[i]);
		counts[i] = 0;
	}
	return 0;
}

static __always_inline void fold_errno(struct task_note *note, struct thread_errno *pair)
{
	if (!pair->count)
		return;
	count_in_total(note->slot, PHASE_AND_TABLE(note->phase, TABLE_NATIVE), pair->number, pair->errno, pair->count);
	pair->count = 0;
}

/* The note and its counts have the same number. Not static, so that the verifier looks at it once. */
__noinline int fold_note(u32 number)
{
	struct task_note *note = note_at(number);
	struct task_counts *counts = counts_at(number);
	struct slot_state *slot;
	struct fold fold = {.note = note, .counts = counts};

	if (!note || !counts)
		return 0;
	slot = slot_at(note->slot);
	fold.is_late = !slot || slot->generation != note->generation;
	if (slot && !fold.is_late)
		add(slot->folds_begun, 1);
	bpf_loop(NATIVE_CALLS / FOLD_WIDTH, fold_step, &fold, 0);
	for (u32 i = 0; i < THREAD_ERRNOS; i++) {
		if (fold.is_late)
			note->errnos[i].count = 0;
		else
			fold_errno(note, &note->errnos[i]);
	}
	if (slot && !fold.is_late)
		add(slot->folds_ended, 1);
	return 0;
}

/* Adds the task's own counts to its slot's totals. Only the task itself may do this. */
static __always_inline void fold_counts(struct task_note *note)
{
	if (note->counts)
		fold_note(note->counts);
}

#else

static __always_inline void fold_counts(struct task_note *note)
{
}

#endif
