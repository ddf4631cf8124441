//! The names that conditions know, derived from the types of what they are about.

mod derived;
mod page;

use std::sync::LazyLock;

use event::Payload;
use serde::Serialize;

use crate::Subject;
use crate::falco::{Argument, Cache, Direct, Scope, TABLE, Takes, Values};
use crate::pick::{Value, pick};
use crate::similar::similar;
use crate::subject::{Common, Fact};

pub use page::{markdown, markdown_table};

/// The kind of event that is kept with the process, so that rules can ask for it later, too.
const IMAGE: &str = "image";

/// What the value of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// A number, also one that JSON has as a text of digits.
    Number,
    /// Bytes.
    Text,
    /// `true` or `false`.
    Bool,
    /// An address of IPv4 or IPv6; it can be compared with a network.
    Address,
}

/// One name that conditions know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name, which is also the path in JSON: `exec.argv`.
    pub name: String,
    /// What a value is: of a list, each of its elements.
    pub of: Type,
    /// Whether it is a list.
    pub is_list: bool,
    /// The values that it can have, if they are few and known.
    pub values: Vec<String>,
    /// What it is.
    pub doc: String,
    /// A condition with it.
    pub example: String,
    origin: Origin,
}

/// Where the value of a field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// From the types: a path through them.
    Path(Box<[Box<str>]>),
    /// From what rules may ask beside that.
    Direct { direct: Direct, values: Values, takes: Takes, scope: Scope },
}

impl Field {
    /// The path through the types; empty if it is picked directly.
    fn path(&self) -> &[Box<str>] {
        match &self.origin {
            Origin::Path(path) => path,
            Origin::Direct { .. } => &[],
        }
    }

    /// Whether only rule files know it.
    pub fn is_for_rules(&self) -> bool {
        matches!(self.origin, Origin::Direct { .. })
    }

    /// Whether a comparison holds if it holds of any of its values.
    pub(crate) fn has_any(&self) -> bool {
        matches!(self.origin, Origin::Direct { values: Values::Any, .. })
    }

    /// What may stand in brackets behind it.
    pub(crate) fn takes(&self) -> Takes {
        match self.origin {
            Origin::Direct { takes, .. } => takes,
            Origin::Path(_) => Takes::Nothing,
        }
    }

    /// How it is picked directly, and with which events it can be set.
    pub(crate) fn direct(&self) -> Option<(Direct, Scope)> {
        match self.origin {
            Origin::Direct { direct, scope, .. } => Some((direct, scope)),
            Origin::Path(_) => None,
        }
    }

    /// The only kind of event that has it; none if every event has it, or can have it.
    pub(crate) fn kind(&self) -> Option<&str> {
        let first = self.path().first()?;
        (Payload::KINDS.contains(&&**first) && **first != *IMAGE).then_some(&**first)
    }

    /// The type in words: `text`, `list of numbers`.
    pub fn type_name(&self) -> &'static str {
        match (self.of, self.is_list) {
            (Type::Number, false) => "number",
            (Type::Text, false) => "text",
            (Type::Bool, false) => "bool",
            (Type::Number, true) => "list of numbers",
            (Type::Text, true) => "list of texts",
            (Type::Bool, true) => "list of bools",
            (Type::Address, _) => "address",
        }
    }

    /// Shows the field's value: none if it is unset, one, or each element of a list.
    pub fn values_of(&self, subject: &Subject<'_>, visit: &mut impl FnMut(Value<'_>)) {
        self.pick(subject, &Argument::None, &Cache::default(), visit);
    }

    /// The same, or only what the argument says: of a list the element at a place.
    pub(crate) fn pick(
        &self,
        subject: &Subject<'_>,
        argument: &Argument,
        cache: &Cache,
        visit: &mut impl FnMut(Value<'_>),
    ) {
        let path = match &self.origin {
            Origin::Path(path) => path,
            Origin::Direct { direct, .. } => return crate::falco::pick(*direct, argument, subject, cache, visit),
        };
        let at = match argument {
            Argument::Number(at) => Some(*at),
            _ => None,
        };
        let mut typed = |value: Value<'_>| {
            if let Some(value) = self.typed(value) {
                visit(value);
            }
        };
        // What every event has is small; a payload is not looked at for another one's field.
        match path.split_first() {
            Some((kind, below)) if **kind == *subject.payload.kind() => {
                pick(&Fact(subject.payload), below, at, &mut typed);
            }
            Some((group, below)) => match &**group {
                "event" => pick(&subject.event, below, at, &mut typed),
                "container" => pick(&subject.container, below, at, &mut typed),
                "process" => pick(&subject.process, below, at, &mut typed),
                // What the program was when it began is known as long as it runs.
                IMAGE => {
                    if let Some(image) = subject.context.image {
                        pick(image, below, at, &mut typed);
                    }
                }
                _ => {}
            },
            None => {}
        }
    }

    /// The value as the field's type: JSON has big numbers as text.
    fn typed<'v>(&self, value: Value<'v>) -> Option<Value<'v>> {
        match (self.of, value) {
            (Type::Number, Value::Text(digits)) => std::str::from_utf8(digits).ok()?.parse().ok().map(Value::Number),
            (Type::Number, Value::Number(_)) | (Type::Text, Value::Text(_)) | (Type::Bool, Value::Bool(_)) => {
                Some(value)
            }
            _ => None,
        }
    }
}

