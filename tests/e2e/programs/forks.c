/* forks N M: N children one after another, by fork, each making M calls of getppid. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	long n = atol(argv[1]), calls = atol(argv[2]);

	for (long i = 0; i < n; i++) {
		pid_t child = fork();

		if (child < 0)
			return 9;
		if (child == 0) {
			for (long c = 0; c < calls; c++)
				syscall(SYS_getppid);
			_exit(0);
		}
		if (waitpid(child, NULL, 0) != child)
			return 9;
	}
	return 0;
}
