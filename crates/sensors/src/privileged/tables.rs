//! The kernel's names for what calls are passed, number by number.

pub(super) use event::constants::{BPF, CLONE, KEYCTL, PRCTL, PTRACE};

use crate::bpf::types::{elevation, executable_memory};

/// include/uapi/linux/mount.h (6.18)
pub(super) const MOUNT: &[(u32, &str)] = &[
    (0x1, "MS_RDONLY"),
    (0x2, "MS_NOSUID"),
    (0x4, "MS_NODEV"),
    (0x8, "MS_NOEXEC"),
    (0x10, "MS_SYNCHRONOUS"),
    (0x20, "MS_REMOUNT"),
    (0x40, "MS_MANDLOCK"),
    (0x80, "MS_DIRSYNC"),
    (0x100, "MS_NOSYMFOLLOW"),
    (0x400, "MS_NOATIME"),
    (0x800, "MS_NODIRATIME"),
    (0x1000, "MS_BIND"),
    (0x2000, "MS_MOVE"),
    (0x4000, "MS_REC"),
    (0x8000, "MS_SILENT"),
    (0x10000, "MS_POSIXACL"),
    (0x20000, "MS_UNBINDABLE"),
    (0x40000, "MS_PRIVATE"),
    (0x80000, "MS_SLAVE"),
    (0x100000, "MS_SHARED"),
    (0x200000, "MS_RELATIME"),
    (0x400000, "MS_KERNMOUNT"),
    (0x800000, "MS_I_VERSION"),
    (0x1000000, "MS_STRICTATIME"),
    (0x2000000, "MS_LAZYTIME"),
];

/// include/linux/fs.h (6.18)
pub(super) const UNMOUNT: &[(u32, &str)] = &[
    (0x1, "MNT_FORCE"),
    (0x2, "MNT_DETACH"),
    (0x4, "MNT_EXPIRE"),
    (0x8, "UMOUNT_NOFOLLOW"),
];

/// include/uapi/linux/prctl.h (6.18)
pub(super) const AMBIENT: &[(u32, &str)] = &[
    (1, "PR_CAP_AMBIENT_IS_SET"),
    (2, "PR_CAP_AMBIENT_RAISE"),
    (3, "PR_CAP_AMBIENT_LOWER"),
    (4, "PR_CAP_AMBIENT_CLEAR_ALL"),
];

/// include/uapi/linux/seccomp.h (6.18)
pub(super) const SECCOMP: &[(u32, &str)] = &[
    (0, "SECCOMP_SET_MODE_STRICT"),
    (1, "SECCOMP_SET_MODE_FILTER"),
    (2, "SECCOMP_GET_ACTION_AVAIL"),
    (3, "SECCOMP_GET_NOTIF_SIZES"),
];

