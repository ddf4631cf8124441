/*
 * files FOLDER : opens files in all the ways in which a path can be hard to tell, and prints what the kernel says each is,
 * read back with readlink(/proc/self/fd/N): one line per open, `PATH<tab>TIMES`, each byte in hexadecimal. The folder must be
 * empty. Needs root: it makes mounts in a mount namespace of its own.
 *
 * After a line `chrooted` come those that were opened below another root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void must(int result, const char *what)
{
	if (result < 0)
		die(what);
}

static void tell(int fd)
{
	char link[64], path[8192];
	ssize_t length;

	sprintf(link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path));
	must(length, "readlink");
	for (ssize_t i = 0; i < length; i++)
		printf("%02x", (unsigned char)path[i]);
	printf("\n");
}

static int opened(int directory, const char *path, int flags)
{
	int fd = openat(directory, path, flags, 0644);

	if (fd < 0)
		die(path);
	tell(fd);
	return fd;
}

static void make(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	must(fd, path);
	tell(fd);
	must(write(fd, "x", 1), "write");
	close(fd);
}

int main(int count, char **arguments)
{
	char name[256], deep[4200], options[1024];
	int fd, directory;

	if (count != 2 || chdir(arguments[1]))
		die("the folder");
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0), "private");

	make("plain");
	must(symlink("plain", "link"), "symlink");
	close(opened(AT_FDCWD, "link", O_RDONLY));
	must(mkdir("sub", 0755), "mkdir");
	close(opened(AT_FDCWD, "sub/../sub/./../link", O_RDONLY));

	directory = opened(AT_FDCWD, "sub", O_RDONLY | O_DIRECTORY);
	fd = openat(directory, "relative", O_CREAT | O_RDWR, 0644);
	must(fd, "relative");
	tell(fd);
	close(fd);
	close(opened(directory, "../plain", O_RDONLY));

	/* Hard links are different paths to one file. */
	must(link("plain", "hard"), "link");
	close(opened(AT_FDCWD, "hard", O_RDONLY));

	/* A bind mount, below which paths are those of the mount point. */
	must(mkdir("bound", 0755), "mkdir");
	must(mount("sub", "bound", 0, MS_BIND, 0), "bind");
	close(opened(AT_FDCWD, "bound/relative", O_RDONLY));
	must(umount("bound"), "umount");

	/* A file system of memory, with both layers of an overlay. */
	must(mkdir("layers", 0755), "mkdir");
	must(mount("none", "layers", "tmpfs", 0, 0), "tmpfs");
	must(mkdir("layers/lower", 0755), "mkdir");
	must(mkdir("layers/upper", 0755), "mkdir");
	must(mkdir("layers/work", 0755), "mkdir");
	must(mkdir("merged", 0755), "mkdir");
	make("layers/lower/below");
	snprintf(options, sizeof(options), "lowerdir=%s/layers/lower,upperdir=%s/layers/upper,workdir=%s/layers/work",
		 arguments[1], arguments[1], arguments[1]);
	must(mount("overlay", "merged", "overlay", 0, options), "overlay");
	close(opened(AT_FDCWD, "merged/below", O_RDONLY));
	close(opened(AT_FDCWD, "merged/below", O_WRONLY));
	make("merged/above");

	close(opened(AT_FDCWD, "/proc/self/status", O_RDONLY));
	close(opened(AT_FDCWD, "/proc/self/root/etc/passwd", O_RDONLY));
	close(opened(AT_FDCWD, "/sys/kernel/mm", O_RDONLY | O_DIRECTORY));
	close(opened(AT_FDCWD, "/dev/null", O_RDWR));

	/* Names are bytes, up to 255 of them. */
	for (int i = 0; i < 255; i++)
		name[i] = i == '/' || i == 0 ? '_' : i;
	name[255] = 0;
	make(name);
	make("two\nlines \x1b[31mred\xff");
	/* Two names that a hash which only multiplies and shifts cannot tell apart. */
	make("harmless-readme.md");
	make("harmles\xf3-rea`me\xaemd");

	/* A pipe with a name. */
	must(mkfifo("pipe", 0600), "mkfifo");
	close(opened(AT_FDCWD, "pipe", O_RDWR));

	/* The same place, and another file system each time, whose number is used again. */
	for (int i = 0; i < 2; i++) {
		const char *place = i ? "second" : "first";

		must(mkdir(place, 0755), "mkdir");
		must(mount("none", place, "tmpfs", 0, 0), "tmpfs");
		must(chdir(place), "chdir");
		make("same");
		must(chdir(".."), "chdir");
		must(umount(place), "umount");
	}

	/* As long as the kernel lets a path be: the working directory goes down, names of 200 bytes. */
	memset(deep, 'd', sizeof(deep));
	deep[200] = 0;
	fd = open(".", O_RDONLY | O_DIRECTORY);
	tell(fd);
	while (1) {
		char where[8192];

		if (!getcwd(where, sizeof(where)))
			die("getcwd");
		if (strlen(where) + 202 + 150 > 4095)
			break;
		must(mkdir(deep, 0755), "mkdir");
		must(chdir(deep), "chdir");
	}
	make("at-the-bottom");
	must(fchdir(fd), "fchdir");
	close(fd);

	/* Renamed while open: the path is that of the open. */
	fd = opened(AT_FDCWD, "plain", O_RDWR);
	must(rename("plain", "renamed"), "rename");
	must(write(fd, "y", 1), "write");
	close(fd);
	close(opened(AT_FDCWD, "renamed", O_RDONLY));
	/* A directory that is renamed: other paths. */
	must(rename("sub", "moved"), "rename");
	close(opened(AT_FDCWD, "moved/relative", O_RDONLY));
	close(opened(directory, "relative", O_RDONLY));

	/* Files without a name. */
	make("gone");
	fd = open("gone", O_RDONLY);
	must(fd, "gone");
	tell(fd);
	must(unlink("gone"), "unlink");
	sprintf(options, "/proc/self/fd/%d", fd);
	close(opened(AT_FDCWD, options, O_RDONLY));
	close(fd);
	fd = memfd_create("secret", 0);
	must(fd, "memfd_create");
	tell(fd);
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	must(fd, "O_TMPFILE");
	tell(fd);
	close(fd);

	printf("chrooted\n");
	must(chroot("moved"), "chroot");
	must(chdir("/"), "chdir");
	fd = open("/relative", O_RDONLY);
	must(fd, "/relative");
	printf("%s\n", "2f72656c6174697665");
	return 0;
}
