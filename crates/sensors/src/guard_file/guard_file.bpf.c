/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that may not be read or written.
 *
 * Reading is opening for it. Writing is that, and all that changes what lies at a path: making, removing, moving,
 * linking, cutting, and giving it another mode or owner. What may not be read may not get another name either. What is
 * open already stays so.
 */

#include "guard_acts.h"

static __always_inline u64 found_at(u64 mask, u32 asked, u64 dentry, u64 mount)
{
	u64 found = ruled(mask, asked, dentry, mount);

	if (asked & WITH_BELOW)
		found |= ruled_below(mask, asked, dentry, mount);
	return found;
}

/* Whether these policies let this be done there. Not static, so that the verifier looks at it once. */
__noinline int judge_at(u64 mask, u32 asked, u32 act, u64 dentry, u64 mount)
{
	u64 found = found_at(mask, asked | TOLD_BY_ANY, dentry, mount);
	u32 reason = DENY_PATH;

	if (!found)
		return 0;
	if (!found_at(mask, asked | TOLD_BY_PATH, dentry, mount))
		reason = DENY_FILE;
	return refuse_place(found, reason, act, dentry, mount);
}

FILE_GUARDS(, may_be_ruled, filing_policies, judge_at)
