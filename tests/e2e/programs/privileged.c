/* Tries privileged operations, each once, in a child of its own, and prints a line "NAME ERRNO" for each, 0 if it was
 * done; first what /proc/self/status says of its rights, in lines "status NAME VALUE".
 *
 * Nothing is done to the machine: what could be is passed arguments that the kernel refuses only after it has asked for
 * the right to do it. Which that are is said at each. /bin/elevated must be this program with the set-user-id bit of
 * root. With one argument it does nothing but end with its effective user id. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOWHERE "/nowhere-at-all"

static long do_mount(void)
{
	return syscall(SYS_mount, "nothing", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "");
}

/* may_mount() comes after the path is looked up: this is a place where nothing is mounted. */
static long do_umount2(void)
{
	return syscall(SYS_umount2, "/bin", MNT_DETACH);
}

/* path_pivot_root(): the right is asked for first. */
static long do_pivot_root(void)
{
	return syscall(SYS_pivot_root, NOWHERE, NOWHERE);
}

static long do_chroot(void)
{
	return syscall(SYS_chroot, "/");
}

static long do_unshare(void)
{
	return syscall(SYS_unshare, CLONE_NEWNS | CLONE_NEWUTS);
}

static long do_setns(void)
{
	return syscall(SYS_setns, open("/proc/self/ns/uts", O_RDONLY), 0);
}

static long do_clone(void)
{
	long child = syscall(SYS_clone, CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0);

	if (!child)
		_exit(0);
	return child;
}

static long do_clone3(void)
{
	struct clone_args args = {.flags = CLONE_NEWUTS, .exit_signal = SIGCHLD};
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (!child)
		_exit(0);
	return child;
}

static long do_ptrace(void)
{
	return syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}

static long do_process_vm_readv(void)
{
	char from = 1, to;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	return syscall(SYS_process_vm_readv, getppid(), &local, 1, &remote, 1, 0);
}

static long do_init_module(void)
{
	return syscall(SYS_init_module, "", 0, "");
}

static long do_finit_module(void)
{
	return syscall(SYS_finit_module, -1, "", 0);
}

static long do_delete_module(void)
{
	return syscall(SYS_delete_module, "no_such_module", O_NONBLOCK);
}

/* kexec_load_check(): the flags are looked at last. */
static long do_kexec_load(void)
{
	return syscall(SYS_kexec_load, 0, 0, 0, 0xfff);
}

/* The magic numbers are looked at only after the right was asked for. */
static long do_reboot(void)
{
	return syscall(SYS_reboot, 0, 0, 0, 0);
}

static long do_bpf(void)
{
	union bpf_attr attr = {.start_id = 0x7fffffff};

	return syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attr, sizeof(attr));
}

static long do_perf_event_open(void)
{
	return syscall(SYS_perf_event_open, 0, 0, -1, -1, 0);
}

static long do_keyctl(void)
{
	return syscall(SYS_keyctl, 11, 0x7fffffff, 0, 0); /* KEYCTL_READ */
}

static long do_setuid(void)
{
	return syscall(SYS_setuid, 65533);
}

static long do_setgid(void)
{
	return syscall(SYS_setgid, 65533);
}

static long do_setresuid(void)
{
	return syscall(SYS_setresuid, -1, 65532, -1);
}

static long do_setgroups(void)
{
	return syscall(SYS_setgroups, 0, 0);
}

static long do_capset(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {};

	return syscall(SYS_capset, &header, data);
}

static long do_prctl(void)
{
	return syscall(SYS_prctl, PR_CAPBSET_DROP, 35, 0, 0, 0);
}

static long do_seccomp(void)
{
	return syscall(SYS_seccomp, 1, 0xffff, 0); /* SECCOMP_SET_MODE_FILTER */
}

/* do_sys_settimeofday64(): a time zone is looked at after the right was asked for. */
static long do_settimeofday(void)
{
	struct timezone zone = {.tz_minuteswest = 99999};

	return syscall(SYS_settimeofday, 0, &zone);
}

/* timekeeping_validate_timex(): so is the length of a tick. */
static long do_adjtimex(void)
{
	struct timex change = {.modes = ADJ_TICK, .tick = 1};

	return syscall(SYS_adjtimex, &change);
}

static long do_swapon(void)
{
	return syscall(SYS_swapon, NOWHERE, 0);
}

