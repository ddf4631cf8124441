//! The process tree that events make.

mod support;

use behaviour::{Adopted, Behaviour, Builder, Limits, Process, ProcessTree};
use event::{CallTally, Event, Exit, Fork, Payload, Phase, ProcessId, Syscall, SyscallNames, Tally, TaskId};
use support::{entered, event, exec, exit, fork, image, process, program, thread};

fn built(limits: Limits, events: &[Event]) -> Builder {
    let mut builder = Builder::new(limits);
    events.iter().for_each(|event| builder.observe(event));
    builder
}

fn tree(events: &[Event]) -> ProcessTree {
    built(Limits::default(), events).freeze().processes
}

fn of(tree: &ProcessTree, id: ProcessId) -> &Process {
    tree.processes.iter().find(|process| process.id == id).expect("the process")
}

fn executable(process: &Process) -> Option<String> {
    process.executable().map(ToString::to_string)
}

#[test]
fn a_life_from_fork_to_exit() {
    let tree = tree(&[
        fork(1, image(1, 4), process(2)),
        exec(2, image(2, 5), "/bin/sh", process(1)),
        exec(3, image(2, 6), "/bin/true", process(1)),
        exit(4, image(2, 6), 3, 0),
    ]);

    let child = of(&tree, process(2));
    assert_eq!((child.parent, child.pid_inside, child.phase), (Some(process(1)), Some(2), Phase::Main));
    let programs: Vec<_> =
        child.programs.iter().map(|p| (p.exec, p.boot_ns, p.detail.executable.to_string())).collect();
    assert_eq!(programs, [(5, Some(2), "/bin/sh".into()), (6, Some(3), "/bin/true".into())]);
    assert_eq!((child.ended_boot_ns, child.status, child.signal), (Some(4), Some(3), None));
    assert_eq!((tree.total, tree.total_threads, tree.total_execs, tree.kept_all), (1, 1, 2, true));
}

#[test]
fn a_process_that_a_signal_ended_has_no_status() {
    let tree = tree(&[fork(1, image(1, 0), process(2)), exit(2, image(2, 0), 0, 9)]);

    assert_eq!((of(&tree, process(2)).status, of(&tree, process(2)).signal), (None, Some(9)));
}

#[test]
fn the_makers_program_is_inherited_also_when_its_exec_comes_later() {
    let known = tree(&[exec(1, image(1, 4), "/bin/sh", process(9)), fork(2, image(1, 4), process(2))]);
    let later = tree(&[fork(2, image(1, 4), process(2)), exec(1, image(1, 4), "/bin/sh", process(9))]);

    assert_eq!(of(&known, process(2)).inherited, Some("/bin/sh".into()));
    assert_eq!(executable(of(&known, process(2))), Some("/bin/sh".into()));
    assert_eq!(known, later);
}

/// Enough processes for a table of three images to forget all that were there before.
fn many_forks() -> impl Iterator<Item = Event> {
    (100..110).map(|pid| fork(9, image(90, 4), process(pid)))
}

#[test]
fn what_was_inherited_stays_when_the_images_are_forgotten() {
    let limits = Limits { images: 3, ..Limits::default() };
    let made = fork(2, image(1, 4), process(2));
    let makers_exec = exec(1, image(1, 4), "/bin/sh", process(9));
    let known_at_the_fork = [makers_exec.clone(), made.clone()];
    let known_at_the_end = [made, makers_exec, exit(3, image(2, 4), 0, 0)];

    for events in [&known_at_the_fork[..], &known_at_the_end[..]] {
        let events: Vec<Event> = events.iter().cloned().chain(many_forks()).collect();
        let tree = built(limits, &events).freeze().processes;

        assert_eq!(of(&tree, process(2)).inherited, Some("/bin/sh".into()));
        assert_eq!(tree.total, 12);
    }
}

#[test]
fn an_event_of_a_kept_process_that_the_images_forgot_makes_no_second_one() {
    let mut events = vec![fork(1, image(1, 4), process(2)), thread(2, image(2, 4), 3), exit(3, image(2, 4), 7, 0)];
    events.extend((100..102).map(|pid| fork(4, image(90, 4), process(pid))));
    events.push(exit(5, image(100, 4), 0, 0));
    events.extend((102..104).map(|pid| fork(6, image(90, 4), process(pid))));
    events.push(exec(2, image(2, 5), "/bin/late", process(1)));

    let tree = built(Limits { images: 3, ..Limits::default() }, &events).freeze().processes;

    let it = of(&tree, process(2));
    assert_eq!((tree.total, it.threads, it.status, it.programs.len()), (5, 1, Some(7), 1));
}

