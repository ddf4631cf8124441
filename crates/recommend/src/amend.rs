//! A recommendation with what turned out to be missing in it.

use event::{Arch, Capability, SyscallNames, Text};

use crate::seccomp::{AllowReason, AllowedCall};
use crate::{CapabilityNeed, Recommendation};

/// What was denied while the workload ran under a recommendation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: MissingPermission,
    /// In how many starts.
    pub starts: u32,
    /// The program that was denied it first; empty if not known.
    pub program: Text,
}

/// A permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingPermission {
    /// A system call, by name.
    Call(String),
    /// A capability.
    Capability(Capability),
}

impl std::fmt::Display for MissingPermission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MissingPermission::Call(name) => write!(f, "the system call {}", Text::from(name.as_str()).shown()),
            MissingPermission::Capability(capability) => capability.fmt(f),
        }
    }
}

impl Recommendation {
    /// The same with what was missing. A call that is allowed already loses its condition, as nothing says which argument it
    /// was denied with. A call that libseccomp has no name for stays out: no profile could allow it.
    pub fn with(&self, missing: &[Missing]) -> Recommendation {
        let mut more = self.clone();
        for one in missing {
            match &one.what {
                MissingPermission::Call(name) => {
                    let knows = |&arch: &Arch| SyscallNames::builtin().number(arch, name).is_some();
                    if more.seccomp.drop_condition(name) {
                        continue;
                    }
                    if more.seccomp.allows(name) || !more.seccomp.architectures.iter().any(knows) {
                        continue;
                    }
                    let reason = AllowReason::Denied { starts: one.starts, program: one.program.clone() };
                    let at = more.seccomp.allowed.partition_point(|call| call.name < *name);
                    more.seccomp.allowed.insert(at, AllowedCall { name: name.clone(), reasons: vec![reason] });
                    more.seccomp.left_out.retain(|call| call.name != *name);
                }
                &MissingPermission::Capability(capability) => {
                    let add = &mut more.capabilities.add;
                    let at = add.partition_point(|need| need.capability < capability);
                    if add.get(at).is_none_or(|need| need.capability != capability) {
                        add.insert(at, CapabilityNeed { capability, evidence: Vec::new(), smaller: Vec::new() });
                    }
                    more.capabilities.left_out.retain(|other| other.capability != capability);
                }
            }
        }
        more.changes.amend(&more.seccomp, &more.capabilities);
        more.score.amend(&more.seccomp, &more.capabilities);
        more
    }
}
