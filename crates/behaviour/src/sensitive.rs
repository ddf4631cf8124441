//! Files through which a container reaches the machine itself.

use event::{Errno, FileAccess, FileType, NameOperation};

use crate::{Files, MountUse, NameUse, PathUse};

const WRITES: [FileAccess; 4] =
    [FileAccess::OpenedToWrite, FileAccess::Written, FileAccess::Truncated, FileAccess::Created];
const EPERM: Errno = Errno(1);
const EACCES: Errno = Errno(13);
const EROFS: Errno = Errno(30);

impl Files {
    /// What of the machine somebody had a hold on who used a file so; none if it is an ordinary file. Writing is what
    /// counts, but for devices, where opening is enough.
    pub fn sensitive(&self, used: &PathUse) -> Option<&'static str> {
        let path = used.path.as_bytes();
        let is_write = used.accesses.has_any(&WRITES);
        let is_open = is_write || used.accesses.has_any(&[FileAccess::OpenedToRead, FileAccess::Read]);
        match used.file_type {
            FileType::BlockDevice if is_open => return Some("raw block device"),
            FileType::CharacterDevice if is_open => return memory_device(path),
            _ => {}
        }
        let mount = self
            .mounts
            .iter()
            .find(|mount| (mount.phase, mount.mount, mount.device) == (used.phase, used.mount, used.device))?;
        match mount.fs_type.as_bytes() {
            _ if !is_write => None,
            b"proc" => of_proc(&inside(mount, path)?),
            b"cgroup" | b"cgroup2" if path.ends_with(b"/release_agent") => Some("program that the host runs (cgroup)"),
            b"cgroup" | b"cgroup2" => Some("cgroup"),
            b"sysfs" => Some("kernel object (sysfs)"),
            _ => None,
        }
    }
}

/// The same of an open that failed for a lack of rights: by the name that was passed.
pub fn sensitive_name(name: &NameUse) -> Option<&'static str> {
    let is_refused = matches!(name.errno, Some(EPERM | EACCES | EROFS));
    let path = name.path.as_bytes();
    if name.operation != NameOperation::Open || !is_refused {
        return None;
    }
    if path.starts_with(b"/sys/fs/cgroup/") {
        return Some("cgroup");
    }
    path.strip_prefix(b"/proc").and_then(of_proc).or_else(|| memory_device(path))
}

/// A path in a file system of processes, from its root.
fn of_proc(path: &[u8]) -> Option<&'static str> {
    match path {
        b"/sys/kernel/core_pattern" => Some("program that the host runs (core_pattern)"),
        b"/sys/kernel/modprobe" | b"/sys/kernel/hotplug" => Some("program that the host runs (sysctl)"),
        b"/sysrq-trigger" => Some("sysrq"),
        _ if path.starts_with(b"/sys/") => Some("sysctl"),
        _ => None,
    }
}

fn memory_device(path: &[u8]) -> Option<&'static str> {
    match path {
        b"/dev/mem" | b"/dev/kmem" => Some("memory of the machine"),
        b"/dev/port" => Some("ports of the machine"),
        _ => None,
    }
}

/// The path from the root of the file system that is mounted.
fn inside(mount: &MountUse, path: &[u8]) -> Option<Vec<u8>> {
    let point = mount.point.as_bytes();
    let rest = if point == b"/" { path } else { path.strip_prefix(point)? };
    let root = mount.root.as_bytes();
    Some(if root == b"/" { rest.to_vec() } else { [root, rest].concat() })
}

#[cfg(test)]
mod tests {
    use event::{Device, Phase, Text};

    use super::*;
    use crate::Place;

