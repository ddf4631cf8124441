/* mover T: T threads. Each line "M" on stdin: every thread makes M calls of getppid; then "done" on stdout. Ends at the
 * end of the input. The thread that reads makes no getppid of its own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t start, end;
static long calls;

static void *work(void *unused)
{
	for (;;) {
		pthread_barrier_wait(&start);
		if (calls < 0)
			return unused;
		for (long i = 0; i < calls; i++)
			syscall(SYS_getppid);
		pthread_barrier_wait(&end);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	int count = atoi(argv[1]);
	pthread_t threads[64];
	char line[64];

	if (count < 1 || count > 64)
		return 2;
	pthread_barrier_init(&start, NULL, count + 1);
	pthread_barrier_init(&end, NULL, count + 1);
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			return 9;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		calls = atol(line);
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&end);
		puts("done");
		fflush(stdout);
	}
	calls = -1;
	pthread_barrier_wait(&start);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
