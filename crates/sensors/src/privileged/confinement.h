/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel lets the tasks of a container do: the set of all states that were seen. */
#pragma once

#include "privileged/operations.h"

/* How many states a container may have in the set. */
#define MAX_CONFINEMENTS 256

/* include/linux/sched.h (6.18): the number of the bit in task->atomic_flags. */
#define PFA_NO_NEW_PRIVS 0

/* The user namespace of the task's credentials. */
enum confinement_namespace {
	CONFINED_IN_INITIAL,
	/* That of the container's first program; before that one runs, any but the initial one. */
	CONFINED_IN_CONTAINER,
	/* Any other: one that the container made. */
	CONFINED_IN_WORKLOAD,
};
EXPORT(enum, confinement_namespace);

/* Namespaces that a task shares with the host: bits. */
enum host_namespace {
	HOST_CGROUP = 1,
	HOST_IPC = 2,
	HOST_MOUNT = 4,
	HOST_NET = 8,
	HOST_PID = 16,
	HOST_UTS = 32,
	/* The host's are not known here. */
	HOST_UNKNOWN = 64,
};
EXPORT(enum, host_namespace);

/* Without gaps: maps compare keys byte by byte. */
struct confinement_key {
	u32 slot;
	u32 generation;
	u64 effective;
	u64 permitted;
	u64 inheritable;
	u64 bounding;
	u64 ambient;
	struct task_ids ids;
	u8 phase;
	u8 seccomp; /* as /proc/PID/status has it: 0 none, 1 strict, 2 filter */
	u8 no_new_privileges;
	u8 namespace;
	/* It stands for all that found no room themselves: nothing is known. */
	u8 is_rest;
	u8 host_namespaces;
	u8 pad[2];
};

struct confinement_state {
	u64 count;
	u64 first_ns;
	struct task_ref first;
	u32 told;
	u32 pad;
};

struct confinement_sample {
	struct sample_header header;
	struct confinement_key key;
	struct confinement_state state;
};
EXPORT(struct, confinement_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct confinement_key);
	__type(value, struct confinement_state);
} confinements SEC(".maps");

/* A set of capabilities: two numbers of 32 bits before 6.3, one of 64 since. */
#define CAPABILITIES_OF(cred, field)                                           \
	({                                                                     \
		u64 __set = 0;                                                 \
		bpf_core_read(&__set, sizeof(__set), &(cred)->field);          \
		__set;                                                         \
	})

static __always_inline void read_ids(struct task_ids *ids, const struct cred *cred)
{
	ids->uid = BPF_CORE_READ(cred, uid.val);
	ids->euid = BPF_CORE_READ(cred, euid.val);
	ids->suid = BPF_CORE_READ(cred, suid.val);
	ids->gid = BPF_CORE_READ(cred, gid.val);
	ids->egid = BPF_CORE_READ(cred, egid.val);
	ids->sgid = BPF_CORE_READ(cred, sgid.val);
}

static __always_inline void fill_confinement(struct confinement_sample *sample, const struct confinement_key *key,
					     const struct confinement_state *state)
{
	sample->header.boot_ns = state->first_ns;
	sample->header.slot = key->slot;
	sample->header.generation = key->generation;
	sample->header.task = state->first;
	sample->header.sensor = SENSOR_privileged;
	sample->header.kind = PRIVILEGED_CONFINEMENT;
	sample->header.phase = key->phase;
	__builtin_memset(sample->header.pad, 0, sizeof(sample->header.pad));
	sample->key = *key;
	sample->state = *state;
}

static __always_inline u8 host_namespaces_of(struct task_struct *task)
{
	struct nsproxy *own = BPF_CORE_READ(task, nsproxy);
	u8 bits = 0;

	if (!own || !shared.host_net_ns)
		return HOST_UNKNOWN;
	if (BPF_CORE_READ(own, cgroup_ns, ns.inum) == shared.host_cgroup_ns)
		bits |= HOST_CGROUP;
	if (BPF_CORE_READ(own, ipc_ns, ns.inum) == shared.host_ipc_ns)
		bits |= HOST_IPC;
	if (BPF_CORE_READ(own, mnt_ns, ns.inum) == shared.host_mount_ns)
		bits |= HOST_MOUNT;
	if (BPF_CORE_READ(own, net_ns, ns.inum) == shared.host_net_ns)
		bits |= HOST_NET;
	if (!BPF_CORE_READ(task, thread_pid, level))
		bits |= HOST_PID;
	if (BPF_CORE_READ(own, uts_ns, ns.inum) == shared.host_uts_ns)
		bits |= HOST_UTS;
	return bits;
}

