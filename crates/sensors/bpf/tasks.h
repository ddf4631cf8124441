/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel side knows of a watched task: its slot, its phase, and its own counts.
 *
 * Only the task itself changes its counts, so no call touches anything that is shared. They are folded into the slot's
 * totals when the thread ends or its slot or phase changes. A task that can have no storage of its own is counted in
 * the totals directly, at every call.
 */
#pragma once

#include "arch.h"
#include "sample.h"

enum task_flag {
	/* It came from outside after the workload had started. */
	TASK_SESSION = 1,
	/* Its slot is inherited, not told by its cgroup. */
	TASK_INHERITS = 2,
};

/* What is known of a watched task. */
struct task_note {
	u64 css_set; /* task->cgroups when the slot was looked up; 0: look it up */
	u32 slot;
	u32 generation;
	u32 current_call; /* the number, plus 1, of the call it is in; 0 before the first */
	u8 current_table;
	u8 phase;
	u8 flags;
	u8 next_errno; /* the pair to fold next */
};

struct thread_errno {
	u16 number;
	u16 errno;
	u32 count;
};

/* With the kernel's own header this must fit an object of 2 KiB. */
struct task_state {
	struct task_note note;
	struct thread_errno errnos[THREAD_ERRNOS];
	u32 counts[NATIVE_CALLS];
};
_Static_assert(sizeof(struct task_state) <= 1960, "task_state must fit a 2 KiB object");

#if !OLD_KERNEL
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} task_states SEC(".maps");
#endif

/* The notes of threads that can have no storage of their own: their calls are counted in the totals, one by one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct task_note);
} unstored_threads SEC(".maps");

/* Room for the note of a task whose own cannot be read at this moment. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct task_note);
} guesses SEC(".maps");

/* While not 0, a task without storage may yet belong to a container. */
u64 maybe_watched;
/* How many times that was for a process that came in with several threads. */
u64 late_groups;

/* One system call of one slot and phase (errno 0), or one way in which it failed. */
struct call_key {
	u32 slot;
	u32 number;
	u8 phase;
	u8 table;
	u16 errno;
};

struct call_total {
	u64 count;
	u64 first_ns;
	struct task_ref first;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
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
	struct slot_state *slot;

	if (total) {
		add(total->count, n);
		return 0;
	}
	slot = slot_at(number_of_slot);
	if (slot)
		add(slot->lost_counts, n);
	return 0;
}

#define PHASE_AND_TABLE(phase, table) ((u32)(phase) | (u32)(table) << 8)

#if !OLD_KERNEL

/* The task's own counter of a native call; none for numbers beyond the table. */
static __always_inline u32 *counter_of(struct task_state *state, u32 number)
{
	u32 *counter;

	barrier_var(number); /* the verifier must see the very number that is checked */
	if (number >= NATIVE_CALLS)
		return 0;
	counter = state->counts + number;
	barrier_var(counter);
	return counter;
}

/* Counts in one step of the fold: most of a thread's counts are zero. */
#define FOLD_WIDTH 8
_Static_assert(NATIVE_CALLS % FOLD_WIDTH == 0, "the last step would be cut");

static long fold_step(u64 step, struct task_state **folded)
{
	struct task_state *state = *folded;
	u32 where = PHASE_AND_TABLE(state->note.phase, TABLE_NATIVE);
	u32 base = step * FOLD_WIDTH;
	u32 *counts;
	u64 *pairs;

	barrier_var(base);
	if (base > NATIVE_CALLS - FOLD_WIDTH)
		return 1;
	counts = state->counts + base;
	barrier_var(counts);
	pairs = (u64 *)counts;
	if (!(pairs[0] | pairs[1] | pairs[2] | pairs[3]))
		return 0;
#pragma unroll
	for (u32 i = 0; i < FOLD_WIDTH; i++) {
		if (!counts[i])
			continue;
		count_in_total(state->note.slot, where, base + i, 0, counts[i]);
		counts[i] = 0;
	}
	return 0;
}

static __always_inline void fold_errno(struct task_state *state, struct thread_errno *pair)
{
	if (!pair->count)
		return;
	count_in_total(state->note.slot, PHASE_AND_TABLE(state->note.phase, TABLE_NATIVE), pair->number, pair->errno,
		       pair->count);
	pair->count = 0;
}

