//! The format of an incident: what one file `incident.json` says.

use event::{CapabilitySet, Device, Direction, Phase, ProcessId, Protocol, RunId, Text};
use report::{FormatVersion, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ContentHash;

/// The version of the format that this program writes, and the newest that it reads.
pub const INCIDENT_VERSION: u32 = 1;

/// Alerts of one container that belong together, and the evidence for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// The version of this format.
    pub schema_version: FormatVersion<INCIDENT_VERSION>,
    /// The version of the program that wrote it.
    pub ringfence_version: Text,
    /// What the incident is called: the name of its folder.
    pub id: Text,
    /// Where it happened.
    pub container: Container,
    /// The first alert.
    pub begin: Timestamp,
    /// The last alert.
    pub end: Timestamp,
    /// The alerts, in the order in which they came.
    pub alerts: Vec<Alert>,
    /// The processes that the alerts are about.
    pub processes: Vec<Process>,
    /// What the container did before and after, by time: what was in memory at the first alert, and what came later.
    pub events: Vec<Recorded>,
    /// With whom it spoke, as far as the events tell.
    pub peers: Vec<Peer>,
    /// Files that were kept, or were to be.
    pub files: Vec<KeptFile>,
    /// What there is no evidence of, and why.
    pub missing: Vec<Missing>,
}

/// The container of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Its name, as its engine says.
    pub name: Option<Text>,
    /// Its id, in full.
    pub id: Option<Text>,
    /// The image, as it was asked for.
    pub image: Option<Text>,
    /// The engine or the runtime that made it.
    pub engine: Option<Text>,
    /// The run, as reports of the same recording number it.
    pub run: RunId,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// What the alert is called.
    pub id: Text,
    /// The rule.
    pub rule: Text,
    /// How bad that is, in the rule's words.
    pub priority: Text,
    /// What the rule says about it.
    pub output: Text,
    /// When it happened.
    pub time: Timestamp,
    /// Who did it.
    pub process: ProcessId,
    /// The alert, as it was given out.
    pub alert: Value,
}

/// Where what is said of a process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From the process itself, which was there.
    Process,
    /// From events alone: the process had ended.
    Events,
}

/// One process that an alert is about, when the alert came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Which.
    pub id: ProcessId,
    /// When it was looked at.
    pub looked: Timestamp,
    /// Where most of what follows comes from. What the kernel said of it when it was started is in `told` in both cases.
    pub source: Source,
    /// The program that it ran when it did what the alert is about, seen from its own root; none if its start was not seen.
    pub executable_then: Option<Text>,
    /// What its last start in the events says; none if there is none among them.
    pub told: Option<Told>,
    /// The name of its first thread.
    pub name: Option<Text>,
    /// Its pid in its own pid namespace.
    pub pid_inside: Option<u32>,
    /// Its arguments, the program's own name first; they are memory of the process, which it can change.
    pub argv: Vec<Text>,
    /// Whether there are more of them.
    pub argv_truncated: bool,
    /// The program that it runs.
    pub executable: Option<Executable>,
    /// Its working directory, from our root where it can be reached from there.
    pub cwd: Option<Text>,
    /// The directory that it sees as `/`, in the same way.
    pub root: Option<Text>,
    /// Its cgroups: hierarchy and path.
    pub cgroups: Vec<Text>,
    /// Its namespaces.
    pub namespaces: Option<Namespaces>,
    /// With which rights it runs.
    pub rights: Option<Rights>,
    /// Who it descends from, the outermost first, itself, and its descendants.
    pub tree: Vec<Relative>,
    /// Its descriptors.
    pub descriptors: Vec<Descriptor>,
    /// The files in its memory, but for its program.
    pub libraries: Vec<Library>,
    /// Its environment, if it was asked for; what looks like a secret has been taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<Text>>,
    /// What could not be had of it, and why.
    pub missing: Vec<Missing>,
}

/// What the kernel said when a program was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// When.
    pub time: Timestamp,
    /// The program's path, seen from the process's own root.
    pub executable: Text,
    /// The path that was passed.
    pub argument: Text,
    /// The interpreter that a script named; empty if it is none.
    pub interpreter: Text,
    /// The arguments.
    pub argv: Vec<Text>,
    /// Whether there are more of them.
    pub argv_truncated: bool,
    /// The working directory, seen from the process's own root.
    pub cwd: Text,
    /// Real user id, as the first user namespace numbers it.
    pub uid: u32,
    /// Real group id, as the first user namespace numbers it.
    pub gid: u32,
    /// The parent.
    pub parent: ProcessId,
}

/// The file of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Executable {
    /// Its path, without the mark of a deleted file; of a memfd its name behind `/memfd:`.
    pub path: Text,
    /// Whether it has no name any more, or never had one.
    pub deleted: bool,
    /// Whether it was made by `memfd_create`.
    pub from_memory: bool,
    /// The file.
    pub file: FileFacts,
    /// The SHA-256 of its content; none if it could not be had, which `missing` explains.
    pub sha256: Option<ContentHash>,
}

/// What a file system knows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileFacts {
    /// The device of its file system.
    pub device: Device,
    /// Its inode number there.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub inode: u64,
    /// Its size in bytes.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub size_bytes: u64,
    /// Its type and permissions, in octal.
    pub mode: Text,
    /// Its owner, as the first user namespace numbers it.
    pub uid: u32,
    /// Its group, in the same way.
    pub gid: u32,
    /// How many names it has.
    pub links: u32,
    /// When it was written last.
    pub modified: Timestamp,
    /// When its inode was changed last.
    pub changed: Timestamp,
}

