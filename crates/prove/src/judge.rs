//! What one start was denied, as its report says, and what that means beside starts without the recommendation. Pure.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{CheckMeaning, FirstUse};
use event::{Errno, Phase, Text};
use report::Report;

use crate::proof::{Denial, Denied};

/// EPERM, EACCES, EROFS, ENOSYS and EMFILE: what taking something away, or a limit of open files, makes of a call that worked.
const SIGNS: [Errno; 5] = [Errno(1), Errno(13), Errno(30), Errno(38), Errno(24)];
/// The calls to which a limit of processes answers EAGAIN; from others it only says that there is nothing yet.
const MAKE_TASKS: [&str; 4] = ["clone", "clone3", "fork", "vfork"];
const EAGAIN: Errno = Errno(11);
/// The sections of a report that denials are read from.
const SECTIONS: [&str; 2] = ["capabilities", "syscalls"];

/// What one start was denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Why something of it may not have been seen; none if all was.
    pub gap: Option<String>,
    /// How often, and by which program first.
    denied: BTreeMap<(Denied, Phase), (u64, Text)>,
    /// The calls that the workload, or what stood in its place, entered: not its runtime.
    entered: BTreeSet<String>,
}

impl Seen {
    /// What a report says of it.
    pub fn of(report: &Report) -> Seen {
        let mut seen = Seen { gap: gap(report), ..Seen::default() };
        for used in &report.behaviour.syscalls.uses {
            let call = Text::from(used.name.as_str());
            if used.count > 0 && used.phase != Phase::RuntimeInit {
                seen.entered.insert(used.name.clone());
            }
            let refused = used.refusals();
            if refused > 0 {
                seen.add(Denied::Call { call: call.clone() }, used.phase, refused, program(&used.first_refused));
            }
            if used.phase == Phase::RuntimeInit || used.count == 0 {
                continue;
            }
            for failure in used.failures.iter().filter(|failure| is_sign(&used.name, failure.errno)) {
                // What the filter refused with this errno is told above.
                if failure.count > refused {
                    let denied = Denied::Failure { call: call.clone(), errno: failure.errno };
                    seen.add(denied, used.phase, failure.count - refused, Text::default());
                }
            }
        }
        for used in &report.behaviour.capabilities.uses {
            if used.phase != Phase::RuntimeInit && used.meaning() == CheckMeaning::Denied {
                let by = &used.first.by;
                let program = if by.executable.is_empty() { by.comm.clone() } else { by.executable.clone() };
                seen.add(Denied::Capability { capability: used.capability }, used.phase, used.count, program);
            }
        }
        seen
    }

    fn add(&mut self, denied: Denied, phase: Phase, count: u64, program: Text) {
        let entry = self.denied.entry((denied, phase)).or_insert((0, program));
        entry.0 = entry.0.saturating_add(count);
    }

    /// Whether the workload entered this call.
    pub(crate) fn entered(&self, call: &str) -> bool {
        self.entered.contains(call)
    }

    /// Whether this call was refused before it was entered.
    pub(crate) fn refused(&self, call: &str) -> bool {
        let call = Denied::Call { call: call.into() };
        self.denied.keys().any(|(denied, _)| *denied == call)
    }
}

/// Whether a failure may come from what was taken away, or from a limit.
fn is_sign(call: &str, errno: Errno) -> bool {
    SIGNS.contains(&errno) || errno == EAGAIN && MAKE_TASKS.contains(&call)
}

fn program(first: &Option<FirstUse>) -> Text {
    match first {
        Some(first) if !first.executable.is_empty() => first.executable.clone(),
        Some(first) => first.comm.clone(),
        None => Text::default(),
    }
}

