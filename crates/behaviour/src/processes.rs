//! The process tree of a container.

use event::{Phase, ProcessId, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The processes of a container, bounded: beyond the bound they are counted, not kept.
///
/// What is kept is what came first. An ended process stays: nothing is folded together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessTree {
    /// The processes in the order of their start, then of their pid.
    pub processes: Vec<Process>,
    /// Whether every process, program and argument that was observed is in `processes`.
    pub kept_all: bool,
    /// How many processes there were in all, those that are not kept included.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub total: u64,
    /// How many threads there were in all, the processes' first threads included.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub total_threads: u64,
    /// How many execs were observed in all.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub total_execs: u64,
}

impl Default for ProcessTree {
    /// The tree of a container in which nothing was seen.
    fn default() -> ProcessTree {
        ProcessTree { processes: Vec::new(), kept_all: true, total: 0, total_threads: 0, total_execs: 0 }
    }
}

impl ProcessTree {
    /// The trees of several runs side by side: all processes of both, and the sums of the totals.
    pub fn merge(mut self, other: ProcessTree) -> ProcessTree {
        self.processes.extend(other.processes);
        self.processes.sort_by_key(Process::place);
        ProcessTree {
            processes: self.processes,
            kept_all: self.kept_all && other.kept_all,
            total: self.total.saturating_add(other.total),
            total_threads: self.total_threads.saturating_add(other.total_threads),
            total_execs: self.total_execs.saturating_add(other.total_execs),
        }
    }
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Who it is.
    #[serde(flatten)]
    pub id: ProcessId,
    /// Its pid in its own pid namespace; none if it was never seen there.
    pub pid_inside: Option<u32>,
    /// Its parent when it was created or, if that was not observed, when it was found running or first called exec. The
    /// parent may be outside the container.
    pub parent: Option<ProcessId>,
    /// The phase it was created in or, if that was not observed, in which it was first seen.
    pub phase: Phase,
    /// The programs it ran, in order; empty if it never called exec while it was observed.
    pub programs: Vec<Program>,
    /// If `programs` is empty: the executable it was created with, that of the process that made it; none if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<Text>,
    /// How many threads it had beside its first.
    pub threads: u32,
    /// When it ended, in nanoseconds since boot; none if it still ran.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<String>")]
    pub ended_boot_ns: Option<u64>,
    /// Its exit status; none if it still ran or a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// The signal that ended it; none if it still ran or exited by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
}

impl Process {
    /// The executable that it ran last, or inherited; none if not known.
    pub fn executable(&self) -> Option<&Text> {
        self.programs.last().map(|program| &program.detail.executable).or(self.inherited.as_ref())
    }

    /// Its place in a list of processes.
    pub(crate) fn place(&self) -> (u64, u32) {
        (self.id.start_ns, self.id.pid)
    }
}

/// One program that a process ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// Which image of the process.
    pub exec: u32,
    /// When it was executed, in nanoseconds since boot; none if it ran already when recording began (then `argument`,
    /// `interpreter` and what else /proc does not tell are empty).
    #[serde(with = "event::optional_decimal")]
    #[schemars(with = "Option<String>")]
    pub boot_ns: Option<u64>,
    /// What was executed.
    #[serde(flatten)]
    pub detail: event::Exec,
}
