//! The vocabulary of ringfence: what can happen in a container, and the names of it.
//!
//! An [`Event`] is one thing that happened; its [`Payload`] says what. Nothing here reads a file, a clock or the
//! kernel: the same input gives the same output everywhere, so everything built on these types can be tested from
//! recorded events.

mod action;
mod arch;
mod argument;
mod capability;
pub mod constants;
mod errno;
mod files;
mod kept;
mod network;
pub mod optional_decimal;
mod payload;
mod phase;
mod privileged;
mod process;
mod resources;
mod syscall;
mod tally;
mod text;
mod utc;

pub use action::*;
pub use arch::Arch;
pub use argument::ArgumentSeen;
pub use capability::{Capability, CapabilitySet, ParseCapabilityError};
pub use errno::{Errno, ParseErrnoError};
pub use files::*;
pub use kept::{Kept, Total};
pub use network::*;
pub use payload::*;
pub use phase::Phase;
pub use privileged::*;
pub use process::{ExecId, ProcessId, TaskId};
pub use resources::*;
pub use syscall::{Syscall, SyscallNames, SyscallTableError};
pub use tally::{CallTally, FailureTally, Tally};
pub use text::{Text, decimal, is_unsafe_on_a_terminal};
pub use utc::date_and_time;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One run of one container, unique within one recording: the slot that the kernel maps know it by, and how often that
/// slot had been given out before.
///
/// A container that is stopped and started again under the same name or id is another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RunId {
    /// Index into the kernel's slot table; 0 is never a container.
    pub slot: u32,
    /// How many runs had this slot before.
    pub generation: u32,
}

/// One thing that happened in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Nanoseconds since boot (`CLOCK_BOOTTIME`), taken in the kernel.
    #[serde(with = "text::decimal")]
    #[schemars(with = "decimal::Digits")]
    pub boot_ns: u64,
    /// The container it happened in.
    pub run: RunId,
    /// The part of the container's life it happened in.
    pub phase: Phase,
    /// The thread that did it.
    pub task: TaskId,
    /// What happened.
    pub payload: Payload,
}
