//! Where a container was observed.

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine and what ran on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel_release: Text,
    /// The machine's architecture, as `uname -m` prints it.
    pub architecture: Text,
    /// The host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Text>,
    /// The id of this boot: times since boot compare only between reports that have the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<Text>,
    /// The engine that made the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Software>,
    /// The low-level runtime that set it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Software>,
    /// How the host's cgroups are mounted.
    pub cgroup_layout: CgroupLayout,
    /// How large ringfence's buffers were.
    pub buffers: Buffers,
    /// The host's own network, when the report was written; none if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<HostNetwork>,
}

/// What belongs to the host itself of all addresses: those of its bridges too, which are the gateways of containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostNetwork {
    /// The number of its network namespace, as `/proc/PID/ns/net` shows it of processes in no container.
    pub namespace: u32,
    /// Its addresses, in order, those of loopback among them, without link-local ones of IPv6; no more than 1,024.
    pub addresses: Vec<Text>,
}

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Software {
    /// Its name: `docker`, `runc` …
    pub name: Text,
    /// Its version, as it says itself; none if it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
}

/// How cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupLayout {
    /// Version 1 only.
    V1,
    /// Version 2 only.
    V2,
    /// Controllers on version 1 beside a tree of version 2.
    Hybrid,
}

impl CgroupLayout {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            CgroupLayout::V1 => "v1",
            CgroupLayout::V2 => "v2",
            CgroupLayout::Hybrid => "hybrid",
        }
    }
}

/// How large ringfence's buffers were: a loss is understood with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Buffers {
    /// The ring buffer between the kernel and ringfence, in bytes.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub ring_bytes: u64,
    /// The queue behind it, in events.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub queue_events: u64,
}
