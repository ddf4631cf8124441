//! Events and alerts for tests.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use event::{
    Event, Exec, ExecId, FileAccess, FileType, FileUsed, PathId, Payload, Phase, ProcessId, RunId, TaskId, Text,
};
use forensics::{AlertView, Collector, Incident, Incidents, Settings};
use report::Timestamp;
use rules::Subject;

pub(crate) const RUN: RunId = RunId { slot: 3, generation: 1 };

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

pub(crate) fn describe(subject: &Subject<'_>) -> String {
    format!("{} by {}", subject.event.kind, subject.process.pid)
}

pub(crate) fn settings(folder: &Path) -> Settings {
    Settings::new(Incidents::open(Some(folder)).expect("a folder"), "0.0.0", describe)
}

pub(crate) fn exec(executable: &str, argv: &[&str]) -> Payload {
    Payload::Exec(Exec {
        executable: executable.into(),
        argument: executable.into(),
        interpreter: Text::default(),
        cwd: "/".into(),
        argv: argv.iter().map(|argument| Text::from(*argument)).collect(),
        argv_truncated: false,
        path_truncated: false,
        parent: ProcessId { pid: 1, start_ns: 0 },
        pid_inside: 7,
        uid: 0,
        gid: 0,
        uid_inside: Some(0),
        gid_inside: Some(0),
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: 3,
    })
}

pub(crate) fn written(path: &str) -> Payload {
    Payload::File(FileUsed {
        path: path.into(),
        argument: Text::default(),
        accesses: [FileAccess::Created, FileAccess::Written].into_iter().collect(),
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

pub(crate) fn note(collector: &mut Collector, process: ProcessId, payload: Payload) {
    let event = Event {
        boot_ns: 1,
        run: RUN,
        phase: Phase::Main,
        task: TaskId { image: ExecId { process, exec: 1 }, tid: process.pid, comm: "x".into() },
        payload,
    };
    let mut subject = Subject::new(&event, now());
    subject.container.name = Some("web");
    subject.container.id = Some("3f2a9c1d8e7b3f2a9c1d8e7b");
    collector.note(RUN, &subject);
}

pub(crate) fn alert(id: &str, process: ProcessId, executable: Option<&str>) -> AlertView {
    AlertView {
        id: id.into(),
        rule: "Drift".into(),
        priority: "critical".into(),
        output: "something ran that was not of the image".into(),
        time: Timestamp::from_unix_ns(now()),
        run: RUN,
        process,
        executable: executable.map(Text::from),
        alert: serde_json::json!({ "id": id, "tags": ["a", "b"] }),
    }
}

/// The pid and the start of a process of this machine, as `/proc` has it.
pub(crate) fn id_of(pid: u32) -> ProcessId {
    let stat = containers::proc::Proc::default().stat(pid).expect("it lives");
    ProcessId { pid, start_ns: stat.start_ns() }
}

/// The only incident of a folder, as soon as it is as wanted.
pub(crate) fn incident(folder: &Path, is_as_wanted: impl Fn(&Incident) -> bool) -> Incident {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let listing = Incidents::to_read(Some(folder)).and_then(|it| it.list()).expect("a folder");
        assert!(listing.unreadable.is_empty(), "{:?}", listing.unreadable);
        match &listing.incidents[..] {
            [one] if is_as_wanted(&one.incident) => return one.incident.clone(),
            _ => assert!(Instant::now() < end, "{:#?}", listing.incidents),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
