//! `privileged`: what a container does, or tries to do, that concerns more than its own processes and files, and with which
//! rights its programs run.
//!
//! Two sets that stay in the kernel, so that nothing in them is lost; the first occurrence of each entry is also an event.
//!
//! - *Operations*: mounts, namespaces, tracing and reading other processes, signals that leave the container, modules, bpf, perf,
//!   keys, changes of credentials, seccomp and prctl, clocks, swap, quota, io_uring, memory that is made executable while it
//!   is writable or anonymous, programs that gain rights (set-user-id, set-group-id, file capabilities), and programs that are
//!   run out of a memfd. Each once per phase, details, errno, texts and target's container. The errno is the verdict: EPERM
//!   and EACCES are denials.
//! - *Confinement*: the distinct states of {seccomp, no new privileges, capability sets, ids, user namespace}, seen at each
//!   exec and, outside of `runtime-init`, after each call that changes them.
//!
//! It sees calls where they return, by a handler in the one program on `sys_exit`, so one that seccomp denies too; programs on
//! `sched_process_exec` and, for the ids that a child starts with, on `sched_process_fork`; requests to io_uring where they are
//! taken (`io_uring_submit_req`, before 6.4 `io_uring_submit_sqe`). The same on every kernel from 5.10.
//!
//! It misses calls that do not return: a reboot that is done, and those whose task seccomp kills. Texts are what the program
//! passed (255 bytes of each), read when the call returns: another thread may have changed them by then, and no link in
//! them is followed. Memory that mprotect makes executable is looked up from 5.17 on; before, and while another thread changes the
//! mappings, it is not known whether it is anonymous. Signals: those of the kernel itself, and to the sender's own group. Of a
//! group that is sent a signal, or of `kill(-1)`, at most the first process is told, `kill(-1)` only from the first pid
//! namespace. Of what is asked for through io_uring it is told what kind of operation it is, not what it is done to nor what becomes of
//! it, and nothing if the kernel takes it itself (`IORING_SETUP_SQPOLL`). A container that varies what it passes has
//! up to 512 entries with texts or ids, 1,024 others and 256 states; what is beyond is counted as one per operation and
//! errno, or per phase.

mod names;
mod tables;

use event::{
    CapabilitySet, Confinement, Errno, Ids, Outcome, Payload, PrivilegedOperation, PrivilegedUse, SeccompMode, Text,
    UserNamespace,
};
use libbpf_rs::btf::types::{Int, IntEncoding};
use libbpf_rs::btf::{Btf, BtfType};

use crate::bpf::types::{
    confinement_namespace, confinement_sample, host_namespace, privileged_kind, privileged_operation, privileged_sample, task_ids,
};
use crate::kernel_types::tracepoint;
use crate::record::{self, DecodeError, Plain};
use crate::{Call, Program, Sensor, Set, sets};

pub(crate) const SENSOR: Sensor = Sensor { sets: SETS, calls: CALLS, ..Sensor::new(PROGRAMS, decode) };

const PROGRAMS: &[Program] = &[
    Program::on("tp_btf/sched_process_fork", "on_fork_privileged"),
    Program::on("tp_btf/sched_process_exec", "on_exec_privileged"),
    Program { only_where: Some(RINGS), ..Program::on("tp_btf/io_uring_submit_req", "on_ring_request") },
    Program {
        only_where: Some(RINGS),
        instead_of: Some("on_ring_request"),
        ..Program::on("tp_btf/io_uring_submit_sqe", "on_ring_entry")
    },
];

/// A kernel without this one was built without io_uring.
const RINGS: &str = "tp_btf/io_uring_create";

/// Where `io_uring_submit_sqe` of this kernel has the operation: the position among its arguments, 0 if only the request has it.
pub(crate) fn ring_operation_at(btf: &Btf<'_>) -> u32 {
    let Some(function) = tracepoint(btf, "io_uring_submit_sqe") else { return 0 };
    // Of `void (*)(void *, ...)` the first is the tracepoint's own. The operation is the only one of a byte.
    let place = function.iter().skip(1).position(|argument| {
        let argument = btf.type_by_id::<BtfType<'_>>(argument.ty).map(|it| it.skip_mods_and_typedefs());
        argument.and_then(|it| Int::try_from(it).ok()).is_some_and(|it| it.bits == 8 && !matches!(it.encoding, IntEncoding::Bool))
    });
    place.and_then(|place| u32::try_from(place).ok()).unwrap_or(0)
}

