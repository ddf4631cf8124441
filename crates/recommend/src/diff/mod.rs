//! What differs between reports, profiles or recommendations, in what they mean.

mod filters;
mod runs;
mod table;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use event::{Arch, Text};
use report::{FormatVersion, ParseError, Report};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use table::table;

use crate::filter::{Filter, ProfileError};
use crate::{Profile, Recommendation};

/// The version of the format that this program writes.
pub const DIFF_VERSION: u32 = 1;

/// Something that can be compared.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The reports of one or several runs.
    Runs(Vec<Report>),
    /// A recommendation.
    Recommendation(Box<Recommendation>),
    /// A seccomp profile.
    Profile(Filter),
}

/// Why bytes are nothing that can be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// It claims to be a report, or nothing that is known.
    #[error(transparent)]
    Report(#[from] ParseError),
    /// It claims to be a profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// It claims to be a recommendation.
    #[error("a recommendation that cannot be read ({problem}): write it again, `ringfence recommend --format json`")]
    Recommendation {
        /// What is wrong, with the line.
        problem: String,
    },
}

impl Subject {
    /// Reads a report, a merged file, a recommendation or a seccomp profile. Never panics, whatever the bytes are.
    pub fn parse(bytes: &[u8]) -> Result<Subject, SubjectError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            default_action: Option<IgnoredAny>,
            syscalls: Option<IgnoredAny>,
            seccomp: Option<IgnoredAny>,
            sources: Option<IgnoredAny>,
            behaviour: Option<IgnoredAny>,
        }
        let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let head = serde_json::from_slice::<Head>(bytes).ok().filter(|_| !is_list);
        match head {
            Some(head) if head.behaviour.is_none() && (head.default_action.is_some() || head.syscalls.is_some()) => {
                Ok(Subject::Profile(Filter::parse(bytes)?))
            }
            Some(head) if head.behaviour.is_none() && head.seccomp.is_some() && head.sources.is_some() => {
                let read = serde_json::from_slice(bytes);
                let unreadable = |error: serde_json::Error| SubjectError::Recommendation {
                    problem: Text::from(error.to_string().as_str()).shown().into_owned(),
                };
                Ok(Subject::Recommendation(Box::new(read.map_err(unreadable)?)))
            }
            _ => Ok(Subject::Runs(report::parse_reports(bytes)?)),
        }
    }
}

/// Why two things cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// More conditions on arguments than can be compared exactly.
    #[error("{name} has more conditions on its arguments than can be compared exactly")]
    TooManyConditions {
        /// The call.
        name: String,
    },
    /// More capabilities than can be compared exactly.
    #[error("the rules for {name} depend on more capabilities and kernels than can be compared exactly")]
    TooManyCircumstances {
        /// The call.
        name: String,
    },
    /// A merged file without a report.
    #[error("there is no report in it")]
    NoReport,
    /// A recommendation whose profile cannot be read.
    #[error("the recommendation gives no profile that could be compared")]
    Profile(#[from] ProfileError),
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The version of this format.
    pub schema_version: FormatVersion<DIFF_VERSION>,
    /// The version of the program that wrote it.
    pub ringfence_version: Text,
    /// What was compared.
    pub compared: Compared,
    /// What whoever reads it should know, in sentences.
    pub notes: Vec<Text>,
    /// The differences; empty if both mean the same.
    pub changes: Vec<Change>,
}

/// What was compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compared {
    /// What runs did.
    Runs,
    /// What profiles decide.
    Profiles,
    /// What recommendations allow.
    Recommendations,
    /// What runs did, with what a profile or recommendation lets through: only what it lacks is a difference.
    RunsWithProfile,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What sort of thing it is about.
    pub what: Changed,
    /// Its name.
    pub name: Text,
    /// The tables of system calls that it is true for; empty if that says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<Arch>,
    /// Only then, in one of these cases: rules of Docker's profiles depend on capabilities and the kernel. Empty: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Text>,
    /// How it was.
    pub before: Text,
    /// How it is.
    pub after: Text,
    /// Arguments for which it is true, if it is not true for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Text>,
    /// Which way it goes.
    pub directions: Vec<Direction>,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// What happens to calls that no rule is about.
    Default,
    /// Whether a table of system calls is filtered.
    Architecture,
    /// A system call.
    SystemCall,
    /// A capability.
    Capability,
    /// A program that was run.
    Program,
}

/// Which way a difference goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Something is done or gets through that did not.
    Added,
    /// Something is no longer done, or no longer gets through.
    Removed,
    /// Neither: it is answered differently, or it cannot be told.
    Changed,
}

