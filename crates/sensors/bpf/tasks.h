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

struct thread_errno {
	u16 number;
	u16 errno;
	u32 count;
};

/* With the kernel's own header this must fit an object of 2 KiB. */
struct task_state {
	u64 css_set; /* task->cgroups when the slot was looked up */
	u32 slot;
	u32 generation;
	u32 current_call; /* its number plus 1, in current_table; 0 before the first */
	u8 current_table;
	u8 phase;
	u8 flags;
	u8 next_errno; /* the pair to fold next */
	struct thread_errno errnos[THREAD_ERRNOS];
	u32 counts[NATIVE_CALLS];
};
_Static_assert(sizeof(struct task_state) <= 1960, "task_state must fit a 2 KiB object");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} task_states SEC(".maps");

/* Threads that could get no storage of their own -> what it would have held. */
struct unstored {
	u32 slot;
	u32 generation;
	u8 phase;
	u8 flags;
	u8 pad[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct unstored);
} unstored_threads SEC(".maps");

/* While not 0, a task without storage may yet belong to a container. */
u64 maybe_watched;
/* How many times that was for a process that came in with several threads. */
u64 late_groups;

/* Pretend that no storage can be had: for tests. */
const volatile bool refuse_task_storage = false;

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
	refer_to(&fresh.first, (struct task_struct *)bpf_get_current_task());
	/* Another CPU may have been first: then its entry stays. */
	bpf_map_update_elem(&call_totals, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&call_totals, key);
}

static __noinline int count_in_total(struct call_key *key, u64 n)
{
	struct call_total *total;
	struct slot_state *slot;

	if (!key)
		return 0;
	total = total_of(key);
	if (total) {
		add(total->count, n);
		return 0;
	}
	slot = slot_at(key->slot);
	if (slot)
		add(slot->lost_counts, n);
	return 0;
}

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

struct fold {
	struct task_state *state;
	u32 slot;
	u8 phase;
};

/* Counts in one step of the fold: most of a thread's counts are zero. */
#define FOLD_WIDTH 8
_Static_assert(NATIVE_CALLS % FOLD_WIDTH == 0, "the last step would be cut");

static long fold_step(u64 step, struct fold *fold)
{
	struct call_key key = {.slot = fold->slot, .phase = fold->phase, .table = TABLE_NATIVE};
	u32 base = step * FOLD_WIDTH;
	u32 *counts;
	u64 *pairs;

	barrier_var(base);
	if (base > NATIVE_CALLS - FOLD_WIDTH)
		return 1;
	counts = fold->state->counts + base;
	barrier_var(counts);
	pairs = (u64 *)counts;
	if (!(pairs[0] | pairs[1] | pairs[2] | pairs[3]))
		return 0;
#pragma unroll
	for (u32 i = 0; i < FOLD_WIDTH; i++) {
		if (!counts[i])
			continue;
		key.number = base + i;
		count_in_total(&key, counts[i]);
		counts[i] = 0;
	}
	return 0;
}

static __always_inline void fold_errno(struct task_state *state, struct thread_errno *pair)
{
	struct call_key key = {
		.slot = state->slot,
		.number = pair->number,
		.phase = state->phase,
		.table = TABLE_NATIVE,
		.errno = pair->errno,
	};

	if (!pair->count)
		return;
	count_in_total(&key, pair->count);
	pair->count = 0;
}

/* Adds the task's own counts to its slot's totals. Only the task itself may do this. */
static __noinline int fold_counts(struct task_state *state)
{
	struct slot_state *slot;
	struct fold fold;

	if (!state)
		return 0;
	slot = slot_at(state->slot);
	fold = (struct fold){.state = state, .slot = state->slot, .phase = state->phase};
	/* The slot has a new owner: these counts were read, from this storage, when the last one was closed. */
	if (!slot || slot->generation != state->generation) {
		__builtin_memset(state->errnos, 0, sizeof(state->errnos));
		for (u32 i = 0; i < NATIVE_CALLS / 2; i++)
			((volatile u64 *)state->counts)[i] = 0; /* no memset in BPF */
		return 0;
	}
	add(slot->folds_begun, 1);
	if (HELPER_EXISTS(loop)) {
		bpf_loop(NATIVE_CALLS / FOLD_WIDTH, fold_step, &fold, 0);
	} else {
		for (u32 step = 0; step < NATIVE_CALLS / FOLD_WIDTH; step++)
			fold_step(step, &fold);
	}
	for (u32 i = 0; i < THREAD_ERRNOS; i++)
		fold_errno(state, &state->errnos[i]);
	add(slot->folds_ended, 1);
	return 0;
}

static __always_inline struct task_state *stored_state(struct task_struct *task)
{
	if (refuse_task_storage)
		return 0;
	return bpf_task_storage_get(&task_states, task, 0, 0);
}

