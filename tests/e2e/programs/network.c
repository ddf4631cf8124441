/*
 * network serve TYPE ADDRESS PORT TIMES REPLY : takes so many connections (or messages) and answers each with so many bytes.
 * network client TYPE ADDRESS PORT TIMES SEND : makes so many connections and sends so many bytes over each, says that it is
 *     done, and reads to the end; of datagrams it sends so many messages of that size from one socket and awaits each answer.
 * network both TYPE ADDRESS PORT TIMES SEND REPLY : a server, and in a process of its own a client.
 * network listen [stream ADDRESS PORT | datagram ADDRESS PORT]... : binds all of them and waits for a signal.
 *
 * TYPE is stream, datagram, seqpacket or reset, which is a stream that the client breaks off once all is acknowledged. ADDRESS is one of IPv4 or IPv6; a path, which begins with `/`; or, behind an `@`, an
 * abstract name. PORT is 0 for the last two.
 *
 * The client ends each connection first. Each side prints, once it is done, how many bytes it sent and received, as the calls
 * returned, and how many of its attempts failed with which errno: `client 30 21 0` or `client 0 0 5 111`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	int type;
	int is_reset;
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
		struct sockaddr_un name;
	};
};

static unsigned char buffer[1 << 16];
static unsigned long sent, received;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long must(long result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static struct place place_of(const char *type, const char *address, const char *port)
{
	struct place place = { .type = SOCK_STREAM };

	if (!strcmp(type, "datagram"))
		place.type = SOCK_DGRAM;
	else if (!strcmp(type, "seqpacket"))
		place.type = SOCK_SEQPACKET;
	else
		place.is_reset = !strcmp(type, "reset");
	if (address[0] == '/' || address[0] == '@') {
		place.name.sun_family = AF_UNIX;
		strncpy(place.name.sun_path, address, sizeof(place.name.sun_path) - 1);
		place.length = offsetof(struct sockaddr_un, sun_path) + strlen(place.name.sun_path) + (address[0] == '/');
		if (address[0] == '@')
			place.name.sun_path[0] = 0;
	} else if (strchr(address, ':')) {
		place.six.sin6_family = AF_INET6;
		place.six.sin6_port = htons(atoi(port));
		place.length = sizeof(place.six);
		must(inet_pton(AF_INET6, address, &place.six.sin6_addr) - 1, address);
	} else {
		place.four.sin_family = AF_INET;
		place.four.sin_port = htons(atoi(port));
		place.length = sizeof(place.four);
		must(inet_pton(AF_INET, address, &place.four.sin_addr) - 1, address);
	}
	return place;
}

static void send_all(int fd, unsigned long bytes)
{
	while (bytes) {
		unsigned long part = bytes < sizeof(buffer) ? bytes : sizeof(buffer);
		long done = must(send(fd, buffer, part, MSG_NOSIGNAL), "send");

		bytes -= done;
		sent += done;
	}
}

static void receive_all(int fd)
{
	long done;

	while ((done = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		received += done;
	if (done < 0 && errno != ECONNRESET)
		die("recv");
}

static void break_off(int fd)
{
	struct linger at_once = { .l_onoff = 1 };
	int unacknowledged;

	do
		must(ioctl(fd, SIOCOUTQ, &unacknowledged), "ioctl");
	while (unacknowledged);
	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "setsockopt");
}

static int bound(const struct place *place)
{
	int one = 1;
	int fd = must(socket(place->any.sa_family, place->type, 0), "socket");

	if (place->any.sa_family != AF_UNIX)
		must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "setsockopt");
	else if (place->name.sun_path[0])
		unlink(place->name.sun_path);
	must(bind(fd, &place->any, place->length), "bind");
	if (place->type != SOCK_DGRAM)
		must(listen(fd, 128), "listen");
	return fd;
}

static void serve(int fd, const struct place *place, int times, unsigned long reply)
{
	for (int i = 0; i < times; i++) {
		struct place client = { .length = sizeof(struct sockaddr_un) };

		if (place->type == SOCK_DGRAM) {
			received += must(recvfrom(fd, buffer, sizeof(buffer), 0, &client.any, &client.length), "recvfrom");
			sent += must(sendto(fd, buffer, reply, 0, &client.any, client.length), "sendto");
		} else {
			int connection = must(accept(fd, NULL, NULL), "accept");

			receive_all(connection);
			if (!place->is_reset)
				send_all(connection, reply);
			close(connection);
		}
	}
	close(fd);
	printf("server %lu %lu 0\n", sent, received);
	fflush(stdout);
}

static int try_to_connect(const struct place *place, int *why)
{
	int fd = must(socket(place->any.sa_family, place->type, 0), "socket");

	if (connect(fd, &place->any, place->length) == 0)
		return fd;
	*why = errno;
	close(fd);
	return -1;
}

static void ask(const struct place *place, int times, unsigned long bytes)
{
	int failed = 0, why = 0;

	if (place->type == SOCK_DGRAM) {
		int fd = must(socket(place->any.sa_family, SOCK_DGRAM, 0), "socket");

		/* Of unix sockets the answer needs an address: the kernel chooses an abstract one. */
		if (place->any.sa_family == AF_UNIX)
			must(bind(fd, &place->any, sizeof(sa_family_t)), "bind");
		for (int i = 0; i < times; i++) {
			struct place server = { .length = sizeof(struct sockaddr_un) };

			sent += must(sendto(fd, buffer, bytes, 0, &place->any, place->length), "sendto");
			received += must(recvfrom(fd, buffer, sizeof(buffer), 0, &server.any, &server.length), "recvfrom");
		}
		close(fd);
	} else {
		for (int i = 0; i < times; i++) {
			int fd = try_to_connect(place, &why);

			if (fd < 0) {
				failed++;
				continue;
			}
			send_all(fd, bytes);
			if (place->is_reset) {
				break_off(fd);
			} else {
				must(shutdown(fd, SHUT_WR), "shutdown");
				receive_all(fd);
			}
			close(fd);
		}
	}
	printf("client %lu %lu %d", sent, received, failed);
	if (failed)
		printf(" %d", why);
	printf("\n");
	fflush(stdout);
}

static void wait_for_a_signal(void)
{
	sigset_t ends;
	int signal;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	printf("ready\n");
	fflush(stdout);
	sigwait(&ends, &signal);
}

int main(int count, char **words)
{
	const char *what = count > 1 ? words[1] : "";

	if (!strcmp(what, "listen") && count % 3 == 2) {
		for (int i = 2; i < count; i += 3) {
			struct place place = place_of(words[i], words[i + 1], words[i + 2]);

			bound(&place);
		}
		wait_for_a_signal();
		return 0;
	}
	if (count < 7) {
		fprintf(stderr, "see the first lines of network.c\n");
		return 2;
	}
	struct place place = place_of(words[2], words[3], words[4]);
	int times = atoi(words[5]);
	unsigned long bytes = atol(words[6]);

	if (!strcmp(what, "serve")) {
		int fd = bound(&place);

		printf("ready\n");
		fflush(stdout);
		serve(fd, &place, times, bytes);
	} else if (!strcmp(what, "client")) {
		ask(&place, times, bytes);
	} else if (!strcmp(what, "both") && count == 8) {
		int fd = bound(&place);
		pid_t client = must(fork(), "fork");

		if (!client) {
			close(fd);
			ask(&place, times, bytes);
			return 0;
		}
		serve(fd, &place, times, atol(words[7]));
		must(waitpid(client, NULL, 0), "waitpid");
	} else {
		return 2;
	}
	return 0;
}
