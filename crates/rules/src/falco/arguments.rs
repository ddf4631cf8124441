//! The arguments of system calls by Falco's names, and how they read.

use std::fmt::Write as _;

use ::event::{Action, Errno, Exec, ImageFacts, SocketFamily, constants};

use super::descriptor::Ends;
use crate::context::Names;

/// Where an argument comes from, and how it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// What the call returned: a descriptor or an error.
    Result,
    /// The first name.
    Path,
    /// The second name.
    SecondPath,
    /// How a file is opened.
    OpenFlags,
    /// An address, as it was passed.
    Address,
    /// Both ends of a socket.
    Tuple,
    /// Of a program that begins: its first argument.
    Exe,
    /// The others.
    Args,
    /// Its path.
    Executable,
    /// What its file is.
    ExecFlags,
    /// A register as a signed number.
    Number(u8),
    /// A register as a descriptor.
    Fd(u8),
    /// A register as a number in hexadecimal.
    Hex(u8),
    /// A register as bits of a mode.
    Mode(u8),
    /// A register as a user.
    Uid(u8),
    /// A register as a group.
    Gid(u8),
    /// A register as what the kernel's constants of a call name.
    Words(&'static str, u8),
    /// A register as one of these.
    OneOf(&'static [(u32, &'static str)], u8),
    /// A register as some of these.
    SomeOf(&'static [(u32, &'static str)], u8),
}

use Form::{
    Address, Args, Exe, ExecFlags, Executable, Fd, Gid, Hex, Mode, Number, OneOf, OpenFlags, Path, Result, SecondPath,
    SomeOf, Tuple, Uid, Words,
};

