/* rename NAME N: takes NAME as its own, then makes N calls of getppid. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3 || prctl(PR_SET_NAME, argv[1]))
		return 2;
	long n = atol(argv[2]);

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return 0;
}
