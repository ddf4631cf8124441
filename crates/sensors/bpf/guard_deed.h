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

/* What becomes of a deed that policies found. */
struct settled {
	u64 denying;
	u32 policy;
	u32 action;
};

/* Books what these policies found; gives whether there is anything to tell. */
static __always_inline bool settle_deed(u64 found, u32 reason, struct settled *settled)
{
	u64 denying, auditing;

	if (!found)
		return false;
	denying = settle(found, reason, POLICY_ENFORCE);
	auditing = settle(found, reason, POLICY_AUDIT);
	if (!denying && !auditing)
		return false;
	settled->denying = denying;
	settled->policy = first_of(denying ? denying : auditing);
	settled->action = denying ? ACTION_REFUSED : ACTION_AUDITED;
	return true;
}

/* The policies that deny all deeds of this kind and that the running task is under. */
static __always_inline u64 denied_by_kind(u32 deed)
{
	u64 *denying = bpf_map_lookup_elem(&deed_policies, &deed);

	if (!denying || !*denying)
		return 0;
	return *denying & policies_of_current();
}

/* Those of these policies that deny, and do not only count. Not static, so that the verifier looks at it once. */
__noinline u64 enforcing(u64 found)
{
	u64 now = bpf_ktime_get_boot_ns(), denying = 0;

	for (u32 i = 0; i < POLICIES; i++) {
		u32 number = i;
		struct policy *policy = bpf_map_lookup_elem(&policies, &number);

		if (policy && policy->state == POLICY_ENFORCE &&
		    (!policy->expires_boot_ns || now < policy->expires_boot_ns))
			denying |= 1ULL << i;
	}
	return found & denying;
}
