/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What goes over sockets of which the kernel keeps no counts: each message, when the call that sent or took it returns. And
 * the text of those messages that say what a peer is called.
 */
#pragma once

#include "network/connections.h"

/* How much of a message is looked at. A power of two, minus 1. */
#define MESSAGE_BYTES 2047
#define DNS_BYTES     511
#define DNS_PORT      53
/* How many beginnings of TLS are looked at for each flow. */
#define MAX_HELLOS    64
/* Different answers to one question that are told. */
#define MAX_ANSWERS   32
/* include/linux/socket.h (6.18) */
#define MSG_PEEK      2
#define MSG_ERRQUEUE  0x2000
/* include/net/sock.h (6.18): in sk_userlocks, the program chose the port. */
#define SOCK_BINDPORT_LOCK 8
/* Messages of one call that are looked at one by one. */
#define MAX_BATCH     64

/* On the ring: then its bytes. */
struct message_sample {
	struct sample_header header;
	/* The flow's other end. */
	u64 address[2];
	u16 port;
	u8 direction;
	u8 protocol;
	u8 is_sent;
	u8 pad[3];
	u32 bytes;
	u32 pad2;
};
EXPORT(struct, message_sample);

struct message_draft {
	struct message_sample sample;
	u8 bytes[2 * (MESSAGE_BYTES + 1) + 8]; /* and a word that ends the last */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct message_draft);
} message_drafts SEC(".maps");

/* Messages that were told: a number for the container, the way and the text. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} told_messages SEC(".maps");

/* Of those that have been silent for longest nothing is known any more: then they are counted anew. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct talk_key);
	__type(value, struct flow_key);
} talks SEC(".maps");

/*
 * Numbers for a message of DNS and for the question in it, both with who talks to whom; the id, which is another each time, is
 * left out. The question ends with the type, which may lie in the word behind the name's last byte, a zero: it is found without
 * a branch, of which the verifier would follow each.
 */
static __always_inline void number_message(const struct network_work *work, const struct message_draft *draft, u32 bytes,
					   u64 *message, u64 *question)
{
	const u64 *words = (const u64 *)draft->bytes;
	/* Over TCP the length comes before the id. */
	u64 first = work->key.protocol == PROTOCOL_TCP ? ~0xffffffffULL : ~0xffffULL;
	u64 is_name = -1, is_question = -1, number = 0, state, zeros;
	struct sip_hash hash;

	begin_hash(&hash);
	add_to_hash(&hash, (u64)work->key.slot << 32 | work->key.generation);
	add_to_hash(&hash, work->key.address[0]);
	add_to_hash(&hash, work->key.address[1]);
	add_to_hash(&hash, (u64)work->is_sent << 32 | work->key.direction << 16 | work->key.phase);
	for (u32 i = 0; i < (DNS_BYTES + 1) / 8; i++) {
		u64 word = words[i];

		if (i >= (bytes + 7) / 8)
			break;
		if (!i)
			word &= first;
		add_to_hash(&hash, word);
		state = hash.v0 ^ hash.v1 ^ hash.v2 ^ hash.v3;
		number = (state & is_question) | (number & ~is_question);
		is_question = is_name;
		/* The name begins behind twelve bytes. */
		zeros = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
		if (i >= 2)
			is_name &= ((zeros | -zeros) >> 63) - 1;
		barrier_var(is_name);
		barrier_var(is_question);
		barrier_var(number);
	}
	*message = end_hash(&hash);
	*question = number;
}

static __always_inline struct message_draft *message_draft(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&message_drafts, &zero);
}

