/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies that are strict in a container only after something in it has read what is not to be trusted.
 *
 * Until then the policy waits in the container's cgroup: its bit stands in `waiting_policies`, and not in
 * `cgroup_policies`, where all guards look. A read sets it there, before it returns to who reads. Nothing clears it but
 * the end of the cgroup, or of the policy.
 *
 * Both maps are changed here alone for a cgroup that is there already, under a lock, as a mask has the bits of several
 * policies, and kernels before 5.12 have no atomic operation that sets one. User space has `change_cgroup` do it.
 */

#include "guard_deed.h"
#include "guard_where.h"

/* include/linux/socket.h and include/uapi/linux/tcp.h (5.10 to 6.18) */
#define FAMILY_UNIX	 1
#define FAMILY_KEY	 15
#define FAMILY_NETLINK	 16
#define FAMILY_ALG	 38
#define LEVEL_TCP	 6
#define ZEROCOPY_RECEIVE 35

/* What made a policy strict. */
enum taint_trigger {
	/* A read from a socket of the network. */
	TAINT_NETWORK,
	/* A file that was opened to be read. */
	TAINT_FILE,
	/* Cgroups in the container that lie so deep in the tree that they must know by themselves what they inherit. */
	TAINT_DEPTH,
	/* There was no room for it to wait. */
	TAINT_NO_ROOM,
};
EXPORT(enum, taint_trigger);

/* The policies that wait for each. */
struct tainting {
	u64 network;
	u64 file;
};

struct taint_key {
	u64 cgroup;
	u32 policy;
	u32 pad;
};

/* Since when a policy is strict in a cgroup, and by whom. */
struct taint {
	u64 boot_ns;
	u32 pid;
	u32 trigger;
	u8 comm[COMM_BYTES];
};

struct mask_lock {
	struct bpf_spin_lock lock;
};

