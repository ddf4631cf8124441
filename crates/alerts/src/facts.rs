//! What a container did, as facts: of a whole behaviour, and of one event as it comes.
//!
//! Only what the workload and sessions in it did counts, not what its runtime did to set it up.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{Behaviour, CheckMeaning, FirstUse, FlowUse};
use event::{
    Direction, Exec, ExecId, FileAccess, FileAccesses, FileType, NameOperation, Outcome, Payload, Phase, Protocol, Text,
};

use crate::Fact;
use crate::same::{same_file, same_host, same_place, same_program};
use crate::sensitive::secret_file;

/// Ports from here on are chosen by the kernel, unless it was told otherwise (`ip_local_port_range`).
const FIRST_EPHEMERAL_PORT: u32 = 32_768;
const WRITES: [FileAccess; 4] =
    [FileAccess::OpenedToWrite, FileAccess::Written, FileAccess::Truncated, FileAccess::Created];
const READS: [FileAccess; 3] = [FileAccess::OpenedToRead, FileAccess::Read, FileAccess::MappedToExecute];

/// How often a fact was seen, and by whom first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How often, as far as is counted; at least once.
    pub count: u64,
    /// When first, in nanoseconds since boot.
    pub first_boot_ns: u64,
    /// When last: the end of the interval in which the count grew; not before the first.
    pub last_boot_ns: u64,
    /// Who did it first; none if that is not known.
    pub by: Option<By>,
    /// The thing itself, as it was: a path, a peer.
    pub example: Text,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The process and its program.
    pub image: ExecId,
    /// The thread's name.
    pub comm: Text,
    /// The path of its program; empty if that is not known.
    pub executable: Text,
}

impl From<&FirstUse> for By {
    fn from(first: &FirstUse) -> By {
        By { image: first.image, comm: first.comm.clone(), executable: first.executable.clone() }
    }
}

/// Facts, each once.
pub type Facts = BTreeMap<Fact, Seen>;

fn counts(phase: Phase) -> bool {
    matches!(phase, Phase::Main | Phase::Exec)
}

struct Collected(Facts);

impl Collected {
    fn add(&mut self, fact: Fact, example: &Text, count: u64, first: Option<&FirstUse>, last_boot_ns: u64) {
        let first_boot_ns = first.map_or(last_boot_ns, |first| first.boot_ns);
        let seen = Seen {
            count: count.max(1),
            first_boot_ns,
            last_boot_ns: last_boot_ns.max(first_boot_ns),
            by: first.map(By::from),
            example: example.clone(),
        };
        match self.0.get_mut(&fact) {
            None => {
                self.0.insert(fact, seen);
            }
            Some(known) => {
                known.count = known.count.saturating_add(seen.count);
                known.last_boot_ns = known.last_boot_ns.max(seen.last_boot_ns);
                if seen.first_boot_ns < known.first_boot_ns {
                    (known.first_boot_ns, known.by, known.example) = (seen.first_boot_ns, seen.by, seen.example);
                }
            }
        }
    }
}

/// All that a container did.
pub fn facts(behaviour: &Behaviour) -> Facts {
    let mut found = Collected(Facts::new());
    files(behaviour, &mut found);
    network(behaviour, &mut found);
    programs(behaviour, &mut found);
    for used in behaviour.capabilities.uses.iter().filter(|used| counts(used.phase)) {
        if used.meaning() == CheckMeaning::Used {
            let name = Text::from(used.capability.to_string().as_str());
            let fact = Fact::Capability { capability: name.clone() };
            found.add(fact, &name, used.count, Some(&used.first.by), used.last_boot_ns);
        }
    }
    for used in behaviour.privileged.operations.iter().filter(|used| counts(used.phase) && !used.others) {
        let fact = operation(used.operation, used.outcome, &used.details, &used.object);
        found.add(fact, &used.object, used.count, Some(&used.first), used.last_boot_ns);
    }
    for used in behaviour.syscalls.uses.iter().filter(|used| counts(used.phase) && used.count > 0) {
        if is_chance(&used.name) {
            continue;
        }
        let name = Text::from(used.name.as_str());
        found.add(Fact::Call { call: name.clone() }, &name, used.count, used.first.as_ref(), used.last_boot_ns);
    }
    found.0
}

