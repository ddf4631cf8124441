/* thread_exec BEFORE PROGRAM [ARG…]: a thread that is not the leader makes BEFORE calls of getppid and then execs
 * PROGRAM, while the leader and another thread sleep. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **program;
static long before;

static void *sleeps(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *execs(void *unused)
{
	for (long i = 0; i < before; i++)
		syscall(SYS_getppid);
	execv(program[0], program);
	_exit(127);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t one, other;

	if (argc < 3)
		return 2;
	before = atol(argv[1]);
	program = argv + 2;
	if (pthread_create(&one, NULL, sleeps, NULL) || pthread_create(&other, NULL, execs, NULL))
		return 9;
	for (;;)
		pause();
}
