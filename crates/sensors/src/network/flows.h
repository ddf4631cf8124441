/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The set of flows: whom a container talked to over which port, how often, and how much. So nothing of it can be lost on
 * the way.
 */
#pragma once

#include "calls.h"
#include "hash.h"
#include "peek.h"

enum network_kind {
	NETWORK_SOCKET,
	NETWORK_LISTENER,
	NETWORK_FLOW,
	NETWORK_OPEN, /* never on the ring: what a connection has come to that is still open */
	NETWORK_PAIR,
	NETWORK_DNS,
	NETWORK_TLS,
};
EXPORT(enum, network_kind);

/* In the order of event::Protocol::ALL. */
enum network_protocol {
	PROTOCOL_TCP,
	PROTOCOL_UDP,
	PROTOCOL_ICMP,
	PROTOCOL_RAW,
	PROTOCOL_SCTP,
	PROTOCOL_MPTCP,
	PROTOCOL_UNIX_STREAM,
	PROTOCOL_UNIX_DATAGRAM,
	PROTOCOL_UNIX_SEQPACKET,
	PROTOCOL_VSOCK,
	PROTOCOL_OTHER,
};
EXPORT(enum, network_protocol);

enum network_direction {
	DIRECTION_OUT,
	DIRECTION_IN,
};
EXPORT(enum, network_direction);

/* In the order of event::ConnectionEnd::ALL. */
enum network_end {
	END_CLOSED_HERE,
	END_CLOSED_BY_PEER,
	END_RESET_HERE,
	END_RESET_BY_PEER,
	END_TIMED_OUT,
	NETWORK_ENDS,
};
EXPORT(enum, network_end);

/* How much of it one container may have. What is beyond is counted together, or as lost. */
#define MAX_FLOWS     1024
#define MAX_PAIRS     4096
#define MAX_LISTENERS 1024
#define MAX_SOCKETS   256
#define MAX_MESSAGES  4096

enum network_entry {
	ENTRY_FLOW,
	ENTRY_PAIR,
	ENTRY_LISTENER,
	ENTRY_SOCKET,
	ENTRY_MESSAGE,
};
_Static_assert(ENTRY_MESSAGE < ENTRY_KINDS, "each has a counter");

/* include/uapi/linux/un.h (6.18): the longest name, without the family; and words for it, a power of two. */
#define UNIX_NAME_BYTES 108
#define UNIX_NAME_WORDS 16

/* The name of a unix socket, as it was bound: a path, or a zero and then an abstract name. */
struct unix_name {
	u64 inode; /* 0: it has no file */
	u32 device;
	u32 bytes;
	u64 words[UNIX_NAME_WORDS];
};

/* Without gaps: maps compare keys byte by byte. */
struct flow_key {
	u32 slot;
	u32 generation;
	/*
	 * Of IP the other end's address, IPv4 as RFC 4291 maps it into IPv6; of unix sockets a number for the name that
	 * was connected to; of vsock the port and the cid.
	 */
	u64 address[2];
	u16 port; /* of whoever did not begin it */
	u16 errno;
	u8 direction;
	u8 protocol;
	u8 phase;
	/* It stands for all that found no room themselves. */
	u8 is_rest;
};

struct traffic {
	u64 sent_bytes;
	u64 received_bytes;
	u64 sent_packets;
	u64 received_packets;
	u64 retransmits;
};

struct flow_state {
	u64 first_ns;
	struct task_ref first;
	u64 connections;
	struct traffic traffic;
	/* How long it took to connect. */
	u64 connects;
	u64 connect_min_ns;
	u64 connect_max_ns;
	u64 connect_total_ns;
	u64 local_address[2];
	u32 ends[NETWORK_ENDS];
	u32 namespace;
	u16 local_port;
	u8 told; /* the first was put on the ring */
	u8 pad;
	u32 hellos; /* how many of TLS were told */
	struct unix_name name;
};

/* On the ring, and the record of the walk. */
struct flow_sample {
	struct sample_header header;
	struct flow_key key;
	struct flow_state state;
};
EXPORT(struct, flow_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct flow_key);
	__type(value, struct flow_state);
} flows SEC(".maps");

/* What is to be added to a flow. */
struct flow_deed {
	u64 connections;
	struct traffic traffic;
	u64 connect_ns; /* 0: none was measured */
	u32 end;	/* plus 1; 0: none */
	u32 pad;
};

/* struct sockaddr_storage, as much of it as is looked at. */
#define PASSED_WORDS 16

/* One socket and whom it talks to. Without gaps. */
struct talk_key {
	u64 socket_number;
	u64 address[2];
	u64 port;
};

/*
 * What is to be booked. The parts that do it are no static functions, so that the verifier looks at each once: such a
 * function takes only numbers, and finds the rest here.
 */
struct network_work {
	struct flow_key key;
	struct flow_state fresh; /* the entry, if there is none yet */
	struct flow_deed deed;
	/* Of a call. */
	u64 arguments[CALL_ARGUMENTS];
	u64 result;
	u64 socket;	   /* struct sock */
	u64 socket_number; /* of its inode */
	u64 buffers[2];	   /* in the program's memory */
	u64 lengths[2];
	u64 bytes; /* of the message */
	u64 passed_address;
	u32 passed_bytes;
	u8 is_sent;
	u8 is_dns; /* it is to be told */
	u8 pad[2];
	u64 passed[PASSED_WORDS];
	struct talk_key talk;
};

