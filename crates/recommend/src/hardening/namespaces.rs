//! The namespaces that the workload shares with the host, and whether it was seen to need that.

use core::net::IpAddr;
use std::collections::BTreeSet;

use event::{Direction, FileAccess, Phase, PrivilegedOperation, Text};
use report::Report;

use super::paths::name;
use super::seen::{Seen, Tally, program, program_of};
use super::{Advice, NamespaceAdvice};

/// System V and POSIX calls that make or find something that others can find.
const IPC: [&str; 6] = ["mq_open", "msgget", "semget", "shmat", "shmget", "ipc"];

pub(super) fn host_namespaces(seen: &Seen<'_>) -> Vec<NamespaceAdvice> {
    let states = seen.own.iter().flat_map(|run| &run.behaviour.privileged.confinement);
    let states = states.filter(|state| state.phase == Phase::Main && !state.others);
    let shared: BTreeSet<&Text> = states.flat_map(|state| &state.host_namespaces).collect();
    let advice = |namespace: &Text| {
        let advice = match namespace.as_bytes() {
            b"cgroup" => seen.judge(&["files"], cgroup(seen)),
            b"ipc" => seen.judge(&["files", "syscalls"], ipc(seen)),
            b"net" => seen.judge(&["network"], net(seen)),
            b"pid" => seen.judge(&["files", "privileged", "processes"], pid(seen)),
            b"uts" => seen.judge(&["privileged"], uts(seen)),
            b"mount" => Advice::unknown(Some(false), "it is no container of its own: its files are the host's"),
            _ => Advice::unknown(None, "which namespaces it shares is not known"),
        };
        NamespaceAdvice { namespace: namespace.clone(), advice }
    };
    shared.into_iter().map(advice).collect()
}

fn cgroup(seen: &Seen<'_>) -> Advice {
    let mut uses = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        for used in run.behaviour.files.paths.iter().filter(|used| seen.counts(used.phase)) {
            let path = used.path.as_bytes();
            let is_cgroup =
                path.starts_with(b"/sys/fs/cgroup/") || (path.starts_with(b"/proc/") && name(path) == b"cgroup");
            if is_cgroup {
                uses.add(number, "used", &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            }
        }
    }
    let breaks = "a program that looks for its own cgroup by its path on the host does not find it";
    if uses.is_empty() {
        Advice::apply(Some(false), "no file of a cgroup was used", breaks)
    } else {
        let evidence = uses.evidence();
        Advice {
            evidence,
            breaks: Some(breaks.into()),
            ..Advice::unknown(Some(false), "cgroups were looked at, and their paths would be others")
        }
    }
}

fn ipc(seen: &Seen<'_>) -> Advice {
    let mut uses = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        for used in run.behaviour.syscalls.uses.iter().filter(|used| seen.counts(used.phase) && used.count > 0) {
            if IPC.contains(&used.name.as_str()) {
                let what = format!("called {}", used.name);
                uses.add(number, &what, &Text::default(), used.phase, program_of(&used.first), used.count);
            }
        }
        for used in run.behaviour.files.paths.iter().filter(|used| seen.counts(used.phase)) {
            if used.path.as_bytes().starts_with(b"/dev/shm/") || used.path.as_bytes().starts_with(b"/dev/mqueue/") {
                uses.add(number, "used", &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            }
        }
    }
    if uses.is_empty() {
        let reason = "no shared memory, semaphore or message queue was used";
        Advice::apply(Some(false), reason, "a program that shares memory with one outside does not find it")
    } else {
        let evidence = uses.evidence();
        Advice {
            evidence,
            ..Advice::unknown(Some(false), "shared memory, semaphores or queues were used; with whom is not recorded")
        }
    }
}

fn uts(seen: &Seen<'_>) -> Advice {
    let changes = operations(seen, |used| {
        let is_change = matches!(used.operation, PrivilegedOperation::Sethostname | PrivilegedOperation::Setdomainname);
        is_change && used.errno.is_none()
    });
    if changes.is_empty() {
        Advice::apply(
            Some(false),
            "it did not change the host's name",
            "its host name becomes the one that its engine gives it",
        )
    } else {
        Advice::needed(Some(false), "it changed the host's name", changes.evidence())
    }
}

