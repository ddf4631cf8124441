//! What rules may ask beyond what one event says: of the process's program, its ancestors, its container, and of names.
//!
//! All of it is borrowed and optional. What is not known is unset, and a comparison with it is false.

use std::collections::BTreeMap;
use std::fmt::Debug;

use event::{Exec, ImageFacts, Text};

/// What is known around an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Which of the events it is that rules looked at, the first being 1; 0 if nobody counted.
    pub number: u64,
    /// What the process's program was when it began.
    pub image: Option<&'a ImageFacts>,
    /// The exec with which the process's program began; of an event that is an exec, that one is taken.
    pub exec: Option<&'a Exec>,
    /// The process's ancestors.
    pub lineage: Option<&'a dyn Lineage>,
    /// What is known of the container beyond its names.
    pub container: ContainerFacts<'a>,
    /// Who has a name for users, groups and addresses.
    pub names: Option<&'a dyn Names>,
    /// The host's name.
    pub hostname: Option<&'a str>,
}

/// A process as one of its descendants, or a member of its session, sees it.
#[derive(Clone, Copy, Debug)]
pub struct Relative<'a> {
    /// The thread's name (`comm`) as it was seen last.
    pub name: &'a Text,
    /// The path of its program, if its exec was seen.
    pub executable: Option<&'a Text>,
    /// Its arguments, the program's own name first; empty if its exec was not seen.
    pub argv: &'a [Text],
    /// The process id in the first pid namespace.
    pub pid: u32,
    /// The process id in its own pid namespace.
    pub pid_inside: Option<u32>,
    /// When it started, in nanoseconds since boot.
    pub start_ns: u64,
}

/// The relatives of the process that did something.
pub trait Lineage: Debug {
    /// An ancestor: 1 is the parent, 2 the grandparent. None above the last that is known.
    fn ancestor(&self, level: usize) -> Option<Relative<'_>>;

    /// The leader of its session: that process, or the eldest known ancestor in the same session.
    fn session_leader(&self) -> Option<Relative<'_>> {
        None
    }

    /// The leader of its process group, likewise.
    fn group_leader(&self) -> Option<Relative<'_>> {
        None
    }
}

/// Ancestors in their order, the parent first.
impl Lineage for Vec<Relative<'_>> {
    fn ancestor(&self, level: usize) -> Option<Relative<'_>> {
        self.get(level.checked_sub(1)?).copied()
    }
}

/// Names for numbers, as the container sees them. Asked only when a rule needs one.
pub trait Names: Debug {
    /// The name of a user, by the number that the first user namespace has for it.
    fn user(&self, uid: u32) -> Option<&[u8]>;

    /// The name of a group, likewise.
    fn group(&self, gid: u32) -> Option<&[u8]>;

    /// Shows every host name that the container was told stands for this address.
    fn hosts(&self, address: &[u8], visit: &mut dyn FnMut(&[u8]));
}

/// What is known of a container beyond its names.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContainerFacts<'a> {
    /// The image's own id.
    pub image_id: Option<&'a str>,
    /// The digest of the image's manifest.
    pub image_digest: Option<&'a str>,
    /// Whether it has all privileges.
    pub privileged: Option<bool>,
    /// What is mounted from outside; none if nobody said.
    pub mounts: Option<&'a [ContainerMount]>,
    /// Its labels, those of Kubernetes among them.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// When it was started, in nanoseconds since 1970.
    pub start: Option<u64>,
    /// Whether it has the host's network namespace.
    pub host_network: Option<bool>,
    /// Whether it has the host's pid namespace.
    pub host_pid: Option<bool>,
    /// Whether it has the host's ipc namespace.
    pub host_ipc: Option<bool>,
    /// Its address.
    pub address: Option<&'a str>,
}

/// Something of the host's that a container sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerMount {
    /// Where it is on the host.
    pub source: String,
    /// Where it is in the container.
    pub destination: String,
    /// How it is mounted.
    pub mode: String,
    /// Whether it can be written.
    pub is_writable: bool,
    /// How mounts below it spread.
    pub propagation: String,
}
