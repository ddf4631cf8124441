/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files: what is opened, read, written, mapped and run, by the path that the kernel resolved; and what is done to
 * names.
 *
 * All of it is a set: only the first use of a path, or of a name, is told. What it came to is read from the maps.
 */

#include "calls.h"
#include "files/loader.h"
#include "files/names.h"
#include "files/walks.h"

/* What a call does with files; files/mod.rs says which call that is. */
enum files_call {
	FILES_CALL_NONE,
	FILES_CALL_OPEN,	/* path, flags */
	FILES_CALL_CREAT,	/* path */
	FILES_CALL_OPENAT,	/* directory, path, flags */
	FILES_CALL_OPENAT2,	/* directory, path, a struct that begins with flags */
	FILES_CALL_OPEN_HANDLE, /* mount, handle */
	FILES_CALL_MEMFD,
	FILES_CALL_READ,
	FILES_CALL_WRITE,
	FILES_CALL_LIST,
	FILES_CALL_SENDFILE, /* to, from */
	FILES_CALL_COPY,     /* from, offset, to */
	FILES_CALL_MMAP,     /* address, length, protection, flags, descriptor */
	FILES_CALL_FTRUNCATE,
	FILES_CALL_FCHMOD,
	FILES_CALL_FCHOWN,
	FILES_CALL_UNLINK,
	FILES_CALL_UNLINKAT,
	FILES_CALL_RENAME,
	FILES_CALL_RENAMEAT,
	FILES_CALL_LINK,
	FILES_CALL_LINKAT,
	FILES_CALL_SYMLINK,
	FILES_CALL_SYMLINKAT,
	FILES_CALL_MKDIR,
	FILES_CALL_MKDIRAT,
	FILES_CALL_MKNOD,
	FILES_CALL_MKNODAT,
	FILES_CALL_CHMOD,
	FILES_CALL_FCHMODAT,
	FILES_CALL_CHOWN,
	FILES_CALL_FCHOWNAT,
	FILES_CALL_TRUNCATE,
};
EXPORT(enum, files_call);

#define BIT(access) (1U << ACCESS_##access)

/* include/linux/fs.h (6.18) */
#define FMODE_READ    0x1
#define FMODE_WRITE   0x2
#define FMODE_PATH    0x4000
#define FMODE_CREATED 0x100000

/* The same on x86 and arm, 32 and 64 bits: include/uapi/asm-generic/fcntl.h (6.18) */
#define O_TRUNC	      00001000
#define O_TMPFILE_BIT 020000000

/* include/uapi/asm-generic/mman-common.h and include/uapi/linux/mman.h (6.18) */
#define PROT_READ     0x1
#define PROT_WRITE    0x2
#define PROT_EXEC     0x4
#define MAP_SHARED    0x01
#define MAP_TYPE      0x0f
#define MAP_ANONYMOUS 0x20

/* arch/x86/entry/syscalls/syscall_32.tbl (6.18) */
#define X86_OLD_MMAP 90

/* The file has forgotten some of the flags that the program passed: do_dentry_open() in fs/open.c (6.18). */
static __always_inline u32 accesses_of_open(struct file *file, u32 flags)
{
	u32 mode = (u32)PEEK(file, f_mode), accesses = 0;

	if (mode & FMODE_PATH)
		return BIT(OPENED_AS_PATH);
	if (mode & FMODE_READ)
		accesses |= BIT(OPENED_TO_READ);
	if (mode & FMODE_WRITE)
		accesses |= BIT(OPENED_TO_WRITE);
	if (mode & FMODE_CREATED || (flags & O_TMPFILE_BIT))
		accesses |= BIT(CREATED);
	else if (flags & O_TRUNC)
		accesses |= BIT(TRUNCATED);
	return accesses;
}

static __always_inline u32 accesses_of_mapping(u64 protection, u64 flags)
{
	u32 accesses = 0;

	if (protection & PROT_READ)
		accesses |= BIT(READ);
	/* MAP_SHARED and MAP_SHARED_VALIDATE */
	if (protection & PROT_WRITE && flags & MAP_SHARED)
		accesses |= BIT(WRITTEN);
	if (protection & PROT_EXEC)
		accesses |= BIT(MAPPED_TO_EXECUTE);
	return accesses;
}

#define ARGUMENT(position) call_argument(call->registers, call->table, position)

