//! What a container was seen to do, as sets and counts.
//!
//! A [`Builder`] takes the events of one run and what the kernel counted for it; [`Builder::freeze`] gives the
//! [`Behaviour`] so far, as often as wanted. It knows nothing of windows, losses or engines (a report adds those).
//! Pure: the same input gives the same behaviour, in the same order, and memory is bounded by [`Limits`].
//!
//! Behaviours of several runs are put together by [`Behaviour::merge`].

mod arguments;
mod builder;
mod capabilities;
mod claim;
mod counts;
mod file_sets;
mod files;
mod first;
mod flows;
mod images;
mod lists;
mod network;
mod privileged;
mod processes;
mod redaction;
mod resources;
mod scripts;
mod secrets;
mod sensitive;
mod syscalls;
mod terminals;
mod tree;

pub use arguments::{ArgumentUse, Arguments, ValueUse};
pub use builder::{Adopted, Builder, Limits};
pub use capabilities::{Capabilities, CapabilityUse, CheckMeaning, FirstCheck, NamedCall};
pub use files::{DirectoryUse, Files, MountUse, NameUse, PathUse, Place};
pub use network::{FlowUse, InterfaceUse, ListenerUse, LookupUse, Network, OtherEnd, SocketUse};
pub use privileged::{ConfinementUse, EnteredUse, OperationUse, Privileged, Way};
pub use processes::{Process, ProcessTree, Program};
pub use redaction::Redaction;
pub use resources::{BlockRequests, LatencyBucket, Resources, RunDelay};
pub use scripts::{ScriptUse, Scripts, script_file};
pub use secrets::secret;
pub use sensitive::sensitive_name;
pub use syscalls::{FailureCount, FirstUse, SyscallUse, Syscalls};
pub use terminals::{Passage, TerminalSession, Terminals, Transcript};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that one container was seen to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Behaviour {
    /// Its processes and the programs they ran.
    pub processes: ProcessTree,
    /// Its system calls, per phase and table.
    pub syscalls: Syscalls,
    /// With which values those calls were made whose danger is in one argument. Reports of early versions have none.
    #[serde(default)]
    pub arguments: Arguments,
    /// The capabilities that the kernel checked for it. Reports of early versions have none.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What it did with files.
    #[serde(default)]
    pub files: Files,
    /// What it did with sockets. Reports of early versions have none.
    #[serde(default)]
    pub network: Network,
    /// Its privileged operations, and with which rights its programs ran.
    #[serde(default)]
    pub privileged: Privileged,
    /// What it used of the machine. Reports of early versions have none.
    #[serde(default)]
    pub resources: Resources,
    /// The scripts that it ran. Reports of early versions have none.
    #[serde(default)]
    pub scripts: Scripts,
    /// Its sessions on terminals. Reports of early versions have none.
    #[serde(default)]
    pub terminals: Terminals,
    /// Whether threads moved while the newest snapshot was read, so that each count may be below the truth (never above).
    pub counts_at_least: bool,
}

impl Behaviour {
    /// The behaviour of several runs as one: see [`Syscalls::merge`], [`Arguments::merge`], [`Capabilities::merge`], [`Files::merge`],
    /// [`Network::merge`], [`Privileged::merge`], [`Resources::merge`],
    /// [`Scripts::merge`], [`Terminals::merge`] and [`ProcessTree::merge`].
    ///
    /// Merging a behaviour with itself doubles its counts: a run must be given once.
    pub fn merge(self, other: Behaviour) -> Behaviour {
        Behaviour {
            processes: self.processes.merge(other.processes),
            syscalls: self.syscalls.merge(other.syscalls),
            arguments: self.arguments.merge(other.arguments),
            capabilities: self.capabilities.merge(other.capabilities),
            files: self.files.merge(other.files),
            network: self.network.merge(other.network),
            privileged: self.privileged.merge(other.privileged),
            resources: self.resources.merge(other.resources),
            scripts: self.scripts.merge(other.scripts),
            terminals: self.terminals.merge(other.terminals),
            counts_at_least: self.counts_at_least || other.counts_at_least,
        }
    }
}
