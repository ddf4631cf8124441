//! Short ways to write events.
#![allow(dead_code)] // each test file uses some of it

use event::{Event, Exec, ExecId, Exit, Fork, Payload, Phase, ProcessId, RunId, TaskEntered, TaskId};

/// A process whose start time follows from its pid.
pub(crate) fn process(pid: u32) -> ProcessId {
    ProcessId { pid, start_ns: u64::from(pid) * 1000 }
}

/// An image of such a process.
pub(crate) fn image(pid: u32, exec: u32) -> ExecId {
    ExecId { process: process(pid), exec }
}

/// Something that the first thread of an image did.
pub(crate) fn event(boot_ns: u64, image: ExecId, payload: Payload) -> Event {
    let task = TaskId { image, tid: image.process.pid, comm: "comm".into() };
    Event { boot_ns, run: RunId { slot: 1, generation: 0 }, phase: Phase::Main, task, payload }
}

/// An image made a process.
pub(crate) fn fork(boot_ns: u64, maker: ExecId, child: ProcessId) -> Event {
    let fork = Fork { child, child_tid: child.pid, child_tid_inside: child.pid % 100, parent: maker.process };
    event(boot_ns, maker, Payload::Fork(fork))
}

/// An image made a thread.
pub(crate) fn thread(boot_ns: u64, maker: ExecId, tid: u32) -> Event {
    let fork = Fork { child: maker.process, child_tid: tid, child_tid_inside: tid % 100, parent: process(1) };
    event(boot_ns, maker, Payload::Fork(fork))
}

/// What is executed, with one argument.
pub(crate) fn program(executable: &str, parent: ProcessId) -> Exec {
    Exec {
        executable: executable.into(),
        argument: executable.into(),
        interpreter: "".into(),
        cwd: "/".into(),
        argv: vec![executable.into()],
        argv_truncated: false,
        path_truncated: false,
        parent,
        pid_inside: 0,
        uid: 0,
        gid: 0,
        uid_inside: Some(0),
        gid_inside: None,
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: 3,
    }
}

/// An image came about by exec.
pub(crate) fn exec(boot_ns: u64, image: ExecId, executable: &str, parent: ProcessId) -> Event {
    event(boot_ns, image, Payload::Exec(program(executable, parent)))
}

/// The last thread of a process ended.
pub(crate) fn exit(boot_ns: u64, image: ExecId, status: u8, signal: u8) -> Event {
    event(boot_ns, image, Payload::Exit(Exit { status, signal, last_thread: true, run_time_ns: 1 }))
}

/// A process came in, moved by another.
pub(crate) fn entered(boot_ns: u64, mover: ExecId, process: ProcessId) -> Event {
    event(boot_ns, mover, Payload::TaskEntered(TaskEntered { image: ExecId { process, exec: 1 }, whole_process: true }))
}