/* Reads so much of the work's message; how much it was, -1 if it could not be read. Not static: see network_work. */
__noinline int read_message(u32 limit)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct message_draft *draft = message_draft();
	u32 first, second, bytes;

	if (!work || !draft)
		return -1;
	first = work->lengths[0] < work->bytes ? work->lengths[0] : work->bytes;
	first = first < limit ? first : limit;
	barrier_var(first); /* old verifiers need the mask */
	first &= MESSAGE_BYTES;
	second = work->bytes - first < work->lengths[1] ? work->bytes - first : work->lengths[1];
	second = second < limit - first ? second : limit - first;
	barrier_var(second);
	second &= MESSAGE_BYTES;
	if (bpf_probe_read_user(draft->bytes, first, (void *)work->buffers[0]))
		return -1;
	if (second && bpf_probe_read_user(draft->bytes + first, second, (void *)work->buffers[1]))
		second = 0;
	bytes = first + second;
	barrier_var(bytes);
	if (bytes > 2 * MESSAGE_BYTES)
		return -1;
	*(u64 *)(draft->bytes + bytes) = 0;
	return bytes;
}

/* Puts the text of the work's message onto the ring. As above. */
__noinline int tell_message(u32 kind)
{
	u32 zero = 0, bytes = read_message(kind == NETWORK_DNS ? DNS_BYTES : MESSAGE_BYTES), *count;
	struct network_work *work = network_work(WORK_OF_CALL);
	struct message_draft *draft = message_draft();
	struct slot_state *slot;
	u64 number, question, size;
	u32 *answers;

	barrier_var(bytes);
	if (!work || !draft || bytes > 2 * MESSAGE_BYTES)
		return 0;
	slot = slot_at(work->key.slot);
	if (!slot)
		return 0;
	if (kind == NETWORK_DNS) {
		number_message(work, draft, bytes, &number, &question);
		if (bpf_map_lookup_elem(&told_messages, &number))
			return 0;
		/* Servers that remember answer the same with another time to live each second. */
		answers = bpf_map_lookup_elem(&told_messages, &question);
		if (answers && *answers >= MAX_ANSWERS)
			return 0;
		if (answers)
			add(*answers, 1);
		else
			bpf_map_update_elem(&told_messages, &question, &zero, BPF_ANY);
		count = room_in_network(work->key.slot, ENTRY_MESSAGE, MAX_MESSAGES);
		if (!count) {
			count_lost_entries(work->key.slot, SENSOR_network, 1);
			return 0;
		}
		add(*count, 1);
		bpf_map_update_elem(&told_messages, &number, &zero, BPF_ANY);
	}
	fill_header(&draft->sample.header, current_task(), work->key.slot, work->key.generation, work->key.phase,
		    SENSOR_network, kind);
	draft->sample.address[0] = work->key.address[0];
	draft->sample.address[1] = work->key.address[1];
	draft->sample.port = work->key.port;
	draft->sample.direction = work->key.direction;
	draft->sample.protocol = work->key.protocol;
	draft->sample.is_sent = work->is_sent;
	draft->sample.bytes = bytes;
	size = bytes;
	barrier_var(size); /* old verifiers need the mask */
	size &= 2 * MESSAGE_BYTES + 1;
	if (bpf_ringbuf_output(&samples, draft, sizeof(draft->sample) + size, 0))
		count_lost_sample(work->key.slot, SENSOR_network);
	return 0;
}

/* What was passed as an address, as the words that keys have; false: none, or of another family. */
static __always_inline bool address_of_passed(const struct network_work *work, u64 address[2], u16 *port)
{
	const u64 *passed = work->passed;
	u16 family = (u16)passed[0];

	/* The kernel takes none as this one: net/ipv4/udp.c (6.18), udp_sendmsg. */
	if ((family == AF_INET || (!family && family_of((struct sock *)work->socket) == AF_INET)) &&
	    work->passed_bytes >= 8) {
		address[0] = 0;
		address[1] = mapped_address(passed[0] >> 32);
	} else if (family == AF_INET6 && work->passed_bytes >= 24) {
		address[0] = passed[1];
		address[1] = passed[2];
	} else {
		return false;
	}
	*port = host_order(passed[0] >> 16);
	return true;
}

