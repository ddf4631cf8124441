/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The set of privileged operations: each once for all that is alike in it, with a count and everything that is known of
 * the first, texts included. So nothing of it can be lost on the way.
 */
#pragma once

#include "calls.h"
#include "hash.h"
#include "peek.h"

enum privileged_kind {
	PRIVILEGED_DONE,
	PRIVILEGED_CONFINEMENT,
};
EXPORT(enum, privileged_kind);

/* What was done: system calls by their own names, then what is seen elsewhere. In groups, whose ends are named below. */
enum privileged_operation {
	PRIVILEGED_NONE,
	PRIVILEGED_MOUNT,
	PRIVILEGED_UMOUNT,
	PRIVILEGED_UMOUNT2,
	PRIVILEGED_PIVOT_ROOT,
	PRIVILEGED_CHROOT,
	PRIVILEGED_FSOPEN,
	PRIVILEGED_FSMOUNT,
	PRIVILEGED_MOVE_MOUNT,
	PRIVILEGED_OPEN_TREE,
	PRIVILEGED_MOUNT_SETATTR,
	PRIVILEGED_OPEN_BY_HANDLE_AT,
	PRIVILEGED_UNSHARE,
	PRIVILEGED_SETNS,
	PRIVILEGED_CLONE,
	PRIVILEGED_CLONE3,
	PRIVILEGED_PTRACE,
	PRIVILEGED_PROCESS_VM_READV,
	PRIVILEGED_PROCESS_VM_WRITEV,
	PRIVILEGED_PIDFD_GETFD,
	PRIVILEGED_KCMP,
	/* Signals: only those to tasks that are not in the same container. */
	PRIVILEGED_KILL,
	PRIVILEGED_TKILL,
	PRIVILEGED_TGKILL,
	PRIVILEGED_RT_SIGQUEUEINFO,
	PRIVILEGED_RT_TGSIGQUEUEINFO,
	PRIVILEGED_PIDFD_SEND_SIGNAL,
	PRIVILEGED_INIT_MODULE,
	PRIVILEGED_FINIT_MODULE,
	PRIVILEGED_DELETE_MODULE,
	PRIVILEGED_KEXEC_LOAD,
	PRIVILEGED_KEXEC_FILE_LOAD,
	PRIVILEGED_REBOOT,
	PRIVILEGED_BPF,
	PRIVILEGED_PERF_EVENT_OPEN,
	PRIVILEGED_KEYCTL,
	PRIVILEGED_ADD_KEY,
	PRIVILEGED_REQUEST_KEY,
	/* The credentials of the task itself. */
	PRIVILEGED_SETUID,
	PRIVILEGED_SETGID,
	PRIVILEGED_SETREUID,
	PRIVILEGED_SETREGID,
	PRIVILEGED_SETRESUID,
	PRIVILEGED_SETRESGID,
	PRIVILEGED_SETFSUID,
	PRIVILEGED_SETFSGID,
	PRIVILEGED_SETGROUPS,
	PRIVILEGED_CAPSET,
	PRIVILEGED_PRCTL,
	PRIVILEGED_SECCOMP,
	PRIVILEGED_LANDLOCK_RESTRICT_SELF,
	PRIVILEGED_SETTIMEOFDAY,
	PRIVILEGED_CLOCK_SETTIME,
	PRIVILEGED_CLOCK_ADJTIME,
	PRIVILEGED_ADJTIMEX,
	PRIVILEGED_STIME,
	PRIVILEGED_SWAPON,
	PRIVILEGED_SWAPOFF,
	PRIVILEGED_QUOTACTL,
	PRIVILEGED_QUOTACTL_FD,
	PRIVILEGED_ACCT,
	PRIVILEGED_SYSLOG,
	PRIVILEGED_SETHOSTNAME,
	PRIVILEGED_SETDOMAINNAME,
	PRIVILEGED_IOPL,
	PRIVILEGED_IOPERM,
	PRIVILEGED_FANOTIFY_INIT,
	PRIVILEGED_IO_URING_SETUP,
	PRIVILEGED_IO_URING_REGISTER,
	PRIVILEGED_USERFAULTFD,
	PRIVILEGED_MEMFD_CREATE,
	PRIVILEGED_MMAP,
	PRIVILEGED_MPROTECT,
	/* A program was started that has more rights than whoever started it. */
	PRIVILEGED_EXEC_ELEVATED,
	/* A program was started out of memory: a memfd. */
	PRIVILEGED_EXEC_MEMFD,
	/* Something was asked for through io_uring. */
	PRIVILEGED_IO_URING_REQUEST,
	PRIVILEGED_OPERATIONS,
};
EXPORT(enum, privileged_operation);

