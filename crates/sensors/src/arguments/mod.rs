//! `arguments`: with which values those system calls are made whose danger is in one argument.
//!
//! A set that stays in the kernel: for each phase, table and call the distinct values of that argument, each with its first
//! use. Of how often each was passed there is no count. Nothing of it is an event. The values are taken by the program that
//! counts the call, right after it did: so a call that was counted and is watched has its value here, one that seccomp
//! refuses has not, and one that never returns has.
//!
//! | call | argument | what of it |
//! |---|---|---|
//! | `bpf` | 0, the command | all |
//! | `clone` | 0, the flags | all but the signal at the child's end |
//! | `fcntl`, `fcntl64` | 1, the command | all |
//! | `ioctl` | 1, the request | all |
//! | `keyctl` | 0, the operation | all |
//! | `madvise` | 2, the advice | all |
//! | `mmap`, `mmap2`, `mprotect`, `pkey_mprotect` | 2, the protection | `PROT_READ`, `PROT_WRITE`, `PROT_EXEC` |
//! | `personality` | 0, the persona | all |
//! | `prctl` | 0, the option | all |
//! | `setns` | 1, the type of namespace | all |
//! | `socket` | 0, the family | all |
//! | `unshare` | 0, the flags | all |
//!
//! Of each the lower 32 bits, which is what the kernel takes. Up to 32 values are kept of a call (per table and phase), and
//! 256 of a container; beyond them it is kept that there were more. It misses what lies in memory: the flags of `clone3`,
//! and the arguments of the `mmap` and `socketcall` of x86's 32-bit table.
//!
//! It has no hook of its own; a value that was seen before costs one look into an array, and the return of its call another look
//! at the task's note.

use event::{ArgumentSeen, Payload, Syscall, Total};

use crate::bpf::types::{argument_record, watched_argument};
use crate::record::{self, DecodeError, Plain};
use crate::{Call, Entry, Sensor, Set};

pub(crate) const SENSOR: Sensor = Sensor {
    sets: &[Set { map: "arguments", walk: "read_argument", record_bytes: size_of::<argument_record>(), decode: seen }],
    entries: ENTRIES,
    calls: RETURNS,
    ..Sensor::new(&[], decode)
};

const fn entry(name: &'static str, argument: watched_argument) -> Entry {
    Entry { name, number: argument.0 as u8 }
}

const ENTRIES: &[Entry] = &[
    entry("bpf", watched_argument::ARGUMENT_BPF),
    entry("clone", watched_argument::ARGUMENT_CLONE),
    entry("fcntl", watched_argument::ARGUMENT_FCNTL),
    entry("fcntl64", watched_argument::ARGUMENT_FCNTL),
    entry("ioctl", watched_argument::ARGUMENT_IOCTL),
    entry("keyctl", watched_argument::ARGUMENT_KEYCTL),
    entry("madvise", watched_argument::ARGUMENT_MADVISE),
    entry("mmap", watched_argument::ARGUMENT_MEMORY),
    entry("mmap2", watched_argument::ARGUMENT_MEMORY),
    entry("mprotect", watched_argument::ARGUMENT_MEMORY),
    entry("personality", watched_argument::ARGUMENT_PERSONALITY),
    entry("pkey_mprotect", watched_argument::ARGUMENT_MEMORY),
    entry("prctl", watched_argument::ARGUMENT_PRCTL),
    entry("setns", watched_argument::ARGUMENT_SETNS),
    entry("socket", watched_argument::ARGUMENT_SOCKET),
    entry("unshare", watched_argument::ARGUMENT_UNSHARE),
];

/// The same calls: their return is seen, so that one which a filter refuses is never taken for the one before it, and the
/// refusals of calls with conditions are counted exactly. There is nothing to do then.
const RETURNS: &[Call<'static>] = &{
    let mut calls = [Call { name: "", number: 0, also_failed: false }; ENTRIES.len()];
    let mut at = 0;
    while at < ENTRIES.len() {
        calls[at] = Call { name: ENTRIES[at].name, number: ENTRIES[at].number, also_failed: false };
        at += 1;
    }
    calls
};

// SAFETY: integers and arrays of them only (`arguments.bpf.c`).
unsafe impl Plain for argument_record {}

/// It puts nothing on the ring.
fn decode(kind: u8, _: &[u8]) -> Result<Payload, DecodeError> {
    Err(DecodeError::UnknownKind(kind))
}

fn seen(bytes: &[u8]) -> Result<Total, DecodeError> {
    let record = record::read::<argument_record>(bytes)?;
    let key = record.key;
    Ok(Total::Argument(ArgumentSeen {
        syscall: Syscall { arch: record::table(key.table)?, number: key.number.into() },
        position: u8::try_from(record.position).map_err(|_| DecodeError::UnknownValue(u8::MAX))?,
        mask: record.mask,
        value: (key.is_list == 0).then_some(key.value),
        others: record.others != 0,
        boot_ns: record.header.boot_ns,
        task: record::task(&record.header.task),
    }))
}

#[cfg(test)]
mod tests;
