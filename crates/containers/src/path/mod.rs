//! Which container a cgroup path belongs to, told by its names alone.
//!
//! Names are a hint: anybody who may make a cgroup may name it. What makes a cgroup a container is decided from its
//! structure elsewhere; this module says what the engines' own conventions make of a path, so that the engine can be
//! asked for the rest. Nothing here reads a file.

mod component;

use serde::{Deserialize, Serialize};

pub(crate) use component::is_hex_id;
use component::{Meaning, meaning};

/// Who made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Docker (moby), rootless too.
    Docker,
    /// containerd through its own API: `ctr`, `nerdctl`.
    Containerd,
    /// Something that speaks the Kubernetes runtime interface: containerd's CRI service, k3s, or not known which.
    Cri,
    /// CRI-O.
    CriO,
    /// Podman (libpod), rootless too.
    Podman,
    /// BuildKit: a step of an image build.
    Buildkit,
    /// Buildah: a step of an image build.
    Buildah,
    /// LXC, LXD or Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// runc without an engine.
    Runc,
    /// crun without an engine.
    Crun,
    /// youki without an engine.
    Youki,
    /// Kata Containers: the workload runs behind another kernel.
    Kata,
    /// ringfence's own sandbox.
    Ringfence,
    /// Looks like a container; the path does not say whose.
    Unknown,
}

impl Engine {
    /// Every engine, [`Engine::Unknown`] last.
    pub const ALL: [Engine; 15] = [
        Engine::Docker,
        Engine::Containerd,
        Engine::Cri,
        Engine::CriO,
        Engine::Podman,
        Engine::Buildkit,
        Engine::Buildah,
        Engine::Lxc,
        Engine::Nspawn,
        Engine::Runc,
        Engine::Crun,
        Engine::Youki,
        Engine::Kata,
        Engine::Ringfence,
        Engine::Unknown,
    ];

    /// The lower-case name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Containerd => "containerd",
            Engine::Cri => "cri",
            Engine::CriO => "cri-o",
            Engine::Podman => "podman",
            Engine::Buildkit => "buildkit",
            Engine::Buildah => "buildah",
            Engine::Lxc => "lxc",
            Engine::Nspawn => "nspawn",
            Engine::Runc => "runc",
            Engine::Crun => "crun",
            Engine::Youki => "youki",
            Engine::Kata => "kata",
            Engine::Ringfence => "ringfence",
            Engine::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A container as its cgroup path names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Who made it.
    pub engine: Engine,
    /// The engine's id for it: 64 hexadecimal digits with most, a name with some. Never empty, plain ASCII.
    pub id: String,
    /// The pod whose cgroup it is in: its Kubernetes uid, with dashes, or its libpod id.
    pub pod: Option<String>,
}

/// What a cgroup is, as its path names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The cgroup of a container. A pod's pause container is one too: only the engine knows which it is.
    Container(Identity),
    /// A cgroup below that of a container: made by its workload, or by the runtime for itself (`/container`).
    Inside(Identity),
    /// Holds the containers of one pod, or pods: no task of a workload is directly in it.
    PodParent {
        /// The pod's Kubernetes uid, with dashes, or its libpod id; none for a group of pods.
        pod: Option<String>,
    },
    /// Holds an engine's containers.
    EngineParent(Engine),
    /// The process that an engine leaves beside a container to watch it (conmon, an LXC monitor); no workload.
    Monitor,
    /// Nothing that this crate knows.
    Ordinary,
}

impl Kind {
    /// The container that a task in this cgroup belongs to, if the path names one.
    pub fn container(&self) -> Option<&Identity> {
        match self {
            Kind::Container(identity) | Kind::Inside(identity) => Some(identity),
            _ => None,
        }
    }

    /// Whether an engine made it, or something that looks like one.
    pub fn is_of_an_engine(&self) -> bool {
        !matches!(self, Kind::Ordinary)
    }
}

/// What the cgroup with this path (below the root of its hierarchy, as `/proc/PID/cgroup` shows it) is.
///
/// Where containers are nested, the innermost counts; [`chain`] gives them all.
pub fn classify(path: &[u8]) -> Kind {
    let walk = Walk::along(path);
    match walk.last {
        Meaning::Container { .. } => match walk.containers.last() {
            Some(found) => Kind::Container(found.identity.clone()),
            None => Kind::Ordinary,
        },
        Meaning::Pod { pod } => Kind::PodParent { pod },
        Meaning::EngineParent(engine) => Kind::EngineParent(engine),
        Meaning::Monitor => Kind::Monitor,
        Meaning::Nothing => match walk.containers.last() {
            Some(found) => Kind::Inside(found.identity.clone()),
            None => Kind::Ordinary,
        },
    }
}

/// One container on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub identity: Identity,
    /// How many bytes of the path name its cgroup: `&path[..length]`.
    pub length: usize,
}

/// Every container that the path leads through, the outermost first.
pub fn chain(path: &[u8]) -> Vec<Found> {
    Walk::along(path).containers
}

/// Whether a runtime, or ringfence's sandbox, accepts it as a container's id: up to 253 letters, digits and `_.+-:@`.
pub fn is_valid_id(id: &str) -> bool {
    component::is_id(id)
}

/// What is longer or deeper is cut: no path that a kernel makes is.
const MAX_PATH_BYTES: usize = 64 * 1024;
const MAX_NESTED: usize = 64;

/// What the components of a path mean, read from the left.
struct Walk {
    containers: Vec<Found>,
    last: Meaning,
}

impl Walk {
    fn along(path: &[u8]) -> Walk {
        let path = &path[..path.len().min(MAX_PATH_BYTES)];
        let mut walk = Walk { containers: Vec::new(), last: Meaning::Nothing };
        // The components since the innermost container, or since the root.
        let mut above: Vec<&[u8]> = Vec::new();
        let mut pod = None;
        let mut end = 0;
        for component in path.split(|&byte| byte == b'/') {
            let start = end;
            end += component.len() + 1;
            if component.is_empty() {
                continue;
            }
            let inside = walk.containers.last().map(|found| found.identity.engine);
            walk.last = meaning(&above, inside, component);
            above.push(component);
            match &walk.last {
                Meaning::Pod { pod: found } => pod = found.clone(),
                Meaning::Container { engine, id, pod: own } if walk.containers.len() < MAX_NESTED => {
                    let identity = Identity { engine: *engine, id: id.clone(), pod: own.clone().or(pod.take()) };
                    walk.containers.push(Found { identity, length: start + component.len() });
                    above.clear();
                }
                _ => {}
            }
        }
        walk
    }
}

#[cfg(test)]
mod tests;
