/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The network: sockets that are made, where a container can be reached, whom it talks to, how much, and what its peers
 * are called.
 */

#include "network/messages.h"

/* include/uapi/linux/net.h (6.18): what socketcall(2) is asked for. */
static __always_inline u32 what_of_socketcall(u32 number)
{
	switch (number) {
	case 1:
		return NETWORK_CALL_SOCKET;
	case 2:
		return NETWORK_CALL_BIND;
	case 3:
		return NETWORK_CALL_CONNECT;
	case 4:
		return NETWORK_CALL_LISTEN;
	case 5:
	case 18:
		return NETWORK_CALL_ACCEPT;
	case 9:
		return NETWORK_CALL_WRITE;
	case 10:
		return NETWORK_CALL_READ;
	case 11:
		return NETWORK_CALL_SENDTO;
	case 12:
		return NETWORK_CALL_RECVFROM;
	case 16:
		return NETWORK_CALL_SENDMSG;
	case 17:
		return NETWORK_CALL_RECVMSG;
	case 19:
		return NETWORK_CALL_RECVMMSG;
	case 20:
		return NETWORK_CALL_SENDMMSG;
	default:
		return NETWORK_CALL_NONE;
	}
}

static __always_inline bool is_sending(u32 what)
{
	return what >= NETWORK_CALL_WRITE;
}

/* Whether something else than what was tried went wrong, or the attempt goes on. */
static __always_inline bool is_no_failure(u32 errno)
{
	return errno == EINPROGRESS || errno == EALREADY || errno == EISCONN || errno == EINTR || errno == EAGAIN;
}

/* What comes back from the network, for a connection that was tried before. */
static __always_inline bool is_of_network(u32 errno)
{
	return errno == ECONNREFUSED || errno == ETIMEDOUT || errno == ECONNRESET || errno == ECONNABORTED;
}

/* An attempt to connect by the name or address that was passed, and what became of it. Not static, as those below. */
__noinline int connect_to_passed(void)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct sock *sk;
	u16 port = 0;

	if (!work)
		return 0;
	sk = (struct sock *)work->socket;
	work->passed_address = work->arguments[1];
	work->passed_bytes = work->arguments[2];
	read_passed();
	work->key.direction = DIRECTION_OUT;
	work->fresh.first_ns = bpf_ktime_get_boot_ns();
	refer_to(&work->fresh.first, current_task());
	work->fresh.namespace = network_namespace_of(sk);
	work->deed.connections = 1;
	switch (work->key.protocol) {
	case PROTOCOL_UNIX_STREAM:
	case PROTOCOL_UNIX_SEQPACKET:
		if (work->key.errno ? !name_of_passed(work) : !flow_of_unix(work, sk))
			return 0;
		break;
	case PROTOCOL_VSOCK:
		if (work->passed_bytes < sizeof(u32) * 3)
			return 0;
		work->key.address[0] = work->passed[0] >> 32;
		work->key.address[1] = (u32)work->passed[1];
		break;
	default:
		if (!address_of_passed(work, work->key.address, &port))
			return 0;
		work->key.port = port;
	}
	book_flow(WORK_OF_CALL);
	if (!work->key.errno && work->key.protocol >= PROTOCOL_UNIX_STREAM &&
	    work->key.protocol <= PROTOCOL_UNIX_SEQPACKET)
		book_unix_pair();
	return 0;
}

static __always_inline int on_connect(struct network_work *work)
{
	u32 errno = work->key.errno;

	switch (work->key.protocol) {
	case PROTOCOL_TCP:
		if (finish_connect(work->socket, errno) || !errno || is_no_failure(errno) || is_of_network(errno))
			return 0;
		return connect_to_passed();
	case PROTOCOL_UNIX_STREAM:
	case PROTOCOL_UNIX_SEQPACKET:
	case PROTOCOL_VSOCK:
	case PROTOCOL_SCTP:
	case PROTOCOL_MPTCP:
		return errno && is_no_failure(errno) ? 0 : connect_to_passed();
	default:
		/* Nothing is sent: it only says where to, later. */
		return 0;
	}
}

static __always_inline int on_accept(struct network_work *work)
{
	struct sock *sk = (struct sock *)work->socket;

	switch (work->key.protocol) {
	case PROTOCOL_TCP:
		return accept_connection(work->socket);
	case PROTOCOL_UNIX_STREAM:
	case PROTOCOL_UNIX_SEQPACKET:
		if (!flow_of_unix(work, sk))
			return 0;
		break;
	case PROTOCOL_SCTP:
	case PROTOCOL_MPTCP:
		work->key.direction = DIRECTION_IN;
		read_peer_address(sk, work->key.address);
		read_own_end(sk, &work->fresh);
		work->key.port = work->fresh.local_port;
		break;
	default:
		return 0;
	}
	work->fresh.first_ns = bpf_ktime_get_boot_ns();
	refer_to(&work->fresh.first, current_task());
	work->deed.connections = 1;
	book_flow(WORK_OF_CALL);
	if (work->key.protocol == PROTOCOL_UNIX_STREAM || work->key.protocol == PROTOCOL_UNIX_SEQPACKET)
		book_unix_pair();
	return 0;
}

