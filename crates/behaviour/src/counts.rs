//! The counts of system calls, carried from snapshot to snapshot.
//!
//! Each snapshot is the whole truth so far: counts replace, never add, and never fall, because a snapshot that was read
//! while threads moved may be below an earlier one. Memory is bounded by the kernel's own tables: an entry that was in
//! one snapshot is in every later one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use event::{CallTally, Errno, FailureTally, Phase, Syscall, SyscallNames, Tally, TaskId};

use crate::first::First;
use crate::images::Images;
use crate::syscalls::failures_in_order;
use crate::{SyscallUse, Syscalls};

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    uses: BTreeMap<(Phase, Syscall), Use>,
    newest_boot_ns: u64,
    at_least: bool,
}

#[derive(Clone, Debug)]
struct Use {
    name: String,
    is_named: bool,
    count: u64,
    first: Option<First>,
    last_boot_ns: u64,
    /// By errno, and whether they were refused before they were entered.
    failures: BTreeMap<(Errno, bool), u64>,
    first_refused: Option<First>,
}

impl Counts {
    pub(crate) fn at_least(&self) -> bool {
        self.at_least
    }

    pub(crate) fn count(&mut self, tally: &Tally, boot_ns: u64, names: &SyscallNames, images: &Images) {
        tally.calls.iter().for_each(|call| self.count_call(call, boot_ns, names));
        tally.failures.iter().for_each(|failure| self.count_failure(failure, boot_ns, names));
        let firsts = self.uses.values_mut().flat_map(|used| [&mut used.first, &mut used.first_refused]);
        firsts.flatten().for_each(|first| first.resolve(images));
        if boot_ns >= self.newest_boot_ns {
            self.newest_boot_ns = boot_ns;
            self.at_least = tally.at_least;
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> Syscalls {
        let uses = self.uses.iter().map(|(&(phase, syscall), used)| SyscallUse {
            phase,
            syscall,
            name: used.name.clone(),
            count: used.count,
            first: used.first.as_ref().map(|first| first.freeze(images)),
            last_boot_ns: used.last_boot_ns,
            refused: used.failures.iter().filter(|((_, refused), _)| *refused).map(|(_, count)| count).sum(),
            first_refused: used.first_refused.as_ref().map(|first| first.freeze(images)),
            failures: failures_in_order(used.failures.iter().map(|((errno, _), count)| (*errno, *count))),
        });
        Syscalls { uses: uses.collect() }
    }

    fn count_call(&mut self, call: &CallTally, boot_ns: u64, names: &SyscallNames) {
        if call.count == 0 {
            return;
        }
        let used = self.entry(call.phase, call.syscall, names);
        if call.count > used.count {
            // Until now only refused before it was entered: that is no use.
            used.last_boot_ns = if used.count == 0 { boot_ns } else { used.last_boot_ns.max(boot_ns) };
            used.count = call.count;
        }
        take_earlier(&mut used.first, &call.first);
    }

    fn count_failure(&mut self, failure: &FailureTally, boot_ns: u64, names: &SyscallNames) {
        if failure.count == 0 {
            return;
        }
        let used = self.entry(failure.phase, failure.syscall, names);
        let count = used.failures.entry((failure.errno, failure.refused)).or_default();
        if failure.count > *count {
            *count = failure.count;
            if used.count == 0 {
                used.last_boot_ns = used.last_boot_ns.max(boot_ns);
            }
        }
        if failure.refused {
            take_earlier(&mut used.first_refused, &failure.first);
        }
    }

    /// The entry of a call, by the best name that is known by now.
    fn entry(&mut self, phase: Phase, syscall: Syscall, names: &SyscallNames) -> &mut Use {
        let named = |used: &mut Use| {
            if !used.is_named
                && let Some(name) = names.lookup(syscall)
            {
                used.name = name.to_owned();
                used.is_named = true;
            }
        };
        match self.uses.entry((phase, syscall)) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                named(known);
                known
            }
            Entry::Vacant(place) => place.insert(Use {
                name: names.name(syscall).into_owned(),
                is_named: names.lookup(syscall).is_some(),
                count: 0,
                first: None,
                last_boot_ns: 0,
                failures: BTreeMap::new(),
                first_refused: None,
            }),
        }
    }
}

fn take_earlier(known: &mut Option<First>, told: &Option<(u64, TaskId)>) {
    if let Some((first_ns, task)) = told
        && known.as_ref().is_none_or(|known| *first_ns < known.boot_ns)
    {
        *known = Some(First::new(*first_ns, task));
    }
}

#[cfg(test)]
mod tests {
    use event::{Arch, ExecId, ProcessId};

    use super::*;

    const READ: Syscall = Syscall { arch: Arch::X86_64, number: 0 };
    const NEW: Syscall = Syscall { arch: Arch::X86_64, number: 4000 };

    fn task(pid: u32, exec: u32) -> TaskId {
        let process = ProcessId { pid, start_ns: 1 };
        TaskId { image: ExecId { process, exec }, tid: pid, comm: "worker".into() }
    }

    fn call(syscall: Syscall, count: u64, first: Option<(u64, TaskId)>) -> Tally {
        let calls = vec![CallTally { phase: Phase::Main, syscall, count, first }];
        Tally { calls, failures: Vec::new(), at_least: false }
    }

    fn failure(syscall: Syscall, failures: &[(u16, u64)]) -> Tally {
        let failures = failures.iter().map(|&(errno, count)| FailureTally {
            phase: Phase::Main,
            syscall,
            errno: Errno(errno),
            refused: false,
            count,
            first: None,
        });
        Tally { calls: Vec::new(), failures: failures.collect(), at_least: false }
    }

