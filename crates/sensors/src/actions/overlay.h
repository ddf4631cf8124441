/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a file of an overlay file system lies in the layer that is written to. */
#pragma once

#include "peek.h"

/* include/uapi/linux/magic.h (6.18) */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630

/* fs/overlayfs/ovl_entry.h (6.18). The types of a kernel that has it as a module may not be known. */
struct ovl_inode___known {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
} __attribute__((preserve_access_index));

/* Where an inode of overlayfs says what it is in the upper layer: right behind itself, in every kernel from 4.13 on. */
static __always_inline u64 place_of_upper(void)
{
	struct ovl_inode___known *known = 0;

	if (bpf_core_field_exists(known->__upperdentry))
		return bpf_core_field_offset(known->__upperdentry) - bpf_core_field_offset(known->vfs_inode);
	return bpf_core_type_size(struct inode);
}

static __always_inline bool is_in_upper_layer(struct inode *inode)
{
	struct super_block *super = PEEK(inode, i_sb);
	u64 upper = 0;

	if (PEEK(super, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return false;
	bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + place_of_upper());
	return upper;
}