/* A name that was bound is a way in, if what is sent there is taken without any further ado. */
static __always_inline int on_bind(struct network_work *work)
{
	u16 port = 0;
	u64 address[2];

	work->passed_address = work->arguments[1];
	work->passed_bytes = work->arguments[2];
	switch (work->key.protocol) {
	case PROTOCOL_UDP:
		/* The kernel's choice of a port is for whoever sends. */
		if (!read_passed() || !address_of_passed(work, address, &port) || !port)
			return 0;
		break;
	case PROTOCOL_UNIX_DATAGRAM:
		/* Nor is a name that it chooses. */
		if (work->passed_bytes <= sizeof(u16))
			return 0;
		break;
	case PROTOCOL_VSOCK:
		if (!read_passed())
			return 0;
		break;
	default:
		return 0;
	}
	return book_listener();
}

/* TLS, version 3.something: a record that begins a connection (RFC 8446, 5.1 and B.3). */
#define IS_TLS_HANDSHAKE(bytes) (((bytes) & 0xffff) == 0x0316)

/*
 * The first that a container sends over a connection that it made: if that is TLS, it may say the name of the server;
 * and of DNS it is a question, or comes back as its answer.
 */
__noinline int look_at_connection(void)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	struct connection *connection;
	struct flow_state *flow;
	u64 socket;
	u32 begin = 0;

	if (!work)
		return 0;
	socket = work->socket;
	connection = bpf_map_lookup_elem(&connections, &socket);
	if (!connection || connection->stage != STAGE_OPEN || connection->key.slot != work->key.slot)
		return 0;
	if (connection->key.port == DNS_PORT) {
		work->key = connection->key;
		return tell_message(NETWORK_DNS);
	}
	if (connection->key.direction != DIRECTION_OUT || !work->is_sent || connection->is_looked_at)
		return 0;
	connection->is_looked_at = 1;
	if (work->bytes < sizeof(begin) || work->lengths[0] < sizeof(begin) ||
	    bpf_probe_read_user(&begin, sizeof(begin), (void *)work->buffers[0]) || !IS_TLS_HANDSHAKE(begin))
		return 0;
	work->key = connection->key;
	flow = bpf_map_lookup_elem(&flows, &work->key);
	if (!flow || flow->hellos >= MAX_HELLOS)
		return 0;
	add(flow->hellos, 1);
	return tell_message(NETWORK_TLS);
}

/* Reads what a call passed, beside the descriptor: where the message is, and whose address it has. */
static __always_inline void read_call(struct network_work *work, u32 what, bool is_compat)
{
	work->passed_address = 0;
	work->passed_bytes = 0;
	work->buffers[0] = work->arguments[1];
	work->lengths[0] = work->bytes;
	work->buffers[1] = 0;
	work->lengths[1] = 0;
	switch (what) {
	case NETWORK_CALL_READV:
	case NETWORK_CALL_WRITEV:
		read_vectors(work, work->arguments[1], work->arguments[2], is_compat);
		break;
	case NETWORK_CALL_SENDTO:
		work->passed_address = work->arguments[4];
		work->passed_bytes = work->passed_address ? work->arguments[5] : 0;
		if (work->passed_bytes)
			read_passed();
		break;
	case NETWORK_CALL_RECVFROM:
		work->passed_address = work->arguments[4];
		if (work->passed_address &&
		    !bpf_probe_read_user(&work->passed_bytes, sizeof(u32), (void *)work->arguments[5]))
			read_passed();
		break;
	case NETWORK_CALL_SENDMSG:
	case NETWORK_CALL_RECVMSG:
		read_message_header(work->arguments[1], is_compat);
		break;
	case NETWORK_CALL_SENDFILE:
		work->lengths[0] = 0;
		break;
	}
}

/* Something was sent or taken. Of TCP that is of interest only at the beginning: the kernel counts what goes over it.
 */
