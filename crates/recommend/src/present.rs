//! What the workload can do now: the filter that its system calls pass, and its capabilities.

use behaviour::ConfinementUse;
use event::{Arch, CapabilitySet, Phase, SeccompMode};
use report::Report;

use crate::FilterNow;
use crate::default_profile::{Machine, Passage, passage, version};
use crate::source::Runs;

/// The present confinement, as far as all runs agree on it.
#[derive(Debug)]
pub(crate) struct Present<'r> {
    pub(crate) filter: FilterNow,
    /// Why that is thought.
    pub(crate) filter_reason: &'static str,
    /// The bounding sets of its programs together; none if they are not known.
    pub(crate) capabilities: Option<CapabilitySet>,
    machine: Machine<'r>,
}

impl<'r> Present<'r> {
    pub(crate) fn of(runs: &Runs<'r>) -> Present<'r> {
        let mut filters = runs.own.iter().map(|run| filter(run));
        let first = filters.next().unwrap_or((FilterNow::Unknown, "there is no run"));
        let (filter, filter_reason) = if filters.all(|other| other.0 == first.0) {
            first
        } else {
            (FilterNow::Unknown, "it differs from run to run")
        };
        let sets: Option<Vec<CapabilitySet>> = runs.own.iter().map(|run| bounding(run)).collect();
        let capabilities = sets.filter(|sets| !sets.is_empty());
        let capabilities = capabilities.map(|sets| CapabilitySet(sets.iter().fold(0, |sum, set| sum | set.0)));
        let host = runs.own.first().map(|run| &run.host);
        let text = |bytes: &'r event::Text| std::str::from_utf8(bytes.as_bytes()).unwrap_or_default();
        let machine = Machine {
            architecture: host.map(|host| text(&host.architecture)).unwrap_or_default(),
            kernel: host.and_then(|host| version(text(&host.kernel_release))),
        };
        Present { filter, filter_reason, capabilities, machine }
    }

    /// How a call is let through; none if that is not known.
    pub(crate) fn passage(&self, call: &str) -> Option<Passage> {
        match self.filter {
            FilterNow::Unconfined => Some(Passage::Open),
            FilterNow::EngineDefault => Some(passage(call, self.capabilities?, self.machine)),
            FilterNow::Custom | FilterNow::Unknown => None,
        }
    }

    /// Whether calls of this table are let through at all; none if that is not known. The default profile has those of the
    /// machine's own family.
    pub(crate) fn has_table(&self, arch: Arch) -> Option<bool> {
        let of_machine = match self.machine.architecture {
            "aarch64" => matches!(arch, Arch::Aarch64 | Arch::Arm),
            _ => matches!(arch, Arch::X86_64 | Arch::X86 | Arch::X32),
        };
        match self.filter {
            FilterNow::Unconfined | FilterNow::EngineDefault => Some(of_machine),
            FilterNow::Custom | FilterNow::Unknown => None,
        }
    }
}

/// The states of the workload itself.
pub(crate) fn states(run: &Report) -> impl Iterator<Item = &ConfinementUse> {
    let states = run.behaviour.privileged.confinement.iter();
    states.filter(|state| state.phase == Phase::Main && !state.others)
}

fn bounding(run: &Report) -> Option<CapabilitySet> {
    let mut states = states(run).peekable();
    states.peek()?;
    Some(CapabilitySet(states.fold(0, |sum, state| sum | state.bounding.0)))
}

fn filter(run: &Report) -> (FilterNow, &'static str) {
    let mut modes = states(run).map(|state| state.seccomp).peekable();
    if modes.peek().is_none() {
        return (FilterNow::Unknown, "with which rights its programs ran is not known");
    }
    if modes.any(|mode| mode == SeccompMode::Disabled) {
        return (FilterNow::Unconfined, "programs ran without a seccomp filter");
    }
    let options = run.container.security_options.iter();
    let named = options.filter_map(|option| option.as_bytes().strip_prefix(b"seccomp=")).next_back();
    match named {
        Some(b"unconfined") => {
            (FilterNow::Unconfined, "its engine was told to set no filter; those that there were it set itself")
        }
        Some(b"default") => (FilterNow::EngineDefault, "its engine set its default filter"),
        Some(_) => (FilterNow::Custom, "its engine set a filter of its own"),
        None => (FilterNow::Unknown, "there was a filter; which is not known"),
    }
}
