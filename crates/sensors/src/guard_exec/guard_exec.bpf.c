/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that may not run.
 *
 * On the security hooks, by BPF LSM or by the result of the kernel's function, the call fails with EPERM. Where neither
 * can be had, and for what only the new program's arguments tell, the process gets SIGKILL at the end of its exec,
 * before the first instruction of the program.
 */

#include "guard_deed.h"

#define PROT_EXEC 4
#define SIGKILL	  9
#define ENDLESS	  (~0ULL)

/* Where a text is, and what ends a name in it. */
enum text_kind {
	TEXT_OF_KERNEL,
	TEXT_ARGUMENT,
	/* An argument that begins with two hyphens. */
	TEXT_OPTION,
};

enum text_part {
	/* Where the last name begins in it, if one does. */
	PART_BEGIN = TEXT_CHUNK - 1,
	PART_END = TEXT_CHUNK,
	PART_UNREADABLE = TEXT_CHUNK * 2,
};

/* What there is in one part of a text. Not static, so that the verifier looks at it once. */
__noinline u64 part_of_text(u64 text, u32 kind)
{
	char chunk[TEXT_CHUNK] = {};
	/* An address and no distance, as the verifier goes on with each distance apart. */
	u64 last = text;
	long length = kind == TEXT_OF_KERNEL ? bpf_probe_read_kernel_str(chunk, sizeof(chunk), (const void *)text)
					     : bpf_probe_read_user_str(chunk, sizeof(chunk), (const void *)text);

	if (length <= 0)
		return PART_UNREADABLE;
	for (u32 i = 0; i < TEXT_CHUNK - 1; i++) {
		if (!chunk[i])
			return (last - text) | PART_END;
		if (chunk[i] == '/' || (chunk[i] == '=' && kind == TEXT_OPTION))
			last = text + i + 1;
	}
	return last - text;
}

/* Where the last name of a text begins, 0 if it cannot be read, ENDLESS if it is too long to tell. As above. */
__noinline u64 last_name_of(u64 text, u32 is_argument)
{
	u32 kind = is_argument ? TEXT_ARGUMENT : TEXT_OF_KERNEL;
	u64 last = text;

	if (is_argument) {
		char begin[3] = {};

		if (bpf_probe_read_user_str(begin, sizeof(begin), (const void *)text) <= 0)
			return 0;
		/* A shell that logs in has this before its name; of an option, what counts is behind. */
		if (begin[0] == '-') {
			last = text + 1;
			if (begin[1] == '-')
				kind = TEXT_OPTION;
		}
	}
	for (u32 i = 0; i < TEXT_CHUNKS; i++) {
		u64 part = part_of_text(text, kind);

		if (part & PART_UNREADABLE)
			return 0;
		if (part & PART_BEGIN)
			last = text + (part & PART_BEGIN);
		if (part & PART_END)
			return last;
		text += TEXT_CHUNK - 1;
	}
	return ENDLESS;
}

/* Where the next argument begins; 0 if there is none. */
__noinline u64 after_text(u64 text)
{
	char chunk[TEXT_CHUNK];

	for (u32 i = 0; i < TEXT_CHUNKS; i++) {
		long length = bpf_probe_read_user_str(chunk, sizeof(chunk), (const void *)text);

		if (length <= 0)
			return 0;
		if (length < TEXT_CHUNK)
			return text + length;
		text += TEXT_CHUNK - 1;
	}
	return 0;
}

static __always_inline bool is_program_of_many(u64 mask, struct file *file)
{
	u64 name = hash_of_name((u64)BPF_CORE_READ(file, f_path.dentry));
	struct file_key key;

	if (bpf_map_lookup_elem(&many_names, &name))
		return true;
	key_of(file, &key);
	return mask & mask_in(&many_files, &key);
}

/* ld-linux-x86-64.so.2, ld-musl-x86_64.so.1, ld.so. */
static __always_inline bool is_loader(struct file *file)
{
	char name[3] = {};

	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return name[0] == 'l' && name[1] == 'd' && (name[2] == '-' || name[2] == '.');
}