/// The arguments of a call, in Falco's order (driver/event_table.c of falcosecurity/libs).
pub(super) fn arguments(call: &str) -> &'static [(&'static str, Form)] {
    match call {
        "execve" | "execveat" => &[
            ("res", Result),
            ("exe", Exe),
            ("args", Args),
            ("filename", Form::Path),
            ("flags", ExecFlags),
            ("trusted_exepath", Executable),
        ],
        "open" => &[("fd", Result), ("name", Path), ("flags", OpenFlags), ("mode", Mode(2))],
        "openat" => &[("fd", Result), ("dirfd", Fd(0)), ("name", Path), ("flags", OpenFlags), ("mode", Mode(3))],
        "openat2" => &[("fd", Result), ("dirfd", Fd(0)), ("name", Path), ("flags", OpenFlags)],
        "creat" => &[("fd", Result), ("name", Path), ("mode", Mode(1)), ("flags", OpenFlags)],
        "open_by_handle_at" => &[("fd", Result), ("mountfd", Fd(0)), ("flags", OpenFlags), ("path", Path)],
        "symlink" => &[("res", Result), ("target", Path), ("linkpath", SecondPath)],
        "symlinkat" => &[("res", Result), ("target", Path), ("linkdirfd", Fd(1)), ("linkpath", SecondPath)],
        "link" => &[("res", Result), ("oldpath", Path), ("newpath", SecondPath)],
        "linkat" => &[
            ("res", Result),
            ("olddir", Fd(0)),
            ("oldpath", Path),
            ("newdir", Fd(2)),
            ("newpath", SecondPath),
            ("flags", Hex(4)),
        ],
        "rename" => &[("res", Result), ("oldpath", Path), ("newpath", SecondPath)],
        "renameat" => {
            &[("res", Result), ("olddirfd", Fd(0)), ("oldpath", Path), ("newdirfd", Fd(2)), ("newpath", SecondPath)]
        }
        "renameat2" => &[
            ("res", Result),
            ("olddirfd", Fd(0)),
            ("oldpath", Path),
            ("newdirfd", Fd(2)),
            ("newpath", SecondPath),
            ("flags", Hex(4)),
        ],
        "unlink" | "rmdir" | "chdir" | "chroot" => &[("res", Result), ("path", Path)],
        "unlinkat" => &[("res", Result), ("dirfd", Fd(0)), ("name", Path), ("flags", SomeOf(UNLINK, 2))],
        "mkdir" => &[("res", Result), ("path", Path), ("mode", Mode(1))],
        "mkdirat" => &[("res", Result), ("dirfd", Fd(0)), ("path", Path), ("mode", Mode(2))],
        "chmod" => &[("res", Result), ("filename", Path), ("mode", Mode(1))],
        "fchmod" => &[("res", Result), ("fd", Fd(0)), ("mode", Mode(1))],
        "fchmodat" | "fchmodat2" => &[("res", Result), ("dirfd", Fd(0)), ("filename", Path), ("mode", Mode(2))],
        "chown" | "lchown" => &[("res", Result), ("path", Path), ("uid", Uid(1)), ("gid", Gid(2))],
        "fchown" => &[("res", Result), ("fd", Fd(0)), ("uid", Uid(1)), ("gid", Gid(2))],
        "fchownat" => &[
            ("res", Result),
            ("dirfd", Fd(0)),
            ("pathname", Path),
            ("uid", Uid(2)),
            ("gid", Gid(3)),
            ("flags", Hex(4)),
        ],
        "mknod" => &[("res", Result), ("path", Path), ("mode", Mode(1)), ("dev", Hex(2))],
        "mknodat" => &[("res", Result), ("dirfd", Fd(0)), ("path", Path), ("mode", Mode(2)), ("dev", Hex(3))],
        "mount" => &[("res", Result), ("dev", Path), ("dir", SecondPath), ("flags", SomeOf(MOUNT, 3))],
        "umount" => &[("res", Result), ("name", Path)],
        "umount2" => &[("res", Result), ("name", Path), ("flags", Hex(1))],
        "pivot_root" => &[("res", Result), ("new_root", Path), ("put_old", SecondPath)],
        "ptrace" => &[
            ("res", Result),
            ("addr", Hex(2)),
            ("data", Hex(3)),
            ("request", OneOf(constants::PTRACE, 0)),
            ("pid", Number(1)),
        ],
        "process_vm_readv" | "process_vm_writev" => &[("res", Result), ("pid", Number(0))],
        "socket" => &[("fd", Result), ("domain", Words("socket", 0)), ("type", Number(1)), ("proto", Number(2))],
        "socketpair" => &[("res", Result), ("domain", Words("socket", 0)), ("type", Number(1)), ("proto", Number(2))],
        "connect" => &[("res", Result), ("tuple", Tuple), ("fd", Fd(0)), ("addr", Address)],
        "bind" => &[("res", Result), ("addr", Address), ("fd", Fd(0))],
        "listen" => &[("res", Result), ("fd", Fd(0)), ("backlog", Number(1))],
        "accept" => &[("fd", Result), ("tuple", Tuple)],
        "accept4" => &[("fd", Result), ("tuple", Tuple), ("flags", Hex(3))],
        "sendto" | "recvfrom" => &[("res", Result), ("fd", Fd(0)), ("size", Number(2)), ("tuple", Tuple)],
        "sendmsg" | "recvmsg" => &[("res", Result), ("fd", Fd(0)), ("tuple", Tuple)],
        "setuid" => &[("res", Result), ("uid", Uid(0))],
        "setgid" => &[("res", Result), ("gid", Gid(0))],
        "setreuid" => &[("res", Result), ("ruid", Uid(0)), ("euid", Uid(1))],
        "setregid" => &[("res", Result), ("rgid", Gid(0)), ("egid", Gid(1))],
        "setresuid" => &[("res", Result), ("ruid", Uid(0)), ("euid", Uid(1)), ("suid", Uid(2))],
        "setresgid" => &[("res", Result), ("rgid", Gid(0)), ("egid", Gid(1)), ("sgid", Gid(2))],
        "setns" => &[("res", Result), ("fd", Fd(0)), ("nstype", Words("setns", 1))],
        "unshare" => &[("res", Result), ("flags", Words("unshare", 0))],
        "dup" => &[("res", Result), ("oldfd", Fd(0))],
        "dup2" => &[("res", Result), ("oldfd", Fd(0)), ("newfd", Fd(1))],
        "dup3" => &[("res", Result), ("oldfd", Fd(0)), ("newfd", Fd(1)), ("flags", Hex(2))],
        "bpf" => &[("fd", Result), ("cmd", Words("bpf", 0))],
        "prctl" => &[("res", Result), ("option", Words("prctl", 0)), ("arg2_int", Number(1))],
        "keyctl" => &[("res", Result), ("option", Words("keyctl", 0))],
        "init_module" => &[("res", Result), ("length", Number(1))],
        "finit_module" => &[("res", Result), ("fd", Fd(0)), ("flags", Hex(2))],
        "delete_module" => &[("res", Result), ("name", Path), ("flags", Hex(1))],
        "kill" => &[("res", Result), ("pid", Number(0)), ("sig", Number(1))],
        "tgkill" => &[("res", Result), ("pid", Number(0)), ("tid", Number(1)), ("sig", Number(2))],
        "mprotect" => &[("res", Result), ("addr", Hex(0)), ("size", Number(1)), ("prot", Words("mprotect", 2))],
        "memfd_create" => &[("fd", Result), ("name", Path), ("flags", Hex(1))],
        "userfaultfd" => &[("res", Result), ("flags", Hex(0))],
        "ioctl" => &[("res", Result), ("fd", Fd(0)), ("request", Words("ioctl", 1))],
        "fcntl" => &[("res", Result), ("fd", Fd(0)), ("cmd", Words("fcntl", 1))],
        _ => &[],
    }
}

