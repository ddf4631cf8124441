/* Makes system calls one after another and says what became of each: every argument is NUMBER[:ARGUMENT[,ARGUMENT...]], and a line
 * of the output has it and the errno, 0 if there was none. A child that a call makes ends at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS = 6 };

int main(int count, char **words)
{
	for (int at = 1; at < count; at++) {
		unsigned long arguments[ARGUMENTS] = {0};
		char *rest;
		long number = strtol(words[at], &rest, 0), result;

		for (int i = 0; i < ARGUMENTS && (*rest == ':' || *rest == ','); i++)
			arguments[i] = strtoul(rest + 1, &rest, 0);
		fflush(stdout);
		errno = 0;
		result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
				 arguments[5]);
		if (!result && (number == SYS_clone || number == SYS_clone3))
			_exit(0);
		printf("%s %d\n", words[at], result == -1 ? errno : 0);
		if (number == SYS_clone)
			while (wait(NULL) > 0)
				;
	}
	return 0;
}
