/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every guard starts from: whom policies are about, what they deny, and what is told of it.
 *
 * Guards are an object of their own. They share no map with the sensors, as they are pinned and go on without ringfence.
 * Up to 64 policies are in force at once, so that any number of them is a mask of bits: those that a task is under, and those
 * that deny what it does. What both masks have is denied. Nothing is kept per CPU between two instructions: a task may lose
 * the CPU in the middle of a program on a security hook.
 */
#pragma once

#include "hash.h"

#define EPERM 1

enum guard_limit {
	POLICIES = 64,
	/* The policy that tries whether anything is denied at all. */
	CANARY_POLICY = 63,
	POLICY_TEXT_BYTES = 8192,
	CGROUP_NAME_BYTES = 160,
	/* Of the names of a denied file, so many bytes are told. */
	DENIAL_PATH_BYTES = 1024,
	DENIAL_CALLED_BYTES = 256,
	/* A power of two that has room for every reason. */
	DENY_REASON_SLOTS = 16,
};
EXPORT(enum, guard_limit);

#define NAME_BYTES 255
#define NAME_PART  64
/* Names and mounts from a file up to the root. */
#define PLACE_STEPS 128
/* Mounts from a task's root up to that of the container. */
#define ROOT_STEPS 32
/* So many of them are told. */
#define TOLD_STEPS 48
/* Cgroups from a task's own up to the root. One at each such level knows by itself what it inherits. */
#define CGROUP_STEPS 64
#define ANCHOR_LEVELS 32
#define PID_NAMESPACE_STEPS 32
#define TEXT_CHUNK 64
#define TEXT_CHUNKS 17
/* So many arguments are looked at. */
#define ARGUMENTS 8

enum policy_state {
	POLICY_FREE,
	POLICY_AUDIT,
	POLICY_ENFORCE,
};
EXPORT(enum, policy_state);

/* Why something was denied. */
enum deny_reason {
	/* The file's path, as the task sees it. */
	DENY_PATH,
	/* The file itself, under whatever name. */
	DENY_FILE,
	/* The file's own name, wherever it lies. */
	DENY_NAME,
	/* The text that the caller named the program by: a link to it, or a script. */
	DENY_CALLED,
	/* The argument by which a program of many picks what it is. */
	DENY_APPLET,
	/* The argument by which a loader picks what it runs. */
	DENY_LOADER,
	/* The file was mapped as code. */
	DENY_MAPPED,
	/* The file is none of the image. */
	DENY_NOT_OF_IMAGE,
};
EXPORT(enum, deny_reason);

enum deny_action {
	/* The call fails with EPERM. */
	ACTION_REFUSED,
	/* The process gets SIGKILL before the first instruction of the program. */
	ACTION_KILLED,
	/* Nothing: the policy only counts. */
	ACTION_AUDITED,
	/* SIGKILL was to be sent, and the kernel did not take it. */
	ACTION_FAILED,
};
EXPORT(enum, deny_action);

struct policy {
	u64 expires_boot_ns; /* 0: never */
	u32 state;
	u32 pad;
};

struct policy_tally {
	u64 denied;
	u64 audited;
	u64 failed;
	u64 by_reason[DENY_REASON_SLOTS];
	/* Denials whose event found no room in the ring. */
	u64 untold;
	u64 first_boot_ns;
	u64 last_boot_ns;
};

struct policy_text {
	u8 bytes[POLICY_TEXT_BYTES];
};

/* What a process finds that comes later, and what must not go unnoticed. */
struct guard_facts {
	u64 hash_key[2];
	u64 loaded_boot_ns;
	/* 0 until all programs are attached and pinned. */
	u32 complete;
	u32 step;
	u32 identity_is_v2;
	u32 identity_hierarchy;
	/* While 0 nobody is told by a namespace. */
	u32 namespaces;
	u32 pad;
	/* The policies that deny by name, and those that deny all that is not of the image. */
	u64 naming;
	u64 image_only;
	/* The file system of the host's root. */
	u32 host_root_device;
	u32 pad2;
};

