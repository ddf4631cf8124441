/* storm seconds|cycles N WORKERS [OPENS FOLDER]: makes processes as fast as it can, in WORKERS processes of its own, after one line or the
 * end of standard input. A cycle is a fork, an exec (of this very program) and an exit; with OPENS each program opens so many
 * files, file-0 and so on, of a folder that has them. Prints how many cycles were made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* By vfork, as servers and shells that care for speed do. */
static int cycle(char *self, char *opens, char *folder)
{
	char *argv[] = {"storm", opens, folder, NULL};
	int status;
	pid_t child = vfork();

	if (child == 0) {
		execv(self, argv);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* What the program of a cycle does. */
static int open_files(long opens, const char *folder)
{
	char path[4096];

	for (long at = 0; at < opens; at++) {
		snprintf(path, sizeof(path), "%s/file-%ld", folder, at);
		/* One of three is written. */
		int fd = open(path, at % 3 ? O_RDONLY : O_WRONLY);

		if (fd < 0)
			return 9;
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char self[] = "/proc/self/exe", path[4096], line[16];
	ssize_t bytes = readlink(self, path, sizeof(path) - 1);

	if (argc == 1)
		return 0; /* the program that the storm runs */
	if (argc == 3)
		return open_files(atol(argv[1]), argv[2]);
	if ((argc != 4 && argc != 6) || bytes < 0 || (strcmp(argv[1], "seconds") && strcmp(argv[1], "cycles")))
		return 2;
	path[bytes] = 0;
	int timed = argv[1][0] == 's';
	long n = atol(argv[2]), workers = atol(argv[3]);
	long *made = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (n < 1 || workers < 1 || workers > 256 || made == MAP_FAILED)
		return 2;
	if (read(0, line, sizeof(line)) < 0)
		return 9;
	for (long worker = 0; worker < workers; worker++) {
		pid_t pid = fork();

		if (pid < 0)
			return 9;
		if (pid)
			continue;
		long own = n / workers + (worker < n % workers);
		double end = now() + n;

		while (timed ? now() < end : made[worker] < own) {
			if (!cycle(path, argc == 6 ? argv[4] : NULL, argc == 6 ? argv[5] : NULL))
				_exit(9);
			made[worker]++;
		}
		_exit(0);
	}
	long sum = 0;

	for (long worker = 0; worker < workers; worker++) {
		int status;

		if (wait(&status) < 0 || status)
			return 9;
	}
	for (long worker = 0; worker < workers; worker++)
		sum += made[worker];
	printf("%ld\n", sum);
	return 0;
}
