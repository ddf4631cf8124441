/* threads T M: T threads wait for one another, make M calls of getppid each and exit at once.
 * The stacks are small, so that T may be 10,000. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long calls;
static atomic_int ready;
static atomic_int opened;

static void *work(void *unused)
{
	(void)unused;
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&opened))
		syscall(SYS_futex, &opened, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int count = atoi(argv[1]);
	pthread_t *threads = calloc(count, sizeof(*threads));
	pthread_attr_t attr;

	calls = atol(argv[2]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	for (int i = 0; i < count; i++) {
		int error = pthread_create(&threads[i], &attr, work, NULL);

		if (error) {
			fprintf(stderr, "threads: no thread %d: error %d\n", i, error);
			return 9;
		}
	}
	while (atomic_load(&ready) < count)
		usleep(1000);
	atomic_store(&opened, 1);
	syscall(SYS_futex, &opened, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
