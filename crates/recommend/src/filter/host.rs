//! Which tables of system calls a host has.

use event::Arch;

/// A sort of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    X86_64,
    Aarch64,
}

impl Host {
    pub(crate) const ALL: [Host; 2] = [Host::X86_64, Host::Aarch64];

    /// The tables that its kernel may serve, its own first.
    pub(crate) fn tables(self) -> &'static [Arch] {
        match self {
            Host::X86_64 => &[Arch::X86_64, Arch::X86, Arch::X32],
            Host::Aarch64 => &[Arch::Aarch64, Arch::Arm],
        }
    }

    /// The host that may have a table.
    pub(crate) fn of(arch: Arch) -> Host {
        match arch {
            Arch::X86_64 | Arch::X86 | Arch::X32 => Host::X86_64,
            Arch::Aarch64 | Arch::Arm => Host::Aarch64,
        }
    }

    /// What Go, and so Docker's profiles, call it.
    pub(crate) fn go_name(self) -> &'static str {
        match self {
            Host::X86_64 => "amd64",
            Host::Aarch64 => "arm64",
        }
    }
}

/// Whether arguments have 32 bits where libseccomp compares them.
pub(crate) fn has_short_arguments(arch: Arch) -> bool {
    matches!(arch, Arch::X86 | Arch::X32 | Arch::Arm)
}

/// The calls of a 32-bit x86 program that may also go through one call with their number in its first argument
/// (`include/uapi/linux/net.h` and `ipc.h` of Linux).
pub(crate) fn through(name: &str) -> Option<(&'static str, u64)> {
    const SOCKETS: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u64); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    let socket = SOCKETS.iter().position(|call| *call == name).map(|at| ("socketcall", at as u64 + 1));
    socket.or_else(|| IPC.iter().find(|(call, _)| *call == name).map(|(_, number)| ("ipc", *number)))
}
