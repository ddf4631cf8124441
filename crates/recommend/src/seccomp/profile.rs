//! The filter in the form that runtimes and engines take: `linux.seccomp` of the OCI runtime specification.

use std::collections::BTreeSet;

use event::{Arch, Errno, SyscallNames};
use serde::{Deserialize, Serialize};

use super::tables::PROBED;
use super::{AllowReason, LeftOutReason, Seccomp};

const EPERM: Errno = Errno(1);
const ENOSYS: Errno = Errno(38);
/// The numbers that 32-bit tables gave out for times of 64 bits, Linux 5.1 (`include/uapi/asm-generic/unistd.h`).
const FIRST_OF_TIME64: u32 = 403;
/// The first number that is the same in every table: all since Linux 5.1 are.
const FIRST_COMMON: u32 = 424;
/// Numbers from here on are calls of ARM's own, and old (`arch/arm/include/uapi/asm/unistd.h`).
const FIRST_OF_ARM: u32 = 0xf_0000;

/// A seccomp profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What happens to calls that no rule is about.
    pub default_action: String,
    /// The errno of that. Engines of before 2021 do not know this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The tables of system calls.
    pub architectures: Vec<String>,
    /// The rules.
    pub syscalls: Vec<Rule>,
}

/// What happens to some calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Their names.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: String,
    /// The errno, of an action that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
}

impl Profile {
    /// The profile for what is to be let through.
    ///
    /// The default is ENOSYS, which is what a kernel without a call answers: a program that would rather use a newer
    /// one goes on with an older. What is denied and old is listed with EPERM. What is denied and new, or known to be
    /// tried by libraries first, is listed with ENOSYS again, for engines that do not pass the default's errno on.
    pub fn new(seccomp: &Seccomp) -> Profile {
        let mut groups: [Vec<String>; 3] = Default::default();
        for call in &seccomp.allowed {
            let group = match call.reasons.first() {
                Some(AllowReason::Observed { .. } | AllowReason::Denied { .. }) => 0,
                Some(AllowReason::Runtime { .. }) => 1,
                Some(AllowReason::Always { .. } | AllowReason::Portability { .. }) | None => 2,
            };
            groups[group].push(call.name.clone());
        }
        let allow =
            groups.into_iter().map(|names| Rule { names, action: "SCMP_ACT_ALLOW".to_owned(), errno_ret: None });

        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (name, is_new) in denied(seccomp) {
            if is_new { new.push(name) } else { old.push(name) }
        }
        let deny = [(old, EPERM), (new, ENOSYS)].map(|(names, errno)| Rule {
            names,
            action: "SCMP_ACT_ERRNO".to_owned(),
            errno_ret: Some(errno.0.into()),
        });
        Profile {
            default_action: "SCMP_ACT_ERRNO".to_owned(),
            default_errno_ret: Some(ENOSYS.0.into()),
            architectures: seccomp.architectures.iter().map(|arch| arch.seccomp_name().to_owned()).collect(),
            syscalls: allow.chain(deny).filter(|rule| !rule.names.is_empty()).collect(),
        }
    }

    /// The profile as a file.
    pub fn to_json(&self) -> String {
        report::json(self)
    }
}

/// Every call of the tables that is not allowed, by name, and whether ENOSYS is the answer to it.
fn denied(seccomp: &Seccomp) -> impl Iterator<Item = (String, bool)> {
    let names = SyscallNames::builtin();
    let mut calls = BTreeSet::new();
    for &arch in &seccomp.architectures {
        calls.extend(names.all(arch).map(|(number, name)| (name.to_owned(), is_new(arch, number))));
    }
    // A name that is new in one table only is old.
    let old: BTreeSet<String> = calls.iter().filter(|(_, is_new)| !is_new).map(|(name, _)| name.clone()).collect();
    calls
        .into_iter()
        .filter(move |(name, is_new)| !(*is_new && old.contains(name)))
        .filter(|(name, _)| !seccomp.allows(name))
        .map(|(name, is_new)| {
            let is_new = is_new || PROBED.contains(&name.as_str()) || answered_enosys(seccomp, &name);
            (name, is_new)
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// Whether the number was given out in Linux 5.1 or later.
fn is_new(arch: Arch, number: u32) -> bool {
    match arch {
        Arch::X86 => number >= FIRST_OF_TIME64,
        Arch::Arm => (FIRST_OF_TIME64..FIRST_OF_ARM).contains(&number),
        // 512 to 547 are x32's own, and old.
        Arch::X32 => (FIRST_COMMON..512).contains(&number),
        Arch::X86_64 | Arch::Aarch64 => number >= FIRST_COMMON,
    }
}

/// Whether the workload went on with ENOSYS when it tried this call while it was recorded.
fn answered_enosys(seccomp: &Seccomp, name: &str) -> bool {
    seccomp.left_out.iter().any(|call| match &call.reason {
        LeftOutReason::RefusedWhileRecorded { errnos } => call.name == name && *errnos == [ENOSYS],
        LeftOutReason::RingNotUsed => false,
    })
}