#[test]
fn an_unknown_process_that_makes_the_table_overflow_is_counted() {
    let mut events: Vec<Event> = (100..103).map(|pid| fork(1, image(90, 4), process(pid))).collect();
    events.push(exec(2, image(2, 5), "/bin/sh", process(1)));

    let tree = built(Limits { images: 3, ..Limits::default() }, &events).freeze().processes;

    assert_eq!((tree.total, tree.processes.len()), (4, 4));
}

#[test]
fn those_that_ended_are_forgotten_before_one_that_lives() {
    let mut builder = built(Limits { images: 3, ..Limits::default() }, &[exec(1, image(1, 4), "/bin/sh", process(9))]);
    for pid in 100..200 {
        builder.observe(&fork(2, image(90, 4), process(pid)));
        builder.observe(&exit(3, image(pid, 4), 0, 0));
    }

    builder.observe(&fork(4, image(1, 4), process(2)));

    assert_eq!(executable(of(&builder.freeze().processes, process(2))), Some("/bin/sh".into()));
}

#[test]
fn a_double_fork_keeps_the_parent_of_the_moment_of_creation() {
    let tree = tree(&[
        fork(1, image(1, 0), process(2)),
        fork(2, image(2, 0), process(3)),
        exit(3, image(2, 0), 0, 0),
        // By now its parent is whoever adopts orphans.
        exec(4, image(3, 1), "/bin/daemon", process(1)),
    ]);

    assert_eq!(of(&tree, process(3)).parent, Some(process(2)));
}

#[test]
fn with_clone_parent_the_parent_is_the_makers_but_the_program_is_the_makers_own() {
    let clone = Fork { child: process(3), child_tid: 3, child_tid_inside: 3, parent: process(1) };
    let tree = tree(&[
        exec(1, image(2, 7), "/bin/maker", process(1)),
        event(2, image(2, 7), Payload::Fork(clone)),
        exec(3, image(1, 7), "/bin/parent", process(0)),
    ]);

    assert_eq!(of(&tree, process(3)).parent, Some(process(1)));
    assert_eq!(executable(of(&tree, process(3))), Some("/bin/maker".into()));
    assert_eq!(of(&tree, process(1)).parent, None, "pid 0 is no process");
}

#[test]
fn threads_belong_to_their_process_and_their_end_is_not_its_end() {
    let one_thread = Exit { status: 1, signal: 0, last_thread: false, run_time_ns: 1 };
    let tree = tree(&[
        fork(1, image(1, 0), process(2)),
        thread(2, image(2, 0), 3),
        thread(3, image(2, 0), 4),
        event(4, image(2, 0), Payload::Exit(one_thread)),
    ]);

    let it = of(&tree, process(2));
    assert_eq!((it.threads, it.ended_boot_ns, it.parent, it.pid_inside), (2, None, Some(process(1)), Some(2)));
    assert_eq!((tree.processes.len(), tree.total, tree.total_threads), (1, 1, 3));
}

#[test]
fn a_reused_pid_is_another_process() {
    let (before, after) = (ProcessId { pid: 2, start_ns: 10 }, ProcessId { pid: 2, start_ns: 20 });
    let tree = tree(&[
        fork(20, image(1, 0), after),
        fork(10, image(1, 0), before),
        exit(15, event::ExecId { process: before, exec: 0 }, 1, 0),
    ]);

    assert_eq!(tree.processes.iter().map(|process| process.id).collect::<Vec<_>>(), [before, after]);
    assert_eq!((of(&tree, before).status, of(&tree, after).status), (Some(1), None));
}

#[test]
fn processes_are_in_the_order_of_their_start_not_of_their_pids() {
    let (late, early) = (ProcessId { pid: 3, start_ns: 20 }, ProcessId { pid: 70, start_ns: 10 });

    let tree = tree(&[fork(20, image(1, 0), late), fork(10, image(1, 0), early)]);

    assert_eq!(tree.processes.iter().map(|process| process.id).collect::<Vec<_>>(), [early, late]);
}

#[test]
fn of_two_ends_the_later_one_is_kept_in_any_order() {
    let (one, other) = (exit(3, image(2, 0), 1, 0), exit(4, image(2, 0), 0, 9));

    let in_order = tree(&[one.clone(), other.clone()]);

    assert_eq!(of(&in_order, process(2)).signal, Some(9));
    assert_eq!(in_order, tree(&[other, one]));
}