/// Why denials may be missing in the report.
fn gap(report: &Report) -> Option<String> {
    let whole = |section: &str| report.sections.get(&Text::from(section)).copied().unwrap_or(report.complete);
    if SECTIONS.into_iter().all(whole) {
        return None;
    }
    let concerns =
        |sensor: &Text| SECTIONS.iter().chain(&["identity"]).any(|section| sensor.as_bytes() == section.as_bytes());
    let reason = report.reasons.iter().find(|reason| reason.sensor.as_ref().is_none_or(concerns));
    Some(reason.map_or_else(|| "its report is not complete".to_owned(), |reason| reason.text.shown().into_owned()))
}

/// One start under the recommendation.
pub(crate) struct Judged<'a> {
    pub(crate) worked: bool,
    pub(crate) seen: Option<&'a Seen>,
}

/// What these starts were denied that those without the recommendation were not, and that is not `expected`: calls that the
/// recommendation says it leaves out though they were tried.
pub(crate) fn denials(starts: &[Judged<'_>], plain: &[&Seen], expected: &BTreeSet<String>) -> Vec<Denial> {
    let usual: BTreeSet<&(Denied, Phase)> = plain.iter().flat_map(|seen| seen.denied.keys()).collect();
    let is_expected = |denied: &Denied| match denied {
        Denied::Call { call } => expected.iter().any(|name| name.as_bytes() == call.as_bytes()),
        Denied::Capability { .. } | Denied::Failure { .. } => false,
    };
    let mut sums = BTreeMap::<&(Denied, Phase), Denial>::new();
    for start in starts {
        for (key, (count, program)) in start.seen.iter().flat_map(|seen| &seen.denied) {
            if usual.contains(key) || is_expected(&key.0) {
                continue;
            }
            let sum = sums.entry(key).or_insert_with(|| Denial {
                denied: key.0.clone(),
                phase: key.1,
                program: program.clone(),
                count: 0,
                starts: 0,
                failed_starts: 0,
            });
            sum.count = sum.count.saturating_add(*count);
            sum.starts += 1;
            sum.failed_starts += u32::from(!start.worked);
        }
    }
    sums.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(denied: &[(Denied, u64)]) -> Seen {
        let denied = denied.iter().map(|(denied, count)| ((denied.clone(), Phase::Main), (*count, "/bin/x".into())));
        Seen { denied: denied.collect(), ..Seen::default() }
    }

    fn call(name: &str) -> Denied {
        Denied::Call { call: name.into() }
    }

    #[test]
    fn only_what_plain_starts_were_not_denied_counts_and_harm_is_told_apart() {
        let plain = seen(&[(call("mount"), 1)]);
        let (works, fails) = (
            seen(&[(call("mount"), 1), (call("fsync"), 2), (call("clone3"), 1)]),
            seen(&[(call("fsync"), 1), (call("unlink"), 1)]),
        );
        let starts = [Judged { worked: true, seen: Some(&works) }, Judged { worked: false, seen: Some(&fails) }];

        let denials = denials(&starts, &[&plain], &BTreeSet::from(["clone3".to_owned()]));

        let told: Vec<_> =
            denials.iter().map(|one| (one.denied.clone(), one.count, one.starts, one.failed_starts)).collect();
        assert_eq!(told, [(call("fsync"), 3, 2, 1), (call("unlink"), 1, 1, 1)]);
    }

    #[test]
    fn a_limit_is_told_from_having_nothing_to_read() {
        let told = [("clone3", 11), ("vfork", 11), ("openat", 24), ("read", 11), ("clone", 12), ("openat", 2)]
            .map(|(call, errno)| is_sign(call, Errno(errno)));

        assert_eq!(told, [true, true, true, false, false, false]);
    }

    #[test]
    fn a_report_tells_what_was_refused_and_which_capabilities_were_not_held() {
        let report = Report::parse(include_bytes!("../../report/tests/reports/1-docker.json")).expect("a kept report");

        let seen = Seen::of(&report);

        assert!(seen.gap.is_some() || report.complete);
        for used in &report.behaviour.syscalls.uses {
            let is_own = used.count > 0 && used.phase != Phase::RuntimeInit;
            assert!(!is_own || seen.entered(&used.name), "{}", used.name);
        }
    }
}
