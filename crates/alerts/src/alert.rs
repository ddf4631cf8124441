//! An alert: one thing that should not have happened, once, however often it did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use event::{ProcessId, Text};
use report::{FormatVersion, Timestamp};
use rules::Priority;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Fact, is_volatile, same_text};

/// The version of the format that this program writes, and the newest that it reads.
pub const ALERT_VERSION: u32 = 1;

/// How many hexadecimal digits an id has.
const ID_DIGITS: usize = 12;

/// What somebody should know of: a rule that matched, or something that is not in the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// The version of this format.
    pub schema_version: FormatVersion<ALERT_VERSION>,
    /// Whether it is told for the first time.
    pub state: State,
    /// Its id: twelve hexadecimal digits, the same whenever the same rule finds the same in the same container, also in another
    /// run of this program. What is the same leaves out process ids, times, ports of clients and temporary names.
    #[schemars(regex(pattern = "^[0-9a-f]{12}$"), example = &"8d0c21f7b3aa")]
    pub id: Text,
    /// What made it.
    pub origin: Origin,
    /// The rule's name; of what is not in the baseline, what is new: `new program`.
    pub rule: Text,
    /// How much it matters.
    pub priority: Priority,
    /// What the rule is tagged with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text>,
    /// It in a sentence: the rule's output, of the first time.
    pub output: Text,
    /// What the output names, by its name, of the first time; none if it was not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Text, Option<Text>>,
    /// What is not in the baseline; none if a rule matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<Fact>,
    /// Where it happened.
    pub container: Container,
    /// The process that did it first; none if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// When it happened first.
    pub first_seen: Timestamp,
    /// When it happened last.
    pub last_seen: Timestamp,
    /// How often it happened until then.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// How many other alerts of this rule in this container were not told since the last line of theirs, because too many came at
    /// once: the sum over all lines is how many there were.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub suppressed: u64,
    /// The incident that keeps the evidence for it (`ringfence incident show`) or, behind `skipped: `, why there is none; left out
    /// if nobody asked for any, and of what was told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Text>,
}

/// Whether an alert was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is told for the first time.
    New,
    /// It was told before; how often it happened, or how many others were suppressed, is new.
    Update,
}

/// What made an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A rule matched.
    Rule,
    /// It is not in the baseline.
    Baseline,
}

/// The container that something happened in, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Its name, as its engine says.
    pub name: Option<Text>,
    /// Its id, in full.
    pub id: Option<Text>,
    /// Its image, as it was asked for.
    pub image: Option<Text>,
    /// Its engine or runtime.
    pub engine: Option<Text>,
}

impl Container {
    /// What people call it: its name, else the beginning of its id; safe for a terminal.
    pub fn called(&self) -> String {
        match (&self.name, &self.id) {
            (Some(name), _) => name.shown().into_owned(),
            (None, Some(id)) => report::short_id(id),
            (None, None) => "-".into(),
        }
    }

    /// What tells it apart for as long as people take it for the same: its name, else its id.
    fn identity(&self) -> &[u8] {
        self.name.as_ref().or(self.id.as_ref()).map(Text::as_bytes).unwrap_or_default()
    }
}

/// The process that did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Which one.
    #[serde(flatten)]
    pub id: ProcessId,
    /// Its name (`comm`).
    pub name: Text,
    /// The path of the program that it runs; none if that is not known.
    pub executable: Option<Text>,
    /// Its arguments, the program's own name first; empty if they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<Text>,
    /// The path of the program that its parent runs; none if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Text>,
}

impl Alert {
    /// One that happened now, for the first time.
    pub fn new(origin: Origin, rule: &str, priority: Priority, output: Text, container: Container) -> Alert {
        Alert {
            schema_version: FormatVersion,
            state: State::New,
            id: Text::default(),
            origin,
            rule: rule.into(),
            priority,
            tags: Vec::new(),
            output,
            fields: BTreeMap::new(),
            fact: None,
            container,
            process: None,
            first_seen: Timestamp::default(),
            last_seen: Timestamp::default(),
            count: 1,
            suppressed: 0,
            evidence: None,
        }
    }

    /// Gives it its id and its time, when all else is known.
    pub fn sealed(mut self, at: Timestamp) -> Alert {
        self.id = self.identify();
        (self.first_seen, self.last_seen) = (at, at);
        self
    }

    /// A digest of what makes two alerts the same.
    fn identify(&self) -> Text {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(&[self.origin as u8]);
        part(self.rule.as_bytes());
        part(self.container.identity());
        match &self.fact {
            Some(fact) => part(report::json_line(fact).as_bytes()),
            None => {
                for (name, value) in &self.fields {
                    let name = name.escaped();
                    if let Some(value) = value.as_ref().filter(|_| !is_volatile(&name)) {
                        part(name.as_bytes());
                        part(same_text(value).as_bytes());
                    }
                }
            }
        }
        let bytes = digest.finalize();
        let mut id = String::with_capacity(ID_DIGITS);
        for byte in &bytes[..ID_DIGITS / 2] {
            let _ = write!(id, "{byte:02x}"); // A string takes everything.
        }
        id.into()
    }

    /// As a line of JSON, safe for a terminal.
    pub fn to_json_line(&self) -> String {
        report::json_line(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Alert);
        schema.insert("title".into(), format!("ringfence alert, version {ALERT_VERSION}").into());
        report::json(&schema)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn alert(rule: &str, container: &str, fields: &[(&str, &str)]) -> Alert {
        let container = Container { name: Some(container.into()), ..Container::default() };
        let mut alert = Alert::new(Origin::Rule, rule, Priority::Warning, "it happened".into(), container);
        alert.fields = fields.iter().map(|&(name, value)| (name.into(), Some(value.into()))).collect();
        alert.sealed(Timestamp::from_unix_ns(5))
    }

    #[test]
    fn the_same_has_the_same_id_whatever_the_pids_and_times_are() {
        let one = alert("r", "web", &[("proc.name", "sh"), ("proc.pid", "7"), ("evt.time", "a")]);
        let same = alert("r", "web", &[("proc.name", "sh"), ("proc.pid", "8"), ("evt.time", "b")]);
        assert_eq!(one.id, same.id);
        assert_eq!(one.id.as_bytes().len(), ID_DIGITS);

        let others = [
            alert("r2", "web", &[("proc.name", "sh")]),
            alert("r", "db", &[("proc.name", "sh")]),
            alert("r", "web", &[("proc.name", "ash")]),
            alert("r", "web", &[("proc.pname", "sh")]),
        ];
        assert!(others.iter().all(|other| other.id != one.id));
    }

    #[test]
    fn the_id_is_that_of_the_container_s_name_and_survives_its_being_made_anew() {
        let of = |id: &str| {
            let container = Container { name: Some("web".into()), id: Some(id.into()), ..Container::default() };
            let alert = Alert::new(Origin::Rule, "r", Priority::Warning, "x".into(), container);
            alert.sealed(Timestamp::default()).id
        };
        assert_eq!(of("aa"), of("bb"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = alert("r", "w\u{1b}eb", &[("a", "b")]);
        let line = written.to_json_line();
        assert!(!line.chars().any(event::is_unsafe_on_a_terminal), "{line:?}");
        assert_eq!(serde_json::from_str::<Alert>(&line).expect("its own form"), written);
    }
}
