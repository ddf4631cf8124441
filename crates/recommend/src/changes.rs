//! What the recommendation takes away from what the workload can do now.

use event::{Capability, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is open now and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Changes {
    /// Which filter its system calls pass now.
    pub filter: FilterNow,
    /// Why that is thought, in a sentence.
    pub filter_reason: Text,
    /// How many system calls of the tables that it used are open now; none if that is not known.
    pub calls_now: Option<u32>,
    /// How many are after.
    pub calls_after: u32,
    /// The calls that are open now and not after, by name; empty if it is not known what is open now.
    pub calls_closed: Vec<Text>,
    /// The calls that are open after and not now, by name; empty if it is not known what is open now.
    pub calls_opened: Vec<Text>,
    /// How many capabilities are open now (the bounding set); none if that is not known.
    pub capabilities_now: Option<u32>,
    /// How many are after.
    pub capabilities_after: u32,
    /// The capabilities that are taken away, by number.
    pub capabilities_removed: Vec<CapabilityRemoved>,
    /// Capabilities that are added and that it does not have now, by number.
    pub capabilities_added: Vec<Capability>,
    /// Whether its capabilities are those that docker gives by default; none if they are not known.
    pub docker_default_capabilities: Option<bool>,
}

/// Which filter system calls pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilterNow {
    /// None.
    Unconfined,
    /// Docker's default profile, or podman's, of which docker's is taken as the measure.
    EngineDefault,
    /// Another one.
    Custom,
    /// It is not known whether there is one, or which.
    #[default]
    Unknown,
}

/// A capability that is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityRemoved {
    /// The capability.
    pub capability: Capability,
    /// Why that is safe, in a sentence.
    pub safe: Text,
    /// What would fail if it were needed after all, in a sentence.
    pub breaks: Text,
}
