//! The runs that a recommendation is derived from.

use std::cmp::Reverse;

use behaviour::ConfinementUse;
use event::{Phase, RunId, Text};
use report::{Report, Software, Timestamp, short_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// One report of each run, in an order that depends on nothing but what is in them.
fn runs(reports: &[Report]) -> Vec<&Report> {
    let mut runs: Vec<(_, &Report)> = reports.iter().map(|report| (identity(report), report)).collect();
    // The longest of a run comes first; its JSON decides where nothing else does.
    runs.sort_by_cached_key(|(identity, report)| {
        (identity.clone(), Reverse(report.window.end.boot_ns), report.to_json())
    });
    runs.dedup_by(|(next, _), (kept, _)| next == kept);
    runs.into_iter().map(|(_, report)| report).collect()
}

/// The reports that a recommendation is derived from.
pub(crate) struct Runs<'r> {
    /// The runs of the workload.
    pub(crate) own: Vec<&'r Report>,
    /// The containers that were made inside of these, or inside of such a one: they run under the same filter.
    pub(crate) nested: Vec<&'r Report>,
}

impl<'r> Runs<'r> {
    /// One report of each run, told apart.
    pub(crate) fn of(reports: &'r [Report]) -> Runs<'r> {
        let all = runs(reports);
        let place = |report: &Report| (report.host.boot_id.clone(), report.window.recording.map(|at| at.boot_ns));
        let is_parent = |outer: &&Report, inner: &Report| {
            let parent = inner.container.parent.as_ref();
            parent.is_some_and(|parent| parent.run == outer.container.run) && place(outer) == place(inner)
        };
        let (nested, own) = all.iter().partition(|run| all.iter().any(|outer| is_parent(outer, run)));
        Runs { own, nested }
    }

    /// All of them, and whether each is nested.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'r Report, bool)> {
        let own = self.own.iter().map(|run| (*run, false));
        own.chain(self.nested.iter().map(|run| (*run, true)))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'r Report> {
        self.each().map(|(run, _)| run)
    }
}

/// What tells runs apart, of all boots, recordings and machines.
type Identity = (u64, Option<Text>, Option<u64>, Option<Text>, RunId, u64);

fn identity(report: &Report) -> Identity {
    (
        report.window.begin.wall.unix_ns(),
        report.host.boot_id.clone(),
        report.window.recording.map(|recording| recording.boot_ns),
        report.container.id.clone(),
        report.container.run,
        report.window.begin.boot_ns,
    )
}

/// What to call a run in a message; safe for a terminal.
pub(crate) fn who(run: &Report) -> String {
    let container = &run.container;
    match (&container.name, &container.id) {
        (Some(name), _) => name.shown().into_owned(),
        (None, Some(id)) => short_id(id),
        (None, None) => match container.command.first() {
            Some(program) => program.shown().into_owned(),
            None => format!("run {}.{}", container.run.slot, container.run.generation),
        },
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
