/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is done with files, and the hooks that it passes: for each unit of guards that judges places in the tree of
 * files.
 */
#pragma once

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

/* Whether these policies let this be done there: what is asked for is of enum file_access, with WITH_BELOW. */
typedef int (*judge_of_places)(u64 mask, u32 asked, u32 act, u64 dentry, u64 mount);
/* The policies that the running task is under, of those that deny such things. */
typedef u64 (*policies_of_places)(void);
/* Whether any policy, of whomever, may deny that this file is opened so. */
typedef bool (*look_at_opening)(u32 asked, struct file *file);

static __always_inline int judge_opening(look_at_opening may_be_denied, policies_of_places policies,
					 judge_of_places judge, struct file *file)
{
	u32 mode = (u32)file->f_mode, asked = mode & FMODE_READ ? ACCESS_READ : 0, act;
	struct dentry *dentry = file->f_path.dentry;
	u64 mask;

	/* Also who only reads may cut a file as it is opened. */
	if (mode & FMODE_WRITE || file->f_flags & O_TRUNC)
		asked |= ACCESS_WRITE;
	/* Before 6.7 an overlay opens its own file once more by the same path (fs/overlayfs/file.c). */
	if (!asked || file->f_inode != dentry->d_inode)
		return 0;
	mask = may_be_denied(asked, file) ? policies() : 0;
	if (!mask)
		return 0;
	act = asked == ACCESS_READ ? FILE_READ : asked == ACCESS_WRITE ? FILE_WRITE : FILE_READ_WRITE;
	return judge(mask, asked, act, number_of(dentry), number_of(file->f_path.mnt));
}

static __always_inline int judge_path(judge_of_places judge, u64 mask, u32 act, const struct path *path)
{
	if (!mask)
		return 0;
	return judge(mask, ACCESS_WRITE, act, (u64)BPF_CORE_READ(path, dentry), (u64)BPF_CORE_READ(path, mnt));
}

static __always_inline int judge_entry(judge_of_places judge, u64 mask, u32 asked, u32 act, const struct path *folder,
				       struct dentry *dentry)
{
	return mask ? judge(mask, asked, act, number_of(dentry), (u64)BPF_CORE_READ(folder, mnt)) : 0;
}

static __always_inline int judge_move(judge_of_places judge, u64 mask, const struct path *from, struct dentry *old,
				      const struct path *to, struct dentry *new)
{
	u32 asked = ACCESS_ANY | WITH_BELOW;

	/* Both: what is there already may change its place with the other. */
	return judge_entry(judge, mask, asked, FILE_MOVE, from, old) ||
	       judge_entry(judge, mask, asked, FILE_MOVE, to, new);
}

/* Both names are in one mount. */
static __always_inline int judge_link(judge_of_places judge, u64 mask, struct dentry *old, const struct path *folder,
				      struct dentry *new)
{
	return judge_entry(judge, mask, ACCESS_ANY, FILE_LINK, folder, old) ||
	       judge_entry(judge, mask, ACCESS_WRITE, FILE_MAKE, folder, new);
}

/*
 * The guards of one unit: their names begin with PREFIX, POLICIES is the mask of those that the running task is under,
 * MAY_BE_DENIED looks at a file that is opened before that, and JUDGE judges a place.
 *
 * The last ones have no verdict of an earlier program before them: the kernel does not go on after one that denied. It
 * lies behind the arguments, and of a move there are more from 5.19 on; owners are no numbers to the verifier, and
 * kernels before 6.1 take no program there at all.
 */
/* clang-format off */
#define FILE_GUARDS(prefix, may_be_denied, policies, judge)                                                                         \
	GUARD(prefix##open, file_open, judge_opening(may_be_denied, policies, judge, file), struct file *file)                      \
	GUARD(prefix##cut, path_truncate, judge_path(judge, policies(), FILE_CUT, path), const struct path *path)      \
	GUARD(prefix##mode, path_chmod, judge_path(judge, policies(), FILE_CHANGE, path), const struct path *path,     \
	      umode_t mode)                                                                                          \
	GUARD(prefix##make, path_mknod, judge_entry(judge, policies(), ACCESS_WRITE, FILE_MAKE, folder, dentry),       \
	      const struct path *folder, struct dentry *dentry, umode_t mode, unsigned int device)                   \
	GUARD(prefix##make_folder, path_mkdir, judge_entry(judge, policies(), ACCESS_WRITE, FILE_MAKE, folder, dentry),\
	      const struct path *folder, struct dentry *dentry, umode_t mode)                                        \
	GUARD(prefix##make_symlink, path_symlink,                                                                    \
	      judge_entry(judge, policies(), ACCESS_WRITE | WITH_BELOW, FILE_MAKE, folder, dentry),                    \
	      const struct path *folder, struct dentry *dentry, const char *text)                                    \
	GUARD(prefix##remove, path_unlink,                                                                           \
	      judge_entry(judge, policies(), ACCESS_WRITE | WITH_BELOW, FILE_REMOVE, folder, dentry),                  \
	      const struct path *folder, struct dentry *dentry)                                                      \
	GUARD(prefix##remove_folder, path_rmdir,                                                                     \
	      judge_entry(judge, policies(), ACCESS_WRITE | WITH_BELOW, FILE_REMOVE, folder, dentry),                  \
	      const struct path *folder, struct dentry *dentry)                                                      \
	GUARD(prefix##link, path_link, judge_link(judge, policies(), old, folder, new), struct dentry *old,            \
	      const struct path *folder, struct dentry *new)                                                         \
	SEC("lsm/path_rename")                                                                                       \
	int BPF_PROG(prefix##move_lsm, const struct path *from, struct dentry *old, const struct path *to,           \
		     struct dentry *new)                                                                             \
	{                                                                                                            \
		return VERDICT(judge_move(judge, policies(), from, old, to, new));                                     \
	}                                                                                                            \
	SEC("fmod_ret/security_path_rename")                                                                         \
	int BPF_PROG(prefix##move_result, const struct path *from, struct dentry *old, const struct path *to,        \
		     struct dentry *new)                                                                             \
	{                                                                                                            \
		return VERDICT(judge_move(judge, policies(), from, old, to, new));                                     \
	}                                                                                                            \
	SEC("lsm/path_chown")                                                                                        \
	int BPF_PROG(prefix##owner_lsm, const struct path *path)                                                     \
	{                                                                                                            \
		return VERDICT(judge_path(judge, policies(), FILE_CHANGE, path));                                      \
	}                                                                                                            \
	SEC("fmod_ret/security_path_chown")                                                                          \
	int BPF_PROG(prefix##owner_result, const struct path *path)                                                  \
	{                                                                                                            \
		return VERDICT(judge_path(judge, policies(), FILE_CHANGE, path));                                      \
	}
/* clang-format on */
