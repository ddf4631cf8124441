//! `proc.*`, `thread.*`, `user.*` and `group.*`: who does it.

use ::event::{CapabilitySet, Device, Text};

use super::{Argument, Cache, Direct, Line, Look, NOT_AVAILABLE, Visit, number, text, truth};
use crate::context::Relative;
use crate::pick::Value;

/// How many ancestors are looked at.
const MAX_ANCESTORS: usize = 64;

pub(super) fn pick(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    of_program(direct, look, visit) || of_image(direct, look, visit) || of_relatives(direct, look, visit)
}

/// One of the texts that are the process's own.
pub(super) fn own_text<'s>(direct: Direct, look: Look<'s, '_>) -> Option<&'s [u8]> {
    match direct {
        Direct::ProcExe => argv(look).map(first),
        Direct::ProcArgs => command(look).map(|line| line.bytes.get(line.arguments..).unwrap_or_default()),
        _ => command(look).map(|line| line.bytes.as_slice()),
    }
}

/// The parent's name.
pub(super) fn parent_name<'s>(look: Look<'s, '_>) -> Option<&'s [u8]> {
    let lineage = look.subject.context.lineage?;
    Some(lineage.ancestor(1)?.name.as_bytes())
}

/// What the exec says, and the event itself.
fn of_program(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let process = &look.subject.process;
    match direct {
        Direct::ProcName => text(visit, Some(process.name.as_bytes())),
        Direct::ProcExe | Direct::ProcArgs | Direct::ProcCmdline => text(visit, own_text(direct, look)),
        Direct::ProcExepath => {
            let of_exec = look.exec().map(|exec| &exec.executable);
            text(visit, of_exec.or(process.executable).map(path))
        }
        Direct::ProcExeline => text(visit, argv(look).map(|argv| line(first(argv), argv).bytes)),
        Direct::ProcCmdnargs => number(visit, argv(look).map(|argv| argv.len().saturating_sub(1) as i64)),
        Direct::ProcCmdlenargs => number(
            visit,
            argv(look).map(|argv| argv.iter().skip(1).map(|arg| arg.as_bytes().len() as i64).sum::<i64>()),
        ),
        Direct::ProcCwd => {
            if let Some(exec) = look.exec() {
                let mut cwd = exec.cwd.as_bytes().to_vec();
                if !cwd.ends_with(b"/") {
                    cwd.push(b'/');
                }
                visit(Value::Text(&cwd));
            }
            true
        }
        Direct::ProcPid => number(visit, Some(process.pid)),
        Direct::ProcVpid => number(visit, look.exec().map(|exec| exec.pid_inside)),
        Direct::ProcDuration => number(visit, Some(age(look, process.start))),
        Direct::ProcPidTs => number(visit, Some(wall(look, process.start))),
        Direct::ThreadTid => number(visit, Some(process.tid)),
        Direct::ThreadIsMain => truth(visit, Some(process.tid == process.pid)),
        _ => false,
    }
}

/// What is known of the program's file and of its rights.
fn of_image(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let image = look.image();
    let rights = look.rights();
    match direct {
        Direct::ProcEnv => env(look, visit),
        Direct::ProcTty => number(visit, image.map(|image| image.terminal.map_or(0, terminal))),
        Direct::ProcSid => number(visit, image.map(|image| image.session)),
        Direct::ProcVpgid => number(visit, image.map(|image| image.process_group)),
        Direct::ProcPgid => number(visit, image.map(|image| image.process_group_outside)),
        Direct::ProcIsSidLeader => truth(visit, leads(look, image.map(|image| image.session))),
        Direct::ProcIsVpgidLeader => truth(visit, leads(look, image.map(|image| image.process_group))),
        Direct::ProcIsExeUpperLayer => truth(visit, image.map(|image| image.upper_layer)),
        Direct::ProcIsExeFromMemfd => truth(visit, image.map(|image| image.from_memory)),
        Direct::ProcIsExeDeleted => truth(visit, image.map(|image| image.deleted)),
        Direct::ProcExeIno => number(visit, image.map(|image| image.inode)),
        Direct::ProcExeInoCtime => number(visit, image.map(|image| image.changed_ns)),
        Direct::ProcExeInoMtime => number(visit, image.map(|image| image.modified_ns)),
        Direct::ProcExeInoCtimeDurationProcStart => {
            let started = wall(look, look.subject.process.start);
            let between = image.map(|image| started - i128::from(image.changed_ns));
            number(visit, between.filter(|between| *between >= 0))
        }
        Direct::ThreadCapEffective => capabilities(visit, rights.map(|rights| rights.effective)),
        Direct::ThreadCapPermitted => capabilities(visit, rights.map(|rights| rights.permitted)),
        Direct::ThreadCapInheritable => capabilities(visit, rights.map(|rights| rights.inheritable)),
        Direct::UserUid => number(visit, uid(look)),
        Direct::GroupGid => number(visit, gid(look)),
        Direct::UserName => user(look, uid(look), visit),
        Direct::GroupName => {
            let id = gid(look);
            let name = id.and_then(|id| look.subject.context.names?.group(id));
            text(visit, Some(name.unwrap_or(if id == Some(0) { b"root" } else { NOT_AVAILABLE })))
        }
        Direct::UserLoginuid => {
            number(visit, image.map(|image| image.login_uid.filter(|uid| *uid != u32::MAX).map_or(-1, i64::from)))
        }
        Direct::UserLoginname => {
            let id = image.and_then(|image| image.login_uid).filter(|uid| *uid != u32::MAX);
            user(look, id, visit)
        }
        _ => false,
    }
}

