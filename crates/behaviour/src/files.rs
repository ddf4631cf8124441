//! Files: what was opened, read, written and run, and what was done to names.

use event::{Device, Errno, FileAccesses, FileType, NameOperation, Phase, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FirstUse;
use crate::lists::{earlier, merged};

/// What a container did with files. Each list is ordered by its first fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Files {
    /// Each path that was used, once per phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathUse>,
    /// Each name that something was done to, and each open that failed, once per phase and way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameUse>,
    /// Files beyond those that are listed, counted by directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<DirectoryUse>,
    /// The mounts that they were reached through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountUse>,
    /// Paths and names that were counted and whose text is not known, because it found no room on its way.
    #[serde(default, skip_serializing_if = "is_zero", with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub untold: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How one path was used in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The path, resolved by the kernel, seen from the root of the task that used it first.
    pub path: Text,
    /// What it is.
    pub file_type: FileType,
    /// All that was done with it.
    pub accesses: FileAccesses,
    /// How often it was opened; 0 if it was inherited, handed over, or only run.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub opens: u64,
    /// Bytes read from it; left out if they were not asked for.
    #[serde(default, skip_serializing_if = "is_zero", with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub read_bytes: u64,
    /// Bytes written to it; left out if they were not asked for.
    #[serde(default, skip_serializing_if = "is_zero", with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub written_bytes: u64,
    /// The first use.
    pub first: Option<FirstUse>,
    /// The path that the program passed then; left out if it is the same.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub argument: Text,
    /// The end of the last snapshot interval in which it was opened or used in a new way, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
    /// The mount that it was reached through, as `mounts` numbers it.
    pub mount: u32,
    /// The file system that it lies in.
    pub device: Device,
    /// Its inode number there, at the first use.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub inode: u64,
    /// File systems give the number of a file that was deleted to another, with another number here; 0 where they do not, and in
    /// reports of early versions.
    #[serde(default)]
    pub inode_generation: u32,
    /// The head of the path is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub path_truncated: bool,
    /// The argument is cut off, or could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub argument_truncated: bool,
    /// It had no name any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// It cannot be reached from the task's root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreachable: bool,
}

/// How often one thing was done to one name in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// What was done, or tried.
    pub operation: NameOperation,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// The name as it was passed, behind the directory that it starts from: no link in it is followed. Empty: all others,
    /// beyond those that are listed.
    pub path: Text,
    /// The second name, of a rename or a link; else left out.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub second_path: Text,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first time.
    pub first: Option<FirstUse>,
    /// The end of the last snapshot interval in which the count grew, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
    /// A name is cut off, or could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// How the files of one directory were used that are not listed themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The directory; empty stands for all that found no room of their own.
    pub path: Text,
    /// How often one of them was opened.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub opens: u64,
    /// How many different ones they are, estimated, with a standard error of 6.5 %.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub distinct: u64,
    /// All that was done with any of them.
    pub accesses: FileAccesses,
    /// The first use.
    pub first: Option<FirstUse>,
}

/// A mount, and what went through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MountUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// Its number, as `/proc/PID/mountinfo` has it.
    pub mount: u32,
    /// Where it is mounted; empty if that is not known.
    pub point: Text,
    /// Where its files lie.
    pub place: Place,
    /// The type of the file system.
    pub fs_type: Text,
    /// The device of its file system.
    pub device: Device,
    /// The directory of the file system that is mounted.
    pub root: Text,
    /// What was mounted: a device, or any word.
    pub source: Text,
    /// Where the host has the same directory; left out if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<Text>,
    /// Of an overlay, such as most engines make of an image, the directories of the host that it shows but does not write to, the
    /// topmost first; left out if they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Text>,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Bytes read from files in it.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub read_bytes: u64,
    /// Bytes written to files in it.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub written_bytes: u64,
}

/// Where the files of a mount lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The container's root: its image, and what it wrote over it.
    Root,
    /// A volume of its engine.
    Volume,
    /// A file or directory of the host.
    Bind,
    /// Memory.
    Tmpfs,
    /// The kernel's view of processes.
    Proc,
    /// The kernel's view of devices, cgroups and itself.
    Sys,
    /// Devices and terminals.
    Dev,
    /// Nowhere that has a path: memfd, shared memory.
    Internal,
}

impl Place {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Place::Root => "root",
            Place::Volume => "volume",
            Place::Bind => "bind",
            Place::Tmpfs => "tmpfs",
            Place::Proc => "proc",
            Place::Sys => "sys",
            Place::Dev => "dev",
            Place::Internal => "internal",
        }
    }

    /// By what is mounted where: the type of the file system, the mount point, and the directory that is mounted.
    pub fn of(fs_type: &[u8], point: &[u8], root: &[u8]) -> Place {
        let is_unreachable = point.starts_with(b"(unreachable)");
        let is_below_dev = point == b"/dev" || point.starts_with(b"/dev/");
        match fs_type {
            b"proc" => Place::Proc,
            b"sysfs" | b"cgroup" | b"cgroup2" | b"securityfs" | b"debugfs" | b"tracefs" | b"bpf" | b"pstore"
            | b"efivarfs" | b"configfs" | b"selinuxfs" => Place::Sys,
            b"devtmpfs" | b"devpts" | b"mqueue" => Place::Dev,
            b"tmpfs" if is_below_dev && root == b"/" => Place::Dev,
            b"tmpfs" if root == b"/" && !is_unreachable => Place::Tmpfs,
            b"tmpfs" | b"hugetlbfs" if is_unreachable => Place::Internal,
            b"pipefs" | b"sockfs" | b"nsfs" | b"anon_inodefs" => Place::Internal,
            _ if point == b"/" => Place::Root,
            _ if is_volume(root) => Place::Volume,
            _ => Place::Bind,
        }
    }
}

