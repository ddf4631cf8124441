/* connects N WORKERS: makes N connections over loopback as fast as WORKERS processes can, each of which connects to itself: 100
 * bytes go over it, and it is broken off, so that no port waits for its end. Prints how many were made. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 100 };

static int connect_once(int listener, const struct sockaddr_in *address)
{
	struct linger at_once = {.l_onoff = 1};
	char bytes[BYTES] = {0};
	int here = socket(AF_INET, SOCK_STREAM, 0), there;

	if (here < 0 || connect(here, (const void *)address, sizeof(*address)))
		return -1;
	there = accept(listener, NULL, NULL);
	if (there < 0 || write(here, bytes, BYTES) != BYTES || recv(there, bytes, BYTES, MSG_WAITALL) != BYTES ||
	    setsockopt(here, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)))
		return -1;
	return close(here) || close(there) ? -1 : 0;
}

static int work(long n)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (void *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length))
		return 1;
	for (long i = 0; i < n; i++)
		if (connect_once(listener, &address))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	long n = argc == 3 ? atol(argv[1]) : 0, workers = argc == 3 ? atol(argv[2]) : 0;
	int status;

	if (n < 1 || workers < 1 || workers > 256)
		return 2;
	for (long worker = 0; worker < workers; worker++) {
		pid_t pid = fork();

		if (pid < 0)
			return 9;
		if (!pid)
			_exit(work(n / workers + (worker < n % workers)));
	}
	for (long worker = 0; worker < workers; worker++)
		if (wait(&status) < 0 || status)
			return 9;
	printf("%ld\n", n);
	return 0;
}
