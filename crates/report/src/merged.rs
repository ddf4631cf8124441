//! The reports of several runs of one workload in one file.

use std::collections::BTreeMap;

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runs::one_each;
use crate::{FormatVersion, Mismatch, Report, Runs, Workload};

/// The version of the format of merged files that this program writes, and the newest that it reads.
pub const MERGED_VERSION: u32 = 1;

/// No larger merged file is written or read: 256 MiB.
pub const MAX_MERGED_BYTES: u64 = 256 << 20;

/// The runs of one workload, each with its whole report: a set, so that merging again, in another order or in other groups
/// makes no difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    /// The version of this format.
    pub schema_version: FormatVersion<MERGED_VERSION>,
    /// The version of the program that wrote it.
    pub ringfence_version: Text,
    /// What tells it from a report.
    pub format: MergedFormat,
    /// What was run.
    pub workload: Workload,
    /// One report of each run, and of each container that was made inside of one; ordered by when they began to be observed.
    pub runs: Vec<Report>,
}

/// The name of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MergedFormat {
    /// Reports of runs of one workload.
    MergedRuns,
}

/// Why reports cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("there is no report: record the workload first, `ringfence record NAME`")]
    NoReport,
    /// They are of several workloads.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The file would be larger than one that is read.
    #[error(
        "{runs} runs need {} MiB, and no merged file is larger than {} MiB: merge fewer of them",
        bytes >> 20,
        MAX_MERGED_BYTES >> 20
    )]
    TooLarge {
        /// How many runs there are.
        runs: usize,
        /// What the file would have.
        bytes: u64,
    },
}

impl Merged {
    /// One report of each run; of several of one run the longest counts.
    pub fn of(reports: &[Report], version: &str) -> Result<Merged, MergeError> {
        let runs = Runs::of(reports);
        let workload = Workload::of_all(&runs.own)?.ok_or(MergeError::NoReport)?;
        Ok(Merged {
            schema_version: FormatVersion,
            ringfence_version: version.into(),
            format: MergedFormat::MergedRuns,
            workload,
            runs: one_each(reports).into_iter().cloned().collect(),
        })
    }

    /// As JSON for people and programs, safe for a terminal.
    pub fn to_json(&self) -> Result<String, MergeError> {
        let json = crate::json(self);
        let bytes = json.len() as u64;
        if bytes > MAX_MERGED_BYTES {
            return Err(MergeError::TooLarge { runs: self.runs.len(), bytes });
        }
        Ok(json)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Merged);
        schema.insert("title".into(), format!("ringfence merged runs, version {MERGED_VERSION}").into());
        crate::json(&schema)
    }
}

/// What to call each of several runs: their containers' names, with a number where two have the same.
pub fn called_apart(runs: &[&Report]) -> Vec<String> {
    let names: Vec<String> = runs.iter().map(|run| crate::called(run)).collect();
    let mut times = BTreeMap::<&str, usize>::new();
    for name in &names {
        *times.entry(name).or_default() += 1;
    }
    let mut given = BTreeMap::<&str, usize>::new();
    let mut apart = Vec::new();
    for name in &names {
        let number = given.entry(name).or_default();
        *number += 1;
        apart.push(if times[name.as_str()] == 1 { name.clone() } else { format!("{name} #{number}") });
    }
    apart
}
