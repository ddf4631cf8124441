/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One field of a kernel object, for programs that run often: without a call where the kernel can do that. */
#pragma once

#include "tasks.h"

#if OLD_KERNEL

#define PEEK(object, field) BPF_CORE_READ(object, field)

#else

#define PEEK(object, field)                                                                              \
	(bpf_rdonly_cast ? ((typeof(object))bpf_rdonly_cast((const void *)(object),                      \
							    bpf_core_type_id_kernel(typeof(*(object))))) \
				   ->field                                                               \
			 : BPF_CORE_READ(object, field))

#endif

struct address {
	u64 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct address);
} addresses SEC(".maps");

/* A pointer as a number: what comes out of a map is one, with which the verifier lets programs calculate. */
static __always_inline u64 address_of(const void *object)
{
	u32 zero = 0;
	volatile struct address *address = bpf_map_lookup_elem(&addresses, &zero);

	if (!address)
		return 0;
	address->number = (u64)object;
	return address->number;
}

/* Of an inode's mode, what it is: include/uapi/linux/stat.h (6.18). */
#define S_IFMT 0170000

/* The file behind a descriptor of the current task. */
static __always_inline struct file *file_at(struct task_struct *task, u32 descriptor)
{
	struct files_struct *files = PEEK(task, files);
	struct fdtable *table;
	struct file **place, *file = 0;

	if (!files)
		return 0; /* it is about to end */
	table = PEEK(files, fdt);
	if (descriptor >= PEEK(table, max_fds))
		return 0;
	place = PEEK(table, fd) + descriptor;
#if !OLD_KERNEL
	/* An array of pointers has no type that the verifier knows; a struct of one pointer has. */
	if (bpf_rdonly_cast)
		return (struct file *)((struct llist_head *)bpf_rdonly_cast(place,
									    bpf_core_type_id_kernel(struct llist_head)))
			->first;
#endif
	bpf_probe_read_kernel(&file, sizeof(file), place);
	return file;
}
