//! Which call is like which, and which are asked for.

use crate::bpf::types::{action_call, action_call_flag, action_settings};
use crate::{ActionCalls, Call, Options};

/// Bytes of the environment that are read: `ENVIRONMENT_BYTES` in `samples.h`.
const ENVIRONMENT_BYTES: u32 = 4096;

/// Calls of which more is known than their arguments.
const LIKE: &[(&str, action_call)] = &[
    ("open", action_call::ACTION_CALL_OPEN),
    ("creat", action_call::ACTION_CALL_CREAT),
    ("openat", action_call::ACTION_CALL_OPENAT),
    ("openat2", action_call::ACTION_CALL_OPENAT2),
    ("open_by_handle_at", action_call::ACTION_CALL_OPEN_HANDLE),
    ("memfd_create", action_call::ACTION_CALL_MEMFD),
    ("socket", action_call::ACTION_CALL_SOCKET),
    ("bind", action_call::ACTION_CALL_BIND),
    ("connect", action_call::ACTION_CALL_CONNECT),
    ("listen", action_call::ACTION_CALL_LISTEN),
    ("accept", action_call::ACTION_CALL_ACCEPT),
    ("accept4", action_call::ACTION_CALL_ACCEPT),
    ("sendto", action_call::ACTION_CALL_SENDTO),
    ("recvfrom", action_call::ACTION_CALL_RECVFROM),
    ("sendmsg", action_call::ACTION_CALL_SENDMSG),
    ("recvmsg", action_call::ACTION_CALL_RECVMSG),
    ("send", action_call::ACTION_CALL_DESCRIPTOR),
    ("recv", action_call::ACTION_CALL_DESCRIPTOR),
    ("shutdown", action_call::ACTION_CALL_DESCRIPTOR_2),
    ("sendmmsg", action_call::ACTION_CALL_DESCRIPTOR),
    ("recvmmsg", action_call::ACTION_CALL_DESCRIPTOR),
    ("recvmmsg_time64", action_call::ACTION_CALL_DESCRIPTOR),
    ("dup", action_call::ACTION_CALL_DUP),
    ("dup2", action_call::ACTION_CALL_DUP),
    ("dup3", action_call::ACTION_CALL_DUP),
    ("fcntl", action_call::ACTION_CALL_FCNTL),
    ("fcntl64", action_call::ACTION_CALL_FCNTL),
    ("read", action_call::ACTION_CALL_DESCRIPTOR),
    ("readv", action_call::ACTION_CALL_DESCRIPTOR),
    ("pread64", action_call::ACTION_CALL_DESCRIPTOR),
    ("preadv", action_call::ACTION_CALL_DESCRIPTOR),
    ("preadv2", action_call::ACTION_CALL_DESCRIPTOR),
    ("write", action_call::ACTION_CALL_DESCRIPTOR),
    ("writev", action_call::ACTION_CALL_DESCRIPTOR),
    ("pwrite64", action_call::ACTION_CALL_DESCRIPTOR),
    ("pwritev", action_call::ACTION_CALL_DESCRIPTOR),
    ("pwritev2", action_call::ACTION_CALL_DESCRIPTOR),
    ("getdents", action_call::ACTION_CALL_DESCRIPTOR),
    ("getdents64", action_call::ACTION_CALL_DESCRIPTOR),
    ("ftruncate", action_call::ACTION_CALL_DESCRIPTOR),
    ("ftruncate64", action_call::ACTION_CALL_DESCRIPTOR),
    ("fallocate", action_call::ACTION_CALL_DESCRIPTOR),
    ("fsync", action_call::ACTION_CALL_DESCRIPTOR),
    ("fchdir", action_call::ACTION_CALL_DESCRIPTOR),
    ("fchown", action_call::ACTION_CALL_DESCRIPTOR_2),
    ("fchown32", action_call::ACTION_CALL_DESCRIPTOR_2),
    ("fchmod", action_call::ACTION_CALL_DESCRIPTOR_2),
    ("ioctl", action_call::ACTION_CALL_DESCRIPTOR_2),
    ("setns", action_call::ACTION_CALL_DESCRIPTOR_2),
    ("finit_module", action_call::ACTION_CALL_DESCRIPTOR),
    ("chdir", action_call::ACTION_CALL_PATH),
    ("chroot", action_call::ACTION_CALL_PATH),
    ("unlink", action_call::ACTION_CALL_PATH),
    ("rmdir", action_call::ACTION_CALL_PATH),
    ("umount", action_call::ACTION_CALL_PATH),
    ("truncate", action_call::ACTION_CALL_PATH),
    ("truncate64", action_call::ACTION_CALL_PATH),
    ("swapoff", action_call::ACTION_CALL_PATH),
    ("acct", action_call::ACTION_CALL_PATH),
    ("mkdir", action_call::ACTION_CALL_PATH_2),
    ("mknod", action_call::ACTION_CALL_PATH_2),
    ("chmod", action_call::ACTION_CALL_PATH_2),
    ("chown", action_call::ACTION_CALL_PATH_2),
    ("chown32", action_call::ACTION_CALL_PATH_2),
    ("lchown", action_call::ACTION_CALL_PATH_2),
    ("lchown32", action_call::ACTION_CALL_PATH_2),
    ("umount2", action_call::ACTION_CALL_PATH_2),
    ("swapon", action_call::ACTION_CALL_PATH_2),
    ("access", action_call::ACTION_CALL_PATH_2),
    ("pivot_root", action_call::ACTION_CALL_PATHS),
    ("rename", action_call::ACTION_CALL_PATHS),
    ("link", action_call::ACTION_CALL_PATHS),
    ("unlinkat", action_call::ACTION_CALL_PATHAT_3),
    ("mkdirat", action_call::ACTION_CALL_PATHAT_3),
    ("mknodat", action_call::ACTION_CALL_PATHAT_3),
    ("fchmodat", action_call::ACTION_CALL_PATHAT_3),
    ("fchmodat2", action_call::ACTION_CALL_PATHAT_3),
    ("fchownat", action_call::ACTION_CALL_PATHAT_3),
    ("faccessat", action_call::ACTION_CALL_PATHAT_3),
    ("faccessat2", action_call::ACTION_CALL_PATHAT_3),
    ("name_to_handle_at", action_call::ACTION_CALL_PATHAT),
    ("newfstatat", action_call::ACTION_CALL_PATHAT),
    ("open_tree", action_call::ACTION_CALL_PATHAT_3),
    ("renameat", action_call::ACTION_CALL_PATHSAT),
    ("renameat2", action_call::ACTION_CALL_PATHSAT),
    ("linkat", action_call::ACTION_CALL_PATHSAT),
    ("move_mount", action_call::ACTION_CALL_PATHSAT),
    ("symlink", action_call::ACTION_CALL_SYMLINK),
    ("symlinkat", action_call::ACTION_CALL_SYMLINKAT),
    ("mount", action_call::ACTION_CALL_MOUNT),
    ("unshare", action_call::ACTION_CALL_NUMBER),
    ("clone", action_call::ACTION_CALL_NUMBER),
    ("bpf", action_call::ACTION_CALL_NUMBER),
    ("keyctl", action_call::ACTION_CALL_NUMBER),
    ("personality", action_call::ACTION_CALL_NUMBER),
    ("userfaultfd", action_call::ACTION_CALL_MAKES_DESCRIPTOR),
    ("inotify_init1", action_call::ACTION_CALL_MAKES_DESCRIPTOR),
    ("fanotify_init", action_call::ACTION_CALL_MAKES_DESCRIPTOR),
    ("pidfd_open", action_call::ACTION_CALL_MAKES_DESCRIPTOR),
    ("setuid", action_call::ACTION_CALL_NUMBER),
    ("setuid32", action_call::ACTION_CALL_NUMBER),
    ("setgid", action_call::ACTION_CALL_NUMBER),
    ("setgid32", action_call::ACTION_CALL_NUMBER),
    ("setfsuid", action_call::ACTION_CALL_NUMBER),
    ("setfsuid32", action_call::ACTION_CALL_NUMBER),
    ("setfsgid", action_call::ACTION_CALL_NUMBER),
    ("setfsgid32", action_call::ACTION_CALL_NUMBER),
    ("setreuid", action_call::ACTION_CALL_NUMBERS_2),
    ("setreuid32", action_call::ACTION_CALL_NUMBERS_2),
    ("setregid", action_call::ACTION_CALL_NUMBERS_2),
    ("setregid32", action_call::ACTION_CALL_NUMBERS_2),
    ("setresuid", action_call::ACTION_CALL_NUMBERS_3),
    ("setresuid32", action_call::ACTION_CALL_NUMBERS_3),
    ("setresgid", action_call::ACTION_CALL_NUMBERS_3),
    ("setresgid32", action_call::ACTION_CALL_NUMBERS_3),
    ("setpgid", action_call::ACTION_CALL_NUMBERS_2),
    ("kill", action_call::ACTION_CALL_NUMBERS_2),
    ("tkill", action_call::ACTION_CALL_NUMBERS_2),
    ("tgkill", action_call::ACTION_CALL_NUMBERS_3),
    ("ptrace", action_call::ACTION_CALL_NUMBERS_2),
    ("execve", action_call::ACTION_CALL_EXECVE),
    ("execveat", action_call::ACTION_CALL_EXECVEAT),
];