fn pid(seen: &Seen<'_>) -> Advice {
    use PrivilegedOperation as Operation;

    let mut needs = operations(seen, |used| {
        let is_outside = match used.operation {
            // The signals that are listed are those to somebody outside.
            Operation::Kill
            | Operation::Tkill
            | Operation::Tgkill
            | Operation::RtSigqueueinfo
            | Operation::RtTgsigqueueinfo
            | Operation::PidfdSendSignal => true,
            Operation::Ptrace
            | Operation::ProcessVmReadv
            | Operation::ProcessVmWritev
            | Operation::PidfdGetfd
            | Operation::Kcmp => {
                used.has_target && !seen.own.iter().any(|run| used.target_run == Some(run.container.run))
            }
            _ => false,
        };
        is_outside && used.errno.is_none()
    });
    let mut looks = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        let processes = run.behaviour.processes.processes.iter();
        let own: BTreeSet<u32> =
            processes.flat_map(|process| [Some(process.id.pid), process.pid_inside]).flatten().collect();
        for used in run.behaviour.files.paths.iter().filter(|used| seen.counts(used.phase)) {
            let path = used.path.as_bytes();
            if path == b"/proc" && used.accesses.has(FileAccess::Listed) {
                looks.add(number, "listed", &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            }
            let of = path.strip_prefix(b"/proc/").and_then(|rest| rest.split(|&byte| byte == b'/').next());
            let of = of.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
            if of.is_some_and(|pid| run.behaviour.processes.kept_all && !own.contains(&pid)) {
                needs.add(number, "used", &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            }
        }
    }
    if !needs.is_empty() {
        Advice::needed(Some(false), "it looked at processes outside of it, or sent them signals", needs.few(10).0)
    } else if !looks.is_empty() {
        let evidence = looks.evidence();
        Advice {
            evidence,
            ..Advice::unknown(Some(false), "it listed all processes; whether it needs those outside of it is not known")
        }
    } else {
        let reason = "it neither looked at processes outside of it nor sent them signals";
        Advice::apply(Some(false), reason, "a program that looks for a process of the host does not find it")
    }
}

fn net(seen: &Seen<'_>) -> Advice {
    let mut needs = Tally::default();
    let mut uses = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        for used in run.behaviour.network.flows.iter().filter(|used| seen.counts(used.phase)) {
            let is_abstract = used.address.as_bytes().starts_with(b"@");
            let is_with_itself = is_only_with(run, &used.other_ends);
            let what = match used.direction {
                Direction::In => format!("was reached over {} {}", used.protocol.name(), used.port),
                Direction::Out => format!("connected over {} {}", used.protocol.name(), used.port),
            };
            let program = program_of(&used.first);
            if used.connections == 0 || is_with_itself || (used.protocol.is_unix() && !is_abstract) {
                continue;
            }
            // What is at the host's own address, or has a name in its namespace, is not there in another.
            let tally = if is_abstract || is_loopback(&used.address) { &mut needs } else { &mut uses };
            tally.add(number, &what, &used.address, used.phase, program, used.connections);
        }
        for used in run.behaviour.network.listeners.iter().filter(|used| seen.counts(used.phase)) {
            if !used.protocol.is_unix() {
                let what = format!("listened on {} {}", used.protocol.name(), used.port);
                uses.add(number, &what, &used.address, used.phase, program_of(&used.first), used.count);
            }
        }
    }
    if !needs.is_empty() {
        Advice::needed(Some(false), "it talked to others over the host's own address", needs.evidence())
    } else if !uses.is_empty() {
        let reason = "what it listens on would have to be published, and what it talks to be reachable from a network of its own";
        Advice { evidence: uses.few(20).0, ..Advice::unknown(Some(false), reason) }
    } else {
        let reason = "it neither listened nor talked to anybody over a network";
        Advice::apply(Some(false), reason, "a program that uses the host's interfaces or addresses does not find them")
    }
}

/// Whether the kernel saw nobody but the workload itself at the other end.
pub(super) fn is_only_with(run: &Report, ends: &[behaviour::OtherEnd]) -> bool {
    !ends.is_empty() && ends.iter().all(|end| end.run == run.container.run)
}

/// Whether an address is one of the machine's own loopback.
pub(super) fn is_loopback(address: &Text) -> bool {
    let address = std::str::from_utf8(address.as_bytes()).ok().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| address.to_canonical().is_loopback())
}

fn operations(seen: &Seen<'_>, is_one: impl Fn(&behaviour::OperationUse) -> bool) -> Tally {
    let mut tally = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        let used = run.behaviour.privileged.operations.iter();
        for used in used.filter(|used| seen.counts(used.phase) && is_one(used)) {
            tally.add(number, used.operation.name(), &used.object, used.phase, program(&used.first), used.count);
        }
    }
    tally
}
