/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the socket of an action connects, and the address that was passed. */
#pragma once

#include "actions/shapes.h"
#include "network/messages.h"

/* Who began the connection: the call says it, or the sensor of the network has seen it. */
static __always_inline u8 direction_of_action(u32 what, struct sock *sk)
{
	struct connection *connection;
	u64 address;

	switch (what) {
	case ACTION_CALL_CONNECT:
		return ACTION_DIRECTION_OUT;
	case ACTION_CALL_ACCEPT:
		return ACTION_DIRECTION_IN;
	case ACTION_CALL_SOCKET:
	case ACTION_CALL_BIND:
	case ACTION_CALL_LISTEN:
		return ACTION_DIRECTION_UNKNOWN;
	}
	address = address_of(sk);
	connection = bpf_map_lookup_elem(&connections, &address);
	if (!connection)
		return ACTION_DIRECTION_UNKNOWN;
	return connection->key.direction == DIRECTION_OUT ? ACTION_DIRECTION_OUT : ACTION_DIRECTION_IN;
}

static __always_inline void clear_name(struct unix_name *name)
{
	name->inode = 0;
	name->device = 0;
	name->bytes = 0;
}

/* The name of the socket, or of what it is connected to. Not static, so that the verifier looks at it once. */
__noinline int name_unix_end(u64 address_of_socket, u32 is_remote)
{
	struct action_draft *draft = action_draft();
	struct sock *sk = (struct sock *)address_of_socket;
	struct unix_name *name;

	if (!draft)
		return 0;
	name = is_remote ? &draft->sample.remote_name : &draft->sample.local_name;
	clear_name(name);
	return read_unix_name(sk, name);
}

/*
 * A number for the socket: with what it was made, and between whom. Of a connection that came in the other end's port is
 * no part of it, nor is its own of one that went out: they are other ones each time. As the one above.
 */
__noinline u64 hash_of_ends(u64 address_of_socket)
{
	struct action_draft *draft = action_draft();
	struct sock *sk = (struct sock *)address_of_socket;
	struct socket_ends *ends;
	struct sip_hash hash;
	u64 peer;

	if (!draft)
		return 0;
	ends = &draft->sample.ends;
	ends->family = family_of(sk);
	ends->protocol = protocol_of(sk);
	ends->direction = direction_of_action(draft->what, sk);
	begin_hash(&hash);
	add_to_hash(&hash, (u64)ends->family << 16 | ends->protocol << 8 | ends->direction);
	if (ends->family == AF_UNIX) {
		peer = address_of(PEEK((struct unix_sock *)sk, peer));
		if (peer)
			draft->sample.flags |= ACTION_PEER;
		if (name_unix_end(address_of_socket, false))
			add_to_hash(&hash, number_of_unix_name(&draft->sample.local_name));
		add_to_hash(&hash, peer != 0);
		if (peer && name_unix_end(peer, true))
			add_to_hash(&hash, number_of_unix_name(&draft->sample.remote_name));
		return end_hash(&hash);
	}
	if (ends->family != AF_INET && ends->family != AF_INET6)
		return end_hash(&hash);
	read_own_address(sk, ends->local_address);
	read_peer_address(sk, ends->remote_address);
	ends->local_port = PEEK(sk, __sk_common.skc_num);
	ends->remote_port = host_order(PEEK(sk, __sk_common.skc_dport));
	add_to_hash(&hash, ends->local_address[0]);
	add_to_hash(&hash, ends->local_address[1]);
	add_to_hash(&hash, ends->remote_address[0]);
	add_to_hash(&hash, ends->remote_address[1]);
	add_to_hash(&hash, ends->direction == ACTION_DIRECTION_IN || !ends->remote_port ? ends->local_port : 0);
	add_to_hash(&hash, ends->direction == ACTION_DIRECTION_IN ? 0 : ends->remote_port);
	return end_hash(&hash);
}

/* Adds the address that was passed to the hash of the action; of what came in without its port. As the one above. */
__noinline int hash_passed(u32 is_given)
{
	struct action_draft *draft = action_draft();
	struct network_work *work = network_work(WORK_OF_CALL);
	struct sip_hash hash;
	u64 first;
	u32 bytes;
	u16 family;

	if (!draft || !work)
		return 0;
	bytes = work->passed_bytes;
	if (bytes > sizeof(draft->sample.passed))
		return 0;
	draft->sample.passed_bytes = bytes;
	__builtin_memcpy(draft->sample.passed, work->passed, sizeof(draft->sample.passed));
	first = work->passed[0];
	family = (u16)first;
	if (is_given && (family == AF_INET || family == AF_INET6))
		first &= ~0xffff0000ULL;
	begin_hash(&hash);
	add_to_hash(&hash, draft->hash);
	add_to_hash(&hash, bytes);
	add_to_hash(&hash, first);
	for (u32 i = 1; i < PASSED_WORDS; i++) {
		if (i * 8 >= bytes)
			break;
		add_to_hash(&hash, work->passed[i]);
	}
	draft->hash = end_hash(&hash);
	return 0;
}
