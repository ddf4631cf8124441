/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Nothing but what is listed may run.
 *
 * A program is listed by its path below the root of its mount namespace, wherever the task's own root is: who may
 * choose his own root must not choose what his programs are called. Or it is listed as the file that it is. Of a script
 * both it and its interpreter must be listed; at the end of an exec, where its file is not known any more, it is told
 * by the text that it was called by. Of programs of many the name that picks one must be listed, too.
 */

#include "guard_tell.h"
#include "guard_list.h"

/* What is listed: the mask of the policies that list it. */
GUARD_MAP(listed_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(listed_paths, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(listed_texts, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(listed_applets, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);

/* The policies that judge what the running task runs. A canary is judged wherever it is. */
static __always_inline u64 listing_policies(struct listing *listing)
{
	u64 mask;

	if (!listing || !listing->policies)
		return 0;
	mask = listing->policies & policies_of_current();
	if (mask && is_in_root_of_host(listing->host_root_inode, listing->host_root_device))
		mask &= 1ULL << CANARY_POLICY;
	return mask;
}

/* Those of these policies that do not list this file. Not static, so that the verifier looks at it once. */
__noinline u64 not_listing_file(u64 mask, u64 address_of_file)
{
	struct file *file = (struct file *)address_of_file;
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = mount_of((u64)vfsmount);
	struct file_key key;
	u64 number;

	key_of(file, &key);
	mask &= ~mask_in(&listed_files, &key);
	if (!mask)
		return 0;
	/* Where nothing is mounted, or in other mounts than the task's, a path says what its maker wants. */
	if (BPF_CORE_READ(mount, mnt_ns) != BPF_CORE_READ(current_task(), nsproxy, mnt_ns))
		return mask;
	number = hash_of_route((u64)BPF_CORE_READ(file, f_path.dentry), (u64)vfsmount, ROUTE_FROM_TOP);
	return mask & ~mask_in(&listed_paths, &number);
}

/* Those of these policies that do not list the name by which a program of many picks what it is. As above. */
__noinline u64 not_listing_applet(u64 mask)
{
	struct task_struct *task = current_task();
	struct mm_struct *memory = BPF_CORE_READ(task, mm);
	u64 argument = BPF_CORE_READ(memory, arg_start), end = BPF_CORE_READ(memory, arg_end);

	for (u32 i = 0; i < ARGUMENTS; i++) {
		u64 last, name;

		/* By itself it picks nothing. */
		if (!argument || argument >= end)
			return 0;
		last = last_name_of(argument, 1);
		/* What cannot be told is not let pass. */
		if (!last || last == ENDLESS)
			return mask;
		name = hash_of_text(last, 1);
		if (!bpf_map_lookup_elem(&many_names, &name))
			return mask & ~mask_in(&listed_applets, &name);
		argument = after_text(argument);
	}
	return mask;
}

static __always_inline int judge_listed(struct linux_binprm *bprm)
{
	u64 mask = listing_policies(listing());
	struct settled settled = {};
	struct file *file = bprm->file;

	if (!mask)
		return 0;
	settle_more(&settled, not_listing_file(mask, number_of(file)), DENY_NOT_LISTED);
	return refuse(&settled, file, bprm->filename);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(lsm_listed, struct linux_binprm *bprm, int verdict)
{
	if (verdict)
		return verdict;
	return VERDICT(judge_listed(bprm));
}

SEC("fmod_ret/security_bprm_check")
int BPF_PROG(result_of_listed, struct linux_binprm *bprm, int verdict)
{
	if (verdict)
		return verdict;
	return VERDICT(judge_listed(bprm));
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_listed, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct listing *known = listing();
	u64 mask = listing_policies(known), found = 0, text;
	struct settled settled = {};
	const char *called = bprm->filename;
	struct file *file = bprm->file;
	struct name_end name;

	if (!mask || !known)
		return 0;
	/* It is killed already, for what a policy denies. */
	if (BPF_CORE_READ(current_task(), pending.signal.sig[0]) & 1UL << (SIGKILL - 1))
		return 0;
	if (known->only_at_the_end) {
		found = not_listing_file(mask, number_of(file));
		/* Of a script, what is here is its interpreter. */
		if (number_of(bprm->interp) != number_of(called)) {
			text = hash_of_text(number_of(called), 0);
			found |= mask & ~mask_in(&listed_texts, &text);
		}
	}
	read_name(file, &name);
	if ((mask & ~found) && (mask & policies_of_many(file, &name)))
		found |= not_listing_applet(mask & ~found);
	settle_more(&settled, found, DENY_NOT_LISTED);
	kill(&settled, file, called);
	return 0;
}
