/* Makes system calls one after another and says what became of each: every argument is NAME[:ARGUMENT[,ARGUMENT...]], and a line
 * of the output has it and the errno, 0 if there was none. NAME/32 is made by int 0x80, and nothing on other machines than
 * x86_64. A child that a call makes ends at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS = 6 };

static const struct {
	const char *name;
	long number, number_of_32_bit;
} calls[] = {
	{"bpf", SYS_bpf, 357},		     {"clone", SYS_clone, 120},	  {"clone3", SYS_clone3, 435},
	{"fcntl", SYS_fcntl, 55},	     {"ioctl", SYS_ioctl, 54},	  {"keyctl", SYS_keyctl, 288},
	{"madvise", SYS_madvise, 219},	     {"mmap", SYS_mmap, 192},	  {"mprotect", SYS_mprotect, 125},
	{"personality", SYS_personality, 136}, {"prctl", SYS_prctl, 172}, {"setns", SYS_setns, 346},
	{"socket", SYS_socket, 359},	     {"unshare", SYS_unshare, 310},
};

static long make(long number, int is_32_bit, const unsigned long *of)
{
	if (!is_32_bit)
		return syscall(number, of[0], of[1], of[2], of[3], of[4], of[5]);
#ifdef __x86_64__
	long result = number;

	__asm__ volatile("int $0x80" : "+a"(result) : "b"(of[0]), "c"(of[1]), "d"(of[2]) : "memory", "r8", "r9", "r10", "r11");
	if (result >= 0)
		return result;
	errno = -result;
#endif
	return -1;
}

int main(int count, char **words)
{
	for (int at = 1; at < count; at++) {
		unsigned long arguments[ARGUMENTS] = {0};
		size_t length = strcspn(words[at], "/:");
		char *rest = words[at] + length;
		int is_32_bit = !strncmp(rest, "/32", 3), made = 0;
		long result = -1;

		if (is_32_bit)
			rest += 3;
		for (int i = 0; i < ARGUMENTS && (*rest == ':' || *rest == ','); i++)
			arguments[i] = strtoul(rest + 1, &rest, 0);
		/* Nothing comes between two calls, unless what was printed would be printed by a child, too. */
		if (!strncmp(words[at], "clone", 5))
			fflush(stdout);
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			if (strlen(calls[i].name) != length || strncmp(calls[i].name, words[at], length))
				continue;
			errno = 0;
			made = 1;
			result = make(is_32_bit ? calls[i].number_of_32_bit : calls[i].number, is_32_bit, arguments);
			if (!result && !strncmp(words[at], "clone", 5))
				_exit(0);
		}
		if (!made)
			return 2;
		printf("%s %d\n", words[at], result == -1 ? errno : 0);
		if (!strncmp(words[at], "clone", 5))
			while (wait(NULL) > 0)
				;
	}
	return 0;
}