const SETS: &[Set] = &[
    Set {
        map: "privileged_operations",
        walk: "read_privileged",
        record_bytes: size_of::<privileged_sample>(),
        decode: sets::told,
    },
    Set {
        map: "confinements",
        walk: "read_confinement",
        record_bytes: size_of::<confinement_sample>(),
        decode: sets::told,
    },
];

const fn call(name: &'static str, operation: privileged_operation) -> Call<'static> {
    Call { name, number: operation.0 as u8, also_failed: true }
}

const CALLS: &[Call<'static>] = &[
    call("mount", privileged_operation::PRIVILEGED_MOUNT),
    call("umount", privileged_operation::PRIVILEGED_UMOUNT),
    call("umount2", privileged_operation::PRIVILEGED_UMOUNT2),
    call("pivot_root", privileged_operation::PRIVILEGED_PIVOT_ROOT),
    call("chroot", privileged_operation::PRIVILEGED_CHROOT),
    call("fsopen", privileged_operation::PRIVILEGED_FSOPEN),
    call("fsmount", privileged_operation::PRIVILEGED_FSMOUNT),
    call("move_mount", privileged_operation::PRIVILEGED_MOVE_MOUNT),
    call("open_tree", privileged_operation::PRIVILEGED_OPEN_TREE),
    call("mount_setattr", privileged_operation::PRIVILEGED_MOUNT_SETATTR),
    call("open_by_handle_at", privileged_operation::PRIVILEGED_OPEN_BY_HANDLE_AT),
    call("unshare", privileged_operation::PRIVILEGED_UNSHARE),
    call("setns", privileged_operation::PRIVILEGED_SETNS),
    call("clone", privileged_operation::PRIVILEGED_CLONE),
    call("clone3", privileged_operation::PRIVILEGED_CLONE3),
    call("ptrace", privileged_operation::PRIVILEGED_PTRACE),
    call("process_vm_readv", privileged_operation::PRIVILEGED_PROCESS_VM_READV),
    call("process_vm_writev", privileged_operation::PRIVILEGED_PROCESS_VM_WRITEV),
    call("pidfd_getfd", privileged_operation::PRIVILEGED_PIDFD_GETFD),
    call("kcmp", privileged_operation::PRIVILEGED_KCMP),
    call("kill", privileged_operation::PRIVILEGED_KILL),
    call("tkill", privileged_operation::PRIVILEGED_TKILL),
    call("tgkill", privileged_operation::PRIVILEGED_TGKILL),
    call("rt_sigqueueinfo", privileged_operation::PRIVILEGED_RT_SIGQUEUEINFO),
    call("rt_tgsigqueueinfo", privileged_operation::PRIVILEGED_RT_TGSIGQUEUEINFO),
    call("pidfd_send_signal", privileged_operation::PRIVILEGED_PIDFD_SEND_SIGNAL),
    call("init_module", privileged_operation::PRIVILEGED_INIT_MODULE),
    call("finit_module", privileged_operation::PRIVILEGED_FINIT_MODULE),
    call("delete_module", privileged_operation::PRIVILEGED_DELETE_MODULE),
    call("kexec_load", privileged_operation::PRIVILEGED_KEXEC_LOAD),
    call("kexec_file_load", privileged_operation::PRIVILEGED_KEXEC_FILE_LOAD),
    call("reboot", privileged_operation::PRIVILEGED_REBOOT),
    call("bpf", privileged_operation::PRIVILEGED_BPF),
    call("perf_event_open", privileged_operation::PRIVILEGED_PERF_EVENT_OPEN),
    call("keyctl", privileged_operation::PRIVILEGED_KEYCTL),
    call("add_key", privileged_operation::PRIVILEGED_ADD_KEY),
    call("request_key", privileged_operation::PRIVILEGED_REQUEST_KEY),
    call("setuid", privileged_operation::PRIVILEGED_SETUID),
    call("setuid32", privileged_operation::PRIVILEGED_SETUID),
    call("setgid", privileged_operation::PRIVILEGED_SETGID),
    call("setgid32", privileged_operation::PRIVILEGED_SETGID),
    call("setreuid", privileged_operation::PRIVILEGED_SETREUID),
    call("setreuid32", privileged_operation::PRIVILEGED_SETREUID),
    call("setregid", privileged_operation::PRIVILEGED_SETREGID),
    call("setregid32", privileged_operation::PRIVILEGED_SETREGID),
    call("setresuid", privileged_operation::PRIVILEGED_SETRESUID),
    call("setresuid32", privileged_operation::PRIVILEGED_SETRESUID),
    call("setresgid", privileged_operation::PRIVILEGED_SETRESGID),
    call("setresgid32", privileged_operation::PRIVILEGED_SETRESGID),
    call("setfsuid", privileged_operation::PRIVILEGED_SETFSUID),
    call("setfsuid32", privileged_operation::PRIVILEGED_SETFSUID),
    call("setfsgid", privileged_operation::PRIVILEGED_SETFSGID),
    call("setfsgid32", privileged_operation::PRIVILEGED_SETFSGID),
    call("setgroups", privileged_operation::PRIVILEGED_SETGROUPS),
    call("setgroups32", privileged_operation::PRIVILEGED_SETGROUPS),
    call("capset", privileged_operation::PRIVILEGED_CAPSET),
    call("prctl", privileged_operation::PRIVILEGED_PRCTL),
    call("seccomp", privileged_operation::PRIVILEGED_SECCOMP),
    call("landlock_restrict_self", privileged_operation::PRIVILEGED_LANDLOCK_RESTRICT_SELF),
    call("settimeofday", privileged_operation::PRIVILEGED_SETTIMEOFDAY),
    call("clock_settime", privileged_operation::PRIVILEGED_CLOCK_SETTIME),
    call("clock_settime64", privileged_operation::PRIVILEGED_CLOCK_SETTIME),
    call("clock_adjtime", privileged_operation::PRIVILEGED_CLOCK_ADJTIME),
    call("clock_adjtime64", privileged_operation::PRIVILEGED_CLOCK_ADJTIME),
    call("adjtimex", privileged_operation::PRIVILEGED_ADJTIMEX),
    call("stime", privileged_operation::PRIVILEGED_STIME),
    call("swapon", privileged_operation::PRIVILEGED_SWAPON),
    call("swapoff", privileged_operation::PRIVILEGED_SWAPOFF),
    call("quotactl", privileged_operation::PRIVILEGED_QUOTACTL),
    call("quotactl_fd", privileged_operation::PRIVILEGED_QUOTACTL_FD),
    call("acct", privileged_operation::PRIVILEGED_ACCT),
    call("syslog", privileged_operation::PRIVILEGED_SYSLOG),
    call("sethostname", privileged_operation::PRIVILEGED_SETHOSTNAME),
    call("setdomainname", privileged_operation::PRIVILEGED_SETDOMAINNAME),
    call("iopl", privileged_operation::PRIVILEGED_IOPL),
    call("ioperm", privileged_operation::PRIVILEGED_IOPERM),
    call("fanotify_init", privileged_operation::PRIVILEGED_FANOTIFY_INIT),
    call("io_uring_setup", privileged_operation::PRIVILEGED_IO_URING_SETUP),
    call("io_uring_register", privileged_operation::PRIVILEGED_IO_URING_REGISTER),
    call("userfaultfd", privileged_operation::PRIVILEGED_USERFAULTFD),
    call("memfd_create", privileged_operation::PRIVILEGED_MEMFD_CREATE),
    call("mmap", privileged_operation::PRIVILEGED_MMAP),
    call("mmap2", privileged_operation::PRIVILEGED_MMAP),
    call("mprotect", privileged_operation::PRIVILEGED_MPROTECT),
    call("pkey_mprotect", privileged_operation::PRIVILEGED_MPROTECT),
];

// SAFETY: integers and arrays of them only (`operations.h`).
unsafe impl Plain for privileged_sample {}
// SAFETY: as above (`confinement.h`).
unsafe impl Plain for confinement_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match privileged_kind(u32::from(kind)) {
        privileged_kind::PRIVILEGED_DONE => decode_operation(bytes).map(Payload::Privileged),
        privileged_kind::PRIVILEGED_CONFINEMENT => decode_confinement(bytes).map(Payload::Confinement),
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

fn decode_operation(bytes: &[u8]) -> Result<PrivilegedUse, DecodeError> {
    let privileged_sample { key, state, .. } = record::read::<privileged_sample>(bytes)?;
    let unknown = DecodeError::UnknownValue(key.operation);
    let place = usize::from(key.operation).checked_sub(1).ok_or(unknown)?;
    let operation = *PrivilegedOperation::ALL.get(place).ok_or(unknown)?;
    let is_rest = key.is_rest != 0;
    let errno = (key.errno != 0).then_some(Errno(key.errno));
    let text = |position: usize| {
        let bytes: Vec<u8> = state.texts[position].words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let length = (state.lengths[position] as usize).min(bytes.len());
        Text::new(&bytes[..length])
    };
    let has_target = key.has_target != 0;
    Ok(PrivilegedUse {
        operation,
        outcome: Outcome::of(errno),
        errno,
        details: if is_rest { Vec::new() } else { names::details(operation, key.details) },
        object: text(0),
        source: text(1),
        type_name: text(2),
        truncated: state.cut != 0,
        before: (state.has_before != 0).then(|| ids(&state.before)),
        after: (state.has_after != 0).then(|| ids(&state.after)),
        target: has_target.then(|| record::process(&state.target)),
        target_comm: if has_target { Text::new(record::until_nul(&state.target.comm)) } else { Text::default() },
        target_run: (key.target_slot != 0).then(|| record::run(key.target_slot, key.target_generation)),
        others: is_rest,
        count: state.count,
    })
}

fn decode_confinement(bytes: &[u8]) -> Result<Confinement, DecodeError> {
    let confinement_sample { key, state, .. } = record::read::<confinement_sample>(bytes)?;
    Ok(Confinement {
        // include/uapi/linux/seccomp.h (6.18): SECCOMP_MODE_...; the kernel adds a mode for tasks that it is killing.
        seccomp: match key.seccomp {
            0 => SeccompMode::Disabled,
            1 => SeccompMode::Strict,
            2 | 3 => SeccompMode::Filter,
            other => return Err(DecodeError::UnknownValue(other)),
        },
        no_new_privileges: key.no_new_privileges != 0,
        user_namespace: match confinement_namespace(u32::from(key.namespace)) {
            confinement_namespace::CONFINED_IN_INITIAL => UserNamespace::Initial,
            confinement_namespace::CONFINED_IN_CONTAINER => UserNamespace::Container,
            confinement_namespace::CONFINED_IN_WORKLOAD => UserNamespace::Workload,
            _ => return Err(DecodeError::UnknownValue(key.namespace)),
        },
        effective: CapabilitySet(key.effective),
        permitted: CapabilitySet(key.permitted),
        inheritable: CapabilitySet(key.inheritable),
        bounding: CapabilitySet(key.bounding),
        ambient: CapabilitySet(key.ambient),
        ids: ids(&key.ids),
        host_namespaces: host_namespaces(key.host_namespaces),
        others: key.is_rest != 0,
        count: state.count,
    })
}

/// The namespaces of these bits, in alphabetical order.
fn host_namespaces(bits: u8) -> Vec<Text> {
    const NAMES: [(host_namespace, &str); 7] = [
        (host_namespace::HOST_CGROUP, "cgroup"),
        (host_namespace::HOST_IPC, "ipc"),
        (host_namespace::HOST_MOUNT, "mount"),
        (host_namespace::HOST_NET, "net"),
        (host_namespace::HOST_PID, "pid"),
        (host_namespace::HOST_UTS, "uts"),
        (host_namespace::HOST_UNKNOWN, "unknown"),
    ];
    NAMES.iter().filter(|(bit, _)| u32::from(bits) & bit.0 != 0).map(|(_, name)| (*name).into()).collect()
}

pub(crate) fn ids(ids: &task_ids) -> Ids {
    Ids { uid: ids.uid, euid: ids.euid, suid: ids.suid, gid: ids.gid, egid: ids.egid, sgid: ids.sgid }
}

#[cfg(test)]
mod tests;
