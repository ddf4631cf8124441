/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every sensor starts from: the kernel's types, libbpf's helpers, and the numbers that this build fixes. */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "sensors.h" /* written by build.rs: one SENSOR_<folder> per sensor */

/* This is compiled twice: OLD_KERNEL is 1 for kernels before 5.17 (bpf_loop), where all tasks count in shared totals.
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
	NATIVE_CALLS = 480,
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

/* What user space chose before it loaded the programs. In a section of its own, so that it lies at its beginning. */
struct settings {
	/* The key of hashes over what containers choose. */
	u64 hash_key[2];
	/* The hierarchy that identifies containers: the v2 tree, or one controller's v1 tree. */
	u32 identity_hierarchy;
	u32 identity_controller;
	/* Notes of tasks with a number below this have counts of their own. */
	u32 counted_tasks;
	/* How many notes there are, number 0 included, which is nobody's. */
	u32 followed_tasks;
	/* Bytes of what is typed and shown on terminals that are kept of a container in each phase; 0: nobody looks. */
	u32 terminal_bytes;
	bool identity_is_v2;
	/* Tasks may lose the CPU in the middle of a program: then the kernel skips that program for all others there.
	 */
	bool preemptible;
	/* Bytes are counted for each file, not only for each mount. */
	bool file_bytes;
	u8 pad[1];
};
const volatile struct settings settings SEC(".rodata.settings") = {};

/* What both sides read and write at any time. */
struct shared {
	/*
	 * What is outside of every container: the root directory and mount namespace of the first process, and those
	 * that this program runs with. 0 until user space had them read.
	 */
	u64 host_root;
	u64 own_root;
	u32 host_mount_ns;
	u32 own_mount_ns;
	/* The other namespaces that the machine began with. */
	u32 host_net_ns;
	u32 host_ipc_ns;
	u32 host_uts_ns;
	u32 host_cgroup_ns;
	/* Containers that found no free slot. */
	u64 slots_exhausted;
	/* Losses of samples that belong to no slot. */
	u64 lost_without_slot;
	/* While not 0, a task without a note may yet belong to a container. Only old kernels ask. */
	u64 maybe_watched;
	/* How many times that was for a process that came in with several threads. */
	u64 late_groups;
	/* How often a program was skipped, and its twin has done its work. */
	u64 made_up;
	/* Walks over sets and totals are about this slot alone; 0: about all. */
	u32 walked_slot;
	/* User space changes it when tasks that nobody moved are in a container from now on. */
	u32 epoch;
	/* The notes from this number on were never anybody's; old kernels have them in `free_notes`. */
	u32 unused_note;
	bool processes_named;
	/* Containers without a cgroup are looked for only once those that ran already are known. */
	bool look_for_namespaces;
	u8 pad[2];
};
volatile struct shared shared SEC(".data.shared") = {.unused_note = 1};

/*
 * Programs on hooks. All are as BPF_PROG of libbpf: their arguments have types.
 *
 * From Linux 7.0 on a task can lose the CPU in the middle of a program on a typed tracepoint, and the kernel skips that
 * program for all others on that CPU until the first goes on. User space finds out whether it is so; then each program
 * has a twin behind it, NAME_again, that makes up for it when it was skipped. Programs that run often or long, and need
 * to be told of nothing but the running task, are also moved to the tracepoint of perf, where every task keeps the CPU:
 * NAME_held. Those the kernel skips only while somebody on that CPU was interrupted in a system call on a BPF map.
 */
#if OLD_KERNEL

#define HOOK(hook, name, args...) SEC("tp_btf/" hook) int BPF_PROG(name, ##args)

static __always_inline void forget_programs(struct task_struct *task)
{
}

#else

/* 6.10 and later. */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* Address of a task -> a bit for each program that it has run, and whose twin it has not come to yet. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, u64);
} ran_programs SEC(".maps");

/* Says whether the work is to be done. Until end_program memory per CPU belongs to this program alone. */
static __always_inline bool begin_program(u32 number, bool is_twin)
{
	u64 task, bit = 1ULL << number, *bits;

	if (!settings.preemptible || !bpf_preempt_disable || !bpf_preempt_enable)
		return !is_twin;
	bpf_preempt_disable();
	task = bpf_get_current_task();
	bits = bpf_map_lookup_elem(&ran_programs, &task);
	if (is_twin) {
		if (bits && *bits & bit) {
			*bits &= ~bit;
			return false;
		}
		add(shared.made_up, 1);
		return true;
	}
	if (bits)
		*bits |= bit;
	else if (bpf_map_update_elem(&ran_programs, &task, &bit, BPF_ANY)) {
		/* Without the mark the twin would do it again: it shall do it alone. */
		add(shared.made_up, -1);
		return false;
	}
	return true;
}

/* The task runs no program any more. */
static __always_inline void forget_programs(struct task_struct *task)
{
	u64 key = (u64)task;

	if (settings.preemptible)
		bpf_map_delete_elem(&ran_programs, &key);
}

/* A task that was told to give up the CPU meanwhile does so here. */
static __always_inline void end_program(void)
{
	if (settings.preemptible && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_enable();
}

/* clang-format off */
#define HOOK_PROGRAM(program, is_twin, body, number, args...)                    \
	int program(unsigned long long *ctx)                                     \
	{                                                                        \
		if (begin_program(number, is_twin)) {                            \
			_Pragma("GCC diagnostic push")                           \
			_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")   \
			body(___bpf_ctx_cast(args));                             \
			_Pragma("GCC diagnostic pop")                            \
		}                                                                \
		end_program();                                                   \
		return 0;                                                        \
	}

#define HOOK(hook, name, args...)                                                \
	enum { name##_number = __COUNTER__ };                                    \
	static __always_inline int ____##name(unsigned long long *ctx, ##args);  \
	SEC("tp_btf/" hook) HOOK_PROGRAM(name, false, ____##name, name##_number, args)        \
	SEC("tp_btf/" hook) HOOK_PROGRAM(name##_again, true, ____##name, name##_number, args) \
	static __always_inline int ____##name(unsigned long long *ctx, ##args)
/* clang-format on */

#endif
