/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * With which arguments those system calls are made whose danger is in one of them: a set of values for each call.
 *
 * They are taken where the call is counted, so no call is counted whose value is not looked at. A value that was seen
 * before costs no look-up in a hash: the marks say so.
 */

#include "calls.h"

enum watched_argument {
	ARGUMENT_NONE,
	ARGUMENT_BPF,
	ARGUMENT_CLONE,
	ARGUMENT_FCNTL,
	ARGUMENT_IOCTL,
	ARGUMENT_KEYCTL,
	ARGUMENT_MADVISE,
	ARGUMENT_MEMORY,
	ARGUMENT_PERSONALITY,
	ARGUMENT_PRCTL,
	ARGUMENT_SETNS,
	ARGUMENT_SOCKET,
	ARGUMENT_UNSHARE,
	WATCHED_ARGUMENTS,
};
EXPORT(enum, watched_argument);

enum argument_limit {
	/* Distinct values that are kept of one call of one table in one phase. */
	MAX_VALUES = 32,
	/* Values that are kept of one container. */
	MAX_VALUES_OF_SLOT = 256,
};
EXPORT(enum, argument_limit);

/* include/uapi/linux/sched.h (6.18): the signal that the child's end is told by. */
#define CSIGNAL 0x000000ff
/* include/uapi/asm-generic/mman-common.h (6.18): PROT_READ, PROT_WRITE and PROT_EXEC. */
#define PROTECTION 0x00000007
/* arch/x86/entry/syscalls/syscall_32.tbl (6.18): takes a struct, which is not read. */
#define STRUCT_MMAP 90

struct argument_shape {
	u32 mask; /* what of it is looked at: the kernel takes all of these as 32 bits */
	u32 position;
};

static const struct argument_shape argument_shapes[WATCHED_ARGUMENTS] = {
	[ARGUMENT_BPF] = {.mask = ~0U, .position = 0},		 [ARGUMENT_CLONE] = {.mask = ~CSIGNAL, .position = 0},
	[ARGUMENT_FCNTL] = {.mask = ~0U, .position = 1},	 [ARGUMENT_IOCTL] = {.mask = ~0U, .position = 1},
	[ARGUMENT_KEYCTL] = {.mask = ~0U, .position = 0},	 [ARGUMENT_MADVISE] = {.mask = ~0U, .position = 2},
	[ARGUMENT_MEMORY] = {.mask = PROTECTION, .position = 2}, [ARGUMENT_PERSONALITY] = {.mask = ~0U, .position = 0},
	[ARGUMENT_PRCTL] = {.mask = ~0U, .position = 0},	 [ARGUMENT_SETNS] = {.mask = ~0U, .position = 1},
	[ARGUMENT_SOCKET] = {.mask = ~0U, .position = 0},	 [ARGUMENT_UNSHARE] = {.mask = ~0U, .position = 0},
};

static __always_inline const struct argument_shape *shape_of_argument(u64 argument)
{
	barrier_var(argument); /* the verifier must see the very number that is checked */
	return argument < WATCHED_ARGUMENTS ? &argument_shapes[argument] : 0;
}

/* Without gaps: maps compare keys byte by byte. */
struct argument_key {
	u32 slot;
	u32 generation;
	u32 value;
	u16 number;
	u8 phase;
	u8 table;
	u8 argument;
	u8 is_list; /* it is not a value, but counts those of its call */
	u8 pad[2];
};

struct argument_state {
	u64 first_ns;
	struct task_ref first;
	u32 values; /* of a list */
	u32 others; /* there were more than are kept */
};

/* The record of the walk. */
struct argument_record {
	struct sample_header header;
	struct argument_key key;
	u32 mask;
	u32 position;
	u32 others;
};
EXPORT(struct, argument_record);
_Static_assert(sizeof(struct argument_record) % 8 == 0, "nothing of the stack is told");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct argument_key);
	__type(value, struct argument_state);
} arguments SEC(".maps");

/*
 * What is in the set, or has no room in it: a cache of all containers. An entry is two words that CPUs write without a
 * lock; the second is mixed with the first, so that halves of two entries do not make a third.
 */
struct argument_mark {
	u64 value; /* and the generation */
	u64 check;
};

#define MARK_BITS 11

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << MARK_BITS);
	__type(key, u32);
	__type(value, struct argument_mark);
} argument_marks SEC(".maps");