/* What only the kernel side writes. */
struct guard_losses {
	/* Cgroups that were to be under a policy and found no room in the map. */
	u64 cgroups;
};

struct file_key {
	u64 inode;
	u32 device;
	u32 pad;
};

struct cgroup_name {
	u8 bytes[CGROUP_NAME_BYTES];
};

struct denial {
	u64 boot_ns;
	u64 cgroup_id;
	u64 inode;
	u32 device;
	u32 policy;
	u32 pid;
	u32 tid;
	u32 pid_inside;
	u32 ppid;
	u32 uid;
	u32 mount_ns;
	u32 path_bytes;
	u8 reason;
	u8 action;
	u8 path_is_cut;
	u8 pad;
	u8 comm[COMM_BYTES];
	u8 parent_comm[COMM_BYTES];
	u8 called[DENIAL_CALLED_BYTES];
	/* The names, leaf first, each with its length before it. */
	u8 path[DENIAL_PATH_BYTES + NAME_BYTES + 1];
};
EXPORT(struct, denial);

/* clang-format off */
#define GUARD_MAP(name, kind, entries, key_type, value_type, flags) \
	struct {                                                    \
		__uint(type, BPF_MAP_TYPE_##kind);                  \
		__uint(map_flags, flags);                           \
		__uint(max_entries, entries);                       \
		__type(key, key_type);                              \
		__type(value, value_type);                          \
	} name SEC(".maps")
/* clang-format on */

GUARD_MAP(policies, ARRAY, POLICIES, u32, struct policy, 0);
GUARD_MAP(policy_tallies, ARRAY, POLICIES, u32, struct policy_tally, 0);
GUARD_MAP(policy_texts, ARRAY, POLICIES, u32, struct policy_text, 0);
GUARD_MAP(guard_facts, ARRAY, 1, u32, struct guard_facts, 0);
GUARD_MAP(guard_losses, ARRAY, 1, u32, struct guard_losses, 0);
/* Whom: the mask of the policies that a cgroup is under, or a namespace, or a cgroup that is yet to be made. */
GUARD_MAP(cgroup_policies, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(namespace_policies, HASH, 4096, u32, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(awaited_cgroups, HASH, 16384, struct cgroup_name, u64, BPF_F_NO_PREALLOC);
/* What: the mask of the policies that deny it. */
GUARD_MAP(denied_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_names, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_texts, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
/* Programs of many: the argument says which. By name, and by file. */
GUARD_MAP(many_names, HASH, 64, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(many_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} denials SEC(".maps");

static __always_inline struct guard_facts *facts(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&guard_facts, &zero);
}

/* The task that runs: read its fields with BPF_CORE_READ. */
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

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

/* The policies that a cgroup is under, by itself and by all above it. Not static, so that the verifier looks at it once. */
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

static __always_inline u64 policies_of_namespace(u32 number)
{
	u64 *mask = bpf_map_lookup_elem(&namespace_policies, &number);

	return mask ? *mask : 0;
}

/* As the one above: by its mount namespace, and by its pid namespace and all around that. */
__noinline u64 policies_by_namespace(void)
{
	struct task_struct *task = current_task();
	u64 mask = policies_of_namespace(BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum));
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *own =
		(void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	struct pid_namespace *space = BPF_CORE_READ(own, ns);

	for (u32 i = 0; i < PID_NAMESPACE_STEPS; i++) {
		if (!space)
			break;
		mask |= policies_of_namespace(BPF_CORE_READ(space, ns.inum));
		space = BPF_CORE_READ(space, parent);
	}
	return mask;
}

/* The policies that the running task is under. */
static __always_inline u64 policies_of_current(void)
{
	u64 mask = policies_of_cgroup((u64)identity_cgroup(current_task()));
	struct guard_facts *known = facts();

	if (known && known->namespaces)
		mask |= policies_by_namespace();
	return mask;
}

/* In parts, as kernels before 6.8 add up the stacks of all functions that call each other, and allow 512 bytes. */
static __always_inline u64 hash_of_bytes(u64 address, u32 length)
{
	u64 words[NAME_PART / 8];
	struct sip_hash hash;

	length &= NAME_BYTES;
	begin_hash(&hash);
	add_to_hash(&hash, length);
	for (u32 at = 0; at <= NAME_BYTES; at += NAME_PART) {
		u32 part = length - at;

		if (at >= length)
			break;
		__builtin_memset(words, 0, sizeof(words));
		barrier_var(part); /* the verifier must see the very number that is cut */
		if (part > NAME_PART)
			part = NAME_PART;
		if (bpf_probe_read_kernel(words, part, (const void *)(address + at)))
			return 0;
		for (u32 i = 0; i < NAME_PART / 8; i++) {
			if (at + i * 8 >= length)
				break;
			add_to_hash(&hash, words[i]);
		}
	}
	return end_hash(&hash);
}

/* A name as a number; 0 if it cannot be read. Not static, as above. */
__noinline u64 hash_of_name(u64 address_of_dentry)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry;

	return hash_of_bytes((u64)BPF_CORE_READ(dentry, d_name.name), BPF_CORE_READ(dentry, d_name.len));
}

/* The path of a file as the running task sees it, as a number over those of its names, leaf first; 0 if it cannot see it. */
__noinline u64 hash_of_place(u64 address_of_dentry, u64 address_of_mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	struct vfsmount *vfsmount = (struct vfsmount *)address_of_mount;
	struct task_struct *task = current_task();
	u64 root_dentry = (u64)BPF_CORE_READ(task, fs, root.dentry), root_mount = (u64)BPF_CORE_READ(task, fs, root.mnt);
	struct mount *mount, *upper;
	struct sip_hash hash;

	begin_hash(&hash);
	for (u32 i = 0; i < PLACE_STEPS; i++) {
		if ((u64)dentry == root_dentry && (u64)vfsmount == root_mount)
			return end_hash(&hash);
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
			upper = BPF_CORE_READ(mount, mnt_parent);
			if (upper == mount)
				return 0;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return 0;
		add_to_hash(&hash, hash_of_name((u64)dentry));
		dentry = parent;
	}
	return 0;
}

static __always_inline void key_of(struct file *file, struct file_key *key)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	key->inode = BPF_CORE_READ(inode, i_ino);
	key->device = BPF_CORE_READ(inode, i_sb, s_dev);
	key->pad = 0;
}

static __always_inline u64 mask_in(void *map, const void *key)
{
	u64 *mask = bpf_map_lookup_elem(map, key);

	return mask ? *mask : 0;
}

/* include/uapi/linux/magic.h (6.18) */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630

/*
 * The file system of the container's root, wherever the task's own root is: the mount below which all others are, but for the
 * one that every mount namespace begins with.
 */
static __always_inline struct super_block *root_of_container(void)
{
	struct vfsmount *vfsmount = BPF_CORE_READ(current_task(), fs, root.mnt);
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);

	for (u32 i = 0; i < ROOT_STEPS; i++) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount || BPF_CORE_READ(above, mnt_parent) == above)
			return BPF_CORE_READ(mount, mnt.mnt_sb);
		mount = above;
	}
	return 0;
}

