/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses that may not be connected or sent to, and ports that may not be listened on.
 *
 * What counts is the address that the kernel has copied already, as IPv4 or IPv6: an IPv4 address that is mapped into
 * IPv6 is an IPv4 address.
 */

#include "guard_deed.h"

#include <bpf/bpf_endian.h>

#define AF_UNSPEC 0
#define AF_INET	  2
#define AF_INET6  10
#define AF_SMC	  43
/* include/linux/socket.h: SOCK_DGRAM */
#define DATAGRAMS 2
#define LOOPBACK  0x7f000001

/*
 * What is denied is kept by its network: the bits of the address from the left, as many as the class says, the rest
 * zero. An IPv4 address stands in the first 32 bits, and its classes begin behind those of IPv6.
 */
enum peer_limit {
	PEER_CLASSES_IPV6 = 129,
	PEER_CLASSES = 162,
};
EXPORT(enum, peer_limit);

struct peer_key {
	u64 high;
	u64 low;
	u32 class;
	/* 0: every port. */
	u32 port;
};

/* The policies that have a rule of a class. */
struct peer_classes {
	u64 policies[PEER_CLASSES];
};

GUARD_MAP(denied_peers, HASH, 4096, struct peer_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_classes, ARRAY, 1, u32, struct peer_classes, 0);
/* By port; 0 has those that deny every port. */
GUARD_MAP(denied_ports, HASH, 4096, u32, u64, BPF_F_NO_PREALLOC);
/* The policies that deny some port. */
GUARD_MAP(denied_listeners, ARRAY, 1, u32, u64, 0);

/* Those of these policies that deny this address. Not static, so that the verifier looks at it once. */
__noinline u64 denied_peer(u64 mask, u64 high, u64 low, u32 port, u32 is_ipv4)
{
	u32 zero = 0, first = is_ipv4 ? PEER_CLASSES_IPV6 : 0, most = is_ipv4 ? 32 : 128;
	struct peer_classes *classes = bpf_map_lookup_elem(&denied_classes, &zero);
	u64 found = 0;

	if (!classes)
		return 0;
	for (u32 length = 0; length < PEER_CLASSES_IPV6; length++) {
		u32 class = first + length;
		struct peer_key key;

		if (length > most)
			break;
		barrier_var(class); /* the verifier must see the very number that is compared */
		if (class >= PEER_CLASSES)
			break;
		if (!(classes->policies[class] & mask))
			continue;
		key.high = length >= 64 ? high : length ? high & (~0ULL << (64 - length)) : 0;
		key.low = length >= 128 ? low : length > 64 ? low & (~0ULL << (128 - length)) : 0;
		key.class = class;
		key.port = 0;
		found |= mask_in(&denied_peers, &key);
		key.port = port;
		if (port)
			found |= mask_in(&denied_peers, &key);
	}
	return found & mask;
}

struct peer {
	u64 high;
	u64 low;
	u32 port;
	u32 is_ipv4;
};

/* Reads an address of IPv4 or IPv6; gives whether it is one. */
static __always_inline bool read_peer(struct sockaddr *address, int length, u32 family, struct peer *peer)
{
	if (family == AF_INET && length >= (int)sizeof(struct sockaddr_in)) {
		struct sockaddr_in *in = (struct sockaddr_in *)address;

		peer->high = (u64)bpf_ntohl(BPF_CORE_READ(in, sin_addr.s_addr)) << 32;
		peer->low = 0;
		peer->port = bpf_ntohs(BPF_CORE_READ(in, sin_port));
		peer->is_ipv4 = 1;
		return true;
	}
	/* The kernel takes one without the last field, too. */
	if (family == AF_INET6 && length >= (int)offsetof(struct sockaddr_in6, sin6_scope_id)) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
		u64 parts[2] = {};

		bpf_probe_read_kernel(parts, sizeof(parts), &in6->sin6_addr);
		peer->high = bpf_be64_to_cpu(parts[0]);
		peer->low = bpf_be64_to_cpu(parts[1]);
		peer->port = bpf_ntohs(BPF_CORE_READ(in6, sin6_port));
		peer->is_ipv4 = 0;
		if (!peer->high && peer->low >> 32 == 0xffff) {
			peer->high = peer->low << 32;
			peer->low = 0;
			peer->is_ipv4 = 1;
		}
		return true;
	}
	return false;
}