/// What is known of its ancestors, its session and its process group.
fn of_relatives(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let lineage = look.subject.context.lineage;
    let parent = || lineage.and_then(|lineage| lineage.ancestor(1));
    let session = || lineage.and_then(|lineage| lineage.session_leader());
    let group = || lineage.and_then(|lineage| lineage.group_leader());
    let exe = |relative: &Relative<'_>| !relative.argv.is_empty();
    match direct {
        Direct::ProcPpid => {
            number(visit, parent().map(|parent| parent.pid).or_else(|| look.subject.process.parent.map(|it| it.pid)))
        }
        Direct::ProcPvpid => number(visit, parent().and_then(|parent| parent.pid_inside)),
        Direct::ProcPname => text(visit, parent_name(look)),
        Direct::ProcPexe => text(visit, parent().filter(exe).map(|parent| first(parent.argv))),
        Direct::ProcPexepath => {
            let known = parent().and_then(|parent| parent.executable);
            text(visit, known.or_else(|| look.subject.process.parent?.executable).map(path))
        }
        Direct::ProcPcmdline => {
            if let Some(parent) = parent().filter(exe) {
                let line = look.cache.parent.get_or_init(|| line(parent.name.as_bytes(), parent.argv));
                visit(Value::Text(&line.bytes));
            }
            true
        }
        Direct::ProcPpidDuration => number(visit, parent().map(|parent| age(look, parent.start_ns))),
        Direct::ProcPpidTs => number(visit, parent().map(|parent| wall(look, parent.start_ns))),
        Direct::ProcApid => ancestors(look, visit, &mut |it, visit| visit(Value::Number(it.pid.into()))),
        Direct::ProcAname => ancestors(look, visit, &mut |it, visit| visit(Value::Text(it.name.as_bytes()))),
        Direct::ProcAexe => ancestors(look, visit, &mut |it, visit| {
            if exe(it) {
                visit(Value::Text(first(it.argv)));
            }
        }),
        Direct::ProcAexepath => ancestors(look, visit, &mut |it, visit| {
            if let Some(executable) = it.executable {
                visit(Value::Text(path(executable)));
            }
        }),
        Direct::ProcAcmdline => ancestors(look, visit, &mut |it, visit| {
            if exe(it) {
                visit(Value::Text(&line(it.name.as_bytes(), it.argv).bytes));
            }
        }),
        Direct::ProcSname => text(visit, session().map(|leader| leader.name.as_bytes())),
        Direct::ProcSidExe => text(visit, session().filter(exe).map(|leader| first(leader.argv))),
        Direct::ProcSidExepath => text(visit, session().and_then(|leader| leader.executable).map(path)),
        Direct::ProcVpgidName => text(visit, group().map(|leader| leader.name.as_bytes())),
        Direct::ProcVpgidExe => text(visit, group().filter(exe).map(|leader| first(leader.argv))),
        Direct::ProcVpgidExepath => text(visit, group().and_then(|leader| leader.executable).map(path)),
        _ => false,
    }
}

/// The path of a program. What is in memory alone is in no directory; Falco has its name, as in `memfd:x`.
fn path(executable: &Text) -> &[u8] {
    let path = executable.as_bytes();
    match path.strip_prefix(b"(unreachable)/") {
        Some(name) if name.starts_with(b"memfd:") => name,
        _ => path,
    }
}

fn argv<'s>(look: Look<'s, '_>) -> Option<&'s [Text]> {
    look.exec().map(|exec| exec.argv.as_slice())
}

