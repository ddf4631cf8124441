/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's sockets say of themselves; and the sets of those that were made, and of those that can be reached. */
#pragma once

#include "network/flows.h"

/* include/linux/socket.h (6.18) */
#define AF_UNIX	 1
#define AF_INET	 2
#define AF_INET6 10
#define AF_VSOCK 40

/* enum sock_type of include/linux/net.h (6.18), and the flags that are passed along. */
#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_RAW       3
#define SOCK_SEQPACKET 5
#define SOCK_TYPE_MASK 0xf

/* include/uapi/linux/in.h and in6.h (6.18) */
#define IPPROTO_ICMP	1
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IPPROTO_ICMPV6	58
#define IPPROTO_SCTP	132
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP	262

/* include/net/tcp_states.h (6.18) */
enum tcp_state {
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECV,
	TCP_STATE_FIN_WAIT1,
	TCP_STATE_FIN_WAIT2,
	TCP_STATE_TIME_WAIT,
	TCP_STATE_CLOSE,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_LAST_ACK,
	TCP_STATE_LISTEN,
	TCP_STATE_CLOSING,
};

/* include/uapi/linux/stat.h (6.18) */
#define S_IFSOCK 0140000

/* An IPv4 address as RFC 4291 maps it into IPv6: the second word, as the machine (always little endian) has it. */
static __always_inline u64 mapped_address(u32 address)
{
	return (u64)address << 32 | 0xffff0000;
}

static __always_inline u16 host_order(u16 port)
{
	return __builtin_bswap16(port);
}

