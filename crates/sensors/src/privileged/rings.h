/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What programs ask for through io_uring, which no system call of theirs says. */
#pragma once

#include "privileged/operations.h"

/* What user space found out about this kernel. */
struct ring_hooks {
	/*
	 * The position of the operation among what io_uring_submit_sqe hands over; 0: that begins with the request, which
	 * knows it. It was there until 6.3, and changed from version to version (include/trace/events/io_uring.h).
	 */
	u32 operation_at;
	u32 pad;
};
const volatile struct ring_hooks ring_hooks SEC(".rodata.ring_hooks") = {};

/* What becomes of a request is not known yet. */
static __always_inline int book_ring_request(u32 operation)
{
	struct task_note *note = note_of_current();
	struct privileged_work *work = note ? begin_privileged(note, PRIVILEGED_IO_URING_REQUEST) : 0;

	if (!work)
		return 0;
	work->key.details[0] = operation;
	return book_privileged();
}

HOOK("io_uring_submit_req", on_ring_request, struct io_kiocb *request)
{
	return book_ring_request(BPF_CORE_READ(request, opcode));
}

HOOK("io_uring_submit_sqe", on_ring_entry, struct io_kiocb *request)
{
	switch (ring_hooks.operation_at) {
	case 0:
		return book_ring_request(BPF_CORE_READ(request, opcode));
	case 1:
		return book_ring_request((u8)ctx[1]);
	case 2:
		return book_ring_request((u8)ctx[2]);
	case 3:
		return book_ring_request((u8)ctx[3]);
	default:
		return 0;
	}
}
