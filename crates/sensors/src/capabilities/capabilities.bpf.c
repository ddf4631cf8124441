/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The capabilities that the kernel checks for the tasks of containers: a set that stays in the kernel, with a count and
 * the first check of each. The first is also told at once.
 */

#include "peek.h"
#include "capabilities/audit.h"

enum capabilities_kind {
	CAPABILITIES_CHECKED,
};
EXPORT(enum, capabilities_kind);

enum capability_verdict {
	CAPABILITY_USED,
	CAPABILITY_DENIED,
};
EXPORT(enum, capability_verdict);

/* The user namespace that the capability was asked for. */
enum capability_namespace {
	CAPABILITY_IN_INITIAL,
	/* That of the container's first program; before that one runs, any but the initial one. */
	CAPABILITY_IN_CONTAINER,
	/* Made inside the container. */
	CAPABILITY_IN_WORKLOAD,
	CAPABILITY_IN_OTHER,
};
EXPORT(enum, capability_namespace);

enum capability_credentials {
	CAPABILITY_OF_TASK,
	/* Not the task's: those of who mounted an overlay, of who opened a file, of another process. */
	CAPABILITY_OF_OTHER,
};
EXPORT(enum, capability_credentials);

/* Without gaps: maps compare keys byte by byte. */
struct capability_key {
	u32 slot;
	u32 generation;
	u8 capability;
	u8 phase;
	u8 verdict;
	u8 audit;
	u8 namespace;
	u8 credentials;
	u8 pad[2];
};

struct capability_state {
	u64 count;
	u64 first_ns;
	struct task_ref first;
	u32 call; /* the number, plus 1, of the system call that the first was in; 0: in none */
	u8 table;
	u8 told; /* the first was put on the ring */
	u8 pad[2];
};

/* On the ring, and the record of the walk. */
struct capability_sample {
	struct sample_header header;
	struct capability_key key;
	u64 count;
	u32 call;
	u8 table;
	u8 pad[3];
};
EXPORT(struct, capability_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct capability_key);
	__type(value, struct capability_state);
} capabilities SEC(".maps");

/* As deep as user namespaces nest (kernel/user_namespace.c, create_user_ns, 6.18): 32 below the initial one. */
#define MAX_NAMESPACES 33

/* One that is not the initial one. Not static, so that the verifier looks at it once. */
__noinline int namespace_of(u64 address, u32 number_of_slot)
{
	struct user_namespace *asked_for = (struct user_namespace *)address;
	struct slot_state *slot = slot_at(number_of_slot);

	if (!slot || !slot->started_ns)
		return CAPABILITY_IN_CONTAINER;
	for (u32 i = 0; i < MAX_NAMESPACES && asked_for; i++) {
		if (BPF_CORE_READ(asked_for, ns.inum) == slot->user_ns)
			return i ? CAPABILITY_IN_WORKLOAD : CAPABILITY_IN_CONTAINER;
		asked_for = BPF_CORE_READ(asked_for, parent);
	}
	return CAPABILITY_IN_OTHER;
}

/* A capability set: two numbers of 32 bits before 6.3, one of 64 since. */
static __always_inline u64 permitted_by(const struct cred *cred)
{
	u64 set = 0;

	bpf_core_read(&set, sizeof(set), &cred->cap_permitted);
	return set;
}

/*
 * Whether these are the task's own credentials, or a copy of them, as access(2) makes one. A copy shares the list of
 * groups, which every runtime sets anew for its container.
 */
static __always_inline u8 owner_of_credentials(struct task_struct *task, const struct cred *cred)
{
	const struct cred *own = FIELD_OF_RUNNING(task, real_cred);

	if (cred == own)
		return CAPABILITY_OF_TASK;
	if (BPF_CORE_READ(cred, group_info) == BPF_CORE_READ(own, group_info) &&
	    BPF_CORE_READ(cred, user_ns) == BPF_CORE_READ(own, user_ns) && permitted_by(cred) == permitted_by(own))
		return CAPABILITY_OF_TASK;
	return CAPABILITY_OF_OTHER;
}

static __always_inline void fill_sample(struct capability_sample *sample, const struct capability_key *key,
					const struct capability_state *state)
{
	sample->header.boot_ns = state->first_ns;
	sample->header.slot = key->slot;
	sample->header.generation = key->generation;
	sample->header.task = state->first;
	sample->header.sensor = SENSOR_capabilities;
	sample->header.kind = CAPABILITIES_CHECKED;
	sample->header.phase = key->phase;
	__builtin_memset(sample->header.pad, 0, sizeof(sample->header.pad));
	sample->key = *key;
	sample->count = state->count;
	sample->call = state->call;
	sample->table = state->table;
	__builtin_memset(sample->pad, 0, sizeof(sample->pad));
}

/* Finds or makes the entry; a new one remembers the current task, and the call that it is in, as the first. */
static __always_inline struct capability_state *state_of(const struct capability_key *key, const struct task_note *note)
{
	struct capability_state *state = bpf_map_lookup_elem(&capabilities, key);
	struct capability_state fresh = {};

	if (state)
		return state;
	fresh.first_ns = bpf_ktime_get_boot_ns();
	refer_to(&fresh.first, current_task());
	/* What is noted is the last call, which may be over: a fault asks for memory, too. */
	if (has_noted_call(note) && number_of_current_call() + 1 == note->current_call) {
		fresh.call = note->current_call;
		fresh.table = note->current_table;
	}
	/* Another CPU may have been first: then its entry stays. */
	bpf_map_update_elem(&capabilities, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&capabilities, key);
}

