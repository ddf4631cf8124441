use event::{Arch, Payload, Phase};

use crate::Options;
use crate::testing::{Bench, count_of};

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_container_is_created_started_and_ended() {
    let mut bench = Bench::new();

    bench.run("/bin/true", &[]);
    bench.final_counts();
    let kinds: Vec<&str> = bench.payloads().iter().map(Payload::kind).collect();

    let first = |kind| kinds.iter().position(|&other| other == kind);
    assert_eq!(first("container_created"), Some(0), "{kinds:?}");
    assert!(first("task_entered") < first("container_started"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"container_ended"), "{kinds:?}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_slot_that_is_used_again_has_a_new_generation_and_none_of_the_old_counts() {
    let mut bench = Bench::new();
    let mut seen = std::collections::BTreeSet::new();

    for _ in 0..200 {
        bench.run("/bin/true", &[]);
        let tally = bench.final_counts();
        assert_eq!(count_of(&tally, Phase::Main, Arch::NATIVE, "execve"), 1);
        assert!(seen.insert(bench.run), "{:?} came twice", bench.run);
        bench.renew();
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_late_sample_of_the_last_owner_is_not_booked_on_the_next() {
    let mut bench = Bench::new();
    bench.run("/bin/true", &[]);
    bench.final_counts();
    let last = bench.run;

    bench.renew();
    let events = bench.events();

    assert!(events.iter().all(|event| event.run == bench.run));
    assert_ne!(last, bench.run);
}

/// A shell and two programs; the counts must be the same wherever they are kept.
fn counts_of_three_programs(change: impl FnOnce(&mut Options)) {
    let mut bench = Bench::with(change);

    bench.run("/bin/sh", &["-c", "/bin/true; /bin/true"]);
    let tally = bench.final_counts();
    let slot = bench.kernel.slot(bench.run).unwrap();

    assert_eq!(count_of(&tally, Phase::Main, Arch::NATIVE, "execve"), 3);
    assert_eq!(count_of(&tally, Phase::Main, Arch::NATIVE, "exit_group"), 3);
    assert!(slot.losses.entries.iter().all(|&lost| lost == 0));
    assert_eq!(slot.tasks_entered, slot.tasks_left);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn everything_is_counted_as_on_an_old_kernel_too() {
    counts_of_three_programs(|options| options.as_old_kernel = true);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn tasks_without_counts_of_their_own_are_counted_all_the_same() {
    counts_of_three_programs(|options| options.counted_tasks = Some(1));
}
