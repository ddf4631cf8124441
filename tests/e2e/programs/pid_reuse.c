/* pid_reuse N: N children one after another, all with the same pid (clone3 with set_tid), each making its number
 * (1 … N) of getppid calls. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	long n = atol(argv[1]);
	pid_t same = 0;

	for (long i = 1; i <= n; i++) {
		struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = same ? (uintptr_t)&same : 0, .set_tid_size = same ? 1 : 0};
		long child;

		do
			child = syscall(SYS_clone3, &args, sizeof(args));
		while (child < 0 && errno == EEXIST);
		if (child < 0) {
			perror("pid_reuse: clone3");
			return 9;
		}
		if (child == 0) {
			for (long c = 0; c < i; c++)
				syscall(SYS_getppid);
			_exit(0);
		}
		same = child;
		if (waitpid(child, NULL, 0) != child)
			return 9;
	}
	return 0;
}
