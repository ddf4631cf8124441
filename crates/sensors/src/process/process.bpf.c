/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes as they come and go, and the programs that they run. */

#include "path.h"
#include "tasks.h"

#define ARGV_BYTES	  4096
#define ARGUMENT_BYTES	  4096
#define INTERPRETER_BYTES 256

enum process_kind {
	PROCESS_FORK,
	PROCESS_EXEC,
	PROCESS_EXIT,
};
EXPORT(enum, process_kind);

enum exec_flag {
	EXEC_ARGV_CUT = 1,
	EXEC_PATH_CUT = 2,
	EXEC_SCRIPT = 4,
	EXEC_DELETED = 8,
	EXEC_UNREACHABLE = 16,
};
EXPORT(enum, exec_flag);

struct fork_sample {
	struct sample_header header;
	struct task_ref child;
	struct task_ref parent;
	u32 child_tid_inside;
	u32 pad;
};
EXPORT(struct, fork_sample);

/* Followed by the texts, in the order of their lengths here. */
struct exec_sample {
	struct sample_header header;
	struct task_ref parent;
	u32 pid_inside;
	u32 pid_ns;
	u32 mount_ns;
	u32 user_ns;
	u32 uid;
	u32 gid;
	/* As the task's own user namespace numbers them; all ones: not mapped there. */
	u32 uid_inside;
	u32 gid_inside;
	u32 flags;
	/* Names, leaf first, each after one byte with its length. */
	u32 executable_bytes;
	u32 cwd_bytes;
	u32 argument_bytes;
	u32 interpreter_bytes;
	/* Each argument ends with a zero byte. */
	u32 argv_bytes;
};

struct exit_sample {
	struct sample_header header;
	u64 run_time_ns;
	/* As wait(2) gives it. */
	u32 wait_status;
	u32 pad;
};
EXPORT(struct, exit_sample);

/* Room for the longest sample: it is put together here, then copied to the ring at its real length. */
struct exec_draft {
	struct exec_sample sample;
	u8 texts[2 * PATH_BYTES + ARGUMENT_BYTES + INTERPRETER_BYTES + ARGV_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_draft);
} exec_drafts SEC(".maps");

HOOK("sched_process_fork", on_fork_process, struct task_struct *parent, struct task_struct *child)
{
	struct task_note *note = note_of_child(child);
	struct fork_sample *sample;
	u32 namespace;

	/* The child's own slot: with CLONE_INTO_CGROUP its parent may have none. */
	if (!note)
		return 0;
	sample = reserve_sample(fork_sample, parent, note, SENSOR_process, PROCESS_FORK);
	if (!sample)
		return 0;
	refer_to(&sample->child, child);
	refer_to(&sample->parent, BPF_CORE_READ(child, real_parent));
	pid_inside(child, &sample->child_tid_inside, &namespace);
	sample->pad = 0;
	bpf_ringbuf_submit(sample, 0);
	return 0;
}

/* include/linux/user_namespace.h (6.18): up to this many ranges lie in the map itself. */
#define INLINE_EXTENTS 5

/* The number that a namespace gives an id of the first one, as map_id_up() of kernel/user_namespace.c (6.18). */
static __always_inline u32 id_inside(struct uid_gid_map *map, u32 id)
{
	u32 extents = BPF_CORE_READ(map, nr_extents);

	for (u32 i = 0; i < INLINE_EXTENTS; i++) {
		struct uid_gid_extent *extent = &map->extent[i];
		u32 first = BPF_CORE_READ(extent, lower_first);

		if (i >= extents)
			break;
		if (id >= first && id - first < BPF_CORE_READ(extent, count))
			return BPF_CORE_READ(extent, first) + (id - first);
	}
	return -1;
}

static __always_inline void fill_credentials(struct exec_sample *sample, struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, real_cred);
	struct user_namespace *user_ns = BPF_CORE_READ(cred, user_ns);

	sample->uid = BPF_CORE_READ(cred, uid.val);
	sample->gid = BPF_CORE_READ(cred, gid.val);
	sample->user_ns = BPF_CORE_READ(user_ns, ns.inum);
	sample->uid_inside = id_inside(&user_ns->uid_map, sample->uid);
	sample->gid_inside = id_inside(&user_ns->gid_map, sample->gid);
}

static __always_inline u32 write_text(u8 *bytes, u32 room, const char *text)
{
	long length = bpf_probe_read_kernel_str(bytes, room, text);

	return length > 0 ? length - 1 : 0;
}

