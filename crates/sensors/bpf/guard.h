/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every guard starts from: whom policies are about, what they deny, and what is told of it.
 *
 * Guards are an object of their own. They share no map with the sensors, as they are pinned and go on without
 * ringfence. Up to 64 policies are in force at once, so that any number of them is a mask of bits: those that a task is
 * under, and those that deny what it does. What both masks have is denied. Nothing is kept per CPU between two
 * instructions: a task may lose the CPU in the middle of a program on a security hook.
 */
#pragma once

#include "hash.h"

#define EPERM 1

/* "rootfs" and its zero byte, as the first bytes of a number. */
#define ROOTFS_NAME	  0x7366746f6f72ULL
#define ROOTFS_NAME_BYTES 7

enum guard_limit {
	POLICIES = 64,
	/* The policy that tries whether anything is denied at all. */
	CANARY_POLICY = 63,
	POLICY_TEXT_BYTES = 32768,
	CGROUP_NAME_BYTES = 160,
	/* Of the names of a denied file, so many bytes are told. */
	DENIAL_PATH_BYTES = 1024,
	DENIAL_CALLED_BYTES = 256,
	/* A power of two that has room for every reason. */
	DENY_REASON_SLOTS = 16,
	/* The same for every kind of deed. */
	DEED_SLOTS = 16,
};
EXPORT(enum, guard_limit);

#define NAME_BYTES 255
#define NAME_PART  64
/* Names and mounts from a file up to the root. */
#define PLACE_STEPS 128
/* Mounts from a task's root up to that of the container. */
#define ROOT_STEPS 32
/* So many of them are told. */
#define TOLD_STEPS 48
/* Cgroups from a task's own up to the root. One at each such level knows by itself what it inherits. */
#define CGROUP_STEPS	    64
#define ANCHOR_LEVELS	    32
#define PID_NAMESPACE_STEPS 32
#define TEXT_CHUNK	    64
#define TEXT_CHUNKS	    17
/* So many arguments are looked at. */
#define ARGUMENTS 8

/* By which of its ways a kernel denies: 0 until all programs are attached and pinned. */
enum guard_step {
	STEP_NONE,
	STEP_LSM,
	STEP_FMOD_RET,
	STEP_KILL,
};
EXPORT(enum, guard_step);

enum policy_state {
	POLICY_FREE,
	POLICY_AUDIT,
	POLICY_ENFORCE,
};
EXPORT(enum, policy_state);

/* The kinds of deeds that can be denied. */
enum deed {
	DEED_EXEC,
	DEED_FILE,
	DEED_CONNECT,
	DEED_LISTEN,
	DEED_CAPABILITY,
	DEED_MOUNT,
	DEED_PTRACE,
	DEED_MODULE,
	/* Writing what is not listed: told as DEED_FILE. */
	DEED_WRITE,
};
EXPORT(enum, deed);

/* Why something was denied. */
enum deny_reason {
	/* The file's path, as the task sees it. */
	DENY_PATH,
	/* The file itself, under whatever name. */
	DENY_FILE,
	/* The file's own name, wherever it lies. */
	DENY_NAME,
	/* The text that the caller named the program by: a link to it, or a script. */
	DENY_CALLED,
	/* The argument by which a program of many picks what it is. */
	DENY_APPLET,
	/* The argument by which a loader picks what it runs. */
	DENY_LOADER,
	/* The file was mapped as code. */
	DENY_MAPPED,
	/* The file is none of the image. */
	DENY_NOT_OF_IMAGE,
	/* The program, or the place that was to be written, is none of those that are listed. */
	DENY_NOT_LISTED,
	/* Deeds of this kind are. */
	DENY_KIND,
	/* The other side's address. */
	DENY_ADDRESS,
	/* The own port. */
	DENY_PORT,
	/* The kernel was to choose the port. */
	DENY_UNBOUND,
};
EXPORT(enum, deny_reason);

enum deny_action {
	/* The call fails with EPERM. */
	ACTION_REFUSED,
	/* The process gets SIGKILL before the first instruction of the program. */
	ACTION_KILLED,
	/* Nothing: the policy only counts. */
	ACTION_AUDITED,
	/* SIGKILL was to be sent, and the kernel did not take it. */
	ACTION_FAILED,
	/* Nothing was denied: from now on the policy is strict there. The reason is a trigger (`guard_taint.bpf.c`). */
	ACTION_TAINTED,
};
EXPORT(enum, deny_action);

struct policy {
	u64 expires_boot_ns; /* 0: never */
	u32 state;
	u32 pad;
};

struct policy_tally {
	u64 denied;
	u64 audited;
	u64 failed;
	u64 by_reason[DENY_REASON_SLOTS];
	/* What found no room in the ring for its event. */
	u64 untold;
	u64 first_boot_ns;
	u64 last_boot_ns;
};

struct policy_text {
	u8 bytes[POLICY_TEXT_BYTES];
};

/* What a process finds that comes later, and what must not go unnoticed. */
struct guard_facts {
	u64 hash_key[2];
	u64 loaded_boot_ns;
	/* 0 until all programs are attached and pinned. */
	u32 complete;
	u32 step;
	u32 identity_is_v2;
	u32 identity_hierarchy;
	/* While 0 nobody is told by a namespace. */
	u32 namespaces;
	u32 pad;
	/* The policies that deny by name, and those that deny all that is not of the image. */
	u64 naming;
	u64 image_only;
	/* The file system of the host's root. */
	u32 host_root_device;
	/* The kinds of deeds whose programs are attached and pinned: a bit for each. */
	u32 deeds;
	/* Its root itself, and the policies that have rules for files. */
	u64 host_root_inode;
	u64 filing;
	/* What is watched for policies that wait for it: a bit for each. */
	u32 triggers;
	u32 pad_end;
};

