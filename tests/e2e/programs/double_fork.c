/* double_fork N: the grandchild outlives its parent, makes N calls of getppid and ends; the first process waits for it. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2 || prctl(PR_SET_CHILD_SUBREAPER, 1))
		return 2;
	long n = atol(argv[1]);
	pid_t child = fork();

	if (child < 0)
		return 9;
	if (child == 0) {
		pid_t self = getpid(), grandchild = fork();

		if (grandchild != 0)
			_exit(grandchild < 0 ? 9 : 0);
		setsid();
		while (getppid() == self)
			usleep(500);
		for (long i = 0; i < n; i++)
			syscall(SYS_getpgid, 0);
		_exit(0);
	}
	int failed = 0, status;

	while (wait(&status) > 0)
		failed |= status;
	return failed ? 9 : 0;
}