/// include/uapi/linux/fcntl.h, 6.18.
const UNLINK: &[(u32, &str)] = &[(0x200, "AT_REMOVEDIR")];

/// include/uapi/linux/mount.h, 6.18.
const MOUNT: &[(u32, &str)] = &[
    (1, "RDONLY"),
    (2, "NOSUID"),
    (4, "NODEV"),
    (8, "NOEXEC"),
    (32, "REMOUNT"),
    (4096, "BIND"),
    (8192, "MOVE"),
    (16384, "REC"),
];

/// include/uapi/asm-generic/fcntl.h, 6.18; the lowest two bits are how, and not flags.
const OPEN: &[(u32, &str)] = &[
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o10000, "O_DSYNC"),
    (0o40000, "O_DIRECT"),
    (0o100_000, "O_LARGEFILE"),
    (0o200_000, "O_DIRECTORY"),
    (0o400_000, "O_NOFOLLOW"),
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
    (0o20_000_000, "O_TMPFILE"),
];

/// include/uapi/linux/stat.h, 6.18.
const MODE: &[(u32, &str)] = &[
    (0o1, "S_IXOTH"),
    (0o2, "S_IWOTH"),
    (0o4, "S_IROTH"),
    (0o10, "S_IXGRP"),
    (0o20, "S_IWGRP"),
    (0o40, "S_IRGRP"),
    (0o100, "S_IXUSR"),
    (0o200, "S_IWUSR"),
    (0o400, "S_IRUSR"),
    (0o1000, "S_ISVTX"),
    (0o2000, "S_ISGID"),
    (0o4000, "S_ISUID"),
];

/// What an argument is taken from.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    pub(super) action: Option<&'a Action>,
    pub(super) exec: Option<&'a Exec>,
    pub(super) image: Option<&'a ImageFacts>,
    pub(super) ends: Option<Ends<'a>>,
    pub(super) names: Option<&'a dyn Names>,
}

