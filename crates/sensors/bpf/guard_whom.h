/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which policies a task is under: found anew at each decision, by where the task is. */
#pragma once

#include "guard.h"
#include "namespaces.h"

static __always_inline struct cgroup *identity_cgroup(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state = 0;

	if (settings.identity_is_v2)
		return BPF_CORE_READ(set, dfl_cgrp);
	bpf_probe_read_kernel(&state, sizeof(state),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
				      settings.identity_controller * sizeof(void *));
	return BPF_CORE_READ(state, cgroup);
}

/* The policies that a cgroup is under, by itself and by all above it. Not static, so that the verifier looks at it
 * once. */
__noinline u64 policies_of_cgroup(u64 address)
{
	struct cgroup *cgroup = (struct cgroup *)address;
	u64 mask = 0;

	for (u32 i = 0; i < CGROUP_STEPS; i++) {
		struct cgroup_subsys_state *above;
		u64 id, *own;

		if (!cgroup)
			break;
		id = BPF_CORE_READ(cgroup, kn, id);
		own = bpf_map_lookup_elem(&cgroup_policies, &id);
		if (own)
			mask |= *own;
		above = BPF_CORE_READ(cgroup, self.parent);
		cgroup = above ? (void *)above - bpf_core_field_offset(struct cgroup, self) : 0;
	}
	return mask;
}

/*
 * The same of the running task in the v2 tree, where the kernel itself finds what is above: from the root on, which is
 * level 0. All kernels do that which have bpf_loop (5.17).
 */
__noinline u64 policies_of_levels(void)
{
	u64 mask = 0;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		for (u32 level = 0; level < CGROUP_STEPS; level++) {
			u64 id = bpf_get_current_ancestor_cgroup_id(level);

			if (!id)
				return mask;
			mask |= mask_in(&cgroup_policies, &id);
		}
	}
	/* Else, and of one that lies deeper than that, from its own on. */
	return policies_of_cgroup((u64)identity_cgroup(current_task()));
}

/* Not static, as above. An id of 0 is that of a kernel that has none. */
__noinline u64 policies_of_namespace(u32 number, u64 id)
{
	u64 *mask = bpf_map_lookup_elem(&namespace_policies, &number), *meant;

	if (!mask)
		return 0;
	meant = bpf_map_lookup_elem(&namespace_ids, &number);
	if (id && meant)
		return *meant == id ? *mask : 0;
	if (id)
		bpf_map_update_elem(&namespace_ids, &number, &id, BPF_NOEXIST);
	return *mask;
}

/* Of two pid namespaces with one number the first process began at another time. */
static __always_inline u64 pid_ns_id(struct pid_namespace *space)
{
	return BPF_CORE_READ(space, child_reaper, start_boottime);
}

/* As the one above: by its mount namespace, and by its pid namespace and all around that. */
__noinline u64 policies_by_namespace(void)
{
	struct task_struct *task = current_task();
	u64 mask = policies_of_namespace(mount_ns_of(task), mount_ns_id_of(task));
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *own =
		(void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	struct pid_namespace *space = BPF_CORE_READ(own, ns);

	for (u32 i = 0; i < PID_NAMESPACE_STEPS; i++) {
		if (!space)
			break;
		mask |= policies_of_namespace(BPF_CORE_READ(space, ns.inum), pid_ns_id(space));
		space = BPF_CORE_READ(space, parent);
	}
	return mask;
}

/* The policies that the running task is under. */
static __always_inline u64 policies_of_current(void)
{
	u64 mask = settings.identity_is_v2 ? policies_of_levels()
					   : policies_of_cgroup((u64)identity_cgroup(current_task()));
	struct guard_facts *known = facts();

	if (known && known->namespaces)
		mask |= policies_by_namespace();
	return mask;
}

/*
 * Whether the running task's root is that of the host: this folder, and no mount lies above but those that every mount
 * namespace begins with. So a container that has the host's root as a mount does not come to be in it by chroot(2), but
 * by pivot_root(2).
 */
static __always_inline bool is_in_root_of_host(u64 inode, u32 device)
{
	struct task_struct *task = current_task();
	struct inode *root = BPF_CORE_READ(task, fs, root.dentry, d_inode);
	struct mount *mount = mount_of((u64)BPF_CORE_READ(task, fs, root.mnt)),
		     *above = BPF_CORE_READ(mount, mnt_parent);

	return BPF_CORE_READ(root, i_ino) == inode && BPF_CORE_READ(root, i_sb, s_dev) == device &&
	       is_first_mount(above);
}