#define FIRST_SIGNAL PRIVILEGED_KILL
#define LAST_SIGNAL  PRIVILEGED_PIDFD_SEND_SIGNAL
#define FIRST_OF_IDS PRIVILEGED_SETUID
#define LAST_OF_IDS  PRIVILEGED_CAPSET

/* Memory that is made executable. */
enum executable_memory {
	MEMORY_WRITABLE = 1,
	MEMORY_ANONYMOUS = 2,
	/* Whether it is anonymous is not known. */
	MEMORY_UNKNOWN = 4,
};
EXPORT(enum, executable_memory);

/* Where a program has more rights from than whoever started it. */
enum elevation {
	ELEVATED_BY_SET_USER_ID = 1,
	ELEVATED_BY_SET_GROUP_ID = 2,
	ELEVATED_BY_FILE_CAPABILITIES = 4,
	/* From an elevated program before it. */
	ELEVATED_BEFORE = 8,
};
EXPORT(enum, elevation);

#define PRIVILEGED_TEXTS      3
#define PRIVILEGED_TEXT_BYTES 256
/* How many entries a container may have in the set, of those with texts or ids and of all others. */
#define MAX_PARTICULAR	      512
#define MAX_PLAIN	      1024

/* Of the first user namespace. */
struct task_ids {
	u32 uid;
	u32 euid;
	u32 suid;
	u32 gid;
	u32 egid;
	u32 sgid;
};

/* Without gaps: maps compare keys byte by byte. */
struct privileged_key {
	u32 slot;
	u32 generation;
	u32 details[2];
	/* A number for its texts, or for ids before and after; 0: there are none. */
	u64 particulars;
	u32 target_slot; /* 0: in no container, or no target */
	u32 target_generation;
	u16 errno;
	u8 operation;
	u8 phase;
	u8 has_target;
	/* It stands for all that found no room themselves: nothing is known but the operation and the errno. */
	u8 is_rest;
	u8 pad[2];
};

/* One more word than there is room for, which ends the last. */
struct privileged_text {
	u64 words[PRIVILEGED_TEXT_BYTES / 8 + 1];
};

struct privileged_state {
	u64 count;
	u64 first_ns;
	struct task_ref first;
	struct task_ref target;
	struct task_ids before;
	struct task_ids after;
	u8 has_before;
	u8 has_after;
	u8 told; /* the first was put on the ring */
	u8 cut;	 /* a bit for each text that is not whole */
	u32 lengths[PRIVILEGED_TEXTS];
	struct privileged_text texts[PRIVILEGED_TEXTS];
};

/* On the ring, and the record of the walk. */
struct privileged_sample {
	struct sample_header header;
	struct privileged_key key;
	struct privileged_state state;
};
EXPORT(struct, privileged_sample);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct privileged_key);
	__type(value, struct privileged_state);
} privileged_operations SEC(".maps");

/*
 * What is to be booked. The parts that do it are no static functions, so that the verifier looks at each once: such a
 * function takes only numbers, and finds the rest here.
 */
struct privileged_work {
	struct privileged_key key;
	struct privileged_state state;
	u64 arguments[CALL_ARGUMENTS]; /* of the call */
	s64 result;
	u64 texts[PRIVILEGED_TEXTS]; /* their addresses; 0: none */
	u32 counted_bytes;	     /* a text that ends by its length, not by a zero */
	bool is_kernels;	     /* texts are in the kernel's memory */
	u8 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct privileged_work);
} privileged_works SEC(".maps");

