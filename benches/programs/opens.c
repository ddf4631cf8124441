/* opens same|different N WORKERS FOLDER: WORKERS processes together open and close files in FOLDER N times, as fast as they can:
 * the same hundred again and again, or each time one of another name, which is made and deleted. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAME = 100 };

static int work(int different, long from, long to, const char *folder)
{
	char path[512];

	for (long i = from; i < to; i++) {
		int file;

		snprintf(path, sizeof(path), "%s/f%ld", folder, different ? i : i % SAME);
		file = open(path, O_CREAT | O_WRONLY, 0600);
		if (file < 0 || close(file) || (different && unlink(path)))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int different = argc == 5 && !strcmp(argv[1], "different"), status;
	long n = argc == 5 ? atol(argv[2]) : 0, workers = argc == 5 ? atol(argv[3]) : 0;

	if (n < 1 || workers < 1 || workers > 256)
		return 2;
	for (long worker = 0; worker < workers; worker++) {
		pid_t pid = fork();

		if (pid < 0)
			return 9;
		if (!pid)
			_exit(work(different, n * worker / workers, n * (worker + 1) / workers, argv[4]));
	}
	for (long worker = 0; worker < workers; worker++)
		if (wait(&status) < 0 || status)
			return 9;
	return 0;
}
