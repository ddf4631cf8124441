//! System calls: what was called, how often, how it failed, and by which program first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use event::{Errno, ExecId, Phase, Syscall, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The system calls of a container: one entry per phase, table and number that was used.
///
/// In JSON a list, ordered by phase, table and number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Syscalls {
    /// The entries, ordered by phase, table and number.
    pub uses: Vec<SyscallUse>,
}

impl Syscalls {
    /// The calls of several runs as one: every call of both, the sums of the counts, the earliest first use and the
    /// latest last use. The order and the grouping of merges make no difference.
    ///
    /// Times are compared as they are: those of two boots or machines have no order that means anything.
    pub fn merge(self, other: Syscalls) -> Syscalls {
        let mut merged = BTreeMap::<(Phase, Syscall), SyscallUse>::new();
        for one in self.uses.into_iter().chain(other.uses) {
            let key = (one.phase, one.syscall);
            let sum = match merged.remove(&key) {
                Some(known) => known.merge(one),
                None => one,
            };
            merged.insert(key, sum);
        }
        Syscalls { uses: merged.into_values().collect() }
    }
}

/// How one system call was used in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyscallUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The call.
    #[serde(flatten)]
    pub syscall: Syscall,
    /// Its name at the time of recording; `nr 471` if nobody had one.
    pub name: String,
    /// How often it was entered, failed calls included; 0 if every attempt was refused before it was entered (by a
    /// seccomp filter), and then `failures` says how.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub count: u64,
    /// The first use of all; none if the kernel did not say.
    pub first: Option<FirstUse>,
    /// The end of the last snapshot interval in which the count grew, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub last_boot_ns: u64,
    /// How often it was refused before it was entered, by a seccomp filter: these are among the failures and not in the count.
    /// Exact, but for calls whose return no sensor handles: of these one that was refused right after the same call had
    /// succeeded is taken for one that was entered. Reports of early versions have none.
    #[serde(default, skip_serializing_if = "is_zero", with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub refused: u64,
    /// Who was refused first; left out if nobody was, or if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_refused: Option<FirstUse>,
    /// How often it failed, by errno, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureCount>,
}

impl SyscallUse {
    /// How often it was refused before it was entered; of reports of early versions at least so often.
    pub fn refusals(&self) -> u64 {
        let failed = self.failures.iter().fold(0u64, |sum, failure| sum.saturating_add(failure.count));
        self.refused.max(failed.saturating_sub(self.count))
    }

    fn merge(self, other: SyscallUse) -> SyscallUse {
        let failures = self.failures.into_iter().chain(other.failures).map(|failure| (failure.errno, failure.count));
        let failures = failures_in_order(failures);
        let unknown = format!("nr {}", self.syscall.number);
        SyscallUse {
            phase: self.phase,
            syscall: self.syscall,
            name: [self.name, other.name]
                .into_iter()
                .min_by_key(|name| (*name == unknown, name.clone()))
                .unwrap_or(unknown),
            count: self.count.saturating_add(other.count),
            first: [self.first, other.first].into_iter().flatten().min(),
            refused: self.refused.saturating_add(other.refused),
            first_refused: [self.first_refused, other.first_refused].into_iter().flatten().min(),
            last_boot_ns: self.last_boot_ns.max(other.last_boot_ns),
            failures,
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How often a call failed in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureCount {
    /// What it returned.
    pub errno: Errno,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub count: u64,
}

/// Each errno once, most frequent first, then by number.
pub(crate) fn failures_in_order(failures: impl IntoIterator<Item = (Errno, u64)>) -> Vec<FailureCount> {
    let mut sums = BTreeMap::<Errno, u64>::new();
    for (errno, count) in failures {
        let sum = sums.entry(errno).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut failures: Vec<_> = sums.into_iter().map(|(errno, count)| FailureCount { errno, count }).collect();
    failures.sort_by_key(|failure| (Reverse(failure.count), failure.errno));
    failures
}

/// The first use of a call in a phase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct FirstUse {
    /// Nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub boot_ns: u64,
    /// The program image that did it: its process, and which program of it.
    #[serde(flatten)]
    pub image: ExecId,
    /// The name that the thread had then.
    pub comm: Text,
    /// The executable it ran; empty if not known, because its exec was not observed.
    pub executable: Text,
}