static __always_inline struct task_state *make_state(struct task_struct *task)
{
	if (refuse_task_storage)
		return 0;
	return bpf_task_storage_get(&task_states, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
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

static __always_inline void leave_slot(struct task_state *state)
{
	struct slot_state *old = slot_at(state->slot);

	if (old && old->generation == state->generation) {
		fold_counts(state);
		add(old->tasks_left, 1);
	}
	state->slot = 0;
}

/* Puts the task into the slot; whatever it counted until now stays where it was. */
static __always_inline void enter_slot(struct task_struct *task, struct task_state *state, u32 number)
{
	struct slot_state *slot = slot_at(number);

	leave_slot(state);
	if (!slot)
		return;
	state->slot = number;
	state->generation = slot->generation;
	enter_phase(task, slot, &state->phase, &state->flags);
	add(slot->tasks_entered, 1);
}

/* The task's cgroups are not those that its slot was looked up for. */
static __noinline int renew_state(struct task_state *state)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u32 number;
	struct slot_state *slot;

	if (!state)
		return 0;
	state->css_set = (u64)BPF_CORE_READ(task, cgroups);
	number = slot_of_task_by_cgroup(task);
	if (number == state->slot) {
		slot = slot_at(number);
		if (!slot || slot->generation == state->generation)
			return 0;
	}
	if (!number && state->flags & TASK_INHERITS)
		return 0;
	state->flags &= ~TASK_INHERITS;
	if (!number && processes_named) {
		number = slot_of_named_process(task);
		if (number)
			state->flags |= TASK_INHERITS;
	}
	enter_slot(task, state, number);
	return 0;
}

/* The state of the current task, its slot up to date; none if it is in no container or has no storage. */
static __always_inline struct task_state *watched_state(struct task_struct *task)
{
	struct task_state *state;

	if (!task->bpf_storage)
		return 0;
	state = stored_state(task);
	if (!state)
		return 0;
	if (state->css_set != (u64)task->cgroups)
		renew_state(state);
	return state->slot ? state : 0;
}

/* Storage for a task that came into a container behind its leader, and that user space has not reached yet. */
static __always_inline struct task_state *late_state(struct task_struct *task)
{
	u32 tid = task->pid;

	if (bpf_map_lookup_elem(&unstored_threads, &tid) || !slot_of_task_by_cgroup(task))
		return 0;
	return make_state(task);
}

/*
 * What is known of a current task that has no storage to be read: its own note, or the slot of its cgroup.
 * Up to 6.1 a look-up also fails while another task on this CPU is in the middle of one.
 */
static __noinline int state_without_storage(struct unstored *known)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u32 tid = BPF_CORE_READ(task, pid);
	struct unstored *note;
	struct slot_state *slot;

	if (!known)
		return 0;
	note = bpf_map_lookup_elem(&unstored_threads, &tid);
	if (note) {
		*known = *note;
		return 1;
	}
	known->slot = slot_of_task_by_cgroup(task);
	slot = slot_at(known->slot);
	if (!slot)
		return 0;
	known->generation = slot->generation;
	known->flags = 0;
	known->phase = slot->started_ns ? PHASE_MAIN : PHASE_RUNTIME_INIT;
	add(slot->phases_guessed, 1);
	return 1;
}

/* What a sample of the current task needs; 0 if the task is in no container. */
static __always_inline int who_is_current(struct task_struct *task, struct unstored *who)
{
	struct task_state *state = watched_state(task);

	if (state) {
		who->slot = state->slot;
		who->generation = state->generation;
		who->phase = state->phase;
		who->flags = state->flags;
		return 1;
	}
	if (!task->bpf_storage && !maybe_watched)
		return 0;
	if (task->bpf_storage && stored_state(task))
		return 0; /* storage, but no slot */
	return state_without_storage(who);
}

/* The same of a task that is being made, which has its storage or its note already. */
static __always_inline int who_is(struct task_struct *task, struct unstored *who)
{
	struct task_state *state;
	struct unstored *note;
	u32 tid = task->pid;

	if (task->bpf_storage) {
		state = stored_state(task);
		if (state && state->slot) {
			who->slot = state->slot;
			who->generation = state->generation;
			who->phase = state->phase;
			who->flags = state->flags;
			return 1;
		}
	}
	if (!maybe_watched)
		return 0;
	note = bpf_map_lookup_elem(&unstored_threads, &tid);
	if (!note)
		return 0;
	*who = *note;
	return 1;
}

/* Reserves a sample of the current task; what finds no room is counted. */
#define reserve_sample(type, task, who, sensor, kind)                                                                  \
	({                                                                                                             \
		struct type *__sample = bpf_ringbuf_reserve(&samples, sizeof(struct type), 0);                         \
		if (__sample)                                                                                          \
			fill_header(&__sample->header, task, (who).slot, (who).generation, (who).phase, sensor, kind); \
		else                                                                                                   \
			count_lost_sample((who).slot, sensor);                                                         \
		__sample;                                                                                              \
	})
