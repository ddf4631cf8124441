/* workload DIRECTORY: many kinds of call from four threads and a child: files, failing opens, pipes, memory, signals
 * with a handler, timers, fork and exec of itself. Ends by itself, with the same result each time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *directory;
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void *work(void *argument)
{
	long id = (long)argument;
	char path[4096], buffer[512];

	snprintf(path, sizeof(path), "%s/file-%ld", directory, id);
	for (int i = 0; i < 50; i++) {
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), pair[2];

		if (fd < 0)
			return (void *)1;
		memset(buffer, i, sizeof(buffer));
		if (write(fd, buffer, sizeof(buffer)) != sizeof(buffer) || lseek(fd, 0, SEEK_SET) != 0)
			return (void *)1;
		while (read(fd, buffer, 100) > 0)
			;
		close(fd);
		open("/nothing/is/here", O_RDONLY);
		unlink("/nothing/is/here");
		void *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		mprotect(memory, 4096, PROT_READ);
		munmap(memory, 8192);
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
			return (void *)1;
		recv(pair[0], buffer, 1, 0);
		if (send(pair[0], buffer, 10, 0) != 10 || recv(pair[1], buffer, 10, 0) != 10)
			return (void *)1;
		close(pair[0]);
		close(pair[1]);
	}
	return (void *)(long)unlink(path);
}

int main(int argc, char **argv)
{
	pthread_t threads[4];
	long failed = 0;

	if (argc == 1)
		return 0;
	directory = argv[1];
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 20; i++)
		raise(SIGUSR1);
	for (long i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 9;
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			execl("/proc/self/exe", "child", NULL);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child || status)
			failed = 1;
	}
	for (int i = 0; i < 4; i++) {
		void *result;

		pthread_join(threads[i], &result);
		failed |= result != NULL;
	}
	return failed || signals != 20 ? 9 : 0;
}
