/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Privileged operations: what a container does, or tries to do, that concerns more than its own processes and files,
 * and with which rights its programs run.
 */

#include "privileged/confinement.h"
#include "privileged/operations.h"
#include "privileged/rings.h"
#include "privileged/targets.h"
#include "path.h"

/* What a call is about. */
enum target_kind {
	TARGET_NONE,
	TARGET_THREAD,
	TARGET_PROCESS, /* or, by a negative number, a group */
	TARGET_DESCRIPTOR,
};

/* Which of a call's arguments say what; each is the argument's position, plus 1. */
struct call_shape {
	u8 details[2];
	/* What it is done to, what with, and of which type. */
	u8 texts[PRIVILEGED_TEXTS];
	u8 target;
	u8 target_kind;
	bool changes_confinement;
};

/* clang-format off */
static const struct call_shape shapes[PRIVILEGED_OPERATIONS] = {
	[PRIVILEGED_MOUNT] = {.details = {4}, .texts = {2, 1, 3}},
	[PRIVILEGED_UMOUNT] = {.texts = {1}},
	[PRIVILEGED_UMOUNT2] = {.details = {2}, .texts = {1}},
	[PRIVILEGED_PIVOT_ROOT] = {.texts = {1, 2}},
	[PRIVILEGED_CHROOT] = {.texts = {1}},
	[PRIVILEGED_FSOPEN] = {.texts = {0, 0, 1}},
	[PRIVILEGED_FSMOUNT] = {.details = {3}},
	[PRIVILEGED_MOVE_MOUNT] = {.details = {5}, .texts = {4, 2}},
	[PRIVILEGED_OPEN_TREE] = {.details = {3}, .texts = {2}},
	[PRIVILEGED_MOUNT_SETATTR] = {.details = {3}, .texts = {2}},
	[PRIVILEGED_UNSHARE] = {.details = {1}, .changes_confinement = true},
	[PRIVILEGED_SETNS] = {.details = {2}, .changes_confinement = true},
	[PRIVILEGED_CLONE] = {.details = {1}},
	[PRIVILEGED_PTRACE] = {.details = {1}, .target = 2, .target_kind = TARGET_THREAD},
	[PRIVILEGED_PROCESS_VM_READV] = {.target = 1, .target_kind = TARGET_THREAD},
	[PRIVILEGED_PROCESS_VM_WRITEV] = {.target = 1, .target_kind = TARGET_THREAD},
	[PRIVILEGED_PIDFD_GETFD] = {.target = 1, .target_kind = TARGET_DESCRIPTOR},
	[PRIVILEGED_KCMP] = {.target = 2, .target_kind = TARGET_THREAD},
	[PRIVILEGED_KILL] = {.details = {2}, .target = 1, .target_kind = TARGET_PROCESS},
	[PRIVILEGED_TKILL] = {.details = {2}, .target = 1, .target_kind = TARGET_THREAD},
	[PRIVILEGED_TGKILL] = {.details = {3}, .target = 2, .target_kind = TARGET_THREAD},
	[PRIVILEGED_RT_SIGQUEUEINFO] = {.details = {2}, .target = 1, .target_kind = TARGET_THREAD},
	[PRIVILEGED_RT_TGSIGQUEUEINFO] = {.details = {3}, .target = 2, .target_kind = TARGET_THREAD},
	[PRIVILEGED_PIDFD_SEND_SIGNAL] = {.details = {2}, .target = 1, .target_kind = TARGET_DESCRIPTOR},
	[PRIVILEGED_DELETE_MODULE] = {.texts = {1}},
	[PRIVILEGED_KEXEC_LOAD] = {.details = {4}},
	[PRIVILEGED_KEXEC_FILE_LOAD] = {.details = {5}},
	[PRIVILEGED_REBOOT] = {.details = {3}},
	[PRIVILEGED_BPF] = {.details = {1}},
	[PRIVILEGED_KEYCTL] = {.details = {1}},
	[PRIVILEGED_ADD_KEY] = {.texts = {2, 0, 1}},
	[PRIVILEGED_REQUEST_KEY] = {.texts = {2, 0, 1}},
	[PRIVILEGED_SETUID] = {.details = {1}, .changes_confinement = true},
	[PRIVILEGED_SETGID] = {.details = {1}, .changes_confinement = true},
	[PRIVILEGED_SETREUID] = {.details = {1, 2}, .changes_confinement = true},
	[PRIVILEGED_SETREGID] = {.details = {1, 2}, .changes_confinement = true},
	[PRIVILEGED_SETRESUID] = {.details = {1, 2}, .changes_confinement = true},
	[PRIVILEGED_SETRESGID] = {.details = {1, 2}, .changes_confinement = true},
	[PRIVILEGED_SETFSUID] = {.details = {1}},
	[PRIVILEGED_SETFSGID] = {.details = {1}},
	[PRIVILEGED_SETGROUPS] = {.details = {1}},
	[PRIVILEGED_CAPSET] = {.changes_confinement = true},
	[PRIVILEGED_PRCTL] = {.details = {1, 2}, .changes_confinement = true},
	[PRIVILEGED_SECCOMP] = {.details = {1, 2}, .changes_confinement = true},
	[PRIVILEGED_CLOCK_SETTIME] = {.details = {1}},
	[PRIVILEGED_CLOCK_ADJTIME] = {.details = {1}},
	[PRIVILEGED_SWAPON] = {.details = {2}, .texts = {1}},
	[PRIVILEGED_SWAPOFF] = {.texts = {1}},
	[PRIVILEGED_QUOTACTL] = {.details = {1}, .texts = {2}},
	[PRIVILEGED_QUOTACTL_FD] = {.details = {2}},
	[PRIVILEGED_ACCT] = {.texts = {1}},
	[PRIVILEGED_SYSLOG] = {.details = {1}},
	[PRIVILEGED_SETHOSTNAME] = {.texts = {1}},
	[PRIVILEGED_SETDOMAINNAME] = {.texts = {1}},
	[PRIVILEGED_IOPL] = {.details = {1}},
	[PRIVILEGED_FANOTIFY_INIT] = {.details = {1}},
	[PRIVILEGED_IO_URING_REGISTER] = {.details = {2}},
	[PRIVILEGED_USERFAULTFD] = {.details = {1}},
	[PRIVILEGED_MEMFD_CREATE] = {.details = {2}, .texts = {1}},
};
/* clang-format on */

