//! Who a report is about.

use std::collections::BTreeMap;

use event::{Protocol, RunId, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Settings;

/// One run of one container: what the kernel said of it, and what its engine said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// Which run this is, unique within one recording.
    pub run: RunId,
    /// What sort of container it is.
    pub kind: Kind,
    /// The engine that made it: `docker`, `podman`, `containerd`, `cri-o`, `runc`, `crun` …; none if nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Text>,
    /// The id that its engine gave it, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// The name that people gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The image, as its engine names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// The image's digest, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Text>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Text, Text>,
    /// The command that it was started with; what really ran is in the behaviour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Text>,
    /// Its security options, as its engine names them: `no-new-privileges`, `seccomp=unconfined` …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_options: Vec<Text>,
    /// The ports of the host that its engine forwards to it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published_ports: Vec<PublishedPort>,
    /// What it was made with beside that; none if its engine did not say. Reports of early versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// The Kubernetes pod that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container that it was made inside of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Its cgroup; none if it has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Cgroup>,
    /// What became of asking its engine.
    pub metadata: Metadata,
}

/// A port of the host that is forwarded to a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PublishedPort {
    /// The protocol: `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
    /// The host's address; `0.0.0.0` and `::` stand for all.
    pub host_address: Text,
    /// The host's port.
    pub host_port: u32,
    /// The container's port.
    pub port: u32,
}

/// What sort of container it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Made by a container engine or runtime, to run a workload.
    Container,
    /// Made by ringfence, for `record -- COMMAND`.
    Sandbox,
    /// The pause container that holds the namespaces of a pod.
    PodSandbox,
    /// A step of an image build.
    Build,
    /// A process and its descendants, in no container.
    ProcessTree,
    /// Namespaces and a root of its own, but no cgroup of its own.
    NamespaceOnly,
}

impl Kind {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Sandbox => "sandbox",
            Kind::PodSandbox => "pod-sandbox",
            Kind::Build => "build",
            Kind::ProcessTree => "process-tree",
            Kind::NamespaceOnly => "namespace-only",
        }
    }
}

/// The Kubernetes pod of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pod {
    /// The pod's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// The pod's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The pod's unique id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text>,
}

/// The container that another one was made inside of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parent {
    /// Its run, in the same recording.
    pub run: RunId,
    /// The id that its engine gave it; none if it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
}

/// The cgroup of a container, in the hierarchy that containers are told by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cgroup {
    /// Its path below the root of the hierarchy.
    pub path: Text,
    /// Its number, unique in the hierarchy for as long as the machine runs.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub id: u64,
}

/// What became of asking the engine for names, image and labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// Whether there is an answer.
    pub state: MetadataState,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who said so, for each field of the container that has a value: `name` to `docker`, `id` to `cgroup-path` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<Text, Text>,
}

/// Whether the engine answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetadataState {
    /// Everything that can be known is here.
    Known,
    /// The answer had not come when the report was written.
    Pending,
    /// There is no answer, and none will come.
    Failed,
}
