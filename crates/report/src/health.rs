//! What observed, and what was lost on the way.

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one sensor lost at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Where it was lost.
    pub stage: Stage,
    /// The sensor whose it was.
    pub sensor: Text,
    /// How many.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub count: u64,
    /// The option that makes such a loss less likely; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knob: Option<Text>,
}

/// A place where something can be lost, in the order of the way from the kernel to the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The kernel did not run a program because it was already running on that CPU.
    Recursion,
    /// A map in the kernel was full.
    KernelMap,
    /// The ring buffer was full.
    KernelRing,
    /// Reading the kernel's counts failed.
    Reader,
    /// A record could not be understood.
    Decode,
    /// The queue behind the ring buffer was full.
    Queue,
}

impl Stage {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Recursion => "recursion",
            Stage::KernelMap => "kernel-map",
            Stage::KernelRing => "kernel-ring",
            Stage::Reader => "reader",
            Stage::Decode => "decode",
            Stage::Queue => "queue",
        }
    }
}

/// How one sensor fared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SensorHealth {
    /// Its name.
    pub name: Text,
    /// Whether it observed.
    pub state: AttachState,
    /// The hooks that it was attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Text>,
    /// Why it did not observe, or which of its hooks it had to do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// Whether a sensor observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttachState {
    /// It was attached and observed.
    Attached,
    /// This kernel cannot run it.
    Unsupported,
    /// It should have run, and did not.
    Failed,
}

impl AttachState {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            AttachState::Attached => "attached",
            AttachState::Unsupported => "unsupported",
            AttachState::Failed => "failed",
        }
    }
}
