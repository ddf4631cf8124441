//! Whether programs may gain rights, and whether it must be privileged.

use event::{NameOperation, Phase, PrivilegedOperation};

use super::paths::{is_below, text};
use super::seen::{Seen, Tally, program, program_of};
use super::{Advice, DeviceAdvice, SystemPaths, Verdict};

/// Start it so that no program gains rights.
pub(super) fn no_new_privileges(seen: &Seen<'_>) -> Advice {
    let mut gained = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        let operations = run.behaviour.privileged.operations.iter();
        for used in operations.filter(|used| seen.counts(used.phase)) {
            if used.operation == PrivilegedOperation::ExecElevated {
                let path = if used.object.is_empty() { &used.first.executable } else { &used.object };
                gained.add(number, "gained rights when it was run", path, used.phase, program(&used.first), used.count);
            }
        }
    }
    let now = seen.flag("no-new-privileges").or_else(|| {
        seen.agreed(|run| {
            let states = run.behaviour.privileged.confinement.iter();
            let mut states = states.filter(|state| state.phase == Phase::Main && !state.others).peekable();
            states.peek()?;
            Some(states.all(|state| state.no_new_privileges))
        })
    });
    let advice = if !gained.is_empty() {
        Advice::needed(now, "programs gained rights when they were run", gained.evidence())
    } else if now == Some(true) {
        Advice::apply(
            now,
            "it was recorded so",
            "a program that needs more rights than whoever starts it does not get them",
        )
    } else {
        let reason = "no program that was run gained rights by that";
        Advice::apply(
            now,
            reason,
            "a set-user-ID program, or one with capabilities of its own, runs without these rights",
        )
    };
    seen.judge(&["privileged"], advice)
}

/// Start it without `--privileged`: capabilities, devices and paths are given one by one instead.
pub(super) fn unprivileged(seen: &Seen<'_>, devices: &DeviceAdvice, paths: &SystemPaths) -> Advice {
    let now = seen.flag("privileged").map(|is_privileged| !is_privileged);
    if now != Some(false) {
        let reason = match now {
            Some(_) => "it is not privileged",
            None => "whether it is privileged is not known; nothing that is recommended here needs it",
        };
        return Advice {
            verdict: if now.is_some() { Verdict::Apply } else { Verdict::Unknown },
            now,
            ..Advice::default()
        }
        .because(reason);
    }
    // What no flag gives but this one.
    let mut needs = Tally::default();
    for (number, (run, places)) in seen.runs().enumerate() {
        let is_cgroup = |path: &[u8]| is_below(path, b"/sys/fs/cgroup");
        for used in run.behaviour.files.paths.iter().filter(|used| seen.counts(used.phase)) {
            let writes = [event::FileAccess::OpenedToWrite, event::FileAccess::Written];
            if is_cgroup(used.path.as_bytes()) && used.accesses.has_any(&writes) {
                needs.add(number, "written", &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            }
        }
        for used in run.behaviour.files.names.iter().filter(|used| seen.counts(used.phase) && used.errno.is_none()) {
            let path = places.resolve(used.path.as_bytes());
            if used.operation != NameOperation::Open && is_cgroup(&path) {
                needs.add(number, used.operation.name(), &text(&path), used.phase, program_of(&used.first), used.count);
            }
        }
    }
    if paths.advice.verdict == Verdict::Needed {
        for one in &paths.needed {
            one.evidence.iter().for_each(|evidence| needs.take(evidence.clone()));
        }
    }
    let advice = if !needs.is_empty() {
        Advice::needed(now, "paths were written that only a privileged container can write", needs.evidence())
    } else if devices.advice.verdict == Verdict::Unknown || paths.advice.verdict == Verdict::Unknown {
        Advice::unknown(now, "which devices and paths it needs is not known")
    } else {
        let reason = "its capabilities and devices can be given one by one, and it used nothing else that being privileged gives";
        Advice::apply(
            now,
            reason,
            "a program that does what only a privileged container may fails with EPERM, EACCES or EROFS",
        )
    };
    seen.judge(&["capabilities", "files"], advice)
}
