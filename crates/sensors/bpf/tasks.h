/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which container a task is in.
 *
 * A task is found by its kernel stack: on some CPUs each call out of a BPF program costs more than all else that is
 * done here, and what is looked up in an array needs none.
 */
#pragma once

#include "notes.h"

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

/* Takes the task out of its slot. */
static __always_inline void leave_slot(struct task_note *note)
{
	struct slot_state *old = slot_at(note->slot);

	fold_counts(note);
	/* Last: without a cgroup, the container is over when all have left. */
	if (old && old->generation == note->generation)
		add(old->tasks_left, 1);
	note->slot = 0;
}

/* Puts the task into the slot; whatever it counted until now stays where it was. */
static __always_inline void enter_slot(struct task_struct *task, struct task_note *note, u32 number)
{
	struct slot_state *slot = slot_at(number);

	if (note->slot)
		leave_slot(note);
	/* A call that it is in was booked where it was entered. */
	note->current_call = 0;
	if (!slot)
		return;
	note->slot = number;
	note->generation = slot->generation;
	note->flags &= ~TASK_BORN_INSIDE;
	/* Of a container that was there before, the first task that is seen tells. */
	if (slot->mount_ns && !slot->mount_ns_id && mount_ns_of(task) == slot->mount_ns)
		slot->mount_ns_id = mount_ns_id_of(task);
	enter_phase(task, slot, &note->phase, &note->flags);
	add(slot->tasks_entered, 1);
}

static __always_inline u32 slot_by_cgroup_or_name(struct task_struct *task, u8 *flags)
{
	u32 number = slot_of_task_by_cgroup(task);

	*flags = 0;
	if (!number && shared.processes_named) {
		number = slot_of_named_process(task);
		*flags = number ? TASK_INHERITS : 0;
	}
	return number;
}

/* The task's cgroups are not those that its slot was looked up for. Only the task itself may do this. */
static __always_inline void renew_note(struct task_struct *task, struct task_note *note, u64 css_set, u32 number,
				       u8 inherits)
{
	struct slot_state *slot;

	note->css_set = css_set;
	if (!number && note->flags & TASK_INHERITS)
		return;
	if (number == note->slot) {
		slot = slot_at(number);
		if (!slot || slot->generation == note->generation)
			return;
	}
	note->flags = (note->flags & ~TASK_INHERITS) | inherits;
	enter_slot(task, note, number);
}

/* The number of the current task's note, its slot up to date; 0 if it is in no container, NO_NOTE if none was left. */
static __always_inline u32 look_up_current(struct task_struct *task)
{
	u32 number = note_number_of(task), slot;
	struct task_note *note = note_at(number);
	u64 css_set = (u64)BPF_CORE_READ(task, cgroups);
	u8 inherits;

	barrier(); /* a move from here on makes this one the old one */
	/* Where tasks are found by their stacks this is rare, and what is known of one may be of another time. */
	if (!OLD_KERNEL || !note || note->css_set != css_set || !note->slot) {
		slot = slot_by_cgroup_or_name(task, &inherits);
		if (!note) {
			number = slot ? take_note(task, slot) : 0;
			note = note_at(number);
			if (!note)
				return number;
		}
		renew_note(task, note, css_set, slot, inherits);
	}
	return note->slot ? number : 0;
}

#if OLD_KERNEL

/* Not static, so that the verifier looks at it once. */
__noinline u32 find_note(void)
{
	return look_up_current(current_task());
}

static __always_inline struct task_note *current_note(struct task_struct *task)
{
	return shared.maybe_watched ? note_at(find_note()) : 0;
}

/* The note of a task that is being made: it is as it should be. */
static __always_inline struct task_note *note_of_child(struct task_struct *child)
{
	struct task_note *note = shared.maybe_watched ? note_at(note_number_of(child)) : 0;

	return note && note->slot ? note : 0;
}

static __always_inline void remember_owner(struct task_struct *task, u32 note, u64 css_set, u32 seen_epoch)
{
}

static __always_inline void forget_owner(struct task_struct *task)
{
}

