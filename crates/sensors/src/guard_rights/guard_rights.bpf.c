/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities that may not be used, and what they are had for: mounting, tracing, modules. */

#include "guard_deed.h"
#include "guard_newcomer.h"

enum capability_limit {
	CAPABILITIES = 64,
};
EXPORT(enum, capability_limit);

/* The number of a capability -> the policies that deny it. */
GUARD_MAP(denied_capabilities, ARRAY, CAPABILITIES, u32, u64, 0);

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork_newcomer, struct task_struct *parent, struct task_struct *child)
{
	u32 own = BPF_CORE_READ(parent, tgid), tgid = BPF_CORE_READ(child, tgid);
	struct newcomer born = {mount_ns_of(parent), 1}, *known;

	if (own == tgid || !policies_of_cgroup((u64)identity_cgroup(child)))
		return 0;
	if (policies_of_cgroup((u64)identity_cgroup(parent))) {
		known = bpf_map_lookup_elem(&newcomers, &own);
		if (!known) {
			/* Of an earlier process with this number. */
			bpf_map_delete_elem(&newcomers, &tgid);
			return 0;
		}
		born = *known;
	}
	bpf_map_update_elem(&newcomers, &tgid, &born, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_newcomer, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	u32 tgid = BPF_CORE_READ(task, tgid);
	struct newcomer *known = bpf_map_lookup_elem(&newcomers, &tgid);

	if (!known)
		return 0;
	if (known->programs && known->mount_ns == mount_ns_of(task))
		known->programs = 0;
	else
		bpf_map_delete_elem(&newcomers, &tgid);
	return 0;
}

/* Who is in a container already moves nobody out of its policies, himself included. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_attach_newcomer, struct cgroup *cgroup, const char *path, struct task_struct *task)
{
	struct newcomer moved = {mount_ns_of(task), 0};
	u32 tgid = BPF_CORE_READ(task, tgid);

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	if (!policies_of_cgroup(number_of(cgroup)) || policies_of_current())
		return 0;
	bpf_map_update_elem(&newcomers, &tgid, &moved, BPF_ANY);
	return 0;
}

/* include/linux/security.h: CAP_OPT_NOAUDIT */
#define ONLY_ASKED 2

/*
 * Whether the rights are those of the task. While the kernel works for a file system such as overlayfs it has the
 * rights of whoever mounted it, which the task must not lose. But rights that a task lends itself by io_uring are its
 * own.
 */
static __always_inline bool are_own(const struct cred *rights)
{
	struct task_struct *task = current_task();

	if (rights == BPF_CORE_READ(task, real_cred))
		return true;
	return bpf_core_field_exists(task->io_uring) && BPF_CORE_READ(task, io_uring);
}

/* Whether the task has it at all; the kernel refuses it otherwise. */
static __always_inline bool has(const struct cred *rights, struct user_namespace *space, u32 capability)
{
	u64 effective = 0;

	if (BPF_CORE_READ(rights, user_ns) != space)
		return true;
	bpf_core_read(&effective, sizeof(effective), &rights->cap_effective);
	return effective >> (capability & (CAPABILITIES - 1)) & 1;
}

static __always_inline int judge_capability(const struct cred *rights, struct user_namespace *space, u32 capability,
					    u32 options)
{
	u64 found = mask_in(&denied_capabilities, &capability);
	struct settled settled;
	struct denial *denial;

	if (!found || !are_own(rights) || !has(rights, space, capability))
		return 0;
	found &= policies_of_current();
	if (!found || is_newcomer())
		return 0;
	/* Nobody needs it, the kernel only asks what it may do by the way: as little is said of it as the kernel says.
	 */
	if (options & ONLY_ASKED)
		return enforcing(found) != 0;
	if (!settle_deed(found, DENY_KIND, &settled))
		return 0;
	denial = begin_denial(settled.policy, DEED_CAPABILITY, DENY_KIND, settled.action);
	if (denial) {
		denial->number = capability;
		bpf_ringbuf_submit(denial, 0);
	}
	return settled.denying != 0;
}

GUARD(capable, capable, judge_capability(rights, space, capability, options), const struct cred *rights,
      struct user_namespace *space, int capability, unsigned int options)

static __always_inline int judge_mount(struct dentry *dentry, struct vfsmount *mount, const char *type)
{
	u64 found = denied_by_kind(DEED_MOUNT);
	struct settled settled;
	struct denial *denial;

	if (!found || is_newcomer() || !settle_deed(found, DENY_KIND, &settled))
		return 0;
	denial = begin_denial(settled.policy, DEED_MOUNT, DENY_KIND, settled.action);
	if (denial) {
		if (type)
			bpf_probe_read_kernel_str(denial->called, sizeof(denial->called), type);
		write_names(denial, dentry, mount);
		bpf_ringbuf_submit(denial, 0);
	}
	return settled.denying != 0;
}

static __always_inline int judge_place(const struct path *place, const char *type)
{
	return judge_mount(BPF_CORE_READ(place, dentry), BPF_CORE_READ(place, mnt), type);
}

GUARD(mount, sb_mount, judge_place(place, type), const char *device, const struct path *place, const char *type,
      unsigned long flags, void *data)
GUARD(unmount, sb_umount, judge_mount(BPF_CORE_READ(mount, mnt_root), mount, 0), struct vfsmount *mount, int flags)
GUARD(move_mount, move_mount, judge_place(to, 0), const struct path *from, const struct path *to)
GUARD(pivot, sb_pivotroot, judge_place(new_root, 0), const struct path *old_root, const struct path *new_root)

/* include/linux/ptrace.h: PTRACE_MODE_ATTACH */
#define MAY_CHANGE 2

static __always_inline int judge_tracing(struct task_struct *other)
{
	u64 found = denied_by_kind(DEED_PTRACE);
	struct settled settled;
	struct denial *denial;

	if (!settle_deed(found, DENY_KIND, &settled))
		return 0;
	denial = begin_denial(settled.policy, DEED_PTRACE, DENY_KIND, settled.action);
	if (denial) {
		denial->number = BPF_CORE_READ(other, tgid);
		bpf_ringbuf_submit(denial, 0);
	}
	return settled.denying != 0;
}

/* What only looks, as `ps` does, goes on. */
GUARD(ptrace, ptrace_access_check, mode &MAY_CHANGE ? judge_tracing(other) : 0, struct task_struct *other,
      unsigned int mode)
GUARD(traceme, ptrace_traceme, judge_tracing(other), struct task_struct *other)

static __always_inline int judge_module(struct file *file, const char *name)
{
	u64 found = denied_by_kind(DEED_MODULE);
	struct settled settled;
	struct denial *denial;

	if (!settle_deed(found, DENY_KIND, &settled))
		return 0;
	denial = begin_denial(settled.policy, DEED_MODULE, DENY_KIND, settled.action);
	if (denial) {
		if (file)
			write_file(denial, file, 0);
		if (name)
			bpf_probe_read_kernel_str(denial->called, sizeof(denial->called), name);
		bpf_ringbuf_submit(denial, 0);
	}
	return settled.denying != 0;
}

/* init_module: from memory. */
GUARD(load_data, kernel_load_data,
      id == bpf_core_enum_value(enum kernel_load_data_id, LOADING_MODULE) ? judge_module(0, 0) : 0,
      enum kernel_load_data_id id, bool contents)
/* finit_module: from a file. */
GUARD(read_file, kernel_read_file,
      id == bpf_core_enum_value(enum kernel_read_file_id, READING_MODULE) ? judge_module(file, 0) : 0,
      struct file *file, enum kernel_read_file_id id, bool contents)
/* What the kernel loads by itself, as somebody needs it. */
GUARD(request, kernel_module_request, judge_module(0, name), char *name)