/* The socket behind a descriptor, and the number of its inode; none if it is something else. */
static __always_inline struct sock *socket_at(struct task_struct *task, u32 descriptor, u64 *number)
{
	struct file *file = file_at(task, descriptor);
	struct inode *inode;
	struct socket *socket;

	if (!file)
		return 0;
	inode = PEEK(file, f_inode);
	if ((PEEK(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	/* None if the name of a unix socket was opened with O_PATH. */
	socket = (struct socket *)PEEK(file, private_data);
	if (!socket)
		return 0;
	*number = PEEK(inode, i_ino);
	return PEEK(socket, sk);
}

static __always_inline u32 family_of(struct sock *sk)
{
	return PEEK(sk, __sk_common.skc_family);
}

static __always_inline u8 protocol_of(struct sock *sk)
{
	u32 family = family_of(sk), type = PEEK(sk, sk_type), protocol = PEEK(sk, sk_protocol);

	if (family == AF_UNIX) {
		if (type == SOCK_STREAM)
			return PROTOCOL_UNIX_STREAM;
		return type == SOCK_DGRAM ? PROTOCOL_UNIX_DATAGRAM : PROTOCOL_UNIX_SEQPACKET;
	}
	if (family == AF_VSOCK)
		return PROTOCOL_VSOCK;
	if (family != AF_INET && family != AF_INET6)
		return PROTOCOL_OTHER;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return PROTOCOL_ICMP;
	if (type == SOCK_RAW)
		return PROTOCOL_RAW;
	switch (protocol) {
	case IPPROTO_TCP:
		return PROTOCOL_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return PROTOCOL_UDP;
	case IPPROTO_SCTP:
		return PROTOCOL_SCTP;
	case IPPROTO_MPTCP:
		return PROTOCOL_MPTCP;
	default:
		return PROTOCOL_OTHER;
	}
}

static __always_inline void read_peer_address(struct sock *sk, u64 address[2])
{
	if (family_of(sk) == AF_INET6) {
		bpf_core_read(address, 16, &sk->__sk_common.skc_v6_daddr);
		return;
	}
	address[0] = 0;
	address[1] = mapped_address(BPF_CORE_READ(sk, __sk_common.skc_daddr));
}

static __always_inline void read_own_address(struct sock *sk, u64 address[2])
{
	if (family_of(sk) == AF_INET6) {
		bpf_core_read(address, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		return;
	}
	address[0] = 0;
	address[1] = mapped_address(BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
}

static __always_inline u32 network_namespace_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/*
 * A path ends at its first zero, whatever was passed behind it; an abstract name begins with one. Without a branch per word, of
 * which the verifier would follow each.
 */
static __always_inline void cut_path(struct unix_name *name)
{
	u64 is_inside = -1, zeros;

	if (!(u8)name->words[0])
		return;
	name->bytes = UNIX_NAME_BYTES;
	for (u32 i = 0; i < UNIX_NAME_WORDS; i++) {
		u64 word = name->words[i];

		/* The highest bit of the first byte that is zero, and perhaps of others after it. */
		zeros = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
		name->words[i] = word & (((zeros & -zeros) >> 7) - 1) & is_inside;
		is_inside &= ((zeros | -zeros) >> 63) - 1;
		barrier_var(is_inside);
	}
}

/* The name that a unix socket was bound to; false if it has none. Both are cleared beforehand. */
static __always_inline bool read_unix_name(struct sock *sk, struct unix_name *name)
{
	struct unix_sock *socket = (struct unix_sock *)sk;
	struct unix_address *address = BPF_CORE_READ(socket, addr);
	struct dentry *dentry;
	u32 bytes;

	if (!address)
		return false;
	bytes = BPF_CORE_READ(address, len) - sizeof(u16); /* without the family */
	barrier_var(bytes);
	/* A path without a zero at its end is given one: net/unix/af_unix.c (6.18), unix_mkname_bsd. */
	if (bytes > UNIX_NAME_BYTES)
		bytes = UNIX_NAME_BYTES;
	name->bytes = bytes;
	barrier_var(bytes); /* old verifiers need the mask */
	bytes &= UNIX_NAME_WORDS * 8 - 1;
	for (u32 i = 0; i < UNIX_NAME_WORDS; i++)
		name->words[i] = 0;
	bpf_probe_read_kernel(name->words, bytes, (void *)address + bpf_core_field_offset(struct unix_address, name) + sizeof(u16));
	cut_path(name);
	dentry = BPF_CORE_READ(socket, path.dentry);
	if (dentry) {
		name->inode = BPF_CORE_READ(dentry, d_inode, i_ino);
		name->device = BPF_CORE_READ(dentry, d_sb, s_dev);
	}
	return true;
}

/* A number for a name. */
static __always_inline u64 number_of_unix_name(const struct unix_name *name)
{
	struct sip_hash hash;

	begin_hash(&hash);
	add_to_hash(&hash, name->inode);
	add_to_hash(&hash, name->device);
	ADD_BYTES_TO_HASH(&hash, name->words, name->bytes, UNIX_NAME_WORDS * 8);
	return end_hash(&hash);
}

/* Sockets that were made. Without gaps. */
struct socket_key {
	u32 slot;
	u32 generation;
	u32 protocol;
	u16 family;
	u16 type;
	u16 errno;
	u8 phase;
	u8 pad[5];
};

struct socket_state {
	u64 count;
	u64 first_ns;
	struct task_ref first;
	u32 told;
	u32 pad;
};

struct socket_sample {
	struct sample_header header;
	struct socket_key key;
	struct socket_state state;
};
EXPORT(struct, socket_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct socket_key);
	__type(value, struct socket_state);
} made_sockets SEC(".maps");

static __always_inline void fill_socket(struct socket_sample *sample, const struct socket_key *key,
					const struct socket_state *state)
{
	sample->header.boot_ns = state->first_ns;
	sample->header.slot = key->slot;
	sample->header.generation = key->generation;
	sample->header.task = state->first;
	sample->header.sensor = SENSOR_network;
	sample->header.kind = NETWORK_SOCKET;
	sample->header.phase = key->phase;
	__builtin_memset(sample->header.pad, 0, sizeof(sample->header.pad));
	sample->key = *key;
	sample->state = *state;
}

/* Not static: see network_work. */
__noinline int book_socket(u64 family_and_type, u32 protocol)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct socket_state *state, fresh = {};
	struct socket_sample *sample;
	struct socket_key key = {};
	u32 *count;

	if (!work)
		return 0;
	key.slot = work->key.slot;
	key.generation = work->key.generation;
	key.phase = work->key.phase;
	key.errno = work->key.errno;
	key.family = family_and_type >> 32;
	key.type = family_and_type & SOCK_TYPE_MASK;
	key.protocol = protocol;
	state = bpf_map_lookup_elem(&made_sockets, &key);
	if (!state) {
		fresh.first_ns = bpf_ktime_get_boot_ns();
		refer_to(&fresh.first, current_task());
		count = room_in_network(key.slot, ENTRY_SOCKET, MAX_SOCKETS);
		/* Another CPU may have been first: then its entry stays. */
		if (count && !bpf_map_update_elem(&made_sockets, &key, &fresh, BPF_NOEXIST))
			add(*count, 1);
		state = bpf_map_lookup_elem(&made_sockets, &key);
	}
	if (!state) {
		count_lost_entries(key.slot, SENSOR_network, 1);
		return 0;
	}
	add(state->count, 1);
	if (state->told)
		return 0;
	/* Without room it is told the next time. The set has it, so nothing is lost. */
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	fill_socket(sample, &key, state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
	return 0;
}

/* A walk over the set. */
SEC("iter/bpf_map_elem")
int read_sockets(struct bpf_iter__bpf_map_elem *ctx)
{
	struct socket_key *key = ctx->key;
	struct socket_state *state = ctx->value;
	struct socket_sample record;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	fill_socket(&record, key, state);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* Where the container can be reached. Without gaps. */
struct listener_key {
	u32 slot;
	u32 generation;
	u64 address[2]; /* as in flow_key */
	u32 namespace;
	u16 port;
	u8 protocol;
	u8 phase;
};

struct listener_state {
	u64 count;
	u64 first_ns;
	struct task_ref first;
	u32 told;
	u32 pad;
	struct unix_name name;
};

struct listener_sample {
	struct sample_header header;
	struct listener_key key;
	struct listener_state state;
};
EXPORT(struct, listener_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct listener_key);
	__type(value, struct listener_state);
} listeners SEC(".maps");

struct listener_work {
	struct listener_key key;
	struct listener_state fresh;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct listener_work);
} listener_works SEC(".maps");

/* The socket of the call can be reached from now on. Not static: see network_work. */
__noinline int book_listener(void)
{
	u32 zero = 0, *count;
	struct network_work *work = network_work(WORK_OF_CALL);
	struct listener_work *own = bpf_map_lookup_elem(&listener_works, &zero);
	struct listener_sample *sample;
	struct listener_state *state;
	struct sock *sk;

	if (!work || !own)
		return 0;
	sk = (struct sock *)work->socket;
	__builtin_memset(&own->key, 0, sizeof(own->key));
	__builtin_memset(&own->fresh, 0, sizeof(own->fresh));
	own->key.slot = work->key.slot;
	own->key.generation = work->key.generation;
	own->key.phase = work->key.phase;
	own->key.namespace = network_namespace_of(sk);
	own->key.protocol = protocol_of(sk);
	if (family_of(sk) == AF_UNIX) {
		if (!read_unix_name(sk, &own->fresh.name))
			return 0;
		own->key.address[0] = number_of_unix_name(&own->fresh.name);
	} else if (own->key.protocol == PROTOCOL_VSOCK) {
		if (work->passed_bytes < sizeof(u32) * 3)
			return 0;
		own->key.address[0] = work->passed[0] >> 32;
		own->key.address[1] = (u32)work->passed[1];
	} else {
		read_own_address(sk, own->key.address);
		own->key.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	}
	state = bpf_map_lookup_elem(&listeners, &own->key);
	if (!state) {
		own->fresh.first_ns = bpf_ktime_get_boot_ns();
		refer_to(&own->fresh.first, current_task());
		count = room_in_network(own->key.slot, ENTRY_LISTENER, MAX_LISTENERS);
		if (count && !bpf_map_update_elem(&listeners, &own->key, &own->fresh, BPF_NOEXIST))
			add(*count, 1);
		state = bpf_map_lookup_elem(&listeners, &own->key);
	}
	if (!state) {
		count_lost_entries(own->key.slot, SENSOR_network, 1);
		return 0;
	}
	add(state->count, 1);
	if (state->told)
		return 0;
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	fill_header(&sample->header, current_task(), own->key.slot, own->key.generation, own->key.phase, SENSOR_network,
		    NETWORK_LISTENER);
	sample->header.boot_ns = state->first_ns;
	sample->header.task = state->first;
	sample->key = own->key;
	bpf_probe_read_kernel(&sample->state, sizeof(sample->state), state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
	return 0;
}

/* A walk over the set, in three parts as that over flows. */
SEC("iter/bpf_map_elem")
int read_listeners(struct bpf_iter__bpf_map_elem *ctx)
{
	struct listener_key *key = ctx->key;
	struct listener_state *state = ctx->value;
	struct sample_header header;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	header.boot_ns = state->first_ns;
	header.slot = key->slot;
	header.generation = key->generation;
	header.task = state->first;
	header.sensor = SENSOR_network;
	header.kind = NETWORK_LISTENER;
	header.phase = key->phase;
	__builtin_memset(header.pad, 0, sizeof(header.pad));
	bpf_seq_write(ctx->meta->seq, &header, sizeof(header));
	bpf_seq_write(ctx->meta->seq, key, sizeof(*key));
	bpf_seq_write(ctx->meta->seq, state, sizeof(*state));
	return 0;
}