/*
 * Whether a file came with the image: it lies in the file system of the container's root, and its inode has nothing in the
 * layer that is written to. Where the root is not an overlay, or still the host's, as while a runtime sets the container up,
 * that cannot be told, and every file passes.
 */
static __always_inline bool is_of_image(struct guard_facts *known, struct file *file)
{
	struct super_block *root = root_of_container();
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u64 upper = 0;

	if (!root)
		return false;
	if (BPF_CORE_READ(root, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return true;
	if (BPF_CORE_READ(root, s_dev) == known->host_root_device)
		return true;
	if (BPF_CORE_READ(inode, i_sb) != root)
		return false;
	/* struct ovl_inode: behind the inode lies the dentry in the upper layer (fs/overlayfs/ovl_entry.h, 5.10 to 6.18). */
	if (bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode)))
		return false;
	return !upper;
}

/* Those of these policies that deny this file, and why. */
static __always_inline u64 denied_by_file(u64 mask, struct file *file, u8 *reason)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct guard_facts *known;
	struct file_key key;
	u64 number, found;

	number = hash_of_name((u64)dentry);
	found = mask & mask_in(&denied_names, &number);
	*reason = DENY_NAME;
	if (found)
		return found;
	number = hash_of_place((u64)dentry, (u64)BPF_CORE_READ(file, f_path.mnt));
	found = mask & mask_in(&denied_paths, &number);
	*reason = DENY_PATH;
	if (found)
		return found;
	key_of(file, &key);
	found = mask & mask_in(&denied_files, &key);
	*reason = DENY_FILE;
	if (found)
		return found;
	known = facts();
	if (!known || !(mask & known->image_only) || is_of_image(known, file))
		return 0;
	*reason = DENY_NOT_OF_IMAGE;
	return mask & known->image_only;
}

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