static __always_inline struct privileged_work *privileged_work(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&privileged_works, &zero);
}

enum privileged_entry {
	ENTRY_PARTICULAR,
	ENTRY_PLAIN,
	ENTRY_CONFINEMENT,
};
_Static_assert(ENTRY_CONFINEMENT < ENTRY_KINDS, "each has a counter");

/* The counter of such entries; none if the container has as many as it may. */
static __always_inline u32 *room_for_privileged(u32 slot, u32 kind, u32 limit)
{
	struct slot_state *state = slot_at(slot);
	u32 *count;

	if (!state)
		return 0;
	count = &state->entries[SENSOR_privileged * ENTRY_KINDS + kind];
	return *count < limit ? count : 0;
}

/* For the current task. Texts are not cleared: their lengths are. */
static __always_inline struct privileged_work *begin_privileged(const struct task_note *note, u8 operation)
{
	struct slot_state *slot = slot_at(note->slot);
	struct privileged_work *work = privileged_work();

	/* The slot has a new owner, and this task is none of its. */
	if (!work || !slot || slot->generation != note->generation)
		return 0;
	__builtin_memset(&work->key, 0, sizeof(work->key));
	__builtin_memset(&work->state, 0, __builtin_offsetof(struct privileged_state, texts));
	__builtin_memset(work->texts, 0, sizeof(work->texts));
	work->counted_bytes = 0;
	work->is_kernels = false;
	work->key.slot = note->slot;
	work->key.generation = note->generation;
	work->key.operation = operation;
	work->key.phase = note->phase;
	return work;
}

/* Reads a text and adds it to the number of the particulars. Not static, as are the two below. */
__noinline int read_privileged_text(u32 position)
{
	struct privileged_work *work = privileged_work();
	struct privileged_text *text;
	struct sip_hash hash;
	u64 address;
	long length;
	u32 bytes;

	barrier_var(position); /* the verifier must see the very number that is checked */
	if (!work || position >= PRIVILEGED_TEXTS)
		return 0;
	text = &work->state.texts[position];
	address = work->texts[position];
	if (work->counted_bytes) {
		bytes = work->counted_bytes < PRIVILEGED_TEXT_BYTES ? work->counted_bytes : PRIVILEGED_TEXT_BYTES - 1;
		bytes &= PRIVILEGED_TEXT_BYTES - 1;
		length = bpf_probe_read_user(text->words, bytes, (void *)address) ? -1 : (long)bytes + 1;
	} else {
		length = work->is_kernels
				 ? bpf_probe_read_kernel_str(text->words, PRIVILEGED_TEXT_BYTES, (void *)address)
				 : bpf_probe_read_user_str(text->words, PRIVILEGED_TEXT_BYTES, (void *)address);
	}
	if (length < 0 || length == PRIVILEGED_TEXT_BYTES)
		work->state.cut |= 1U << position;
	bytes = length > 0 ? (length - 1) & (PRIVILEGED_TEXT_BYTES - 1) : 0;
	work->state.lengths[position] = bytes;
	*(u64 *)((u8 *)text->words + bytes) = 0;
	/* An empty one is as good as none. */
	if (!bytes && length > 0)
		return 0;
	begin_hash(&hash);
	add_to_hash(&hash, work->key.particulars);
	add_to_hash(&hash, position);
	ADD_BYTES_TO_HASH(&hash, text->words, bytes, PRIVILEGED_TEXT_BYTES);
	work->key.particulars = end_hash(&hash);
	return 0;
}

static __always_inline void hash_ids(struct sip_hash *hash, const struct task_ids *ids)
{
	add_to_hash(hash, (u64)ids->uid << 32 | ids->gid);
	add_to_hash(hash, (u64)ids->euid << 32 | ids->egid);
	add_to_hash(hash, (u64)ids->suid << 32 | ids->sgid);
}