/*
 * Those of these policies that deny what the arguments make of a program: of one of many the argument that picks it, of
 * a loader any argument. The arguments are those that the program will find: they were copied already.
 */
__noinline u64 denied_by_arguments(u64 mask, u32 of_loader)
{
	struct task_struct *task = current_task();
	struct mm_struct *memory = BPF_CORE_READ(task, mm);
	u64 argument = BPF_CORE_READ(memory, arg_start), end = BPF_CORE_READ(memory, arg_end);
	struct guard_facts *known = facts();
	u64 found;

	for (u32 i = 0; i < ARGUMENTS; i++) {
		u64 last, name;

		if (!argument || argument >= end)
			return 0;
		last = last_name_of(argument, 1);
		/* What cannot be told is not let pass. */
		if (!last || last == ENDLESS)
			return known ? mask & known->naming : 0;
		name = hash_of_text(last, 1);
		found = mask & mask_in(&denied_names, &name);
		if (!found && of_loader) {
			u64 whole = hash_of_text(argument, 1);

			found = mask & mask_in(&denied_texts, &whole);
		}
		if (found)
			return found;
		/* The program's own name picks nothing: the next one does. */
		if (!of_loader && !bpf_map_lookup_elem(&many_names, &name))
			return 0;
		argument = after_text(argument);
	}
	return 0;
}

/* Those of these policies that deny what the caller named the program by. */
static __always_inline u64 denied_by_call(u64 mask, struct linux_binprm *bprm)
{
	u64 text = (u64)BPF_CORE_READ(bprm, filename), last = last_name_of(text, 0), number, found;

	if (!last || last == ENDLESS)
		return 0;
	number = hash_of_text(last, 0);
	found = mask & mask_in(&denied_names, &number);
	if (found)
		return found;
	number = hash_of_text(text, 0);
	return mask & mask_in(&denied_texts, &number);
}

/* Does what the policies say; gives whether the call is to fail. */
static __always_inline int refuse(u64 found, u8 reason, struct file *file, const char *called)
{
	u64 denying, auditing;

	if (!found)
		return 0;
	denying = settle(found, reason, POLICY_ENFORCE);
	auditing = settle(found, reason, POLICY_AUDIT);
	if (!denying && !auditing)
		return 0;
	tell(first_of(denying ? denying : auditing), reason, denying ? ACTION_REFUSED : ACTION_AUDITED, file, called);
	return denying != 0;
}

static __always_inline int judge_program(struct linux_binprm *bprm)
{
	struct file *file = BPF_CORE_READ(bprm, file);
	u64 mask = policies_of_current(), found;
	u8 reason;

	if (!mask)
		return 0;
	found = denied_by_file(mask, file, &reason);
	if (!found) {
		reason = DENY_CALLED;
		found = denied_by_call(mask, bprm);
	}
	return refuse(found, reason, file, BPF_CORE_READ(bprm, filename));
}

