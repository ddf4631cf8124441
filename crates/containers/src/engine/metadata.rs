//! What an engine can say about a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::path::Engine;

/// Where a fact came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Docker's HTTP API.
    Docker,
    /// Podman's HTTP API.
    Podman,
    /// The Kubernetes container runtime interface.
    Cri,
    /// containerd's own API.
    Containerd,
    /// The runtime's state and the OCI bundle, on disk.
    Bundle,
    /// Podman's storage, on disk.
    PodmanStorage,
}

impl Source {
    /// The name, as in messages.
    pub fn name(self) -> &'static str {
        match self {
            Source::Docker => "docker API",
            Source::Podman => "podman API",
            Source::Cri => "container runtime interface",
            Source::Containerd => "containerd API",
            Source::Bundle => "OCI bundle",
            Source::PodmanStorage => "podman storage",
        }
    }
}

/// What a container is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It runs a workload.
    #[default]
    Workload,
    /// It only holds a pod's namespaces (the pause or infra container).
    PodSandbox,
}

/// The seccomp setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// None: every system call is allowed.
    Unconfined,
    /// The engine's default profile.
    EngineDefault,
    /// This one: its JSON, or its name or path where the engine says no more.
    Profile(String),
}

/// The security settings that a container was made with. What a source does not say is none, never a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Whether nearly all confinement is off.
    pub privileged: Option<bool>,
    /// Whether exec can no longer give privileges.
    pub no_new_privileges: Option<bool>,
    /// The seccomp setting.
    pub seccomp: Option<Seccomp>,
    /// The AppArmor profile's name.
    pub apparmor: Option<String>,
    /// The SELinux label of its processes.
    pub selinux: Option<String>,
    /// Capabilities that were asked for beside the default ones (`CAP_…`, or `ALL`).
    pub capabilities_added: Option<Vec<String>>,
    /// Default capabilities that were asked to be dropped (`CAP_…`, or `ALL`).
    pub capabilities_dropped: Option<Vec<String>>,
    /// The capabilities that resulted (the bounding set).
    pub capabilities: Option<Vec<String>>,
    /// Whether the root file system cannot be written.
    pub read_only_root: Option<bool>,
    /// The user that the first process runs as, as it was asked for; empty means the image's.
    pub user: Option<String>,
}

/// The pod that a container belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its Kubernetes name, or libpod's.
    pub name: Option<String>,
    /// Its Kubernetes namespace.
    pub namespace: Option<String>,
    /// Its Kubernetes uid, or libpod's id.
    pub uid: Option<String>,
    /// What the container is called in the pod's specification.
    pub container: Option<String>,
}

impl Pod {
    /// The pod that labels or annotations name, in any of the ways in which engines do.
    pub(super) fn named_in(words: &BTreeMap<String, String>) -> Option<Pod> {
        let first =
            |keys: &[&str]| keys.iter().find_map(|&key| words.get(key)).filter(|word| !word.is_empty()).cloned();
        let pod = Pod {
            name: first(&["io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name", "io.kubernetes.cri-o.KubeName"]),
            namespace: first(&[
                "io.kubernetes.pod.namespace",
                "io.kubernetes.cri.sandbox-namespace",
                "io.kubernetes.cri-o.Namespace",
            ]),
            uid: first(&["io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"]),
            container: first(&["io.kubernetes.container.name", "io.kubernetes.cri.container-name"]),
        };
        (pod != Pod::default()).then_some(pod)
    }
}

/// A port of the host that is forwarded to a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address; `0.0.0.0` and `::` stand for all.
    pub host_address: String,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub port: u16,
}

/// What is known about a container beside what the kernel says.
///
/// All text is as the engine has it: chosen by whoever made the container, so it must be escaped before it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who made it.
    pub engine: Engine,
    /// The engine's version.
    pub engine_version: Option<String>,
    /// What the engine runs it with: `runc`, `io.containerd.runc.v2` …
    pub runtime: Option<String>,
    /// The engine's id for it.
    pub id: String,
    /// Its name; of a container in a Kubernetes pod, its name in the pod's specification.
    pub name: Option<String>,
    /// containerd's namespace.
    pub namespace: Option<String>,
    /// What it is for.
    pub role: Role,
    /// The image, as it was asked for.
    pub image: Option<String>,
    /// The image's own id (the digest of its configuration).
    pub image_id: Option<String>,
    /// The digest of the image's manifest, by which a registry knows it; a local image may have none.
    pub image_digest: Option<String>,
    /// Labels; of a bare bundle, its annotations.
    pub labels: BTreeMap<String, String>,
    /// The command with its arguments.
    pub command: Option<Vec<String>>,
    /// When it was made (RFC 3339).
    pub created: Option<String>,
    /// The first process, as this host numbers it; none if it does not run.
    pub pid: Option<u32>,
    /// Security settings.
    pub security: Security,
    /// The ports that are forwarded to it, in order.
    pub published_ports: Option<Vec<PublishedPort>>,
    /// What it was made with beside that.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// The directories below the one that it writes to, the topmost first, where the engine sees them; only of an overlay.
    pub layers: Option<Vec<String>>,
    /// The pod it belongs to.
    pub pod: Option<Pod>,
    /// The directory of its OCI bundle.
    pub bundle: Option<String>,
    /// Which source each of the fields above came from.
    pub sources: BTreeMap<String, Source>,
}

