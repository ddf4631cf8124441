/* loop CALL THREADS CLOCK: makes one call over and over on as many CPUs as there are threads, when told to.
 * CALL: getppid, which succeeds; eagain, a read of an empty pipe, which fails; or open, which opens a file and closes it.
 * Each line "ROUNDS CALLS" on standard input is answered by ROUNDS lines: the time of one call in nanoseconds, mean of the
 * threads. CLOCK: cpu, the thread's own time, which leaves out what others on a loaded machine take; or wall. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64
#define MAX_ROUNDS 4096

static int threads;
static char mode;
static clockid_t clock_id;
static long rounds, calls;
static double ns[MAX_THREADS][MAX_ROUNDS];
static int pipes[MAX_THREADS][2];
static pthread_barrier_t meeting;

static void die(const char *what)
{
	fprintf(stderr, "loop: %s: %s\n", what, strerror(errno));
	_exit(9);
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(clock_id, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void make_calls(int pipe)
{
	char byte;

	if (mode == 'e') {
		for (long i = 0; i < calls; i++)
			syscall(SYS_read, pipe, &byte, 1);
	} else if (mode == 'o') {
		for (long i = 0; i < calls; i++)
			syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
	} else {
		for (long i = 0; i < calls; i++)
			syscall(SYS_getppid);
	}
}

/* All rounds of one command; each begins on all threads together. */
static void run(long thread)
{
	for (long i = 0; i < rounds; i++) {
		pthread_barrier_wait(&meeting);
		double from = now_ns();

		make_calls(pipes[thread][0]);
		ns[thread][i] = (now_ns() - from) / calls;
	}
	pthread_barrier_wait(&meeting);
}

static void settle(long thread)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(thread, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		die("pin to a CPU");
	if (pipe2(pipes[thread], O_NONBLOCK))
		die("pipe2");
}

static void *help(void *argument)
{
	long thread = (long)argument;

	settle(thread);
	for (;;) {
		pthread_barrier_wait(&meeting);
		run(thread);
	}
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t helper;

	if (argc != 4 || (strcmp(argv[1], "getppid") && strcmp(argv[1], "eagain") && strcmp(argv[1], "open")) ||
	    (strcmp(argv[3], "cpu") && strcmp(argv[3], "wall")))
		return 2;
	mode = argv[1][0];
	threads = atoi(argv[2]);
	clock_id = argv[3][0] == 'c' ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
	if (threads < 1 || threads > MAX_THREADS)
		return 2;
	settle(0);
	pthread_barrier_init(&meeting, 0, threads);
	for (long i = 1; i < threads; i++)
		if ((errno = pthread_create(&helper, 0, help, (void *)i)))
			die("pthread_create");
	while (scanf("%ld %ld", &rounds, &calls) == 2) {
		if (rounds < 1 || rounds > MAX_ROUNDS || calls < 1)
			return 2;
		pthread_barrier_wait(&meeting);
		run(0);
		for (long i = 0; i < rounds; i++) {
			double sum = 0;

			for (int thread = 0; thread < threads; thread++)
				sum += ns[thread][i];
			printf("%.3f\n", sum / threads);
		}
		fflush(stdout);
	}
	return 0;
}
