//! Who talks to whom: reports of many containers as one graph.
//!
//! `resolve` finds whose the other end of each flow is, `files` what containers share through volumes, `fold` makes one
//! node of many addresses. `table`, `dot`, `mermaid` and `svg` draw what they found.

mod collect;
mod dot;
mod files;
mod fold;
mod label;
mod layout;
mod mermaid;
mod order;
mod resolve;
mod svg;
mod table;

use event::{Protocol, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FormatVersion, Report};

pub use svg::{ego, svg};
pub use table::table as map_table;

/// The version of the map's format that this program writes.
pub const MAP_VERSION: u32 = 1;

/// Containers, what is around them, and what went between them. The same reports give the same map, in whatever order
/// they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// The version of this format.
    pub schema_version: FormatVersion<MAP_VERSION>,
    /// Who is there: containers, hosts, then what is outside; by name.
    pub nodes: Vec<Node>,
    /// What went between them, ordered by its first fields.
    pub edges: Vec<Edge>,
}

/// Somebody who talks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// What edges call it; the same in each map of the same containers.
    #[schemars(example = &"container/3f2a9c1d8e7b")]
    pub id: Text,
    /// What it is.
    pub kind: NodeKind,
    /// What people call it; of several addresses or names outside how many they are.
    pub name: Text,
    /// The id that a container's engine gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Text>,
    /// A container's image, as its engine names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// The pod that a container belongs to: its namespace and name, else its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Text>,
    /// The name of the host that it is on; none if that is not known, and of what is outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Text>,
    /// Its addresses that were seen; the names, if it stands for several names. No more than 64 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Text>,
    /// How many addresses or names it has.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub total_addresses: u64,
    /// Whether all that a container did with the network and with files is known; true of all that are no containers.
    pub complete: bool,
}

/// What a node is. The order is that of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A container. Of one without a report it is known only that the kernel saw it at the other end of connections.
    Container,
    /// Processes of a host that are in no container that there is a report of.
    Host,
    /// An address, or several.
    Outside,
}

impl NodeKind {
    /// The name, as in maps.
    pub fn name(self) -> &'static str {
        match self {
            NodeKind::Container => "container",
            NodeKind::Host => "host",
            NodeKind::Outside => "outside",
        }
    }
}

/// What went from one node to another over one port, or through one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// Whoever began it; whoever wrote.
    pub from: Text,
    /// Whoever was asked; whoever read.
    pub to: Text,
    /// What sort of thing went there.
    pub kind: EdgeKind,
    /// The protocol; none of files.
    pub protocol: Option<Protocol>,
    /// The port of whoever was asked, as it has it itself where that is known; 0 if the protocol has none.
    pub port: u32,
    /// The path or abstract name of a unix socket; of files the directory of the host that both have mounted.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub path: Text,
    /// How many connections came about; of files how many they are.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub connections: u64,
    /// How many did not.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub failures: u64,
    /// Bytes from `from` to `to`: what the sender counted; if that is not known, the receiver.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub sent_bytes: u64,
    /// Bytes from `to` to `from`.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub received_bytes: u64,
    /// What the report of `from` has; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Figures>,
    /// What the report of `to` has; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Figures>,
    /// Both reports have figures of the same connections, and they differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
    /// The addresses on both sides of a translation: of published ports, services and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub translated: Vec<Translation>,
    /// How the other end was found.
    pub seen: Seen,
    /// Some of the files, by their path in the container that wrote them; no more than 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Text>,
}

/// What sort of thing goes along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// Bytes, through sockets.
    Flow,
    /// Files that one wrote and the other read.
    File,
}

/// What one side counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// Connections.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub connections: u64,
    /// Bytes that it sent.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub sent_bytes: u64,
    /// Bytes that it received.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub received_bytes: u64,
    /// Its report has one sum for several edges, which was shared out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_out: bool,
}

/// One end under two addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Translation {
    /// What `from` asked for.
    pub asked_address: Text,
    /// The port there.
    pub asked_port: u32,
    /// What `to` has itself; empty if it is not known.
    pub reached_address: Text,
    /// The port there.
    pub reached_port: u32,
}

/// How the other end was found; the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The kernel had both ends of a connection.
    Kernel,
    /// Two reports have the two ends of it; of files the same device and inode.
    BothReports,
    /// A container listens there.
    Listener,
    /// Its engine forwards this port of the host to it.
    PublishedPort,
    /// The address is this container's, or in its own namespace alone.
    Address,
    /// The address is the host's, or a unix socket's that no container of these is known to have.
    Host,
    /// The address belongs to none of these.
    Outside,
}

impl Seen {
    /// The name, as in maps.
    pub fn name(self) -> &'static str {
        match self {
            Seen::Kernel => "kernel",
            Seen::BothReports => "both-reports",
            Seen::Listener => "listener",
            Seen::PublishedPort => "published-port",
            Seen::Address => "address",
            Seen::Host => "host",
            Seen::Outside => "outside",
        }
    }
}

impl Map {
    /// The map of these reports. Several reports of one container are one node. Reports of several hosts are several
    /// hosts: ends are looked for on the same host and boot only.
    pub fn of(reports: &[Report]) -> Map {
        let ground = collect::Ground::of(reports);
        let mut edges = resolve::edges(&ground);
        fold::fold(&mut edges);
        let files = files::edges(&ground);
        order::map(&ground, edges, files)
    }

    /// The map as JSON: indented, one newline at the end, safe for a terminal as reports are.
    pub fn to_json(&self) -> String {
        crate::json::json(self)
    }

    /// The map for Graphviz, in the language DOT.
    pub fn to_dot(&self) -> String {
        dot::dot(self)
    }

    /// The map as a flowchart for Mermaid, as documents on GitHub and elsewhere draw it.
    pub fn to_mermaid(&self) -> String {
        mermaid::mermaid(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Map);
        schema.insert("title".into(), format!("ringfence map, version {MAP_VERSION}").into());
        crate::json::json(&schema)
    }
}
