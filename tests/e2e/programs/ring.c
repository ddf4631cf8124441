/* ring FLAGS [OPERATION COUNT]...: sets up a ring of io_uring with these flags and asks through it for operations, each so often:
 * "nop"; "open", which opens /etc/hostname; "read", which reads a byte of /dev/zero. Prints how many of them succeeded. Ends with 9
 * if there is no io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct io_uring_params params;
static char *submissions, *completions;
static struct io_uring_sqe *entries;
static int ring;

#define AT(area, offset) ((unsigned *)((area) + (offset)))

/* Asks for one, and waits for it; what it returned. */
static int ask(const struct io_uring_sqe *entry)
{
	unsigned tail = *AT(submissions, params.sq_off.tail), at = tail & *AT(submissions, params.sq_off.ring_mask);
	unsigned head = *AT(completions, params.cq_off.head);
	unsigned flags = IORING_ENTER_GETEVENTS | (params.flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0);
	struct io_uring_cqe *completed;

	entries[at] = *entry;
	AT(submissions, params.sq_off.array)[at] = at;
	__atomic_store_n(AT(submissions, params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, flags, NULL, 0) < 0)
		return -errno;
	completed = (struct io_uring_cqe *)(completions + params.cq_off.cqes);
	completed += head & *AT(completions, params.cq_off.ring_mask);
	__atomic_store_n(AT(completions, params.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return completed->res;
}

static int ask_for(const char *operation)
{
	static char byte;
	struct io_uring_sqe entry = {.opcode = IORING_OP_NOP};
	int file, result;

	if (!strcmp(operation, "open")) {
		entry.opcode = IORING_OP_OPENAT;
		entry.fd = AT_FDCWD;
		entry.addr = (unsigned long)"/etc/hostname";
		file = ask(&entry);
		return file < 0 ? file : close(file);
	}
	if (strcmp(operation, "read"))
		return ask(&entry);
	file = open("/dev/zero", O_RDONLY);
	entry.opcode = IORING_OP_READ;
	entry.fd = file;
	entry.addr = (unsigned long)&byte;
	entry.len = 1;
	result = ask(&entry);
	close(file);
	return result;
}

static void *area(size_t bytes, off_t what)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
}

int main(int argc, char **argv)
{
	long done = 0;

	if (argc < 2)
		return 2;
	params.flags = strtoul(argv[1], NULL, 0);
	ring = syscall(SYS_io_uring_setup, 8, &params);
	if (ring < 0)
		return 9;
	submissions = area(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	completions = area(params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	entries = area(params.sq_entries * sizeof(*entries), IORING_OFF_SQES);
	if (submissions == MAP_FAILED || completions == MAP_FAILED || entries == MAP_FAILED)
		return 3;
	for (int i = 2; i + 1 < argc; i += 2)
		for (long left = atol(argv[i + 1]); left > 0; left--)
			done += ask_for(argv[i]) >= 0;
	printf("%ld\n", done);
	return 0;
}
