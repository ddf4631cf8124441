//! Bytes that the kernel side wrote -> numbers and texts. Pure: no libbpf, no clock, no `/proc`.

use event::{Arch, ExecId, Phase, ProcessId, RunId, TaskId, Text};

use crate::bpf::types::{self, sample_header, task_ref};

/// Why a record could not be read. Such a record is counted and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before its last field.
    #[error("record of {got} bytes is shorter than the {needed} that it announces")]
    TooShort {
        /// How long it is.
        got: usize,
        /// How long it should be.
        needed: usize,
    },
    /// It comes from a sensor that this program does not have.
    #[error("record of the unknown sensor {0}")]
    UnknownSensor(u8),
    /// Its sensor writes no such kind.
    #[error("record of the unknown kind {0}")]
    UnknownKind(u8),
    /// Its table of system calls is none.
    #[error("record of the unknown table {0}")]
    UnknownTable(u8),
    /// A field of it has a value without a meaning.
    #[error("record with the unknown value {0}")]
    UnknownValue(u8),
    /// Its phase is none.
    #[error("record of the unknown phase {0}")]
    UnknownPhase(u8),
}

/// A struct that is generated from the object's BTF and consists of integers only.
///
/// # Safety
///
/// Every byte pattern must be a value of the type.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: each is made of fixed-width integers and arrays of them (`bpf/*.h`, `src/*/*.bpf.c`), and so without padding
// that matters to reading.
unsafe impl Plain for sample_header {}

/// Reads a struct from the start of a record.
pub(crate) fn read<T: Plain>(record: &[u8]) -> Result<T, DecodeError> {
    if record.len() < size_of::<T>() {
        return Err(DecodeError::TooShort { got: record.len(), needed: size_of::<T>() });
    }
    // SAFETY: the length was checked above, the read needs no alignment, and every byte pattern is a `T`.
    Ok(unsafe { record.as_ptr().cast::<T>().read_unaligned() })
}

/// The bytes of a struct, for the kernel.
pub(crate) fn bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: a `Plain` consists of integers and arrays of them, without padding between.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The part of the container's life that the kernel side calls by this number.
pub(crate) fn phase(number: u8) -> Result<Phase, DecodeError> {
    match types::phase(u32::from(number)) {
        types::phase::PHASE_RUNTIME_INIT => Ok(Phase::RuntimeInit),
        types::phase::PHASE_MAIN => Ok(Phase::Main),
        types::phase::PHASE_EXEC => Ok(Phase::Exec),
        _ => Err(DecodeError::UnknownPhase(number)),
    }
}

/// The table of system calls that the kernel side calls by this number.
pub(crate) fn table(number: u8) -> Result<Arch, DecodeError> {
    match types::table(u32::from(number)) {
        types::table::TABLE_X86_64 => Ok(Arch::X86_64),
        types::table::TABLE_X86 => Ok(Arch::X86),
        types::table::TABLE_X32 => Ok(Arch::X32),
        types::table::TABLE_AARCH64 => Ok(Arch::Aarch64),
        types::table::TABLE_ARM => Ok(Arch::Arm),
        _ => Err(DecodeError::UnknownTable(number)),
    }
}

/// The run that a slot number and its generation stand for.
pub(crate) fn run(slot: u32, generation: u32) -> RunId {
    RunId { slot, generation }
}

/// The process that a task belongs to.
pub(crate) fn process(task: &task_ref) -> ProcessId {
    ProcessId { pid: task.pid, start_ns: task.start_ns }
}

/// The program image that a task runs.
pub(crate) fn image(task: &task_ref) -> ExecId {
    ExecId { process: process(task), exec: task.exec }
}

/// The task, with its name.
pub(crate) fn task(task: &task_ref) -> TaskId {
    TaskId { image: image(task), tid: task.tid, comm: Text::new(until_nul(&task.comm)) }
}

/// The bytes before the first zero, or all.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|&byte| byte == 0).map_or(bytes, |end| &bytes[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shorter_than_its_struct_is_refused() {
        let record = [0u8; 20];

        let result = read::<sample_header>(&record);

        assert_eq!(result.err(), Some(DecodeError::TooShort { got: 20, needed: size_of::<sample_header>() }));
    }

    #[test]
    fn an_unknown_phase_is_refused() {
        assert_eq!(phase(3), Err(DecodeError::UnknownPhase(3)));
    }
}