/// Every name that conditions know.
#[derive(Debug)]
pub struct Registry {
    fields: Vec<Field>,
    common: usize,
    for_rules: Vec<Field>,
    unnamed: Vec<String>,
}

/// The one registry.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::derive);
    &REGISTRY
}

impl Registry {
    fn derive() -> Registry {
        let mut found = derived::Found::default();
        found.groups(&schemars::schema_for!(Common<'_>));
        let common = found.fields.len();
        found.variants(&schemars::schema_for!(Payload));
        let for_rules = TABLE.iter().map(for_rules).collect();
        Registry { fields: found.fields, common, for_rules, unnamed: found.unnamed }
    }

    /// The fields that only rule files know: those of Falco's.
    pub fn for_rules(&self) -> &[Field] {
        &self.for_rules
    }

    /// The field that a rule file means with this name.
    pub fn find_for_rules(&self, name: &str) -> Option<&Field> {
        self.for_rules.iter().find(|field| field.name == name).or_else(|| self.find(name))
    }

    /// The field that a rule file may have meant by this name.
    pub(crate) fn similar_for_rules(&self, name: &str) -> Option<&str> {
        let names = self.for_rules.iter().chain(&self.fields).map(|field| field.name.as_str());
        similar(name, names)
    }

    /// What the types have and conditions cannot name, as paths: nothing, which a test sees to.
    pub fn unnamed(&self) -> &[String] {
        &self.unnamed
    }

    /// All fields: those that every event has, then those of each kind in the order of the kinds.
    pub fn all(&self) -> &[Field] {
        &self.fields
    }

    /// The fields that every event has.
    pub fn common(&self) -> &[Field] {
        &self.fields[..self.common]
    }

    /// The fields of one kind of event.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Field> {
        self.fields[self.common..]
            .iter()
            .filter(move |field| field.path().first().is_some_and(|first| **first == *kind))
    }

    /// The fields whose names begin so.
    pub fn beginning_with(&self, prefix: &str) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.name.starts_with(prefix))
    }

    /// The field with this name.
    pub fn find(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that somebody may have meant by this name.
    pub fn similar(&self, name: &str) -> Option<&str> {
        let last = |field: &Field| field.path().last().is_some_and(|last| **last == *name);
        let by_last = || self.fields.iter().find(|field| last(field)).map(|field| field.name.as_str());
        similar(name, self.fields.iter().map(|field| field.name.as_str())).or_else(by_last)
    }
}

