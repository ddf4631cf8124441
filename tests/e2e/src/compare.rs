//! A phase of a report against what `strace` counted in the same run.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::reports::{Entry, NATIVE, Report};
use crate::strace_log::{Count, Counts};

/// What strace itself changes: a wait that is interrupted by attaching is resumed by a call that exists for that alone.
const CHANGED_BY_STRACE: [&str; 1] = ["restart_syscall"];

/// An error that lists every difference between the report's phase and strace's counts.
pub fn must_be_equal(report: &Report, phase: &str, truth: &Counts) -> Result<()> {
    let differences = differences(&report.phase(phase)?, truth);
    if !differences.is_empty() {
        bail!("{} differs from strace in {phase}:\n  {}", report.path.display(), differences.join("\n  "));
    }
    Ok(())
}

fn differences(entries: &[Entry], truth: &Counts) -> Vec<String> {
    let mut differences = Vec::new();
    let mut seen = BTreeMap::new();
    for entry in entries {
        if entry.arch == NATIVE {
            seen.insert(entry.number, entry);
        } else {
            differences.push(format!("{} of the table {}: the workload makes none", entry.name, entry.arch));
        }
    }
    let none = Count::default();
    let mut unread = truth.unread;
    let mut numbers: Vec<u32> = seen.keys().chain(truth.calls.keys()).copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let truth = truth.calls.get(&number).unwrap_or(&none);
        let entry = seen.get(&number).copied();
        let name = entry.map_or(truth.name.as_str(), |entry| entry.name.as_str());
        if CHANGED_BY_STRACE.contains(&name) {
            continue;
        }
        if !truth.name.is_empty() && name != truth.name {
            differences.push(format!("{number} is called {name}, strace calls it {}", truth.name));
        }
        let count = entry.map_or(0, |entry| entry.count);
        let least = truth.entered - truth.cut_short;
        let more = count.saturating_sub(truth.entered).min(unread);
        unread -= more;
        if !(least..=truth.entered + more).contains(&count) {
            let range = if least < truth.entered { format!("{least} to {}", truth.entered) } else { least.to_string() };
            differences.push(format!("{name}: {count}, strace counted {range}"));
        }
        let empty = BTreeMap::new();
        let failures = entry.map_or(&empty, |entry| &entry.failures);
        differences.extend(failure_differences(name, failures, truth, truth.cut_short + more));
    }
    differences
}

fn failure_differences(name: &str, failures: &BTreeMap<String, u64>, truth: &Count, unseen: u64) -> Vec<String> {
    let errnos: std::collections::BTreeSet<&String> = failures.keys().chain(truth.failures.keys()).collect();
    let mut differences = Vec::new();
    for errno in errnos {
        let least = truth.failures.get(errno).copied().unwrap_or_default();
        let count = failures.get(errno).copied().unwrap_or_default();
        if !(least..=least + unseen).contains(&count) {
            differences.push(format!("{name} failed with {errno}: {count}, strace counted {least}"));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32, name: &str, count: u64, failures: &[(&str, u64)]) -> Entry {
        Entry {
            phase: "main".into(),
            arch: NATIVE.into(),
            number,
            name: name.into(),
            count,
            refused: 0,
            refused_comm: None,
            failures: failures.iter().map(|(errno, count)| ((*errno).to_owned(), *count)).collect(),
            first_comm: None,
            first_executable: None,
        }
    }

    fn truth(number: u32, name: &str, entered: u64, cut_short: u64, failures: &[(&str, u64)]) -> Counts {
        let failures = failures.iter().map(|(errno, count)| ((*errno).to_owned(), *count)).collect();
        let count = Count { name: name.into(), entered, cut_short, failures };
        Counts { calls: BTreeMap::from([(number, count)]), unread: 0 }
    }

    #[test]
    fn equal_is_equal() {
        let same = differences(&[entry(0, "read", 3, &[("EAGAIN", 1)])], &truth(0, "read", 3, 0, &[("EAGAIN", 1)]));
        assert_eq!(same, Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        let cases = [
            (vec![], truth(0, "read", 3, 0, &[]), "read: 0, strace counted 3"),
            (vec![entry(0, "read", 4, &[])], truth(0, "read", 3, 0, &[]), "read: 4, strace counted 3"),
            (vec![entry(0, "read", 1, &[])], Counts::default(), "read: 1, strace counted 0"),
            (vec![entry(0, "rd", 3, &[])], truth(0, "read", 3, 0, &[]), "0 is called rd, strace calls it read"),
            (
                vec![entry(0, "read", 3, &[("EINTR", 1)])],
                truth(0, "read", 3, 0, &[]),
                "read failed with EINTR: 1, strace counted 0",
            ),
            (
                vec![entry(0, "read", 3, &[])],
                truth(0, "read", 3, 0, &[("EINTR", 2)]),
                "read failed with EINTR: 0, strace counted 2",
            ),
        ];
        for (entries, truth, expected) in cases {
            assert_eq!(differences(&entries, &truth), [expected]);
        }
    }

    #[test]
    fn a_call_that_the_end_of_its_thread_cut_short_may_be_counted_or_not() {
        let truth = truth(202, "futex", 5, 1, &[]);

        for (count, failures) in [(4, vec![]), (5, vec![]), (5, vec![("EINTR", 1)])] {
            assert_eq!(differences(&[entry(202, "futex", count, &failures)], &truth), Vec::<String>::new());
        }
        assert_eq!(differences(&[entry(202, "futex", 3, &[])], &truth), ["futex: 3, strace counted 4 to 5"]);
    }

    #[test]
    fn a_call_that_strace_could_not_read_may_be_any_but_only_once() {
        let truth = Counts { unread: 1, ..truth(0, "read", 3, 0, &[]) };
        let sleep = entry(35, "nanosleep", 1, &[("EINTR", 1)]);

        assert_eq!(differences(&[entry(0, "read", 3, &[])], &truth), Vec::<String>::new());
        assert_eq!(differences(&[entry(0, "read", 3, &[]), sleep.clone()], &truth), Vec::<String>::new());
        assert_eq!(
            differences(&[entry(0, "read", 4, &[]), sleep], &truth),
            ["nanosleep: 1, strace counted 0", "nanosleep failed with EINTR: 1, strace counted 0"]
        );
    }

    #[test]
    fn a_call_of_another_table_is_a_difference() {
        let mut other = entry(0, "read", 3, &[]);
        other.arch = "x32".into();

        assert_eq!(differences(&[other], &Counts::default()).len(), 1);
    }
}
