/* Makes system calls whose numbers are known, and nothing else by those names:
 * getppid 1000 times; getpgid 2500 times in each of 4 threads; getsid 100 times in each of 10 child processes;
 * dup(-1), which fails with EBADF, 777 times; on x86_64 also getppid of the 32-bit table 321 times.
 * Has capabilities checked: NET_BIND_SERVICE, which it must have, 100 times; SYS_BOOT 50 times; SETPCAP by capset 30 times, and by prctl
 * 20 times. Opens its own executable 123 times, by a link that only the kernel can resolve, and reads it, and fails 45 times to open
 * a file that is not there. Fails 40 times to change its root to what is not there; leaves its ids as they are 25 times; maps
 * memory to be written and run 15 times; makes such memory executable 12 times; reads its own memory as that of a process
 * 10 times. Talks to itself over loopback: 20 connections, on each 1000 bytes there and 10 back, 7 that are refused, 30 messages
 * of 100 bytes by UDP, and 5 connections by a unix socket with 50 bytes each. Asks 60 times for nothing through io_uring. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define main ring_main
#include "../e2e/programs/ring.c"
#undef main

enum { CALLS = 1000, THREADS = 4, CALLS_PER_THREAD = 2500, CHILDREN = 10, CALLS_PER_CHILD = 100, FAILURES = 777 };
enum { CALLS_OF_32_BIT = 321, GETPPID_OF_32_BIT = 64 };
enum { LOW_PORTS = 100, FIRST_LOW_PORT = 600, BOOTS = 50, CAPSETS = 30, SECUREBITS = 20 };

enum { CONNECTIONS = 20, QUESTION = 1000, ANSWER = 10, REFUSALS = 7, DATAGRAMS = 30, DATAGRAM = 100, LOCALS = 5, LOCAL = 50 };

enum { OPENS = 123, MISSES = 45 };
enum { ROOTS = 40, IDS = 25, WRITABLE_CODE = 15, NEW_CODE = 12, PEEKS = 10 };

/* Whoever listens is on the same thread: the kernel lets a connection come about before it is accepted. */
static int exchange(int listener, const void *address, socklen_t length, int family, size_t question, size_t answer)
{
	static char bytes[QUESTION];
	int here = socket(family, SOCK_STREAM, 0), there;

	if (here < 0 || connect(here, address, length))
		return -1;
	there = accept(listener, NULL, NULL);
	if (there < 0 || write(here, bytes, question) != (ssize_t)question ||
	    recv(there, bytes, question, MSG_WAITALL) != (ssize_t)question)
		return -1;
	if (answer && (write(there, bytes, answer) != (ssize_t)answer || read(here, bytes, answer) != (ssize_t)answer))
		return -1;
	return close(here) || read(there, bytes, 1) != 0 || close(there) ? -1 : 0;
}

static int talk(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0exact"};
	socklen_t length = sizeof(address), name_length = offsetof(struct sockaddr_un, sun_path) + 6;
	int listener = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
	int to = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
	char bytes[DATAGRAM] = {0};

	if (bind(listener, (void *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length))
		return -1;
	for (int i = 0; i < CONNECTIONS; i++)
		if (exchange(listener, &address, length, AF_INET, QUESTION, ANSWER))
			return -1;
	close(listener);
	address.sin_port = htons(1);
	for (int i = 0; i < REFUSALS; i++) {
		int refused = socket(AF_INET, SOCK_STREAM, 0);

		if (!connect(refused, (void *)&address, length) || errno != ECONNREFUSED)
			return -1;
		close(refused);
	}
	address.sin_port = 0;
	if (bind(to, (void *)&address, length) || getsockname(to, (void *)&address, &length))
		return -1;
	for (int i = 0; i < DATAGRAMS; i++)
		if (sendto(from, bytes, sizeof(bytes), 0, (void *)&address, length) != DATAGRAM ||
		    recvfrom(to, bytes, sizeof(bytes), 0, NULL, NULL) != DATAGRAM)
			return -1;
	if (bind(local, (void *)&name, name_length) || listen(local, 1))
		return -1;
	for (int i = 0; i < LOCALS; i++)
		if (exchange(local, &name, name_length, AF_UNIX, LOCAL, 0))
			return -1;
	return 0;
}

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

static int do_privileged(void)
{
	for (int i = 0; i < ROOTS; i++)
		if (!syscall(SYS_chroot, "/nowhere/missing"))
			return -1;
	for (int i = 0; i < IDS; i++)
		if (syscall(SYS_setresuid, -1, -1, -1))
			return -1;
	for (int i = 0; i < WRITABLE_CODE; i++)
		if (mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return -1;
	for (int i = 0; i < NEW_CODE; i++) {
		void *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_READ | PROT_EXEC))
			return -1;
	}
	for (int i = 0; i < PEEKS; i++) {
		char from = 1, to;
		struct iovec local = {&to, 1}, remote = {&from, 1};

		if (syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0) != 1)
			return -1;
	}
	return 0;
}

int main(void)
{
	char *requests[] = {"ring", "0", "nop", "60"};

	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	if (run_threads() || run_children())
		return 1;
	for (int i = 0; i < FAILURES; i++)
		syscall(SYS_dup, -1);
	call_32_bit_table();
	if (!open_files() || bind_low_ports() || boot_in_vain() || set_own_rights() || do_privileged() || talk() ||
	    ring_main(4, requests))
		return 1;
	return 0;
}
