/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Nothing may be written but what is listed: each name by itself, and folders for all that lies below them.
 *
 * Writing is what guard_file.bpf.c says. A place is told by its path, wherever the task's own root is. In the
 * container's root, where that is an overlay, it is the path in that file system, which no mount changes. Elsewhere, as
 * in volumes, it is the path below the top of the mount namespace. What cannot be told is not let pass.
 *
 * A runtime that sets the container up, or brings a program into it, is not judged until it starts that program.
 */

#include "guard_acts.h"
#include "guard_list.h"
#include "guard_newcomer.h"

/* The mask of the policies that list this very path, and those that list all below it. */
GUARD_MAP(written_paths, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(written_folders, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
/* The last names of all paths of the second: of no other folder the path is asked for. */
GUARD_MAP(written_names, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
/* The file systems that are roots of containers, whatever root or mounts a task there makes for itself. */
GUARD_MAP(container_roots, HASH, 4096, u32, u64, BPF_F_NO_PREALLOC);

/* include/uapi/linux/magic.h (6.18), ipc/mqueue.c, and include/uapi/linux/stat.h */
#define PROC_SUPER_MAGIC   0x9fa0
#define DEVPTS_SUPER_MAGIC 0x1cd1
#define MQUEUE_MAGIC	   0x19800202
#define EINVAL		   22
#define S_IFMT		   0170000
#define S_IFSOCK	   0140000
#define S_IFCHR		   0020000
#define S_IFIFO		   0010000

/* fs/mount.h (6.18): MNT_NS_INTERNAL, of mounts that only the kernel has. */
static __always_inline bool is_internal(u64 vfsmount)
{
	return (s64)BPF_CORE_READ(mount_of(vfsmount), mnt_ns) == -EINVAL;
}

static __always_inline bool is_of_process(struct inode *inode)
{
	struct proc_inode *own = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);

	return BPF_CORE_READ(own, pid);
}

/*
 * What is no place in a tree of files, though it can be opened or has a mode: memory and pipes without a name,
 * terminals, message queues, and what the kernel shows of a process. And what is more than its name once it is open:
 * devices that are no disks, pipes, sockets.
 */
static __always_inline bool is_no_place(u32 act, u64 address_of_dentry, u64 mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode), *folder;
	u64 magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	u32 type;

	if (is_internal(mount) || magic == DEVPTS_SUPER_MAGIC || magic == MQUEUE_MAGIC)
		return true;
	if (magic == PROC_SUPER_MAGIC) {
		/* Who may make what he opens is judged before it is known to be there (fs/namei.c, lookup_open). */
		folder = BPF_CORE_READ(dentry, d_parent, d_inode);
		if ((inode && is_of_process(inode)) || is_of_process(folder))
			return true;
	}
	if (!inode)
		return false;
	if (act != FILE_WRITE && act != FILE_READ_WRITE)
		return false;
	type = BPF_CORE_READ(inode, i_mode) & S_IFMT;
	return type == S_IFCHR || type == S_IFIFO || type == S_IFSOCK;
}

/* Whether it lies in the root of the container that the running task is in, and that is an overlay. */
static __always_inline bool is_in_own_overlay(u64 mask, u64 dentry)
{
	struct super_block *in = BPF_CORE_READ((struct dentry *)dentry, d_sb);
	struct listing *known = listing();
	u32 device = BPF_CORE_READ(in, s_dev);

	if (!known || !is_of_overlay(dentry) || device == known->host_root_device)
		return false;
	return mask & mask_in(&container_roots, &device) || (u64)in == root_of_container();
}

static __always_inline u64 listing_folder(u64 mask, u64 dentry, u64 mount, u32 route)
{
	u64 number = hash_of_name(dentry);

	mask &= mask_in(&written_names, &number);
	if (!mask)
		return 0;
	number = hash_of_route(dentry, mount, route);
	return mask & mask_in(&written_folders, &number);
}

/* Those of these policies that list neither this place nor a folder above it. Not static, so that the verifier looks at
 * it once. */
__noinline u64 not_listing_place(u64 mask, u64 address_of_dentry, u64 address_of_mount)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	struct vfsmount *vfsmount = (struct vfsmount *)address_of_mount;
	u32 route = is_in_own_overlay(mask, address_of_dentry) ? ROUTE_WITHIN : ROUTE_FROM_TOP;
	struct mount *mount, *upper;
	u32 is_above = 0;
	u64 number;

	/* Where nothing is mounted, or in other mounts than the task's, a path says what its maker wants. */
	if (route == ROUTE_FROM_TOP &&
	    BPF_CORE_READ(mount_of(address_of_mount), mnt_ns) != BPF_CORE_READ(current_task(), nsproxy, mnt_ns))
		return mask;
	number = hash_of_route(address_of_dentry, address_of_mount, route);
	mask &= ~mask_in(&written_paths, &number);
	for (u32 i = 0; i < PLACE_STEPS; i++) {
		if (!mask)
			return 0;
		if (route == ROUTE_FROM_TOP && dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			mount = mount_of((u64)vfsmount);
			upper = BPF_CORE_READ(mount, mnt_parent);
			if (upper == mount)
				return mask;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (is_above)
			mask &= ~listing_folder(mask, (u64)dentry, (u64)vfsmount, route);
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return mask;
		dentry = parent;
		is_above = 1;
	}
	return mask;
}

/* Whether these policies let this be done there. As above. */
__noinline int judge_writing(u64 mask, u32 asked, u32 act, u64 dentry, u64 mount)
{
	u64 found;

	if (!(asked & ACCESS_WRITE) || is_no_place(act, dentry, mount))
		return 0;
	found = not_listing_place(mask, dentry, mount);
	return found ? refuse_place(found, DENY_NOT_LISTED, act, dentry, mount) : 0;
}

/* The policies that judge what the running task writes. */
static __always_inline u64 writing_policies(void)
{
	struct listing *known = listing();
	u64 mask;

	if (!known || !known->writing)
		return 0;
	mask = known->writing & policies_of_current();
	if (!mask || is_in_root_of_host(known->host_root_inode, known->host_root_device) || is_newcomer())
		return 0;
	return mask;
}

static __always_inline bool may_be_writing(u32 asked, struct file *file)
{
	return asked & ACCESS_WRITE;
}

FILE_GUARDS(written_, may_be_writing, writing_policies, judge_writing)
