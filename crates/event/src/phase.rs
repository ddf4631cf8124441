//! The parts of a container's life.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The part of a container's life that something happened in, told by structure and never by a program's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The runtime (runc, crun …) setting the container or a session up, its hooks included.
    RuntimeInit,
    /// From the exec that starts the workload, that exec included.
    Main,
    /// A session entered from outside later: `docker exec`, `nsenter`.
    Exec,
}

impl Phase {
    /// Every phase, in the order of a container's life.
    pub const ALL: [Phase; 3] = [Phase::RuntimeInit, Phase::Main, Phase::Exec];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::RuntimeInit => "runtime-init",
            Phase::Main => "main",
            Phase::Exec => "exec",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
