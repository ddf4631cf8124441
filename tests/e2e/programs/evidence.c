/*
 * Does what leaves evidence, then creates /tmp/alert and waits:
 *
 *   deleted       its own file has no name any more
 *   memfd         runs itself from a memfd
 *   shell PORT    connects to that port of 127.0.0.1 and becomes a shell on it
 *   swap SECRET   writes files and puts something else in their places: links to SECRET, a link to a directory, a named pipe
 *   race SECRET   does that with one file again and again, without an alert, until it is killed
 *   become        becomes sleep, without an alert
 *   again         ends at once, without an alert
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void need(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	need(fd >= 0, path);
	need(write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static void alert_and_wait(void)
{
	put("/tmp/alert", "now\n");
	for (;;)
		pause();
}

static void from_memory(void)
{
	char *args[] = { "in-memory", "mark", NULL };
	int self = open("/proc/self/exe", O_RDONLY), fd = memfd_create("dropped", 0);
	struct stat facts;
	off_t at = 0;

	need(self >= 0 && fd >= 0 && !fstat(self, &facts), "memfd");
	while (at < facts.st_size)
		need(sendfile(fd, self, &at, facts.st_size - at) > 0, "sendfile");
	fexecve(fd, args, environ);
	need(0, "fexecve");
}

static void shell(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(!connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
	for (int number = 0; number < 3; number++)
		need(dup2(fd, number) == number, "dup2");
	execl("/bin/sh", "sh", "-c", ": > /tmp/alert; read x; exit", NULL);
	need(0, "exec");
}

static void swap(const char *secret)
{
	put("/tmp/kept", "what the container wrote\n");
	put("/tmp/link", "mine\n");
	put("/tmp/pipe", "mine\n");
	put("/tmp/up", "mine\n");
	need(!mkdir("/tmp/dir", 0755), "mkdir");
	put("/tmp/dir/passwd", "mine\n");

	need(!unlink("/tmp/link") && !symlink(secret, "/tmp/link"), "link");
	need(!unlink("/tmp/pipe") && !mkfifo("/tmp/pipe", 0666), "pipe");
	need(!unlink("/tmp/up") && !symlink("../../../../../../etc/passwd", "/tmp/up"), "up");
	need(!rename("/tmp/dir", "/tmp/was-dir") && !symlink("/etc", "/tmp/dir"), "dir");
}

static void race(const char *secret)
{
	for (;;) {
		put("/tmp/mine", "what the container wrote\n");
		need(!rename("/tmp/mine", "/tmp/raced"), "rename");
		need(!symlink(secret, "/tmp/other") && !rename("/tmp/other", "/tmp/raced"), "symlink");
		need(!mkfifo("/tmp/other", 0666) && !rename("/tmp/other", "/tmp/raced"), "mkfifo");
		unlink("/tmp/raced");
		put("/tmp/raced", "what the container wrote\n");
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "again"))
		return 0;
	if (!strcmp(mode, "become"))
		execl("/bin/sleep", "sleep", "1000", NULL);
	if (!strcmp(mode, "deleted"))
		need(!unlink(argv[0]), "unlink");
	else if (!strcmp(mode, "memfd"))
		from_memory();
	else if (!strcmp(mode, "shell") && argc > 2)
		shell(atoi(argv[2]));
	else if (!strcmp(mode, "swap") && argc > 2)
		swap(argv[2]);
	else if (!strcmp(mode, "race") && argc > 2)
		race(argv[2]);
	alert_and_wait();
}
