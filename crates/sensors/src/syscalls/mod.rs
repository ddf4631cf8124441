//! `syscalls`: every system call of every watched task, in the task's own counts.
//!
//! One program on `sys_enter` counts entries, one on `sys_exit` counts failures by errno; no event is sent, unless each call was asked for. A call counts
//! when it is entered, in the table it was entered through (`int 0x80` goes to the 32-bit one). It misses calls that a
//! seccomp filter refuses: the filter runs first, so of those only the errno is seen.

use event::{Payload, Syscall, SyscallMade};

use crate::{Program, Sensor};
use crate::bpf::types::{call_sample, syscalls_kind};
use crate::record::{self, DecodeError, Plain};

pub(crate) const SENSOR: Sensor = Sensor::new(PROGRAMS, decode);

const PROGRAMS: &[Program] = &[
    Program::on("tp_btf/sys_enter", "on_sys_enter"),
    Program::on("tp_btf/sys_exit", "on_sys_exit"),
    Program { only_traced: true, ..Program::on("tp_btf/sched_process_exit", "on_exit_syscalls") },
];

// SAFETY: integers and arrays of them only (`trace.h`).
unsafe impl Plain for call_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    if syscalls_kind(u32::from(kind)) != syscalls_kind::SYSCALLS_CALL {
        return Err(DecodeError::UnknownKind(kind));
    }
    let sample = record::read::<call_sample>(bytes)?;
    Ok(Payload::Syscall(SyscallMade {
        syscall: Syscall { arch: record::table(sample.table)?, number: sample.number },
        args: sample.args,
        result: (sample.returned != 0).then_some(sample.result),
        duration_ns: sample.duration_ns,
    }))
}

#[cfg(test)]
mod tests;
