use event::{ExecId, Exit, Fork, Phase, Rights, TaskId};

use super::*;

const RUN: RunId = RunId { slot: 1, generation: 0 };

fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ns: u64::from(pid) }
}

fn event(pid: u32, comm: &str, payload: Payload) -> Event {
    let image = ExecId { process: id(pid), exec: 0 };
    Event { boot_ns: 1, run: RUN, phase: Phase::Main, task: TaskId { image, tid: pid, comm: comm.into() }, payload }
}

fn fork(parent: u32, child: u32) -> Event {
    let fork = Fork { child: id(child), child_tid: child, child_tid_inside: child - 100, parent: id(parent) };
    event(parent, "sh", Payload::Fork(fork))
}

fn exec(pid: u32, parent: u32, path: &str) -> Event {
    let exec = Exec {
        executable: path.into(),
        argument: path.into(),
        interpreter: Text::default(),
        cwd: "/".into(),
        argv: vec![path.into()],
        argv_truncated: false,
        path_truncated: false,
        parent: id(parent),
        pid_inside: pid - 100,
        uid: 0,
        gid: 0,
        uid_inside: None,
        gid_inside: None,
        user_namespace: 1,
        pid_namespace: 1,
        mount_namespace: 1,
    };
    event(pid, path.rsplit('/').next().unwrap_or(path), Payload::Exec(exec))
}

fn image(pid: u32, session: u32) -> Event {
    let facts = ImageFacts {
        rights: Rights::default(),
        login_uid: None,
        terminal: None,
        session,
        process_group: session,
        process_group_outside: 0,
        from_memory: false,
        deleted: false,
        upper_layer: false,
        inode: 1,
        changed_ns: 0,
        modified_ns: 0,
        standard: Vec::new(),
        environment: Vec::new(),
    };
    event(pid, "x", Payload::Image(facts))
}

/// Of a process that called exec once.
fn newest(pid: u32) -> ExecId {
    ExecId { process: id(pid), exec: 0 }
}

fn exit(pid: u32) -> Event {
    event(pid, "x", Payload::Exit(Exit { status: 0, signal: 0, last_thread: true, run_time_ns: 1 }))
}

fn nowhere() -> Proc {
    Proc::new("/nonexistent")
}

fn names(processes: &Processes, pid: u32) -> Vec<String> {
    let (proc, mut names) = (nowhere(), Vec::new());
    let ancestors = processes.ancestors(&proc, id(pid));
    for level in 1.. {
        let Some(relative) = ancestors.ancestor(level) else { return names };
        names.push(format!("{}[{}]", relative.name.escaped(), relative.pid));
    }
    names
}

#[test]
fn ancestors_are_found_also_after_they_have_ended_and_a_child_has_its_parent_s_program() {
    let mut processes = Processes::default();
    for one in [exec(101, 50, "/bin/init"), fork(101, 102), exec(102, 101, "/bin/sh"), fork(102, 103), exit(102)] {
        processes.observe(&one, &nowhere());
    }

    assert_eq!(names(&processes, 103), ["sh[102]", "init[101]"]);
    assert_eq!(processes.exec(newest(103)).map(|exec| &exec.executable), Some(&"/bin/sh".into()));
    processes.observe(&exec(103, 102, "/bin/cat"), &nowhere());
    assert_eq!(processes.exec(newest(103)).map(|exec| &exec.executable), Some(&"/bin/cat".into()));
}

#[test]
fn a_process_is_asked_about_as_it_was_when_something_happened() {
    let mut processes = Processes::default();
    let numbered = |mut event: Event, exec: u32| {
        event.task.image.exec = exec;
        event
    };
    // The child runs what its parent does until it calls exec, and so do the facts of the program.
    let events = [
        numbered(exec(101, 50, "/bin/sh"), 3),
        numbered(image(101, 1), 3),
        numbered(fork(101, 102), 3),
        numbered(exec(102, 101, "/bin/cat"), 4),
        numbered(image(102, 2), 4),
    ];
    for one in &events {
        processes.observe(one, &nowhere());
    }
    let at = |exec| {
        let image = ExecId { process: id(102), exec };
        let path = processes.exec(image).map(|exec| exec.executable.escaped());
        (path, processes.image(image).map(|image| image.session))
    };

    assert_eq!(at(3), (Some("/bin/sh".into()), Some(1)));
    assert_eq!(at(4), (Some("/bin/cat".into()), Some(2)));

    for number in 5..9 {
        processes.observe(&numbered(exec(102, 101, "/bin/ls"), number), &nowhere());
    }
    assert_eq!(processes.inside[&id(102)].earlier.len(), MAX_EARLIER);
}

#[test]
fn the_leader_of_a_session_is_the_process_with_its_number_or_the_eldest_that_is_known() {
    let mut processes = Processes::default();
    for one in [exec(101, 50, "/bin/init"), image(101, 1), fork(101, 102), image(102, 2), exec(102, 101, "/bin/sh")] {
        processes.observe(&one, &nowhere());
    }
    for one in [fork(102, 103), image(103, 2), exec(103, 102, "/bin/cat"), fork(102, 104), image(104, 77)] {
        processes.observe(&one, &nowhere());
    }
    let leader = |pid| {
        let proc = nowhere();
        processes.ancestors(&proc, id(pid)).session_leader().map(|leader| leader.pid)
    };

    assert_eq!((leader(103), leader(102)), (Some(102), Some(102)));
    assert_eq!(leader(104), Some(104), "of a leader that is not known the eldest of its session");
}

#[test]
fn the_table_is_bounded_and_a_run_that_is_over_leaves_nothing() {
    let mut processes = Processes::default();
    for pid in 0..MAX_PROCESSES as u32 + 100 {
        processes.observe(&fork(101, 1000 + pid), &nowhere());
    }
    assert_eq!((processes.inside.len(), processes.forgotten), (MAX_PROCESSES, 100));

    for pid in 200..MAX_ENDED as u32 + 300 {
        processes.observe(&exit(1000 + pid), &nowhere());
    }
    assert_eq!(processes.ended.len(), MAX_ENDED);
    assert_eq!(processes.inside.len(), MAX_PROCESSES - 100);

    processes.forget(RUN);
    assert!(processes.inside.is_empty() && processes.ended.is_empty() && processes.order.is_empty());
}

#[test]
fn of_a_process_outside_proc_is_asked_once() {
    let proc = Proc::default();
    let own = std::process::id();
    let start_ns = proc.stat(own).expect("this process").start_ns();
    let mut processes = Processes::default();
    let mut one = exec(101, 50, "/bin/sh");
    if let Payload::Exec(exec) = &mut one.payload {
        exec.parent = ProcessId { pid: own, start_ns };
    }
    processes.observe(&one, &proc);

    // When it is asked for, it may have ended.
    let gone = nowhere();
    let ancestors = processes.ancestors(&gone, id(101));

    assert_eq!(ancestors.ancestor(1).map(|parent| parent.pid), Some(own));
    assert!(ancestors.ancestor(1).is_some_and(|parent| parent.executable.is_some() && !parent.argv.is_empty()));
    assert!(!processes.outside.borrow().is_empty());
    // Another process has the pid by now.
    let other = ProcessId { pid: own, start_ns: start_ns + 5_000_000_000 };
    assert!(processes.outside(&proc, other).is_none());
}