/* Books the state of the current task. Not static, so that the verifier looks at it once. */
__noinline int book_confinement(u32 number_of_slot, u32 phase)
{
	struct task_struct *task = current_task();
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct slot_state *slot = slot_at(number_of_slot);
	struct confinement_state *state, fresh = {};
	struct confinement_sample *sample;
	struct confinement_key key = {};
	u32 *count;

	if (!slot)
		return 0;
	key.slot = number_of_slot;
	key.generation = slot->generation;
	key.effective = CAPABILITIES_OF(cred, cap_effective);
	key.permitted = CAPABILITIES_OF(cred, cap_permitted);
	key.inheritable = CAPABILITIES_OF(cred, cap_inheritable);
	key.bounding = CAPABILITIES_OF(cred, cap_bset);
	key.ambient = CAPABILITIES_OF(cred, cap_ambient);
	read_ids(&key.ids, cred);
	key.phase = phase;
	/* A kernel without seccomp has an empty struct there. */
	if (bpf_core_field_exists(task->seccomp.mode))
		key.seccomp = BPF_CORE_READ(task, seccomp.mode);
	key.no_new_privileges = BPF_CORE_READ(task, atomic_flags) >> PFA_NO_NEW_PRIVS & 1;
	key.host_namespaces = host_namespaces_of(task);
	if (BPF_CORE_READ(cred, user_ns, level))
		key.namespace = !slot->started_ns || BPF_CORE_READ(cred, user_ns, ns.inum) == slot->user_ns
					? CONFINED_IN_CONTAINER
					: CONFINED_IN_WORKLOAD;
	state = bpf_map_lookup_elem(&confinements, &key);
	if (!state) {
		fresh.first_ns = bpf_ktime_get_boot_ns();
		refer_to(&fresh.first, task);
		count = room_for_privileged(number_of_slot, ENTRY_CONFINEMENT, MAX_CONFINEMENTS);
		if (!count) {
			__builtin_memset(&key, 0, sizeof(key));
			key.slot = number_of_slot;
			key.generation = slot->generation;
			key.phase = phase;
			key.is_rest = 1;
		}
		/* Another CPU may have been first: then its entry stays. */
		if (!bpf_map_update_elem(&confinements, &key, &fresh, BPF_NOEXIST) && count)
			add(*count, 1);
		state = bpf_map_lookup_elem(&confinements, &key);
	}
	if (!state) {
		count_lost_entries(number_of_slot, SENSOR_privileged, 1);
		return 0;
	}
	add(state->count, 1);
	if (state->told)
		return 0;
	/* Without room it is told the next time. The set has it, so nothing is lost. */
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	fill_confinement(sample, &key, state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
	return 0;
}

/* A walk over the set. */
SEC("iter/bpf_map_elem")
int read_confinement(struct bpf_iter__bpf_map_elem *ctx)
{
	struct confinement_key *key = ctx->key;
	struct confinement_state *state = ctx->value;
	struct confinement_sample record;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	fill_confinement(&record, key, state);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* The ids that a task had when it was last seen to have others, so that a change has a before. */
struct known_ids {
	u64 start_ns; /* of the task: another may be at its address */
	struct task_ids ids;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct known_ids);
} ids_of_tasks SEC(".maps");

static __always_inline void remember_ids(struct task_struct *task)
{
	struct known_ids known = {.start_ns = BPF_CORE_READ(task, start_time)};
	u64 key = (u64)task;

	read_ids(&known.ids, BPF_CORE_READ(task, cred));
	bpf_map_update_elem(&ids_of_tasks, &key, &known, BPF_ANY);
}

/* Puts the current task's ids into the work: those of before, if they are known, and those of now. */
__noinline int compare_ids(void)
{
	struct privileged_work *work = privileged_work();
	struct task_struct *task = current_task();
	u64 key = (u64)task;
	struct known_ids *known = bpf_map_lookup_elem(&ids_of_tasks, &key);

	if (!work)
		return 0;
	if (known && known->start_ns == BPF_CORE_READ(task, start_time)) {
		work->state.before = known->ids;
		work->state.has_before = 1;
	}
	read_ids(&work->state.after, BPF_CORE_READ(task, cred));
	work->state.has_after = 1;
	remember_ids(task);
	return 0;
}
