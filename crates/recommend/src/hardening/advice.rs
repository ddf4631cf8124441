//! The parts that every advice is made of.

use event::{Phase, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether to make a setting, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// Whether to make it.
    pub verdict: Verdict,
    /// Whether it is made already; none if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// Why, in sentences: what makes it safe, what needs the opposite, or why it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Text>,
    /// What would fail if the advice were wrong, in a sentence; none if it takes nothing away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaks: Option<Text>,
    /// What was seen that the reasons rest on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// Whether to make a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Make it: nothing that was recorded needs the opposite.
    Apply,
    /// Do not: something that was recorded needs the opposite.
    Needed,
    /// What was recorded does not say.
    #[default]
    Unknown,
}

impl Verdict {
    /// The name, as in recommendations.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Apply => "apply",
            Verdict::Needed => "needed",
            Verdict::Unknown => "unknown",
        }
    }
}

/// Something that was seen, in all runs together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What, in a few words: `written`, `listened on tcp 80`, `setuid` …
    pub what: Text,
    /// The path that it is about; left out if it is about none.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub path: Text,
    /// The part of the container's life.
    pub phase: Phase,
    /// The program that did it first, in the first of these runs: its path, else its name; empty if it is not known.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub program: Text,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// In how many runs.
    pub runs: u32,
}