impl Form {
    /// The text of the argument; none if it is not known.
    pub(super) fn text(self, from: From<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Exe | Args | Executable | ExecFlags => return self.of_exec(from, out),
            Path => match (from.action, from.exec) {
                (Some(action), _) => out.extend_from_slice(action.path.as_bytes()),
                (None, Some(exec)) => out.extend_from_slice(exec.argument.as_bytes()),
                (None, None) => return false,
            },
            Result => match (from.action, from.exec) {
                (Some(action), _) => result(action.result, out),
                (None, Some(_)) => out.push(b'0'),
                (None, None) => return false,
            },
            _ => match from.action {
                Some(action) => return self.of_action(action, from, out),
                None => return false,
            },
        }
        true
    }

    /// The argument as a number; none if it is none.
    pub(super) fn number(self, action: &Action) -> Option<i128> {
        let register = |at: u8| action.args.get(usize::from(at)).copied();
        match self {
            Result => Some(action.result.into()),
            OpenFlags => action.open_flags.map(Into::into),
            Number(at) | Fd(at) | Uid(at) | Gid(at) => register(at).map(|value| i128::from(value as u32 as i32)),
            Hex(at) | Mode(at) | Words(_, at) | OneOf(_, at) | SomeOf(_, at) => register(at).map(Into::into),
            _ => None,
        }
    }

    fn of_exec(self, from: From<'_>, out: &mut Vec<u8>) -> bool {
        if self == ExecFlags {
            let Some(image) = from.image else { return false };
            let flags = [(image.upper_layer, "EXE_UPPER_LAYER"), (image.from_memory, "EXE_FROM_MEMFD")];
            let flags: Vec<&str> = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
            out.extend_from_slice(flags.join("|").as_bytes());
            return true;
        }
        let Some(exec) = from.exec else { return false };
        match self {
            Exe => out.extend_from_slice(exec.argv.first().map_or(b"".as_slice(), |first| first.as_bytes())),
            Executable => out.extend_from_slice(exec.executable.as_bytes()),
            _ => super::process::join(exec.argv.iter().skip(1), out),
        }
        true
    }

    fn of_action(self, action: &Action, from: From<'_>, out: &mut Vec<u8>) -> bool {
        let register = |at: u8| action.args.get(usize::from(at)).copied().unwrap_or_default();
        match self {
            SecondPath => out.extend_from_slice(action.second_path.as_bytes()),
            OpenFlags => match action.open_flags {
                Some(flags) => open_flags(flags, out),
                None => return false,
            },
            Address => match &action.address {
                Some(end) => write_end(end, out),
                None => return false,
            },
            Tuple => match from.ends {
                Some(ends) => ends.name(out),
                None => return false,
            },
            Number(at) | Fd(at) => put(out, register(at) as u32 as i32),
            Hex(at) => hexadecimal(register(at), out),
            Mode(at) => names(MODE, register(at), out),
            Uid(at) | Gid(at) => {
                let id = register(at) as u32;
                let is_user = matches!(self, Uid(_));
                match from.names.and_then(|names| if is_user { names.user(id) } else { names.group(id) }) {
                    Some(name) => out.extend_from_slice(name),
                    None if id == 0 => out.extend_from_slice(b"root"),
                    None => put(out, id as i32),
                }
            }
            Words(call, at) => match call {
                "socket" => out.extend_from_slice(family(register(at)).as_bytes()),
                _ => out.extend_from_slice(constants::words(call, register(at) as u32).as_bytes()),
            },
            OneOf(known, at) => match known.iter().find(|(number, _)| u64::from(*number) == register(at)) {
                Some((_, name)) => out.extend_from_slice(name.as_bytes()),
                None => hexadecimal(register(at), out),
            },
            SomeOf(known, at) => names(known, register(at), out),
            _ => return false,
        }
        true
    }
}

fn family(number: u64) -> String {
    let name = constants::words("socket", number as u32).into_owned();
    match u16::try_from(number) {
        Ok(number) if !name.starts_with("AF_") => SocketFamily(number).name().into_owned(),
        _ => name,
    }
}

fn put(out: &mut Vec<u8>, number: impl Into<i64>) {
    let mut digits = String::new();
    let _ = write!(digits, "{}", number.into());
    out.extend_from_slice(digits.as_bytes());
}

fn hexadecimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = String::new();
    let _ = write!(digits, "{number:x}");
    out.extend_from_slice(digits.as_bytes());
}

/// What a call returned, as Falco writes it: an error by its name.
pub(super) fn result(result: i64, out: &mut Vec<u8>) {
    match errno(result) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => put(out, result),
    }
}

/// The name of the error that a result is.
pub(super) fn errno(result: i64) -> Option<&'static str> {
    let number = u16::try_from(result.checked_neg()?).ok().filter(|number| (1..=4095).contains(number))?;
    Some(Errno(number).name().unwrap_or("EUNKNOWN"))
}

fn open_flags(flags: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(match flags & 3 {
        0 => b"O_RDONLY",
        1 => b"O_WRONLY",
        _ => b"O_RDWR",
    });
    for (_, name) in OPEN.iter().filter(|(flag, _)| flags & flag == *flag) {
        out.push(b'|');
        out.extend_from_slice(name.as_bytes());
    }
}

fn names(known: &[(u32, &str)], value: u64, out: &mut Vec<u8>) {
    let mut is_first = true;
    for (_, name) in known.iter().filter(|(flag, _)| value & u64::from(*flag) != 0) {
        if !is_first {
            out.push(b'|');
        }
        is_first = false;
        out.extend_from_slice(name.as_bytes());
    }
    if is_first {
        out.push(b'0');
    }
}

/// One end, as `10.0.0.7:80`.
pub(super) fn write_end(end: &::event::Endpoint, out: &mut Vec<u8>) {
    out.extend_from_slice(end.address.as_bytes());
    if end.port > 0 {
        out.push(b':');
        put(out, end.port);
    }
}