static long do_swapoff(void)
{
	return syscall(SYS_swapoff, NOWHERE);
}

static long do_acct(void)
{
	return syscall(SYS_acct, NOWHERE);
}

static long do_sethostname(void)
{
	return syscall(SYS_sethostname, "renamed-and-what-follows", 7);
}

static long do_open_by_handle_at(void)
{
	return syscall(SYS_open_by_handle_at, AT_FDCWD, 0, O_RDONLY);
}

static long do_io_uring_setup(void)
{
	return syscall(SYS_io_uring_setup, 1, 0);
}

static long do_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, O_CLOEXEC);
}

static long do_mmap(void)
{
	return syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long do_mprotect(void)
{
	void *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return syscall(SYS_mprotect, memory, 4096, PROT_READ | PROT_EXEC);
}

static long do_memfd_create(void)
{
	return syscall(SYS_memfd_create, "only-made", MFD_CLOEXEC);
}

static const struct {
	const char *name;
	long (*run)(void);
} deeds[] = {
	{"mount", do_mount},
	{"umount2", do_umount2},
	{"pivot_root", do_pivot_root},
	{"chroot", do_chroot},
	{"unshare", do_unshare},
	{"setns", do_setns},
	{"clone", do_clone},
	{"clone3", do_clone3},
	{"ptrace", do_ptrace},
	{"process_vm_readv", do_process_vm_readv},
	{"init_module", do_init_module},
	{"finit_module", do_finit_module},
	{"delete_module", do_delete_module},
	{"kexec_load", do_kexec_load},
	{"reboot", do_reboot},
	{"bpf", do_bpf},
	{"perf_event_open", do_perf_event_open},
	{"keyctl", do_keyctl},
	{"setuid", do_setuid},
	{"setgid", do_setgid},
	{"setresuid", do_setresuid},
	{"setgroups", do_setgroups},
	{"capset", do_capset},
	{"prctl", do_prctl},
	{"seccomp", do_seccomp},
	{"settimeofday", do_settimeofday},
	{"adjtimex", do_adjtimex},
	{"swapon", do_swapon},
	{"swapoff", do_swapoff},
	{"acct", do_acct},
	{"sethostname", do_sethostname},
	{"open_by_handle_at", do_open_by_handle_at},
	{"io_uring_setup", do_io_uring_setup},
	{"userfaultfd", do_userfaultfd},
	{"mmap", do_mmap},
	{"mprotect", do_mprotect},
	{"memfd_create", do_memfd_create},
};

static void print_status(void)
{
	static const char *const names[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
	FILE *status = fopen("/proc/self/status", "r");
	char name[64], value[64], line[256];

	while (status && fgets(line, sizeof(line), status))
		for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (sscanf(line, "%63s %63s", name, value) == 2 && !strcmp(name, names[i]))
				printf("status %.*s %s\n", (int)strlen(name) - 1, name, value);
	if (status)
		fclose(status);
}

static int end_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 255;
	return WEXITSTATUS(status);
}

/* Runs itself out of memory; gives what that ended with. */
static int run_from_memory(void)
{
	pid_t child = fork();

	if (!child) {
		char *const args[] = {"from-memory", "end", 0}, *const none[] = {0};
		int own = open("/proc/self/exe", O_RDONLY), copy = memfd_create("copied", MFD_CLOEXEC);

		while (sendfile(copy, own, 0, 1 << 20) > 0)
			;
		syscall(SYS_execveat, copy, "", args, none, AT_EMPTY_PATH);
		_exit(254);
	}
	return end_of(child);
}

/* As another user, starts the program that is to run as root; gives the user that it ran as, or how it failed. */
static int run_elevated(void)
{
	pid_t child = fork();

	if (!child) {
		if (syscall(SYS_setresuid, 77, 77, 77))
			_exit(253);
		execl("/bin/elevated", "elevated", "end", (char *)0);
		_exit(254);
	}
	return end_of(child);
}

int main(int count, char **args)
{
	(void)args;
	if (count > 1)
		return (int)geteuid();
	setbuf(stdout, 0);
	print_status();
	for (unsigned int i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(deeds[i].run() < 0 ? errno : 0);
		printf("%s %d\n", deeds[i].name, end_of(child));
	}
	printf("from-memory %d\n", run_from_memory());
	printf("elevated %d\n", run_elevated());
	return 0;
}