/* The name that was passed, as the flow's. */
static __always_inline bool name_of_passed(struct network_work *work)
{
	struct unix_name *name = &work->fresh.name;
	u32 bytes = work->passed_bytes - sizeof(u16);

	if ((u16)work->passed[0] != AF_UNIX || work->passed_bytes <= sizeof(u16) || bytes > UNIX_NAME_BYTES)
		return false;
	name->bytes = bytes;
	for (u32 i = 0; i < PASSED_WORDS; i++)
		name->words[i] = work->passed[i] >> 16 | (i + 1 < PASSED_WORDS ? work->passed[i + 1] << 48 : 0);
	cut_path(name);
	work->key.address[0] = number_of_unix_name(name);
	return true;
}

/* Reads the address that a program passed, or that it was given. Not static, as those below. */
__noinline int read_passed(void)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	u32 bytes;

	if (!work)
		return 0;
	__builtin_memset(work->passed, 0, sizeof(work->passed));
	bytes = work->passed_bytes < UNIX_NAME_BYTES + 2 ? work->passed_bytes : UNIX_NAME_BYTES + 2;
	barrier_var(bytes); /* old verifiers need the mask */
	bytes &= 127;
	if (!work->passed_address || bpf_probe_read_user(work->passed, bytes, (void *)work->passed_address))
		bytes = 0;
	work->passed_bytes = bytes;
	return bytes;
}

/*
 * The flow of a unix socket that is connected: by the name that was connected to, whichever side that is on. False: it has
 * none, as the two that socketpair(2) makes.
 */
static __always_inline bool flow_of_unix(struct network_work *work, struct sock *sk)
{
	struct unix_sock *socket = (struct unix_sock *)sk;
	struct sock *peer = BPF_CORE_READ(socket, peer);
	struct unix_address *own = BPF_CORE_READ(socket, addr);
	struct unix_address *other = peer ? BPF_CORE_READ((struct unix_sock *)peer, addr) : 0;

	/* Whoever accepts has the name in common with whoever listens: net/unix/af_unix.c (6.18), unix_stream_connect. */
	if (own && (!other || (BPF_CORE_READ(own, refcnt.refs.counter) > 1 && work->key.protocol != PROTOCOL_UNIX_DATAGRAM))) {
		work->key.direction = DIRECTION_IN;
		if (!read_unix_name(sk, &work->fresh.name))
			return false;
	} else if (!peer || !read_unix_name(peer, &work->fresh.name)) {
		return false;
	}
	work->key.address[0] = number_of_unix_name(&work->fresh.name);
	work->fresh.namespace = network_namespace_of(sk);
	return true;
}

/* Finds the flow of a message over IP: the side that was first began it. */
static __always_inline void flow_of_datagram(struct network_work *work, struct sock *sk, const struct talk_key *talk)
{
	work->key.address[0] = talk->address[0];
	work->key.address[1] = talk->address[1];
	work->key.direction = work->is_sent ? DIRECTION_OUT : DIRECTION_IN;
	read_own_end(sk, &work->fresh);
	if (work->key.protocol != PROTOCOL_ICMP && work->key.protocol != PROTOCOL_RAW)
		work->key.port = work->is_sent ? talk->port : work->fresh.local_port;
}

/*
 * Remembers the flow of a socket and whom it talks to. A program may take an answer without asking who sent it: then it is of
 * the one that the socket sent to before, if that was only one.
 */
static __always_inline void note_talk(struct network_work *work, struct sock *sk)
{
	struct talk_key *talk = &work->talk;
	struct flow_key *only;

	bpf_map_update_elem(&talks, talk, &work->key, BPF_ANY);
	if (!work->is_sent || (!talk->address[0] && !talk->address[1]))
		return;
	/* Others know where to reach a program that has chosen its port, or a name. */
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK ||
	    (family_of(sk) == AF_UNIX && BPF_CORE_READ((struct unix_sock *)sk, addr)))
		return;
	talk->address[0] = 0;
	talk->address[1] = 0;
	talk->port = 0;
	only = bpf_map_lookup_elem(&talks, talk);
	if (!only)
		bpf_map_update_elem(&talks, talk, &work->key, BPF_NOEXIST);
	else if (only->direction == DIRECTION_OUT &&
		 (only->address[0] != work->key.address[0] || only->address[1] != work->key.address[1] ||
		  only->port != work->key.port))
		only->slot = 0; /* it is of nobody, until something comes */
}

