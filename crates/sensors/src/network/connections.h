/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP: connections from their beginning to their end. What went over them the kernel itself counts, so there is no program
 * per packet, nor is anything to be done when they are read from or written to.
 */
#pragma once

#include "network/pairs.h"

enum connection_stage {
	STAGE_CONNECTING,
	STAGE_FAILED, /* the call that it was made by has not returned yet, and will say it */
	STAGE_OPEN,
};

/* A connection of a container. Whoever takes it out of the map books what it has come to: so each is booked once. */
struct connection {
	struct flow_key key;
	u64 began_ns;
	struct task_ref first;
	u32 errno;
	u8 stage;
	u8 is_in_call; /* connect(2) has not returned yet */
	u8 is_looked_at; /* its first bytes were */
	u8 pad;
};

/* Address of struct sock -> connection. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct connection);
} connections SEC(".maps");

/* Where a connection comes from, as the other end sees it. */
struct end_key {
	u64 address[2];
	u32 namespace; /* of loopback; else 0 */
	u16 port;
	u16 pad;
};

struct end {
	struct flow_key key;
	struct task_ref first;
};

/* The ends that containers connected from: of the oldest it is known already who is at the other. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct end_key);
	__type(value, struct end);
} ends SEC(".maps");

/* Address of struct sock, nobody's yet -> where it comes from. Until it is accepted: of those that never are the oldest go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, u64);
	__type(value, struct end);
} found_ends SEC(".maps");

/* Address of struct sock -> why the last attempt came to nothing, until a call says it, too. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, u64);
	__type(value, u32);
} failed_sockets SEC(".maps");

/* How many changes of state are being looked at on this CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} state_depths SEC(".maps");

/* include/uapi/asm-generic/errno.h (6.18) */
#define EPIPE	     32
#define ECONNABORTED 103
#define ECONNRESET   104
#define ETIMEDOUT    110
#define ECONNREFUSED 111
#define EHOSTUNREACH 113
#define ENETUNREACH  101
#define EALREADY     114
#define EISCONN	     106
#define EINPROGRESS  115
#define ECANCELED    125
#define EINTR	     4
#define EAGAIN	     11

/* include/net/sock.h (6.18): the number of the bit in sk_flags; the other end will send nothing more. */
#define SOCK_DONE 1

static __always_inline bool is_loopback(const u64 address[2])
{
	if (address[0])
		return false;
	/* ::1, and 127.0.0.0/8 mapped */
	return address[1] == 1ULL << 56 || ((u32)address[1] == 0xffff0000 && (address[1] >> 32 & 0xff) == 127);
}

static __always_inline void fill_end_key(struct end_key *key, const u64 address[2], u16 port, struct sock *sk)
{
	key->address[0] = address[0];
	key->address[1] = address[1];
	key->namespace = is_loopback(address) ? network_namespace_of(sk) : 0;
	key->port = port;
	key->pad = 0;
}

static __always_inline void read_own_end(struct sock *sk, struct flow_state *fresh)
{
	read_own_address(sk, fresh->local_address);
	/* Not skc_num: that is gone when a connection has come to its end (inet_put_port). */
	fresh->local_port = host_order(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	fresh->namespace = network_namespace_of(sk);
}

static __always_inline void read_traffic(struct sock *sk, struct traffic *traffic)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u64 sent = BPF_CORE_READ(tcp, bytes_sent), again = BPF_CORE_READ(tcp, bytes_retrans);
	u64 received = BPF_CORE_READ(tcp, bytes_received);

	traffic->sent_bytes = sent > again ? sent - again : 0;
	/* The kernel counts the end as one byte. */
	if (received && BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1)
		received--;
	traffic->received_bytes = received;
	traffic->sent_packets = BPF_CORE_READ(tcp, segs_out);
	traffic->received_packets = BPF_CORE_READ(tcp, segs_in);
	traffic->retransmits = BPF_CORE_READ(tcp, total_retrans);
}

/* Begins the work on the flow of a connection. */
static __always_inline void resume_flow(struct network_work *work, const struct connection *connection)
{
	begin_flow(work, connection->key.slot, connection->key.generation, connection->key.phase);
	work->key = connection->key;
	work->fresh.first_ns = connection->began_ns;
	work->fresh.first = connection->first;
}

