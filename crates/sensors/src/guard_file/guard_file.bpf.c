/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that may not be read or written.
 *
 * Reading is opening for it. Writing is that, and all that changes what lies at a path: making, removing, moving,
 * linking, cutting, and giving it another mode or owner. What may not be read may not get another name either. What is
 * open already stays so.
 */

#include "guard_deed.h"
#include "guard_where.h"

/* include/linux/fs.h and include/uapi/asm-generic/fcntl.h (5.10 to 6.18) */
#define FMODE_READ  1
#define FMODE_WRITE 2
#define O_TRUNC	    01000

/* What was to be done with a file. */
enum file_act {
	FILE_READ,
	FILE_WRITE,
	FILE_READ_WRITE,
	FILE_MAKE,
	FILE_REMOVE,
	FILE_MOVE,
	FILE_LINK,
	FILE_CUT,
	FILE_CHANGE,
};
EXPORT(enum, file_act);

#define TOLD_BY_ANY (TOLD_BY_PATH | TOLD_BY_FILE)
/* Of what is moved: what it is itself, and what lies below it. */
#define WITH_BELOW 16

/* Does what the policies say; gives whether the call is to fail. Not static, so that the verifier looks at it once. */
__noinline int refuse_place(u64 found, u32 reason, u32 act, u64 dentry, u64 mount)
{
	struct settled settled;
	struct denial *denial;
	struct file_key key;

	if (!settle_deed(found, reason, &settled))
		return 0;
	denial = begin_denial(settled.policy, DEED_FILE, reason, settled.action);
	if (denial) {
		key_of_dentry(dentry, &key);
		denial->inode = key.inode;
		denial->device = key.device;
		denial->number = act;
		write_names(denial, (struct dentry *)dentry, (struct vfsmount *)mount);
		bpf_ringbuf_submit(denial, 0);
	}
	return settled.denying != 0;
}

static __always_inline u64 found_at(u64 mask, u32 asked, u64 dentry, u64 mount)
{
	u64 found = ruled(mask, asked, dentry, mount);

	if (asked & WITH_BELOW)
		found |= ruled_below(mask, asked, dentry, mount);
	return found;
}

/* Whether these policies let this be done there. As above. */
__noinline int judge_at(u64 mask, u32 asked, u32 act, u64 dentry, u64 mount)
{
	u64 found = found_at(mask, asked | TOLD_BY_ANY, dentry, mount);
	u32 reason = DENY_PATH;

	if (!found)
		return 0;
	if (!found_at(mask, asked | TOLD_BY_PATH, dentry, mount))
		reason = DENY_FILE;
	return refuse_place(found, reason, act, dentry, mount);
}

static __always_inline int judge_opening(struct file *file)
{
	u64 mask = filing_policies();
	u32 mode, asked, act;

	if (!mask)
		return 0;
	mode = (u32)BPF_CORE_READ(file, f_mode);
	asked = mode & FMODE_READ ? ACCESS_READ : 0;
	/* Also who only reads may cut a file as it is opened. */
	if (mode & FMODE_WRITE || BPF_CORE_READ(file, f_flags) & O_TRUNC)
		asked |= ACCESS_WRITE;
	if (!asked)
		return 0;
	act = asked == ACCESS_READ ? FILE_READ : asked == ACCESS_WRITE ? FILE_WRITE : FILE_READ_WRITE;
	return judge_at(mask, asked, act, (u64)BPF_CORE_READ(file, f_path.dentry),
			(u64)BPF_CORE_READ(file, f_path.mnt));
}

static __always_inline int judge_path(u32 act, const struct path *path)
{
	u64 mask = filing_policies();

	if (!mask)
		return 0;
	return judge_at(mask, ACCESS_WRITE, act, (u64)BPF_CORE_READ(path, dentry), (u64)BPF_CORE_READ(path, mnt));
}

static __always_inline int judge_entry(u32 asked, u32 act, const struct path *folder, struct dentry *dentry)
{
	u64 mask = filing_policies();

	return mask ? judge_at(mask, asked, act, number_of(dentry), (u64)BPF_CORE_READ(folder, mnt)) : 0;
}

static __always_inline int judge_move(const struct path *from, struct dentry *old, const struct path *to,
				      struct dentry *new)
{
	u32 asked = ACCESS_ANY | WITH_BELOW;

	/* Both: what is there already may change its place with the other. */
	return judge_entry(asked, FILE_MOVE, from, old) || judge_entry(asked, FILE_MOVE, to, new);
}

/* Both names are in one mount. */
static __always_inline int judge_link(struct dentry *old, const struct path *folder, struct dentry *new)
{
	return judge_entry(ACCESS_ANY, FILE_LINK, folder, old) || judge_entry(ACCESS_WRITE, FILE_MAKE, folder, new);
}

GUARD(open, file_open, judge_opening(file), struct file *file)
GUARD(cut, path_truncate, judge_path(FILE_CUT, path), const struct path *path)
GUARD(mode, path_chmod, judge_path(FILE_CHANGE, path), const struct path *path, umode_t mode)
GUARD(make, path_mknod, judge_entry(ACCESS_WRITE, FILE_MAKE, folder, dentry), const struct path *folder,
      struct dentry *dentry, umode_t mode, unsigned int device)
GUARD(make_folder, path_mkdir, judge_entry(ACCESS_WRITE, FILE_MAKE, folder, dentry), const struct path *folder,
      struct dentry *dentry, umode_t mode)
GUARD(make_symlink, path_symlink, judge_entry(ACCESS_WRITE | WITH_BELOW, FILE_MAKE, folder, dentry),
      const struct path *folder, struct dentry *dentry, const char *text)
GUARD(remove, path_unlink, judge_entry(ACCESS_WRITE | WITH_BELOW, FILE_REMOVE, folder, dentry),
      const struct path *folder, struct dentry *dentry)
GUARD(remove_folder, path_rmdir, judge_entry(ACCESS_WRITE | WITH_BELOW, FILE_REMOVE, folder, dentry),
      const struct path *folder, struct dentry *dentry)
GUARD(link, path_link, judge_link(old, folder, new), struct dentry *old, const struct path *folder, struct dentry *new)

/*
 * These have no verdict of an earlier program before them: the kernel does not go on after one that denied. It lies
 * behind the arguments, and of a move there are more from 5.19 on; owners are no numbers to the verifier, and kernels
 * before 6.1 take no program there at all.
 */
SEC("lsm/path_rename")
int BPF_PROG(move_lsm, const struct path *from, struct dentry *old, const struct path *to, struct dentry *new)
{
	return VERDICT(judge_move(from, old, to, new));
}

SEC("fmod_ret/security_path_rename")
int BPF_PROG(move_result, const struct path *from, struct dentry *old, const struct path *to, struct dentry *new)
{
	return VERDICT(judge_move(from, old, to, new));
}

SEC("lsm/path_chown")
int BPF_PROG(owner_lsm, const struct path *path)
{
	return VERDICT(judge_path(FILE_CHANGE, path));
}

SEC("fmod_ret/security_path_chown")
int BPF_PROG(owner_result, const struct path *path)
{
	return VERDICT(judge_path(FILE_CHANGE, path));
}
