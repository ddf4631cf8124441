//! The places that a workload writes: what is listed, by name or as a folder, and how each run fares under the list of the others.

use std::path::Path;

use behaviour::{NameUse, PathUse, Place};
use event::{Errno, FileAccess, FileType, NameOperation, Outcome, Phase, PrivilegedOperation, Text};
use proptest::prelude::*;
use recommend::{Refusal, Written, written};
use report::{ObservedFrom, Report, Timestamp};

const MADE: &[FileAccess] = &[FileAccess::OpenedToWrite, FileAccess::Created, FileAccess::Written];
const WRITTEN: &[FileAccess] = &[FileAccess::OpenedToWrite, FileAccess::Written];

/// A run that wrote nothing.
fn run(at: u32) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/app.json");
    let mut report = Report::parse(&std::fs::read(path).expect("docs/example is checked in")).expect("a report");
    report.container.run.generation = at;
    report.window.begin.wall = Timestamp::from_unix_ns(1_700_000_000_000_000_000 + u64::from(at));
    let files = &mut report.behaviour.files;
    files.paths.retain(|used| !used.accesses.has(FileAccess::OpenedToWrite));
    files.names.retain(|used| used.errno.is_some());
    files.directories.clear();
    report.behaviour.network.listeners.clear();
    report
}

fn used(report: &Report, path: &str, accesses: &[FileAccess]) -> PathUse {
    let first = report.behaviour.files.paths.iter().find(|used| used.phase == Phase::Main).expect("a path").clone();
    PathUse {
        path: path.into(),
        argument: Text::default(),
        file_type: FileType::Regular,
        accesses: accesses.iter().copied().collect(),
        ..first
    }
}

fn with_paths(mut report: Report, accesses: &[FileAccess], paths: &[&str]) -> Report {
    for path in paths {
        let one = used(&report, path, accesses);
        report.behaviour.files.paths.push(one);
    }
    report
}

fn with_name(mut report: Report, operation: NameOperation, path: &str, second: &str, errno: Option<u16>) -> Report {
    report.behaviour.files.names.push(NameUse {
        phase: Phase::Main,
        operation,
        errno: errno.map(Errno),
        path: path.into(),
        second_path: second.into(),
        count: 1,
        first: None,
        last_boot_ns: 1,
        truncated: false,
    });
    report
}

fn of(runs: &[Report]) -> Written {
    written(runs, false).expect("whole reports of one workload")
}

/// The places, as a policy has them.
fn places(found: &Written) -> Vec<String> {
    let place =
        |place: &recommend::WrittenPlace| format!("{}{}", place.path.escaped(), if place.is_below { "/" } else { "" });
    found.places.iter().map(place).collect()
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a Text>) -> Vec<String> {
    texts.into_iter().map(|text| text.escaped().into_owned()).collect()
}

#[test]
fn a_name_is_listed_by_itself_and_a_folder_where_names_are_of_chance() {
    let report = with_paths(
        run(0),
        MADE,
        &["/run/app.pid", "/etc/app.conf", "/tmp/x", "/var/tmp/a/b", "/var/lib/app/part-1234567", "/var/lib/app/state"],
    );

    assert_eq!(places(&of(&[report])), ["/etc/app.conf", "/run/app.pid", "/tmp/", "/var/lib/app/", "/var/tmp/"]);
}

#[test]
fn a_name_that_is_the_same_in_each_run_stays_one_whatever_it_looks_like() {
    let each = |at| with_paths(run(at), WRITTEN, &["/var/lib/mysql/ibdata1"]);

    assert_eq!(places(&of(&[each(0), each(1)])), ["/var/lib/mysql/ibdata1"]);
    assert_eq!(places(&of(&[each(0)])), ["/var/lib/mysql/"]);
}

#[test]
fn a_folder_is_listed_where_two_runs_wrote_names_that_the_other_did_not() {
    let first = with_paths(run(0), MADE, &["/srv/app/a", "/srv/app/x", "/srv/log/a", "/srv/log/b"]);
    let second = with_paths(run(1), MADE, &["/srv/app/b", "/srv/app/x", "/srv/log/a"]);

    assert_eq!(places(&of(&[first, second])), ["/srv/app/", "/srv/log/a", "/srv/log/b"]);
}

