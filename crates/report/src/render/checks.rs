//! Capabilities, grouped by phase and by what was asked.

use behaviour::CapabilityUse;
use event::{CapabilityAudit, CapabilityNamespace, Credentials, Phase, Text, Verdict};

use crate::Report;

/// The checks of one phase that mean the same.
pub(super) struct Group<'a> {
    pub(super) phase: Phase,
    pub(super) meaning: Meaning,
    /// By capability.
    pub(super) uses: Vec<&'a CapabilityUse>,
}

/// What a check may mean to whoever decides on capabilities; those that matter most come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The kernel asked, and the task has it.
    Used,
    /// The kernel asked, and the task has it not.
    Denied,
    /// The kernel asked only to choose between two ways of going on.
    Silent,
    /// In a user namespace that the container made itself.
    InWorkload,
    /// With credentials that are not the task's.
    OfOthers,
}

impl Meaning {
    fn of(used: &CapabilityUse) -> Meaning {
        match (used.credentials, used.namespace, used.audit, used.verdict) {
            (Credentials::Other, ..) => Meaning::OfOthers,
            (_, CapabilityNamespace::Workload, ..) => Meaning::InWorkload,
            (_, _, CapabilityAudit::No, _) => Meaning::Silent,
            (_, _, _, Verdict::Used) => Meaning::Used,
            (_, _, _, Verdict::Denied) => Meaning::Denied,
        }
    }

    /// In one word: a title must fit the narrowest terminal.
    pub(super) fn name(self) -> &'static str {
        match self {
            Meaning::Used => "used",
            Meaning::Denied => "denied",
            Meaning::Silent => "unaudited",
            Meaning::InWorkload => "nested",
            Meaning::OfOthers => "borrowed",
        }
    }

    /// What that means, in a few words.
    pub(super) fn about(self) -> &'static str {
        match self {
            Meaning::Used => "asked for and held, needed or not",
            Meaning::Denied => "asked for and not held",
            Meaning::Silent => "asked only to choose how to go on: a no is no failure",
            Meaning::InWorkload => "in user namespaces that it made: nobody gave it these",
            Meaning::OfOthers => "asked of others: who mounted its overlay, opened its file, traces it",
        }
    }

    /// Whether both answers are in such a group.
    fn is_mixed(self) -> bool {
        !matches!(self, Meaning::Used | Meaning::Denied)
    }
}

/// What the workload did comes first, as with system calls.
const ORDER: [Phase; 3] = [Phase::Main, Phase::Exec, Phase::RuntimeInit];
const MEANINGS: [Meaning; 5] =
    [Meaning::Used, Meaning::Denied, Meaning::Silent, Meaning::InWorkload, Meaning::OfOthers];

/// The groups that have checks.
pub(super) fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    for phase in ORDER {
        for meaning in MEANINGS {
            let of_group = |used: &&CapabilityUse| used.phase == phase && Meaning::of(used) == meaning;
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
    if group.meaning.is_mixed() {
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
