/*
 * actions FOLDER : makes each of many calls three times in the same way: opens that work and fail, by absolute names, names with
 * links and dots in them, and names from a directory; calls that take names; sockets that connect, are refused, or are still
 * connecting; descriptors that are duplicated onto the first three; ptrace. The folder must be empty.
 *
 * actions 32 FOLDER : opens FOLDER/there and FOLDER/missing, and connects to a port that nobody listens on, all through the
 * table of 32-bit programs (x86_64 only).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMES = 3 };

static void must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

static void opens(int directory)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW};
	int fd;

	must(fd = open("there", O_CREAT | O_WRONLY | O_TRUNC, 0600), "there");
	close(fd);
	must(fd = openat(directory, "there", O_RDONLY), "there");
	close(fd);
	must(fd = openat(directory, "./../same/there", O_RDONLY), "there by its name");
	close(fd);
	must(fd = syscall(SYS_openat2, directory, "there", &how, sizeof(how)), "there by openat2");
	close(fd);
	must(fd = creat("made", 0600), "made");
	close(fd);
	must(fd = open("/proc/self/exe", O_RDONLY), "itself");
	close(fd);
	if (open("missing", O_RDWR) >= 0 || openat(directory, "there/below", O_PATH) >= 0 || open(NULL, O_RDONLY) >= 0)
		exit(2);
}

static void names(int directory)
{
	must(mkdir("d", 0700), "mkdir");
	must(symlink("/nowhere/at all", "d/link"), "symlink");
	must(symlinkat("there", directory, "d/second"), "symlinkat");
	must(link("there", "d/hard"), "link");
	must(renameat(directory, "d/hard", AT_FDCWD, "d/moved"), "renameat");
	must(chmod("d/moved", 0640), "chmod");
	must(fchmodat(directory, "d/moved", 0600, 0), "fchmodat");
	must(unlink("d/link"), "unlink");
	must(unlinkat(directory, "d/second", 0), "unlinkat");
	must(unlinkat(directory, "d/moved", 0), "unlinkat");
	must(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), "unlinkat of a directory");
	rmdir("d");
	rename("missing", "/nowhere/else");
	chdir("/proc/self/cwd");
}

static void sockets(const struct sockaddr_in *listening, const struct sockaddr_in *deaf)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "nobody"};
	int fd;

	must(fd = socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(connect(fd, (const void *)listening, sizeof(*listening)), "connect");
	must(dup2(fd, 0), "dup2");
	close(0);
	close(fd);
	must(fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	if (connect(fd, (const void *)listening, sizeof(*listening)) == 0 || errno != EINPROGRESS)
		exit(3);
	close(fd);
	must(fd = socket(AF_INET, SOCK_STREAM, 0), "socket");
	connect(fd, (const void *)deaf, sizeof(*deaf));
	close(fd);
	must(fd = socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	connect(fd, (const void *)&name, sizeof(name));
	name.sun_path[0] = 0;
	connect(fd, (const void *)&name, offsetof(struct sockaddr_un, sun_path) + 7);
	close(fd);
}

/* A port that somebody listens on, or nobody. */
static int take_port(struct sockaddr_in *address, int backlog)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	must(bind(fd, (void *)address, sizeof(*address)), "bind");
	must(getsockname(fd, (void *)address, &length), "getsockname");
	if (backlog)
		must(listen(fd, backlog), "listen");
	return fd;
}

#ifdef __x86_64__

static char text[512];
static struct sockaddr_in to;
static unsigned int words[3];

static int call_of_32_bit(int number, long first, long second, long third)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static int run_32_bit(const char *folder)
{
	int fd = take_port(&to, 0);

	for (int i = 0; i < TIMES; i++) {
		snprintf(text, sizeof(text), "%s/there", folder);
		if (call_of_32_bit(5, (long)text, O_CREAT | O_WRONLY, 0600) < 0)
			return 1;
		snprintf(text, sizeof(text), "%s/missing", folder);
		if (call_of_32_bit(5, (long)text, O_RDONLY, 0) != -ENOENT)
			return 1;
		words[0] = socket(AF_INET, SOCK_STREAM, 0);
		words[1] = (long)&to;
		words[2] = sizeof(to);
		if (call_of_32_bit(102, 3, (long)words, 0) != -ECONNREFUSED || call_of_32_bit(362, words[0], (long)&to, sizeof(to)) != -ECONNREFUSED)
			return 1;
	}
	printf("%d\n", ntohs(to.sin_port));
	return close(fd);
}

#else

static int run_32_bit(const char *folder)
{
	return !folder;
}

#endif

int main(int argc, char **argv)
{
	struct sockaddr_in listening, deaf;
	int directory;

	if (argc == 3 && !strcmp(argv[1], "32"))
		return run_32_bit(argv[2]);
	if (argc != 2)
		return 2;
	must(chdir(argv[1]), "chdir");
	must(mkdir("same", 0700), "mkdir");
	must(directory = open("same", O_PATH | O_DIRECTORY), "same");
	must(chdir("same"), "chdir");
	take_port(&listening, 64);
	take_port(&deaf, 0);
	for (int i = 0; i < TIMES; i++) {
		opens(directory);
		names(directory);
		sockets(&listening, &deaf);
		must(dup2(1, 2), "dup2");
		must(fcntl(1, F_DUPFD_CLOEXEC, 100), "fcntl");
		close(100);
		ptrace(PTRACE_PEEKDATA, 999999, 0, 0);
		ptrace(PTRACE_PEEKTEXT, 999999, 0, 0);
		close(dup(directory));
	}
	return 0;
}
