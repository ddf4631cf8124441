use event::{Arch, Errno, Payload, Phase};

use crate::CallFilter;
use crate::testing::{Bench, count_of};

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn calls_are_counted_exactly_and_booked_on_their_phase() {
    let mut bench = Bench::new();

    bench.run("/bin/bash", &["-c", "for ((i = 0; i < 1000; i++)); do umask > /dev/null; done; umask 022"]);
    let tally = bench.final_counts();

    assert!(!tally.at_least);
    assert_eq!(count_of(&tally, Phase::Main, Arch::NATIVE, "execve"), 1);
    // `umask` without an argument sets it and sets it back; the last one is a single call.
    assert_eq!(count_of(&tally, Phase::Main, Arch::NATIVE, "umask"), 2_001);
    assert_eq!(count_of(&tally, Phase::RuntimeInit, Arch::NATIVE, "execve"), 0);
    assert_eq!(count_of(&tally, Phase::Exec, Arch::NATIVE, "execve"), 0);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn failures_are_counted_by_errno() {
    let mut bench = Bench::new();

    bench.run("/bin/bash", &["-c", "for ((i = 0; i < 500; i++)); do kill -0 99999999 2>&-; cd /etc/passwd 2>&-; done"]);
    let tally = bench.final_counts();
    let failed = |name: &str, errno: u16| {
        let number = event::SyscallNames::builtin().number(Arch::NATIVE, name);
        tally
            .failures
            .iter()
            .filter(|failure| Some(failure.syscall.number) == number && failure.errno == Errno(errno))
            .map(|failure| failure.count)
            .sum::<u64>()
    };

    assert_eq!(failed("kill", 3), 500, "{:?}", tally.failures);
    // bash tries again with the path as it was typed.
    assert_eq!(failed("chdir", 20), 1_000, "{:?}", tally.failures);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_snapshot_of_live_tasks_neither_falls_nor_exceeds_the_truth() {
    let mut bench = Bench::new();
    let mut child = bench.start("/bin/bash", &["-c", "for ((i = 0; i < 200000; i++)); do umask 022; done"]);

    let mut last = 0;
    while child.try_wait().unwrap().is_none() {
        let now = count_of(&bench.counts(), Phase::Main, Arch::NATIVE, "umask");
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    let exact = count_of(&bench.final_counts(), Phase::Main, Arch::NATIVE, "umask");

    assert!(last > 0, "the program was too short for this test");
    assert!(last <= exact);
    assert_eq!(exact, 200_000);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_trace_has_the_calls_that_were_asked_for_and_no_other() {
    let umask = event::SyscallNames::builtin().number(Arch::NATIVE, "umask").unwrap();
    let exit_group = event::SyscallNames::builtin().number(Arch::NATIVE, "exit_group").unwrap();
    let filter = CallFilter { numbers: Some(vec![umask, exit_group]), ..CallFilter::default() };
    let bench = Bench::with(|options| options.trace = Some(filter));

    bench.run("/bin/bash", &["-c", "umask 077; umask 022; exit 5"]);
    let calls: Vec<_> = bench
        .payloads()
        .into_iter()
        .filter_map(|payload| match payload {
            Payload::Syscall(call) => Some((call.syscall.number, call.args[0], call.result)),
            _ => None,
        })
        .collect();

    let [first, second, last] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((first.0, first.1), (umask, 0o077));
    assert_eq!(*second, (umask, 0o022, Some(0o077)));
    // It never returns.
    assert_eq!(*last, (exit_group, 5, None));
}