impl Diff {
    /// Whether there is a difference that goes this way.
    pub fn has(&self, direction: Direction) -> bool {
        self.changes.iter().any(|change| change.directions.contains(&direction))
    }

    /// As JSON for people and programs, safe for a terminal.
    pub fn to_json(&self) -> String {
        report::json(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Diff);
        schema.insert("title".into(), format!("ringfence diff, version {DIFF_VERSION}").into());
        report::json(&schema)
    }
}

/// Compares two things in what they mean: layout, order and repetition make no difference.
///
/// Runs with a profile or a recommendation, in either order: what the runs did and it does not let through.
pub fn diff(before: &Subject, after: &Subject, version: &str) -> Result<Diff, DiffError> {
    use Subject::{Profile, Recommendation, Runs};
    let mut found = Found::default();
    let compared = match (before, after) {
        (Runs(before), Runs(after)) => {
            runs::compare(before, after, &mut found)?;
            Compared::Runs
        }
        (Profile(before), Profile(after)) => {
            filters::compare(before, after, &mut found)?;
            Compared::Profiles
        }
        (Recommendation(before), Recommendation(after)) => {
            filters::compare(&filter_of(before)?, &filter_of(after)?, &mut found)?;
            compare_capabilities(before, after, &mut found);
            Compared::Recommendations
        }
        (Profile(before), Recommendation(after)) => {
            filters::compare(before, &filter_of(after)?, &mut found)?;
            Compared::Profiles
        }
        (Recommendation(before), Profile(after)) => {
            filters::compare(&filter_of(before)?, after, &mut found)?;
            Compared::Profiles
        }
        (Runs(runs), Profile(filter)) | (Profile(filter), Runs(runs)) => {
            runs::lacks(runs, filter, &mut found)?;
            Compared::RunsWithProfile
        }
        (Runs(runs), Recommendation(recommendation)) | (Recommendation(recommendation), Runs(runs)) => {
            runs::lacks(runs, &filter_of(recommendation)?, &mut found)?;
            runs::lacks_capabilities(runs, recommendation, &mut found);
            Compared::RunsWithProfile
        }
    };
    found.notes.sort();
    found.notes.dedup();
    Ok(Diff {
        schema_version: FormatVersion,
        ringfence_version: version.into(),
        compared,
        notes: std::mem::take(&mut found.notes),
        changes: found.changes(),
    })
}

/// The profile that a recommendation gives.
fn filter_of(recommendation: &Recommendation) -> Result<Filter, DiffError> {
    Ok(Filter::parse(Profile::new(&recommendation.seccomp).to_json().as_bytes())?)
}

fn compare_capabilities(before: &Recommendation, after: &Recommendation, found: &mut Found) {
    let added = |recommendation: &Recommendation| -> BTreeSet<String> {
        recommendation.capabilities.add.iter().map(|need| need.capability.to_string()).collect()
    };
    found.sets(Changed::Capability, &added(before), &added(after), ("dropped", "added"));
}

/// What was found so far. The same difference in several tables is one.
#[derive(Debug, Default)]
struct Found {
    notes: Vec<Text>,
    /// Without the tables, and those.
    changes: BTreeMap<Change, Vec<Arch>>,
}

impl Found {
    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
    }

    fn push(&mut self, change: Change, arch: Option<Arch>) {
        let tables = self.changes.entry(change).or_default();
        if let Some(arch) = arch.filter(|arch| !tables.contains(arch)) {
            tables.push(arch);
        }
    }

    /// Names that are in one set only.
    fn sets(
        &mut self,
        what: Changed,
        before: &BTreeSet<String>,
        after: &BTreeSet<String>,
        (without, with): (&str, &str),
    ) {
        for name in before.symmetric_difference(after) {
            let is_new = after.contains(name);
            let (was, is) = if is_new { (without, with) } else { (with, without) };
            let change = Change {
                what,
                name: name.as_str().into(),
                architectures: Vec::new(),
                when: Vec::new(),
                before: was.into(),
                after: is.into(),
                example: None,
                directions: vec![if is_new { Direction::Added } else { Direction::Removed }],
            };
            self.push(change, None);
        }
    }

    fn changes(self) -> Vec<Change> {
        let with_tables = |(mut change, mut tables): (Change, Vec<Arch>)| {
            tables.sort();
            change.architectures = tables;
            change
        };
        self.changes.into_iter().map(with_tables).collect()
    }
}