    fn path(path: &str, file_type: FileType, accesses: &[FileAccess]) -> PathUse {
        PathUse {
            phase: Phase::Main,
            path: path.into(),
            file_type,
            accesses: accesses.iter().copied().collect(),
            opens: 1,
            read_bytes: 0,
            written_bytes: 0,
            first: None,
            argument: Text::default(),
            last_boot_ns: 0,
            mount: 7,
            device: Device { major: 0, minor: 5 },
            inode: 1,
            inode_generation: 0,
            path_truncated: false,
            argument_truncated: false,
            deleted: false,
            unreachable: false,
        }
    }

    fn files(fs_type: &str, point: &str, root: &str) -> Files {
        let mount = MountUse {
            phase: Phase::Main,
            mount: 7,
            point: point.into(),
            place: Place::of(fs_type.as_bytes(), point.as_bytes(), root.as_bytes()),
            fs_type: fs_type.into(),
            device: Device { major: 0, minor: 5 },
            root: root.into(),
            source: Text::default(),
            host_path: None,
            layers: Vec::new(),
            read_only: false,
            read_bytes: 0,
            written_bytes: 0,
        };
        Files { mounts: vec![mount], ..Files::default() }
    }

    #[test]
    fn a_sysctl_is_one_wherever_its_file_system_is_mounted() {
        let written = [FileAccess::OpenedToWrite];
        for (point, root, name) in [
            ("/proc", "/", "/proc/sys/kernel/core_pattern"),
            ("/proc/sys", "/sys", "/proc/sys/kernel/core_pattern"),
            ("/host/proc", "/", "/host/proc/sys/kernel/core_pattern"),
        ] {
            let used = path(name, FileType::Regular, &written);
            let found = files("proc", point, root).sensitive(&used);
            assert_eq!(found, Some("program that the host runs (core_pattern)"), "{name} on {point}");
        }
        let read = path("/proc/sys/kernel/core_pattern", FileType::Regular, &[FileAccess::Read]);
        assert_eq!(files("proc", "/proc", "/").sensitive(&read), None);
        let other = path("/proc/sys/x", FileType::Regular, &written);
        assert_eq!(files("ext4", "/", "/").sensitive(&other), None, "the name alone says nothing");
    }

    #[test]
    fn writing_to_a_cgroup_and_opening_a_device_reaches_the_machine() {
        let written = [FileAccess::Written];
        let agent = path("/sys/fs/cgroup/release_agent", FileType::Regular, &written);
        let found = files("cgroup", "/sys/fs/cgroup", "/").sensitive(&agent);
        assert_eq!(found, Some("program that the host runs (cgroup)"));
        let disk = path("/dev/sda", FileType::BlockDevice, &[FileAccess::OpenedToRead]);
        assert_eq!(files("devtmpfs", "/dev", "/").sensitive(&disk), Some("raw block device"));
        let null = path("/dev/null", FileType::CharacterDevice, &written);
        assert_eq!(files("devtmpfs", "/dev", "/").sensitive(&null), None);
        let seen = path("/dev/mem", FileType::CharacterDevice, &[FileAccess::OpenedAsPath]);
        assert_eq!(files("devtmpfs", "/dev", "/").sensitive(&seen), None);
    }

    #[test]
    fn an_open_that_was_refused_is_told_by_its_name() {
        let name = |path: &str, errno| NameUse {
            phase: Phase::Main,
            operation: NameOperation::Open,
            errno: Some(errno),
            path: path.into(),
            second_path: Text::default(),
            count: 1,
            first: None,
            last_boot_ns: 0,
            truncated: false,
        };
        assert_eq!(sensitive_name(&name("/proc/sys/kernel/hostname", EROFS)), Some("sysctl"));
        assert_eq!(sensitive_name(&name("/proc/sysrq-trigger", EACCES)), Some("sysrq"));
        assert_eq!(sensitive_name(&name("/dev/mem", EPERM)), Some("memory of the machine"));
        assert_eq!(sensitive_name(&name("/dev/mem", Errno(2))), None, "it is not there");
        assert_eq!(sensitive_name(&name("/proc/self/mem", EACCES)), None);
    }
}