/// The namespaces of a process by their numbers; 0 where the kernel has none of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Namespaces {
    /// Mounts.
    pub mount: u32,
    /// Process ids.
    pub pid: u32,
    /// Users.
    pub user: u32,
    /// Network.
    pub net: u32,
    /// System V IPC and message queues.
    pub ipc: u32,
    /// Host name.
    pub uts: u32,
    /// The root of the cgroup paths.
    pub cgroup: u32,
}

/// With which rights a process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rights {
    /// Real, effective, saved and file-system user id, as the first user namespace numbers them.
    pub uid: [u32; 4],
    /// The same of the group.
    pub gid: [u32; 4],
    /// Effective capabilities.
    pub effective: CapabilitySet,
    /// Permitted capabilities.
    pub permitted: CapabilitySet,
    /// Inheritable capabilities.
    pub inheritable: CapabilitySet,
    /// The bounding set.
    pub bounding: CapabilitySet,
    /// Ambient capabilities.
    pub ambient: CapabilitySet,
    /// Whether exec can no longer give privileges; none if the kernel does not say.
    pub no_new_privileges: Option<bool>,
    /// Whether and how seccomp confines it: `disabled`, `strict` or `filter`; none if the kernel does not say.
    pub seccomp: Option<Text>,
    /// How many seccomp filters there are; none if the kernel does not say.
    pub seccomp_filters: Option<u32>,
    /// Who logged in; none if nobody did, or if the kernel does not say.
    pub login_uid: Option<u32>,
}

/// How a process is related to the one that the alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// An ancestor outside of the container.
    Outside,
    /// An ancestor inside.
    Ancestor,
    /// Itself.
    Itself,
    /// A child, or a child's child and so on.
    Descendant,
}

/// One process of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Relative {
    /// Which.
    pub id: ProcessId,
    /// The parent's pid; 0 if it has none that can be seen.
    pub parent_pid: u32,
    /// How it is related.
    pub relation: Relation,
    /// Where this comes from.
    pub source: Source,
    /// The name of its first thread.
    pub name: Text,
    /// Its program, from its own root.
    pub executable: Option<Text>,
    /// Its arguments.
    pub argv: Vec<Text>,
    /// Its effective user id, as the first user namespace numbers it; none if it is not known.
    pub uid: Option<u32>,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptorKind {
    /// Something with a path: a file, a directory, a device.
    Path,
    /// A socket.
    Socket,
    /// A pipe.
    Pipe,
    /// Something of the kernel without a path: an event, a timer, an epoll set.
    Anonymous,
}

/// One open descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Descriptor {
    /// Its number.
    pub number: u32,
    /// What it is.
    pub kind: DescriptorKind,
    /// What its link says: a path, or `socket:[NUMBER]` and the like.
    pub target: Text,
    /// How it was opened: `r`, `w` or `rw`; none if that could not be read.
    pub access: Option<Text>,
    /// Of a socket: between whom, if that was found.
    pub socket: Option<SocketEnds>,
}

/// What a socket connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketEnds {
    /// The protocol: `tcp`, `udp`, `raw` or `unix`.
    pub protocol: Text,
    /// What state it is in, such as `established` or `listen`; a number if it has no name here.
    pub state: Text,
    /// The end here with its port, or the name of a unix socket; none if it has none.
    pub local: Option<Text>,
    /// The other end with its port; none if it is not connected, or not told, as of unix sockets.
    pub remote: Option<Text>,
}

/// A file in the memory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Library {
    /// Its path, from our root where it can be reached from there, without the mark of a deleted file.
    pub path: Text,
    /// The device of its file system.
    pub device: Device,
    /// Its inode number there.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub inode: u64,
    /// Whether it has no name any more.
    pub deleted: bool,
    /// Whether some of it can be executed.
    pub executable: bool,
}

/// Something that the container did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    /// When.
    pub time: Timestamp,
    /// What kind of event it is.
    pub kind: Text,
    /// In which part of the container's life.
    pub phase: Phase,
    /// Who did it.
    pub process: ProcessId,
    /// The name of the thread that did it.
    pub name: Text,
    /// What was done, in words.
    pub text: Text,
    /// The event, as `ringfence watch --format json` prints it.
    pub event: Value,
}

/// Somebody whom the container spoke with, or was to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Which side began it.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// The other end.
    pub address: Text,
    /// The port of whoever did not begin it; 0 if the protocol has none.
    pub port: u32,
    /// How it failed; none if it did not.
    pub failed: Option<Text>,
    /// The names that were looked up before and had this address as an answer, as far as the events tell.
    pub names: Vec<Text>,
    /// When it was first seen.
    pub first: Timestamp,
    /// Who.
    pub process: ProcessId,
}

/// Why a file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// It is the program of a process that an alert is about.
    Executable,
    /// It is a script that such a process ran.
    Script,
    /// Such a process, or one close to it, wrote it.
    Written,
}

/// A file that was kept, or was to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptFile {
    /// Why.
    pub kind: FileKind,
    /// Its path, seen from the process's own root.
    pub path: Text,
    /// The process.
    pub process: ProcessId,
    /// When it was looked at.
    pub looked: Timestamp,
    /// What the file system knows of it; none if it could not be reached.
    pub file: Option<FileFacts>,
    /// The SHA-256 of its content, by which it lies in the folder `objects`; none if it was not kept.
    pub sha256: Option<ContentHash>,
    /// Why it was not kept, or what is doubtful about it.
    pub note: Option<Text>,
}

/// What could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// What.
    pub what: Text,
    /// Why.
    pub reason: Text,
}

impl Incident {
    /// The incident as its file has it: safe for a terminal, with one newline at its end.
    pub fn to_json(&self) -> String {
        report::json(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Incident);
        schema.insert("title".into(), format!("ringfence incident, version {INCIDENT_VERSION}").into());
        report::json(&schema)
    }
}