GUARD_MAP(tainting, ARRAY, 1, u32, struct tainting, 0);
/* The mask of the policies that wait in a cgroup, or have waited. Each has its place in `cgroup_policies`, too. */
GUARD_MAP(waiting_policies, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
/* By the name of a cgroup that is yet to be made. */
GUARD_MAP(waiting_names, HASH, 16384, struct cgroup_name, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(taints, HASH, 16384, struct taint_key, struct taint, BPF_F_NO_PREALLOC);
GUARD_MAP(mask_locks, ARRAY, 1, u32, struct mask_lock, 0);

static __always_inline struct mask_lock *mask_lock(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&mask_locks, &zero);
}

/* Puts these policies in force in a cgroup; gives whether there was room. Not static, so that the verifier looks at it
 * once. */
__noinline int watch_at(u64 id, u64 mask)
{
	struct mask_lock *one = mask_lock();
	u64 none = 0, *own;

	bpf_map_update_elem(&cgroup_policies, &id, &none, BPF_NOEXIST);
	own = bpf_map_lookup_elem(&cgroup_policies, &id);
	if (!one || !own)
		return 0;
	bpf_spin_lock(&one->lock);
	*own |= mask;
	bpf_spin_unlock(&one->lock);
	return 1;
}

/* Has these policies wait in a cgroup; gives whether there was room. As above. */
__noinline int wait_at(u64 id, u64 mask)
{
	struct mask_lock *one = mask_lock();
	u64 none = 0, *waiting;

	/* Here, so that there is room when it matters. */
	bpf_map_update_elem(&cgroup_policies, &id, &none, BPF_NOEXIST);
	bpf_map_update_elem(&waiting_policies, &id, &none, BPF_NOEXIST);
	waiting = bpf_map_lookup_elem(&waiting_policies, &id);
	if (!one || !waiting || !bpf_map_lookup_elem(&cgroup_policies, &id))
		return 0;
	bpf_spin_lock(&one->lock);
	*waiting |= mask;
	bpf_spin_unlock(&one->lock);
	return 1;
}

/* These policies are no longer about a cgroup. As above. */
__noinline int leave_at(u64 id, u64 mask)
{
	struct mask_lock *one = mask_lock();
	u64 *own = bpf_map_lookup_elem(&cgroup_policies, &id);
	u64 *waiting = bpf_map_lookup_elem(&waiting_policies, &id);

	if (!one)
		return 0;
	bpf_spin_lock(&one->lock);
	if (waiting)
		*waiting &= ~mask;
	if (own)
		*own &= ~mask;
	bpf_spin_unlock(&one->lock);
	return 1;
}

/* Makes those of these policies strict that wait in a cgroup; gives those that were not. As above. */
__noinline u64 make_strict_at(u64 id, u64 mask)
{
	struct mask_lock *one = mask_lock();
	u64 *own = bpf_map_lookup_elem(&cgroup_policies, &id);
	u64 *waiting = bpf_map_lookup_elem(&waiting_policies, &id), made;

	if (!one || !own || !waiting)
		return 0;
	bpf_spin_lock(&one->lock);
	made = *waiting & mask & ~*own;
	*own |= made;
	bpf_spin_unlock(&one->lock);
	return made;
}

/* A policy has become strict in a cgroup, by the running task: that is kept, and is one event. As above. */
__noinline int tell_taint(u64 id, u32 policy, u32 trigger, u64 dentry, u64 mount)
{
	struct taint_key key = {id, policy, 0};
	struct task_struct *task = current_task();
	struct taint taint = {};
	struct denial *told;

	taint.boot_ns = bpf_ktime_get_boot_ns();
	taint.pid = BPF_CORE_READ(task, tgid);
	taint.trigger = trigger;
	BPF_CORE_READ_INTO(&taint.comm, task, comm);
	bpf_map_update_elem(&taints, &key, &taint, BPF_ANY);
	told = begin_denial(policy, DEED_EXEC, trigger, ACTION_TAINTED);
	if (!told)
		return 0;
	/* That of the container, in whichever of its cgroups the task is. */
	told->cgroup_id = id;
	if (dentry)
		write_names(told, (struct dentry *)dentry, (struct vfsmount *)mount);
	bpf_ringbuf_submit(told, 0);
	return 0;
}

/* The same of several. As above. */
__noinline int tell_taints(u64 id, u64 mask, u32 trigger, u64 dentry, u64 mount)
{
	for (u32 i = 0; i < POLICIES; i++)
		if (mask >> i & 1)
			tell_taint(id, i, trigger, dentry, mount);
	return 0;
}

static __always_inline u64 above(struct cgroup *cgroup)
{
	struct cgroup_subsys_state *state = BPF_CORE_READ(cgroup, self.parent);

	return state ? (u64)((void *)state - bpf_core_field_offset(struct cgroup, self)) : 0;
}

/* The policies that wait in a cgroup, or in one above it. As above. */
__noinline u64 waiting_in(u64 address)
{
	u64 mask = 0;

	for (u32 i = 0; i < CGROUP_STEPS; i++) {
		struct cgroup *cgroup = (struct cgroup *)address;
		u64 id, *own, *waiting;

		if (!address)
			break;
		id = BPF_CORE_READ(cgroup, kn, id);
		waiting = bpf_map_lookup_elem(&waiting_policies, &id);
		if (waiting && *waiting) {
			own = bpf_map_lookup_elem(&cgroup_policies, &id);
			if (own)
				mask |= *waiting & ~*own;
		}
		address = above(cgroup);
	}
	return mask;
}

/* Makes those of these policies strict that wait in a cgroup, or in one above it. As above. */
__noinline int make_strict(u64 address, u64 mask, u32 trigger, u64 dentry, u64 mount)
{
	for (u32 i = 0; i < CGROUP_STEPS; i++) {
		struct cgroup *cgroup = (struct cgroup *)address;
		u64 id, made;

		if (!address)
			break;
		id = BPF_CORE_READ(cgroup, kn, id);
		made = make_strict_at(id, mask);
		if (made)
			tell_taints(id, made, trigger, dentry, mount);
		address = above(cgroup);
	}
	return 0;
}

static __always_inline struct tainting *tainting_policies(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tainting, &zero);
}

/* The running task reads from a socket. What only this machine's kernel and processes can say there is none of the
 * network. */
static __always_inline int watch_socket(struct sock *sock)
{
	u32 family = BPF_CORE_READ(sock, __sk_common.skc_family);
	struct tainting *wanted = tainting_policies();
	u64 cgroup, mask;

	if (!wanted || !wanted->network || family == FAMILY_UNIX || family == FAMILY_NETLINK || family == FAMILY_KEY ||
	    family == FAMILY_ALG)
		return 0;
	cgroup = (u64)identity_cgroup(current_task());
	mask = waiting_in(cgroup) & wanted->network;
	if (mask)
		make_strict(cgroup, mask, TAINT_NETWORK, 0, 0);
	return 0;
}

GUARD(receive, socket_recvmsg, watch_socket(BPF_CORE_READ(socket, sk)), struct socket *socket, struct msghdr *message,
      int size, int flags)
/* By this call TCP maps what came into the memory of who calls. */
GUARD(zerocopy, socket_getsockopt,
      level == LEVEL_TCP && option == ZEROCOPY_RECEIVE ? watch_socket(BPF_CORE_READ(socket, sk)) : 0,
      struct socket *socket, int level, int option)

/* Between two descriptors, without a look by the security hooks. */
SEC("fentry/sock_splice_read")
int BPF_PROG(on_splice_taint, struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);

	return watch_socket(BPF_CORE_READ(socket, sk));
}

