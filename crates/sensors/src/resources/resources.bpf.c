/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long the tasks of containers wait for a CPU, and block devices for what they are asked.
 *
 * What a cgroup's own files have is read there. Nothing here runs when the kernel changes from task to task: the kernel
 * adds up by itself how long a task was ready to run and did not (sched_info.run_delay).
 */

#include "tasks.h"

enum resource_what {
	/* Tasks that ended: how many, and how long they had waited for a CPU. */
	RESOURCE_ENDED_DELAYS,
	/* The same of one task that lives. */
	RESOURCE_LIVING_DELAY,
	/* Requests to a block device that took between 2^bucket and 2^(bucket + 1) microseconds; the first: less, too.
	 */
	RESOURCE_READS,
	RESOURCE_WRITES,
};
EXPORT(enum, resource_what);

enum resource_limit {
	/* The last has all that took longer: more than an hour. */
	LATENCY_BUCKETS = 32,
};
EXPORT(enum, resource_limit);

/* What user space found out about this kernel. */
struct block_hooks {
	/* Before 5.11 block_rq_issue hands over the queue, then the request (include/trace/events/block.h). */
	u32 issue_has_queue;
	u32 pad;
};
const volatile struct block_hooks block_hooks SEC(".rodata.block_hooks") = {};

struct resource_key {
	u32 slot;
	u8 what;
	u8 bucket;
	u8 pad[2];
};

struct resource_total {
	u64 count;
	u64 ns;
	u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct resource_key);
	__type(value, struct resource_total);
} resource_totals SEC(".maps");

/* What the walks write: as samples, with a header in front. */
struct resource_record {
	struct sample_header header;
	struct resource_key key;
	struct resource_total total;
};
EXPORT(struct, resource_record);

/* Address of a task that came in from outside -> how long it had waited before. Others were made inside. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u64);
} earlier_delays SEC(".maps");

struct issued_request {
	u64 issued_ns;
	u32 slot;
	u32 generation;
	u32 bytes;
	u32 what;
};

/* Address of a request that a device works on -> whose it is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct issued_request);
} issued_requests SEC(".maps");

/* Not static, so that the verifier looks at it once. */
__noinline int add_resource(u32 number_of_slot, u32 what, u32 bucket, u64 ns, u64 bytes)
{
	struct resource_key key = {.slot = number_of_slot, .what = what, .bucket = bucket};
	struct resource_total fresh = {}, *total;

	total = bpf_map_lookup_elem(&resource_totals, &key);
	if (!total) {
		/* Another CPU may have been first: then its entry stays. */
		bpf_map_update_elem(&resource_totals, &key, &fresh, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&resource_totals, &key);
	}
	if (!total) {
		count_lost_entries(number_of_slot, SENSOR_resources, 1);
		return 0;
	}
	add(total->count, 1);
	add(total->ns, ns);
	add(total->bytes, bytes);
	return 0;
}

/* All that the task ever waited; 0 where the kernel keeps no account (CONFIG_SCHED_INFO), which user space tells. */
static __always_inline u64 run_delay_of(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->sched_info.run_delay))
		return 0;
	return BPF_CORE_READ(task, sched_info.run_delay);
}

/* What of it the task waited in its container, and whether that is known. */
static __always_inline bool delay_inside(struct task_struct *task, struct task_note *note, u64 *delay)
{
	u64 key = (u64)task, *earlier;

	*delay = run_delay_of(task);
	if (note->flags & TASK_BORN_INSIDE)
		return true;
	earlier = bpf_map_lookup_elem(&earlier_delays, &key);
	if (!earlier || *delay < *earlier)
		return false;
	*delay -= *earlier;
	return true;
}

static __always_inline void fold_delay(struct task_struct *task, struct task_note *note)
{
	struct slot_state *slot = slot_at(note->slot);
	u64 delay;

	if (slot && slot->generation == note->generation && delay_inside(task, note, &delay))
		add_resource(note->slot, RESOURCE_ENDED_DELAYS, 0, delay, 0);
}

/* The tracepoint names only the leader: its other threads count from the first walk on. */
HOOK("cgroup_attach_task", on_attach_resources, struct cgroup *cgroup, const char *path, struct task_struct *task,
     bool whole_process)
{
	u64 key = (u64)task, delay;
	struct task_note *note;
	u32 number;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	number = slot_of_cgroup(BPF_CORE_READ(cgroup, kn, id));
	note = note_at(note_number_of(task));
	if (note && note->slot && note->slot != number)
		fold_delay(task, note);
	if (!number) {
		bpf_map_delete_elem(&earlier_delays, &key);
		return 0;
	}
	delay = run_delay_of(task);
	if (bpf_map_update_elem(&earlier_delays, &key, &delay, BPF_ANY))
		count_lost_entries(number, SENSOR_resources, 1);
	return 0;
}

HOOK_OF_EXIT(on_exit_resources)
{
	struct task_note *note = current_note(task);
	u64 key = (u64)task;

	if (!note)
		return 0;
	fold_delay(task, note);
	if (!(note->flags & TASK_BORN_INSIDE))
		bpf_map_delete_elem(&earlier_delays, &key);
	return 0;
}