fn first(argv: &[Text]) -> &[u8] {
    argv.first().map_or(b"", Text::as_bytes)
}

fn command<'s>(look: Look<'s, '_>) -> Option<&'s Line> {
    let argv = argv(look)?;
    let cache: &Cache = look.cache;
    Some(cache.own.get_or_init(|| line(look.subject.process.name.as_bytes(), argv)))
}

/// A name, and arguments without the first.
fn line(name: &[u8], argv: &[Text]) -> Line {
    let length = argv.iter().skip(1).map(|arg| arg.as_bytes().len() + 1).sum::<usize>();
    let mut bytes = Vec::with_capacity(name.len() + length);
    bytes.extend_from_slice(name);
    let mut arguments = bytes.len();
    if argv.len() > 1 {
        bytes.push(b' ');
        arguments = bytes.len();
        join(argv.iter().skip(1), &mut bytes);
    }
    Line { bytes, arguments }
}

/// Arguments with blanks between.
pub(super) fn join<'a>(arguments: impl Iterator<Item = &'a Text>, out: &mut Vec<u8>) {
    for (at, argument) in arguments.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(argument.as_bytes());
    }
}

/// One ancestor, or each; 0 is the process itself.
fn ancestors(look: Look<'_, '_>, visit: &mut Visit<'_>, show: &mut dyn FnMut(&Relative<'_>, &mut Visit<'_>)) -> bool {
    let lineage = look.subject.context.lineage;
    match look.argument {
        Argument::Number(0) => {
            let exec = look.exec();
            let process = &look.subject.process;
            let itself = Relative {
                name: process.name,
                executable: exec.map(|exec| &exec.executable).or(process.executable),
                argv: exec.map_or(&[], |exec| &exec.argv),
                pid: process.pid,
                pid_inside: exec.map(|exec| exec.pid_inside),
                start_ns: process.start,
            };
            show(&itself, visit);
        }
        Argument::Number(level) => {
            if let Some(ancestor) = lineage.and_then(|lineage| lineage.ancestor(*level)) {
                show(&ancestor, visit);
            }
        }
        _ => {
            for level in 1..=MAX_ANCESTORS {
                match lineage.and_then(|lineage| lineage.ancestor(level)) {
                    Some(ancestor) => show(&ancestor, visit),
                    None => break,
                }
            }
        }
    }
    true
}

fn env(look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let Some(image) = look.image() else { return true };
    match look.argument {
        Argument::Name(name, _) => {
            let value = |variable: &Text| {
                let rest = variable.as_bytes().strip_prefix(name.as_slice())?;
                rest.strip_prefix(b"=").map(<[u8]>::to_vec)
            };
            text(visit, image.environment.iter().find_map(value))
        }
        _ => {
            let mut all = Vec::new();
            join(image.environment.iter(), &mut all);
            text(visit, Some(all))
        }
    }
}

/// A terminal as `/proc/PID/stat` numbers it (`new_encode_dev`, include/linux/kdev_t.h, 6.18).
fn terminal(device: Device) -> u32 {
    (device.minor & 0xff) | (device.major << 8) | ((device.minor & !0xff) << 12)
}

fn leads(look: Look<'_, '_>, leader: Option<u32>) -> Option<bool> {
    Some(look.exec()?.pid_inside == leader?)
}

fn age(look: Look<'_, '_>, start_ns: u64) -> i128 {
    i128::from(look.subject.event.time.saturating_sub(start_ns))
}

/// A time since boot as one since 1970.
fn wall(look: Look<'_, '_>, boot_ns: u64) -> i128 {
    let event = &look.subject.event;
    i128::from(event.wall_time) - i128::from(event.time) + i128::from(boot_ns)
}

fn uid(look: Look<'_, '_>) -> Option<u32> {
    look.rights().map(|rights| rights.ids.euid).or_else(|| look.exec().map(|exec| exec.uid))
}

fn gid(look: Look<'_, '_>) -> Option<u32> {
    look.rights().map(|rights| rights.ids.egid).or_else(|| look.exec().map(|exec| exec.gid))
}

fn user(look: Look<'_, '_>, id: Option<u32>, visit: &mut Visit<'_>) -> bool {
    let name = id.and_then(|id| look.subject.context.names?.user(id));
    text(visit, Some(name.unwrap_or(if id == Some(0) { b"root" } else { NOT_AVAILABLE })))
}

fn capabilities(visit: &mut Visit<'_>, set: Option<CapabilitySet>) -> bool {
    let names = set.map(|set| set.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(" "));
    text(visit, names)
}