/* The attempt came to nothing. Not static: see network_work. */
__noinline int fail_connection(u64 socket, u32 errno, u32 worker)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, &socket);
	struct network_work *work = network_work(worker);

	if (!connection || !work)
		return 0;
	resume_flow(work, connection);
	if (bpf_map_delete_elem(&connections, &socket))
		return 0;
	if (worker != WORK_OF_CALL)
		bpf_map_update_elem(&failed_sockets, &socket, &errno, BPF_ANY);
	work->key.errno = errno;
	work->deed.connections = 1;
	read_own_end((struct sock *)socket, &work->fresh);
	return book_flow(worker);
}

static __always_inline u32 kind_of_end(u32 old_state, u32 error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		return END_RESET_BY_PEER;
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return END_TIMED_OUT;
	}
	switch (old_state) {
	case TCP_STATE_FIN_WAIT1:
	case TCP_STATE_FIN_WAIT2:
	case TCP_STATE_CLOSING:
	case TCP_STATE_TIME_WAIT:
		return END_CLOSED_HERE;
	case TCP_STATE_LAST_ACK:
		return END_CLOSED_BY_PEER;
	default:
		return END_RESET_HERE;
	}
}

/* The connection is over: what it has come to goes to its flow, if that is there still. As the one above. */
__noinline int end_connection(u64 socket, u32 old_state, u32 worker)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, &socket);
	struct network_work *work = network_work(worker);
	struct sock *sk = (struct sock *)socket;
	struct flow_state *state;
	struct end_key end;

	if (!connection || !work)
		return 0;
	resume_flow(work, connection);
	if (bpf_map_delete_elem(&connections, &socket))
		return 0;
	if (work->key.direction == DIRECTION_OUT) {
		read_own_end(sk, &work->fresh);
		fill_end_key(&end, work->fresh.local_address, work->fresh.local_port, sk);
		bpf_map_delete_elem(&ends, &end);
	}
	read_traffic(sk, &work->deed.traffic);
	work->deed.end = kind_of_end(old_state, BPF_CORE_READ(sk, sk_err)) + 1;
	state = bpf_map_lookup_elem(&flows, &work->key);
	if (state)
		add_to_flow(state, &work->deed);
	return 0;
}

/* The number that the sensor gave the call that the current task is in; 0: it is in none of them. */
static __always_inline u32 name_of_current_call(void)
{
	struct returned_call call = {.number = call_in_registers(registers_of_current())};

	if (call.number == (u32)-1)
		return 0;
	call.table = table_of_call(ENTRY_FLAGS_OF_CURRENT(), &call.number);
	return name_of_call(&call, SENSOR_network);
}

/* What a call does with sockets; network/mod.rs says which call that is. */
enum network_call {
	NETWORK_CALL_NONE,
	NETWORK_CALL_SOCKET,
	NETWORK_CALL_BIND,
	NETWORK_CALL_CONNECT,
	NETWORK_CALL_LISTEN,
	NETWORK_CALL_ACCEPT,
	NETWORK_CALL_SOCKETCALL, /* any of those here, on 32-bit x86 */
	NETWORK_CALL_READ,
	NETWORK_CALL_READV,
	NETWORK_CALL_RECVFROM,
	NETWORK_CALL_RECVMSG,
	NETWORK_CALL_RECVMMSG,
	NETWORK_CALL_WRITE,
	NETWORK_CALL_WRITEV,
	NETWORK_CALL_SENDTO,
	NETWORK_CALL_SENDMSG,
	NETWORK_CALL_SENDMMSG,
	NETWORK_CALL_SENDFILE,
};
EXPORT(enum, network_call);

/* The current task connects: in no container, it does so unseen. As above. */
__noinline int begin_connection(u64 socket)
{
	struct sock *sk = (struct sock *)socket;
	struct task_note *note = note_of_current();
	struct connection fresh = {};
	struct slot_state *slot;
	u32 call;

	if (!note)
		return 0;
	slot = slot_at(note->slot);
	/* The slot has a new owner, and this task is none of its. */
	if (!slot || slot->generation != note->generation)
		return 0;
	fresh.key.slot = note->slot;
	fresh.key.generation = note->generation;
	fresh.key.phase = note->phase;
	fresh.key.direction = DIRECTION_OUT;
	fresh.key.protocol = PROTOCOL_TCP;
	read_peer_address(sk, fresh.key.address);
	fresh.key.port = host_order(BPF_CORE_READ(sk, __sk_common.skc_dport));
	fresh.began_ns = bpf_ktime_get_boot_ns();
	refer_to(&fresh.first, current_task());
	call = name_of_current_call();
	fresh.is_in_call = call == NETWORK_CALL_CONNECT || call == NETWORK_CALL_SOCKETCALL;
	bpf_map_delete_elem(&failed_sockets, &socket);
	if (bpf_map_update_elem(&connections, &socket, &fresh, BPF_ANY))
		count_lost_entries(note->slot, SENSOR_network, 1);
	return 0;
}

