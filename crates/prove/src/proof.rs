//! What a proof says.

use event::{Capability, Errno, Phase, Text};
use report::{FormatVersion, Software, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use recommend::Recommendation;

/// The version of the proof's format that this program writes.
pub const PROOF_VERSION: u32 = 1;

/// What came of starting a workload under a recommendation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// The version of this format.
    pub schema_version: FormatVersion<PROOF_VERSION>,
    /// The version of the program that wrote it.
    pub ringfence_version: Text,
    /// What it shows.
    pub verdict: Verdict,
    /// Why it shows no more than that, in sentences; empty if it proves the recommendation.
    pub reasons: Vec<Text>,
    /// The SHA-256 of the recommendation, as its JSON is written: it is of this one and no other.
    pub recommendation_sha256: String,
    /// What was started.
    pub workload: Workload,
    /// The kernel's release.
    pub kernel_release: Text,
    /// The machine's architecture, as `uname -m` prints it.
    pub architecture: Text,
    /// When it began.
    pub begin: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What the recommendation says that the reports behind it miss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Text>,
    /// What counts as working, if that was asked beside how the workload ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Text>,
    /// How it ended without the recommendation, in words: a start that ends otherwise has failed.
    pub expected: Text,
    /// The starts, by setting.
    pub settings: Vec<SettingResult>,
    /// Whether the check would have noticed a call that is missing; left out if nothing was taken away, because starts failed anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<NeededControl>,
    /// Whether what is not allowed is really refused.
    pub refused: RefusedControl,
    /// The capabilities without which it was tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<CapabilityTrial>,
}

/// What a proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Each start worked and was denied nothing, and the controls show that this means something.
    Proved,
    /// Each start worked, but something was denied that is not denied without the recommendation.
    WorksWithDenials,
    /// A start failed.
    Failed,
    /// Nothing failed, but that does not mean much: a start could not be observed whole, or a control did not do what it must.
    Worthless,
}

impl Verdict {
    /// The name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Proved => "proved",
            Verdict::WorksWithDenials => "works-with-denials",
            Verdict::Failed => "failed",
            Verdict::Worthless => "worthless",
        }
    }
}

/// What was started, and by what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// The image, or the bundle's folder.
    pub image: Text,
    /// The image's id: the digest of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<Text>,
    /// The command; empty for the image's own.
    pub command: Vec<Text>,
    /// The engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Software>,
    /// The runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Software>,
}

/// The starts with one setting of no_new_privileges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingResult {
    /// The setting.
    pub no_new_privileges: bool,
    /// How often it was started.
    pub starts: u32,
    /// How many of these worked.
    pub worked: u32,
    /// Of how many it is not known whether something was denied.
    pub not_observed: u32,
    /// At 95 % confidence fewer starts than this share fail, if these are like others. From the number of starts alone.
    pub failures_below: f64,
    /// Those that failed; of many the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedStart>,
    /// What was denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
}

/// A start that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedStart {
    /// Its number among the starts of its setting, from 1.
    pub number: u32,
    /// What happened instead.
    pub why: Text,
    /// The end of what it said.
    pub says: Text,
}

/// What was denied under the recommendation and is not denied without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// What.
    #[serde(flatten)]
    pub denied: Denied,
    /// The part of the container's life.
    pub phase: Phase,
    /// The program that was denied it first, in the first of these starts; empty if not known.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub program: Text,
    /// How often, in all starts.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// In how many starts.
    pub starts: u32,
    /// In how many of these the workload failed.
    pub failed_starts: u32,
}

impl Denial {
    /// Whether every start that met it worked.
    pub fn is_harmless(&self) -> bool {
        self.failed_starts == 0
    }
}

/// Something that was denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "denied", rename_all = "kebab-case")]
pub enum Denied {
    /// A system call, by the filter, before it was entered.
    Call {
        /// Its name.
        call: Text,
    },
    /// A capability, when the kernel asked for it.
    Capability {
        /// Which.
        capability: Capability,
    },
    /// A system call that was entered failed in a way in which it does not without the recommendation: something else that was
    /// taken away may be the cause.
    Failure {
        /// The call.
        call: Text,
        /// How it failed.
        errno: Errno,
    },
}

/// The control that must fail: a call that the workload makes was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NeededControl {
    /// The call without which the workload failed; none if none of those that were tried was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Text>,
    /// What happened without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Text>,
    /// Calls that were taken away before and were not missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_missed: Vec<Text>,
}

/// The control that must be refused: dangerous calls that the recommendation does not allow were made in its container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedControl {
    /// Those that were refused before they were entered.
    pub refused: Vec<Text>,
    /// Those that were entered: the filter that was loaded is not the one that was recommended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entered: Vec<Text>,
    /// Those that the recommendation allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Text>,
    /// Why it was not tried, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_tried: Option<Text>,
}

/// What came of taking one capability away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityTrial {
    /// Which.
    pub capability: Capability,
    /// How often it was started without it.
    pub starts: u32,
    /// How many of these failed: it is needed if any did.
    pub failed: u32,
    /// What happened in the first that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Text>,
}

impl Proof {
    /// As JSON for people and programs, safe for a terminal.
    pub fn to_json(&self) -> String {
        report::json(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Proof);
        schema.insert("title".into(), format!("ringfence proof, version {PROOF_VERSION}").into());
        report::json(&schema)
    }
}

/// What a proof is bound to: the SHA-256 of the recommendation's JSON, in hexadecimal.
pub fn digest(recommendation: &Recommendation) -> String {
    let hash = Sha256::digest(recommendation.to_json().as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With `starts` starts of which none failed: the share of failures that is ruled out at 95 % confidence. If p is the chance
/// of a failure, none in n has the chance (1-p)^n, which is 5 % at 1 - 0.05^(1/n) (the exact bound of Clopper and Pearson,
/// *Biometrika* 26, 1934). With failures it says nothing: then it is 1.
pub fn rate_below(starts: u32, failed: u32) -> f64 {
    if starts == 0 || failed > 0 { 1.0 } else { 1.0 - 0.05f64.powf(1.0 / f64::from(starts)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failure_in_50_bounds_the_rate_at_6_percent_and_in_1000_at_0_3() {
        assert!((rate_below(50, 0) - 0.0582).abs() < 0.0001, "{}", rate_below(50, 0));
        assert!((rate_below(1000, 0) - 0.00299).abs() < 0.00001, "{}", rate_below(1000, 0));
        assert_eq!((rate_below(0, 0), rate_below(10, 1)), (1.0, 1.0));
    }
}
