/*
 * One deed that a rule looks for: deeds WHAT [ARG...]. It ends with 0 whether the kernel let it or not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int take_over(void)
{
	pid_t child = fork();

	if (!child) {
		pause();
		_exit(0);
	}
	if (!ptrace(PTRACE_ATTACH, child, 0, 0)) {
		waitpid(child, NULL, __WALL);
		ptrace(PTRACE_DETACH, child, 0, 0);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static int traced(void)
{
	pid_t child = fork();

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return 0;
}

static int run_from_memory(void)
{
	int program = open("/bin/busybox", O_RDONLY), memory = memfd_create("deed", 0);
	char *args[] = {"true", NULL}, *environment[] = {NULL};
	struct stat status;

	if (fstat(program, &status) || sendfile(memory, program, NULL, status.st_size) != status.st_size)
		return 1;
	fexecve(memory, args, environment);
	return 1;
}

/* Connects to a socket that it listens on itself. */
static int meet(const struct sockaddr *address, socklen_t length)
{
	int server = socket(address->sa_family, SOCK_STREAM, 0), client = socket(address->sa_family, SOCK_STREAM, 0);

	if (bind(server, address, length) || listen(server, 1) || connect(client, address, length)) {
		perror("meet");
		return 1;
	}
	return 0;
}

static int meet_at(const char *text, const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};

	inet_pton(AF_INET, text, &address.sin_addr);
	return meet((struct sockaddr *)&address, sizeof(address));
}

static int meet_through(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return meet((struct sockaddr *)&address, sizeof(address));
}

/* A connection in the place of the first descriptor. */
static int wire(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, 1) ||
	    connect(client, (struct sockaddr *)&address, sizeof(address))) {
		perror("wire");
		return 1;
	}
	return dup2(client, 0) != 0;
}

/* Sends a message of UDP. */
static int tell(const char *text, const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int client = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, text, &address.sin_addr);
	return connect(client, (struct sockaddr *)&address, sizeof(address)) || write(client, "x", 1) != 1;
}

/* A server of names in the background that says of each that it stands for this address. */
static int name_server(const char *text)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(53)}, client;
	int server = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned char message[600], answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 0, 0, 0, 0};

	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(server, (struct sockaddr *)&here, sizeof(here)) || daemon(1, 1))
		return 1;
	inet_pton(AF_INET, text, answer + 12);
	for (;;) {
		socklen_t length = sizeof(client);
		ssize_t size = recvfrom(server, message, 512, 0, (struct sockaddr *)&client, &length);
		int is_a;

		if (size < 17)
			return 1;
		is_a = message[size - 3] == 1;
		message[2] |= 0x80;
		message[7] = is_a;
		if (is_a)
			memcpy(message + size, answer, sizeof(answer));
		sendto(server, message, size + (is_a ? sizeof(answer) : 0), 0, (struct sockaddr *)&client, length);
	}
}

static int read_a_file(const char *path)
{
	char byte;

	return read(open(path, O_RDONLY), &byte, 1) != 1;
}

/* Runs a program as another user. */
static int run_as(const char *user, char **args)
{
	pid_t child = fork();

	if (!child) {
		if (setgid(atoi(user)) || setuid(atoi(user)))
			_exit(126);
		execv(args[0], args);
		_exit(127);
	}
	waitpid(child, NULL, 0);
	return 0;
}

/* Asks to trace a process that it does not trace. */
static int peek(void)
{
	ptrace(PTRACE_PEEKDATA, getppid(), 0, 0);
	return 0;
}

static int run_a_shell(const char *script)
{
	pid_t child = fork();

	if (!child) {
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	waitpid(child, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "take-over"))
		return take_over();
	if (!strcmp(what, "traced"))
		return traced();
	if (!strcmp(what, "module"))
		syscall(SYS_init_module, "", 0, "");
	else if (!strcmp(what, "enter"))
		setns(open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS);
	else if (!strcmp(what, "mount"))
		mount("none", "/tmp", "tmpfs", 0, "");
	else if (!strcmp(what, "memory"))
		return run_from_memory();
	else if (!strcmp(what, "meet") && argc == 4)
		return meet_at(argv[2], argv[3]);
	else if (!strcmp(what, "meet-through") && argc == 3)
		return meet_through(argv[2]);
	else if (!strcmp(what, "wire") && argc == 3)
		return wire(argv[2]);
	else if (!strcmp(what, "shell"))
		return run_a_shell(":");
	else if (!strcmp(what, "locales"))
		return run_a_shell("locale -a");
	else if (!strcmp(what, "tell") && argc == 4)
		return tell(argv[2], argv[3]);
	else if (!strcmp(what, "name-server") && argc == 3)
		return name_server(argv[2]);
	else if (!strcmp(what, "read") && argc == 3)
		return read_a_file(argv[2]);
	else if (!strcmp(what, "read-late") && argc == 3)
		return sleep(6) || read_a_file(argv[2]);
	else if (!strcmp(what, "as") && argc >= 4)
		return run_as(argv[2], argv + 3);
	else if (!strcmp(what, "peek"))
		return peek();
	else if (!strcmp(what, "load"))
		syscall(SYS_bpf, BPF_PROG_LOAD, NULL, 0);
	else if (!strcmp(what, "map"))
		syscall(SYS_bpf, BPF_MAP_CREATE, NULL, 0);
	else
		return 2;
	return 0;
}
