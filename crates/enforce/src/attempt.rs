//! What a canary does, to find out whether it is denied: nothing of it changes the machine, whether it is or not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::io::Errno;
use rustix::mount::mount_move;
use sensors::guard::{Access, Deed, GuardError, Guards, Network, Trigger};

use crate::store::host_root;

/// What is denied to the canary: all that it does.
pub(crate) fn deny(guards: &Guards, deed: Deed) -> Result<(), GuardError> {
    let number = Guards::CANARY;
    match deed {
        Deed::Exec => Ok(()),
        Deed::File => {
            guards.watch_files(host_root(guards)?, number)?;
            let both = Access { read: true, write: true, ..Access::default() };
            [FILE, FOLDER].iter().try_for_each(|path| guards.deny_place(path.as_bytes(), both, number))
        }
        Deed::Connect => {
            let this_machine = Network { address: [127, 0, 0, 0].into(), bits: 8 };
            guards.deny_peer(this_machine, None, number)
        }
        Deed::Listen => guards.deny_port(None, number),
        Deed::Capability => guards.deny_capability(SYS_CHROOT, number),
        Deed::Mount | Deed::Ptrace | Deed::Module => guards.deny_kind(deed, number),
        // By a list of nothing.
        Deed::Write => guards.write_only_what_is_listed(host_root(guards)?, number),
    }
}

/// include/uapi/linux/capability.h: CAP_SYS_CHROOT
const SYS_CHROOT: u8 = 18;
/// What the canary has in a root of its own.
const FILE: &str = "/file";
const FOLDER: &str = "/folder";
/// Where that root is made, and removed again.
const ROOTS: &str = "/run/ringfence";
/// A name that no file has.
const NOWHERE: &str = "/proc/self/nothing-by-this-name";

/// Does each thing that this deed can be done by; whether all of them were denied, or none. Other failures are none.
pub(crate) fn attempt(deed: Deed) -> io::Result<bool> {
    let attempts = match deed {
        Deed::Exec => Vec::new(),
        Deed::File => in_own_root(with_files)?,
        Deed::Connect => {
            let own = UdpSocket::bind("0.0.0.0:0")?;
            // To nobody: the port that this one has itself.
            let to = ("127.0.0.1", own.local_addr()?.port());
            vec![own.send_to(&[], to).map(|_| ()), own.connect(to)]
        }
        Deed::Listen => {
            let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
            vec![TcpListener::bind("127.0.0.1:0").map(|_| ()), UdpSocket::bind(("127.0.0.1", port)).map(|_| ())]
        }
        Deed::Capability => vec![rustix::process::chroot("/").map_err(io::Error::from)],
        // The kernel asks whether one may before it looks for what is to be moved.
        Deed::Mount => vec![mount_move(NOWHERE, "/").map_err(io::Error::from)],
        Deed::Ptrace => {
            let parent = rustix::process::getppid().ok_or_else(|| io::Error::other("it has no parent"))?;
            let memory = format!("/proc/{}/mem", parent.as_raw_nonzero());
            // The kernel says so whatever the answer was that it got.
            let answer = match open(memory.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
                Err(Errno::ACCESS) => Err(Errno::PERM),
                other => other.map(drop),
            };
            vec![answer.map_err(io::Error::from)]
        }
        Deed::Write => in_own_root(changing_files)?,
        Deed::Module => vec![load_from_file(), rustix::system::init_module(&NO_MODULE, c"").map_err(io::Error::from)],
    };
    let refused = attempts.iter().filter(|done| matches!(done, Err(error) if is_refusal(error))).count();
    match refused {
        0 => Ok(false),
        some if some == attempts.len() => Ok(true),
        _ => Err(io::Error::other("only a part of it was denied")),
    }
}

/// What the canary's policy waits for: what the canary reads.
pub(crate) fn wait_for(guards: &Guards, trigger: Trigger) -> Result<(), GuardError> {
    let number = Guards::CANARY;
    match trigger {
        Trigger::Network => guards.wait_for_network(number),
        Trigger::File => {
            let access = Access { taint: true, ..Access::default() };
            guards.deny_place(FILE.as_bytes(), access, number)?;
            guards.wait_for_file(host_root(guards)?, number)
        }
    }
}

/// Reads it.
pub(crate) fn read(trigger: Trigger) -> io::Result<()> {
    match trigger {
        Trigger::Network => {
            let own = UdpSocket::bind("127.0.0.1:0")?;
            own.set_read_timeout(Some(Duration::from_secs(10)))?;
            own.send_to(b"read", own.local_addr()?)?;
            own.recv(&mut [0; 4]).map(drop)
        }
        Trigger::File => in_own_root(|| vec![File::open(FILE).map(drop)])?.into_iter().collect(),
    }
}

/// As in a container: who has the host's root is denied nothing, as it may be a runtime.
fn in_own_root(act: fn() -> Vec<io::Result<()>>) -> io::Result<Vec<io::Result<()>>> {
    let folder = format!("{ROOTS}/canary-{}", std::process::id());
    let outside = File::open("/")?;
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(format!("{folder}{FOLDER}"))?;
    fs::write(format!("{folder}{FILE}"), "")?;
    rustix::process::chroot(&folder)?;
    let done = act();
    rustix::process::fchdir(&outside)?;
    rustix::process::chroot(".")?;
    fs::remove_dir_all(&folder)?;
    Ok(done)
}

/// What rules for files deny.
fn with_files() -> Vec<io::Result<()>> {
    let mut done = vec![File::open(FILE).map(drop)];
    done.extend(changing_files());
    done
}

/// What changes them, or where they are.
fn changing_files() -> Vec<io::Result<()>> {
    let below = |name| format!("{FOLDER}/{name}");
    vec![
        OpenOptions::new().append(true).open(FILE).map(drop),
        fs::hard_link(FILE, "/link"),
        fs::set_permissions(FILE, fs::Permissions::from_mode(0o600)),
        File::create(below("made")).map(drop),
        fs::create_dir(below("folder")),
        symlink(FILE, below("link")),
        fs::rename(FILE, "/moved"),
        fs::remove_file(FILE),
        fs::remove_dir(FOLDER),
    ]
}

/// What is no module, though as long as the beginning of one: the kernel looks at it only after it has asked who may.
const NO_MODULE: [u8; 64] = [0; 64];

fn load_from_file() -> io::Result<()> {
    let writable = File::from(memfd_create("no-module", MemfdFlags::CLOEXEC)?);
    (&writable).write_all(&NO_MODULE)?;
    let again = format!("/proc/self/fd/{}", writable.as_raw_fd());
    let file = open(again.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // Whoever may write a file keeps it from being read as a module.
    drop(writable);
    Ok(rustix::system::finit_module(&file, c"", 0)?)
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::PERM.raw_os_error())
}