/* The list of a call's values; none if there is no room for it. */
static __always_inline struct argument_state *list_of(const struct argument_key *of, struct argument_state *fresh)
{
	struct argument_key key = *of;
	struct argument_state *list;

	key.value = 0;
	key.is_list = 1;
	list = bpf_map_lookup_elem(&arguments, &key);
	if (list)
		return list;
	/* Another CPU may have been first: then its entry stays. */
	bpf_map_update_elem(&arguments, &key, fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&arguments, &key);
}

/*
 * Puts a value into the set. 0: it may have to be done again. Not static, so that the verifier looks at it once.
 */
__noinline int keep_argument(u32 slot, u32 generation, u64 call, u32 value)
{
	struct slot_state *owner = slot_at(slot);
	struct argument_key key = {
		.slot = slot,
		.generation = generation,
		.value = value,
		.number = call,
		.phase = call >> 16,
		.table = call >> 24,
		.argument = call >> 32,
	};
	struct argument_state fresh = {}, *list;
	u32 *count;

	/* The slot has a new owner, and this task is none of its. */
	if (!owner || owner->generation != generation)
		return 0;
	if (bpf_map_lookup_elem(&arguments, &key))
		return 1;
	fresh.first_ns = bpf_ktime_get_boot_ns();
	refer_to(&fresh.first, current_task());
	list = list_of(&key, &fresh);
	if (!list) {
		count_lost_entries(slot, SENSOR_arguments, 1);
		return 0;
	}
	count = &owner->entries[SENSOR_arguments * ENTRY_KINDS];
	if (list->values >= MAX_VALUES || *count >= MAX_VALUES_OF_SLOT) {
		list->others = 1;
		return 1;
	}
	if (!bpf_map_update_elem(&arguments, &key, &fresh, BPF_NOEXIST)) {
		add(list->values, 1);
		add(*count, 1);
		return 1;
	}
	if (bpf_map_lookup_elem(&arguments, &key))
		return 1;
	list->others = 1;
	return 1;
}

static __always_inline bool is_marked(const struct argument_mark *mark, u64 value, u64 check)
{
	return mark && mark->value == value && mark->check == check;
}

ON_ENTRY(arguments)
{
	u32 argument = name_in_table(call->table, call->number, SENSOR_arguments);
	const struct argument_shape *shape = shape_of_argument(argument);
	u64 where, what, check, value;
	struct argument_mark *mark;
	int kept = 0;
	u32 at;

	if (!shape || (call->table == TABLE_X86 && call->number == STRUCT_MMAP))
		goto done;
	value = (u32)call_argument(call->registers, call->table, shape->position) & shape->mask;
	where = (u64)argument << 32 | (u64)call->table << 24 | (u64)call->note->phase << 16 | call->number;
	what = value << 32 | call->note->generation;
	/* 2^64 divided by the golden ratio; what is high in a product depends on all that is low. */
	check = (what ^ (u64)call->note->slot << 16) * 0x9e3779b97f4a7c15ULL;
	check ^= where ^ (u64)call->note->slot << 40 ^ check >> 32;
	at = check * 0x9e3779b97f4a7c15ULL >> (64 - MARK_BITS);
	mark = bpf_map_lookup_elem(&argument_marks, &at);
	if (is_marked(mark, what, check))
		goto done;
	kept = keep_argument(call->note->slot, call->note->generation, where, value);
	if (kept && mark) {
		mark->value = what;
		mark->check = check;
	}
done:
	/* Without it the compiler finds that the result is always the same, and leaves it out. */
	barrier_var(kept);
	return kept;
}

/* A walk over the set. */
SEC("iter/bpf_map_elem")
int read_argument(struct bpf_iter__bpf_map_elem *ctx)
{
	struct argument_key *key = ctx->key;
	struct argument_state *state = ctx->value;
	const struct argument_shape *shape;
	struct argument_record record = {};

	if (!key || !state || !is_walked(key->slot))
		return 0;
	shape = shape_of_argument(key->argument);
	if (!shape)
		return 0;
	record.header.boot_ns = state->first_ns;
	record.header.slot = key->slot;
	record.header.generation = key->generation;
	record.header.task = state->first;
	record.header.sensor = SENSOR_arguments;
	record.header.phase = key->phase;
	record.key = *key;
	record.mask = shape->mask;
	record.position = shape->position;
	record.others = state->others;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