/* Where no security hook can be had, from Linux 6.3 on: something was read, and the call is yet to return. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive_taint, struct sock *sock, int length)
{
	return length > 0 ? watch_socket(sock) : 0;
}

/* The running task opens a file. As long as its root is the host's it is a runtime that sets the container up. */
static __always_inline int watch_opening(struct file *file)
{
	struct tainting *wanted = tainting_policies();
	struct guard_facts *known = facts();
	u64 cgroup, mask, dentry, mount;

	if (!wanted || !known || !wanted->file || !((u32)file->f_mode & FMODE_READ) ||
	    !may_be_ruled(ACCESS_TAINTS, file))
		return 0;
	cgroup = (u64)identity_cgroup(current_task());
	mask = waiting_in(cgroup) & wanted->file;
	if (!mask || is_in_root_of_host(known->host_root_inode, known->host_root_device))
		return 0;
	dentry = number_of(file->f_path.dentry);
	mount = number_of(file->f_path.mnt);
	mask = ruled(mask, ACCESS_TAINTS | TOLD_BY_ANY, dentry, mount);
	if (mask)
		make_strict(cgroup, mask, TAINT_FILE, dentry, mount);
	return 0;
}

GUARD(reading, file_open, watch_opening(file), struct file *file)

/* The policies that are to wait in a cgroup with this name. As above. */
__noinline u64 to_wait_in(u64 address)
{
	struct cgroup *cgroup = (struct cgroup *)address;
	struct cgroup_name name = {};
	long length = bpf_probe_read_kernel_str(name.bytes, sizeof(name.bytes), BPF_CORE_READ(cgroup, kn, name));

	return length > 0 && length < CGROUP_NAME_BYTES ? mask_in(&waiting_names, &name) : 0;
}

/*
 * A cgroup is made: after `expect`, which may write anew what is strict there, and before anything can be in it. Where
 * a cgroup knows by itself what it inherits, what becomes strict above it later would not reach it, so that it becomes
 * strict now. What is done here may be done twice.
 */
static __always_inline int expect_to_wait(struct cgroup *cgroup)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id), mask, parent;
	struct guard_losses *losses;
	u32 zero = 0;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	if (!(BPF_CORE_READ(cgroup, level) & (ANCHOR_LEVELS - 1))) {
		parent = above(cgroup);
		mask = waiting_in(parent);
		if (mask)
			make_strict(parent, mask, TAINT_DEPTH, 0, 0);
		mask = policies_of_cgroup(parent);
		if (mask)
			watch_at(id, mask);
	}
	mask = to_wait_in(number_of(cgroup));
	if (!mask || wait_at(id, mask))
		return 0;
	mask &= ~mask_in(&cgroup_policies, &id);
	if (!mask)
		return 0;
	if (watch_at(id, mask))
		return tell_taints(id, mask, TAINT_NO_ROOM, 0, 0);
	losses = bpf_map_lookup_elem(&guard_losses, &zero);
	if (losses)
		add(losses->cgroups, 1);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_mkdir_taint, struct cgroup *cgroup, const char *path)
{
	return expect_to_wait(cgroup);
}

/* From 7.0 on the kernel may skip a program while another task is in the middle of it on that CPU. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_mkdir_taint_again, struct cgroup *cgroup, const char *path)
{
	return expect_to_wait(cgroup);
}

/* As above. */
__noinline int forget_taints(u64 id, u64 mask)
{
	struct taint_key key = {id, 0, 0};

	for (u32 i = 0; i < POLICIES; i++) {
		key.policy = i;
		if (mask >> i & 1)
			bpf_map_delete_elem(&taints, &key);
	}
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_rmdir_taint, struct cgroup *cgroup, const char *path)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id), *waiting;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	waiting = bpf_map_lookup_elem(&waiting_policies, &id);
	if (!waiting)
		return 0;
	forget_taints(id, *waiting);
	bpf_map_delete_elem(&waiting_policies, &id);
	return 0;
}

/* What user space asks for. */
enum cgroup_change {
	CHANGE_WATCH,
	CHANGE_WAIT,
	CHANGE_LEAVE,
};
EXPORT(enum, cgroup_change);

struct asked_change {
	u64 cgroup;
	u64 policies;
	u32 kind;
	u32 pad;
};

GUARD_MAP(asked_changes, ARRAY, 1, u32, struct asked_change, 0);

/* Changes whom policies are about, once per reading; says whether there was room. */
SEC("iter/bpf_map")
int change_cgroup(struct bpf_iter__bpf_map *ctx)
{
	u32 zero = 0, done;
	struct asked_change *asked = bpf_map_lookup_elem(&asked_changes, &zero);

	if (ctx->meta->seq_num || !asked)
		return 0;
	if (asked->kind == CHANGE_WATCH)
		done = watch_at(asked->cgroup, asked->policies);
	else if (asked->kind == CHANGE_WAIT)
		done = wait_at(asked->cgroup, asked->policies);
	else
		done = leave_at(asked->cgroup, asked->policies);
	bpf_seq_write(ctx->meta->seq, &done, sizeof(done));
	return 0;
}