/* As above. */
__noinline int open_connection(u64 socket, u32 worker)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, &socket);
	struct network_work *work = network_work(worker);
	struct sock *sk = (struct sock *)socket;
	struct end_key key;
	struct end end;

	if (!connection || !work || connection->stage != STAGE_CONNECTING)
		return 0;
	resume_flow(work, connection);
	read_own_end(sk, &work->fresh);
	work->deed.connections = 1;
	work->deed.connect_ns = bpf_ktime_get_boot_ns() - connection->began_ns;
	book_flow(worker);
	connection->key = work->key; /* of the rest, if it is one of those now */
	connection->stage = STAGE_OPEN;
	fill_end_key(&key, work->fresh.local_address, work->fresh.local_port, sk);
	end.key = work->key;
	end.first = work->fresh.first;
	bpf_map_update_elem(&ends, &key, &end, BPF_ANY);
	return 0;
}

/* Somebody connected to a socket of this machine: whoever that is, if it is a container, is noted until it is accepted. */
__noinline int find_other_end(u64 socket)
{
	struct sock *sk = (struct sock *)socket;
	struct end_key key;
	u64 address[2];
	struct end *end;

	read_peer_address(sk, address);
	fill_end_key(&key, address, host_order(BPF_CORE_READ(sk, __sk_common.skc_dport)), sk);
	end = bpf_map_lookup_elem(&ends, &key);
	if (end)
		bpf_map_update_elem(&found_ends, &socket, end, BPF_ANY);
	else
		bpf_map_delete_elem(&found_ends, &socket);
	return 0;
}

/* As above. */
__noinline int close_connection(u64 socket, u32 old_state, u32 worker)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, &socket);
	u32 error;

	bpf_map_delete_elem(&found_ends, &socket);
	if (!connection)
		return 0;
	if (connection->stage == STAGE_OPEN)
		return end_connection(socket, old_state, worker);
	error = BPF_CORE_READ((struct sock *)socket, sk_err);
	if (connection->is_in_call) {
		connection->errno = error;
		connection->stage = STAGE_FAILED;
		/* The call may have returned meanwhile: then it has not seen this. */
		barrier();
		if (connection->is_in_call)
			return 0;
	}
	/* Without an error the program itself gave it up. */
	return fail_connection(socket, error ?: ECANCELED, worker);
}

HOOK("inet_sock_set_state", on_tcp_state, const struct sock *sk, int old_state, int new_state)
{
	volatile struct network_work *work;
	u32 zero = 0, worker, *depth;
	u64 socket;

	if (new_state != TCP_STATE_SYN_SENT && new_state != TCP_STATE_ESTABLISHED && new_state != TCP_STATE_CLOSE)
		return 0;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	depth = bpf_map_lookup_elem(&state_depths, &zero);
	if (!depth)
		return 0;
	worker = WORK_OF_STATE + *depth;
	if (worker >= NETWORK_WORKERS) {
		add(shared.lost_without_slot, 1);
		return 0;
	}
	*depth += 1;
	barrier();
	/* Not by address_of: this may interrupt a program that is in it. */
	work = network_work(worker);
	if (work) {
		work->socket = (u64)sk;
		socket = work->socket;
		if (new_state == TCP_STATE_SYN_SENT)
			begin_connection(socket);
		if (new_state == TCP_STATE_CLOSE)
			close_connection(socket, old_state, worker);
		if (new_state == TCP_STATE_ESTABLISHED)
			open_connection(socket, worker);
		if (new_state == TCP_STATE_ESTABLISHED && old_state == TCP_STATE_SYN_RECV)
			find_other_end(socket);
	}
	barrier();
	*depth -= 1;
	return 0;
}

/* connect(2) has returned. False: the kernel never got so far as to try. As above. */
__noinline int finish_connect(u64 socket, u32 errno)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, &socket);
	u32 *failed;

	if (!connection) {
		/* A program may learn by a second call what became of the first. */
		failed = bpf_map_lookup_elem(&failed_sockets, &socket);
		if (!failed || *failed != errno)
			return 0;
		bpf_map_delete_elem(&failed_sockets, &socket);
		return 1;
	}
	connection->is_in_call = 0;
	barrier();
	if (connection->stage != STAGE_FAILED)
		return 1;
	if (!errno || errno == EINPROGRESS || errno == EALREADY || errno == EINTR)
		errno = connection->errno ?: ECONNABORTED;
	fail_connection(socket, errno, WORK_OF_CALL);
	return 1;
}

