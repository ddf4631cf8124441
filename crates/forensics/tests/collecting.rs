//! A collector and processes of this machine. None of them is in a container, so no file but the program is kept.

mod support;

use std::process::{Child, Command, Stdio};

use event::ProcessId;
use forensics::{ContentHash, DescriptorKind, Evidence, FileKind, Incidents, Quota, Relation, Skipped, Source};
use support::{alert, exec, id_of, incident, note, settings, written};

fn sleeper() -> Child {
    let mut command = Command::new("sleep");
    let child = command.arg("600").env("DB_PASSWORD", "hunter2").stdin(Stdio::null()).spawn().expect("sleep is there");
    // Whoever forked it goes on while the new program is still being set up.
    while containers::proc::Proc::default().stat(child.id()).expect("it lives").image.is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child
}

fn end(mut child: Child) {
    child.kill().expect("it lives");
    child.wait().expect("it is reaped");
}

fn sha256sum(path: &str) -> ContentHash {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    String::from_utf8(output.stdout).expect("text")[..64].parse().expect("a hash")
}

#[test]
fn a_process_that_lives_is_described_by_itself_and_its_program_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let child = sleeper();
    let id = id_of(child.id());
    let mut settings = settings(folder.path());
    settings.capture = true;
    settings.environment = Some(Default::default());
    let mut collector = forensics::Collector::new(settings).expect("a thread");

    // The kernel's events have the path that it resolved.
    let program = std::fs::read_link(format!("/proc/{}/exe", id.pid)).expect("its program");
    let program = program.to_str().expect("text");
    note(&mut collector, id, exec(program, &["sleep", "600"]));
    note(&mut collector, id, written("/etc/passwd"));
    let Evidence::Incident(name) = collector.alert(alert("a-1", id, Some(program))) else { panic!("skipped") };
    note(&mut collector, id, exec("/bin/later", &["later"]));
    let summary = collector.finish();
    end(child);

    assert_eq!((summary.alerts, summary.skipped, summary.incidents.as_slice()), (1, 0, &[name.clone()][..]));
    assert!(summary.failures.is_empty() && summary.unfinished.is_none(), "{summary:?}");
    let incident = incident(folder.path(), |_| true);
    assert!(name.shown().contains("-web-"), "{name}");
    assert_eq!((&incident.id, incident.alerts.len(), incident.events.len()), (&name, 1, 3));
    assert_eq!(incident.alerts[0].alert["tags"][1], "b");
    let [process] = &incident.processes[..] else { panic!("{:?}", incident.processes) };
    assert_eq!((process.source, process.id), (Source::Process, id));
    assert_eq!(process.argv, ["sleep".into(), "600".into()]);
    let executable = process.executable.as_ref().expect("its program");
    let known = sha256sum(&executable.path.shown());
    assert_eq!(executable.sha256, Some(known));
    assert!(!executable.deleted && !executable.from_memory);
    let own = process.tree.iter().find(|it| it.relation == Relation::Itself).expect("itself");
    assert_eq!((own.id, own.parent_pid), (id, std::process::id()));
    assert_eq!(process.descriptors[0].kind, DescriptorKind::Path);
    assert_eq!(process.descriptors[0].target, "/dev/null".into());
    assert!(process.libraries.iter().any(|it| it.executable && it.path.shown().contains("libc")));
    let environment = process.environment.as_ref().expect("it was asked for");
    assert!(environment.contains(&"DB_PASSWORD=[redacted]".into()), "{environment:?}");
    assert!(process.rights.is_some() && process.namespaces.is_some_and(|it| it.pid != 0));

    let object = Incidents::to_read(Some(folder.path())).expect("a folder").object_path(&name, known);
    assert_eq!(sha256sum(object.to_str().expect("text")), known);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&object).expect("it is there"));
    assert_eq!(mode & 0o777, 0o600);
    let [program, passwd] = &incident.files[..] else { panic!("{:?}", incident.files) };
    assert_eq!((program.kind, program.sha256), (FileKind::Executable, Some(known)));
    assert_eq!((passwd.kind, passwd.sha256), (FileKind::Written, None));
    assert!(passwd.note.as_ref().is_some_and(|note| note.shown().contains("the host's own root")), "{passwd:?}");
}

#[test]
fn of_a_process_that_has_ended_there_is_what_the_events_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let child = sleeper();
    let id = id_of(child.id());
    end(child);
    let mut collector = forensics::Collector::new(settings(folder.path())).expect("a thread");

    note(&mut collector, id, exec("/tmp/x", &["x", "--fast"]));
    collector.alert(alert("a-1", id, Some("/tmp/x")));
    collector.finish();

    let incident = incident(folder.path(), |_| true);
    let process = &incident.processes[0];
    assert_eq!((process.source, process.executable.is_none(), process.rights.is_none()), (Source::Events, true, true));
    assert_eq!(process.told.as_ref().map(|told| told.argv.len()), Some(2));
    assert_eq!(process.missing[0].what, "everything but the events".into());
    assert!(process.missing[0].reason.shown().ends_with("has ended"), "{:?}", process.missing);
}

