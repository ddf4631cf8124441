/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What policies deny: a file by its name, its path, itself, or as none of the image. */
#pragma once

#include "guard.h"

/*
 * A text as a number: its words, of the last what there is, then its length; of a longer one than a name can be its
 * beginning. 0 if it cannot be read. In parts, as kernels before 6.8 add up the stacks of all functions that call each
 * other, and allow 512 bytes. Not static, so that the verifier looks at it once.
 */
__noinline u64 hash_of_text(u64 text, u32 is_argument)
{
	u64 words[NAME_PART / 8 + 1];
	struct sip_hash hash;
	u32 length = 0;

	begin_hash(&hash);
	for (u32 at = 0; at <= NAME_BYTES; at += NAME_PART) {
		u32 room = at + NAME_PART > NAME_BYTES ? NAME_PART : NAME_PART + 1;
		long got;

		__builtin_memset(words, 0, sizeof(words));
		got = is_argument ? bpf_probe_read_user_str(words, room, (const void *)(text + at))
				  : bpf_probe_read_kernel_str(words, room, (const void *)(text + at));
		if (got <= 0)
			return 0;
		got--;
		length += got;
		/* Out of both loops at once: where one goes on behind the other, the verifier tries every pair of ends.
		 */
		for (u32 i = 0; i < NAME_PART / 8; i++) {
			if (i * 8 >= got)
				goto end;
			add_to_hash(&hash, words[i]);
		}
		if (got < NAME_PART)
			break;
	}
end:
	add_to_hash(&hash, length);
	return end_hash(&hash);
}

/* A file's name as a number. */
static __always_inline u64 hash_of_name(u64 address_of_dentry)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry;

	return hash_of_text((u64)BPF_CORE_READ(dentry, d_name.name), 0);
}

/* A text that is not told by how long it is. */
#define ENDLESS (~0ULL)
/* Most texts are shorter. */
#define TEXT_ROOM 128

/*
 * How long a text is; ENDLESS if it must be looked at whole: it cannot be read, is longer than most, or is an argument
 * that begins with a hyphen. As above.
 */
__noinline u64 length_of_text(u64 text, u32 is_argument)
{
	char begin[TEXT_ROOM];
	long got = is_argument ? bpf_probe_read_user_str(begin, sizeof(begin), (const void *)text)
			       : bpf_probe_read_kernel_str(begin, sizeof(begin), (const void *)text);

	if (got <= 0 || got >= TEXT_ROOM || (is_argument && begin[0] == '-'))
		return ENDLESS;
	return got - 1;
}

/*
 * The end of a text: its last eight bytes; fewer stand behind zeros. What is looked up by its number is looked for by
 * its end first, which is much less work: a name whose end nobody denies is not denied. Gives whether it can be read.
 */
static __always_inline bool read_end(u64 text, u64 length, bool is_argument, u64 *end)
{
	const void *from = (const void *)(length > sizeof(*end) ? text + length - sizeof(*end) : text);

	*end = 0;
	if (is_argument ? bpf_probe_read_user(end, sizeof(*end), from) : bpf_probe_read_kernel(end, sizeof(*end), from))
		return false;
	if (length < sizeof(*end))
		*end = length ? *end << (sizeof(*end) - length) * 8 : 0;
	return true;
}

/* Of the end of a text what is behind its last slash: the end of its last name. */
static __always_inline u64 behind_slash(u64 end)
{
	const u64 low = 0x7f7f7f7f7f7f7f7f;
	u64 other = end ^ 0x2f2f2f2f2f2f2f2f, slashes;

	/* The first bit of each byte that is a slash, then of each byte up to the last of them. */
	slashes = ~(((other & low) + low) | other | low);
	slashes |= slashes >> 8;
	slashes |= slashes >> 16;
	slashes |= slashes >> 32;
	return end & ~((slashes >> 7) * 0xff);
}

/* A name that is shorter than its end has room for is told by it alone. */
static __always_inline bool is_whole(u64 end)
{
	return !(end & 0xff);
}

/* One number more behind those that made another. As above. */
__noinline u64 hash_with(u64 before, u64 number)
{
	struct sip_hash hash;

	begin_hash(&hash);
	add_to_hash(&hash, before);
	add_to_hash(&hash, number);
	return end_hash(&hash);
}

