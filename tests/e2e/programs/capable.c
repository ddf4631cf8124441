/* capable PID FILE: does things that need exactly one capability each, each in a child of its own, and prints a line
 * "NAME ERRNO" for each, 0 if it could be done. PID and FILE are a process and a file of other users; nobody may do
 * anything with FILE. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t other;
static const char *file;

static int change_owner(void)
{
	int own = open("/tmp/own", O_CREAT | O_RDWR, 0600);

	return fchown(own, 3, -1);
}

static int write_to_file(void)
{
	return open(file, O_WRONLY);
}

static int change_mode(void)
{
	return chmod(file, 0);
}

static int signal_process(void)
{
	return kill(other, 0);
}

static int change_group(void)
{
	return setgid(3);
}

static int change_user(void)
{
	return setuid(65533);
}

static int give_up_a_capability(void)
{
	return prctl(PR_CAPBSET_DROP, 35, 0, 0, 0);
}

static int bind_a_low_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1009)};

	return bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof(address));
}

static int open_a_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int change_root(void)
{
	return chroot("/");
}

static int make_a_device(void)
{
	return mknod("/tmp/null", S_IFCHR | 0600, makedev(1, 3));
}

static const struct {
	const char *name;
	int (*run)(void);
} deeds[] = {
	{"CAP_CHOWN", change_owner},
	{"CAP_DAC_OVERRIDE", write_to_file},
	{"CAP_FOWNER", change_mode},
	{"CAP_KILL", signal_process},
	{"CAP_SETGID", change_group},
	{"CAP_SETUID", change_user},
	{"CAP_SETPCAP", give_up_a_capability},
	{"CAP_NET_BIND_SERVICE", bind_a_low_port},
	{"CAP_NET_RAW", open_a_raw_socket},
	{"CAP_SYS_CHROOT", change_root},
	{"CAP_MKNOD", make_a_device},
};

int main(int count, char **args)
{
	if (count != 3)
		return 2;
	other = atoi(args[1]);
	file = args[2];
	for (unsigned int i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		int status;
		pid_t child = fork();

		if (child == 0)
			_exit(deeds[i].run() < 0 ? errno : 0);
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
			return 1;
		printf("%s %d\n", deeds[i].name, WEXITSTATUS(status));
	}
	return 0;
}
