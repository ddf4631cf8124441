//! What system calls are passed.

use crate::{Syscall, TaskId};

/// A value that a system call was passed in the one argument that is looked at; or, of all of a call, whether there were
/// more than are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentSeen {
    /// Which call.
    pub syscall: Syscall,
    /// Which argument, from 0.
    pub position: u8,
    /// The bits of it that are looked at.
    pub mask: u32,
    /// These bits; none if this is about all values of the call.
    pub value: Option<u32>,
    /// Whether there were values that are not kept; said of all values of the call only.
    pub others: bool,
    /// The time of the first use, in nanoseconds since boot.
    pub boot_ns: u64,
    /// Whose it was.
    pub task: TaskId,
}