static __always_inline void use_descriptor(struct returned_call *call, struct files_work *work, u32 descriptor)
{
	struct file *file = file_at(call->task, descriptor);

	if (!file) {
		/* Another thread has closed it already. */
		if (work->deed.is_open)
			count_lost_entries(work->slot, SENSOR_files, 1);
		return;
	}
	if (work->deed.is_open)
		work->deed.accesses |= accesses_of_open(file, work->deed.flags);
	use_file(address_of(file));
}

static __always_inline struct files_work *begin_work(const struct task_note *note)
{
	struct slot_state *slot = slot_at(note->slot);
	struct files_work *work = files_work();

	/* The slot has a new owner, and this task is none of its. */
	if (!work || !slot || slot->generation != note->generation)
		return 0;
	work->slot = note->slot;
	work->generation = note->generation;
	work->phase = note->phase;
	__builtin_memset(&work->deed, 0, sizeof(work->deed));
	return work;
}

static __always_inline void pass(struct passed_name *name, u64 text)
{
	name->text = text;
	name->is_there = true;
}

/* Calls by name. Unlike those by descriptor they are also looked at when they fail. */
static __noinline int use_names(struct returned_call *call, struct files_work *work, u32 what)
{
	struct name_deed deed = {
		.first.descriptor = AT_FDCWD,
		.second.descriptor = AT_FDCWD,
		.errno = call->errno,
	};

	switch (what) {
	case FILES_CALL_OPEN:
	case FILES_CALL_CREAT:
		deed.operation = NAME_OPENED;
		pass(&deed.first, ARGUMENT(0));
		break;
	case FILES_CALL_OPENAT:
	case FILES_CALL_OPENAT2:
		deed.operation = NAME_OPENED;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		break;
	case FILES_CALL_UNLINK:
		deed.operation = NAME_DELETED;
		pass(&deed.first, ARGUMENT(0));
		break;
	case FILES_CALL_UNLINKAT:
		deed.operation = NAME_DELETED;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		break;
	case FILES_CALL_RENAME:
		deed.operation = NAME_RENAMED;
		pass(&deed.first, ARGUMENT(0));
		pass(&deed.second, ARGUMENT(1));
		break;
	case FILES_CALL_RENAMEAT:
		deed.operation = NAME_RENAMED;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		deed.second.descriptor = ARGUMENT(2);
		pass(&deed.second, ARGUMENT(3));
		break;
	case FILES_CALL_LINK:
		deed.operation = NAME_LINKED;
		pass(&deed.first, ARGUMENT(0));
		pass(&deed.second, ARGUMENT(1));
		break;
	case FILES_CALL_LINKAT:
		deed.operation = NAME_LINKED;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		deed.second.descriptor = ARGUMENT(2);
		pass(&deed.second, ARGUMENT(3));
		break;
	case FILES_CALL_SYMLINK:
		deed.operation = NAME_SYMLINKED;
		pass(&deed.first, ARGUMENT(0));
		pass(&deed.second, ARGUMENT(1));
		break;
	case FILES_CALL_SYMLINKAT:
		deed.operation = NAME_SYMLINKED;
		pass(&deed.first, ARGUMENT(0));
		deed.second.descriptor = ARGUMENT(1);
		pass(&deed.second, ARGUMENT(2));
		break;
	case FILES_CALL_MKDIR:
		deed.operation = NAME_DIRECTORY_MADE;
		pass(&deed.first, ARGUMENT(0));
		break;
	case FILES_CALL_MKDIRAT:
		deed.operation = NAME_DIRECTORY_MADE;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		break;
	case FILES_CALL_MKNOD:
		deed.operation = NAME_NODE_MADE;
		pass(&deed.first, ARGUMENT(0));
		break;
	case FILES_CALL_MKNODAT:
		deed.operation = NAME_NODE_MADE;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		break;
	case FILES_CALL_CHMOD:
		deed.operation = NAME_MODE_CHANGED;
		pass(&deed.first, ARGUMENT(0));
		break;
	case FILES_CALL_FCHMODAT:
		deed.operation = NAME_MODE_CHANGED;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		break;
	case FILES_CALL_CHOWN:
		deed.operation = NAME_OWNER_CHANGED;
		pass(&deed.first, ARGUMENT(0));
		break;
	case FILES_CALL_FCHOWNAT:
		deed.operation = NAME_OWNER_CHANGED;
		deed.first.descriptor = ARGUMENT(0);
		pass(&deed.first, ARGUMENT(1));
		break;
	case FILES_CALL_TRUNCATE:
		deed.operation = NAME_TRUNCATED;
		pass(&deed.first, ARGUMENT(0));
		break;
	default:
		return 0;
	}
	work->names = deed;
	return use_name();
}