/* Adds the task's own counts to its slot's totals. Only the task itself may do this. */
static __noinline int fold_counts(struct task_state *state)
{
	struct slot_state *slot = slot_at(state->note.slot);

	/* The slot has a new owner: these counts were read, from this storage, when the last one was closed. */
	if (!slot || slot->generation != state->note.generation) {
		__builtin_memset(state->errnos, 0, sizeof(state->errnos));
		for (u32 i = 0; i < NATIVE_CALLS / 2; i++)
			((volatile u64 *)state->counts)[i] = 0; /* no memset in BPF */
		return 0;
	}
	add(slot->folds_begun, 1);
	bpf_loop(NATIVE_CALLS / FOLD_WIDTH, fold_step, &state, 0);
	for (u32 i = 0; i < THREAD_ERRNOS; i++)
		fold_errno(state, &state->errnos[i]);
	add(slot->folds_ended, 1);
	return 0;
}

static __always_inline struct task_state *stored_state(struct task_struct *task)
{
	return bpf_task_storage_get(&task_states, task, 0, 0);
}

static __always_inline struct task_state *make_state(struct task_struct *task)
{
	return bpf_task_storage_get(&task_states, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline bool has_storage(struct task_struct *task)
{
	return task->bpf_storage;
}

#else

static __always_inline int fold_counts(struct task_state *state)
{
	return 0;
}

static __always_inline struct task_state *stored_state(struct task_struct *task)
{
	return 0;
}

static __always_inline struct task_state *make_state(struct task_struct *task)
{
	return 0;
}

static __always_inline bool has_storage(struct task_struct *task)
{
	return false;
}

#endif

/* An empty note for a thread that can have no storage. */
static __always_inline struct task_note *make_note_unstored(u32 tid)
{
	struct task_note empty = {};

	if (!bpf_map_update_elem(&unstored_threads, &tid, &empty, BPF_NOEXIST))
		add(maybe_watched, 1);
	return bpf_map_lookup_elem(&unstored_threads, &tid);
}

/*
 * Gives a task its storage, or else an empty note. What is in it the task finds out itself, when it next makes a call:
 * so nobody but the task ever writes there.
 */
static __always_inline struct task_note *make_note(struct task_struct *task)
{
	struct task_state *state = make_state(task);
	struct slot_state *slot;

	if (state)
		return &state->note;
	slot = slot_at(slot_of_task_by_cgroup(task));
	if (slot)
		add(slot->threads_unstored, 1);
	return make_note_unstored(BPF_CORE_READ(task, pid));
}

/* The phase of a task that comes into a slot from outside. */
static __always_inline void enter_phase(struct task_struct *task, struct slot_state *slot, u8 *phase, u8 *flags)
{
	*flags &= ~TASK_SESSION;
	*phase = PHASE_RUNTIME_INIT;
	if (!slot->started_ns)
		return;
	/* It was there before anybody looked: part of the workload as far as can be told. */
	if (slot->flags & SLOT_ATTACHED && BPF_CORE_READ(task, start_boottime) < slot->started_ns)
		*phase = PHASE_MAIN;
	else
		*flags |= TASK_SESSION;
}

/* Takes the task out of its slot. The state is none if it has no storage. */
static __always_inline void leave_slot(struct task_note *note, struct task_state *state)
{
	struct slot_state *old = slot_at(note->slot);

	if (state)
		fold_counts(state);
	/* Last: without a cgroup, the container is over when all have left. */
	if (old && old->generation == note->generation)
		add(old->tasks_left, 1);
	note->slot = 0;
}

/* Puts the task into the slot; whatever it counted until now stays where it was. */
static __always_inline void enter_slot(struct task_struct *task, struct task_note *note, struct task_state *state,
				       u32 number)
{
	struct slot_state *slot = slot_at(number);

	if (note->slot)
		leave_slot(note, state);
	if (!slot)
		return;
	note->slot = number;
	note->generation = slot->generation;
	enter_phase(task, slot, &note->phase, &note->flags);
	add(slot->tasks_entered, 1);
}

/* The task's cgroups are not those that its slot was looked up for. */
static __always_inline void renew_note(struct task_note *note, struct task_state *state)
{
	struct task_struct *task = current_task();
	u32 number = slot_of_task_by_cgroup(task);
	struct slot_state *slot;
	u8 inherits = 0;

	note->css_set = (u64)BPF_CORE_READ(task, cgroups);
	if (!number && note->flags & TASK_INHERITS)
		return;
	if (!number && processes_named) {
		number = slot_of_named_process(task);
		inherits = number ? TASK_INHERITS : 0;
	}
	if (number == note->slot) {
		slot = slot_at(number);
		if (!slot || slot->generation == note->generation)
			return;
	}
	note->flags = (note->flags & ~TASK_INHERITS) | inherits;
	enter_slot(task, note, state, number);
}

static __noinline int renew_state(struct task_state *state)
{
	renew_note(&state->note, state);
	return 0;
}

static __noinline int renew_unstored(struct task_note *note)
{
	renew_note(note, 0);
	return 0;
}

/* Storage, or a note, for a task that came into a container behind its leader and that user space has not reached yet.
 */
static __always_inline struct task_state *late_state(struct task_struct *task)
{
	u32 tid = task->pid;

	if (bpf_map_lookup_elem(&unstored_threads, &tid) || !slot_of_task_by_cgroup(task))
		return 0;
	return make_state(task);
}

/* The note of the current task, which has no storage; none if it is in no container. */
static __noinline struct task_note *note_without_storage(void)
{
	struct task_struct *task = current_task();
	u32 tid = BPF_CORE_READ(task, pid);
	struct task_note *note = bpf_map_lookup_elem(&unstored_threads, &tid);

	if (!note) {
		if (!slot_of_task_by_cgroup(task))
			return 0;
		note = make_note_unstored(tid);
		if (!note)
			return 0;
	}
	if (note->css_set != (u64)BPF_CORE_READ(task, cgroups))
		renew_unstored(note);
	return note->slot ? note : 0;
}

/*
 * The note of the current task, which has storage that cannot be read now: up to 6.1 that is so while another task on
 * this CPU is in the middle of doing so. Which phase the task is in can only be guessed.
 */
static __noinline struct task_note *guessed_note(void)
{
	u32 zero = 0, number = slot_of_task_by_cgroup(current_task());
	struct task_note *note = bpf_map_lookup_elem(&guesses, &zero);
	struct slot_state *slot = slot_at(number);

	if (!slot || !note)
		return 0;
	*note = (struct task_note){
		.slot = number,
		.generation = slot->generation,
		.phase = slot->started_ns ? PHASE_MAIN : PHASE_RUNTIME_INIT,
	};
	add(slot->phases_guessed, 1);
	return note;
}

/* The note of the current task, its slot up to date; none if it is in no container. */
static __always_inline struct task_note *current_note(struct task_struct *task)
{
	struct task_state *state;

	if (has_storage(task)) {
		state = stored_state(task);
		if (!state)
			return guessed_note();
		if (state->note.css_set != (u64)task->cgroups)
			renew_state(state);
		return state->note.slot ? &state->note : 0;
	}
	return maybe_watched ? note_without_storage() : 0;
}

/* The same, for hooks that do not hand over the current task. */
static __always_inline struct task_note *note_of_current(void)
{
#if OLD_KERNEL
	return maybe_watched ? note_without_storage() : 0;
#else
	return current_note(bpf_get_current_task_btf());
#endif
}

/* The note of a task that is being made: it is as it should be. */
static __always_inline struct task_note *note_of_child(struct task_struct *child)
{
	struct task_state *state;
	struct task_note *note;
	u32 tid = child->pid;

	if (has_storage(child)) {
		state = stored_state(child);
		return state && state->note.slot ? &state->note : 0;
	}
	if (!maybe_watched)
		return 0;
	note = bpf_map_lookup_elem(&unstored_threads, &tid);
	return note && note->slot ? note : 0;
}

/* Reserves a sample of a task with this note; what finds no room is counted. */
#define reserve_sample(type, task, note, sensor, kind)                                                                \
	({                                                                                                            \
		struct type *__sample = bpf_ringbuf_reserve(&samples, sizeof(struct type), 0);                        \
		if (__sample)                                                                                         \
			fill_header(&__sample->header, task, (note)->slot, (note)->generation, (note)->phase, sensor, \
				    kind);                                                                            \
		else                                                                                                  \
			count_lost_sample((note)->slot, sensor);                                                      \
		__sample;                                                                                             \
	})
