//! What commands say of rules, as JSON with a schema.

use schemars::{JsonSchema, schema_for};
use serde::Serialize;

use crate::file::{Priority, Problem, Severity};
use crate::set::{Part, Rule, RuleSet, Status};
use crate::subject::Subject;

/// Which version of the answers this is.
const VERSION: u32 = 1;

/// What a check of rule files found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "ringfence rules check")]
pub struct RuleCheck {
    /// The version of this form.
    pub version: u32,
    /// The files, in the order in which they were read.
    pub files: Vec<FileCheck>,
    /// The rules that are inactive, and why.
    pub inactive: Vec<Inactive>,
    /// What is wrong, or worth knowing.
    pub problems: Vec<Problem>,
}

/// The rules of one file. A rule belongs to the file that defined it last as a whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileCheck {
    /// Its name, as it was given.
    pub name: String,
    /// How many rules are defined in it.
    pub rules: usize,
    /// How many of them are asked.
    pub active: usize,
    /// How many are not, because a file says so.
    pub disabled: usize,
    /// How many are not, because they cannot be.
    pub inactive: usize,
}

/// A rule that is inactive.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Inactive {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Why.
    pub reason: String,
    /// Whether it is right as it is written, but asks for what is not provided.
    pub is_not_provided: bool,
}

impl RuleCheck {
    /// What there is to say of these files.
    pub fn new(files: &[(String, String)], set: &RuleSet, problems: Vec<Problem>) -> RuleCheck {
        let of_file = |(name, _): &(String, String)| {
            let rules: Vec<&Rule> = set.rules().iter().filter(|rule| rule.file() == name).collect();
            let count = |wanted: &dyn Fn(&Status) -> bool| rules.iter().filter(|rule| wanted(rule.status())).count();
            FileCheck {
                name: name.clone(),
                rules: rules.len(),
                active: count(&|status| *status == Status::Active),
                disabled: count(&|status| *status == Status::Disabled),
                inactive: count(&|status| matches!(status, Status::NotProvided { .. } | Status::Wrong { .. })),
            }
        };
        let inactive = set.rules().iter().filter_map(|rule| {
            let (reason, is_not_provided) = match rule.status() {
                Status::NotProvided { reason } => (reason, true),
                Status::Wrong { reason } => (reason, false),
                Status::Active | Status::Disabled => return None,
            };
            let (name, file) = (rule.name().to_owned(), rule.file().to_owned());
            Some(Inactive { name, file, reason: reason.clone(), is_not_provided })
        });
        let inactive = inactive.collect();
        RuleCheck { version: VERSION, files: files.iter().map(of_file).collect(), inactive, problems }
    }

    /// Whether nothing is wrong and no rule is inactive.
    pub fn is_clean(&self) -> bool {
        self.inactive.is_empty() && self.problems.iter().all(|problem| problem.severity == Severity::Note)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        pretty(self)
    }

    /// The schema of the JSON.
    pub fn schema() -> String {
        pretty(&schema_for!(RuleCheck))
    }
}

/// A rule that matched an event.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "ringfence rules test")]
pub struct Match {
    /// The version of this form.
    pub version: u32,
    /// When, in nanoseconds since 1970.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub time: u64,
    /// The rule's name.
    pub rule: String,
    /// How much it matters.
    pub priority: Priority,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// What it says.
    pub output: String,
    /// The fields that it says, with their values.
    pub fields: Vec<Part>,
}

impl Match {
    /// What a rule says of an event that it matches.
    pub fn new(rule: &Rule, subject: &Subject<'_>) -> Match {
        Match {
            version: VERSION,
            time: subject.event.wall_time,
            rule: rule.name().to_owned(),
            priority: rule.priority(),
            tags: rule.tags().to_vec(),
            output: rule.output(subject),
            fields: rule.parts(subject),
        }
    }

    /// One line for a person.
    pub fn line(&self) -> String {
        format!("{} {}: {}", self.priority, event::Text::from(self.rule.as_str()), self.output)
    }

    /// The schema of the JSON.
    pub fn schema() -> String {
        pretty(&schema_for!(Match))
    }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
