//! Arguments of system calls: one line for each call that is looked at.

use behaviour::ArgumentUse;
use event::{Phase, Text};

use crate::Report;

/// What is said above the lines.
pub(super) const ABOUT: &str = "every value of the argument that a call can be dangerous by";

/// The calls of one phase.
pub(super) struct Group {
    pub(super) phase: Phase,
    pub(super) lines: Vec<Line>,
}

/// One call, safe for a terminal.
pub(super) struct Line {
    /// Its name, with its table if that is not the machine's own.
    pub(super) call: String,
    pub(super) position: u8,
    /// In words, separated by commas.
    pub(super) values: String,
}

/// What the workload did comes first, as with system calls.
const ORDER: [Phase; 3] = [Phase::Main, Phase::Exec, Phase::RuntimeInit];

/// The phases that have any.
pub(super) fn groups(report: &Report) -> Vec<Group> {
    let uses = &report.behaviour.arguments.uses;
    let of = |phase| {
        let lines = uses.iter().filter(|one| one.phase == phase).map(|one| line(report, one)).collect();
        Group { phase, lines }
    };
    ORDER.map(of).into_iter().filter(|group| !group.lines.is_empty()).collect()
}

fn line(report: &Report, one: &ArgumentUse) -> Line {
    let shown = |text: &str| Text::from(text).shown().into_owned();
    let is_own = report.host.architecture.as_bytes() == one.syscall.arch.name().as_bytes();
    let name = shown(&one.name);
    let mut values: Vec<String> = one.values.iter().map(|value| shown(&value.words)).collect();
    if one.others {
        values.push("and more".to_owned());
    }
    Line {
        call: if is_own { name } else { format!("{name} ({})", one.syscall.arch) },
        position: one.position,
        values: values.join(", "),
    }
}