/* What only the kernel side writes. */
struct guard_losses {
	/* Cgroups that were to be under a policy and found no room in the map. */
	u64 cgroups;
};

struct file_key {
	u64 inode;
	u32 device;
	u32 pad;
};

struct cgroup_name {
	u8 bytes[CGROUP_NAME_BYTES];
};

struct denial {
	u64 boot_ns;
	u64 cgroup_id;
	u64 inode;
	u32 device;
	u32 policy;
	u32 pid;
	u32 tid;
	u32 pid_inside;
	u32 ppid;
	u32 uid;
	u32 mount_ns;
	u32 path_bytes;
	u8 reason;
	u8 action;
	u8 path_is_cut;
	u8 deed;
	/* Of a connection the other side: an IPv4 address as one that is mapped. */
	u8 address[16];
	/* The number of the capability, the process that was to be traced, or what was to be done with the file. */
	u32 number;
	/* Of the other side, or the own of a listener; 0 where the kernel chooses. */
	u16 port;
	u16 pad;
	u8 comm[COMM_BYTES];
	u8 parent_comm[COMM_BYTES];
	u8 called[DENIAL_CALLED_BYTES];
	/* The names, leaf first, each with its length before it. */
	u8 path[DENIAL_PATH_BYTES + NAME_BYTES + 1];
};
EXPORT(struct, denial);

/* clang-format off */
#define GUARD_MAP(name, kind, entries, key_type, value_type, flags) \
	struct {                                                    \
		__uint(type, BPF_MAP_TYPE_##kind);                  \
		__uint(map_flags, flags);                           \
		__uint(max_entries, entries);                       \
		__type(key, key_type);                              \
		__type(value, value_type);                          \
	} name SEC(".maps")
/* clang-format on */

GUARD_MAP(policies, ARRAY, POLICIES, u32, struct policy, 0);
GUARD_MAP(policy_tallies, ARRAY, POLICIES, u32, struct policy_tally, 0);
GUARD_MAP(policy_texts, ARRAY, POLICIES, u32, struct policy_text, 0);
GUARD_MAP(guard_facts, ARRAY, 1, u32, struct guard_facts, 0);
GUARD_MAP(guard_losses, ARRAY, 1, u32, struct guard_losses, 0);
/* Whom: the mask of the policies that a cgroup is under, or a namespace, or a cgroup that is yet to be made. */
GUARD_MAP(cgroup_policies, HASH, 16384, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(namespace_policies, HASH, 4096, u32, u64, BPF_F_NO_PREALLOC);
/* Which of the namespaces that ever have this number is meant: the first in which somebody was looked at. */
GUARD_MAP(namespace_ids, HASH, 4096, u32, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(awaited_cgroups, HASH, 16384, struct cgroup_name, u64, BPF_F_NO_PREALLOC);
/* What: the mask of the policies that deny it. */
GUARD_MAP(denied_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_paths, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_names, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(denied_texts, HASH, 4096, u64, u64, BPF_F_NO_PREALLOC);
/* The ends of all names in these, and of the last names of the paths and texts: nothing else is looked up there. */
GUARD_MAP(denied_ends, HASH, 8192, u64, u64, BPF_F_NO_PREALLOC);
/* Programs of many: the argument says which. By name, with the ends of these, and by file. */
GUARD_MAP(many_names, HASH, 64, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(many_ends, HASH, 64, u64, u64, BPF_F_NO_PREALLOC);
GUARD_MAP(many_files, HASH, 65536, struct file_key, u64, BPF_F_NO_PREALLOC);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} denials SEC(".maps");

static __always_inline struct guard_facts *facts(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&guard_facts, &zero);
}

static __always_inline u64 mask_in(void *map, const void *key)
{
	u64 *mask = bpf_map_lookup_elem(map, key);

	return mask ? *mask : 0;
}

/* The task that runs: read its fields with BPF_CORE_READ. */
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/*
 * A pointer as a number: functions that the verifier looks at on their own take nothing else. Of what is negated it
 * forgets that it was a pointer.
 */
static __always_inline u64 number_of(const void *object)
{
	u64 number = (u64)object;

	asm volatile("%0 = -%0\n%0 = -%0" : "+r"(number));
	return number;
}

static __always_inline struct mount *mount_of(u64 vfsmount)
{
	return (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/*
 * Whether a mount is one that every mount namespace begins with, below all roots: the topmost, or the file system
 * "rootfs", which nobody can mount (init/do_mounts.c, 6.18). From 7.0 on that may lie on one more, in which nothing is.
 */
static __always_inline bool is_first_mount(struct mount *mount)
{
	const char *type = BPF_CORE_READ(mount, mnt.mnt_sb, s_type, name);
	u64 name = 0;

	if (BPF_CORE_READ(mount, mnt_parent) == mount)
		return true;
	bpf_probe_read_kernel(&name, ROOTFS_NAME_BYTES, type);
	return name == ROOTFS_NAME;
}
