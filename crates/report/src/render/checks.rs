//! Capabilities, grouped by phase and by what was asked.

use behaviour::{CapabilityUse, CheckMeaning};
use event::{CapabilityAudit, CapabilityNamespace, Phase, Text};

use crate::Report;

/// The checks of one phase that mean the same.
pub(super) struct Group<'a> {
    pub(super) phase: Phase,
    pub(super) meaning: CheckMeaning,
    /// By capability.
    pub(super) uses: Vec<&'a CapabilityUse>,
}

/// The meaning in a few words.
pub(super) fn about(meaning: CheckMeaning) -> &'static str {
    match meaning {
        CheckMeaning::Used => "asked for and held, needed or not",
        CheckMeaning::Denied => "asked for and not held",
        CheckMeaning::Silent => "asked only to choose how to go on: a no is no failure",
        CheckMeaning::InWorkload => "in user namespaces that it made: nobody gave it these",
        CheckMeaning::OfOthers => "asked of others: who mounted its overlay, opened its file, traces it",
    }
}

/// What the workload did comes first, as with system calls.
const ORDER: [Phase; 3] = [Phase::Main, Phase::Exec, Phase::RuntimeInit];
const MEANINGS: [CheckMeaning; 5] =
    [CheckMeaning::Used, CheckMeaning::Denied, CheckMeaning::Silent, CheckMeaning::InWorkload, CheckMeaning::OfOthers];

/// The groups that have checks.
pub(super) fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    for phase in ORDER {
        for meaning in MEANINGS {
            let of_group = |used: &&CapabilityUse| used.phase == phase && used.meaning() == meaning;
            let uses: Vec<&CapabilityUse> = report.behaviour.capabilities.uses.iter().filter(of_group).collect();
            if !uses.is_empty() {
                groups.push(Group { phase, meaning, uses });
            }
        }
    }
    groups
}

/// What the capability's name leaves open: the answer where a group has both, a namespace other than the first, and
/// whether it is not known if it was audited.
pub(super) fn remarks(group: &Group<'_>, used: &CapabilityUse) -> String {
    let mut remarks = Vec::new();
    if !matches!(group.meaning, CheckMeaning::Used | CheckMeaning::Denied) {
        remarks.push(used.verdict.name());
    }
    match used.namespace {
        CapabilityNamespace::Initial | CapabilityNamespace::Workload => {}
        CapabilityNamespace::Container => remarks.push("container's user namespace"),
        CapabilityNamespace::Other => remarks.push("another user namespace"),
    }
    if used.audit == CapabilityAudit::Unknown {
        remarks.push("audit unknown");
    }
    remarks.join(", ")
}

/// The system call of the first check, safe for a terminal: in a file its name may be anything.
pub(super) fn first_call(used: &CapabilityUse) -> String {
    let call = used.first.syscall.as_ref();
    call.map(|call| Text::from(call.name.as_str()).shown().into_owned()).unwrap_or_default()
}

/// The program of the first check: its executable, else its name.
pub(super) fn first_program(used: &CapabilityUse) -> String {
    let first = &used.first.by;
    let program = if first.executable.is_empty() { &first.comm } else { &first.executable };
    program.shown().into_owned()
}