#[test]
fn an_end_or_a_program_before_the_fork_is_one_process_that_ended() {
    let in_order =
        [fork(1, image(1, 0), process(2)), exec(2, image(2, 1), "/bin/true", process(1)), exit(3, image(2, 1), 0, 0)];
    let mut reversed = in_order.clone();
    reversed.reverse();

    assert_eq!(tree(&reversed), tree(&in_order));
    assert_eq!(tree(&reversed).total, 1);
}

#[test]
fn a_task_that_came_from_outside_is_a_process_and_its_mover_is_none() {
    let mut event = entered(5, image(1, 0), process(2));
    event.phase = Phase::Exec;
    let tree = tree(&[event, exec(6, image(2, 3), "/bin/sh", process(1))]);

    assert_eq!((tree.total, tree.processes.len()), (1, 1));
    let it = of(&tree, process(2));
    assert_eq!((it.phase, it.parent, it.pid_inside), (Phase::Exec, Some(process(1)), None));
}

fn adopted() -> Adopted {
    Adopted {
        image: image(2, 5),
        pid_inside: Some(1),
        parent: Some(process(1)),
        phase: Phase::Main,
        threads: 3,
        program: Some(program("/bin/server", process(1))),
    }
}

#[test]
fn a_process_from_before_the_recording_is_in_the_tree_and_its_children_inherit() {
    let mut builder = Builder::new(Limits::default());
    builder.adopt(&adopted());
    builder.observe(&fork(10, image(2, 5), process(3)));
    builder.observe(&exec(11, image(2, 6), "/bin/next", process(1)));

    let tree = builder.freeze().processes;

    let it = of(&tree, process(2));
    assert_eq!((it.parent, it.pid_inside, it.threads), (Some(process(1)), Some(1), 3));
    let programs: Vec<_> = it.programs.iter().map(|p| (p.exec, p.boot_ns, p.detail.executable.to_string())).collect();
    assert_eq!(programs, [(5, None, "/bin/server".into()), (6, Some(11), "/bin/next".into())]);
    assert_eq!(executable(of(&tree, process(3))), Some("/bin/server".into()));
    assert_eq!((tree.total, tree.total_threads, tree.total_execs), (2, 5, 1));
}

#[test]
fn an_adopted_process_whose_events_were_seen_is_counted_once_and_the_events_win() {
    let events = [fork(1, image(9, 4), process(2)), exec(2, image(2, 5), "/bin/server", process(9))];
    let mut first = built(Limits::default(), &events);
    first.adopt(&adopted());
    let mut last = Builder::new(Limits::default());
    last.adopt(&adopted());
    events.iter().for_each(|event| last.observe(event));

    let tree = first.freeze().processes;

    assert_eq!(tree, last.freeze().processes);
    let it = of(&tree, process(2));
    assert_eq!((it.parent, it.pid_inside, it.programs.len()), (Some(process(9)), Some(2), 1));
    assert_eq!((it.programs[0].boot_ns, tree.total, tree.total_execs, tree.kept_all), (Some(2), 1, 1, true));
}

#[test]
fn an_exec_takes_the_room_of_the_same_program_that_was_found_running() {
    let mut builder = Builder::new(Limits { programs: 1, text_bytes: 60, ..Limits::default() });
    let whole = program("/bin/a", process(1));
    builder.adopt(&Adopted { program: Some(whole.clone()), ..adopted() });

    builder.observe(&event(5, image(2, 5), Payload::Exec(whole)));

    let tree = builder.freeze().processes;
    assert_eq!((of(&tree, process(2)).programs[0].boot_ns, tree.kept_all), (Some(5), true));
}

#[test]
fn beyond_the_bounds_everything_is_counted_exactly_and_the_tree_says_so() {
    let limits = Limits { processes: 3, programs: 2, ..Limits::default() };
    let mut events = Vec::new();
    for pid in 10..20 {
        events.push(fork(1, image(1, 0), process(pid)));
        events.push(thread(2, image(pid, 0), 100 + pid));
        events.push(exec(3, image(pid, 1), "/bin/true", process(1)));
        events.push(exit(4, image(pid, 1), 0, 0));
    }

    let tree = built(limits, &events).freeze().processes;

    assert_eq!((tree.total, tree.total_threads, tree.total_execs), (10, 20, 10));
    assert_eq!(tree.processes.len(), 3);
    assert_eq!(tree.processes.iter().map(|process| process.programs.len()).sum::<usize>(), 2);
    assert!(!tree.kept_all);
}

