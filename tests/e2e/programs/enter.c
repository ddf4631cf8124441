/* enter PROCS-FILE… -- PROGRAM ARG…: joins the cgroups by writing to their cgroup.procs, then execs PROGRAM. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--"); i++) {
		int fd = open(argv[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1) {
			perror(argv[i]);
			return 9;
		}
		close(fd);
	}
	if (i + 1 >= argc)
		return 2;
	execv(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 127;
}
