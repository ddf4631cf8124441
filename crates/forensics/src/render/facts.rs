//! What is said of an incident, a process and a file, in lines that are safe for a terminal.

use event::{Capability, CapabilitySet, Text};
use report::{address_and_port, bytes, count, counted, short_id};

use super::command_line;
use crate::incident::FileFacts;
use crate::{
    Container, Descriptor, DescriptorKind, Executable, FileKind, Incident, KeptFile, Peer, Process, Relation, Relative,
    Rights, Source,
};

/// A label and its lines.
pub(super) type Fact = (&'static str, Vec<String>);

/// What the container is called.
pub(super) fn called(container: &Container) -> String {
    let name = container.name.as_ref().filter(|name| !name.is_empty()).map(|name| name.shown().into_owned());
    let id = || container.id.as_ref().filter(|id| !id.is_empty()).map(short_id);
    name.or_else(id).unwrap_or_else(|| format!("run {}.{}", container.run.slot, container.run.generation))
}

/// The head of an incident.
pub(super) fn of_incident(incident: &Incident) -> Vec<Fact> {
    let container = &incident.container;
    let mut who = called(container);
    let details: Vec<String> = [
        container.id.as_ref().filter(|_| container.name.is_some()).map(short_id),
        container.image.as_ref().map(|image| image.shown().into_owned()),
        container.engine.as_ref().map(|engine| engine.shown().into_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !details.is_empty() {
        who += &format!(" ({})", details.join(", "));
    }
    let alerts = counted(incident.alerts.len() as u64, "alert", "alerts");
    let when = if incident.begin == incident.end {
        format!("{alerts}, {}", incident.begin.readable())
    } else {
        format!("{alerts}, {} to {}", incident.begin.readable(), incident.end.readable())
    };
    vec![("incident", vec![incident.id.shown().into_owned()]), ("container", vec![who]), ("alerts", vec![when])]
}

/// What a process is called where it stands beside others.
pub(super) fn title(process: &Process) -> String {
    let told = process.told.as_ref().map(|told| told.executable.clone());
    let name = process.executable_then.clone().or(told).or_else(|| process.name.clone());
    let name = name.map_or_else(|| "process".to_owned(), |name| name.shown().into_owned());
    format!("{name} [{}]", process.id.pid)
}

/// What is known of a process.
pub(super) fn of_process(process: &Process) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut add = |label, line: Option<String>| facts.extend(line.map(|line| (label, vec![line])));
    let looked = match process.source {
        Source::Process => format!("at {} UTC, while it ran", super::time_of_day(process.looked)),
        Source::Events => "it had ended: what follows is what the kernel told when it began".to_owned(),
    };
    add("looked at", Some(looked));
    add("pid inside", process.pid_inside.map(|pid| pid.to_string()));
    if let Some(told) = &process.told {
        let mut line = command_line(&told.argv);
        if told.argv_truncated {
            line += " …";
        }
        let began = super::time_of_day(told.time);
        let script = if told.interpreter.is_empty() {
            String::new()
        } else {
            format!(", a script of {}", told.interpreter.shown())
        };
        add(
            "started as",
            Some(format!("{line} ({} at {began} UTC in {}{script})", told.executable.shown(), told.cwd.shown())),
        );
        if process.rights.is_none() {
            add("user", Some(format!("{}, group {}", told.uid, told.gid)));
        }
    }
    if !process.argv.is_empty() {
        add("arguments", Some(command_line(&process.argv) + if process.argv_truncated { " …" } else { "" }));
    }
    if let Some(it) = &process.executable {
        facts.push(("program", executable(it)));
    }
    let mut add = |label, line: Option<String>| facts.extend(line.map(|line| (label, vec![line])));
    add("directory", process.cwd.as_ref().map(|cwd| cwd.shown().into_owned()));
    add("root", process.root.as_ref().filter(|root| root.as_bytes() != b"/").map(|root| root.shown().into_owned()));
    if let Some(rights) = &process.rights {
        facts.extend(of_rights(rights));
    }
    if let Some(it) = process.namespaces {
        let line = format!(
            "mount {}, pid {}, user {}, net {}, ipc {}, uts {}, cgroup {}",
            it.mount, it.pid, it.user, it.net, it.ipc, it.uts, it.cgroup
        );
        facts.push(("namespaces", vec![line]));
    }
    // With version 1 each controller has one, mostly the same.
    let mut paths: Vec<String> = Vec::new();
    for cgroup in &process.cgroups {
        let text = cgroup.shown();
        let path = text.split_once(":/").map_or_else(|| text.to_string(), |(_, path)| format!("/{path}"));
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if !paths.is_empty() {
        facts.push(("cgroup", paths));
    }
    facts
}

fn executable(it: &Executable) -> Vec<String> {
    let state = match (it.from_memory, it.deleted) {
        (true, _) => ", made in memory (memfd), in no file system",
        (false, true) => ", deleted",
        (false, false) => "",
    };
    let hash = it.sha256.as_ref().map_or_else(|| "sha256 not known".to_owned(), |hash| format!("sha256 {hash}"));
    vec![format!("{}{state}", it.path.shown()), of_file(&it.file), hash]
}

/// Size, mode, owner, place and times.
pub(super) fn of_file(file: &FileFacts) -> String {
    format!(
        "{}, mode {}, owner {}:{}, inode {} on {}, written {}",
        bytes(file.size_bytes),
        mode(&file.mode.shown()),
        file.uid,
        file.gid,
        file.inode,
        file.device,
        file.modified.readable()
    )
}

/// The permissions, without the type.
fn mode(mode: &str) -> String {
    let bits = u32::from_str_radix(mode, 8).unwrap_or_default() & 0o7777;
    format!("{bits:04o}")
}

fn of_rights(rights: &Rights) -> Vec<Fact> {
    let ids = |ids: &[u32; 4]| {
        let [real, effective, ..] = ids;
        if ids.iter().all(|id| id == real) { real.to_string() } else { format!("{effective} (real {real})") }
    };
    let mut user = format!("{}, group {}", ids(&rights.uid), ids(&rights.gid));
    if let Some(login) = rights.login_uid {
        user += &format!(", logged in as {login}");
    }
    let mut capabilities = vec![format!("effective {}", set(rights.effective))];
    if rights.permitted != rights.effective {
        capabilities.push(format!("permitted {}", set(rights.permitted)));
    }
    if !rights.ambient.is_empty() {
        capabilities.push(format!("ambient {}", set(rights.ambient)));
    }
    capabilities.push(format!("bounding {}", set(rights.bounding)));
    let filters = rights.seccomp_filters.filter(|filters| *filters > 0);
    let filters = filters.map(|filters| format!(" ({})", counted(filters.into(), "filter", "filters")));
    let seccomp = rights.seccomp.as_ref().map_or_else(|| "not known".into(), |mode| mode.shown().into_owned());
    let confinement = format!(
        "seccomp {seccomp}{}, no_new_privileges {}",
        filters.unwrap_or_default(),
        rights.no_new_privileges.map_or("not known", |is_set| if is_set { "on" } else { "off" })
    );
    vec![("user", vec![user]), ("capabilities", capabilities), ("confinement", vec![confinement])]
}

/// All, none, or the names.
fn set(set: CapabilitySet) -> String {
    if set.is_empty() {
        return "none".into();
    }
    if set.is_full(Capability::LAST_NAMED) {
        return "all".into();
    }
    set.iter().map(|it| it.name().into_owned()).collect::<Vec<_>>().join(", ")
}

/// The relatives with how deep each stands.
pub(super) fn tree(relatives: &[Relative]) -> Vec<(usize, &Relative)> {
    const MAX_DEPTH: usize = 24;
    let mut depths: Vec<(u32, usize)> = Vec::new();
    let mut lines = Vec::new();
    for it in relatives {
        let of_parent = depths.iter().rev().find(|(pid, _)| *pid == it.parent_pid).map(|(_, depth)| *depth);
        let depth = of_parent.map_or_else(|| usize::from(!lines.is_empty()), |depth| (depth + 1).min(MAX_DEPTH));
        depths.push((it.id.pid, depth));
        lines.push((depth, it));
    }
    lines
}

/// One relative.
pub(super) fn relative(it: &Relative) -> String {
    let program = it.executable.as_ref().map(|path| path.shown().into_owned());
    let line = if it.argv.is_empty() {
        program.unwrap_or_else(|| if it.name.is_empty() { "?".into() } else { it.name.shown().into_owned() })
    } else {
        command_line(&it.argv)
    };
    let user = it.uid.map(|uid| format!(", user {uid}")).unwrap_or_default();
    let place = match (it.relation, it.source) {
        (Relation::Outside, _) => ", outside of the container",
        (_, Source::Events) => ", as the events have it",
        (_, Source::Process) => "",
    };
    format!("{line} [{}{user}{place}]", it.id.pid)
}

/// One descriptor.
pub(super) fn descriptor(it: &Descriptor) -> [String; 3] {
    let target = match (&it.socket, it.kind) {
        (Some(ends), _) => {
            let end = |end: &Option<Text>| end.as_ref().map(|end| end.shown().into_owned());
            let ends_line = match (end(&ends.local), end(&ends.remote)) {
                (Some(local), Some(remote)) => format!("{local} – {remote}"),
                (Some(local), None) => local,
                (None, Some(remote)) => remote,
                (None, None) => "without a name".into(),
            };
            format!("{} {ends_line} ({})", ends.protocol.shown(), ends.state.shown())
        }
        (None, DescriptorKind::Socket) => format!("{}, between whom is not known", it.target.shown()),
        (None, _) => it.target.shown().into_owned(),
    };
    let access = it.access.as_ref().map(|access| access.shown().into_owned()).unwrap_or_default();
    [it.number.to_string(), access, target]
}

/// One peer: the way, the address, names, and what came of it.
pub(super) fn peer(it: &Peer) -> [String; 4] {
    let names: Vec<String> = it.names.iter().map(|name| name.shown().into_owned()).collect();
    let failed = it.failed.as_ref().map(|why| format!("failed: {}", why.shown())).unwrap_or_default();
    let way = match it.direction {
        event::Direction::Out => "to",
        event::Direction::In => "from",
    };
    // The port of what comes in is the container's own.
    let address = match it.direction {
        event::Direction::In if it.port != 0 => format!("{} at port {}", address_and_port(&it.address, 0), it.port),
        _ => address_and_port(&it.address, it.port),
    };
    [way.into(), format!("{} {address}", it.protocol.name()), names.join(", "), failed]
}

/// Why a file is kept.
pub(super) fn kind(it: &KeptFile) -> &'static str {
    match it.kind {
        FileKind::Executable => "program",
        FileKind::Script => "script",
        FileKind::Written => "written",
    }
}

/// So many as a number with its unit, of a list.
pub(super) fn figure(length: usize) -> String {
    count(length as u64)
}
