//! `terminal`: programs that are started in a session with a terminal, which is how a person works in a container: the
//! workload's own (`docker run -it`), or one that was entered later (`docker exec -it`).
//!
//! Programs are told at each exec (`sched_process_exec`) of a process whose session has a controlling terminal: which one, and
//! whose session it is. On every kernel from 5.10 on. A session that starts no program is not seen so.
//!
//! What is typed and shown is looked at only if that is asked for: what read, readv, write and writev moved to or from a terminal,
//! told when they return. Nothing is kept that the terminal did not show: of what is typed while it has its echo off (passwords,
//! and shells that let their lines be edited, which show what is typed themselves) only the number of bytes. So much is kept of each
//! container and phase; then it is told once that there is more. It misses what io_uring, sendfile and splice bring to a terminal,
//! and of one call what is beyond 8 KiB or eight parts. What a call passed is read when it returns: another thread may have changed
//! it.

use event::{Device, Payload, TerminalProgram, TerminalText, Text};

use crate::bpf::types::{terminal_call, terminal_kind, terminal_sample, terminal_session, terminal_text_sample};
use crate::record::{self, DecodeError, Plain};
use crate::{Call, Program, Sensor};

pub(crate) const SENSOR: Sensor = Sensor {
    calls_asked: |options| if options.terminal_bytes > 0 { CALLS.to_vec() } else { Vec::new() },
    ..Sensor::new(PROGRAMS, decode)
};

const PROGRAMS: &[Program] = &[Program::on("tp_btf/sched_process_exec", "on_exec_terminal")];

const fn call(name: &'static str, what: terminal_call) -> Call<'static> {
    Call { name, number: what.0 as u8, also_failed: false }
}

const CALLS: &[Call<'static>] = &[
    call("read", terminal_call::TERMINAL_CALL_READ),
    call("readv", terminal_call::TERMINAL_CALL_READV),
    call("write", terminal_call::TERMINAL_CALL_WRITE),
    call("writev", terminal_call::TERMINAL_CALL_WRITEV),
];

// SAFETY: integers and arrays of them only (`terminal.bpf.c`).
unsafe impl Plain for terminal_sample {}
// SAFETY: as above.
unsafe impl Plain for terminal_text_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match terminal_kind(u32::from(kind)) {
        terminal_kind::TERMINAL_PROGRAM => {
            let sample = record::read::<terminal_sample>(bytes)?;
            let session = sample.session.session;
            Ok(Payload::Terminal(TerminalProgram { device: device(&sample.session), session }))
        }
        terminal_kind::TERMINAL_TEXT => decode_text(bytes).map(Payload::TerminalText),
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

fn device(session: &terminal_session) -> Device {
    Device { major: session.major, minor: session.minor }
}

fn decode_text(bytes: &[u8]) -> Result<TerminalText, DecodeError> {
    let sample = record::read::<terminal_text_sample>(bytes)?;
    let needed = size_of::<terminal_text_sample>() + sample.kept as usize;
    let text = bytes
        .get(size_of::<terminal_text_sample>()..needed)
        .ok_or(DecodeError::TooShort { got: bytes.len(), needed })?;
    Ok(TerminalText {
        device: device(&sample.session),
        session: sample.session.session,
        typed: sample.is_typed != 0,
        hidden: sample.is_hidden != 0,
        bytes: sample.bytes,
        text: Text::new(text),
    })
}

#[cfg(test)]
mod tests;
