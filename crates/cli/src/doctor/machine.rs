//! What the machine gives before anything is tried: privilege, BTF, lockdown, LSMs, mounts, namespaces.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use containers::proc::{Mount, Proc};
use event::{Capability, CapabilitySet, Text};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use serde::Serialize;

/// The machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) kernel_release: Text,
    pub(super) architecture: Text,
    pub(super) uid: u32,
    /// Whether root here is an ordinary user outside.
    pub(super) in_user_namespace: bool,
    pub(super) capabilities: Vec<Privilege>,
    /// Whether the kernel describes its types.
    pub(super) btf: bool,
    pub(super) lockdown: Reading,
    pub(super) lsms: Reading,
    pub(super) mounts: Vec<FileSystem>,
    pub(super) pid_namespace: PidNamespace,
}

/// A capability that ringfence has a use for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Privilege {
    pub(super) name: Capability,
    pub(super) has: bool,
    pub(super) needed: bool,
    pub(super) purpose: &'static str,
}

/// A file of securityfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(super) enum Reading {
    /// What it says; of lockdown the mode, of the LSM list the list.
    Known { value: Text },
    /// The kernel has no such file.
    Absent,
    /// It could not be read.
    Unknown { reason: String },
}

impl Reading {
    pub(super) fn value(&self) -> Option<String> {
        match self {
            Reading::Known { value } => Some(value.shown().into_owned()),
            _ => None,
        }
    }
}

/// One of the kernel's own file systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FileSystem {
    pub(super) name: &'static str,
    /// Where it is mounted.
    pub(super) mounted_at: Option<Text>,
    /// What its absence costs.
    pub(super) cost: &'static str,
}

/// The pid namespace that this program runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PidNamespace {
    /// Whether it is not the first one of the machine.
    pub(super) nested: bool,
    /// What that costs.
    pub(super) cost: Option<&'static str>,
}

/// The capabilities that have a use here, and which one.
const PURPOSES: [(u8, bool, &str); 5] = [
    (39, true, "to load BPF programs and maps"),
    (38, true, "to attach BPF programs to the kernel's tracepoints"),
    (24, false, "for the memory of maps, on kernels before 5.11 only"),
    (21, false, "to measure what each BPF program costs, and to read securityfs where nobody mounted it"),
    (19, false, "to see the containers and programs of other users that ran before"),
];
/// CAP_SYS_ADMIN includes those two.
const SYS_ADMIN: u8 = 21;

/// `PROC_PID_INIT_INO` in include/linux/proc_ns.h (6.12): the number of the first pid namespace.
const FIRST_PID_NAMESPACE: u32 = 0xeffffffc;

impl Machine {
    pub(super) fn look() -> Machine {
        let system = rustix::system::uname();
        let proc = Proc::default();
        let own = std::process::id();
        let effective = proc.status(own).map(|status| CapabilitySet(status.cap_effective)).unwrap_or_default();
        let mounts = proc.mountinfo(own).unwrap_or_default();
        let security = SecurityFs::open(&mounts);
        let number = proc.namespace(own, containers::proc::Namespace::Pid).unwrap_or(FIRST_PID_NAMESPACE);
        Machine {
            kernel_release: Text::new(system.release().to_bytes()),
            architecture: Text::new(system.machine().to_bytes()),
            uid: rustix::process::geteuid().as_raw(),
            in_user_namespace: fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !maps_everybody(&map)),
            capabilities: privileges(effective),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            lockdown: security.read("lockdown", lockdown_mode),
            lsms: security.read("lsm", |list| list.trim().to_owned()),
            mounts: file_systems(&mounts),
            pid_namespace: pid_namespace(number),
        }
    }

    /// The capabilities that recording cannot do without, and that are not there.
    pub(super) fn missing(&self) -> Vec<Capability> {
        self.capabilities.iter().filter(|it| it.needed && !it.has).map(|it| it.name).collect()
    }
}

fn privileges(effective: CapabilitySet) -> Vec<Privilege> {
    let has = |number| Capability::new(number).is_some_and(|capability| effective.contains(capability));
    PURPOSES
        .into_iter()
        .filter_map(|(number, needed, purpose)| {
            let name = Capability::new(number)?;
            // Before 5.8 there was only CAP_SYS_ADMIN, and it has stayed good for these two.
            Some(Privilege { name, has: has(number) || (needed && has(SYS_ADMIN)), needed, purpose })
        })
        .collect()
}

