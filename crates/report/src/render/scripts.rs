//! The scripts that a container ran, as one table.

use behaviour::ScriptUse;
use event::Phase;

use super::units::{count, counted};
use crate::Report;

/// What stands above the columns.
pub(super) const COLUMNS: [&str; 4] = ["COUNT", "SCRIPT", "INTERPRETER", "IN"];

/// One row; its cells are safe for a terminal.
pub(super) struct Row {
    /// What the first cell shows.
    pub(super) value: u64,
    pub(super) cells: [String; 4],
}

/// How many there are.
pub(super) fn about(report: &Report) -> String {
    let scripts = &report.behaviour.scripts;
    let listed = counted(scripts.uses.len() as u64, "script", "scripts");
    match scripts.unlisted {
        0 => listed,
        unlisted => format!("{listed}, and others {}", counted(unlisted, "time", "times")),
    }
}

/// What the workload ran comes first.
pub(super) fn rows(report: &Report) -> Vec<Row> {
    let uses = &report.behaviour.scripts.uses;
    let of = |phase: Phase| uses.iter().filter(move |used| used.phase == phase).map(row);
    [Phase::Main, Phase::Exec, Phase::RuntimeInit].into_iter().flat_map(of).collect()
}

fn row(used: &ScriptUse) -> Row {
    let script = match (used.path.is_empty(), used.truncated) {
        (false, _) => used.path.shown().into_owned(),
        (true, false) => used.text.shown().into_owned(),
        (true, true) => format!("{} …", used.text.shown()),
    };
    let interpreter = used.interpreter.shown().into_owned();
    Row { value: used.count, cells: [count(used.count), script, interpreter, used.phase.to_string()] }
}
