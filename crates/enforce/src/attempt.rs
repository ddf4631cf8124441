//! What a canary does, to find out whether it is denied: nothing of it changes the machine, whether it is or not.

use std::io;
use std::net::{TcpListener, UdpSocket};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, open, openat};
use rustix::mount::mount_move;
use sensors::guard::{Deed, GuardError, Guards, Network};

/// What is denied to the canary: all that it does.
pub(crate) fn deny(guards: &Guards, deed: Deed) -> Result<(), GuardError> {
    let number = Guards::CANARY;
    match deed {
        Deed::Exec => Ok(()),
        Deed::Connect => {
            let this_machine = Network { address: [127, 0, 0, 0].into(), bits: 8 };
            guards.deny_peer(this_machine, None, number)
        }
        Deed::Listen => guards.deny_port(None, number),
        Deed::Capability => guards.deny_capability(SYS_CHROOT, number),
        Deed::Mount | Deed::Ptrace | Deed::Module => guards.deny_kind(deed, number),
    }
}

/// include/uapi/linux/capability.h: CAP_SYS_CHROOT
const SYS_CHROOT: u8 = 18;
/// A name that no file has.
const NOWHERE: &str = "/proc/self/nothing-by-this-name";

/// Does each thing that this deed can be done by; whether all of them were denied, or none. Other failures are none.
pub(crate) fn attempt(deed: Deed) -> io::Result<bool> {
    let attempts = match deed {
        Deed::Exec => Vec::new(),
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
            vec![
                open(memory.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .map(drop)
                    .map_err(io::Error::from),
            ]
        }
        Deed::Module => vec![load_nothing()],
    };
    let refused = attempts.iter().filter(|done| matches!(done, Err(error) if is_refusal(error))).count();
    match refused {
        0 => Ok(false),
        some if some == attempts.len() => Ok(true),
        _ => Err(io::Error::other("only a part of it was denied")),
    }
}

/// A file without a byte is no module; the kernel asks first whether one may load it.
fn load_nothing() -> io::Result<()> {
    let writable = memfd_create("nothing", MemfdFlags::CLOEXEC)?;
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writable));
    let file = openat(CWD, again.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // Whoever may write a file keeps it from being read as a module.
    drop(writable);
    Ok(rustix::system::finit_module(&file, c"", 0)?)
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error())
}
