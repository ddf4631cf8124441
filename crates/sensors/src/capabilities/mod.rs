//! `capabilities`: every capability that the kernel checks for a watched task, and what it answered.
//!
//! A set that stays in the kernel, so that no check is lost: for each phase, capability, answer (*used* if the task had it,
//! *denied* if not), user namespace, credentials, and whether the kernel would have a denial audited, the count and the
//! first check, with its program and system call. That first one is also an event.
//!
//! **Used is not needed.** The kernel asks for many a capability only to choose between two ways of going on, and whoever
//! has it is counted as having used it. Three things are told apart so that less has to be guessed:
//!
//! - *Audit.* Where the kernel asks with `CAP_OPT_NOAUDIT`, a no is nothing to tell anybody: every program start and every
//!   growth of memory asks for `CAP_SYS_ADMIN` so, to find out how much memory may be reserved for it.
//! - *Namespace.* A capability is asked for a user namespace: the initial one, that of the container's first program, one
//!   that the container made itself (where it holds them all, and needs none of its runtime), or another.
//! - *Credentials.* A file system that lies over others (overlayfs) asks once more with the credentials of whoever mounted
//!   it, a file with those of whoever opened it, ptrace with the tracer's: those are not the task's.
//!
//! It sees the check where all of them come together, in `cap_capable`:
//!
//! | kernel | hook | whether audited |
//! |---|---|---|
//! | from 6.14 on | the tracepoint `cap_capable` | by the function that asked, as the kernel stack shows it; `unknown` if that is none of those below or if `/proc/kallsyms` has no addresses |
//! | others that take `fexit` programs (x86_64 from 5.10 on, arm64 from 6.4 on) | `fexit` of the function | the option itself |
//! | others | none: the sensor is unsupported | |
//!
//! A kernel may have the function compiled into those beside it that ask (security/commoncap.c; Debian's from 5.10 to 6.12 have
//! it so at least for memory), where `fexit` does not see it. Whether it is so is tried when the sensor starts; what capset(2) and
//! `PR_SET_SECUREBITS` ask for is then told by their own functions. What is not seen on such a kernel is what is asked for
//! memory (`CAP_SYS_ADMIN`, without audit) and for addresses below `vm.mmap_min_addr` (`CAP_SYS_RAWIO`).
//!
//! It misses checks in kernel threads, such as those that do the work of io_uring before 5.12; those of a kernel that
//! answers without `cap_capable`; and what a further security module denies after it. Checks in the exec that starts the
//! workload belong to `runtime-init` up to the point where the new program is certain, unlike the call itself.
//!
//! Unwinding the stack at each check is by far the dearest part of a check; `layout.rs` says what is done instead.
//!
//! On kernels whose tasks can lose the CPU in the middle of a program (from 7.0 on) the tracepoint's program has a twin, as
//! all have; it is of use there because what is checked belongs to the running task. `fexit` programs have none: runs that
//! the kernel skips are counted, and the report says so.

mod inlined;
mod kallsyms;
mod layout;

use event::{Capability, CapabilityAudit, CapabilityCheck, CapabilityNamespace, Credentials, Payload, Syscall, Verdict};
use libbpf_rs::Object;

pub(crate) use kallsyms::find_callers;

use crate::bpf::types::{
    callers, capabilities_kind, capability_audit, capability_credentials, capability_namespace, capability_sample,
    capability_verdict,
};
use crate::load::{LoadError, ProgramState, State};
use crate::record::{self, DecodeError, Plain};
use crate::{Program, Sensor, Set, sets};

pub(crate) const SENSOR: Sensor = Sensor {
    sets: &[Set {
        map: "capabilities",
        walk: "read_capability",
        record_bytes: size_of::<capability_sample>(),
        decode: sets::told,
    }],
    ..Sensor::new(PROGRAMS, decode)
};

const PROGRAMS: &[Program] = &[
    Program::on("tp_btf/cap_capable", "on_cap_capable"),
    Program { instead_of: Some("on_cap_capable"), ..Program::on("fexit/cap_capable", "on_cap_capable_return") },
    Program { only_with: Some("on_cap_capable_return"), ..Program::on("fexit/cap_capset", "on_cap_capset_return") },
    Program { only_with: Some("on_cap_capable_return"), ..Program::on("fexit/cap_task_prctl", "on_cap_task_prctl_return") },
];

// SAFETY: integers and arrays of them only (`capabilities.bpf.c`).
unsafe impl Plain for capability_sample {}

/// Finds out, by checks of our own, what the attached programs have to know of this kernel's code.
pub(crate) fn learn(object: &Object, callers: &callers, programs: &[ProgramState]) -> Result<(), LoadError> {
    let is_attached = |name| programs.iter().any(|it| it.name == name && it.state == State::Attached);
    if is_attached("on_cap_capable") {
        layout::learn(object, callers)?;
    }
    if is_attached("on_cap_capable_return") {
        inlined::learn(object)?;
    }
    Ok(())
}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    if capabilities_kind(u32::from(kind)) != capabilities_kind::CAPABILITIES_CHECKED {
        return Err(DecodeError::UnknownKind(kind));
    }
    let sample = record::read::<capability_sample>(bytes)?;
    let key = sample.key;
    let syscall = match sample.call.checked_sub(1) {
        Some(number) => Some(Syscall { arch: record::table(sample.table)?, number }),
        None => None,
    };
    Ok(Payload::Capability(CapabilityCheck {
        capability: Capability::new(key.capability).ok_or(DecodeError::UnknownValue(key.capability))?,
        verdict: match capability_verdict(u32::from(key.verdict)) {
            capability_verdict::CAPABILITY_USED => Verdict::Used,
            capability_verdict::CAPABILITY_DENIED => Verdict::Denied,
            _ => return Err(DecodeError::UnknownValue(key.verdict)),
        },
        audit: match capability_audit(u32::from(key.audit)) {
            capability_audit::CAPABILITY_AUDITED => CapabilityAudit::Yes,
            capability_audit::CAPABILITY_SILENT => CapabilityAudit::No,
            capability_audit::CAPABILITY_AUDIT_UNKNOWN => CapabilityAudit::Unknown,
            _ => return Err(DecodeError::UnknownValue(key.audit)),
        },
        namespace: match capability_namespace(u32::from(key.namespace)) {
            capability_namespace::CAPABILITY_IN_INITIAL => CapabilityNamespace::Initial,
            capability_namespace::CAPABILITY_IN_CONTAINER => CapabilityNamespace::Container,
            capability_namespace::CAPABILITY_IN_WORKLOAD => CapabilityNamespace::Workload,
            capability_namespace::CAPABILITY_IN_OTHER => CapabilityNamespace::Other,
            _ => return Err(DecodeError::UnknownValue(key.namespace)),
        },
        credentials: match capability_credentials(u32::from(key.credentials)) {
            capability_credentials::CAPABILITY_OF_TASK => Credentials::Own,
            capability_credentials::CAPABILITY_OF_OTHER => Credentials::Other,
            _ => return Err(DecodeError::UnknownValue(key.credentials)),
        },
        syscall,
        count: sample.count,
    }))
}

#[cfg(test)]
mod tests;
