/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What becomes of a denial: it is counted at each policy, and is one event. */
#pragma once

#include "guard_whom.h"
#include "guard_what.h"

/* Books at one policy that something was found, if it is in force; gives its bit. Not static, as above. */
__noinline u64 settle_one(u32 number, u32 reason, u32 state)
{
	struct policy *policy = bpf_map_lookup_elem(&policies, &number);
	struct policy_tally *tally = bpf_map_lookup_elem(&policy_tallies, &number);
	u64 now = bpf_ktime_get_boot_ns();

	if (!policy || !tally || policy->state != state)
		return 0;
	if (policy->expires_boot_ns && now >= policy->expires_boot_ns)
		return 0;
	if (state == POLICY_ENFORCE)
		add(tally->denied, 1);
	else
		add(tally->audited, 1);
	barrier_var(reason); /* the verifier must see the very number that is cut */
	add(tally->by_reason[reason & (DENY_REASON_SLOTS - 1)], 1);
	if (!tally->first_boot_ns)
		tally->first_boot_ns = now;
	tally->last_boot_ns = now;
	return 1ULL << (number & (POLICIES - 1));
}

/* Books what these policies found, each at its own; gives those that are in force in this state. As above. */
__noinline u64 settle(u64 found, u32 reason, u32 state)
{
	u64 settled = 0;

	for (u32 i = 0; i < POLICIES; i++)
		if (found >> i & 1)
			settled |= settle_one(i, reason, state);
	return settled;
}

/* The number of the first policy of some. As above. */
__noinline u32 first_of(u64 mask)
{
	for (u32 i = 0; i < POLICIES; i++)
		if (mask >> i & 1)
			return i;
	return 0;
}

/* Those of these policies that deny, and do not only count. As above. */
__noinline u64 enforcing(u64 found)
{
	u64 now = bpf_ktime_get_boot_ns(), denying = 0;

	for (u32 i = 0; i < POLICIES; i++) {
		u32 number = i;
		struct policy *policy = bpf_map_lookup_elem(&policies, &number);

		if (policy && policy->state == POLICY_ENFORCE &&
		    (!policy->expires_boot_ns || now < policy->expires_boot_ns))
			denying |= 1ULL << i;
	}
	return found & denying;
}

/* What becomes of a deed. */
struct settled {
	/* The policies that found something in it, and those of them that deny. */
	u64 found;
	u64 denying;
	/* Whether there is anything to tell: of the first policy that denies, else of the first that only counts. */
	u32 is_told;
	u32 policy;
	u32 reason;
	u32 action;
};

/* Books what these policies found. What one of them found before counts once, under the first reason. */
static __always_inline void settle_more(struct settled *settled, u64 found, u32 reason)
{
	u64 denying, auditing;

	found &= ~settled->found;
	if (!found)
		return;
	settled->found |= found;
	denying = settle(found, reason, POLICY_ENFORCE);
	auditing = settle(found, reason, POLICY_AUDIT);
	if (settled->denying || (!denying && (!auditing || settled->is_told)))
		return;
	settled->denying = denying;
	settled->is_told = 1;
	settled->policy = first_of(denying ? denying : auditing);
	settled->reason = reason;
	settled->action = denying ? ACTION_REFUSED : ACTION_AUDITED;
}

