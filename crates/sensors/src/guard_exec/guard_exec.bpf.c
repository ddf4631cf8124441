/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that may not run.
 *
 * On the security hooks, by BPF LSM or by the result of the kernel's function, the call fails with EPERM. Where neither
 * can be had, and for what only the new program's arguments tell, the process gets SIGKILL at the end of its exec,
 * before the first instruction of the program.
 */

#include "guard_deed.h"
#include "guard_text.h"

#define PROT_EXEC 4
#define SIGKILL	  9

/* The policies by which a file is many programs: all of them, if it has such a name. */
static __always_inline u64 policies_of_many(struct file *file, struct name_end *name)
{
	struct file_key key;
	u64 number;

	if (!name->is_told)
		return ~0ULL;
	if (bpf_map_lookup_elem(&many_ends, &name->end)) {
		if (is_whole(name->end))
			return ~0ULL;
		number = hash_of_text(number_of(file->f_path.dentry->d_name.name), 0);
		if (bpf_map_lookup_elem(&many_names, &number))
			return ~0ULL;
	}
	key_of_given(file, &key);
	return mask_in(&many_files, &key);
}

/* ld-linux-x86-64.so.2, ld-musl-x86_64.so.1, ld.so. */
static __always_inline bool is_loader(struct file *file, struct name_end *name)
{
	u64 begin = 0;

	if (name->length < sizeof(name->end))
		begin = name->length ? name->end >> (sizeof(name->end) - name->length) * 8 : 0;
	else
		bpf_probe_read_kernel(&begin, sizeof(begin), file->f_path.dentry->d_name.name);
	begin &= 0xffffff;
	return begin == ('l' | 'd' << 8 | '-' << 16) || begin == ('l' | 'd' << 8 | '.' << 16);
}

/*
 * The policies, of whomever, that deny what the arguments make of a program: of one of many the argument that picks it,
 * of a loader any argument. The arguments, from here on up to there, are those that the program will find: they were
 * copied already. As above.
 */
__noinline u64 denied_by_arguments(u64 argument, u64 stop, u32 of_loader)
{
	struct guard_facts *known = facts();
	u64 found = 0;

	for (u32 i = 0; i < ARGUMENTS; i++) {
		u64 length, end, last, name;

		if (!argument || argument >= stop)
			return found;
		length = length_of_text(argument, 1);
		if (length != ENDLESS && read_end(argument, length, true, &end)) {
			end = behind_slash(end);
			if (!mask_in(&denied_ends, &end)) {
				bool is_many = !of_loader && bpf_map_lookup_elem(&many_ends, &end);

				/* Nobody denies it, and it picks the program. */
				if (!of_loader && !is_many)
					return found;
				if (of_loader || is_whole(end)) {
					argument += length + 1;
					continue;
				}
			}
		}
		last = last_name_of(argument, 1);
		/* What cannot be told is not let pass. */
		if (!last || last == ENDLESS)
			return known ? found | known->naming : found;
		name = hash_of_text(last, 1);
		found |= mask_in(&denied_names, &name);
		if (of_loader) {
			u64 whole = hash_of_text(argument, 1);

			found |= mask_in(&denied_texts, &whole);
		} else if (!bpf_map_lookup_elem(&many_names, &name)) {
			return found;
		}
		/* The program's own name picks nothing: the next one does. */
		argument = after_text(argument);
	}
	return found;
}

/* The policies, of whomever, that deny what the caller named the program by. As above. */
__noinline u64 denied_by_call(u64 text)
{
	u64 last = last_name_of(text, 0), number, found;

	if (!last || last == ENDLESS)
		return 0;
	number = hash_of_text(last, 0);
	found = mask_in(&denied_names, &number);
	number = hash_of_text(text, 0);
	return found | mask_in(&denied_texts, &number);
}

