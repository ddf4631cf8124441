/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mounts that a container uses, and the bytes that went through each. */
#pragma once

#include "files/samples.h"

struct mount_key {
	u32 slot;
	u32 phase;
	u64 mount; /* as mount_number gives it */
};

struct mount_use {
	u64 read_bytes;
	u64 written_bytes;
	u32 mount; /* as /proc/PID/mountinfo shows it */
	u32 device;
	u32 reported;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct mount_key);
	__type(value, struct mount_use);
} mount_uses SEC(".maps");

/* include/linux/mount.h and include/linux/fs.h (6.18) */
#define MNT_READONLY 0x40
#define SB_RDONLY    1

/* These two are not static, so that the verifier looks at them once. */
__noinline int report_mount(u64 address_of_mount)
{
	struct vfsmount *mount = (struct vfsmount *)address_of_mount;
	struct files_work *work = files_work();
	struct task_struct *task = current_task();
	struct files_draft *draft = work ? begin_draft(work, FILES_MOUNT) : 0;
	struct super_block *super = BPF_CORE_READ(mount, mnt_sb);
	struct dentry *root = BPF_CORE_READ(mount, mnt_root);
	struct mount *whole = (void *)mount - bpf_core_field_offset(struct mount, mnt);
	struct mount_sample *sample;
	u32 flags;
	u64 used;
	long length;

	if (!draft)
		return 0;
	sample = &draft->mount;
	sample->mount = mount_id(mount);
	sample->device = BPF_CORE_READ(super, s_dev);
	used = sizeof(*sample);
	sample->point_bytes = write_place(task, root, mount, draft->bytes + used, &flags);
	sample->flags = flags_of_path(flags);
	if (BPF_CORE_READ(mount, mnt_flags) & MNT_READONLY || BPF_CORE_READ(super, s_flags) & SB_RDONLY)
		sample->flags |= FILE_READ_ONLY;
	used += sample->point_bytes;
	if (used > sizeof(*sample) + PATH_BYTES)
		return 0;
	sample->root_bytes = write_place_in_file_system(root, draft->bytes + used, &flags);
	used += sample->root_bytes;
	if (used > sizeof(*sample) + 2 * PATH_BYTES)
		return 0;
	length = bpf_probe_read_kernel_str(draft->bytes + used, MOUNT_TYPE_BYTES, BPF_CORE_READ(super, s_type, name));
	sample->type_bytes = length > 0 ? length - 1 : 0;
	used += sample->type_bytes;
	if (used > sizeof(*sample) + 2 * PATH_BYTES + MOUNT_TYPE_BYTES)
		return 0;
	length = bpf_probe_read_kernel_str(draft->bytes + used, MOUNT_SOURCE_BYTES, BPF_CORE_READ(whole, mnt_devname));
	sample->source_bytes = length > 0 ? length - 1 : 0;
	used += sample->source_bytes;
	sample->pad = 0;
	return send_draft(draft, used);
}

/* Books bytes on a mount; with none it only makes it known. */
__noinline int use_mount(u64 address_of_mount, u64 read_bytes, u64 written_bytes)
{
	struct vfsmount *mount = (struct vfsmount *)address_of_mount;
	struct super_block *super = PEEK(mount, mnt_sb);
	struct files_work *work = files_work();
	struct mount_key key = {.mount = mount_number(mount)};
	struct mount_use *use, fresh = {};
	u32 *count;

	if (!work)
		return 0;
	key.slot = work->slot;
	key.phase = work->phase;
	use = bpf_map_lookup_elem(&mount_uses, &key);
	if (!use) {
		fresh.mount = mount_id(mount);
		fresh.device = PEEK(super, s_dev);
		count = room_for(work->slot, ENTRY_MOUNT, MAX_MOUNTS);
		if (count && !bpf_map_update_elem(&mount_uses, &key, &fresh, BPF_NOEXIST))
			add(*count, 1);
		use = bpf_map_lookup_elem(&mount_uses, &key);
		if (!use) {
			count_lost_entries(work->slot, SENSOR_files, 1);
			return 0;
		}
	}
	if (read_bytes)
		add(use->read_bytes, read_bytes);
	if (written_bytes)
		add(use->written_bytes, written_bytes);
	if (!use->reported) {
		use->reported = report_mount(address_of_mount);
		if (!use->reported)
			count_lost_sample(work->slot, SENSOR_files);
	}
	return 0;
}
