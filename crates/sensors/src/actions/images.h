/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program is when it begins. */
#pragma once

#include "actions/overlay.h"
#include "actions/samples.h"
#include "pids.h"
#include "terminals.h"

/* Before 6.6, of mtime before 6.7. */
struct inode___plain {
	struct timespec64 i_ctime;
	struct timespec64 i_mtime;
} __attribute__((preserve_access_index));

/* Before 6.11. */
struct inode___hidden {
	struct timespec64 __i_ctime;
	struct timespec64 __i_mtime;
} __attribute__((preserve_access_index));

#define NS_PER_S 1000000000ULL
/* include/linux/fs.h (6.13 and later): the highest bit says that somebody has asked. */
#define NSEC_MASK 0x7fffffff

static __always_inline u64 changed_ns_of(struct inode *inode)
{
	struct inode___plain *plain = (void *)inode;
	struct inode___hidden *hidden = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime_sec))
		return BPF_CORE_READ(inode, i_ctime_sec) * NS_PER_S + (BPF_CORE_READ(inode, i_ctime_nsec) & NSEC_MASK);
	if (bpf_core_field_exists(hidden->__i_ctime))
		return BPF_CORE_READ(hidden, __i_ctime.tv_sec) * NS_PER_S + BPF_CORE_READ(hidden, __i_ctime.tv_nsec);
	return BPF_CORE_READ(plain, i_ctime.tv_sec) * NS_PER_S + BPF_CORE_READ(plain, i_ctime.tv_nsec);
}

static __always_inline u64 modified_ns_of(struct inode *inode)
{
	struct inode___plain *plain = (void *)inode;
	struct inode___hidden *hidden = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec))
		return BPF_CORE_READ(inode, i_mtime_sec) * NS_PER_S + BPF_CORE_READ(inode, i_mtime_nsec);
	if (bpf_core_field_exists(hidden->__i_mtime))
		return BPF_CORE_READ(hidden, __i_mtime.tv_sec) * NS_PER_S + BPF_CORE_READ(hidden, __i_mtime.tv_nsec);
	return BPF_CORE_READ(plain, i_mtime.tv_sec) * NS_PER_S + BPF_CORE_READ(plain, i_mtime.tv_nsec);
}

static __always_inline void read_executable(struct image_sample *image, struct file *executable)
{
	struct dentry *dentry = BPF_CORE_READ(executable, f_path.dentry);
	struct inode *inode = BPF_CORE_READ(executable, f_inode);

	image->inode = BPF_CORE_READ(inode, i_ino);
	image->changed_ns = changed_ns_of(inode);
	image->modified_ns = modified_ns_of(inode);
	if (is_memfd(dentry))
		image->flags |= IMAGE_FROM_MEMORY;
	if (is_unlinked(dentry))
		image->flags |= IMAGE_DELETED;
	if (is_in_upper_layer(inode))
		image->flags |= IMAGE_UPPER_LAYER;
}

/* The session and the group, and the terminal of the first. */
static __always_inline void read_session(struct image_sample *image, struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct pid *group = BPF_CORE_READ(signal, pids[PIDTYPE_PGID]);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);

	image->session = number_seen_by(task, BPF_CORE_READ(signal, pids[PIDTYPE_SID]));
	image->process_group = number_seen_by(task, group);
	image->process_group_outside = BPF_CORE_READ(group, numbers[0].nr);
	if (tty) {
		image->flags |= IMAGE_TERMINAL;
		device_of_terminal(tty, &image->terminal_major, &image->terminal_minor);
	}
}

/* Not static, so that the verifier looks at it once. */
__noinline int read_stream(u32 descriptor)
{
	struct action_draft *draft = action_draft();
	struct task_struct *task = running_task();
	struct file *file;
	struct sock *sk;
	u64 number, at = descriptor;

	barrier_var(at); /* the verifier must see the very number that is checked */
	if (!draft || at >= STANDARD_STREAMS)
		return 0;
	file = file_at(task, at);
	if (!file)
		return 0;
	draft->image.streams[at].mode = BPF_CORE_READ(file, f_inode, i_mode);
	sk = socket_at(task, at, &number);
	if (sk)
		draft->image.streams[at].family = family_of(sk);
	return 0;
}

/* Takes the environment, as much as was asked for; gives how many bytes. */
static __always_inline u32 read_environment(struct action_draft *draft, struct mm_struct *mm)
{
	u64 from = BPF_CORE_READ(mm, env_start), bytes = BPF_CORE_READ(mm, env_end) - from;

	if (bytes > action_settings.environment_bytes)
		bytes = action_settings.environment_bytes;
	barrier_var(bytes); /* old verifiers need the mask */
	bytes &= 2 * ENVIRONMENT_BYTES - 1;
	if (!bytes || bpf_probe_read_user(draft->bytes + sizeof(struct image_sample), bytes, (void *)from))
		return 0;
	return bytes;
}

HOOK("sched_process_exec", on_exec_actions, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_note *note = current_note(task);
	struct action_draft *draft = action_draft();
	struct image_sample *image;
	struct mm_struct *mm;
	struct file *executable;

	if (!note || !draft)
		return 0;
	image = &draft->image;
	__builtin_memset(image, 0, sizeof(*image));
	draft->slot = note->slot;
	fill_header(&image->header, task, note->slot, note->generation, note->phase, SENSOR_actions, ACTIONS_IMAGE);
	read_rights(&image->rights, task);
	image->login_uid = -1;
	/* A kernel without audit has none. */
	if (bpf_core_field_exists(task->loginuid))
		image->login_uid = BPF_CORE_READ(task, loginuid.val);
	read_session(image, task);
	mm = BPF_CORE_READ(task, mm);
	executable = BPF_CORE_READ(mm, exe_file);
	if (executable)
		read_executable(image, executable);
	for (u32 i = 0; i < STANDARD_STREAMS; i++)
		read_stream(i);
	image->environment_bytes = read_environment(draft, mm);
	send_action(draft, sizeof(*image) + image->environment_bytes);
	return 0;
}
