//! Wires it together: from the kernel's ring to the reports.
//!
//! One thread reads the ring and does nothing else; the caller's thread runs the pipeline: it books each event on its
//! container, asks engines for names, reads the kernel's counts when a container has ended, and writes its report.
//! Between the two is a bounded channel: when it is full the reader waits, the ring fills, and the kernel counts what finds
//! no room.

mod adopt;
mod assemble;
mod clock;
mod context;
mod error;
mod host_paths;
mod interfaces;
mod launch;
mod lineage;
mod live;
mod losses;
mod names;
mod peers;
mod pipeline;
mod reader;
mod recording;
mod run;
mod sink;
mod target;
mod usage;

pub use error::{FinishError, StartError};
pub use launch::{BECOME_COMMAND, LaunchError, become_command};
pub use live::{Place, Watch, Watcher};
pub use recording::{Ended, Progress, Recording, Save, Settings};
pub use sensors::{ActionCall, ActionCalls, CallFilter};
pub use sink::{EventFormat, SinkError};
pub use target::Target;