/* Books the pair of a connection that was accepted, at both of its ends. As above. */
__noinline int book_tcp_pair(u64 socket)
{
	struct end *end = bpf_map_lookup_elem(&found_ends, &socket);
	struct network_work *work = network_work(WORK_OF_CALL);
	struct pair_work *pair = pair_work();
	struct slot_state *slot;

	if (!end || !work || !pair)
		return 0;
	slot = slot_at(end->key.slot);
	if (!slot || slot->generation != end->key.generation)
		return 0; /* that container is over */
	begin_pair(pair, &work->key, end->key.slot, end->key.generation);
	pair->fresh.first = work->fresh.first;
	pair->fresh.address_there[0] = end->key.address[0];
	pair->fresh.address_there[1] = end->key.address[1];
	pair->fresh.port_there = end->key.port;
	book_pair();
	begin_pair(pair, &end->key, work->key.slot, work->key.generation);
	pair->fresh.first = end->first;
	pair->fresh.address_there[0] = work->fresh.local_address[0];
	pair->fresh.address_there[1] = work->fresh.local_address[1];
	pair->fresh.port_there = work->fresh.local_port;
	book_pair();
	bpf_map_delete_elem(&found_ends, &socket);
	return 0;
}

/* A connection from elsewhere is the container's from now on. As above. */
__noinline int accept_connection(u64 socket)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct sock *sk = (struct sock *)socket;
	struct connection fresh = {};

	if (!work)
		return 0;
	work->key.direction = DIRECTION_IN;
	work->key.protocol = PROTOCOL_TCP;
	read_peer_address(sk, work->key.address);
	read_own_end(sk, &work->fresh);
	work->key.port = work->fresh.local_port;
	work->fresh.first_ns = bpf_ktime_get_boot_ns();
	refer_to(&work->fresh.first, current_task());
	work->deed.connections = 1;
	book_flow(WORK_OF_CALL);
	fresh.key = work->key;
	fresh.began_ns = work->fresh.first_ns;
	fresh.first = work->fresh.first;
	fresh.stage = STAGE_OPEN;
	book_tcp_pair(socket);
	if (bpf_map_update_elem(&connections, &socket, &fresh, BPF_ANY)) {
		count_lost_entries(work->key.slot, SENSOR_network, 1);
		return 0;
	}
	/* It may have come to its end before, or just now: whoever takes it out books it. */
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_STATE_CLOSE)
		end_connection(socket, TCP_STATE_ESTABLISHED, WORK_OF_CALL);
	return 0;
}

/* What has gone over a connection that is still open. It ends with what it adds to the flow's. */
struct open_sample {
	struct sample_header header;
	u64 socket;
	struct flow_key key;
	struct traffic traffic;
};
EXPORT(struct, open_sample);

/* A walk over the connections that are open. */
SEC("iter/bpf_map_elem")
int read_connections(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 *socket = ctx->key, address, peer[2];
	struct connection *connection = ctx->value;
	struct open_sample record;
	struct sock *sk;

	if (!socket || !connection || !is_walked(connection->key.slot))
		return 0;
	record.header.boot_ns = connection->began_ns;
	record.header.slot = connection->key.slot;
	record.header.generation = connection->key.generation;
	record.header.task = connection->first;
	record.header.sensor = SENSOR_network;
	record.header.kind = NETWORK_OPEN;
	record.header.phase = connection->key.phase;
	__builtin_memset(record.header.pad, 0, sizeof(record.header.pad));
	record.key = connection->key;
	address = *socket;
	record.socket = address;
	sk = (struct sock *)address;
	read_traffic(sk, &record.traffic);
	read_peer_address(sk, peer);
	/* Of those that are not open, or whose end was not seen, nothing is told but that they are there. */
	if (connection->stage != STAGE_OPEN || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_STATE_CLOSE ||
	    (!record.key.is_rest && (peer[0] != record.key.address[0] || peer[1] != record.key.address[1])))
		__builtin_memset(&record.traffic, 0, sizeof(record.traffic));
	/* It may have come to its end meanwhile: then what was read is no connection, and is in the flow already. */
	if (!bpf_map_lookup_elem(&connections, &address))
		return 0;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
