/* short FILE...: writes itself into these cgroup.procs files and becomes /proc/self/exe without arguments, which ends at
 * once: the life of a container of a few milliseconds. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *none[] = {argv[0], 0};

	if (argc == 1)
		return 0;
	for (int i = 1; i < argc; i++) {
		int file = open(argv[i], O_WRONLY);

		if (file < 0 || write(file, "0", 1) != 1)
			return 9;
		close(file);
	}
	execv("/proc/self/exe", none);
	return 9;
}
