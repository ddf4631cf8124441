//! System calls, grouped by phase and table.

use behaviour::{FailureCount, SyscallUse};
use event::{Arch, Phase, Text};

use super::units::count;
use crate::Report;

/// The calls of one phase through one table.
pub(super) struct Group<'a> {
    pub(super) phase: Phase,
    pub(super) arch: Arch,
    /// Most frequent first.
    pub(super) uses: Vec<&'a SyscallUse>,
}

/// What the workload did comes first: it is what most readers look for.
const ORDER: [Phase; 3] = [Phase::Main, Phase::Exec, Phase::RuntimeInit];

/// The groups that have calls.
pub(super) fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    for phase in ORDER {
        for arch in Arch::ALL {
            let of_group = |used: &&SyscallUse| used.phase == phase && used.syscall.arch == arch;
            let mut uses: Vec<&SyscallUse> = report.behaviour.syscalls.uses.iter().filter(of_group).collect();
            uses.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.syscall.number.cmp(&b.syscall.number)));
            if !uses.is_empty() {
                groups.push(Group { phase, arch, uses });
            }
        }
    }
    groups
}

impl Group<'_> {
    /// How often its calls were made in all.
    pub(super) fn total(&self) -> u64 {
        self.uses.iter().fold(0, |total, used| total.saturating_add(used.count))
    }
}

/// The call's name, safe for a terminal: in a file it may be anything.
pub(super) fn name(used: &SyscallUse) -> String {
    Text::from(used.name.as_str()).shown().into_owned()
}

/// How often it failed in all.
pub(super) fn failed(failures: &[FailureCount]) -> u64 {
    failures.iter().fold(0, |total, failure| total.saturating_add(failure.count))
}

/// How it failed: `12 EAGAIN, 3 ENOENT`.
pub(super) fn failures(failures: &[FailureCount]) -> String {
    let each = failures.iter().map(|failure| format!("{} {}", count(failure.count), failure.errno));
    each.collect::<Vec<_>>().join(", ")
}

/// The program that made it first: its executable, else its name.
pub(super) fn first_program(used: &SyscallUse) -> String {
    let Some(first) = &used.first else { return String::new() };
    let program = if first.executable.is_empty() { &first.comm } else { &first.executable };
    program.shown().into_owned()
}