/// What x86's 32-bit table also takes through `socketcall`, by its number there: `include/uapi/linux/net.h` (6.18).
pub(super) const SOCKET_CALLS: &[Option<&str>] = &[
    None,
    Some("socket"),
    Some("bind"),
    Some("connect"),
    Some("listen"),
    Some("accept"),
    None,
    None,
    None,
    Some("sendto"), // send(2), to no address
    Some("recvfrom"),
    Some("sendto"),
    Some("recvfrom"),
    None,
    None,
    None,
    Some("sendmsg"),
    Some("recvmsg"),
    Some("accept4"),
];

/// The call of that table that does the same.
pub(super) fn same_on_x86(name: &str) -> &str {
    if name == "accept" { "accept4" } else { name }
}

/// The calls that are asked for.
pub(super) fn asked(options: &Options) -> Vec<Call<'_>> {
    let Some(actions) = &options.actions else { return Vec::new() };
    let mut calls: Vec<Call<'_>> = actions.calls.iter().map(|call| {
        let also_failed = actions.calls.iter().any(|other| other.name == call.name && other.also_failed);
        let like = LIKE.iter().find(|(name, _)| *name == call.name);
        let like = like.map_or(action_call::ACTION_CALL_OTHER, |(_, like)| *like);
        let flag = if also_failed { action_call_flag::ACTION_CALL_ALSO_FAILED.0 } else { 0 };
        // A connection that is still being made has failed as far as the call's result goes.
        let is_handled = also_failed || like == action_call::ACTION_CALL_CONNECT;
        Call { name: &call.name, number: (like.0 | flag) as u8, also_failed: is_handled }
    }).collect();
    if settings(options).socket_calls != 0 {
        let number = action_call::ACTION_CALL_SOCKETCALL.0 as u8;
        calls.push(Call { name: "socketcall", number, also_failed: true });
    }
    calls
}

/// What the kernel side has to know beside the calls.
pub(crate) fn settings(options: &Options) -> action_settings {
    let Some(actions) = &options.actions else { return action_settings::default() };
    action_settings {
        enabled: 1,
        environment_bytes: if actions.environment { ENVIRONMENT_BYTES } else { 0 },
        socket_calls: socket_calls(actions, false),
        socket_failures: socket_calls(actions, true),
    }
}

/// Those that are asked for, as bits; or those that are also if they fail.
fn socket_calls(actions: &ActionCalls, failed: bool) -> u32 {
    let is_asked = |name: &str| {
        actions.calls.iter().any(|call| same_on_x86(&call.name) == same_on_x86(name) && (call.also_failed || !failed))
    };
    let asked = SOCKET_CALLS.iter().enumerate().filter(|(_, name)| name.is_some_and(is_asked));
    asked.fold(0, |bits, (number, _)| bits | 1 << number)
}
