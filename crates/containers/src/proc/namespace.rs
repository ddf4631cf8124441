//! `/proc/PID/ns`: the namespaces that a process is in.

use serde::{Deserialize, Serialize};

/// A kind of namespace, by its name in `/proc/PID/ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Mounts.
    Mount,
    /// Process ids.
    Pid,
    /// Users.
    User,
    /// Network.
    Net,
    /// System V IPC and message queues.
    Ipc,
    /// Host name.
    Uts,
    /// The root of the cgroup paths.
    Cgroup,
}

impl Namespace {
    /// The name of its link in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Namespace::Mount => "mnt",
            Namespace::Pid => "pid",
            Namespace::User => "user",
            Namespace::Net => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::Cgroup => "cgroup",
        }
    }
}

/// The numbers of the namespaces that set a container apart; 0 where the kernel has none of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Namespaces {
    /// Mounts.
    pub mount: u32,
    /// Process ids.
    pub pid: u32,
    /// Users.
    pub user: u32,
    /// Network.
    pub net: u32,
    /// The root of the cgroup paths.
    pub cgroup: u32,
}

/// The number in a link's text, such as `mnt:[4026531841]`, if it is of that kind.
pub fn parse_namespace(kind: Namespace, link: &[u8]) -> Option<u32> {
    let number = link.strip_prefix(kind.name().as_bytes())?.strip_prefix(b":[")?.strip_suffix(b"]")?;
    super::number(number)
}

#[cfg(test)]
mod tests {
    use super::{Namespace, parse_namespace};

    #[test]
    fn the_number_is_read_only_from_a_link_of_its_kind() {
        assert_eq!(parse_namespace(Namespace::Mount, b"mnt:[4026531841]"), Some(4026531841));
        assert_eq!(parse_namespace(Namespace::Pid, b"mnt:[4026531841]"), None);
        assert_eq!(parse_namespace(Namespace::Mount, b"mnt:[]"), None);
        assert_eq!(parse_namespace(Namespace::Mount, b"mnt:[-1]"), None);
        assert_eq!(parse_namespace(Namespace::Mount, b"mnt:[99999999999]"), None);
    }
}
