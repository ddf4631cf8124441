//! Who did it: processes, threads and program images, keyed so that a reused pid is never mistaken for its predecessor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Text, decimal};

/// A process for as long as the machine runs: the pid alone is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ProcessId {
    /// The thread-group id in the first pid namespace.
    pub pid: u32,
    /// When its leader started, in nanoseconds since boot.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub start_ns: u64,
}

/// One program image: a process from one exec to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ExecId {
    /// The process.
    #[serde(flatten)]
    pub process: ProcessId,
    /// How often it had called exec (`task->self_exec_id`).
    pub exec: u32,
}

/// The thread that did something, with its name at that time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TaskId {
    /// The program image the thread ran.
    #[serde(flatten)]
    pub image: ExecId,
    /// The thread's own id in the first pid namespace; the leader's is the pid.
    pub tid: u32,
    /// `task->comm`: at most 15 bytes, chosen by the program itself.
    pub comm: Text,
}