/* include/uapi/linux/sched.h (6.18). In clone(2) the lowest byte is a signal, in clone3(2) it may be CLONE_NEWTIME. */
#define CLONE_NEW_NAMESPACES 0x7e020000
#define CLONE_NEWTIME	     0x80

/* include/uapi/linux/mount.h (6.18): what programs of old passed along, and the kernel ignores. */
#define MS_MGC_MASK 0xffff0000
#define MS_MGC_VAL  0xc0ed0000

/* include/uapi/linux/prctl.h (6.18) */
enum watched_option {
	OPTION_SET_DUMPABLE = 4,
	OPTION_SET_KEEPCAPS = 8,
	OPTION_SET_SECCOMP = 22,
	OPTION_CAPBSET_DROP = 24,
	OPTION_SET_SECUREBITS = 28,
	OPTION_SET_MM = 35,
	OPTION_SET_NO_NEW_PRIVS = 38,
	OPTION_CAP_AMBIENT = 47,
	OPTION_SET_MDWE = 65,
	OPTION_SET_PTRACER = 0x59616d61,
};

/* Where in struct io_uring_params its flags are: include/uapi/linux/io_uring.h (6.18). */
#define IO_URING_FLAGS 8

static __always_inline u32 word_of_user(u64 address)
{
	u32 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

static __always_inline bool is_watched_option(u32 option)
{
	switch (option) {
	case OPTION_SET_DUMPABLE:
	case OPTION_SET_KEEPCAPS:
	case OPTION_SET_SECCOMP:
	case OPTION_CAPBSET_DROP:
	case OPTION_SET_SECUREBITS:
	case OPTION_SET_MM:
	case OPTION_SET_NO_NEW_PRIVS:
	case OPTION_CAP_AMBIENT:
	case OPTION_SET_MDWE:
	case OPTION_SET_PTRACER:
		return true;
	default:
		return false;
	}
}

#if OLD_KERNEL

static __always_inline u32 kind_of_memory(u64 address)
{
	return MEMORY_UNKNOWN;
}

#else

static long on_memory(struct task_struct *task, struct vm_area_struct *area, u32 *kind)
{
	*kind = BPF_CORE_READ(area, vm_file) ? 0 : MEMORY_ANONYMOUS;
	return 0;
}

/* Another thread may be changing the mappings: then it is not known. */
static __always_inline u32 kind_of_memory(u64 address)
{
	u32 kind = MEMORY_UNKNOWN;

	bpf_find_vma(bpf_get_current_task_btf(), address, on_memory, &kind, 0);
	return kind;
}

#endif

/* What is remarkable about memory that is made executable; 0: nothing is. */
static __always_inline u32 executable_memory(const struct privileged_work *work)
{
	u32 kind = work->arguments[2] & PROT_WRITE ? MEMORY_WRITABLE : 0;

	if (work->key.operation == PRIVILEGED_MPROTECT)
		return kind | kind_of_memory(work->arguments[0]);
	return kind | (work->arguments[3] & MAP_ANONYMOUS ? MEMORY_ANONYMOUS : 0);
}

/* 6.18 and later. */
struct ns_common___typed {
	u32 ns_type;
} __attribute__((preserve_access_index));

/* The type of namespace that is entered by a descriptor whose type the program left open. */
static __always_inline u32 type_of_namespace(u32 descriptor)
{
	struct file *file = file_at(current_task(), descriptor);
	struct ns_common___typed *typed;
	struct ns_common *namespace;

	if (!file)
		return 0;
	namespace = BPF_CORE_READ(file, f_inode, i_private);
	typed = (void *)namespace;
	if (bpf_core_field_exists(typed->ns_type))
		return BPF_CORE_READ(typed, ns_type);
	return BPF_CORE_READ(namespace, ops, type);
}

/* The first detail of calls whose arguments alone do not say it. False: the call is nothing to note. */
static __always_inline bool look_closer(const struct privileged_work *work, u32 *detail)
{
	switch (work->key.operation) {
	case PRIVILEGED_CLONE:
		*detail &= CLONE_NEW_NAMESPACES;
		break;
	case PRIVILEGED_CLONE3:
		*detail = word_of_user(work->arguments[0]) & (CLONE_NEW_NAMESPACES | CLONE_NEWTIME);
		break;
	case PRIVILEGED_PRCTL:
		return is_watched_option(*detail);
	case PRIVILEGED_MMAP:
	case PRIVILEGED_MPROTECT:
		*detail = executable_memory(work);
		return *detail;
	case PRIVILEGED_ADJTIMEX:
		*detail = word_of_user(work->arguments[0]);
		return *detail;
	case PRIVILEGED_CLOCK_ADJTIME:
		return word_of_user(work->arguments[1]);
	case PRIVILEGED_MOUNT:
		if ((*detail & MS_MGC_MASK) == MS_MGC_VAL)
			*detail &= ~MS_MGC_MASK;
		return true;
	case PRIVILEGED_SETNS:
		if (!*detail)
			*detail = type_of_namespace(work->arguments[0]);
		return true;
	case PRIVILEGED_PERF_EVENT_OPEN:
		*detail = word_of_user(work->arguments[0]);
		return true;
	case PRIVILEGED_IO_URING_SETUP:
		*detail = word_of_user(work->arguments[1] + IO_URING_FLAGS);
		return true;
	default:
		return true;
	}
	/* A child that comes out of clone() has made nothing itself. */
	return *detail && work->result;
}

/* Finds whom the call is about. False: it is a signal that does not leave the container. */
static __always_inline bool find_target(struct privileged_work *work, u32 number, u32 target_kind)
{
	bool is_signal = work->key.operation >= FIRST_SIGNAL && work->key.operation <= LAST_SIGNAL;
	struct task_struct *task = current_task();
	u32 kind = OF_THREAD;
	u64 target;

	if (target_kind == TARGET_PROCESS) {
		kind = OF_PROCESS;
		/* Everybody: who is out of reach of one who sees only his own container. */
		if (number == (u32)-1)
			return !BPF_CORE_READ(task, thread_pid, level);
		if ((s32)number < 0) {
			kind = OF_GROUP;
			number = -number;
		}
	}
	target = target_kind == TARGET_DESCRIPTOR ? task_by_descriptor(task, number) : task_by_number(number, kind);
	if (!target)
		return !is_signal;
	set_target(work, target);
	return !is_signal || work->key.target_slot != work->key.slot;
}

/* The argument at this position, plus 1. */
static __always_inline u64 argument_of_work(const struct privileged_work *work, u32 position)
{
	u64 at = position - 1;

	barrier_var(at); /* the verifier must see the very number that is checked */
	if (at >= CALL_ARGUMENTS)
		return 0;
	barrier_var(at); /* nor may the place be calculated before it is */
	return work->arguments[at];
}

/* Not static, so that the verifier looks at it once, whatever the call is. */
__noinline int handle_privileged(void)
{
	struct privileged_work *work = privileged_work();
	const struct call_shape *shape;
	u64 operation;
	u32 detail;

	if (!work)
		return 0;
	operation = work->key.operation;
	barrier_var(operation);
	if (operation >= PRIVILEGED_OPERATIONS)
		return 0;
	barrier_var(operation);
	shape = &shapes[operation];
	detail = argument_of_work(work, shape->details[0]);
	if (!look_closer(work, &detail))
		return 0;
	work->key.details[0] = detail;
	work->key.details[1] = argument_of_work(work, shape->details[1]);
	if (shape->target && !find_target(work, argument_of_work(work, shape->target), shape->target_kind))
		return 0;
	if (operation == PRIVILEGED_SETHOSTNAME || operation == PRIVILEGED_SETDOMAINNAME)
		work->counted_bytes = work->arguments[1];
	for (u32 i = 0; i < PRIVILEGED_TEXTS; i++) {
		work->texts[i] = argument_of_work(work, shape->texts[i]);
		if (work->texts[i])
			read_privileged_text(i);
	}
	if (operation >= FIRST_OF_IDS && operation <= LAST_OF_IDS && !work->key.errno) {
		compare_ids();
		hash_privileged_ids();
	}
	book_privileged();
	/* A runtime gives up its rights one by one: what counts is what it starts programs with. */
	if (shape->changes_confinement && !work->key.errno && work->key.phase != PHASE_RUNTIME_INIT)
		book_confinement(work->key.slot, work->key.phase);
	return 0;
}

/* Calls that are made all the time, and are hardly ever of interest. */
static __always_inline bool is_ordinary(struct returned_call *call, u32 operation)
{
	if (operation == PRIVILEGED_MMAP && call->table == TABLE_X86 && call->number == X86_OLD_MMAP)
		return true; /* it takes a struct, which is not read */
	if (operation == PRIVILEGED_MMAP || operation == PRIVILEGED_MPROTECT)
		return !(call_argument(call->registers, call->table, 2) & PROT_EXEC);
	return operation == PRIVILEGED_CLONE &&
	       !(call_argument(call->registers, call->table, 0) & CLONE_NEW_NAMESPACES);
}

ON_RETURN(privileged)
{
	u32 operation = name_of_call(call, SENSOR_privileged);
	struct privileged_work *work;

	if (is_ordinary(call, operation))
		return 0;
	work = begin_privileged(call->note, operation);
	if (!work)
		return 0;
	work->key.errno = call->errno;
	work->result = call->result;
	call_arguments(call->registers, call->table, work->arguments);
	return handle_privileged();
}

/* include/uapi/linux/stat.h (6.18) */
#define S_ISUID 0004000
#define S_ISGID 0002000

/* Where the rights of the new program come from that whoever started it has not. */
static __always_inline u32 elevation_of(struct file *program, const struct task_ids *ids)
{
	u32 mode = BPF_CORE_READ(program, f_inode, i_mode), by = 0;

	if (ids->euid != ids->uid)
		by |= mode & S_ISUID ? ELEVATED_BY_SET_USER_ID : ELEVATED_BEFORE;
	if (ids->egid != ids->gid)
		by |= mode & S_ISGID ? ELEVATED_BY_SET_GROUP_ID : ELEVATED_BEFORE;
	return by ?: ELEVATED_BY_FILE_CAPABILITIES;
}

HOOK("sched_process_exec", on_exec_privileged, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_note *note = current_note(task);
	struct privileged_work *work;
	struct dentry *dentry;
	struct file *program;

	if (!note)
		return 0;
	book_confinement(note->slot, note->phase);
	program = BPF_CORE_READ(task, mm, exe_file);
	work = begin_privileged(note, PRIVILEGED_EXEC_ELEVATED);
	if (!work || !program)
		return 0;
	compare_ids();
	if (BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec)) {
		work->key.details[0] = elevation_of(program, &work->state.after);
		hash_privileged_ids();
		book_privileged();
	}
	dentry = BPF_CORE_READ(program, f_path.dentry);
	if (!is_memfd(dentry))
		return 0;
	work = begin_privileged(note, PRIVILEGED_EXEC_MEMFD);
	if (!work)
		return 0;
	work->is_kernels = true;
	work->texts[0] = (u64)BPF_CORE_READ(dentry, d_name.name) + MEMFD_PREFIX_BYTES;
	read_privileged_text(0);
	book_privileged();
	return 0;
}

/* So that the first change of ids by a child has a before. */
HOOK("sched_process_fork", on_fork_privileged, struct task_struct *parent, struct task_struct *child)
{
	if (note_of_child(child))
		remember_ids(child);
	return 0;
}