HOOK("sched_process_exec", on_exec_process, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_note *note = current_note(task);
	struct exec_draft *draft;
	struct exec_sample *sample;
	struct mm_struct *mm;
	struct file *executable;
	struct fs_struct *fs;
	u64 from, bytes, length;
	u32 zero = 0, flags, used;

	if (!note)
		return 0;
	draft = bpf_map_lookup_elem(&exec_drafts, &zero);
	if (!draft)
		return 0;
	sample = &draft->sample;
	fill_header(&sample->header, task, note->slot, note->generation, note->phase, SENSOR_process, PROCESS_EXEC);
	refer_to(&sample->parent, BPF_CORE_READ(task, real_parent));
	pid_inside(task, &sample->pid_inside, &sample->pid_ns);
	sample->mount_ns = mount_ns_of(task);
	fill_credentials(sample, task);
	sample->flags = 0;

	mm = BPF_CORE_READ(task, mm);
	executable = BPF_CORE_READ(mm, exe_file);
	fs = BPF_CORE_READ(task, fs);
	sample->executable_bytes = write_path(task, &executable->f_path, draft->texts, &flags);
	barrier_var(flags); /* old verifiers take what the compiler makes of it otherwise for a pointer */
	if (flags & PATH_CUT)
		sample->flags |= EXEC_PATH_CUT;
	if (flags & PATH_DELETED)
		sample->flags |= EXEC_DELETED;
	if (flags & PATH_UNREACHABLE)
		sample->flags |= EXEC_UNREACHABLE;
	used = sample->executable_bytes;

	if (used > PATH_BYTES)
		return 0;
	sample->cwd_bytes = write_path(task, &fs->pwd, draft->texts + used, &flags);
	barrier_var(flags);
	if (flags & PATH_CUT)
		sample->flags |= EXEC_PATH_CUT;
	used += sample->cwd_bytes;

	if (used > 2 * PATH_BYTES)
		return 0;
	sample->argument_bytes = write_text(draft->texts + used, ARGUMENT_BYTES, BPF_CORE_READ(bprm, filename));
	used += sample->argument_bytes;
	sample->interpreter_bytes = 0;
	if (BPF_CORE_READ(bprm, interp) != BPF_CORE_READ(bprm, filename)) {
		sample->flags |= EXEC_SCRIPT;
		if (used > 2 * PATH_BYTES + ARGUMENT_BYTES)
			return 0;
		sample->interpreter_bytes =
			write_text(draft->texts + used, INTERPRETER_BYTES, BPF_CORE_READ(bprm, interp));
		used += sample->interpreter_bytes;
	}

	from = BPF_CORE_READ(mm, arg_start);
	bytes = BPF_CORE_READ(mm, arg_end) - from;
	if (bytes > ARGV_BYTES) {
		bytes = ARGV_BYTES;
		sample->flags |= EXEC_ARGV_CUT;
	}
	if (used > sizeof(draft->texts) - ARGV_BYTES)
		return 0;
	if (bpf_probe_read_user(draft->texts + used, bytes & (2 * ARGV_BYTES - 1), (void *)from)) {
		bytes = 0;
		sample->flags |= EXEC_ARGV_CUT;
	}
	sample->argv_bytes = bytes;
	used += bytes;

	length = sizeof(*sample) + used;
	barrier_var(length); /* the verifier must see the very number that is checked */
	if (length > sizeof(*draft))
		return 0;
	if (bpf_ringbuf_output(&samples, draft, length, 0))
		count_lost_sample(note->slot, SENSOR_process);
	return 0;
}

/* include/linux/sched/signal.h (6.18) */
#define SIGNAL_GROUP_EXIT 0x00000004

HOOK_OF_EXIT(on_exit_process)
{
	struct signal_struct *signal = task->signal;
	struct task_note *note;
	struct exit_sample *sample;

	/* A thread that leaves its process running is counted by the slot; its end is no news. */
	if (signal->live.counter > 0)
		return 0;
	note = current_note(task);
	if (!note)
		return 0;
	sample = reserve_sample(exit_sample, task, note, SENSOR_process, PROCESS_EXIT);
	if (!sample)
		return 0;
	sample->run_time_ns = bpf_ktime_get_boot_ns() - BPF_CORE_READ(task, group_leader, start_boottime);
	sample->wait_status = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT
				      ? BPF_CORE_READ(signal, group_exit_code)
				      : BPF_CORE_READ(task, group_leader, exit_code);
	sample->pad = 0;
	bpf_ringbuf_submit(sample, 0);
	return 0;
}