/// The folders in which docker and podman keep volumes end so, wherever they lie.
fn is_volume(root: &[u8]) -> bool {
    let folder = b"/volumes/";
    root.windows(folder.len()).position(|part| part == folder).is_some_and(|at| {
        let name = &root[at + folder.len()..];
        name.split(|&byte| byte == b'/').nth(1) == Some(b"_data")
    })
}

impl Files {
    /// How often files were opened of which not even the directory is listed.
    pub fn unlisted_opens(&self) -> u64 {
        let others = self.directories.iter().filter(|directory| directory.path.is_empty());
        others.fold(0, |sum, directory| sum.saturating_add(directory.opens))
    }

    /// How often something was done to a name that is not listed.
    pub fn unlisted_names(&self) -> u64 {
        let others = self.names.iter().filter(|name| name.path.is_empty());
        others.fold(0, |sum, name| sum.saturating_add(name.count))
    }

    /// The files of several runs as one: every path and name of both, the sums of the counts, the earliest first use and
    /// the latest last one. Directories that are counted together may have the same files in both: their number of
    /// different ones is the larger of the two, at least.
    pub fn merge(self, other: Files) -> Files {
        Files {
            // A file from outside, or without a name, is not the one that a path of the container leads to.
            paths: merged(
                self.paths,
                other.paths,
                |one| (one.phase, one.path.clone(), one.unreachable, one.deleted),
                PathUse::merge,
            ),
            names: merged(
                self.names,
                other.names,
                |one| (one.phase, one.operation, one.errno, one.path.clone(), one.second_path.clone()),
                NameUse::merge,
            ),
            directories: merged(
                self.directories,
                other.directories,
                |one| (one.phase, one.path.clone()),
                DirectoryUse::merge,
            ),
            mounts: merged(
                self.mounts,
                other.mounts,
                |one| (one.phase, one.point.clone(), one.device, one.root.clone(), one.mount),
                MountUse::merge,
            ),
            untold: self.untold.saturating_add(other.untold),
        }
    }
}

impl PathUse {
    fn merge(self, other: PathUse) -> PathUse {
        // What is told of the first use goes with it.
        let (mut sum, later) = match (&self.first, &other.first) {
            (Some(first), Some(second)) if second < first => (other, self),
            (None, Some(_)) => (other, self),
            _ => (self, other),
        };
        sum.accesses = sum.accesses.with(later.accesses);
        sum.opens = sum.opens.saturating_add(later.opens);
        sum.read_bytes = sum.read_bytes.saturating_add(later.read_bytes);
        sum.written_bytes = sum.written_bytes.saturating_add(later.written_bytes);
        sum.last_boot_ns = sum.last_boot_ns.max(later.last_boot_ns);
        sum
    }
}

impl NameUse {
    fn merge(self, other: NameUse) -> NameUse {
        NameUse {
            count: self.count.saturating_add(other.count),
            first: earlier(self.first, other.first),
            last_boot_ns: self.last_boot_ns.max(other.last_boot_ns),
            truncated: self.truncated || other.truncated,
            ..NameUse { first: None, ..self }
        }
    }
}

impl DirectoryUse {
    fn merge(self, other: DirectoryUse) -> DirectoryUse {
        DirectoryUse {
            // Without a path they are the rest of several directories.
            distinct: if self.path.is_empty() {
                self.distinct.saturating_add(other.distinct)
            } else {
                self.distinct.max(other.distinct)
            },
            phase: self.phase,
            path: self.path,
            opens: self.opens.saturating_add(other.opens),
            accesses: self.accesses.with(other.accesses),
            first: earlier(self.first, other.first),
        }
    }
}

impl MountUse {
    fn merge(self, other: MountUse) -> MountUse {
        MountUse {
            read_bytes: self.read_bytes.saturating_add(other.read_bytes),
            written_bytes: self.written_bytes.saturating_add(other.written_bytes),
            host_path: self.host_path.min(other.host_path),
            layers: if self.layers.is_empty() { other.layers } else { self.layers },
            ..MountUse { host_path: None, layers: Vec::new(), ..self }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_lie_is_told_by_what_is_mounted_where() {
        for (fs_type, point, root, place) in [
            ("overlay", "/", "/", Place::Root),
            ("ext4", "/", "/var/tmp/bundle/rootfs", Place::Root),
            ("ext4", "/data", "/var/lib/docker/volumes/web_data/_data", Place::Volume),
            ("ext4", "/data", "/home/user/volumes/x", Place::Bind),
            ("ext4", "/etc/hosts", "/var/lib/docker/containers/1/hosts", Place::Bind),
            ("tmpfs", "/tmp", "/", Place::Tmpfs),
            ("tmpfs", "/dev", "/", Place::Dev),
            ("tmpfs", "/run/docker.sock", "/docker.sock", Place::Bind),
            ("devtmpfs", "/dev/null", "/null", Place::Dev),
            ("devpts", "/dev/pts", "/", Place::Dev),
            ("proc", "/proc/sys", "/sys", Place::Proc),
            ("cgroup2", "/sys/fs/cgroup", "/", Place::Sys),
            ("tmpfs", "(unreachable)//", "/", Place::Internal),
        ] {
            let found = Place::of(fs_type.as_bytes(), point.as_bytes(), root.as_bytes());
            assert_eq!(found, place, "{fs_type} on {point}");
        }
    }
}
