//! Which known ways out of a container are open now, and which after.

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The known ways out of a container and into the kernel, against what is open now and after. Each figure is a count of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Score {
    /// Open now, and closed by the recommendation.
    pub closed: u32,
    /// Closed already now.
    pub closed_before: u32,
    /// Closed after; whether they are open now is not known.
    pub closed_unknown_before: u32,
    /// Open now and after, as far as its system calls, capabilities and settings say.
    pub open: u32,
    /// Closed now, and opened by the recommendation, because what it allows is wider in that.
    pub opened: u32,
    /// Open after; whether they are open now is not known.
    pub open_unknown_before: u32,
    /// What is known does not say whether they are open after.
    pub unknown: u32,
    /// Each of them, in the order of the table.
    pub lines: Vec<EscapeLine>,
}

/// One known way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EscapeLine {
    /// Its number or name: `CVE-2022-0185`, `docker-socket` …
    pub id: Text,
    /// What it is, in a few words.
    pub what: Text,
    /// Where it is described.
    pub source: Text,
    /// What it needs, in words.
    pub needs: Text,
    /// Whether it is open now.
    pub now: EscapeState,
    /// Whether it is open after.
    pub after: EscapeState,
    /// What closes it after, in sentences; empty if it is not closed.
    pub by: Vec<Text>,
}

/// Whether a way is open. Whether the kernel has the fault at all is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EscapeState {
    /// All that it needs of the container's settings is there.
    Open,
    /// Something that it needs is not there.
    Closed,
    /// What is known does not say.
    #[default]
    Unknown,
}
