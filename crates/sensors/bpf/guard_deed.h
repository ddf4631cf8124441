/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the guards of deeds that are not programs have in common: they fail with EPERM, by BPF LSM or by the result of
 * the kernel's function. */
#pragma once

#include "guard_tell.h"

/* The policies that deny every deed of a kind. */
GUARD_MAP(deed_policies, ARRAY, DEED_SLOTS, u32, u64, 0);

/* 6.12 looks at the range of what is returned, and loses it where the compiler negates. */
#define VERDICT(denied)                            \
	({                                         \
		int __denied = denied;             \
		asm volatile("" : "+r"(__denied)); \
		if (__denied)                      \
			return -EPERM;             \
		0;                                 \
	})

/*
 * One guard at both steps: NAME_lsm on the hook, NAME_result on the kernel's function that calls the hooks, whose
 * result it becomes if it is not 0. Both are given the same, and JUDGE says whether it is denied.
 */
#define GUARD(name, hook, judge, ...)                         \
	SEC("lsm/" #hook)                                     \
	int BPF_PROG(name##_lsm, __VA_ARGS__, int verdict)    \
	{                                                     \
		if (verdict)                                  \
			return verdict;                       \
		return VERDICT(judge);                        \
	}                                                     \
	SEC("fmod_ret/security_" #hook)                       \
	int BPF_PROG(name##_result, __VA_ARGS__, int verdict) \
	{                                                     \
		if (verdict)                                  \
			return verdict;                       \
		return VERDICT(judge);                        \
	}

/* Books what these policies found, and nothing else; gives whether there is anything to tell. */
static __always_inline bool settle_deed(u64 found, u32 reason, struct settled *settled)
{
	__builtin_memset(settled, 0, sizeof(*settled));
	settle_more(settled, found, reason);
	return settled->is_told;
}

/* The policies that deny all deeds of this kind and that the running task is under. */
static __always_inline u64 denied_by_kind(u32 deed)
{
	u64 *denying = bpf_map_lookup_elem(&deed_policies, &deed);

	if (!denying || !*denying)
		return 0;
	return *denying & policies_of_current();
}