/* Writes the names of a file, leaf first, up to the root of the running task. */
static __always_inline void write_names(struct denial *denial, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry), *parent;
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);
	struct task_struct *task = current_task();
	u64 root_dentry = (u64)BPF_CORE_READ(task, fs, root.dentry), root_mount = (u64)BPF_CORE_READ(task, fs, root.mnt);
	struct mount *mount, *upper;
	u32 used = 0;

	denial->path_is_cut = 1;
	for (u32 i = 0; i < TOLD_STEPS; i++) {
		u32 length;

		if ((u64)dentry == root_dentry && (u64)vfsmount == root_mount) {
			denial->path_is_cut = 0;
			break;
		}
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
			upper = BPF_CORE_READ(mount, mnt_parent);
			if (upper == mount)
				break;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		length = BPF_CORE_READ(dentry, d_name.len) & NAME_BYTES;
		if (used + 1 + length >= DENIAL_PATH_BYTES)
			break;
		/* So that the verifier knows of every round the same: it need not look at each. */
		barrier_var(used);
		used &= DENIAL_PATH_BYTES - 1;
		denial->path[used] = length;
		if (bpf_probe_read_kernel(denial->path + used + 1, length, BPF_CORE_READ(dentry, d_name.name)))
			break;
		used += 1 + length;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			break;
		dentry = parent;
	}
	denial->path_bytes = used;
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

/* One event for what was denied, or would have been. */
static __always_inline void tell(u32 policy, u8 reason, u8 action, struct file *file, const char *called)
{
	struct task_struct *task = current_task(), *parent = BPF_CORE_READ(task, real_parent);
	struct denial *denial = bpf_ringbuf_reserve(&denials, sizeof(*denial), 0);
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct cgroup *cgroup = identity_cgroup(task);
	struct file_key key;
	struct upid *own;

	if (!denial) {
		count_untold(policy);
		return;
	}
	own = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	      BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);
	key_of(file, &key);
	denial->boot_ns = bpf_ktime_get_boot_ns();
	denial->cgroup_id = BPF_CORE_READ(cgroup, kn, id);
	denial->inode = key.inode;
	denial->device = key.device;
	denial->policy = policy;
	denial->pid = BPF_CORE_READ(task, tgid);
	denial->tid = BPF_CORE_READ(task, pid);
	denial->pid_inside = BPF_CORE_READ(own, nr);
	denial->ppid = BPF_CORE_READ(parent, tgid);
	denial->uid = BPF_CORE_READ(task, cred, uid.val);
	denial->mount_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	denial->reason = reason;
	denial->action = action;
	denial->pad = 0;
	BPF_CORE_READ_INTO(&denial->comm, task, comm);
	BPF_CORE_READ_INTO(&denial->parent_comm, parent, comm);
	denial->called[0] = 0;
	if (called)
		bpf_probe_read_kernel_str(denial->called, sizeof(denial->called), called);
	write_names(denial, file);
	bpf_ringbuf_submit(denial, 0);
}
