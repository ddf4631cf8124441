/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Terminals by the kernel's object for them. */
#pragma once

#include "ringfence.h"

/* tty_devnum (include/linux/tty.h, 6.18) is this; the same in 5.10. */
static __always_inline void device_of_terminal(struct tty_struct *tty, u32 *major, u32 *minor)
{
	*major = BPF_CORE_READ(tty, driver, major);
	*minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
}