/* Writes the names of a file, leaf first, up to the root of the running task. */
static __always_inline void write_names(struct denial *denial, struct dentry *dentry, struct vfsmount *vfsmount)
{
	struct task_struct *task = current_task();
	struct dentry *parent;
	u64 root_dentry = (u64)BPF_CORE_READ(task, fs, root.dentry),
	    root_mount = (u64)BPF_CORE_READ(task, fs, root.mnt);
	struct mount *mount, *upper;

	denial->path_is_cut = 1;
	denial->path_bytes = 0;
	for (u32 i = 0; i < TOLD_STEPS; i++) {
		u32 length, used;

		if ((u64)dentry == root_dentry && (u64)vfsmount == root_mount) {
			denial->path_is_cut = 0;
			break;
		}
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			mount = mount_of((u64)vfsmount);
			upper = BPF_CORE_READ(mount, mnt_parent);
			if (upper == mount)
				break;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		length = BPF_CORE_READ(dentry, d_name.len) & NAME_BYTES;
		/* What was written there is any number to the verifier: it need not look at each. */
		used = *(volatile u32 *)&denial->path_bytes;
		if (used + 1 + length >= DENIAL_PATH_BYTES)
			break;
		barrier_var(used); /* the verifier must see the very number that is cut */
		used &= DENIAL_PATH_BYTES - 1;
		denial->path[used] = length;
		if (bpf_probe_read_kernel(denial->path + used + 1, length, BPF_CORE_READ(dentry, d_name.name)))
			break;
		denial->path_bytes = used + 1 + length;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			break;
		dentry = parent;
	}
}

static __always_inline void count_untold(u32 policy)
{
	struct policy_tally *tally = bpf_map_lookup_elem(&policy_tallies, &policy);

	if (tally)
		add(tally->untold, 1);
}

static __always_inline void count_failed(u32 policy)
{
	struct policy_tally *tally = bpf_map_lookup_elem(&policy_tallies, &policy);

	if (tally)
		add(tally->failed, 1);
}

/* Begins an event for what was denied, or would have been: who it was. */
static __always_inline struct denial *begin_denial(u32 policy, u8 deed, u8 reason, u8 action)
{
	struct task_struct *task = current_task(), *parent = BPF_CORE_READ(task, real_parent);
	struct denial *denial = bpf_ringbuf_reserve(&denials, sizeof(*denial), 0);
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct cgroup *cgroup = identity_cgroup(task);
	struct upid *own;

	if (!denial) {
		count_untold(policy);
		return 0;
	}
	own = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	      BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);
	denial->boot_ns = bpf_ktime_get_boot_ns();
	denial->cgroup_id = BPF_CORE_READ(cgroup, kn, id);
	denial->policy = policy;
	denial->pid = BPF_CORE_READ(task, tgid);
	denial->tid = BPF_CORE_READ(task, pid);
	denial->pid_inside = BPF_CORE_READ(own, nr);
	denial->ppid = BPF_CORE_READ(parent, tgid);
	denial->uid = BPF_CORE_READ(task, cred, uid.val);
	denial->mount_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	denial->deed = deed;
	denial->reason = reason;
	denial->action = action;
	denial->inode = 0;
	denial->device = 0;
	denial->path_bytes = 0;
	denial->path_is_cut = 0;
	denial->number = 0;
	denial->port = 0;
	denial->pad = 0;
	denial->called[0] = 0;
	__builtin_memset(denial->address, 0, sizeof(denial->address));
	BPF_CORE_READ_INTO(&denial->comm, task, comm);
	BPF_CORE_READ_INTO(&denial->parent_comm, parent, comm);
	return denial;
}

/* Writes which file it was about, and what the caller called it. */
static __always_inline void write_file(struct denial *denial, struct file *file, const char *called)
{
	struct file_key key;

	key_of(file, &key);
	denial->inode = key.inode;
	denial->device = key.device;
	if (called)
		bpf_probe_read_kernel_str(denial->called, sizeof(denial->called), called);
	write_names(denial, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt));
}

/* One event for a program that was denied, or would have been. Not static, as above. */
__noinline int write_denial(u32 policy, u32 reason, u32 action, u64 address_of_file, u64 called)
{
	struct denial *denial = begin_denial(policy, DEED_EXEC, reason, action);

	if (denial) {
		write_file(denial, (struct file *)address_of_file, (const char *)called);
		bpf_ringbuf_submit(denial, 0);
	}
	return 0;
}

static __always_inline void tell(u32 policy, u8 reason, u8 action, struct file *file, const char *called)
{
	write_denial(policy, reason, action, number_of(file), number_of(called));
}
