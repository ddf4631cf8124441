//! Why a recording cannot start, go on or end.

use std::path::PathBuf;

use containers::cgroupfs::{LayoutError, SandboxError};
use sensors::{LoadError, MapError};

use crate::adopt::AdoptError;
use crate::launch::LaunchError;
use crate::sink::SinkError;

/// Why a recording could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cgroups.
    #[error("cannot tell containers apart")]
    Layout(#[from] LayoutError),
    /// The hierarchy that tells containers apart has no controller.
    #[error("the cgroup hierarchy mounted at {} has no controller by which a task's cgroup could be found", .0.display())]
    NoController(PathBuf),
    /// The sensors.
    #[error("the sensors cannot be started")]
    Load(#[from] LoadError),
    /// The reader of the ring, or the one that asks engines.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// What runs already.
    #[error("the containers that run already cannot be observed")]
    Adopt(#[from] AdoptError),
    /// The sandbox.
    #[error("the command's own cgroup cannot be made")]
    Sandbox(#[from] SandboxError),
    /// The command.
    #[error("the command cannot be run")]
    Launch(#[from] LaunchError),
    /// The events file.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The kernel did not see the sandbox.
    #[error("the kernel gave the command's cgroup no slot: {exhausted} containers found none free")]
    NoSlot {
        /// How many containers found none.
        exhausted: u64,
    },
    /// No such process.
    #[error("there is no process {0}")]
    NoProcess(u32),
}

/// Why a recording could not go on or end well.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The ring.
    #[error("the kernel's ring cannot be read: {0}")]
    Ring(String),
    /// The counts.
    #[error("the kernel's counts cannot be read")]
    Read(#[from] sensors::ReadError),
    /// The maps.
    #[error("the kernel's tables cannot be changed")]
    Map(#[from] MapError),
    /// A report.
    #[error("a report cannot be written")]
    Save(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The events file.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Whoever gets the events.
    #[error("an event cannot be shown")]
    Watch(#[source] std::io::Error),
    /// The command.
    #[error("the command cannot be waited for")]
    Wait(#[source] std::io::Error),
}