/* By which way a path leads to a file. */
enum route {
	/* Over mounts, from the root of the running task: as it sees the file. */
	ROUTE_FROM_ROOT,
	/* Over mounts, from the top of the mount namespace. */
	ROUTE_FROM_TOP,
	/* In the file system that it lies in, wherever that is mounted. */
	ROUTE_WITHIN,
};

/* The path of a file as a number over those of its names, leaf first; 0 if there is none by this route. As above. */
__noinline u64 hash_of_route(u64 address_of_dentry, u64 address_of_mount, u32 route)
{
	struct dentry *dentry = (struct dentry *)address_of_dentry, *parent;
	struct vfsmount *vfsmount = (struct vfsmount *)address_of_mount;
	struct task_struct *task = current_task();
	u64 root_dentry = (u64)BPF_CORE_READ(task, fs, root.dentry),
	    root_mount = (u64)BPF_CORE_READ(task, fs, root.mnt);
	struct mount *mount, *upper;
	u64 hash = hash_with(0, 0);

	for (u32 i = 0; i < PLACE_STEPS; i++) {
		if (route == ROUTE_FROM_ROOT && (u64)dentry == root_dentry && (u64)vfsmount == root_mount)
			return hash;
		if (route != ROUTE_WITHIN && dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			mount = mount_of((u64)vfsmount);
			upper = BPF_CORE_READ(mount, mnt_parent);
			if (upper == mount)
				return route == ROUTE_FROM_TOP ? hash : 0;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)upper + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return route == ROUTE_WITHIN ? hash : 0;
		hash = hash_with(hash, hash_of_name((u64)dentry));
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

/* include/uapi/linux/magic.h (6.18) */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630

/*
 * The file system of the container's root, wherever the task's own root is: the mount below which all others are, but
 * for those that every mount namespace begins with. As above.
 */
__noinline u64 root_of_container(void)
{
	struct vfsmount *vfsmount = BPF_CORE_READ(current_task(), fs, root.mnt);
	struct mount *mount = mount_of((u64)vfsmount);

	for (u32 i = 0; i < ROOT_STEPS; i++) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount || is_first_mount(above))
			return (u64)BPF_CORE_READ(mount, mnt.mnt_sb);
		mount = above;
	}
	return 0;
}

/*
 * Whether a file came with the image: it lies in the file system of the container's root, and its inode has nothing in
 * the layer that is written to. Where the root is not an overlay, or still the host's, as while a runtime sets the
 * container up, that cannot be told, and every file passes.
 */
static __always_inline bool is_of_image(struct guard_facts *known, struct file *file)
{
	struct super_block *root = (struct super_block *)root_of_container();
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
	/* struct ovl_inode: behind the inode lies the dentry in the upper layer (fs/overlayfs/ovl_entry.h, 5.10
	 * to 7.3). */
	if (bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode)))
		return false;
	return !upper;
}

/*
 * Of a file that a program is given the kernel lets its fields be read without a call. What is read of it so goes to no
 * function that the verifier looks at on its own.
 */
static __always_inline void key_of_given(struct file *file, struct file_key *key)
{
	struct inode *inode = file->f_inode;

	key->inode = inode->i_ino;
	key->device = inode->i_sb->s_dev;
	key->pad = 0;
}

/* A file's own name by its end. */
struct name_end {
	u64 end;
	u32 length;
	u32 is_told;
};

static __always_inline void read_name(struct file *file, struct name_end *name)
{
	struct dentry *dentry = file->f_path.dentry;

	name->length = dentry->d_name.len;
	name->is_told = read_end(number_of(dentry->d_name.name), name->length, false, &name->end);
}

/* The policies, of whomever, that may deny a file by its name or path. */
static __always_inline u64 may_deny_name(struct file *file, struct name_end *name)
{
	/* A file that is a mount by itself has the name of that place in its path, too. */
	if (file->f_path.dentry == file->f_path.mnt->mnt_root || !name->is_told)
		return ~0ULL;
	return mask_in(&denied_ends, &name->end);
}

/* Those that may deny what a program is called by. As above. */
__noinline u64 may_deny_text(u64 text)
{
	u64 length = length_of_text(text, 0), end;

	if (length == ENDLESS || !read_end(text, length, false, &end))
		return ~0ULL;
	end = behind_slash(end);
	return mask_in(&denied_ends, &end);
}