impl Metadata {
    /// Nothing but whose it is.
    pub fn new(engine: Engine, id: &str) -> Metadata {
        Metadata {
            engine,
            id: id.to_owned(),
            engine_version: None,
            runtime: None,
            name: None,
            namespace: None,
            role: Role::Workload,
            image: None,
            image_id: None,
            image_digest: None,
            labels: BTreeMap::new(),
            command: None,
            created: None,
            pid: None,
            published_ports: None,
            settings: None,
            layers: None,
            security: Security::default(),
            pod: None,
            bundle: None,
            sources: BTreeMap::new(),
        }
    }

    /// Takes from `other` what is not known yet, and notes that it came from `source`.
    pub(super) fn fill_from(&mut self, other: Metadata, source: Source) {
        let Metadata { engine, id, role, labels, security, sources: _, .. } = other;
        let mut learnt: Vec<&'static str> = Vec::new();
        macro_rules! fill {
            ($($field:ident),*) => { $(
                if self.$field.is_none() && other.$field.is_some() {
                    self.$field = other.$field;
                    learnt.push(stringify!($field));
                }
            )* };
        }
        fill!(
            engine_version,
            runtime,
            name,
            namespace,
            image,
            image_id,
            image_digest,
            command,
            created,
            pid,
            published_ports,
            settings,
            layers,
            pod,
            bundle
        );
        macro_rules! fill_security {
            ($($field:ident),*) => { $(
                if self.security.$field.is_none() && security.$field.is_some() {
                    self.security.$field = security.$field;
                    learnt.push(concat!("security.", stringify!($field)));
                }
            )* };
        }
        fill_security!(privileged, no_new_privileges, seccomp, apparmor, selinux, capabilities_added);
        fill_security!(capabilities_dropped, capabilities, read_only_root, user);
        if self.labels.is_empty() && !labels.is_empty() {
            self.labels = labels;
            learnt.push("labels");
        }
        if role == Role::PodSandbox && self.role == Role::Workload {
            self.role = role;
            learnt.push("role");
        }
        if !self.sources.contains_key("engine") && engine != Engine::Unknown {
            self.engine = engine;
            learnt.push("engine");
        }
        if !self.sources.contains_key("id") {
            self.id = id;
            learnt.push("id");
        }
        self.sources.extend(learnt.into_iter().map(|field| (field.to_owned(), source)));
    }

    /// With every known field noted as from `source`.
    pub(super) fn said_by(self, source: Source) -> Metadata {
        let mut metadata = Metadata::new(self.engine, &self.id);
        metadata.fill_from(self, source);
        metadata
    }
}

/// `CAP_NET_RAW` for `net_raw`, `NET_RAW` and `CAP_NET_RAW`; `ALL` stays.
pub(super) fn capability_names(names: &[String]) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let upper = name.to_ascii_uppercase();
            if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Metadata, Pod, Source, capability_names};
    use crate::path::Engine;

    #[test]
    fn the_first_source_of_a_field_wins_and_is_noted() {
        let named = Metadata { name: Some("web".into()), ..Metadata::new(Engine::Docker, "ab") };
        let mut other = Metadata { name: Some("other".into()), pid: Some(7), ..Metadata::new(Engine::Runc, "ab") };
        other.security.no_new_privileges = Some(true);

        let mut metadata = named.said_by(Source::Docker);
        metadata.fill_from(other, Source::Bundle);

        assert_eq!((metadata.engine, metadata.name.as_deref(), metadata.pid), (Engine::Docker, Some("web"), Some(7)));
        let sources: Vec<_> = metadata.sources.iter().map(|(field, source)| (field.as_str(), *source)).collect();
        let expected = [
            ("engine", Source::Docker),
            ("id", Source::Docker),
            ("name", Source::Docker),
            ("pid", Source::Bundle),
            ("security.no_new_privileges", Source::Bundle),
        ];
        assert_eq!(sources, expected);
    }

    #[test]
    fn a_pod_is_found_in_the_words_of_every_engine() {
        let words = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };

        let kubelet = words(&[("io.kubernetes.pod.name", "web-0"), ("io.kubernetes.pod.namespace", "shop")]);
        let containerd = words(&[("io.kubernetes.cri.sandbox-name", "web-0"), ("io.kubernetes.cri.sandbox-uid", "u")]);

        assert_eq!(Pod::named_in(&kubelet).and_then(|pod| pod.namespace).as_deref(), Some("shop"));
        assert_eq!(Pod::named_in(&containerd).and_then(|pod| pod.uid).as_deref(), Some("u"));
        assert_eq!(Pod::named_in(&words(&[("tier", "front")])), None);
    }

    #[test]
    fn capabilities_have_one_spelling() {
        let names = ["net_raw", "CAP_CHOWN", "all"].map(String::from);

        assert_eq!(capability_names(&names), ["CAP_NET_RAW", "CAP_CHOWN", "ALL"]);
    }
}