    fn counted(tallies: &[(u64, Tally)]) -> Vec<SyscallUse> {
        let (mut counts, images) = (Counts::default(), Images::new(10, 1000));
        tallies.iter().for_each(|(boot_ns, tally)| counts.count(tally, *boot_ns, &SyscallNames::builtin(), &images));
        counts.freeze(&images).uses
    }

    #[test]
    fn a_count_is_the_newest_one_and_its_time_that_of_the_last_growth() {
        let uses = counted(&[(10, call(READ, 5, None)), (20, call(READ, 7, None)), (30, call(READ, 7, None))]);

        assert_eq!((uses.len(), uses[0].count, uses[0].last_boot_ns), (1, 7, 20));
        assert_eq!(uses[0].name, "read");
    }

    #[test]
    fn a_snapshot_below_an_earlier_one_changes_nothing() {
        let uses = counted(&[(10, call(READ, 5, None)), (20, call(READ, 4, None)), (30, Tally::default())]);

        assert_eq!((uses[0].count, uses[0].last_boot_ns), (5, 10));
    }

    #[test]
    fn whether_counts_are_exact_is_what_the_newest_snapshot_says() {
        let (mut counts, images, names) = (Counts::default(), Images::new(10, 1000), SyscallNames::builtin());
        let at_least = Tally { at_least: true, ..Tally::default() };

        counts.count(&at_least, 10, &names, &images);
        assert!(counts.at_least());
        counts.count(&Tally::default(), 20, &names, &images);
        assert!(!counts.at_least());
        counts.count(&at_least, 15, &names, &images);
        assert!(!counts.at_least());
    }

    #[test]
    fn failures_are_ordered_by_how_often_and_then_by_number() {
        let uses = counted(&[(10, call(READ, 9, None)), (20, failure(READ, &[(11, 2), (2, 2), (9, 4), (4, 0)]))]);

        let failures: Vec<_> = uses[0].failures.iter().map(|f| (f.errno.to_string(), f.count)).collect();
        assert_eq!(failures, [("EBADF".into(), 4), ("ENOENT".into(), 2), ("EAGAIN".into(), 2)]);
        assert_eq!((uses[0].count, uses[0].last_boot_ns), (9, 10), "a late failure is no later use");
    }

    #[test]
    fn a_call_that_was_always_refused_before_its_entry_has_no_count_but_a_failure() {
        let refused = (10, failure(READ, &[(1, 3)]));

        let uses = counted(std::slice::from_ref(&refused));
        assert_eq!((uses[0].count, uses[0].failures.len(), uses[0].last_boot_ns), (0, 1, 10));

        let uses = counted(&[refused, (8, call(READ, 1, None))]);
        assert_eq!((uses[0].count, uses[0].last_boot_ns), (1, 8));
    }

    #[test]
    fn what_was_refused_is_told_apart_and_is_among_the_failures() {
        let mut tally = failure(READ, &[(1, 3), (1, 2), (11, 4)]);
        tally.failures[1].refused = true;
        tally.failures.iter_mut().for_each(|one| one.first = Some((one.count, task(1, 0))));

        let uses = counted(&[(10, call(READ, 9, None)), (20, tally)]);

        let failures: Vec<_> = uses[0].failures.iter().map(|one| (one.errno.0, one.count)).collect();
        assert_eq!((uses[0].refused, failures), (2, vec![(1, 5), (11, 4)]));
        assert_eq!(uses[0].first_refused.as_ref().map(|first| first.boot_ns), Some(2));
    }

    #[test]
    fn the_earliest_first_use_stays() {
        let uses = counted(&[
            (10, call(READ, 1, None)),
            (20, call(READ, 2, Some((9, task(1, 0))))),
            (30, call(READ, 3, Some((7, task(2, 0))))),
            (40, call(READ, 4, Some((8, task(3, 0))))),
        ]);

        let first = uses[0].first.as_ref().expect("a first use");
        assert_eq!((first.boot_ns, first.image.process.pid, first.comm.to_string()), (7, 2, "worker".into()));
        assert!(first.executable.is_empty());
    }

    #[test]
    fn the_executable_is_found_when_its_exec_comes_later_and_stays_when_it_is_forgotten() {
        let (mut counts, mut images, names) = (Counts::default(), Images::new(1, 1000), SyscallNames::builtin());
        let who = task(1, 3);
        let executable = |counts: &Counts, images: &Images| {
            counts.freeze(images).uses[0].first.as_ref().map(|first| first.executable.to_string())
        };
        counts.count(&call(READ, 1, Some((5, who.clone()))), 10, &names, &images);
        assert_eq!(executable(&counts, &images), Some(String::new()));

        images.meet(who.image.process);
        images.ran(who.image, &"/bin/sh".into());
        assert_eq!(executable(&counts, &images), Some("/bin/sh".into()));

        counts.count(&call(READ, 1, None), 20, &names, &images);
        images.meet(ProcessId { pid: 2, start_ns: 2 });
        assert_eq!(images.executable(who.image), None);
        assert_eq!(executable(&counts, &images), Some("/bin/sh".into()));
    }

    #[test]
    fn a_name_that_is_learnt_between_snapshots_is_taken() {
        let (mut counts, images, mut names) = (Counts::default(), Images::new(10, 1000), SyscallNames::builtin());
        let name = |counts: &Counts| counts.freeze(&images).uses[0].name.clone();

        counts.count(&call(NEW, 1, None), 10, &names, &images);
        assert_eq!(name(&counts), "nr 4000");
        names.extend_one(Arch::X86_64, 4000, "brand_new").expect("a new name");
        counts.count(&call(NEW, 1, None), 20, &names, &images);
        assert_eq!(name(&counts), "brand_new");
    }
}
