// errnos NUMBER...: makes each system call without arguments and prints the errno, 0 if there is none.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int at = 1; at < argc; at++) {
		errno = 0;
		long result = syscall(atol(argv[at]), 0, 0, 0, 0, 0, 0);
		printf("%s %d\n", argv[at], result == -1 ? errno : 0);
	}
	return 0;
}
