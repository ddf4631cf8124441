/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One tiny program per kind of hook, to find out by trying what the running kernel takes.
 *
 * An object of its own: each program is loaded alone, with the map that it needs, and counts in `hits` that it was
 * called. Those on a hook of every system call look at the one call that the test makes and let the others pass.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* How often the program was called. */
u64 hits;

/* The system call that the test makes. */
const volatile u64 trigger_call = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} task_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} cgroup_storage SEC(".maps");

static __always_inline int hit(void)
{
	__sync_fetch_and_add(&hits, 1);
	return 0;
}

SEC("raw_tp/sys_enter")
int try_raw_tp(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1] == trigger_call ? hit() : 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(try_tp_btf, struct pt_regs *regs, long id)
{
	return (u64)id == trigger_call ? hit() : 0;
}

SEC("tp/sched/sched_process_fork")
int try_tracepoint(void *ctx)
{
	return hit();
}

SEC("perf_event")
int try_perf_event(void *ctx)
{
	return hit();
}

SEC("uprobe")
int try_uprobe(void *ctx)
{
	return hit();
}

SEC("kprobe/security_file_open")
int try_kprobe(void *ctx)
{
	return hit();
}

SEC("fentry/security_file_open")
int BPF_PROG(try_fentry, struct file *file)
{
	return hit();
}

SEC("fexit/security_file_open")
int BPF_PROG(try_fexit, struct file *file, int verdict)
{
	return hit();
}

SEC("fmod_ret/security_file_open")
int BPF_PROG(try_fmod_ret, struct file *file, int verdict)
{
	hit();
	return 0; /* goes on as without it */
}

SEC("lsm/file_open")
int BPF_PROG(try_lsm, struct file *file)
{
	hit();
	return 0; /* allowed */
}

SEC("cgroup/sock_create")
int try_cgroup(struct bpf_sock *socket)
{
	hit();
	return 1; /* allowed */
}

SEC("iter/task")
int try_iter(struct bpf_iter__task *ctx)
{
	return ctx->task ? hit() : 0;
}

SEC("raw_tp/sys_enter")
int try_ring_buffer(struct bpf_raw_tracepoint_args *ctx)
{
	u64 word = trigger_call;

	if (ctx->args[1] == trigger_call)
		bpf_ringbuf_output(&ring, &word, sizeof(word), 0);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(try_task_storage, struct pt_regs *regs, long id)
{
	u64 *count;

	if ((u64)id != trigger_call)
		return 0;
	count = bpf_task_storage_get(&task_storage, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!count)
		return 0;
	*count += 1;
	return hit();
}

SEC("tp_btf/sys_enter")
int BPF_PROG(try_cgroup_storage, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 *count;

	if ((u64)id != trigger_call)
		return 0;
	count = bpf_cgrp_storage_get(&cgroup_storage, task->cgroups->dfl_cgrp, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!count)
		return 0;
	*count += 1;
	return hit();
}

static long once(u64 step, void *ctx)
{
	hit();
	return 0;
}

SEC("raw_tp/sys_enter")
int try_loop(struct bpf_raw_tracepoint_args *ctx)
{
	if (ctx->args[1] == trigger_call)
		bpf_loop(1, once, 0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
