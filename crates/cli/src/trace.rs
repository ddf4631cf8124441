//! `ringfence record --trace-syscalls`: one line per call.

use std::io::{self, Write};

use agent::CallFilter;
use anyhow::Context as _;
use event::{Arch, Errno, Payload, SyscallMade, SyscallNames};
use rules::Subject;

use crate::record::RecordArgs;

/// What the kernel is to trace. Names are those of the machine's own table.
pub(crate) fn filter(args: &RecordArgs, names: &SyscallNames) -> anyhow::Result<CallFilter> {
    let number = |name: &String| {
        name.parse().ok().or_else(|| names.number(Arch::NATIVE, name)).with_context(|| {
            format!("{} has no system call `{name}`: write a name as in `man 2 syscalls`, or a number", Arch::NATIVE)
        })
    };
    let numbers = args.syscall.iter().map(number).collect::<Result<Vec<u32>, _>>()?;
    Ok(CallFilter {
        comm: args.comm.clone(),
        uid: args.uid,
        numbers: (!numbers.is_empty()).then_some(numbers),
        failed_only: args.failed,
    })
}

/// Prints calls until there were enough.
pub(crate) fn printer(
    names: SyscallNames,
    of_command: bool,
    max_events: Option<u64>,
) -> impl FnMut(&Subject<'_>) -> io::Result<bool> + use<> {
    let mut left = max_events.unwrap_or(u64::MAX);
    let mut out: Box<dyn Write> = if of_command { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) };
    move |subject: &Subject<'_>| {
        let Payload::Syscall(call) = subject.payload else { return Ok(true) };
        if left > 0 {
            writeln!(out, "{}", line(subject, call, &names))?;
            left -= 1;
        }
        Ok(left > 0)
    }
}

/// `12.345678901  1234 sh            openat(0xffffff9c, …) = -1 ENOENT <0.000012>`
fn line(subject: &Subject<'_>, call: &SyscallMade, names: &SyscallNames) -> String {
    let args = call.args.map(|arg| format!("{arg:#x}")).join(", ");
    let result = match call.result {
        None => "?".to_owned(),
        Some(errno @ -4095..=-1) => format!("-1 {}", Errno(errno.unsigned_abs() as u16)),
        Some(value) => value.to_string(),
    };
    format!(
        "{:>6}.{:09} {:>7} {:<15} {}({args}) = {result} <{}.{:09}>",
        subject.event.time / 1_000_000_000,
        subject.event.time % 1_000_000_000,
        subject.process.tid,
        subject.process.name,
        names.name(call.syscall),
        call.duration_ns / 1_000_000_000,
        call.duration_ns % 1_000_000_000,
    )
}

#[cfg(test)]
mod tests {
    use event::{Event, ExecId, Phase, ProcessId, RunId, Syscall, TaskId};

    use super::*;

    fn event(result: Option<i64>) -> Event {
        let process = ProcessId { pid: 7, start_ns: 1 };
        Event {
            boot_ns: 12_000_000_345,
            run: RunId { slot: 1, generation: 0 },
            phase: Phase::Main,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: 8, comm: "e\x1b[2Jvil".into() },
            payload: Payload::Syscall(SyscallMade {
                syscall: Syscall { arch: Arch::X86_64, number: 39 },
                args: [1, 0, 0, 0, 0, 0xff],
                result,
                duration_ns: 1_500,
            }),
        }
    }

    fn shown(result: Option<i64>) -> String {
        let event = event(result);
        let Payload::Syscall(call) = &event.payload else { panic!() };
        line(&Subject::new(&event, 0), call, &SyscallNames::builtin())
    }

    #[test]
    fn a_line_has_the_call_its_result_and_its_duration_and_nothing_a_terminal_obeys() {
        let line = shown(Some(-11));

        assert!(line.ends_with("getpid(0x1, 0x0, 0x0, 0x0, 0x0, 0xff) = -1 EAGAIN <0.000001500>"), "{line}");
        assert!(line.starts_with("    12.000000345       8 e\\u{1b}[2Jvil"), "{line}");
    }

    #[test]
    fn a_call_that_never_returned_has_no_result() {
        assert!(shown(None).contains(" = ? <"));
    }

    #[test]
    fn it_stops_after_as_many_as_were_asked_for() {
        let mut print = printer(SyscallNames::builtin(), true, Some(2));

        let event = event(Some(0));
        let subject = Subject::new(&event, 0);
        assert!(print(&subject).unwrap());
        assert!(!print(&subject).unwrap());
    }
}