/*
 * Whether the other side has begun already, as far as the flows tell that there are: what was known of a socket may have been
 * forgotten, and connections came about before anything was sent.
 */
static __always_inline void find_who_began(struct network_work *work, u32 own_port, u32 port)
{
	u8 direction = work->key.direction;
	u16 known_port = work->key.port;

	work->key.direction = work->is_sent ? DIRECTION_IN : DIRECTION_OUT;
	work->key.port = work->is_sent ? own_port : port;
	if (bpf_map_lookup_elem(&flows, &work->key))
		return;
	work->key.direction = direction;
	work->key.port = known_port;
}

/* One message was sent or taken, or could not be sent. */
__noinline int book_message(void)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct talk_key *talk;
	struct flow_key *known;
	struct sock *sk;
	u16 errno, port = 0;
	bool is_unix, is_new = false;

	if (!work)
		return 0;
	sk = (struct sock *)work->socket;
	work->is_dns = 0;
	talk = &work->talk;
	__builtin_memset(talk, 0, sizeof(*talk));
	errno = work->key.errno;
	is_unix = work->key.protocol >= PROTOCOL_UNIX_STREAM && work->key.protocol <= PROTOCOL_UNIX_SEQPACKET;
	talk->socket_number = work->socket_number;
	if (!is_unix) {
		if (work->passed_bytes && address_of_passed(work, talk->address, &port)) {
			talk->port = port;
		} else if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_STATE_ESTABLISHED) {
			read_peer_address(sk, talk->address);
			talk->port = host_order(BPF_CORE_READ(sk, __sk_common.skc_dport));
		}
	} else if ((work->is_sent || !BPF_CORE_READ((struct unix_sock *)sk, peer)) && name_of_passed(work)) {
		/* To a name, or from one. What is connected takes messages from nobody else. */
		talk->address[0] = work->key.address[0];
	}
	known = bpf_map_lookup_elem(&talks, talk);
	if (known && known->slot == work->key.slot && known->generation == work->key.generation && !errno) {
		work->key = *known;
	} else {
		if (!is_unix) {
			flow_of_datagram(work, sk, talk);
			if (work->key.protocol != PROTOCOL_ICMP && work->key.protocol != PROTOCOL_RAW)
				find_who_began(work, work->fresh.local_port, talk->port);
		} else if (talk->address[0] && work->is_sent) {
			work->fresh.namespace = network_namespace_of(sk);
		} else if (!flow_of_unix(work, sk)) {
			/* Two that socketpair(2) made, or one without a name that takes what nobody else has sent. */
			return 0;
		}
		work->fresh.first_ns = bpf_ktime_get_boot_ns();
		refer_to(&work->fresh.first, current_task());
		/* Connections of streams were counted when they came about. */
		if (errno || work->key.protocol == PROTOCOL_UDP || work->key.protocol == PROTOCOL_ICMP ||
		    work->key.protocol == PROTOCOL_RAW || work->key.protocol == PROTOCOL_UNIX_DATAGRAM)
			work->deed.connections = 1;
		is_new = !errno;
	}
	if (!errno && work->is_sent) {
		work->deed.traffic.sent_bytes = work->bytes;
		work->deed.traffic.sent_packets = 1;
	} else if (!errno) {
		work->deed.traffic.received_bytes = work->bytes;
		work->deed.traffic.received_packets = 1;
	}
	/* For whom it is depends on the port of whoever did not begin it: so a server's are looked at, too. */
	work->is_dns = work->key.protocol == PROTOCOL_UDP && work->key.port == DNS_PORT && !errno;
	book_flow(WORK_OF_CALL);
	if (is_new)
		note_talk(work, sk);
	return 0;
}

