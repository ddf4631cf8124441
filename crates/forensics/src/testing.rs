//! Events for tests.

use std::sync::Arc;

use event::{
    Event, Exec, ExecId, FileAccess, FileType, FileUsed, Fork, NameOperation, NameUsed, PathId, Payload, Phase,
    ProcessId, RunId, TaskId, Text,
};
use rules::Subject;

use crate::noted::Noted;

pub(crate) fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ns: u64::from(pid) * 10 }
}

pub(crate) fn event(pid: u32, at: u64, payload: Payload) -> Event {
    Event {
        boot_ns: at,
        run: RunId { slot: 1, generation: 0 },
        phase: Phase::Main,
        task: TaskId { image: ExecId { process: id(pid), exec: 1 }, tid: pid, comm: "x".into() },
        payload,
    }
}

pub(crate) fn noted(pid: u32, at: u64, payload: Payload) -> Arc<Noted> {
    Arc::new(Noted::of(&Subject::new(&event(pid, at, payload), at)))
}

pub(crate) fn exec(parent: u32, argv: &[&str]) -> Payload {
    Payload::Exec(Exec {
        executable: argv[0].into(),
        argument: argv[0].into(),
        interpreter: Text::default(),
        cwd: "/work".into(),
        argv: argv.iter().map(|argument| Text::from(*argument)).collect(),
        argv_truncated: false,
        path_truncated: false,
        parent: id(parent),
        pid_inside: 7,
        uid: 1000,
        gid: 1001,
        uid_inside: Some(0),
        gid_inside: Some(0),
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: 3,
    })
}

pub(crate) fn fork(child: u32, parent: u32) -> Payload {
    Payload::Fork(Fork { child: id(child), child_tid: child, child_tid_inside: child, parent: id(parent) })
}

pub(crate) fn file(path: &str, access: FileAccess) -> Payload {
    Payload::File(FileUsed {
        path: path.into(),
        argument: Text::default(),
        accesses: [access].into_iter().collect(),
        file: PathId(1),
        file_type: FileType::Regular,
        device: Default::default(),
        inode: 42,
        inode_generation: 0,
        mount: 1,
        path_truncated: false,
        argument_truncated: false,
        deleted: false,
        unreachable: false,
    })
}

pub(crate) fn rename(from: &str, to: &str) -> Payload {
    Payload::Name(NameUsed {
        operation: NameOperation::Rename,
        path: from.into(),
        second_path: to.into(),
        errno: None,
        name: PathId(2),
        truncated: false,
    })
}