fn for_rules(entry: &crate::falco::Entry) -> Field {
    Field {
        name: entry.name.to_owned(),
        of: entry.of,
        is_list: false,
        values: Vec::new(),
        doc: entry.doc.to_owned(),
        example: entry.example.to_owned(),
        origin: Origin::Direct { direct: entry.direct, values: entry.values, takes: entry.takes, scope: entry.scope },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use event::{Event, Exec, ExecId, Phase, ProcessId, RunId, TaskId};

    use super::*;
    use crate::{Condition, Container};

    #[test]
    fn everything_that_is_known_of_an_event_has_a_name() {
        assert_eq!(registry().unnamed(), Vec::<String>::new());
    }

    #[test]
    fn every_name_is_there_once_with_an_explanation_and_an_example_that_can_be_read() {
        let names: BTreeSet<&str> = registry().all().iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names.len(), registry().all().len());
        for field in registry().all() {
            assert!(!field.doc.is_empty() && !field.doc.contains('\n'), "{}", field.name);
            assert!(field.example.contains(&field.name), "{}", field.name);
            Condition::parse(&field.example).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn types_are_those_of_the_payloads() {
        for (name, expected) in [
            ("event.kind", "text"),
            ("event.time", "number"),
            ("container.name", "text"),
            ("process.parent.executable", "text"),
            ("exec.argv", "list of texts"),
            ("exec.parent.start_ns", "number"),
            ("exec.uid_inside", "number"),
            ("exec.argv_truncated", "bool"),
            ("exit.run_time_ns", "number"),
            ("task_entered.pid", "number"),
            ("syscall.arch", "text"),
            ("syscall.args", "list of texts"),
        ] {
            assert_eq!(registry().find(name).map(Field::type_name), Some(expected), "{name}");
        }
        assert_eq!(registry().find("syscall.arch").expect("a field").values.len(), event::Arch::ALL.len());
        assert_eq!(registry().find("event.phase").expect("a field").values, ["runtime-init", "main", "exec"]);
    }

    #[test]
    fn fields_come_in_the_order_in_which_their_types_have_them() {
        let names: Vec<&str> = registry().of_kind("exit").map(|field| field.name.as_str()).collect();

        assert_eq!(names, ["exit.status", "exit.signal", "exit.last_thread", "exit.run_time_ns"]);
    }

    #[test]
    fn no_kind_of_event_is_called_like_a_group_that_every_event_has() {
        for kind in Payload::KINDS {
            assert!(!registry().common().iter().any(|field| *field.path()[0] == **kind), "{kind}");
        }
    }

    #[test]
    fn a_subject_in_json_has_each_field_at_its_name() {
        let process = ProcessId { pid: 7, start_ns: 70 };
        let exec = Exec {
            executable: "/bin/sh".into(),
            argument: "sh".into(),
            interpreter: "".into(),
            cwd: "/".into(),
            argv: vec!["sh".into(), "-c".into()],
            argv_truncated: false,
            path_truncated: false,
            parent: ProcessId { pid: 6, start_ns: 60 },
            pid_inside: 1,
            uid: 0,
            gid: 0,
            uid_inside: None,
            gid_inside: Some(0),
            user_namespace: 1,
            pid_namespace: 2,
            mount_namespace: 3,
        };
        let event = Event {
            boot_ns: 5,
            run: RunId { slot: 1, generation: 0 },
            phase: Phase::Main,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: 8, comm: event::Text::new(b"s\xff") },
            payload: Payload::Exec(exec),
        };
        let container = Container { name: Some("w\\eb"), ..Container::default() };
        let subject = Subject { container, ..Subject::new(&event, 9) };
        let json = serde_json::to_value(&subject).expect("JSON");

        assert_eq!(json["container"]["name"], "w\\\\eb");
        for field in registry().common().iter().chain(registry().of_kind("exec")) {
            let mut values = Vec::new();
            field.values_of(&subject, &mut |value| {
                values.push(match value {
                    Value::Number(number) => number.to_string(),
                    Value::Bool(value) => value.to_string(),
                    Value::Text(bytes) => event::Text::new(bytes).escaped().into_owned(),
                    Value::Address(address) => address.to_string(),
                });
            });
            let at = field.path().iter().fold(&json, |json, name| &json[&**name]);
            let plain = |json: &serde_json::Value| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            let expected = match at {
                serde_json::Value::Null => vec![],
                serde_json::Value::Array(elements) => elements.iter().map(plain).collect(),
                other => vec![plain(other)],
            };
            assert_eq!(values, expected, "{}", field.name);
        }
        assert!(registry().of_kind("exit").all(|field| {
            let mut is_unset = true;
            field.values_of(&subject, &mut |_| is_unset = false);
            is_unset
        }));
    }

    #[test]
    fn every_number_that_json_has_as_text_says_so_in_its_schema() {
        for text in [include_str!("../../event/src/payload.rs"), include_str!("../../event/src/process.rs")] {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for pair in lines.windows(2).filter(|pair| pair[0].contains("with = \"decimal\"")) {
                assert_eq!(pair[1], "#[schemars(with = \"decimal::Digits\")]", "else it is no number in conditions");
            }
        }
    }
}
