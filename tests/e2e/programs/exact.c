/* exact MODE N: makes one call exactly N times, nothing else between.
 * getppid: succeeds. eagain: read of an empty pipe. enoent: open of a path that is not there. ebadf: close(-1).
 * unknown: a number that no kernel has. int80: getppid of the 32-bit table. int80-ebadf: close(-1) of that table.
 * half: every second of N reads fails. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNKNOWN_NUMBER 999

#if defined(__x86_64__)
static long int80(long number, long first)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(first) : "memory", "r8", "r9", "r10", "r11");
	return result;
}
#endif

static void expect(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "exact: %s did not behave: %s\n", what, strerror(errno));
		exit(9);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	const char *mode = argv[1];
	long n = atol(argv[2]);

	if (!strcmp(mode, "getppid")) {
		for (long i = 0; i < n; i++)
			syscall(SYS_getppid);
	} else if (!strcmp(mode, "eagain") || !strcmp(mode, "half")) {
		int fds[2];
		char byte = 0;

		expect(pipe2(fds, O_NONBLOCK) == 0, "pipe2");
		for (long i = 0; i < n; i++) {
			int filled = mode[0] == 'h' && i % 2 == 0;

			if (filled)
				expect(write(fds[1], &byte, 1) == 1, "write");
			long got = syscall(SYS_read, fds[0], &byte, 1);

			expect(filled ? got == 1 : got == -1 && errno == EAGAIN, "read");
		}
	} else if (!strcmp(mode, "enoent")) {
		for (long i = 0; i < n; i++)
			expect(syscall(SYS_openat, AT_FDCWD, "/nothing/is/here", O_RDONLY) == -1 && errno == ENOENT, "openat");
	} else if (!strcmp(mode, "ebadf")) {
		for (long i = 0; i < n; i++)
			expect(syscall(SYS_close, -1) == -1 && errno == EBADF, "close");
	} else if (!strcmp(mode, "unknown")) {
		for (long i = 0; i < n; i++)
			expect(syscall(UNKNOWN_NUMBER) == -1 && errno == ENOSYS, "unknown");
#if defined(__x86_64__)
	} else if (!strcmp(mode, "int80")) {
		for (long i = 0; i < n; i++)
			expect(int80(64, 0) >= 0, "int80");
	} else if (!strcmp(mode, "int80-ebadf")) {
		for (long i = 0; i < n; i++)
			expect(int80(6, -1) == -EBADF, "int80-ebadf");
#endif
	} else {
		return 2;
	}
	return 0;
}