static __always_inline int handle_message(struct network_work *work, u32 what, bool is_compat)
{
	u64 flags;

	/* What is only looked at will be taken later, and errors are no messages. */
	flags = what == NETWORK_CALL_RECVMSG ? work->arguments[2] : work->arguments[3];
	if ((what == NETWORK_CALL_RECVFROM || what == NETWORK_CALL_RECVMSG || what == NETWORK_CALL_RECVMMSG) &&
	    flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	/* That there is no room just now is no failure; and what fails over a connection says nothing of the
	 * connection. */
	if (work->key.errno == EAGAIN || work->key.errno == EINTR ||
	    (work->key.errno &&
	     (work->key.protocol == PROTOCOL_UNIX_STREAM || work->key.protocol == PROTOCOL_UNIX_SEQPACKET)))
		return 0;
	if (what == NETWORK_CALL_SENDMMSG || what == NETWORK_CALL_RECVMMSG) {
		if (work->key.errno || work->key.protocol == PROTOCOL_TCP)
			return 0;
		book_batch(work, work->bytes, is_compat);
		return 0;
	}
	read_call(work, what, is_compat);
	if (work->key.protocol == PROTOCOL_TCP)
		return look_at_connection();
	book_message();
	if (work->is_dns)
		tell_message(NETWORK_DNS);
	return 0;
}

/* Calls that are made all the time, and of which nothing is to be learned. */
static __always_inline bool is_ordinary_transfer(struct sock *sk, u32 what, u32 errno, u64 result)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u32 family = family_of(sk);

	if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
		return true;
	if (family == AF_UNIX || PEEK(sk, sk_protocol) != IPPROTO_TCP)
		return false;
	if (errno)
		return true;
	if (PEEK(sk, __sk_common.skc_dport) == host_order(DNS_PORT) || PEEK(sk, __sk_common.skc_num) == DNS_PORT)
		return false;
	/* Only if nothing was sent before. */
	return !is_sending(what) || PEEK(tcp, bytes_sent) > result;
}

/* A call that has to do with the socket of the work, or makes one. Not static, so that the verifier looks at it once.
 */
__noinline int handle_socket(u32 what, u32 is_compat)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	const u32 *words;
	struct sock *sk;

	if (!work)
		return 0;
	if (what == NETWORK_CALL_SOCKETCALL) {
		what = what_of_socketcall(work->arguments[0]);
		work->passed_address = work->arguments[1];
		work->passed_bytes = CALL_ARGUMENTS * sizeof(u32);
		read_passed();
		words = (const u32 *)work->passed;
		for (u32 i = 0; i < CALL_ARGUMENTS; i++)
			work->arguments[i] = words[i];
	}
	/* Through that one all of them come also when they fail. */
	if (work->key.errno && what != NETWORK_CALL_SOCKET && what != NETWORK_CALL_CONNECT &&
	    what != NETWORK_CALL_SENDTO && what != NETWORK_CALL_SENDMSG)
		return 0;
	if (what == NETWORK_CALL_SOCKET)
		return book_socket(work->arguments[0] << 32 | (u32)work->arguments[1], work->arguments[2]);
	sk = socket_at(running_task(), what == NETWORK_CALL_ACCEPT ? work->result : work->arguments[0],
		       &work->socket_number);
	if (!sk)
		return 0; /* it is none, or another thread has closed it already */
	work->socket = address_of(sk);
	work->key.protocol = protocol_of(sk);
	work->is_sent = is_sending(what);
	work->bytes = work->key.errno ? 0 : work->result;
	switch (what) {
	case NETWORK_CALL_NONE:
		return 0;
	case NETWORK_CALL_BIND:
		return on_bind(work);
	case NETWORK_CALL_CONNECT:
		return on_connect(work);
	case NETWORK_CALL_LISTEN:
		return work->key.protocol == PROTOCOL_VSOCK ? 0 : book_listener();
	case NETWORK_CALL_ACCEPT:
		return on_accept(work);
	}
	if (is_ordinary_transfer(sk, what, work->key.errno, work->result))
		return 0;
	/* Nothing is taken from a connection that has come to its end. */
	if (!work->bytes && !work->key.errno && !work->is_sent &&
	    (work->key.protocol == PROTOCOL_UNIX_STREAM || work->key.protocol == PROTOCOL_UNIX_SEQPACKET))
		return 0;
	return handle_message(work, what, is_compat);
}

/*
 * Whether there is nothing to be learned from a call that is made all the time: most of what is read and written are
 * files, and of the rest most are connections. As above.
 */
__noinline int is_ordinary_call(u32 descriptor, u32 what, u32 errno, u64 result)
{
	u64 number;
	struct sock *sk = socket_at(running_task(), descriptor, &number);

	return !sk || is_ordinary_transfer(sk, what, errno, result);
}

ON_RETURN(network)
{
	u32 what = name_of_call(call, SENSOR_network);
	struct network_work *work;
	struct slot_state *slot;

	if (what >= NETWORK_CALL_READ &&
	    is_ordinary_call(call_argument(call->registers, call->table, 0), what, call->errno, call->result))
		return 0;
	work = network_work(WORK_OF_CALL);
	slot = slot_at(call->note->slot);
	/* The slot has a new owner, and this task is none of its. */
	if (!work || !slot || slot->generation != call->note->generation)
		return 0;
	begin_flow(work, call->note->slot, call->note->generation, call->note->phase);
	work->key.errno = call->errno;
	work->result = call->result;
	call_arguments(call->registers, call->table, work->arguments);
	return handle_socket(what, has_short_pointers(call));
}