/* The slot that a request is made for: of v2 the cgroup that its bio is charged to, whoever writes it out. */
static __always_inline u32 slot_of_request(struct request *request)
{
	struct bio *bio = BPF_CORE_READ(request, bio);
	struct task_note *note;
	u32 number = 0;

	if (settings.identity_is_v2 && bio && bpf_core_field_exists(bio->bi_blkg))
		number = slot_of_cgroup(BPF_CORE_READ(bio, bi_blkg, blkcg, css.cgroup, kn, id));
	if (number)
		return number;
	/* Else whoever issues it now: the task itself, with what it reads, and writes directly or waits for. */
	note = note_of_current();
	return note ? note->slot : 0;
}

/* include/linux/blk_types.h (6.18): REQ_OP_MASK, REQ_OP_READ, REQ_OP_WRITE. */
#define OPERATION_MASK	0xff
#define OPERATION_READ	0
#define OPERATION_WRITE 1

HOOK("block_rq_issue", on_block_issue, struct request *request)
{
	struct issued_request issued = {};
	struct slot_state *slot;
	u32 operation;
	u64 key;

#if OLD_KERNEL
	if (block_hooks.issue_has_queue)
		request = (struct request *)*(volatile unsigned long long *)&ctx[1];
#endif
	key = (u64)request;
	operation = (u32)BPF_CORE_READ(request, cmd_flags) & OPERATION_MASK;
	if (operation != OPERATION_READ && operation != OPERATION_WRITE)
		return 0;
	issued.slot = slot_of_request(request);
	slot = slot_at(issued.slot);
	if (!slot)
		return 0;
	issued.what = operation == OPERATION_READ ? RESOURCE_READS : RESOURCE_WRITES;
	issued.generation = slot->generation;
	issued.bytes = BPF_CORE_READ(request, __data_len);
	issued.issued_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&issued_requests, &key, &issued, BPF_ANY))
		count_lost_entries(issued.slot, SENSOR_resources, 1);
	return 0;
}

/* The number of the highest bit; 0 of 0. Small steps: a loop would have to be unrolled on old kernels. */
static __always_inline u32 log2_of(u64 value)
{
	u32 bits = 0;

#define STEP(n)                     \
	if (value >= 1ULL << (n)) { \
		value >>= (n);      \
		bits += (n);        \
	}
	STEP(32)
	STEP(16)
	STEP(8)
	STEP(4)
	STEP(2)
	STEP(1)
#undef STEP
	return bits;
}

HOOK("block_rq_complete", on_block_complete, struct request *request)
{
	struct issued_request *issued;
	u64 key = (u64)request, ns;
	struct slot_state *slot;
	u32 bucket;

	issued = bpf_map_lookup_elem(&issued_requests, &key);
	if (!issued)
		return 0;
	slot = slot_at(issued->slot);
	ns = bpf_ktime_get_ns() - issued->issued_ns;
	bucket = log2_of(ns / 1000);
	if (bucket >= LATENCY_BUCKETS)
		bucket = LATENCY_BUCKETS - 1;
	if (slot && slot->generation == issued->generation)
		add_resource(issued->slot, issued->what, bucket, ns, issued->bytes);
	/* A request can be done in parts: its first part is what it is measured by. */
	bpf_map_delete_elem(&issued_requests, &key);
	return 0;
}

static __always_inline void head_resource(struct resource_record *record, u32 number, u32 generation)
{
	__builtin_memset(record, 0, sizeof(*record));
	record->header.boot_ns = bpf_ktime_get_boot_ns();
	record->header.slot = number;
	record->header.generation = generation;
	record->header.sensor = SENSOR_resources;
	record->header.phase = PHASE_MAIN; /* as with a cgroup's files, there are no phases */
	record->key.slot = number;
}

SEC("iter/bpf_map_elem")
int read_resource(struct bpf_iter__bpf_map_elem *ctx)
{
	struct resource_total *total = ctx->value;
	struct resource_key *key = ctx->key;
	struct resource_record record;
	struct slot_state *slot;

	if (!key || !total || !is_walked(key->slot))
		return 0;
	slot = slot_at(key->slot);
	if (!slot)
		return 0;
	head_resource(&record, key->slot, slot->generation);
	record.key = *key;
	record.total = *total;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* The delays of the tasks that live. */
SEC("iter/task")
int read_living_delay(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u64 key = (u64)task, delay, *earlier;
	struct resource_record record;
	struct slot_state *slot;
	struct task_note *note;
	u32 number;

	/* One that ends counts with those that have ended. */
	if (!task || task->flags & (PF_KTHREAD | PF_EXITING))
		return 0;
	note = note_at(note_number_of(task));
	number = note ? note->slot : 0;
	/* It has made no call yet since it came in, or since the recording began. */
	if (!number)
		number = slot_of_task_by_cgroup(task);
	slot = slot_at(number);
	if (!slot || !is_walked(number))
		return 0;
	delay = run_delay_of(task);
	if (!note || !note->slot || !(note->flags & TASK_BORN_INSIDE)) {
		earlier = bpf_map_lookup_elem(&earlier_delays, &key);
		if (!earlier) {
			bpf_map_update_elem(&earlier_delays, &key, &delay, BPF_NOEXIST);
			return 0;
		}
		delay = delay > *earlier ? delay - *earlier : 0;
	}
	head_resource(&record, number, slot->generation);
	record.key.what = RESOURCE_LIVING_DELAY;
	record.total.count = 1;
	record.total.ns = delay;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
