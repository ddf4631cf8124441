/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every sensor starts from: the kernel's types, libbpf's helpers, and the numbers that this build fixes. */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "sensors.h" /* written by build.rs: one SENSOR_<folder> per sensor */

/*
 * This is compiled twice: OLD_KERNEL is 1 for kernels without storage for tasks (which came with 5.12) or without
 * bpf_loop (5.17), where every call is counted in the totals that all share.
 */
#ifndef OLD_KERNEL
#error "build.rs says which"
#endif

/*
 * Makes a type known to the Rust side, which is generated from this object's BTF: a type that no map and no variable
 * has is not in it.
 */
#define EXPORT(kind, name) const volatile kind name __export_##name

/* The numbers that this build fixes. */
enum limit {
	/* Slots are given out by number; 0 is never a container. */
	MAX_SLOTS = 4096,
	/* Every table of system calls is shorter than this; numbers beyond go to the map of rare calls. */
	NATIVE_CALLS = 472,
	/* Pairs of call and errno that a thread counts by itself before it folds one. */
	THREAD_ERRNOS = 4,
	COMM_BYTES = 16,
};
EXPORT(enum, limit);

EXPORT(enum, sensor);

#define MAX_ERRNO 4095

/* The parts of a container's life, in their order. */
enum phase {
	PHASE_RUNTIME_INIT,
	PHASE_MAIN,
	PHASE_EXEC,
};
EXPORT(enum, phase);

/* Counters of every kind only ever grow, from any CPU. */
#define add(counter, n) __sync_fetch_and_add(&(counter), (n))
