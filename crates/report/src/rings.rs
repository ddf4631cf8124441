//! What a container asked for through io_uring, as far as that may be missing elsewhere in its report.

use event::{Outcome, PrivilegedOperation, Text};

use crate::Report;

/// The calls that use io_uring.
const CALLS: [&str; 2] = ["io_uring_enter", "io_uring_setup"];
/// The hooks that say what is asked for.
const HOOKS: [&str; 2] = ["tp_btf/io_uring_submit_req", "tp_btf/io_uring_submit_sqe"];
/// With it the kernel takes requests itself, and nobody is told of them.
const TAKEN_BY_THE_KERNEL: &str = "IORING_SETUP_SQPOLL";

/// Requests that do nothing which a report would list: neither with files nor over sockets.
const HARMLESS: [&str; 29] = [
    "IORING_OP_NOP",
    "IORING_OP_FSYNC",
    "IORING_OP_POLL_ADD",
    "IORING_OP_POLL_REMOVE",
    "IORING_OP_SYNC_FILE_RANGE",
    "IORING_OP_TIMEOUT",
    "IORING_OP_TIMEOUT_REMOVE",
    "IORING_OP_ASYNC_CANCEL",
    "IORING_OP_LINK_TIMEOUT",
    "IORING_OP_CLOSE",
    "IORING_OP_FILES_UPDATE",
    "IORING_OP_STATX",
    "IORING_OP_FADVISE",
    "IORING_OP_MADVISE",
    "IORING_OP_EPOLL_CTL",
    "IORING_OP_PROVIDE_BUFFERS",
    "IORING_OP_REMOVE_BUFFERS",
    "IORING_OP_MSG_RING",
    "IORING_OP_FSETXATTR",
    "IORING_OP_SETXATTR",
    "IORING_OP_FGETXATTR",
    "IORING_OP_GETXATTR",
    "IORING_OP_WAITID",
    "IORING_OP_FUTEX_WAIT",
    "IORING_OP_FUTEX_WAKE",
    "IORING_OP_FUTEX_WAITV",
    "IORING_OP_FIXED_FD_INSTALL",
    "IORING_OP_EPOLL_WAIT",
    "IORING_OP_PIPE",
];
/// Requests that have to do with sockets alone.
const OF_SOCKETS: [&str; 13] = [
    "IORING_OP_SENDMSG",
    "IORING_OP_RECVMSG",
    "IORING_OP_ACCEPT",
    "IORING_OP_CONNECT",
    "IORING_OP_SEND",
    "IORING_OP_RECV",
    "IORING_OP_SHUTDOWN",
    "IORING_OP_SOCKET",
    "IORING_OP_SEND_ZC",
    "IORING_OP_SENDMSG_ZC",
    "IORING_OP_BIND",
    "IORING_OP_LISTEN",
    "IORING_OP_RECV_ZC",
];
/// Requests that have to do with files alone.
const OF_FILES: [&str; 9] = [
    "IORING_OP_FALLOCATE",
    "IORING_OP_OPENAT",
    "IORING_OP_OPENAT2",
    "IORING_OP_RENAMEAT",
    "IORING_OP_UNLINKAT",
    "IORING_OP_MKDIRAT",
    "IORING_OP_SYMLINKAT",
    "IORING_OP_LINKAT",
    "IORING_OP_FTRUNCATE",
];

/// Why file operations may be missing; none if they are not.
pub(crate) fn files(report: &Report) -> Option<String> {
    missing(report, &OF_SOCKETS, "file operations")
}

/// Why sockets and connections may be missing; none if they are not.
pub(crate) fn network(report: &Report) -> Option<String> {
    missing(report, &OF_FILES, "sockets and connections")
}

/// All but those of `others` may have done it, those that are not known here included.
fn missing(report: &Report, others: &[&str], what: &str) -> Option<String> {
    let used = report.behaviour.syscalls.uses.iter();
    if !used.clone().any(|used| CALLS.contains(&used.name.as_str()) && used.count > 0) {
        return None;
    }
    let Some(requests) = requests(report) else { return Some(format!("io_uring used: {what} may be missing")) };
    let is_other = |name: &&Text| HARMLESS.iter().chain(others).any(|it| name.as_bytes() == it.as_bytes());
    let mut names: Vec<String> =
        requests.iter().filter(|name| !is_other(name)).map(|it| it.shown().into_owned()).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| format!("io_uring used ({}): {what} may be missing", names.join(", ")))
}

/// The kinds of all requests; none if not all of them are known.
fn requests(report: &Report) -> Option<Vec<&Text>> {
    let mut hooks = report.sensors.iter().flat_map(|sensor| &sensor.hooks);
    let is_told = hooks.any(|hook| HOOKS.iter().any(|it| hook.as_bytes() == it.as_bytes()));
    let has_lost = report.losses.iter().any(|loss| loss.count > 0);
    let operations = &report.behaviour.privileged.operations;
    let of = |operation| operations.iter().filter(move |used| used.operation == operation);
    let by_kernel = of(PrivilegedOperation::IoUringSetup)
        .filter(|setup| setup.outcome == Outcome::Allowed)
        .any(|setup| setup.others || setup.details.iter().any(|it| it.as_bytes() == TAKEN_BY_THE_KERNEL.as_bytes()));
    if !is_told || has_lost || by_kernel {
        return None;
    }
    of(PrivilegedOperation::IoUringRequest).map(|request| request.details.first().filter(|_| !request.others)).collect()
}
