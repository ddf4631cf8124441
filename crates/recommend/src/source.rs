//! The runs that a recommendation is derived from.

use behaviour::ConfinementUse;
use event::{Phase, Text};
use report::{Report, Software, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use report::{Runs, called as who};

/// One run of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The name that people gave the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The id that its engine gave it, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// The engine that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Text>,
    /// The runtime that set it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Software>,
    /// The image, as its engine names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// The image's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Text>,
    /// The command that it was started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Text>,
    /// The kernel's release.
    pub kernel_release: Text,
    /// The machine's architecture, as `uname -m` prints it.
    pub architecture: Text,
    /// From when it was observed.
    pub begin: Timestamp,
    /// Until when.
    pub end: Timestamp,
    /// Whether its report misses nothing.
    pub complete: bool,
}

impl Source {
    pub(crate) fn of(run: &Report) -> Source {
        Source {
            name: run.container.name.clone(),
            id: run.container.id.clone(),
            engine: run.container.engine.clone(),
            runtime: run.host.runtime.clone(),
            image: run.container.image.clone(),
            image_digest: run.container.image_digest.clone(),
            command: run.container.command.clone(),
            kernel_release: run.host.kernel_release.clone(),
            architecture: run.host.architecture.clone(),
            begin: run.window.begin.wall,
            end: run.window.end.wall,
            complete: run.complete,
        }
    }
}

/// Whether every program of every run was under no_new_privileges, as far as is known.
pub(crate) fn had_no_new_privileges(runs: &[&Report]) -> bool {
    runs.iter().all(|run| {
        let states: Vec<&ConfinementUse> = run
            .behaviour
            .privileged
            .confinement
            .iter()
            .filter(|state| state.phase == Phase::Main && !state.others)
            .collect();
        let options = &run.container.security_options;
        let named = options.iter().any(|option| matches!(option.as_bytes(), b"no-new-privileges=true"));
        if states.is_empty() { named } else { states.iter().all(|state| state.no_new_privileges) }
    })
}