static __always_inline int count_check(struct task_struct *task, struct task_note *note, const struct cred *cred,
				       struct user_namespace *asked_for, bool is_initial, u8 capability, u8 audit,
				       int result)
{
	struct slot_state *slot = slot_at(note->slot);
	struct capability_state *state;
	struct capability_sample *sample;
	struct capability_key key = {};

	/* A thread of the kernel's own does nothing for the workload. The slot may have a new owner. */
	if (!slot || slot->generation != note->generation || FIELD_OF_RUNNING(task, flags) & PF_KTHREAD)
		return 0;
	key.slot = note->slot;
	key.generation = note->generation;
	key.capability = capability;
	key.phase = note->phase;
	key.verdict = result ? CAPABILITY_DENIED : CAPABILITY_USED;
	key.audit = audit;
	key.namespace = is_initial ? CAPABILITY_IN_INITIAL : namespace_of(address_of(asked_for), note->slot);
	key.credentials = owner_of_credentials(task, cred);
	state = state_of(&key, note);
	if (!state) {
		count_lost_entries(note->slot, SENSOR_capabilities, 1);
		return 0;
	}
	add(state->count, 1);
	if (state->told)
		return 0;
	/* Without room it is told at the next check. The set has it, so nothing is lost. */
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	fill_sample(sample, &key, state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
	return 0;
}

HOOK("cap_capable", on_cap_capable, const struct cred *cred, struct user_namespace *asked_for,
     const struct user_namespace *held_in, int capability, int result)
{
	struct task_struct *task = running_task();
	struct task_note *note = note_of_running(task);

	if (stack.learning.trigger)
		learn_stack(ctx);
	if (!note || !note->slot)
		return 0;
	return count_check(task, note, cred, asked_for, !asked_for->level, capability, audit_of_check(ctx), result);
}

/* include/linux/security.h (5.10 to 6.18) */
#define CAP_OPT_NOAUDIT 2

/*
 * Which functions have cap_capable compiled into them, so that the program on it is not called; user space tries it, by
 * a thread of its own. The trigger is the first argument of the call by which that thread is known.
 */
struct inlined {
	u64 trigger;
	u64 task;
	u64 seen; /* checks of that thread */
	u64 in_capset;
	u64 in_prctl;
};
EXPORT(struct, inlined);
volatile struct inlined inlined SEC(".data.inlined") = {};

static __noinline int see_own_check(void)
{
	u64 task = bpf_get_current_task();

	if (inlined.trigger && PT_REGS_PARM1_CORE_SYSCALL(registers_of_current()) == inlined.trigger) {
		inlined.trigger = 0;
		inlined.task = task;
	}
	if (inlined.task == task)
		inlined.seen++;
	return 0;
}

/* In the place of the first where a kernel has no such tracepoint: before 6.14. */
SEC("fexit/cap_capable")
int BPF_PROG(on_cap_capable_return, const struct cred *cred, struct user_namespace *asked_for, int capability,
	     unsigned int options, int result)
{
	struct task_struct *task = running_task();
	struct task_note *note = note_of_running(task);

	if (inlined.trigger || inlined.task)
		see_own_check();
	if (!note || !note->slot)
		return 0;
	return count_check(task, note, cred, asked_for, !asked_for->level, capability,
			   options & CAP_OPT_NOAUDIT ? CAPABILITY_SILENT : CAPABILITY_AUDITED, result);
}

/* include/uapi/linux/capability.h, include/uapi/linux/prctl.h (5.10 to 6.18) */
#define CAP_SETPCAP	  8
#define PR_SET_SECUREBITS 28

/* Whether the task has CAP_SETPCAP in its own user namespace: what these functions ask. */
static __always_inline bool has_setpcap(const struct cred *cred)
{
	u64 set = 0;

	bpf_core_read(&set, sizeof(set), &cred->cap_effective);
	return set & 1ULL << CAP_SETPCAP;
}

static __always_inline int count_setpcap(struct task_struct *task, struct task_note *note, const struct cred *cred,
					 int result)
{
	struct user_namespace *own = BPF_CORE_READ(cred, user_ns);

	return count_check(task, note, cred, own, !BPF_CORE_READ(own, level), CAP_SETPCAP, CAPABILITY_AUDITED, result);
}

/* It always asks. */
SEC("fexit/cap_capset")
int BPF_PROG(on_cap_capset_return, struct cred *fresh, const struct cred *cred)
{
	struct task_struct *task = running_task();
	struct task_note *note = note_of_running(task);

	if (!inlined.in_capset || !note || !note->slot)
		return 0;
	return count_setpcap(task, note, cred, has_setpcap(cred) ? 0 : -1);
}

/* It asks last, so that nobody who has the capability and was refused was asked for it. */
SEC("fexit/cap_task_prctl")
int BPF_PROG(on_cap_task_prctl_return, int option, unsigned long arg2, unsigned long arg3, unsigned long arg4,
	     unsigned long arg5, int result)
{
	struct task_struct *task = running_task();
	struct task_note *note = note_of_running(task);
	const struct cred *cred;

	if (!inlined.in_prctl || option != PR_SET_SECUREBITS || !note || !note->slot)
		return 0;
	cred = BPF_CORE_READ(task, cred);
	if (result && has_setpcap(cred))
		return 0;
	return count_setpcap(task, note, cred, result);
}

/* A walk over the set. */
SEC("iter/bpf_map_elem")
int read_capability(struct bpf_iter__bpf_map_elem *ctx)
{
	struct capability_key *key = ctx->key;
	struct capability_state *state = ctx->value;
	struct capability_sample record;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	fill_sample(&record, key, state);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