#[test]
fn a_pid_that_another_process_has_by_now_is_never_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let child = sleeper();
    let earlier = ProcessId { start_ns: id_of(child.id()).start_ns.saturating_sub(5_000_000_000), ..id_of(child.id()) };
    let mut collector = forensics::Collector::new(settings(folder.path())).expect("a thread");

    collector.alert(alert("a-1", earlier, Some("/tmp/x")));
    collector.finish();
    end(child);

    let incident = incident(folder.path(), |_| true);
    let process = &incident.processes[0];
    assert_eq!((process.source, process.argv.len(), process.told.is_none()), (Source::Events, 0, true));
    assert!(process.missing[0].reason.shown().contains("another one has its number"), "{:?}", process.missing);
}

#[test]
fn alerts_of_one_container_are_one_incident_and_a_process_is_looked_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let child = sleeper();
    let id = id_of(child.id());
    let mut collector = forensics::Collector::new(settings(folder.path())).expect("a thread");

    let first = collector.alert(alert("a-1", id, None));
    note(&mut collector, id, exec("/bin/between", &["between"]));
    let second = collector.alert(alert("a-2", id, None));
    collector.finish();
    end(child);

    assert_eq!(first, second);
    let incident = incident(folder.path(), |_| true);
    assert_eq!((incident.alerts.len(), incident.processes.len(), incident.events.len()), (2, 1, 1));
    let found = Incidents::to_read(Some(folder.path())).expect("a folder").find(&"a-2".into()).expect("by its alert");
    assert_eq!(found.incident.id, incident.id);
}

#[test]
fn what_comes_after_the_last_alert_is_written_while_it_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = ProcessId { pid: u32::MAX >> 1, start_ns: 1 };
    let mut settings = settings(folder.path());
    settings.bounds.entries_of_one = 20;
    let mut collector = forensics::Collector::new(settings).expect("a thread");

    for _ in 0..30 {
        note(&mut collector, id, exec("/bin/before", &["before"]));
    }
    collector.alert(alert("a-1", id, None));
    for _ in 0..15 {
        note(&mut collector, id, exec("/bin/after", &["after"]));
    }

    let incident = incident(folder.path(), |it| it.events.len() >= 30);
    assert_eq!(incident.events.len(), 30);
    let missing: Vec<(String, String)> =
        incident.missing.iter().map(|it| (it.what.to_string(), it.reason.to_string())).collect();
    assert_eq!(missing, [("events before".into(), "10 were not in memory any more".into())]);
    assert!(collector.finish().unfinished.is_none());
}

#[test]
fn an_alert_that_finds_no_room_is_told_so_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = ProcessId { pid: u32::MAX >> 1, start_ns: 1 };
    let mut settings = settings(folder.path());
    // The thread is busy for as long as this says.
    settings.describe = |_| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        String::new()
    };
    let mut collector = forensics::Collector::new(settings).expect("a thread");
    note(&mut collector, id, exec("/bin/x", &["x"]));

    let began = std::time::Instant::now();
    let told: Vec<Evidence> = (0..200).map(|at| collector.alert(alert(&format!("a-{at}"), id, None))).collect();

    assert!(began.elapsed() < std::time::Duration::from_millis(400), "it waited: {:?}", began.elapsed());
    let skipped = told.iter().filter(|it| **it == Evidence::Skipped(Skipped::Busy)).count() as u64;
    let summary = collector.finish();
    assert!(skipped >= 100, "{skipped}");
    assert_eq!((summary.skipped, summary.alerts + summary.skipped), (skipped, 200));
    let incident = incident(folder.path(), |_| true);
    assert_eq!(incident.alerts.len() as u64, summary.alerts);
}

#[test]
fn the_oldest_incidents_make_room_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    for older in ["20200101T000000Z-web-000001", "20210101T000000Z-web-000002"] {
        std::fs::create_dir_all(folder.path().join(older).join("objects")).expect("folders");
        std::fs::write(folder.path().join(older).join("objects/aa"), [0; 4000]).expect("a file");
    }
    std::fs::create_dir(folder.path().join("of-somebody-else")).expect("a folder");
    let mut settings = settings(folder.path());
    settings.quota = Quota { bytes: 5000, incidents: 10 };
    let mut collector = forensics::Collector::new(settings).expect("a thread");

    collector.alert(alert("a-1", ProcessId { pid: u32::MAX >> 1, start_ns: 1 }, None));
    let summary = collector.finish();

    assert_eq!(summary.removed, ["20200101T000000Z-web-000001".into()]);
    let incident = incident(folder.path(), |_| true);
    assert_eq!(incident.missing[0].what, "incident 20200101T000000Z-web-000001".into());
    assert!(
        folder.path().join("of-somebody-else").is_dir() && folder.path().join("20210101T000000Z-web-000002").is_dir()
    );
}
