/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds out whether a task can lose the CPU in the middle of a tracepoint's programs. An object of its own. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* The first argument of the system call that the test makes: by it that one call is known. */
const volatile u64 trigger = 0;

/* 0: the call was not seen. 1: the task keeps the CPU. 2: it can lose it. */
u64 answer;

/* include/linux/preempt.h (7.3) */
#define PREEMPT_MASK 0xff

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

#if defined(__TARGET_ARCH_x86)
extern const int __preempt_count __ksym __weak;

static __always_inline u32 preempt_count(void)
{
	return &__preempt_count ? *(int *)bpf_this_cpu_ptr(&__preempt_count) & PREEMPT_MASK : PREEMPT_MASK;
}
#else
static __always_inline u32 preempt_count(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.preempt.count) & PREEMPT_MASK;
}
#endif

SEC("tp_btf/sys_enter")
int BPF_PROG(see_preemption, struct pt_regs *regs, long id)
{
	u32 outside, inside;

	if (PT_REGS_PARM1_CORE_SYSCALL(regs) != trigger)
		return 0;
	outside = inside = preempt_count();
	/* A kernel without preemption does not even count. */
	if (bpf_preempt_disable && bpf_preempt_enable) {
		bpf_preempt_disable();
		inside = preempt_count();
		bpf_preempt_enable();
	}
	answer = !outside && inside ? 2 : 1;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
