/* Makes system calls whose numbers are known, and nothing else by those names:
 * getppid 1000 times; getpgid 2500 times in each of 4 threads; getsid 100 times in each of 10 child processes;
 * dup(-1), which fails with EBADF, 777 times; on x86_64 also getppid of the 32-bit table 321 times.
 * Has capabilities checked: NET_BIND_SERVICE, which it must have, 100 times; SYS_BOOT 50 times; SETPCAP by capset 30 times, and by prctl
 * 20 times. Opens its own executable 123 times, by a link that only the kernel can resolve, and reads it, and fails 45 times to open
 * a file that is not there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 1000, THREADS = 4, CALLS_PER_THREAD = 2500, CHILDREN = 10, CALLS_PER_CHILD = 100, FAILURES = 777 };
enum { CALLS_OF_32_BIT = 321, GETPPID_OF_32_BIT = 64 };
enum { LOW_PORTS = 100, FIRST_LOW_PORT = 600, BOOTS = 50, CAPSETS = 30, SECUREBITS = 20 };

enum { OPENS = 123, MISSES = 45 };

static int open_files(void)
{
	char byte;

	for (int i = 0; i < OPENS; i++) {
		int file = open("/proc/self/exe", O_RDONLY);

		if (file < 0 || read(file, &byte, 1) != 1 || close(file))
			return 0;
	}
	for (int i = 0; i < MISSES; i++)
		if (open("/nowhere/missing", O_RDONLY) >= 0)
			return 0;
	return 1;
}

static void *call_getpgid(void *unused)
{
	for (int i = 0; i < CALLS_PER_THREAD; i++)
		syscall(SYS_getpgid, 0);
	return unused;
}

static int run_threads(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, call_getpgid, NULL))
			return -1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static int run_children(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		pid_t child = fork();

		if (child < 0)
			return -1;
		if (child == 0) {
			for (int j = 0; j < CALLS_PER_CHILD; j++)
				syscall(SYS_getsid, 0);
			_exit(0);
		}
		if (waitpid(child, &status, 0) != child || status)
			return -1;
	}
	return 0;
}

static void call_32_bit_table(void)
{
#if defined(__x86_64__)
	for (int i = 0; i < CALLS_OF_32_BIT; i++) {
		long number = GETPPID_OF_32_BIT;

		__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	}
#endif
}

static int bind_low_ports(void)
{
	for (int i = 0; i < LOW_PORTS; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(FIRST_LOW_PORT + i)};
		int socket_of_port = socket(AF_INET, SOCK_STREAM, 0);

		if (socket_of_port < 0 || bind(socket_of_port, (void *)&address, sizeof(address)))
			return -1;
		close(socket_of_port);
	}
	return 0;
}

/* Without the numbers that really mean it this is refused, with the capability or without. */
static int boot_in_vain(void)
{
	for (int i = 0; i < BOOTS; i++)
		if (!syscall(SYS_reboot, 0, 0, 0, 0) || (errno != EPERM && errno != EINVAL))
			return -1;
	return 0;
}

/* Everything to what it is. */
static int set_own_rights(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &header, sets))
		return -1;
	for (int i = 0; i < CAPSETS; i++)
		if (syscall(SYS_capset, &header, sets))
			return -1;
	for (int i = 0; i < SECUREBITS; i++)
		if (prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS)) && errno != EPERM)
			return -1;
	return 0;
}

int main(void)
{
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	if (run_threads() || run_children())
		return 1;
	for (int i = 0; i < FAILURES; i++)
		syscall(SYS_dup, -1);
	call_32_bit_table();
	if (!open_files() || bind_low_ports() || boot_in_vain() || set_own_rights())
		return 1;
	return 0;
}