/* A change of a TCP connection's state may interrupt a program that handles a call. */
enum network_worker {
	WORK_OF_CALL,
	WORK_OF_STATE,
	/* Kernels before 6.1 let such a change interrupt another. */
	WORK_OF_INNER_STATE,
	NETWORK_WORKERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NETWORK_WORKERS);
	__type(key, u32);
	__type(value, struct network_work);
} network_works SEC(".maps");

static __always_inline struct network_work *network_work(u32 worker)
{
	return bpf_map_lookup_elem(&network_works, &worker);
}

/* The counter of such entries; none if the container has as many as it may. */
static __always_inline u32 *room_in_network(u32 slot, u32 kind, u32 limit)
{
	struct slot_state *state = slot_at(slot);
	u32 *count;

	if (!state)
		return 0;
	count = &state->entries[SENSOR_network * ENTRY_KINDS + kind];
	return *count < limit ? count : 0;
}

static __always_inline void begin_flow(struct network_work *work, u32 slot, u32 generation, u8 phase)
{
	__builtin_memset(&work->key, 0, sizeof(work->key));
	__builtin_memset(&work->fresh, 0, __builtin_offsetof(struct flow_state, name.words));
	__builtin_memset(&work->deed, 0, sizeof(work->deed));
	work->key.slot = slot;
	work->key.generation = generation;
	work->key.phase = phase;
}

/* Puts the deed into the flow. */
static __always_inline void add_to_flow(struct flow_state *state, const struct flow_deed *deed)
{
	if (deed->connections)
		add(state->connections, deed->connections);
	add(state->traffic.sent_bytes, deed->traffic.sent_bytes);
	add(state->traffic.received_bytes, deed->traffic.received_bytes);
	add(state->traffic.sent_packets, deed->traffic.sent_packets);
	add(state->traffic.received_packets, deed->traffic.received_packets);
	if (deed->traffic.retransmits)
		add(state->traffic.retransmits, deed->traffic.retransmits);
	if (deed->connect_ns) {
		/* Two at the same time may both be the shortest, or the longest: one of them is left. */
		if (!state->connect_min_ns || deed->connect_ns < state->connect_min_ns)
			state->connect_min_ns = deed->connect_ns;
		if (deed->connect_ns > state->connect_max_ns)
			state->connect_max_ns = deed->connect_ns;
		add(state->connect_total_ns, deed->connect_ns);
		add(state->connects, 1);
	}
	for (u32 i = 0; i < NETWORK_ENDS; i++)
		if (deed->end == i + 1)
			add(state->ends[i], 1);
}

/* An entry for all those that find no room. */
static __always_inline void use_rest_of_flows(struct network_work *work)
{
	work->key.address[0] = 0;
	work->key.address[1] = 0;
	work->key.port = 0;
	work->key.is_rest = 1;
	work->fresh.name.bytes = 0;
	work->fresh.name.inode = 0;
	work->fresh.name.device = 0;
}

/* Puts the first of a flow onto the ring. Without room it is told the next time: the set has it, so nothing is lost. */
static __always_inline void tell_flow(const struct flow_key *key, struct flow_state *state)
{
	struct flow_sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);

	if (!sample)
		return;
	sample->header.boot_ns = state->first_ns;
	sample->header.slot = key->slot;
	sample->header.generation = key->generation;
	sample->header.task = state->first;
	sample->header.sensor = SENSOR_network;
	sample->header.kind = NETWORK_FLOW;
	sample->header.phase = key->phase;
	__builtin_memset(sample->header.pad, 0, sizeof(sample->header.pad));
	sample->key = *key;
	bpf_probe_read_kernel(&sample->state, sizeof(sample->state), state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
}

/* Books the deed of the work in its flow; in that of the rest, if there is no room. Not static: see network_work. */
__noinline int book_flow(u32 worker)
{
	struct network_work *work = network_work(worker);
	struct flow_state *state;
	u32 *count;

	if (!work)
		return 0;
	state = bpf_map_lookup_elem(&flows, &work->key);
	if (!state) {
		count = room_in_network(work->key.slot, ENTRY_FLOW, MAX_FLOWS);
		if (!count)
			use_rest_of_flows(work);
		/* Another CPU may have been first: then its entry stays. */
		if (!bpf_map_update_elem(&flows, &work->key, &work->fresh, BPF_NOEXIST) && count)
			add(*count, 1);
		state = bpf_map_lookup_elem(&flows, &work->key);
	}
	if (!state) {
		count_lost_entries(work->key.slot, SENSOR_network, 1);
		return 0;
	}
	add_to_flow(state, &work->deed);
	if (!state->told)
		tell_flow(&work->key, state);
	return 0;
}

/* A walk over the set. What it writes is too long for the stack, so it comes in three parts. */
SEC("iter/bpf_map_elem")
int read_flows(struct bpf_iter__bpf_map_elem *ctx)
{
	struct flow_key *key = ctx->key;
	struct flow_state *state = ctx->value;
	struct sample_header header;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	header.boot_ns = state->first_ns;
	header.slot = key->slot;
	header.generation = key->generation;
	header.task = state->first;
	header.sensor = SENSOR_network;
	header.kind = NETWORK_FLOW;
	header.phase = key->phase;
	__builtin_memset(header.pad, 0, sizeof(header.pad));
	bpf_seq_write(ctx->meta->seq, &header, sizeof(header));
	bpf_seq_write(ctx->meta->seq, key, sizeof(*key));
	bpf_seq_write(ctx->meta->seq, state, sizeof(*state));
	return 0;
}
