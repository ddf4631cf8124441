/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections of which the kernel has both ends, and both are in containers: the set of who is at the other end. */
#pragma once

#include "network/sockets.h"
#include "pids.h"

/* Without gaps. */
struct pair_key {
	u32 slot;
	u32 generation;
	/* The flow's. */
	u64 address[2];
	u16 port;
	u8 direction;
	u8 protocol;
	u8 phase;
	u8 is_rest;
	u8 pad[2];
	/* Who is at the other end. */
	u32 peer_slot;
	u32 peer_generation;
};

struct pair_state {
	u64 count;
	u64 first_ns;
	struct task_ref first;
	/* What that one calls the end that was connected to. */
	u64 address_there[2];
	u16 port_there;
	u16 told;
	u32 pad;
	struct unix_name name;
};

struct pair_sample {
	struct sample_header header;
	struct pair_key key;
	struct pair_state state;
};
EXPORT(struct, pair_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct pair_key);
	__type(value, struct pair_state);
} pairs SEC(".maps");

struct pair_work {
	struct pair_key key;
	struct pair_state fresh;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct pair_work);
} pair_works SEC(".maps");

/* Only handlers of calls find pairs. */
static __always_inline struct pair_work *pair_work(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&pair_works, &zero);
}

/* This flow, and who is at its other end. */
static __always_inline void begin_pair(struct pair_work *work, const struct flow_key *flow, u32 peer_slot,
				       u32 peer_generation)
{
	__builtin_memset(&work->key, 0, sizeof(work->key));
	__builtin_memset(&work->fresh, 0, sizeof(work->fresh));
	work->key.slot = flow->slot;
	work->key.generation = flow->generation;
	work->key.address[0] = flow->address[0];
	work->key.address[1] = flow->address[1];
	work->key.port = flow->port;
	work->key.direction = flow->direction;
	work->key.protocol = flow->protocol;
	work->key.phase = flow->phase;
	work->key.is_rest = flow->is_rest;
	work->key.peer_slot = peer_slot;
	work->key.peer_generation = peer_generation;
}

/* Not static: see network_work. */
__noinline int book_pair(void)
{
	struct pair_work *work = pair_work();
	struct pair_sample *sample;
	struct pair_state *state;
	u32 *count;

	if (!work)
		return 0;
	state = bpf_map_lookup_elem(&pairs, &work->key);
	if (!state) {
		work->fresh.first_ns = bpf_ktime_get_boot_ns();
		count = room_in_network(work->key.slot, ENTRY_PAIR, MAX_PAIRS);
		if (count && !bpf_map_update_elem(&pairs, &work->key, &work->fresh, BPF_NOEXIST))
			add(*count, 1);
		state = bpf_map_lookup_elem(&pairs, &work->key);
	}
	if (!state) {
		count_lost_entries(work->key.slot, SENSOR_network, 1);
		return 0;
	}
	add(state->count, 1);
	if (state->told)
		return 0;
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	sample->header.boot_ns = state->first_ns;
	sample->header.slot = work->key.slot;
	sample->header.generation = work->key.generation;
	sample->header.task = state->first;
	sample->header.sensor = SENSOR_network;
	sample->header.kind = NETWORK_PAIR;
	sample->header.phase = work->key.phase;
	__builtin_memset(sample->header.pad, 0, sizeof(sample->header.pad));
	sample->key = work->key;
	bpf_probe_read_kernel(&sample->state, sizeof(sample->state), state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
	return 0;
}

/* A walk over the set, in three parts as that over flows. */
SEC("iter/bpf_map_elem")
int read_pairs(struct bpf_iter__bpf_map_elem *ctx)
{
	struct pair_key *key = ctx->key;
	struct pair_state *state = ctx->value;
	struct sample_header header;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	header.boot_ns = state->first_ns;
	header.slot = key->slot;
	header.generation = key->generation;
	header.task = state->first;
	header.sensor = SENSOR_network;
	header.kind = NETWORK_PAIR;
	header.phase = key->phase;
	__builtin_memset(header.pad, 0, sizeof(header.pad));
	bpf_seq_write(ctx->meta->seq, &header, sizeof(header));
	bpf_seq_write(ctx->meta->seq, key, sizeof(*key));
	bpf_seq_write(ctx->meta->seq, state, sizeof(*state));
	return 0;
}

/*
 * The process at the other end of a unix socket: of the one that connected whoever listened, and the other way round. Each
 * side books its own. Not static: see network_work.
 */
__noinline int book_unix_pair(void)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct pair_work *pair = pair_work();
	struct task_struct *task;
	struct task_note *note;
	struct slot_state *slot;
	struct sock *sk;
	u32 number;

	if (!work || !pair)
		return 0;
	sk = (struct sock *)work->socket;
	task = (struct task_struct *)task_of_pid(BPF_CORE_READ(sk, sk_peer_pid), OF_PROCESS);
	if (!task)
		return 0; /* it has ended */
	note = note_at(note_number_of(task));
	number = note && note->slot ? note->slot : slot_of_task_by_cgroup(task);
	slot = slot_at(number);
	if (!slot || (note && note->slot == number && note->generation != slot->generation))
		return 0; /* it is in no container, or in one that is over */
	begin_pair(pair, &work->key, number, slot->generation);
	pair->fresh.name = work->fresh.name;
	refer_to(&pair->fresh.first, current_task());
	return book_pair();
}
