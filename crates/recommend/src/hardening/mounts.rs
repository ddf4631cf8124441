//! What is mounted into the container, how it was used, and the sockets of engines among it.

use std::collections::BTreeMap;

use behaviour::Place;
use event::{FileAccess, FileType, NameOperation, Phase, Text};
use report::{GivenMount, Report};

use super::paths::{Places, is_below, name, text, tidied};
use super::seen::{Seen, Tally, program_of, sentence};
use super::{Access, Advice, EngineSocket, MountAction, MountAdvice, Verdict};

const WRITES: [FileAccess; 6] = [
    FileAccess::OpenedToWrite,
    FileAccess::Created,
    FileAccess::Truncated,
    FileAccess::Written,
    FileAccess::ModeChanged,
    FileAccess::OwnerChanged,
];
/// What engines mount by themselves.
const OF_ENGINES: [&[u8]; 8] = [
    b"/.dockerenv",
    b"/dev/shm",
    b"/etc/hostname",
    b"/etc/hosts",
    b"/etc/resolv.conf",
    b"/run/.containerenv",
    b"/run/secrets",
    b"/sys/fs/cgroup",
];
/// The sockets of engines, by the name of the file: docker.com, containerd.io, cri-o.io and podman.io have them so by default.
const SOCKETS: [(&[u8], &str); 4] = [
    (b"containerd.sock", "containerd"),
    (b"crio.sock", "cri-o"),
    (b"docker.sock", "docker"),
    (b"podman.sock", "podman"),
];

/// Where they are on the host by default.
const DEFAULT_SOCKETS: [(&[u8], &str); 4] = [
    (b"/run/containerd/containerd.sock", "containerd"),
    (b"/run/crio/crio.sock", "cri-o"),
    (b"/run/docker.sock", "docker"),
    (b"/run/podman/podman.sock", "podman"),
];

/// A mount, and what was done there.
struct Mounted {
    given: GivenMount,
    access: Access,
    tally: Tally,
}

pub(super) fn mounts(seen: &Seen<'_>) -> Vec<MountAdvice> {
    let mut mounted = BTreeMap::<Vec<u8>, Mounted>::new();
    for (number, (run, places)) in seen.runs().enumerate() {
        for given in given(run) {
            let point = tidied(given.destination.as_bytes());
            mounted.entry(point).or_insert_with(|| Mounted { given, access: Access::None, tally: Tally::default() });
        }
        add(seen, number, run, places, &mut mounted);
    }
    mounted.into_values().map(|one| advice(seen, one)).collect()
}

/// What is mounted: as the engine says; if it does not, what was used of volumes and the host.
fn given(run: &Report) -> Vec<GivenMount> {
    let of_engine = run.container.settings.as_ref().and_then(|settings| settings.mounts.clone());
    let mounts = of_engine.unwrap_or_else(|| {
        let mounts =
            run.behaviour.files.mounts.iter().filter(|mount| {
                mount.phase != Phase::RuntimeInit && matches!(mount.place, Place::Volume | Place::Bind)
            });
        let mounts = mounts.filter(|mount| mount.point.as_bytes().starts_with(b"/"));
        mounts
            .map(|mount| GivenMount {
                destination: mount.point.clone(),
                kind: mount.place.name().into(),
                source: mount.host_path.clone().unwrap_or_default(),
                read_only: mount.read_only,
            })
            .collect()
    });
    mounts.into_iter().filter(|mount| !OF_ENGINES.contains(&mount.destination.as_bytes())).collect()
}

fn add(seen: &Seen<'_>, number: usize, run: &Report, places: &Places, mounted: &mut BTreeMap<Vec<u8>, Mounted>) {
    let mut add = |path: &[u8], access: Access, what: &str, phase: Phase, program: Text, count: u64| {
        let point = places.point_of(path).map(<[u8]>::to_vec);
        if let Some(one) = point.and_then(|point| mounted.get_mut(&point)) {
            one.access = one.access.max(access);
            one.tally.add(number, what, &text(path), phase, program, count);
        }
    };
    let files = &run.behaviour.files;
    for used in files.paths.iter().filter(|used| seen.counts(used.phase) && !used.unreachable) {
        // A device, a pipe and a socket can be written where nothing else can.
        let is_special = matches!(
            used.file_type,
            FileType::CharacterDevice | FileType::BlockDevice | FileType::NamedPipe | FileType::Socket
        );
        let is_write = used.accesses.has_any(&WRITES) && (!is_special || used.accesses.has(FileAccess::Created));
        let (access, what) = if is_write { (Access::Write, "written") } else { (Access::Read, "used") };
        add(used.path.as_bytes(), access, what, used.phase, program_of(&used.first), used.opens.max(1));
    }
    for used in files.directories.iter().filter(|used| seen.counts(used.phase) && !used.path.is_empty()) {
        let access = if used.accesses.has_any(&WRITES) { Access::Write } else { Access::Read };
        add(used.path.as_bytes(), access, "used", used.phase, program_of(&used.first), used.opens.max(1));
    }
    for used in files.names.iter().filter(|used| seen.counts(used.phase) && !used.path.is_empty()) {
        // What failed was looked for there; what was refused could not be done before.
        let is_change = used.operation != NameOperation::Open && used.operation != NameOperation::RunScript;
        let access = if is_change && used.errno.is_none() { Access::Write } else { Access::Read };
        for path in [&used.path, &used.second_path] {
            if !path.is_empty() {
                let path = places.resolve(path.as_bytes());
                add(&path, access, used.operation.name(), used.phase, program_of(&used.first), used.count);
            }
        }
    }
    let network = &run.behaviour.network;
    for used in network.listeners.iter().filter(|used| seen.counts(used.phase) && used.protocol.is_unix()) {
        let path = places.resolve(used.address.as_bytes());
        add(&path, Access::Write, "listened on", used.phase, program_of(&used.first), used.count);
    }
    for used in network.flows.iter().filter(|used| seen.counts(used.phase) && used.protocol.is_unix()) {
        if used.address.as_bytes().starts_with(b"/") {
            let path = places.resolve(used.address.as_bytes());
            add(&path, Access::Read, "connected to", used.phase, program_of(&used.first), used.connections.max(1));
        }
    }
}