/// A process that the runtime made runs the workload, too: what it ran counts that the files say was run by then.
fn programs(behaviour: &Behaviour, found: &mut Collected) {
    let executed: BTreeSet<&Text> = behaviour
        .files
        .paths
        .iter()
        .filter(|used| counts(used.phase) && used.accesses.has(FileAccess::Executed))
        .map(|used| &used.path)
        .collect();
    for process in &behaviour.processes.processes {
        for program in &process.programs {
            let exec = &program.detail;
            let is_counted = counts(process.phase) || executed.contains(&exec.executable);
            let Some(fact) = of_exec(exec).filter(|_| is_counted) else { continue };
            // One that ran already may have changed what it is called by.
            let is_title = exec.argv.first().is_some_and(|name| name.as_bytes().contains(&b' '));
            if program.boot_ns.is_none() && is_title {
                continue;
            }
            let boot_ns = program.boot_ns.unwrap_or_default();
            let image = ExecId { process: process.id, exec: program.exec };
            let comm = exec.argv.first().cloned().unwrap_or_default();
            let first = FirstUse { boot_ns, image, comm, executable: exec.executable.clone() };
            found.add(fact, &exec.executable, 1, Some(&first), boot_ns);
        }
    }
}

/// The program that was run, by its file and by what it was called.
fn of_exec(exec: &Exec) -> Option<Fact> {
    if exec.executable.is_empty() || exec.path_truncated {
        return None;
    }
    let path = same_program(&exec.executable);
    let base = |path: &Text| path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
    let called = if exec.interpreter.is_empty() {
        let name = exec.argv.first().map(base).unwrap_or_default();
        // A shell that somebody logs in with.
        let name = name.strip_prefix(b"-").unwrap_or(&name);
        if name == base(&exec.executable) { Text::default() } else { same_place(&Text::new(name)) }
    } else {
        same_program(&exec.argument)
    };
    Some(Fact::Program { path, called })
}

fn files(behaviour: &Behaviour, found: &mut Collected) {
    let files = &behaviour.files;
    for used in files.paths.iter().filter(|used| counts(used.phase)) {
        let first = used.first.as_ref();
        for fact in of_path(&used.path, used.file_type, used.accesses, used.unreachable) {
            found.add(fact, &used.path, used.opens, first, used.last_boot_ns);
        }
        if let Some(what) = files.sensitive(used) {
            let fact = Fact::Sensitive { what: what.into(), path: same_place(&used.path) };
            found.add(fact, &used.path, used.opens, first, used.last_boot_ns);
        }
    }
    for used in files.names.iter().filter(|used| counts(used.phase) && !used.path.is_empty()) {
        let is_done = used.errno.is_none();
        if let Some((fact, path)) = of_name(used.operation, is_done, &used.path, &used.second_path) {
            found.add(fact, &path, used.count, used.first.as_ref(), used.last_boot_ns);
        }
        if let Some(what) = behaviour::sensitive_name(used) {
            let fact = Fact::Sensitive { what: what.into(), path: same_place(&used.path) };
            found.add(fact, &used.path, used.count, used.first.as_ref(), used.last_boot_ns);
        }
    }
}

fn network(behaviour: &Behaviour, found: &mut Collected) {
    let network = &behaviour.network;
    for used in network.listeners.iter().filter(|used| counts(used.phase)) {
        let last = used.first.as_ref().map_or(0, |first| first.boot_ns);
        let fact = listener(used.protocol, &used.address, used.port);
        found.add(fact, &used.address, used.count, used.first.as_ref(), last);
    }
    for used in network.flows.iter().filter(|used| counts(used.phase)) {
        let failed: u64 = used.failures.iter().map(|failure| failure.count).sum();
        let count = used.connections.saturating_add(failed);
        for fact in of_flow(used) {
            found.add(fact, &used.address, count, used.first.as_ref(), used.last_boot_ns);
        }
    }
    for used in network.lookups.iter().filter(|used| counts(used.phase) && !used.name.is_empty()) {
        let last = used.first.as_ref().map_or(0, |first| first.boot_ns);
        found.add(Fact::Name { name: same_host(&used.name) }, &used.name, 1, used.first.as_ref(), last);
    }
}

/// The facts that one event tells by itself, each with the thing as it was. Of what an event does not tell a snapshot will: system
/// calls, capabilities, later uses of a path that was used otherwise before, and peers.
pub fn facts_of(payload: &Payload, phase: Phase) -> Vec<(Fact, Text)> {
    if !counts(phase) {
        return Vec::new();
    }
    match payload {
        Payload::Exec(exec) => of_exec(exec).into_iter().map(|fact| (fact, exec.executable.clone())).collect(),
        Payload::File(used) => of_path(&used.path, used.file_type, used.accesses, used.unreachable)
            .into_iter()
            .map(|fact| (fact, used.path.clone()))
            .collect(),
        Payload::Name(used) => {
            of_name(used.operation, used.errno.is_none(), &used.path, &used.second_path).into_iter().collect()
        }
        Payload::Listen(used) => vec![(listener(used.protocol, &used.address, used.port), used.address.clone())],
        Payload::Dns(message) if !message.record_type.is_empty() && message.direction == Direction::Out => {
            vec![(Fact::Name { name: same_host(&message.name) }, message.name.clone())]
        }
        Payload::Privileged(used) if !used.others => {
            vec![(operation(used.operation, used.outcome, &used.details, &used.object), used.object.clone())]
        }
        _ => Vec::new(),
    }
}

