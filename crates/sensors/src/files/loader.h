/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The loader that a program names (ld.so): the kernel maps it at exec, and nobody opens it. */
#pragma once

#include "sample.h"

/* include/uapi/linux/auxvec.h (6.18): where the loader that a program names lies. */
#define AT_BASE		7
#define AUXILIARY_PAIRS 24

static __always_inline u64 address_of_loader(struct mm_struct *mm)
{
	for (u32 i = 0; i < AUXILIARY_PAIRS; i++) {
		u64 pair[2] = {};

		bpf_probe_read_kernel(&pair, sizeof(pair),
				      (void *)mm + bpf_core_field_offset(struct mm_struct, saved_auxv) +
					      i * sizeof(pair));
		if (!pair[0])
			break;
		if (pair[0] == AT_BASE)
			return pair[1];
		/* Of a 32-bit program the pairs are half as long: two of them. */
		if ((u32)pair[0] == AT_BASE)
			return pair[0] >> 32;
		if (pair[0] >> 32 && (u32)pair[1] == AT_BASE)
			return pair[1] >> 32;
	}
	return 0;
}

#if OLD_KERNEL

/* Before 6.1 the mappings are in a list. */
struct vm_area_struct___old {
	unsigned long vm_start;
	struct vm_area_struct___old *vm_next;
	struct file *vm_file;
} __attribute__((preserve_access_index));

struct mm_struct___old {
	struct vm_area_struct___old *mmap;
} __attribute__((preserve_access_index));

#define LISTED_MAPPINGS 16

static __always_inline struct file *loader_of(u32 slot, struct mm_struct *mm)
{
	struct mm_struct___old *old = (void *)mm;
	struct vm_area_struct___old *area;
	u64 address = address_of_loader(mm);

	if (!address || !bpf_core_field_exists(old->mmap))
		return 0;
	area = BPF_CORE_READ(old, mmap);
	for (u32 i = 0; i < LISTED_MAPPINGS && area; i++) {
		if (BPF_CORE_READ(area, vm_start) == address)
			return BPF_CORE_READ(area, vm_file);
		area = BPF_CORE_READ(area, vm_next);
	}
	return 0;
}

#else

/* include/uapi/asm-generic/errno-base.h (6.18) */
#define EBUSY 16

struct found_mapping {
	struct file *file;
};

static long on_mapping(struct task_struct *task, struct vm_area_struct *area, struct found_mapping *found)
{
	found->file = BPF_CORE_READ(area, vm_file);
	return 0;
}

/* The mapping stays for as long as the task does not run, which is until this program has ended. */
static __always_inline struct file *loader_of(u32 slot, struct mm_struct *mm)
{
	struct found_mapping found = {};
	u64 address = address_of_loader(mm);

	/* Another thread is changing the mappings. */
	if (address && bpf_find_vma(bpf_get_current_task_btf(), address, on_mapping, &found, 0) == -EBUSY)
		count_lost_entries(slot, SENSOR_files, 1);
	return found.file;
}

#endif
