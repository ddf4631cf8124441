//! What a condition is about, as the fields that it can name.
//!
//! The names, types, explanations and examples of the fields that every event has are those of the types here. In JSON
//! a subject is an object in which `.container.name` is the field `container.name`, and `.exec.argv` is `exec.argv`.

use event::{Event, Payload, Phase, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::context::Context;

/// One event, with what is known of its container and its process when it is looked at.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// When and in which part of the container's life it happened.
    pub event: When,
    /// The container that it happened in.
    pub container: Container<'a>,
    /// The process that did it.
    pub process: Process<'a>,
    /// What was done.
    pub payload: &'a Payload,
    /// What rules may ask beside that. It is no part of the JSON.
    pub context: Context<'a>,
}

impl<'a> Subject<'a> {
    /// An event of which nothing is known but itself, at this wall-clock time in nanoseconds since 1970.
    pub fn new(event: &'a Event, wall_time: u64) -> Subject<'a> {
        let process = event.task.image.process;
        Subject {
            event: When { kind: event.payload.kind(), phase: event.phase, time: event.boot_ns, wall_time },
            container: Container::default(),
            process: Process {
                name: &event.task.comm,
                pid: process.pid,
                tid: event.task.tid,
                executable: None,
                start: process.start_ns,
                parent: None,
            },
            payload: &event.payload,
            context: Context::default(),
        }
    }
}

impl Subject<'_> {
    /// What is known of the fact itself: in JSON an object of the fields of its kind.
    pub fn fact(&self) -> impl Serialize {
        Fact(self.payload)
    }
}

impl Serialize for Subject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("event", &self.event)?;
        map.serialize_entry("container", &self.container)?;
        map.serialize_entry("process", &self.process)?;
        map.serialize_entry(self.payload.kind(), &Fact(self.payload))?;
        map.end()
    }
}

/// A payload without its kind.
pub(crate) struct Fact<'a>(pub(crate) &'a Payload);

impl Serialize for Fact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_fact(serializer)
    }
}

/// The schema of what every event has.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct Common<'a> {
    event: When,
    container: Container<'a>,
    process: Process<'a>,
}

/// When and in which part of the container's life something happened.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct When {
    /// What happened.
    #[schemars(schema_with = "kinds", example = &"exec")]
    pub kind: &'static str,
    /// The part of the container's life.
    #[schemars(example = &"main")]
    pub phase: Phase,
    /// When, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub time: u64,
    /// When by the wall clock, in nanoseconds since 1970 (UTC).
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub wall_time: u64,
}

/// What is known of a container. Its engine may answer later than the first events come: what it has not said is unset.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Container<'a> {
    /// The container's name, as its engine says.
    #[serde(serialize_with = "name")]
    #[schemars(with = "Option<Text>", example = &"web")]
    pub name: Option<&'a str>,
    /// The container's id, in full.
    #[serde(serialize_with = "name")]
    #[schemars(with = "Option<Text>", example = &"3f2a9c1d8e7b")]
    pub id: Option<&'a str>,
    /// The image, as it was asked for.
    #[serde(serialize_with = "name")]
    #[schemars(with = "Option<Text>", example = &"nginx:1.27")]
    pub image: Option<&'a str>,
    /// The engine or the runtime that made the container.
    #[serde(serialize_with = "name")]
    #[schemars(with = "Option<Text>", example = &"docker")]
    pub engine: Option<&'a str>,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Process<'a> {
    /// The thread's name (`comm`): at most 15 bytes, chosen by the program itself.
    #[schemars(example = &"nginx")]
    pub name: &'a Text,
    /// The process id in the first pid namespace.
    #[schemars(example = 4711)]
    pub pid: u32,
    /// The thread id in the first pid namespace; the first thread's is the process id.
    #[schemars(example = 4711)]
    pub tid: u32,
    /// The path of the program that the process runs, seen from its own root; unset if its exec was not seen.
    #[schemars(example = &"/usr/sbin/nginx")]
    pub executable: Option<&'a Text>,
    /// When the process started, in nanoseconds since boot: with the process id this is unique.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub start: u64,
    /// The parent when the process was made, or at its last exec.
    pub parent: Option<Parent<'a>>,
}

/// What is known of the parent of a process.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Parent<'a> {
    /// The process id in the first pid namespace.
    #[schemars(example = 4700)]
    pub pid: u32,
    /// The path of the program that it ran last; unset if that was not seen, as of a parent outside of the container.
    #[schemars(example = &"/bin/sh")]
    pub executable: Option<&'a Text>,
}

/// A name as the text form of its bytes, as all text is written.
fn name<S: Serializer>(name: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) if name.contains('\\') => serializer.serialize_some(&Text::from(*name)),
        Some(name) => serializer.serialize_some(name),
        None => serializer.serialize_none(),
    }
}

fn kinds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Payload::KINDS })
}
