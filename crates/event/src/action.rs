//! What rules look at: single system calls, and what a program is when it begins.
//!
//! Reports need none of this: the kernel side tells it only while rules are loaded that ask for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Text, decimal};
use crate::{CapabilitySet, Device, FileType, Ids, Protocol, SocketFamily, Syscall};

/// A system call that rules ask for: of all that a program image makes alike, the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// Which call.
    #[serde(flatten)]
    pub syscall: Syscall,
    /// Its six argument registers, whether the call takes them or not, in hexadecimal.
    #[serde(with = "crate::payload::hexadecimal")]
    #[schemars(with = "[String; 6]")]
    pub args: [u64; 6],
    /// What it returned, -4095 to -1 being a negative errno.
    pub result: i64,
    /// The file or socket that it opened, or that it was called with; none if it is about none, or failed to open one.
    pub file: Option<Descriptor>,
    /// How it was to be opened (`O_*`), also where the call takes a struct; none if nothing was.
    pub open_flags: Option<u32>,
    /// The name that was passed, or the first of two; empty if the call takes none.
    pub path: Text,
    /// The directory that `path` starts from if it is relative, resolved by the kernel, seen from the task's own root; else empty.
    pub directory: Text,
    /// The second name that was passed; empty if the call takes none.
    pub second_path: Text,
    /// The directory that `second_path` starts from, as `directory`.
    pub second_directory: Text,
    /// Whether a name is cut off, or could not be read; or the head of a directory is missing.
    pub path_truncated: bool,
    /// The address that was passed, as to `connect`; none if the call takes none, or it is of another family.
    pub address: Option<Endpoint>,
    /// With which rights it was made.
    pub rights: Rights,
}

/// An open file or socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Descriptor {
    /// Its number in the process.
    pub number: i32,
    /// What it is.
    pub file_type: FileType,
    /// Its path, resolved by the kernel, seen from the task's own root; empty of a socket.
    pub path: Text,
    /// Whether the head of the path is missing.
    pub path_truncated: bool,
    /// Whether the file is written in the container's own layer of an overlay file system, or was copied there.
    pub upper_layer: bool,
    /// If it is a socket: between whom.
    pub socket: Option<SocketEnds>,
}

/// What a socket connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketEnds {
    /// Its family.
    pub family: SocketFamily,
    /// What it carries.
    pub protocol: Protocol,
    /// The end here, if it has an address.
    pub local: Option<Endpoint>,
    /// The other end, if there is one.
    pub remote: Option<Endpoint>,
    /// Which side began it, if that is known.
    pub direction: Option<crate::Direction>,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// An IPv4 or IPv6 address, or the path or name of a unix socket.
    #[schemars(example = &"10.0.0.7")]
    pub address: Text,
    /// The port; 0 if there is none.
    pub port: u32,
}

/// With which rights a task does something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Rights {
    /// Its ids, as the first user namespace numbers them.
    #[serde(flatten)]
    pub ids: Ids,
    /// Effective capabilities.
    pub effective: CapabilitySet,
    /// Permitted capabilities.
    pub permitted: CapabilitySet,
    /// Inheritable capabilities.
    pub inheritable: CapabilitySet,
}

/// What a program is when it begins: told right before its `exec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageFacts {
    /// With which rights it begins.
    pub rights: Rights,
    /// Who logged in (`/proc/PID/loginuid`); none if nobody did.
    pub login_uid: Option<u32>,
    /// The terminal of its session; none if it has none.
    pub terminal: Option<Device>,
    /// The session's leader, in the task's own pid namespace; 0 if it is not in there.
    pub session: u32,
    /// The leader of the process group, in the task's own pid namespace; 0 if it is not in there.
    pub process_group: u32,
    /// The leader of the process group, in the first pid namespace.
    pub process_group_outside: u32,
    /// Whether the executable has no name in any file system: it was made by `memfd_create`.
    pub from_memory: bool,
    /// Whether the executable has no name any more.
    pub deleted: bool,
    /// Whether the executable is written in the container's own layer of an overlay file system: it was not in the image, or was
    /// changed or touched since.
    pub upper_layer: bool,
    /// The executable's inode number.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub inode: u64,
    /// When its inode was changed last, in nanoseconds since 1970.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub changed_ns: u64,
    /// When it was written last, in nanoseconds since 1970.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub modified_ns: u64,
    /// What descriptors 0, 1 and 2 are, if they are sockets or pipes.
    pub standard: Vec<StandardStream>,
    /// The environment, as much as is read of it; empty unless a rule asks for it.
    pub environment: Vec<Text>,
}

/// What one of the first three descriptors is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct StandardStream {
    /// 0, 1 or 2.
    pub number: u8,
    /// What it is: a socket or a pipe.
    pub file_type: FileType,
    /// Of a socket: its family.
    pub family: Option<SocketFamily>,
}