#else

/* What is known of the task that a kernel stack belongs to. Only that task reads and writes it while it lives. */
struct stack_owner {
	u64 registers; /* the address of its registers in user mode, at the top of the stack; 0: nobody's */
	u64 task;
	u64 css_set;
	u32 epoch;
	u16 note; /* 0: in no container */
	/* Where a program may be skipped: whether it was run for the call that begins, or that ends, right now. */
	u8 entry_done;
	u8 exit_done;
};
_Static_assert(sizeof(struct stack_owner) == 32, "two share a cache line");

#define OWNER_BITS 14

/* Tasks whose stacks fall on the same entry: the first has it for life, and the others are looked up each time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << OWNER_BITS);
	__type(key, u32);
	__type(value, struct stack_owner);
} stack_owners SEC(".maps");

/* 6.2 and later: the verifier puts a plain move in its place. */
extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym __weak;

static __always_inline struct stack_owner *owner_at(u64 registers)
{
	u32 index;

	/* The verifier lets pointers be shifted as 32-bit numbers only. A stack is 16 KiB or more. */
	asm volatile("%0 = %1; %0 >>= 14" : "=w"(index) : "w"((u32)registers));
	index = (index * 0x9e3779b1) >> (32 - OWNER_BITS); /* 2^32 divided by the golden ratio */
	return bpf_map_lookup_elem(&stack_owners, &index);
}

/* The entry of the task with these registers, if it has one. */
static __always_inline struct stack_owner *owner_of(u64 registers)
{
	struct stack_owner *owner = owner_at(registers);

	return owner && owner->registers == registers ? owner : 0;
}

static __always_inline u64 registers_of(struct task_struct *task)
{
	return (u64)bpf_task_pt_regs(task);
}

/* What was looked up when the task had these cgroups, at this epoch: both read before. */
static __always_inline void fill_owner(u64 registers, struct task_struct *task, u32 note, u64 css_set, u32 seen_epoch)
{
	struct stack_owner *owner = owner_at(registers);

	if (!owner)
		return;
	if (owner->registers != registers && __sync_val_compare_and_swap(&owner->registers, 0, registers) != 0)
		return;
	owner->task = (u64)task;
	owner->css_set = css_set;
	owner->note = note;
	owner->epoch = seen_epoch;
}

/* The task is the current one, or does not run yet. */
static __always_inline void remember_owner(struct task_struct *task, u32 note, u64 css_set, u32 seen_epoch)
{
	fill_owner(registers_of(task), task, note, css_set, seen_epoch);
}

/* The task will make no call any more. */
static __always_inline void forget_owner(struct task_struct *task)
{
	struct stack_owner *owner = owner_of(registers_of(task));

	if (owner)
		owner->registers = 0;
}

static __always_inline bool is_remembered(struct task_struct *task)
{
	return owner_of(registers_of(task));
}

/*
 * Looks the current task up without its stack, and remembers what was found. Not static, so that the verifier looks at
 * it once.
 */
__noinline u32 find_note(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 seen_epoch = shared.epoch;
	u64 css_set = (u64)task->cgroups;
	u32 number;

	barrier(); /* whatever changes from here on is found at the next call */
	number = look_up_current(task);
	/* Without a note the next call is to be counted as lost, too. */
	if (number != NO_NOTE)
		fill_owner(registers_of(task), task, number, css_set, seen_epoch);
	return number;
}

/*
 * The note of the current task, and the task; none if it is in no container. It was in the container that the stack's
 * entry says when it last looked, and must have the same cgroups still.
 */
static __always_inline struct task_note *note_by_stack(u64 registers, struct task_struct **current)
{
	struct stack_owner *owner = owner_at(registers);
	struct task_struct *task;

	if (!owner)
		return 0;
	if (owner->registers == registers && owner->epoch == shared.epoch) {
		/* The entry is cleared before a stack gets another task, unless the kernel may skip a program. */
		if (bpf_rdonly_cast && !settings.preemptible) {
			task = bpf_rdonly_cast((void *)owner->task, bpf_core_type_id_kernel(struct task_struct));
		} else {
			task = bpf_get_current_task_btf();
			if (owner->task != (u64)task)
				goto look_up;
		}
		if (owner->css_set == (u64)task->cgroups) {
			*current = task;
			return note_at(owner->note);
		}
	}
look_up:
	*current = bpf_get_current_task_btf();
	return note_at(find_note());
}