#[test]
fn totals_are_exact_when_even_living_processes_are_forgotten() {
    let limits = Limits { processes: 2, images: 4, ..Limits::default() };
    let forks = (10..1010).map(|pid| fork(1, image(1, 0), process(pid)));
    let execs = (10..1010).map(|pid| exec(2, image(pid, 1), "/bin/true", process(1)));
    let exits = (10..1010).map(|pid| exit(3, image(pid, 1), 0, 0));

    let tree = built(limits, &forks.chain(execs).chain(exits).collect::<Vec<_>>()).freeze().processes;

    assert_eq!((tree.total, tree.total_threads, tree.total_execs), (1000, 1000, 1000));
}

#[test]
fn arguments_that_do_not_fit_are_left_out_before_the_program_is() {
    let mut big = program("/bin/true", process(1));
    big.argv = vec!["x".repeat(1000).into()];
    let events = [
        event(1, image(2, 1), Payload::Exec(big.clone())),
        event(2, image(2, 2), Payload::Exec(big.clone())),
        event(3, image(2, 3), Payload::Exec(big)),
    ];

    let tree = built(Limits { text_bytes: 1070, ..Limits::default() }, &events).freeze().processes;

    let programs = &of(&tree, process(2)).programs;
    let kept: Vec<_> = programs.iter().map(|p| (p.exec, p.detail.argv.len(), p.detail.argv_truncated)).collect();
    assert_eq!(kept, [(1, 1, false), (2, 0, true)]);
    assert_eq!((tree.total_execs, tree.kept_all), (3, false));
}

#[test]
fn the_first_user_of_a_call_is_named_with_the_program_it_ran() {
    let mut builder =
        built(Limits::default(), &[exec(1, image(1, 4), "/bin/sh", process(9)), fork(2, image(1, 4), process(2))]);
    let task = TaskId { image: image(2, 4), tid: 2, comm: "sh".into() };
    let syscall = Syscall { arch: event::Arch::X86_64, number: 59 };
    let call = CallTally { phase: Phase::Main, syscall, count: 1, first: Some((3, task)) };

    builder.count(&Tally { calls: vec![call], ..Tally::default() }, 10, &SyscallNames::builtin());

    let uses = builder.freeze().syscalls.uses;
    let first = uses[0].first.as_ref().expect("a first use");
    assert_eq!(
        (uses[0].name.as_str(), first.image, first.executable.to_string()),
        ("execve", image(2, 4), "/bin/sh".into())
    );
}

#[test]
fn what_one_of_several_runs_lacks_the_merged_behaviour_lacks() {
    let whole = built(Limits::default(), &[exec(1, image(2, 1), "/bin/sh", process(1))]).freeze();
    let mut lacking =
        built(Limits { programs: 0, ..Limits::default() }, &[exec(1, image(3, 1), "/bin/sh", process(1))]);
    lacking.count(&Tally { at_least: true, ..Tally::default() }, 1, &SyscallNames::builtin());
    let lacking = lacking.freeze();

    for merged in [whole.clone().merge(lacking.clone()), lacking.merge(whole.clone())] {
        assert_eq!((merged.processes.kept_all, merged.counts_at_least), (false, true));
        assert_eq!((merged.processes.total, merged.processes.total_execs), (2, 2));
    }
    let merged = whole.clone().merge(Behaviour::default());
    assert_eq!(merged, whole);
}

#[test]
fn a_behaviour_survives_json() {
    let mut builder = built(
        Limits::default(),
        &[
            fork(1, image(1, 4), process(2)),
            exec(2, image(2, 5), "/bin/sh", process(1)),
            exit(u64::MAX, image(2, 5), 0, 9),
        ],
    );
    builder.adopt(&Adopted { image: image(7, 1), ..adopted() });
    let task = TaskId { image: image(2, 5), tid: 2, comm: "sh".into() };
    let syscall = Syscall { arch: event::Arch::X86, number: 1 };
    let call = CallTally { phase: Phase::Main, syscall, count: u64::MAX, first: Some((3, task)) };
    builder.count(&Tally { calls: vec![call], at_least: true, ..Tally::default() }, 10, &SyscallNames::builtin());
    let behaviour = builder.freeze();

    let json = serde_json::to_string(&behaviour).expect("json");

    assert!(json.contains(r#""ended_boot_ns":"18446744073709551615""#), "{json}");
    assert!(json.contains(r#""boot_ns":null"#), "{json}");
    assert_eq!(serde_json::from_str::<Behaviour>(&json).expect("a behaviour"), behaviour);
}
