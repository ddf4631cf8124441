//! Who the workload runs as, and whether it must be root.

use std::collections::BTreeSet;

use behaviour::CheckMeaning;
use event::{Capability, Phase, PrivilegedOperation, Text, UserNamespace};

use super::seen::{Seen, Tally, program, program_of};
use super::{Advice, UserAdvice, UserIds, Verdict};

/// From here on a port can be listened on by everybody, where the kernel has its default: `net.ipv4.ip_unprivileged_port_start`.
const FIRST_FREE_PORT: u32 = 1024;
/// Capabilities that a program uses to become somebody else.
const BECOMING: [&str; 3] = ["CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP"];

/// The ids that programs of the workload ran with, root first.
fn ids(seen: &Seen<'_>) -> BTreeSet<UserIds> {
    let states = seen.own.iter().flat_map(|run| &run.behaviour.privileged.confinement);
    let states = states.filter(|state| seen.counts(state.phase) && !state.others);
    states.map(|state| UserIds { uid: state.ids.euid, gid: state.ids.egid }).collect()
}

/// Whether ids are told as the container itself numbers them: a user namespace of its own has other numbers than the host.
fn are_ids_its_own(seen: &Seen<'_>) -> bool {
    let states = seen.own.iter().flat_map(|run| &run.behaviour.privileged.confinement);
    states.filter(|state| !state.others).all(|state| state.user_namespace != UserNamespace::Container)
}

/// Who may write: all of them; nobody if that is not known.
pub(super) fn writers(seen: &Seen<'_>) -> Vec<UserIds> {
    let is_known = seen.gaps(&["privileged"]).is_empty() && are_ids_its_own(seen);
    if is_known { ids(seen).into_iter().collect() } else { Vec::new() }
}

pub(super) fn user(seen: &Seen<'_>) -> UserAdvice {
    let ids = ids(seen);
    let states = seen.own.iter().flat_map(|run| &run.behaviour.privileged.confinement);
    let states: Vec<_> = states.filter(|state| seen.counts(state.phase)).collect();
    if states.is_empty() || states.iter().any(|state| state.others) {
        let reason = "with which ids its programs ran is not known";
        return UserAdvice {
            advice: seen.judge(&["privileged"], Advice::unknown(None, reason)),
            user: None,
            seen: ids.into_iter().collect(),
        };
    }
    if !are_ids_its_own(seen) {
        let reason = "it has a user namespace of its own, and its ids are told as the host numbers them";
        return UserAdvice { advice: Advice::unknown(None, reason), user: None, seen: ids.into_iter().collect() };
    }
    let as_root = states.iter().filter(|state| [state.ids.uid, state.ids.euid, state.ids.suid].contains(&0));
    let root_phases: BTreeSet<Phase> = as_root.map(|state| state.phase).collect();
    let others: Vec<UserIds> = ids.iter().copied().filter(|ids| ids.uid != 0).collect();
    let listed: Vec<UserIds> = ids.into_iter().collect();
    if root_phases.is_empty() {
        let first = states.iter().filter(|state| state.phase == Phase::Main).min_by_key(|state| state.first.boot_ns);
        let user = first.map(|state| UserIds { uid: state.ids.euid, gid: state.ids.egid });
        let reason = match user {
            Some(user) => format!(
                "it is started as user {} of group {}, and none of its programs ran as root",
                user.uid, user.gid
            ),
            None => "none of its programs ran as root".to_owned(),
        };
        let advice = Advice { verdict: Verdict::Apply, now: Some(true), ..Advice::default() }.because(reason);
        return UserAdvice { advice: seen.judge(&["privileged"], advice), user, seen: listed };
    }

    let mut against = Tally::default();
    let mut becoming = Tally::default();
    let has_free_ports = seen.engine().is_some_and(|engine| engine.as_bytes() == b"docker");
    for (number, run) in seen.own.iter().enumerate() {
        let uses = run.behaviour.capabilities.uses.iter();
        for used in uses.filter(|used| seen.counts(used.phase) && used.meaning() == CheckMeaning::Used) {
            let name = used.capability.name();
            if has_free_ports && used.capability == bind_service() {
                continue;
            }
            let tally = if BECOMING.contains(&&*name) { &mut becoming } else { &mut against };
            tally.add(
                number,
                &format!("used {name}"),
                &Text::default(),
                used.phase,
                program(&used.first.by),
                used.count,
            );
        }
        for used in run.behaviour.network.listeners.iter().filter(|used| seen.counts(used.phase)) {
            if !used.protocol.is_unix() && (1..FIRST_FREE_PORT).contains(&used.port) && !has_free_ports {
                let what = format!("listened on {} {}", used.protocol.name(), used.port);
                against.add(number, &what, &Text::default(), used.phase, program_of(&used.first), used.count);
            }
        }
        for used in run.behaviour.privileged.operations.iter().filter(|used| seen.counts(used.phase)) {
            let is_change = matches!(
                used.operation,
                PrivilegedOperation::Setuid
                    | PrivilegedOperation::Setreuid
                    | PrivilegedOperation::Setresuid
                    | PrivilegedOperation::Setfsuid
            );
            if is_change && used.errno.is_none() && used.after.is_some_and(|after| after.euid != 0) {
                let after = used.after.map(|after| after.euid).unwrap_or_default();
                let what = format!("became user {after} ({})", used.operation.name());
                becoming.add(number, &what, &Text::default(), used.phase, program(&used.first), used.count);
            }
        }
    }

    let (user, advice) = match (against.is_empty(), becoming.is_empty()) {
        (true, true) => {
            let reason = "its programs ran as root and used no right of root's; whether others may read and write the files that it uses is not recorded";
            (others.first().copied(), Advice::unknown(Some(false), reason))
        }
        (true, false) => {
            let reason = "it starts as root and only becomes somebody else; whether it can be started as such a one is not recorded";
            let evidence = becoming.evidence();
            (others.first().copied(), Advice { evidence, ..Advice::unknown(Some(false), reason) })
        }
        (false, _) => {
            let reason = "its programs used rights of root's";
            let mut evidence = against.evidence();
            evidence.extend(becoming.evidence());
            (others.first().copied(), Advice::needed(Some(false), reason, evidence))
        }
    };
    let advice = match user {
        Some(user) if advice.verdict != Verdict::Apply => {
            advice.because(format!("it goes on as user {} of group {}", user.uid, user.gid))
        }
        _ => advice,
    };
    UserAdvice { advice: seen.judge(&["capabilities", "network", "privileged"], advice), user, seen: listed }
}

/// CAP_NET_BIND_SERVICE.
fn bind_service() -> Capability {
    "CAP_NET_BIND_SERVICE".parse().expect("a capability")
}