/* A loader that was started by hand maps what it runs. */
static __always_inline int judge_mapping(struct file *file, u64 protection)
{
	u64 mask, found;
	u8 reason;

	if (!file || !(protection & PROT_EXEC))
		return 0;
	mask = policies_of_current();
	if (!mask)
		return 0;
	found = denied_by_file(mask, file, &reason);
	if (reason != DENY_NOT_OF_IMAGE)
		reason = DENY_MAPPED;
	return refuse(found, reason, file, 0);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(lsm_program, struct linux_binprm *bprm, int verdict)
{
	if (verdict)
		return verdict;
	return VERDICT(judge_program(bprm));
}

SEC("lsm/mmap_file")
int BPF_PROG(lsm_mapping, struct file *file, unsigned long asked, unsigned long protection, unsigned long flags,
	     int verdict)
{
	if (verdict)
		return verdict;
	return VERDICT(judge_mapping(file, asked | protection));
}

/* What these return, if it is not 0, becomes the result of the kernel's function, which is not called any more. */
SEC("fmod_ret/security_bprm_check")
int BPF_PROG(result_of_program, struct linux_binprm *bprm, int verdict)
{
	if (verdict)
		return verdict;
	return VERDICT(judge_program(bprm));
}

SEC("fmod_ret/security_mmap_file")
int BPF_PROG(result_of_mapping, struct file *file, unsigned long protection, unsigned long flags, int verdict)
{
	if (verdict)
		return verdict;
	return VERDICT(judge_mapping(file, protection));
}

/* Does what the policies say where the exec is done, and the program's first instruction is yet to come. */
static __always_inline void kill(u64 found, u8 reason, struct file *file, const char *called)
{
	u64 denying, auditing;
	u8 action = ACTION_AUDITED;
	u32 policy;

	if (!found)
		return;
	denying = settle(found, reason, POLICY_ENFORCE);
	auditing = settle(found, reason, POLICY_AUDIT);
	if (!denying && !auditing)
		return;
	policy = first_of(denying ? denying : auditing);
	if (denying) {
		action = ACTION_KILLED;
		if (bpf_send_signal(SIGKILL)) {
			action = ACTION_FAILED;
			count_failed(policy);
		}
	}
	tell(policy, reason, action, file, called);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_guard, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	u64 mask = policies_of_current(), found;
	const char *called = BPF_CORE_READ(bprm, filename);
	struct file *file;
	u8 reason;

	if (!mask)
		return 0;
	file = BPF_CORE_READ(bprm, file);
	found = denied_by_file(mask, file, &reason);
	if (!found) {
		reason = DENY_CALLED;
		found = denied_by_call(mask, bprm);
	}
	if (!found && is_program_of_many(mask, file)) {
		reason = DENY_APPLET;
		found = denied_by_arguments(mask, 0);
	}
	if (!found && is_loader(file)) {
		reason = DENY_LOADER;
		found = denied_by_arguments(mask, 1);
	}
	kill(found, reason, file, called);
	return 0;
}

/* A cgroup that is awaited is under its policies before anything can be in it. What is done here may be done twice. */
static __always_inline int expect(struct cgroup *cgroup)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id), mask = 0;
	struct guard_losses *losses;
	struct cgroup_name name = {};
	u32 zero = 0;
	long length;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	length = bpf_probe_read_kernel_str(name.bytes, sizeof(name.bytes), BPF_CORE_READ(cgroup, kn, name));
	if (length > 0 && length < CGROUP_NAME_BYTES)
		mask = mask_in(&awaited_cgroups, &name);
	if (!(BPF_CORE_READ(cgroup, level) & (ANCHOR_LEVELS - 1)))
		mask |= policies_of_cgroup((u64)BPF_CORE_READ(cgroup, self.parent, cgroup));
	if (!mask || !bpf_map_update_elem(&cgroup_policies, &id, &mask, BPF_ANY))
		return 0;
	losses = bpf_map_lookup_elem(&guard_losses, &zero);
	if (losses)
		add(losses->cgroups, 1);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_mkdir_guard, struct cgroup *cgroup, const char *path)
{
	return expect(cgroup);
}

/* From 7.0 on the kernel may skip a program while another task is in the middle of it on that CPU. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_mkdir_guard_again, struct cgroup *cgroup, const char *path)
{
	return expect(cgroup);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_rmdir_guard, struct cgroup *cgroup, const char *path)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id);

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) == settings.identity_hierarchy)
		bpf_map_delete_elem(&cgroup_policies, &id);
	return 0;
}

/* The descriptor that user space asks about. */
struct asked_file {
	u32 pid;
	u32 descriptor;
};

GUARD_MAP(asked_files, ARRAY, 1, u32, struct asked_file, 0);

/* Which file a descriptor is, as the kernel itself numbers it: what stat says is another matter on some file systems.
 */
SEC("iter/task_file")
int tell_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	u32 zero = 0;
	struct asked_file *asked = bpf_map_lookup_elem(&asked_files, &zero);
	struct file_key key;

	if (!task || !file || !asked || task->tgid != (int)asked->pid || ctx->fd != asked->descriptor)
		return 0;
	key_of(file, &key);
	bpf_seq_write(ctx->meta->seq, &key, sizeof(key));
	return 0;
}
