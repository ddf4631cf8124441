/*
 * What is dropped: it calls itself like a thread of the kernel, says hello to a pool as miners do, and computes for a
 * second. It finds nothing.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char hello[] = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
	struct sockaddr_in pool = {.sin_family = AF_INET, .sin_port = htons(3333)};
	volatile unsigned long work = 0;
	clock_t end = clock() + CLOCKS_PER_SEC;
	char answer[200];
	int fd;

	prctl(PR_SET_NAME, "kworker/u8:2");
	if (argc != 2 || sscanf(argv[1], "stratum+tcp://%15[0-9.]", answer) != 1 || inet_pton(AF_INET, answer, &pool.sin_addr) != 1) {
		fprintf(stderr, "usage: kworker stratum+tcp://ADDRESS\n");
		return 2;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&pool, sizeof(pool))) {
		perror("connect");
		return 1;
	}
	if (write(fd, hello, sizeof(hello) - 1) < 0 || read(fd, answer, sizeof(answer)) < 0)
		return 1;
	while (clock() < end)
		work++;
	puts("mined");
	return 0;
}
