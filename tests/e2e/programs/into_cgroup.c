/* into_cgroup DIRECTORY N: clone3 with CLONE_INTO_CGROUP; the child makes N calls of getppid. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	long n = atol(argv[2]);
	int fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		perror("into_cgroup: open");
		return 9;
	}
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = fd};
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (child < 0) {
		perror("into_cgroup: clone3");
		return 9;
	}
	if (child == 0) {
		for (long i = 0; i < n; i++)
			syscall(SYS_getppid);
		_exit(0);
	}
	int status;

	return waitpid(child, &status, 0) == child && status == 0 ? 0 : 9;
}