static __always_inline void tell_peer(struct settled *settled, struct peer *peer)
{
	struct denial *denial = begin_denial(settled->policy, DEED_CONNECT, DENY_ADDRESS, settled->action);
	u64 parts[2] = {bpf_cpu_to_be64(peer->high), bpf_cpu_to_be64(peer->low)};

	if (!denial)
		return;
	if (peer->is_ipv4) {
		parts[0] = 0;
		parts[1] = bpf_cpu_to_be64(0xffffULL << 32 | peer->high >> 32);
	}
	__builtin_memcpy(denial->address, parts, sizeof(parts));
	denial->port = peer->port;
	bpf_ringbuf_submit(denial, 0);
}

static __always_inline int judge_peer(struct sockaddr *address, int length, u32 family)
{
	struct settled settled;
	struct peer peer;
	u64 mask, found;

	if (!read_peer(address, length, family, &peer))
		return 0;
	mask = policies_of_current();
	if (!mask)
		return 0;
	found = denied_peer(mask, peer.high, peer.low, peer.port, peer.is_ipv4);
	/* Nothing but zeros is this machine: of IPv4, or of either from a socket of IPv6. */
	if (!peer.high && !peer.low) {
		found |= denied_peer(mask, (u64)LOOPBACK << 32, 0, peer.port, 1);
		if (!peer.is_ipv4)
			found |= denied_peer(mask, 0, 1, peer.port, 0);
	}
	if (!settle_deed(found, DENY_ADDRESS, &settled))
		return 0;
	tell_peer(&settled, &peer);
	return settled.denying != 0;
}

static __always_inline int judge_connect(struct sockaddr *address, int length)
{
	return judge_peer(address, length, BPF_CORE_READ(address, sa_family));
}

/* A datagram to somebody else than the socket's peer; a connection that begins with its first data. */
static __always_inline int judge_message(struct socket *socket, struct msghdr *message)
{
	struct sockaddr *address = BPF_CORE_READ(message, msg_name);
	u32 family;

	if (!address)
		return 0;
	family = BPF_CORE_READ(address, sa_family);
	/* Sockets of IPv4 take it as theirs (net/ipv4/udp.c, 5.10 to 6.18). */
	if (family == AF_UNSPEC && BPF_CORE_READ(socket, sk, __sk_common.skc_family) == AF_INET)
		family = AF_INET;
	return judge_peer(address, BPF_CORE_READ(message, msg_namelen), family);
}

GUARD(connect, socket_connect, judge_connect(address, length), struct socket *socket, struct sockaddr *address,
      int length)
GUARD(sendmsg, socket_sendmsg, judge_message(socket, message), struct socket *socket, struct msghdr *message, int size)

static __always_inline int judge_port(u32 port, u8 reason)
{
	u32 zero = 0;
	u64 *some = bpf_map_lookup_elem(&denied_listeners, &zero), found;
	struct settled settled;
	struct denial *denial;

	if (!some || !*some)
		return 0;
	/* Which one the kernel chooses cannot be told, so that it is any of them. */
	found = reason == DENY_UNBOUND ? *some : mask_in(&denied_ports, &port) | mask_in(&denied_ports, &zero);
	if (found)
		found &= policies_of_current();
	if (!settle_deed(found, reason, &settled))
		return 0;
	denial = begin_denial(settled.policy, DEED_LISTEN, reason, settled.action);
	if (denial) {
		denial->port = port;
		bpf_ringbuf_submit(denial, 0);
	}
	return settled.denying != 0;
}

static __always_inline int judge_listen(struct socket *socket)
{
	u32 family = BPF_CORE_READ(socket, sk, __sk_common.skc_family);
	u32 port = BPF_CORE_READ(socket, sk, __sk_common.skc_num);

	if (family != AF_INET && family != AF_INET6 && family != AF_SMC)
		return 0;
	return judge_port(port, port ? DENY_PORT : DENY_UNBOUND);
}

/* Datagrams come to whom is bound. Without a port of its own choice it is somebody who asks, and not listened to. */
static __always_inline int judge_bind(struct socket *socket, struct sockaddr *address, int length)
{
	u32 own = BPF_CORE_READ(socket, sk, __sk_common.skc_family);
	u32 family = BPF_CORE_READ(address, sa_family);
	struct peer peer;

	if (BPF_CORE_READ(socket, type) != DATAGRAMS || (own != AF_INET && own != AF_INET6))
		return 0;
	if (family == AF_UNSPEC && own == AF_INET)
		family = AF_INET;
	if (!read_peer(address, length, family, &peer) || !peer.port)
		return 0;
	return judge_port(peer.port, DENY_PORT);
}

GUARD(listen, socket_listen, judge_listen(socket), struct socket *socket, int backlog)
GUARD(bind, socket_bind, judge_bind(socket, address, length), struct socket *socket, struct sockaddr *address,
      int length)