/* Whether the running task is in an exec of this file, which was judged as it began. */
static __always_inline bool is_executing(struct file *file)
{
	struct task_struct *task = current_task();

	return bpf_core_field_exists(task->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(task, in_execve) &&
	       (u64)BPF_CORE_READ(task, mm, exe_file) == number_of(file);
}

/* How a program came to be judged. */
enum judging {
	/* Its exec asks whether it may. */
	JUDGE_ASKED,
	/* Its exec is done. */
	JUDGE_DONE,
	/* It is mapped: a loader that was started by hand maps what it runs. */
	JUDGE_MAPPED,
};

/*
 * Books what policies find in a file that is to run. First it is found out what might be denied, by whomever, then
 * whom these policies are about, and then whether it is: most programs come no further than the first.
 */
static __always_inline void judge_file(struct settled *settled, struct file *file, struct name_end *name,
				       const char *called, enum judging judging)
{
	u64 by_name = may_deny_name(file, name),
	    by_call = judging == JUDGE_MAPPED ? 0 : may_deny_text(number_of(called)), by_file, not_of_image, mask,
	    number;
	struct guard_facts *known = facts();
	struct file_key key;

	if (!known)
		return;
	/* Which of the namespaces with a number is meant is found out as soon as somebody runs something there. */
	if (known->namespaces)
		policies_by_namespace();
	key_of_given(file, &key);
	by_file = mask_in(&denied_files, &key);
	not_of_image = known->image_only;
	mask = by_name | by_call | by_file | not_of_image;
	if (!mask)
		return;
	mask &= policies_of_current();
	/* Who only counts has counted it when the exec asked. */
	if (mask && ((judging == JUDGE_DONE && known->step == STEP_FMOD_RET) ||
		     (judging == JUDGE_MAPPED && is_executing(file))))
		mask = enforcing(mask);
	if (!mask)
		return;
	if (mask & by_name) {
		number = hash_of_text(number_of(file->f_path.dentry->d_name.name), 0);
		settle_more(settled, mask & mask_in(&denied_names, &number),
			    judging == JUDGE_MAPPED ? DENY_MAPPED : DENY_NAME);
		number = hash_of_route(number_of(file->f_path.dentry), number_of(file->f_path.mnt), ROUTE_FROM_ROOT);
		settle_more(settled, mask & mask_in(&denied_paths, &number),
			    judging == JUDGE_MAPPED ? DENY_MAPPED : DENY_PATH);
	}
	settle_more(settled, mask & by_file, judging == JUDGE_MAPPED ? DENY_MAPPED : DENY_FILE);
	if (mask & not_of_image && !is_of_image(known, file))
		settle_more(settled, mask & not_of_image, DENY_NOT_OF_IMAGE);
	if (mask & by_call)
		settle_more(settled, mask & denied_by_call(number_of(called)), DENY_CALLED);
}

/* Tells what was found in a program; gives whether the call is to fail. */
static __always_inline int refuse(struct settled *settled, struct file *file, const char *called)
{
	if (!settled->is_told)
		return 0;
	tell(settled->policy, settled->reason, settled->action, file, called);
	return settled->denying != 0;
}

static __always_inline int judge_program(struct linux_binprm *bprm)
{
	struct settled settled = {};
	const char *called = bprm->filename;
	struct file *file = bprm->file;
	struct name_end name;

	read_name(file, &name);
	judge_file(&settled, file, &name, called, JUDGE_ASKED);
	return refuse(&settled, file, called);
}

static __always_inline int judge_mapping(struct file *file, u64 protection)
{
	struct settled settled = {};
	struct name_end name;

	if (!file || !(protection & PROT_EXEC))
		return 0;
	read_name(file, &name);
	judge_file(&settled, file, &name, 0, JUDGE_MAPPED);
	return refuse(&settled, file, 0);
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

/* Tells what was found where the exec is done, and the program's first instruction is yet to come: who denies it ends
 * it. */
static __always_inline void kill(struct settled *settled, struct file *file, const char *called)
{
	if (!settled->is_told)
		return;
	if (settled->denying) {
		settled->action = ACTION_KILLED;
		if (bpf_send_signal(SIGKILL)) {
			settled->action = ACTION_FAILED;
			count_failed(settled->policy);
		}
	}
	tell(settled->policy, settled->reason, settled->action, file, called);
}

/* Books what policies find in the arguments, if the program heeds them. */
static __always_inline void judge_arguments(struct settled *settled, struct task_struct *task, struct file *file,
					    struct name_end *name)
{
	u64 many = policies_of_many(file, name), found, mask;
	struct mm_struct *memory = task->mm;

	if (!memory)
		return;
	if (many) {
		found = denied_by_arguments(memory->arg_start, memory->arg_end, 0);
		mask = found ? policies_of_current() : 0;
		if (mask & many)
			settle_more(settled, found & mask, DENY_APPLET);
	}
	if (is_loader(file, name)) {
		found = denied_by_arguments(memory->arg_start, memory->arg_end, 1);
		if (found)
			settle_more(settled, found & policies_of_current(), DENY_LOADER);
	}
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_guard, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct guard_facts *known = facts();
	struct settled settled = {};
	const char *called = bprm->filename;
	struct file *file = bprm->file;
	struct name_end name;

	if (!known)
		return 0;
	read_name(file, &name);
	/* On the hooks of BPF LSM nothing is skipped: there the file was judged when the exec asked. */
	if (known->step != STEP_LSM)
		judge_file(&settled, file, &name, called, JUDGE_DONE);
	if (known->naming && !settled.denying)
		judge_arguments(&settled, task, file, &name);
	kill(&settled, file, called);
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