#[test]
fn many_names_in_one_folder_are_the_folder() {
    let paths: Vec<String> = ('a'..='q').map(|name| format!("/srv/app/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();

    assert_eq!(places(&of(&[with_paths(run(0), MADE, &paths)])), ["/srv/app/"]);
    assert_eq!(of(&[with_paths(run(0), MADE, &paths[..16])]).places.len(), 16);
}

#[test]
fn a_folder_of_the_system_is_never_opened_and_that_is_said() {
    let first = with_paths(run(0), MADE, &["/etc/sedaB3dE9", "/usr/lib/python3/x.pyc.140234", "/var/one"]);
    let second = with_paths(run(1), MADE, &["/etc/sedcD4eF0", "/var/two"]);
    let second = with_name(second, NameOperation::MakeDirectory, "/usr/bin/made", "", None);
    let found = of(&[with_paths(first, MADE, &["/new"]), with_paths(second, MADE, &["/usr/bin/made/x"])]);

    assert_eq!(
        places(&found),
        [
            "/etc/sedaB3dE9",
            "/etc/sedcD4eF0",
            "/new",
            "/usr/bin/made",
            "/usr/bin/made/x",
            "/usr/lib/python3/x.pyc.140234",
            "/var/one",
            "/var/two"
        ]
    );
    assert_eq!(texts(&found.narrow), ["/etc", "/usr/lib/python3", "/var"]);
}

#[test]
fn what_changes_names_counts_and_what_failed_does_not() {
    use NameOperation::*;
    let report = [
        (Delete, "/srv/gone", "", None),
        (Rename, "/srv/old", "/srv/new", None),
        (Link, "/srv/one", "/srv/two", None),
        (Symlink, "target", "/srv/link", None),
        (ChangeMode, "/srv", "", None),
        (MakeNode, "/srv/pipe", "", None),
        (MakeDirectory, "/srv/made", "", None),
        (MakeDirectory, "/srv/there", "", Some(17)),
        (Open, "/srv/absent", "", Some(2)),
    ]
    .into_iter()
    .fold(run(0), |report, (operation, path, second, errno)| with_name(report, operation, path, second, errno));
    let report = with_paths(report, MADE, &["/srv/made/below/x"]);

    assert_eq!(
        places(&of(&[report])),
        [
            "/srv",
            "/srv/gone",
            "/srv/link",
            "/srv/made",
            "/srv/made/",
            "/srv/new",
            "/srv/old",
            "/srv/one",
            "/srv/pipe",
            "/srv/two"
        ]
    );
}

#[test]
fn a_folder_that_was_made_under_another_name_is_the_runs_own_too() {
    let report = with_name(run(0), NameOperation::MakeDirectory, "/srv/part", "", None);
    let report = with_name(report, NameOperation::Rename, "/srv/part", "/srv/whole", None);
    let report = with_paths(report, MADE, &["/srv/whole/x"]);

    assert_eq!(places(&of(&[report])), ["/srv/part", "/srv/part/", "/srv/whole", "/srv/whole/"]);
}

#[test]
fn what_is_no_file_is_not_listed() {
    let mut report = with_paths(
        run(0),
        WRITTEN,
        &[
            "/proc/12/oom_score_adj",
            "/proc/12/task/13/comm",
            "/dev/pts/0",
            "/dev/mqueue/x",
            "/proc/sys/vm/overcommit_memory",
        ],
    );
    for (path, file_type, accesses) in [
        ("/dev/null", FileType::CharacterDevice, WRITTEN),
        ("/run/fifo", FileType::NamedPipe, WRITTEN),
        ("/run/made-fifo", FileType::NamedPipe, MADE),
        ("/dev/sda", FileType::BlockDevice, WRITTEN),
    ] {
        let one = PathUse { file_type, ..used(&report, path, accesses) };
        report.behaviour.files.paths.push(one);
    }
    let report = with_name(report, NameOperation::ChangeMode, "/proc/self/fd/1", "", None);

    assert_eq!(places(&of(&[report])), ["/dev/sda", "/proc/sys/vm/overcommit_memory", "/run/made-fifo"]);
}

#[test]
fn what_no_path_finds_again_is_said_and_memory_without_a_name_is_none() {
    let mut report = with_paths(run(0), WRITTEN, &["/srv/#1234"]);
    report.behaviour.files.paths.last_mut().expect("one").deleted = true;
    let inner = report.behaviour.files.mounts.iter().find(|mount| mount.phase == Phase::Main).expect("a mount").clone();
    report.behaviour.files.mounts.push(behaviour::MountUse { mount: 999_154, place: Place::Internal, ..inner });
    for (path, mount) in [("/memfd:x", 999_154), ("/out.log", 999_155)] {
        let one = PathUse { unreachable: true, mount, ..used(&report, path, WRITTEN) };
        report.behaviour.files.paths.push(one);
    }
    let found = of(&[report]);

    assert!(found.places.is_empty(), "{:?}", found.places);
    // Of the first only the folder is known, and that is everybody's.
    assert_eq!(texts(&found.unlistable), ["/out.log", "/srv/*"]);
    assert_eq!((found.runs[0].files, found.runs[0].denied), (2, 2));
}

#[test]
fn what_a_descriptor_was_handed_over_for_is_no_writing_of_its_own() {
    let mut report = run(0);
    for (path, accesses) in [("/srv/a.log", [FileAccess::Written]), ("/srv/b.log", [FileAccess::ModeChanged])] {
        let one = PathUse { opens: 0, ..used(&report, path, &accesses) };
        report.behaviour.files.paths.push(one);
    }

    assert_eq!(places(&of(&[report])), ["/srv/b.log"]);
}

#[test]
fn each_run_is_held_to_the_list_of_the_others() {
    let always = |at| with_paths(run(at), MADE, &["/run/app.pid", "/tmp/x"]);
    let more = with_paths(always(1), MADE, &["/etc/once", "/srv/app/once"]);
    let found = of(&[more, always(0), always(2)]);

    assert_eq!(found.runs.iter().map(|run| (run.files, run.denied)).collect::<Vec<_>>(), [(2, 0), (4, 2), (2, 0)]);
    assert_eq!(texts(&found.runs[1].denied_files), ["/etc/once", "/srv/app/once"]);
}

#[test]
fn a_report_that_misses_files_is_refused_unless_that_is_allowed() {
    let late = {
        let mut report = run(0);
        report.window.observed_from = ObservedFrom::Attach;
        report.finish()
    };
    let untold = {
        let mut report = run(1);
        report.behaviour.files.untold = 1;
        report.finish()
    };
    let cut = {
        let mut report = with_paths(run(2), WRITTEN, &["a/b"]);
        report.behaviour.files.paths.last_mut().expect("one").path_truncated = true;
        report.finish()
    };
    let rooted = {
        let mut report = run(3);
        let mut one = report.behaviour.privileged.operations.first().expect("an operation").clone();
        one.phase = Phase::Main;
        one.operation = PrivilegedOperation::Chroot;
        one.outcome = Outcome::Allowed;
        one.object = "/var/empty".into();
        report.behaviour.privileged.operations.push(one);
        report.finish()
    };
    for report in [late, untold, cut, rooted] {
        assert!(matches!(written(std::slice::from_ref(&report), false), Err(Refusal::Incomplete { .. })));
        assert!(!written(&[report], true).expect("it was allowed").incomplete.is_empty());
    }
    assert!(matches!(written(&[], true), Err(Refusal::NoReport)));
}

/// Paths as programs make them: some that several runs share, some of chance, some in folders of the system.
fn path() -> impl Strategy<Value = String> {
    let folder =
        prop::sample::select(vec!["/etc", "/srv/app", "/srv/app/in", "/tmp", "/var/lib/x", "/usr/lib/y", "/run", ""]);
    (folder, "[a-c]{1,2}|[a-z]{3}[0-9]{3,5}").prop_map(|(folder, name)| format!("{folder}/{name}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What a run wrote it may write under its own list, and under that of all.
    #[test]
    fn no_run_is_denied_what_it_wrote_itself(
        runs in prop::collection::vec((prop::collection::vec(path(), 0..30), prop::collection::vec(path(), 0..4)), 1..4),
    ) {
        let reports: Vec<Report> = runs.iter().enumerate().map(|(at, (paths, made))| {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let report = with_paths(run(at as u32), MADE, &paths);
            made.iter().fold(report, |report, path| with_name(report, NameOperation::MakeDirectory, path, "", None))
        }).collect();
        let all = of(&reports);
        prop_assert!(all.unlistable.is_empty());
        for ((paths, made), report) in runs.iter().zip(&reports) {
            for listed in [places(&all), places(&of(std::slice::from_ref(report)))] {
                for path in paths.iter().chain(made) {
                    let is_listed = listed.iter().any(|place| place == path || (place.ends_with('/') && path.starts_with(place)));
                    prop_assert!(is_listed, "{} is not in {:?}", path, listed);
                }
                // No folder of the system, and not the root.
                for place in &listed {
                    prop_assert!(!["/", "/etc/", "/usr/lib/", "/usr/lib/y/", "/var/lib/", "/var/", "/srv/"].contains(&place.as_str()), "{}", place);
                }
            }
        }
        // The order of reports does not matter.
        let backwards: Vec<Report> = reports.iter().rev().cloned().collect();
        prop_assert_eq!(of(&backwards), all);
    }
}