/* Where msghdr has what, in 64 and 32 bits: include/linux/socket.h (6.18), include/net/compat.h. */
struct user_message {
	u64 name;
	u32 name_bytes;
	u32 pad;
	u64 vectors;
	u64 vector_count;
};

struct compat_message {
	u32 name;
	u32 name_bytes;
	u32 vectors;
	u32 vector_count;
};

#define MESSAGE_HEADER_BYTES	    56
#define COMPAT_MESSAGE_HEADER_BYTES 28

/* Reads where the first two parts of a message are. */
static __always_inline void read_vectors(struct network_work *work, u64 address, u64 count, bool is_compat)
{
	u64 words[4] = {};
	u32 halves[4] = {};

	if (!count)
		return;
	if (is_compat) {
		bpf_probe_read_user(halves, count > 1 ? 16 : 8, (void *)address);
		work->buffers[0] = halves[0];
		work->lengths[0] = halves[1];
		work->buffers[1] = halves[2];
		work->lengths[1] = halves[3];
		return;
	}
	bpf_probe_read_user(words, count > 1 ? 32 : 16, (void *)address);
	work->buffers[0] = words[0];
	work->lengths[0] = words[1];
	work->buffers[1] = words[2];
	work->lengths[1] = words[3];
}

/* Reads a struct msghdr of the program's. */
__noinline int read_message_header(u64 address, u32 is_compat)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct compat_message compat = {};
	struct user_message message = {};

	if (!work)
		return 0;
	if (is_compat) {
		if (bpf_probe_read_user(&compat, sizeof(compat), (void *)address))
			return 0;
		message.name = compat.name;
		message.name_bytes = compat.name_bytes;
		message.vectors = compat.vectors;
		message.vector_count = compat.vector_count;
	} else if (bpf_probe_read_user(&message, sizeof(message), (void *)address)) {
		return 0;
	}
	work->passed_address = message.name;
	work->passed_bytes = message.name ? message.name_bytes : 0;
	if (work->passed_bytes)
		read_passed();
	read_vectors(work, message.vectors, message.vector_count, is_compat);
	return 0;
}

/* One message of several that one call sent or took. */
__noinline int book_one_of_batch(u32 position, u32 is_compat)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	u32 header = is_compat ? COMPAT_MESSAGE_HEADER_BYTES : MESSAGE_HEADER_BYTES;
	u64 address, slot_and_generation;
	u8 phase, protocol;
	u32 bytes = 0;

	if (!work)
		return 0;
	/* struct mmsghdr: the header, its length, and in 64 bits a gap. */
	address = work->arguments[1] + position * (u64)(is_compat ? header + 4 : header + 8);
	slot_and_generation = (u64)work->key.slot << 32 | work->key.generation;
	phase = work->key.phase;
	protocol = protocol_of((struct sock *)work->socket);
	begin_flow(work, slot_and_generation >> 32, (u32)slot_and_generation, phase);
	work->key.protocol = protocol;
	if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)(address + header)))
		return 0;
	work->bytes = bytes;
	read_message_header(address, is_compat);
	book_message();
	/* Not there: old verifiers add up the stacks of all functions that call each other. */
	if (work->is_dns)
		tell_message(NETWORK_DNS);
	return 0;
}

/* Messages that one call sent or took. */
static __always_inline void book_batch(struct network_work *work, u32 count, bool is_compat)
{
	u32 slot = work->key.slot;

	for (u32 i = 0; i < MAX_BATCH; i++) {
		if (i >= count)
			return;
		book_one_of_batch(i, is_compat);
	}
	if (count > MAX_BATCH)
		count_lost_entries(slot, SENSOR_network, count - MAX_BATCH);
}
