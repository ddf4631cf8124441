/* vforks N PROGRAM [ARG…]: N times vfork, then exec of PROGRAM in the child. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	volatile long n = atol(argv[1]);

	for (; n > 0; n--) {
		pid_t child = vfork();
		int status;

		if (child < 0)
			return 9;
		if (child == 0) {
			execv(argv[2], argv + 2);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child || status != 0)
			return 9;
	}
	return 0;
}