/// Whether the map of a user namespace is that of the first one: each user is itself.
fn maps_everybody(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

fn pid_namespace(number: u32) -> PidNamespace {
    let nested = number != FIRST_PID_NAMESPACE;
    let cost = "ringfence runs inside a pid namespace: reports have the pids of the machine, which differ from those \
                that are seen here; processes that ran before are recorded without their arguments; engines' pids and \
                --pid cannot be matched";
    PidNamespace { nested, cost: nested.then_some(cost) }
}

fn file_systems(mounts: &[Mount]) -> Vec<FileSystem> {
    let at = |name: &str| {
        let found = mounts.iter().find(|mount| mount.fs_type == name.as_bytes())?;
        Some(Text::new(found.mount_point.clone()))
    };
    [
        ("tracefs", "system calls that are newer than this program have a number for a name"),
        ("bpf", "nothing in this version: no program is left behind"),
        (
            "securityfs",
            "lockdown and LSMs are read through a mount of our own that nobody sees, which needs CAP_SYS_ADMIN",
        ),
    ]
    .into_iter()
    .map(|(name, cost)| FileSystem { name, mounted_at: at(name), cost })
    .collect()
}

/// The mode in brackets: `none [integrity] confidentiality`.
fn lockdown_mode(text: &str) -> String {
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(mode, _)| mode);
    chosen.unwrap_or(text.trim()).to_owned()
}

/// securityfs where it is mounted, else through a mount that is in no directory and goes with its descriptor.
enum SecurityFs {
    Mounted(std::path::PathBuf),
    Own(std::os::fd::OwnedFd),
    Refused(io::Error),
}

impl SecurityFs {
    /// Longer than any list of LSMs.
    const MAX_BYTES: u64 = 4096;

    fn open(mounts: &[Mount]) -> SecurityFs {
        use std::os::unix::ffi::OsStrExt as _;
        let mounted = mounts.iter().find(|mount| mount.fs_type == b"securityfs");
        if let Some(mount) = mounted {
            return SecurityFs::Mounted(Path::new(std::ffi::OsStr::from_bytes(&mount.mount_point)).to_owned());
        }
        match own_mount() {
            Ok(mount) => SecurityFs::Own(mount),
            Err(error) => SecurityFs::Refused(error.into()),
        }
    }

    fn read(&self, name: &str, meaning: fn(&str) -> String) -> Reading {
        let text = match self {
            SecurityFs::Mounted(at) => fs::File::open(at.join(name)).and_then(read_small),
            SecurityFs::Own(mount) => rustix::fs::openat(mount, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(io::Error::from)
                .and_then(|file| read_small(file.into())),
            SecurityFs::Refused(error) => {
                let reason = format!("securityfs is not mounted, and reading it without failed: {error}");
                return Reading::Unknown { reason };
            }
        };
        match text {
            Ok(text) => Reading::Known { value: meaning(&text).into() },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Reading::Absent,
            Err(error) => Reading::Unknown { reason: error.to_string() },
        }
    }
}

fn own_mount() -> rustix::io::Result<std::os::fd::OwnedFd> {
    let context = rustix::mount::fsopen("securityfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn read_small(file: fs::File) -> io::Result<String> {
    let mut text = String::new();
    file.take(SecurityFs::MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(effective: u64) -> Vec<(String, bool)> {
        let all = privileges(CapabilitySet(effective));
        all.into_iter().filter(|it| it.needed).map(|it| (it.name.to_string(), it.has)).collect()
    }

    #[test]
    fn the_two_that_are_needed_are_part_of_sys_admin() {
        let both = |has| vec![("CAP_BPF".to_owned(), has), ("CAP_PERFMON".to_owned(), has)];

        assert_eq!(needed(0), both(false));
        assert_eq!(needed(1 << 21), both(true));
        assert_eq!(needed(1 << 38 | 1 << 39), both(true));
    }

    #[test]
    fn the_mode_of_lockdown_is_the_one_in_brackets() {
        assert_eq!(lockdown_mode("none [integrity] confidentiality\n"), "integrity");
        assert_eq!(lockdown_mode("odd\n"), "odd");
    }

    #[test]
    fn a_user_namespace_is_told_by_its_map() {
        assert!(maps_everybody("         0          0 4294967295\n"));
        assert!(!maps_everybody("         0     100000      65536\n"));
        assert!(!maps_everybody(""));
    }

    #[test]
    fn only_a_nested_pid_namespace_costs_something() {
        assert_eq!(pid_namespace(FIRST_PID_NAMESPACE).cost, None);
        assert!(pid_namespace(4026532000).cost.is_some_and(|cost| cost.contains("pid namespace")));
    }

    #[test]
    fn a_mount_is_found_by_its_type() {
        let mounts = containers::proc::parse_mountinfo(b"9 1 0:12 / /sys/kernel/tracing rw - tracefs none rw\n");

        let found = file_systems(&mounts.expect("valid"));

        let places: Vec<_> =
            found.iter().map(|it| (it.name, it.mounted_at.as_ref().map(|at| at.to_string()))).collect();
        assert_eq!(places, [("tracefs", Some("/sys/kernel/tracing".into())), ("bpf", None), ("securityfs", None)]);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let machine = Machine::look();

        assert!(!machine.kernel_release.is_empty() && machine.capabilities.len() == PURPOSES.len());
    }
}