/// include/uapi/linux/seccomp.h (6.18)
pub(super) const SECCOMP_FLAGS: &[(u32, &str)] = &[
    (0x1, "SECCOMP_FILTER_FLAG_TSYNC"),
    (0x2, "SECCOMP_FILTER_FLAG_LOG"),
    (0x4, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
    (0x8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
    (0x10, "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"),
    (0x20, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
];

/// include/uapi/linux/reboot.h (6.18)
pub(super) const REBOOT: &[(u32, &str)] = &[
    (0x1234567, "LINUX_REBOOT_CMD_RESTART"),
    (0xcdef0123, "LINUX_REBOOT_CMD_HALT"),
    (0x89abcdef, "LINUX_REBOOT_CMD_CAD_ON"),
    (0, "LINUX_REBOOT_CMD_CAD_OFF"),
    (0x4321fedc, "LINUX_REBOOT_CMD_POWER_OFF"),
    (0xa1b2c3d4, "LINUX_REBOOT_CMD_RESTART2"),
    (0xd000fce2, "LINUX_REBOOT_CMD_SW_SUSPEND"),
    (0x45584543, "LINUX_REBOOT_CMD_KEXEC"),
];

/// include/uapi/linux/time.h (6.18)
pub(super) const CLOCK: &[(u32, &str)] = &[
    (0, "CLOCK_REALTIME"),
    (1, "CLOCK_MONOTONIC"),
    (2, "CLOCK_PROCESS_CPUTIME_ID"),
    (3, "CLOCK_THREAD_CPUTIME_ID"),
    (4, "CLOCK_MONOTONIC_RAW"),
    (5, "CLOCK_REALTIME_COARSE"),
    (6, "CLOCK_MONOTONIC_COARSE"),
    (7, "CLOCK_BOOTTIME"),
    (8, "CLOCK_REALTIME_ALARM"),
    (9, "CLOCK_BOOTTIME_ALARM"),
    (11, "CLOCK_TAI"),
];

/// include/uapi/linux/perf_event.h (6.18); further types are numbered at run time.
pub(super) const PERF: &[(u32, &str)] = &[
    (0, "PERF_TYPE_HARDWARE"),
    (1, "PERF_TYPE_SOFTWARE"),
    (2, "PERF_TYPE_TRACEPOINT"),
    (3, "PERF_TYPE_HW_CACHE"),
    (4, "PERF_TYPE_RAW"),
    (5, "PERF_TYPE_BREAKPOINT"),
];

/// include/uapi/linux/io_uring.h (6.18)
pub(super) const RING: &[(u32, &str)] = &[
    (0x1, "IORING_SETUP_IOPOLL"),
    (0x2, "IORING_SETUP_SQPOLL"),
    (0x4, "IORING_SETUP_SQ_AFF"),
    (0x8, "IORING_SETUP_CQSIZE"),
    (0x10, "IORING_SETUP_CLAMP"),
    (0x20, "IORING_SETUP_ATTACH_WQ"),
    (0x40, "IORING_SETUP_R_DISABLED"),
    (0x80, "IORING_SETUP_SUBMIT_ALL"),
    (0x100, "IORING_SETUP_COOP_TASKRUN"),
    (0x200, "IORING_SETUP_TASKRUN_FLAG"),
    (0x400, "IORING_SETUP_SQE128"),
    (0x800, "IORING_SETUP_CQE32"),
    (0x1000, "IORING_SETUP_SINGLE_ISSUER"),
    (0x2000, "IORING_SETUP_DEFER_TASKRUN"),
    (0x4000, "IORING_SETUP_NO_MMAP"),
    (0x8000, "IORING_SETUP_REGISTERED_FD_ONLY"),
    (0x10000, "IORING_SETUP_NO_SQARRAY"),
];

/// Operations of io_uring in their order (include/uapi/linux/io_uring.h, 6.18).
pub(super) const REQUEST: &[&str] = &[
    "IORING_OP_NOP",
    "IORING_OP_READV",
    "IORING_OP_WRITEV",
    "IORING_OP_FSYNC",
    "IORING_OP_READ_FIXED",
    "IORING_OP_WRITE_FIXED",
    "IORING_OP_POLL_ADD",
    "IORING_OP_POLL_REMOVE",
    "IORING_OP_SYNC_FILE_RANGE",
    "IORING_OP_SENDMSG",
    "IORING_OP_RECVMSG",
    "IORING_OP_TIMEOUT",
    "IORING_OP_TIMEOUT_REMOVE",
    "IORING_OP_ACCEPT",
    "IORING_OP_ASYNC_CANCEL",
    "IORING_OP_LINK_TIMEOUT",
    "IORING_OP_CONNECT",
    "IORING_OP_FALLOCATE",
    "IORING_OP_OPENAT",
    "IORING_OP_CLOSE",
    "IORING_OP_FILES_UPDATE",
    "IORING_OP_STATX",
    "IORING_OP_READ",
    "IORING_OP_WRITE",
    "IORING_OP_FADVISE",
    "IORING_OP_MADVISE",
    "IORING_OP_SEND",
    "IORING_OP_RECV",
    "IORING_OP_OPENAT2",
    "IORING_OP_EPOLL_CTL",
    "IORING_OP_SPLICE",
    "IORING_OP_PROVIDE_BUFFERS",
    "IORING_OP_REMOVE_BUFFERS",
    "IORING_OP_TEE",
    "IORING_OP_SHUTDOWN",
    "IORING_OP_RENAMEAT",
    "IORING_OP_UNLINKAT",
    "IORING_OP_MKDIRAT",
    "IORING_OP_SYMLINKAT",
    "IORING_OP_LINKAT",
    "IORING_OP_MSG_RING",
    "IORING_OP_FSETXATTR",
    "IORING_OP_SETXATTR",
    "IORING_OP_FGETXATTR",
    "IORING_OP_GETXATTR",
    "IORING_OP_SOCKET",
    "IORING_OP_URING_CMD",
    "IORING_OP_SEND_ZC",
    "IORING_OP_SENDMSG_ZC",
    "IORING_OP_READ_MULTISHOT",
    "IORING_OP_WAITID",
    "IORING_OP_FUTEX_WAIT",
    "IORING_OP_FUTEX_WAKE",
    "IORING_OP_FUTEX_WAITV",
    "IORING_OP_FIXED_FD_INSTALL",
    "IORING_OP_FTRUNCATE",
    "IORING_OP_BIND",
    "IORING_OP_LISTEN",
    "IORING_OP_RECV_ZC",
    "IORING_OP_EPOLL_WAIT",
    "IORING_OP_READV_FIXED",
    "IORING_OP_WRITEV_FIXED",
    "IORING_OP_PIPE",
];

/// include/uapi/linux/io_uring.h (6.1)
pub(super) const REGISTER: &[(u32, &str)] = &[
    (0, "IORING_REGISTER_BUFFERS"),
    (1, "IORING_UNREGISTER_BUFFERS"),
    (2, "IORING_REGISTER_FILES"),
    (3, "IORING_UNREGISTER_FILES"),
    (4, "IORING_REGISTER_EVENTFD"),
    (5, "IORING_UNREGISTER_EVENTFD"),
    (6, "IORING_REGISTER_FILES_UPDATE"),
    (7, "IORING_REGISTER_EVENTFD_ASYNC"),
    (8, "IORING_REGISTER_PROBE"),
    (9, "IORING_REGISTER_PERSONALITY"),
    (10, "IORING_UNREGISTER_PERSONALITY"),
    (11, "IORING_REGISTER_RESTRICTIONS"),
    (12, "IORING_REGISTER_ENABLE_RINGS"),
    (13, "IORING_REGISTER_FILES2"),
    (14, "IORING_REGISTER_FILES_UPDATE2"),
    (15, "IORING_REGISTER_BUFFERS2"),
    (16, "IORING_REGISTER_BUFFERS_UPDATE"),
    (17, "IORING_REGISTER_IOWQ_AFF"),
    (18, "IORING_UNREGISTER_IOWQ_AFF"),
    (19, "IORING_REGISTER_IOWQ_MAX_WORKERS"),
    (20, "IORING_REGISTER_RING_FDS"),
    (21, "IORING_UNREGISTER_RING_FDS"),
    (22, "IORING_REGISTER_PBUF_RING"),
    (23, "IORING_UNREGISTER_PBUF_RING"),
    (24, "IORING_REGISTER_SYNC_CANCEL"),
    (25, "IORING_REGISTER_FILE_ALLOC_RANGE"),
];

/// include/uapi/linux/memfd.h (6.18)
pub(super) const MEMFD: &[(u32, &str)] = &[
    (0x1, "MFD_CLOEXEC"),
    (0x2, "MFD_ALLOW_SEALING"),
    (0x4, "MFD_HUGETLB"),
    (0x8, "MFD_NOEXEC_SEAL"),
    (0x10, "MFD_EXEC"),
];

/// include/uapi/asm-generic/signal.h (6.18); alike on x86 and ARM.
pub(super) const SIGNAL: &[(u32, &str)] = &[
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (17, "SIGCHLD"),
    (18, "SIGCONT"),
    (19, "SIGSTOP"),
    (20, "SIGTSTP"),
    (21, "SIGTTIN"),
    (22, "SIGTTOU"),
    (23, "SIGURG"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (28, "SIGWINCH"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
    (31, "SIGSYS"),
];

/// What `executable_memory` of the kernel side says.
pub(super) const MEMORY: &[(u32, &str)] = &[
    (executable_memory::MEMORY_WRITABLE.0, "writable"),
    (executable_memory::MEMORY_ANONYMOUS.0, "anonymous"),
    (executable_memory::MEMORY_UNKNOWN.0, "origin-unknown"),
];

/// What `elevation` of the kernel side says.
pub(super) const ELEVATION: &[(u32, &str)] = &[
    (elevation::ELEVATED_BY_SET_USER_ID.0, "set-user-id"),
    (elevation::ELEVATED_BY_SET_GROUP_ID.0, "set-group-id"),
    (elevation::ELEVATED_BY_FILE_CAPABILITIES.0, "file-capabilities"),
    (elevation::ELEVATED_BEFORE.0, "elevated-before"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every number that the system's headers give a name with this beginning, by a `#define` or in an enum.
    fn defined(header: &str, is_wanted: impl Fn(&str) -> bool) -> Option<BTreeMap<String, u32>> {
        let text = std::fs::read_to_string(format!("/usr/include/linux/{header}")).ok()?;
        let mut found = BTreeMap::new();
        for line in text.lines() {
            let line = line.split("/*").next().unwrap_or_default().trim().trim_end_matches(',');
            let pair = match line.strip_prefix("#define") {
                Some(rest) => rest.trim().split_once(char::is_whitespace),
                None => line.split_once('='),
            };
            let Some((name, value)) = pair else { continue };
            if let Some(number) = value_of(value).filter(|_| is_wanted(name.trim())) {
                found.insert(name.trim().to_owned(), number);
            }
        }
        Some(found)
    }

    fn value_of(text: &str) -> Option<u32> {
        let text = text.trim().trim_matches(['(', ')']);
        let plain = |text: &str| {
            let text = text.trim().trim_end_matches(['U', 'L']);
            let hex = text.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16));
            hex.unwrap_or_else(|| text.parse()).ok()
        };
        match text.split_once("<<") {
            Some((one, shift)) => plain(one)?.checked_shl(plain(shift)?),
            None => plain(text),
        }
    }

    #[test]
    fn names_are_those_of_the_system_headers() {
        let mut compared = 0;
        for (header, names) in [
            ("sched.h", CLONE),
            ("mount.h", MOUNT),
            ("ptrace.h", PTRACE),
            ("keyctl.h", KEYCTL),
            ("prctl.h", PRCTL),
            ("prctl.h", AMBIENT),
            ("seccomp.h", SECCOMP),
            ("seccomp.h", SECCOMP_FLAGS),
            ("reboot.h", REBOOT),
            ("time.h", CLOCK),
            ("perf_event.h", PERF),
            ("io_uring.h", RING),
            ("io_uring.h", REGISTER),
            ("memfd.h", MEMFD),
        ] {
            let Some(known) = defined(header, |name| names.iter().any(|(_, ours)| *ours == name)) else {
                println!("skipped: no /usr/include/linux/{header}");
                continue;
            };
            for (number, name) in names {
                // A header may be older than the table.
                if let Some(theirs) = known.get(*name) {
                    assert_eq!(theirs, number, "{name} in {header}");
                    compared += 1;
                }
            }
        }
        assert!(compared == 0 || compared > 150, "only {compared} names were found in the headers");
    }

    /// The names of an enumeration in a header, in their order; none if there is no such header.
    fn listed(header: &str, begin: &str, prefix: &str) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(format!("/usr/include/linux/{header}")).ok()?;
        let list = text.split(begin).nth(1).and_then(|rest| rest.split('}').next()).expect("the enum");
        let names = list.split(',').map(str::trim).filter(|name| name.starts_with(prefix) && !name.contains('='));
        Some(names.map(str::to_owned).collect())
    }

    #[test]
    fn commands_of_bpf_and_operations_of_io_uring_are_in_the_order_of_their_headers() {
        let bpf: Vec<&str> = BPF.iter().map(|(_, name)| *name).collect();
        for (header, begin, prefix, ours) in [
            ("bpf.h", "enum bpf_cmd {", "BPF_", &bpf[..]),
            ("io_uring.h", "enum io_uring_op {", "IORING_OP_", REQUEST),
        ] {
            let Some(mut theirs) = listed(header, begin, prefix) else {
                println!("skipped: no /usr/include/linux/{header}");
                continue;
            };
            theirs.retain(|name| name != "IORING_OP_LAST");
            let both = theirs.len().min(ours.len());
            assert!(both > 30, "{header}");
            assert_eq!(theirs[..both], ours[..both]);
        }
    }
}