/* A number for the ids before and after. */
__noinline int hash_privileged_ids(void)
{
	struct privileged_work *work = privileged_work();
	struct sip_hash hash;

	if (!work)
		return 0;
	begin_hash(&hash);
	add_to_hash(&hash, work->state.has_before | work->state.has_after << 1);
	hash_ids(&hash, &work->state.before);
	hash_ids(&hash, &work->state.after);
	work->key.particulars = end_hash(&hash);
	return 0;
}

/* An entry for all those of this operation that find no room. */
static __always_inline struct privileged_state *rest_of_privileged(struct privileged_work *work)
{
	struct privileged_state *state = &work->state;

	work->key.details[0] = 0;
	work->key.details[1] = 0;
	work->key.particulars = 0;
	work->key.target_slot = 0;
	work->key.target_generation = 0;
	work->key.has_target = 0;
	work->key.is_rest = 1;
	state->has_before = 0;
	state->has_after = 0;
	state->cut = 0;
	for (u32 i = 0; i < PRIVILEGED_TEXTS; i++)
		state->lengths[i] = 0;
	bpf_map_update_elem(&privileged_operations, &work->key, state, BPF_NOEXIST);
	return bpf_map_lookup_elem(&privileged_operations, &work->key);
}

/* One more of what the work says. */
__noinline int book_privileged(void)
{
	struct privileged_work *work = privileged_work();
	struct privileged_sample *sample;
	struct privileged_state *state;
	u32 *count;

	if (!work)
		return 0;
	state = bpf_map_lookup_elem(&privileged_operations, &work->key);
	if (!state) {
		work->state.first_ns = bpf_ktime_get_boot_ns();
		refer_to(&work->state.first, current_task());
		count = work->key.particulars ? room_for_privileged(work->key.slot, ENTRY_PARTICULAR, MAX_PARTICULAR)
					      : room_for_privileged(work->key.slot, ENTRY_PLAIN, MAX_PLAIN);
		/* Another CPU may have been first: then its entry stays. */
		if (count && !bpf_map_update_elem(&privileged_operations, &work->key, &work->state, BPF_NOEXIST))
			add(*count, 1);
		state = bpf_map_lookup_elem(&privileged_operations, &work->key);
	}
	if (!state)
		state = rest_of_privileged(work);
	if (!state) {
		count_lost_entries(work->key.slot, SENSOR_privileged, 1);
		return 0;
	}
	add(state->count, 1);
	if (state->told)
		return 0;
	/* Without room it is told the next time. The set has it, so nothing is lost. */
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	fill_header(&sample->header, current_task(), work->key.slot, work->key.generation, work->key.phase,
		    SENSOR_privileged, PRIVILEGED_DONE);
	sample->header.boot_ns = state->first_ns;
	sample->header.task = state->first;
	sample->key = work->key;
	bpf_probe_read_kernel(&sample->state, sizeof(sample->state), state);
	bpf_ringbuf_submit(sample, 0);
	state->told = 1;
	return 0;
}

/* A walk over the set. What it writes is too long for the stack, so it comes in three parts. */
SEC("iter/bpf_map_elem")
int read_privileged(struct bpf_iter__bpf_map_elem *ctx)
{
	struct privileged_key *key = ctx->key;
	struct privileged_state *state = ctx->value;
	struct sample_header header;

	if (!key || !state || !is_walked(key->slot))
		return 0;
	header.boot_ns = state->first_ns;
	header.slot = key->slot;
	header.generation = key->generation;
	header.task = state->first;
	header.sensor = SENSOR_privileged;
	header.kind = PRIVILEGED_DONE;
	header.phase = key->phase;
	__builtin_memset(header.pad, 0, sizeof(header.pad));
	bpf_seq_write(ctx->meta->seq, &header, sizeof(header));
	bpf_seq_write(ctx->meta->seq, key, sizeof(*key));
	bpf_seq_write(ctx->meta->seq, state, sizeof(*state));
	return 0;
}