/* The note of the current task, its slot up to date; none if it is in no container. */
static __always_inline struct task_note *current_note(struct task_struct *task)
{
	struct task_struct *current;

	return note_by_stack(registers_of(task), &current);
}

/* The note of a task that is being made: it is as it should be. */
static __always_inline struct task_note *note_of_child(struct task_struct *child)
{
	struct stack_owner *owner = owner_of(registers_of(child));
	struct task_note *note = note_at(owner ? owner->note : note_number_of(child));

	return note && note->slot ? note : 0;
}

#endif

/* include/linux/sched.h (6.18) */
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

/* Where the current task's registers in user mode are. */
static __always_inline struct pt_regs *registers_of_current(void)
{
#if OLD_KERNEL
	/* arch/x86/include/asm/processor.h, arch/arm64/include/asm/processor.h (5.10): task_pt_regs. */
	return BPF_CORE_READ(current_task(), stack) + STACK_BYTES - bpf_core_type_size(struct pt_regs);
#else
	return (struct pt_regs *)registers_of(bpf_get_current_task_btf());
#endif
}

/* The task that runs, as one whose fields can be read as they are where the kernel has that. */
static __always_inline struct task_struct *running_task(void)
{
#if OLD_KERNEL
	return current_task();
#else
	return bpf_get_current_task_btf();
#endif
}

/* A field of it. */
#if OLD_KERNEL
#define FIELD_OF_RUNNING(task, field) BPF_CORE_READ(task, field)
#else
#define FIELD_OF_RUNNING(task, field) ((task)->field)
#endif

/* The same as current_note, for hooks that do not hand over the current task: it is that of running_task. */
static __always_inline struct task_note *note_of_running(struct task_struct *task)
{
	/* A task that has been seen to end must not get a note again, which nobody would take back. */
	if (FIELD_OF_RUNNING(task, flags) & PF_EXITING)
		return note_at(note_number_of(task));
	return current_note(task);
}

static __always_inline struct task_note *note_of_current(void)
{
	return note_of_running(running_task());
}

/* The number of the call that the current task is in, without the mark of x32; all ones if it is in none. */
static __always_inline u32 number_of_current_call(void)
{
	u32 number = call_in_registers(registers_of_current());

	if (number != (u32)-1)
		table_of_call(ENTRY_FLAGS_OF_CURRENT(), &number);
	return number;
}

/*
 * A program on the hook of a task's end (see HOOK). The twin sees by what is still known of the task that nobody has
 * done the work: identity comes last, and forgets it.
 */
#if OLD_KERNEL

#define HOOK_OF_EXIT(name) SEC("tp_btf/sched_process_exit") int BPF_PROG(name, struct task_struct *task)

#else

#define HOOK_OF_EXIT(name)                                                                    \
	static __always_inline int name##_body(struct task_struct *task);                     \
	SEC("tp_btf/sched_process_exit") int BPF_PROG(name, struct task_struct *task)         \
	{                                                                                     \
		return name##_body(task);                                                     \
	}                                                                                     \
	SEC("tracepoint/sched/sched_process_exit") int name##_held(void *ctx)                 \
	{                                                                                     \
		return name##_body(bpf_get_current_task_btf());                               \
	}                                                                                     \
	SEC("tp_btf/sched_process_exit") int BPF_PROG(name##_again, struct task_struct *task) \
	{                                                                                     \
		if (!is_remembered(task))                                                     \
			return 0;                                                             \
		add(shared.made_up, 1);                                                       \
		return name##_body(task);                                                     \
	}                                                                                     \
	static __always_inline int name##_body(struct task_struct *task)

#endif

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