ON_RETURN(files)
{
	u32 what = name_of_call(call, SENSOR_files);
	struct files_work *work = begin_work(call->note);
	s64 result = call->result;
	u32 descriptor, second = -1;
	struct deed *deed;
	u64 flags;

	if (!work)
		return 0;
	deed = &work->deed;
	if (what >= FILES_CALL_UNLINK || call->errno)
		return use_names(call, work, what);
	descriptor = ARGUMENT(0);
	switch (what) {
	case FILES_CALL_OPENAT:
	case FILES_CALL_OPENAT2:
		deed->is_open = true;
		deed->argument = ARGUMENT(1);
		deed->flags = ARGUMENT(2);
		if (what == FILES_CALL_OPENAT2)
			bpf_probe_read_user(&deed->flags, sizeof(deed->flags), (void *)ARGUMENT(2));
		descriptor = result;
		break;
	case FILES_CALL_OPEN:
	case FILES_CALL_CREAT:
	case FILES_CALL_MEMFD:
		deed->is_open = true;
		deed->argument = ARGUMENT(0);
		if (what == FILES_CALL_OPEN)
			deed->flags = ARGUMENT(1);
		if (what == FILES_CALL_CREAT)
			deed->flags = O_TRUNC;
		descriptor = result;
		if (what == FILES_CALL_MEMFD)
			deed->accesses = BIT(CREATED);
		break;
	case FILES_CALL_OPEN_HANDLE:
		deed->is_open = true;
		deed->flags = ARGUMENT(2);
		descriptor = result;
		break;
	case FILES_CALL_READ:
		deed->accesses = BIT(READ);
		deed->read_bytes = result;
		break;
	case FILES_CALL_WRITE:
		deed->accesses = BIT(WRITTEN);
		deed->written_bytes = result;
		break;
	case FILES_CALL_LIST:
		deed->accesses = BIT(LISTED);
		break;
	case FILES_CALL_SENDFILE:
		second = ARGUMENT(0);
		descriptor = ARGUMENT(1);
		deed->accesses = BIT(READ);
		deed->read_bytes = result;
		break;
	case FILES_CALL_COPY:
		second = ARGUMENT(2);
		deed->accesses = BIT(READ);
		deed->read_bytes = result;
		break;
	case FILES_CALL_MMAP:
		/* The old one takes a struct, which is not read. */
		if (call->table == TABLE_X86 && call->number == X86_OLD_MMAP)
			return 0;
		flags = ARGUMENT(3);
		if (flags & MAP_ANONYMOUS)
			return 0;
		descriptor = ARGUMENT(4);
		deed->accesses = accesses_of_mapping(ARGUMENT(2), flags);
		break;
	case FILES_CALL_FTRUNCATE:
		deed->accesses = BIT(TRUNCATED);
		break;
	case FILES_CALL_FCHMOD:
		deed->accesses = BIT(MODE_CHANGED);
		break;
	case FILES_CALL_FCHOWN:
		deed->accesses = BIT(OWNER_CHANGED);
		break;
	default:
		return 0;
	}
	use_descriptor(call, work, descriptor);
	if (second != (u32)-1) {
		deed->accesses = BIT(WRITTEN);
		deed->read_bytes = 0;
		deed->written_bytes = result;
		use_descriptor(call, work, second);
	}
	return 0;
}

HOOK("sched_process_exec", on_exec_files, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_note *note = current_note(task);
	struct files_work *work = note ? begin_work(note) : 0;
	struct name_deed script = {.operation = NAME_RUN_AS_SCRIPT, .first.descriptor = AT_FDCWD};
	struct mm_struct *mm;
	struct file *file;

	if (!work)
		return 0;
	work->deed.accesses = BIT(EXECUTED) | BIT(READ);
	mm = BPF_CORE_READ(task, mm);
	file = BPF_CORE_READ(mm, exe_file);
	if (file)
		use_file(address_of(file));
	file = loader_of(note->slot, mm);
	if (file)
		use_file(address_of(file));
	if (BPF_CORE_READ(bprm, interp) != BPF_CORE_READ(bprm, filename)) {
		pass(&script.first, (u64)BPF_CORE_READ(bprm, filename));
		script.first.is_kernels = true;
		work->names = script;
		use_name();
	}
	return 0;
}
