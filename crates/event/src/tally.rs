//! What the kernel counted for one run: sets and counts live in kernel maps and are read, not streamed.

use crate::{Errno, Phase, Syscall, TaskId};

/// The system calls of one run, as read from the kernel at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Every call that was entered, once per phase.
    pub calls: Vec<CallTally>,
    /// Every way in which a call failed, once per phase.
    pub failures: Vec<FailureTally>,
    /// Whether threads moved while it was read, so that each count may be below the truth (never above).
    pub at_least: bool,
}

/// How often one call was entered in one phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTally {
    /// The part of the container's life.
    pub phase: Phase,
    /// The call.
    pub syscall: Syscall,
    /// How often it was entered, failed calls included.
    pub count: u64,
    /// When it was entered first in this phase, in nanoseconds since boot, and by whom.
    pub first: Option<(u64, TaskId)>,
}

/// How often one call failed in one way in one phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureTally {
    /// The part of the container's life.
    pub phase: Phase,
    /// The call.
    pub syscall: Syscall,
    /// What it returned.
    pub errno: Errno,
    /// Whether these were refused before they were entered, by a seccomp filter.
    pub refused: bool,
    /// How often.
    pub count: u64,
    /// When that was booked first in this phase, in nanoseconds since boot, and for whom.
    pub first: Option<(u64, TaskId)>,
}