fn of_path(path: &Text, file_type: FileType, accesses: FileAccesses, unreachable: bool) -> Vec<Fact> {
    let mut facts = Vec::new();
    if unreachable || path.is_empty() {
        return facts;
    }
    let is_write = accesses.has_any(&WRITES);
    if is_write && matches!(file_type, FileType::Regular | FileType::NamedPipe) {
        facts.push(Fact::Write { path: same_file(path) });
    }
    for (access, operation) in
        [(FileAccess::ModeChanged, NameOperation::ChangeMode), (FileAccess::OwnerChanged, NameOperation::ChangeOwner)]
    {
        if accesses.has(access) {
            facts.push(Fact::Change { operation: operation.name().into(), path: same_file(path) });
        }
    }
    if (is_write || accesses.has_any(&READS))
        && let Some(what) = secret_file(path.as_bytes())
    {
        facts.push(Fact::Sensitive { what: what.into(), path: same_place(path) });
    }
    facts
}

fn of_name(operation: NameOperation, is_done: bool, path: &Text, second: &Text) -> Option<(Fact, Text)> {
    let write = |path: &Text| Some((Fact::Write { path: same_file(path) }, path.clone()));
    let change = || Some((Fact::Change { operation: operation.name().into(), path: same_file(path) }, path.clone()));
    match operation {
        // Whoever may not, tried.
        NameOperation::Open if !is_done => {
            let what = secret_file(path.as_bytes())?;
            Some((Fact::Sensitive { what: what.into(), path: same_place(path) }, path.clone()))
        }
        _ if !is_done => None,
        NameOperation::Rename | NameOperation::Link | NameOperation::Symlink => write(second),
        NameOperation::MakeDirectory | NameOperation::MakeNode | NameOperation::Truncate => write(path),
        NameOperation::Delete | NameOperation::ChangeMode | NameOperation::ChangeOwner => change(),
        NameOperation::Open | NameOperation::RunScript => None,
    }
}

fn listener(protocol: Protocol, address: &Text, port: u32) -> Fact {
    let is_chosen = port >= FIRST_EPHEMERAL_PORT || port == 0;
    let address = match address.as_bytes() {
        b"::" | b"0.0.0.0" => "*".into(),
        _ if protocol.is_unix() => same_file(address),
        b"127.0.0.1" | b"::1" => "loopback".into(),
        // Its own address is another after each start.
        _ => "*".into(),
    };
    Fact::Listener { protocol, address, port: (!is_chosen && !protocol.is_unix()).then_some(port) }
}

/// A peer by each of the names that it is known by: of containers their names, else the names that were looked up, else its address.
fn of_flow(used: &FlowUse) -> Vec<Fact> {
    let peer = |peer: Text| Fact::Peer {
        direction: used.direction,
        protocol: used.protocol,
        peer,
        port: if used.direction == Direction::In && used.port >= FIRST_EPHEMERAL_PORT { 0 } else { used.port },
    };
    if used.address.as_bytes() == b"*" || used.address.is_empty() {
        return Vec::new();
    }
    if used.direction == Direction::In {
        return vec![peer("*".into())];
    }
    if used.protocol.is_unix() {
        return vec![peer(same_file(&used.address))];
    }
    if used.address == used.local_address && used.address.as_bytes() != b"127.0.0.1" {
        return vec![peer("itself".into())];
    }
    let mut containers: Vec<Text> = used.other_ends.iter().filter_map(|end| end.name.clone()).collect();
    containers.dedup();
    if !containers.is_empty() {
        return containers.into_iter().map(|name| peer(Text::new([b"container ", name.as_bytes()].concat()))).collect();
    }
    let mut names: Vec<Text> = used.names.iter().chain(&used.server_names).map(same_host).collect();
    names.sort();
    names.dedup();
    match names.is_empty() {
        false => names.into_iter().map(peer).collect(),
        true => vec![peer(used.address.clone())],
    }
}

fn operation(operation: event::PrivilegedOperation, outcome: Outcome, details: &[Text], object: &Text) -> Fact {
    Fact::Operation { operation, outcome, details: details.to_vec(), object: same_file(object) }
}

/// Calls that a program makes or not as time will have it, whatever it does: waiting, locking, the end of a signal or a shutdown, and
/// memory of runtimes that collect garbage.
fn is_chance(call: &str) -> bool {
    const CHANCE: [&str; 22] = [
        "futex",
        "rt_sigreturn",
        "sigreturn",
        "restart_syscall",
        "sched_yield",
        "madvise",
        "munmap",
        "mremap",
        "nanosleep",
        "clock_nanosleep",
        "tgkill",
        "gettid",
        "getpid",
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "epoll_wait",
        "epoll_pwait",
        "rseq",
        "membarrier",
        "rt_sigtimedwait",
    ];
    CHANCE.contains(&call)
}
