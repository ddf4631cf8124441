//! What `/proc` says of a process: cgroups, credentials, namespaces, mounts, memory, sockets.
//!
//! The parsers are pure functions over bytes. [`Proc`] reads the files, from any root, each with a limit. A process can
//! be gone between two reads, and its pid another's: whoever joins several reads compares [`Stat::start_ticks`] before
//! and after, or reads it through [`Held`].

mod addresses;
mod cgroup;
mod held;
mod maps;
mod mountinfo;
mod namespace;
mod net;
mod reader;
mod sockets;
mod stat;
mod status;

pub use addresses::{parse_fib_trie, parse_if_inet6};
pub use cgroup::{CgroupLine, parse_cgroup, path_in};
pub use held::{Descriptors, Held, HoldError};
pub use maps::{MappedFile, parse_maps};
pub use mountinfo::{Mount, parse_mountinfo, root_mount};
pub use namespace::{Namespace, Namespaces, parse_namespace};
pub use net::{Interface, parse_interfaces};
pub use reader::{Cmdline, FileId, Outside, Proc, ReadError};
pub use sockets::{SocketAddresses, SocketEntry, SocketTable, parse_sockets};
pub use stat::{Stat, TICKS_PER_SECOND, parse_stat};
pub use status::{SeccompMode, Status, parse_status};

/// A line of a `/proc` file that is not as the kernel writes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} has no valid {field}")]
pub struct ParseError {
    /// Which line, from 1.
    pub line: usize,
    /// What is missing or wrong in it.
    pub field: &'static str,
}

/// The lines with their numbers, without the last, empty one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    bytes.split(|&byte| byte == b'\n').enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty())
}

/// A number in plain decimal digits.
fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    // The standard library would also take a sign.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}
