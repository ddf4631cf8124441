//! `evt.*`: what happens.

use ::event::{Action, Payload};

use super::arguments::{From, errno};
use super::descriptor::Ends;
use super::{Argument, Call, Direct, Look, Role, Visit, number, text, truth};
use crate::pick::Value;

/// How a file is opened (include/uapi/asm-generic/fcntl.h, 6.18).
const O_ACCMODE: u32 = 3;
const O_WRONLY: u32 = 1;
const O_RDWR: u32 = 2;
const O_CREAT: u32 = 0o100;
const O_TMPFILE: u32 = 0o20_000_000;
const O_PATH: u32 = 0o10_000_000;

const NS_PER_S: u64 = 1_000_000_000;

pub(super) fn pick(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let event = &look.subject.event;
    let payload = look.subject.payload;
    match direct {
        Direct::EvtNum => number(visit, Some(look.subject.context.number.max(1))),
        Direct::EvtTime => text(visit, Some(time(event.wall_time))),
        Direct::EvtDatetime => text(visit, Some(format!("{} {}", day(event.wall_time), time(event.wall_time)))),
        Direct::EvtRawtime => number(visit, Some(event.wall_time)),
        Direct::EvtType | Direct::SyscallType => text(visit, look.call().map(|call| call.name)),
        Direct::EvtDir => text(visit, Some("<")),
        Direct::EvtSource => text(visit, Some("syscall")),
        Direct::EvtCount => number(visit, Some(1)),
        Direct::EvtHostname => text(visit, look.subject.context.hostname),
        Direct::EvtArg => argument(look, visit),
        Direct::EvtRawarg => {
            let form = look.call().and_then(|call| call.argument(look.argument));
            let value = form.and_then(|(_, form)| action(payload).and_then(|action| form.number(action)));
            number(visit, value)
        }
        Direct::EvtArgs => arguments(look, visit),
        Direct::EvtRes => text(visit, result(payload).map(|result| errno(result).unwrap_or("SUCCESS"))),
        Direct::EvtRawres => number(visit, result(payload)),
        Direct::EvtFailed => truth(visit, result(payload).map(|result| errno(result).is_some())),
        Direct::EvtIsOpenRead => {
            truth(visit, opened(look).map(|(_, flags)| flags & O_PATH == 0 && matches!(flags & O_ACCMODE, 0 | O_RDWR)))
        }
        Direct::EvtIsOpenWrite => truth(
            visit,
            opened(look).map(|(_, flags)| flags & O_PATH == 0 && matches!(flags & O_ACCMODE, O_WRONLY | O_RDWR)),
        ),
        Direct::EvtIsOpenCreate => truth(visit, opened(look).map(|(_, flags)| flags & O_CREAT != 0)),
        Direct::EvtIsOpenExec => truth(visit, opened(look).map(|(action, flags)| makes_executable(action, flags))),
        _ => false,
    }
}

fn action(payload: &Payload) -> Option<&Action> {
    match payload {
        Payload::Action(action) => Some(action),
        _ => None,
    }
}

/// What the call returned.
fn result(payload: &Payload) -> Option<i64> {
    match payload {
        Payload::Action(action) => Some(action.result),
        // What failed is no event here.
        Payload::Exec(_) => Some(0),
        _ => None,
    }
}

/// How a file was opened, or was to be.
fn opened<'s>(look: Look<'s, '_>) -> Option<(&'s Action, u32)> {
    let action = action(look.subject.payload)?;
    let flags = action.open_flags.filter(|_| look.role() == Role::Open)?;
    Some((action, flags))
}

/// Whether the file that is made can be executed by somebody.
fn makes_executable(action: &Action, flags: u32) -> bool {
    let call = Call::of(action.syscall).map_or("", |call| call.name);
    let mode = match call {
        "open" => action.args[2],
        "openat" => action.args[3],
        "creat" => action.args[1],
        // openat2 takes it in a struct, which is not looked at.
        _ => return false,
    };
    (call == "creat" || flags & (O_CREAT | O_TMPFILE) != 0) && mode & 0o111 != 0
}

fn from<'s>(look: Look<'s, '_>) -> From<'s> {
    let payload = look.subject.payload;
    let action = action(payload);
    let role = look.role();
    From {
        action,
        exec: match payload {
            Payload::Exec(exec) => Some(exec),
            _ => None,
        },
        image: look.image(),
        ends: action.and_then(|action| Ends::of(action, role)),
        names: look.subject.context.names,
    }
}

fn argument(look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let Some((_, form)) = look.call().and_then(|call| call.argument(look.argument)) else { return true };
    let mut out = Vec::new();
    if form.text(from(look), &mut out) {
        visit(Value::Text(&out));
    }
    true
}

fn arguments(look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let Some(call) = look.call() else { return true };
    let from = from(look);
    let mut all = Vec::new();
    for (name, form) in call.arguments {
        let begin = all.len();
        if begin > 0 {
            all.push(b' ');
        }
        all.extend_from_slice(name.as_bytes());
        all.push(b'=');
        if !form.text(from, &mut all) {
            all.truncate(begin);
        }
    }
    visit(Value::Text(&all));
    true
}

/// Whether any call has an argument with this name.
pub(crate) fn is_argument(argument: &Argument) -> bool {
    match argument {
        Argument::None => false,
        Argument::Number(_) => true,
        Argument::Name(..) => Call::all().iter().any(|call| call.argument(argument).is_some()),
    }
}

/// The time of day in UTC, to the nanosecond.
fn time(unix_ns: u64) -> String {
    format!("{}.{:09}", ::event::date_and_time(unix_ns).1, unix_ns % NS_PER_S)
}

/// The day in UTC.
fn day(unix_ns: u64) -> String {
    ::event::date_and_time(unix_ns).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_that_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_767_225_599, "2025-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds * NS_PER_S), expected);
        }
        assert_eq!(time(1_767_225_599 * NS_PER_S + 7), "23:59:59.000000007");
    }
}