fn advice(seen: &Seen<'_>, mounted: Mounted) -> MountAdvice {
    let Mounted { given, access, tally } = mounted;
    let (evidence, _) = tally.few(5);
    let sections = ["files", "network"];
    let (action, advice) = match access {
        Access::None => {
            let reason = "nothing was opened, made or changed there; whether a program looks at it or waits for changes (stat, access, inotify) is not recorded";
            (MountAction::Keep, Advice::unknown(None, reason))
        }
        Access::Read if given.read_only => {
            let advice = Advice { verdict: Verdict::Apply, now: Some(true), evidence, ..Advice::default() };
            (MountAction::ReadOnly, advice.because("it is used, and read-only already"))
        }
        Access::Read => {
            let advice = Advice::apply(
                Some(false),
                "nothing was written, made or changed there",
                "a program that writes there gets EROFS",
            );
            (MountAction::ReadOnly, Advice { evidence, ..advice })
        }
        Access::Write => (MountAction::Keep, Advice::needed(Some(true), "it was written to", evidence)),
    };
    let advice = seen.judge(&sections, advice);
    let action = if advice.verdict == Verdict::Apply { action } else { MountAction::Keep };
    MountAdvice {
        destination: given.destination,
        source: (!given.source.is_empty()).then_some(given.source),
        kind: given.kind,
        read_only: given.read_only,
        access,
        action,
        advice,
    }
}

/// The sockets of engines that are mounted or were connected to.
pub(super) fn engine_sockets(seen: &Seen<'_>) -> Vec<EngineSocket> {
    let mut sockets = BTreeMap::<(Vec<u8>, &'static str), (bool, Tally)>::new();
    for (number, (run, places)) in seen.runs().enumerate() {
        for mount in given(run) {
            for socket in sockets_of(&mount) {
                sockets.entry(socket).or_default();
            }
        }
        for used in run.behaviour.network.flows.iter().filter(|used| seen.counts(used.phase) && used.protocol.is_unix())
        {
            let path = places.resolve(used.address.as_bytes());
            // What it listens on itself is its own: an engine inside of it.
            let is_own =
                run.behaviour.network.listeners.iter().any(|own| places.resolve(own.address.as_bytes()) == path);
            if let Some(engine) = engine_of(&path).filter(|_| !is_own && used.connections > 0) {
                let (connected, tally) = sockets.entry((path.clone(), engine)).or_default();
                *connected = true;
                tally.add(number, "connected to", &text(&path), used.phase, program_of(&used.first), used.connections);
            }
        }
    }
    sockets
        .into_iter()
        .map(|((path, engine), (connected, tally))| {
            let advice = if connected {
                Advice::needed(Some(false), "it was connected to", tally.evidence())
            } else {
                Advice::apply(Some(false), "it was not connected to", "a program that asks the engine for something cannot any more")
            };
            EngineSocket {
                path: text(&path),
                engine: engine.into(),
                connected,
                meaning: sentence(format!(
                    "whoever may write to it can ask {engine} to start a privileged container with the host's files, which is root on the host, whatever else this container may not do"
                )),
                advice: seen.judge(&["network"], advice),
            }
        })
        .collect()
}

fn engine_of(path: &[u8]) -> Option<&'static str> {
    SOCKETS.into_iter().find(|(file, _)| name(path) == *file).map(|(_, engine)| engine)
}

/// The socket of an engine that a mount leads to: itself, or somewhere below what is mounted.
fn sockets_of(mount: &GivenMount) -> Vec<(Vec<u8>, &'static str)> {
    let destination = tidied(mount.destination.as_bytes());
    let source = tidied(mount.source.as_bytes());
    if let Some(engine) = engine_of(&source).or_else(|| engine_of(&destination)) {
        return vec![(destination, engine)];
    }
    if mount.kind.as_bytes() != b"bind" || !mount.source.as_bytes().starts_with(b"/") {
        return Vec::new();
    }
    // `/var/run` is a link to it on every host that has these engines.
    let source = match source.strip_prefix(b"/var/run") {
        Some(rest) => [b"/run", rest].concat(),
        None => source,
    };
    let below = DEFAULT_SOCKETS.into_iter().filter(|(socket, _)| is_below(socket, &source));
    below
        .map(|(socket, engine)| {
            let rest = if source == b"/" { socket } else { &socket[source.len()..] };
            let head = if destination == b"/" { &[][..] } else { destination.as_slice() };
            ([head, rest].concat(), engine)
        })
        .collect()
}
