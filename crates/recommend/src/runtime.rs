//! Low-level runtimes: what sets a container up and then becomes its workload.

use report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A runtime whose own needs are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// runc.
    Runc,
    /// crun.
    Crun,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Runtime; 2] = [Runtime::Runc, Runtime::Crun];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
        }
    }
}

/// The runtimes that set the containers up, as far as the reports say; all if one does not, or names one that is not known.
pub(crate) fn of(runs: &[&Report]) -> Vec<Runtime> {
    let named = |run: &&Report| {
        let name = &run.host.runtime.as_ref()?.name;
        Runtime::ALL.into_iter().find(|runtime| runtime.name().as_bytes() == name.as_bytes())
    };
    let found: Option<Vec<Runtime>> = runs.iter().map(named).collect();
    let mut found = found.unwrap_or_else(|| Runtime::ALL.to_vec());
    found.sort();
    found.dedup();
    found
}
