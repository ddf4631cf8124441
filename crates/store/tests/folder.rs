//! Writing reports to a folder and finding them again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use event::{RunId, Text};
use report::{Moment, Report, Timestamp};
use store::{FindError, Folder, FolderError, ReadError};

fn report(name: Option<&str>, id: &str, second: u64) -> Report {
    let mut report = Report::parse(include_bytes!("../../report/tests/reports/1-docker.json")).expect("a kept report");
    report.container.name = name.map(Text::from);
    report.container.id = Some(id.into());
    report.window.begin.wall = Timestamp::from_unix_ns(second * 1_000_000_000);
    report
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("plain"))
        .collect();
    names.sort();
    names
}

fn key(text: &str) -> Text {
    Text::from(text)
}

#[test]
fn what_was_written_is_read_back() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(&root.path().join("a/b"))).expect("created");
    let report = report(Some("web"), "aa", 1);

    let path = folder.write(&report).expect("written");

    assert_eq!(path, root.path().join("a/b/web-19700101T000001Z-3.0.json"));
    assert_eq!(store::read(&path).expect("read"), report);
    assert_eq!(names(folder.path()), ["web-19700101T000001Z-3.0.json"]);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(folder.path())), (0o600, 0o700));
}

#[test]
fn no_report_replaces_another() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");

    let paths: Vec<_> =
        (0..3).map(|at| folder.write(&report(Some("web"), &format!("{at}"), 1)).expect("written")).collect();

    for (at, path) in paths.iter().enumerate() {
        assert_eq!(store::read(path).expect("read").container.id, Some(key(&at.to_string())));
    }
    assert_eq!(names(root.path()).len(), 3);
}

#[test]
fn the_newest_report_of_a_name_or_id_is_found() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");
    let old = folder.write(&report(Some("web"), "3f2a", 1)).expect("written");
    let new = folder.write(&report(Some("web"), "77aa", 2)).expect("written");
    let mut later_run = report(None, "3f2a", 1);
    later_run.container.run = RunId { slot: 3, generation: 1 };
    let later_run = folder.write(&later_run).expect("written");

    assert_eq!(folder.find(&key("web")).expect("by name"), new);
    assert_eq!(folder.find(&key("3f2a")).expect("by id"), later_run);
    assert_eq!(folder.find(&key("3f")).expect("by prefix"), later_run);
    assert_eq!(folder.find(&key("7")).expect("by prefix"), new);
    let file_name = old.file_name().and_then(|name| name.to_str()).expect("plain");
    assert_eq!(folder.find(&key(file_name)).expect("by file"), old);
}

#[test]
fn a_name_goes_before_an_id_and_an_id_before_its_beginning() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");
    let named = folder.write(&report(Some("abc"), "ffff", 1)).expect("written");
    let exact = folder.write(&report(None, "abcd", 2)).expect("written");
    folder.write(&report(None, "abcdef", 3)).expect("written");

    assert_eq!(folder.find(&key("abc")).expect("name"), named);
    assert_eq!(folder.find(&key("abcd")).expect("id"), exact);
}

#[test]
fn a_beginning_of_several_ids_lists_them() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");
    folder.write(&report(Some("web"), "3f2a", 1)).expect("written");
    folder.write(&report(None, "3f77", 2)).expect("written");

    let error = folder.find(&key("3f")).expect_err("ambiguous");

    assert_eq!(error.to_string(), "the id 3f is the beginning of several: 3f2a (web), 3f77; give more of it");
}

#[test]
fn what_is_not_there_says_where_it_was_looked_for() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");
    folder.write(&report(Some("web"), "aa", 1)).expect("written");
    fs::write(root.path().join("broken.json"), "{").expect("written");
    fs::write(root.path().join("notes.txt"), "{").expect("written");
    fs::write(root.path().join(".ringfence-x.partial"), "{").expect("written");

    let error = folder.find(&key("\x1bdb")).expect_err("no such");

    let text = error.to_string();
    assert!(text.starts_with("no report of a container with the name or id \\u{1b}db among the 1 in "), "{text}");
    assert!(text.contains("(1 more file there cannot be read)"), "{text}");
    assert!(matches!(folder.find(&Text::default()), Err(FindError::NoSuchReport { .. })));
}

#[test]
fn a_folder_that_does_not_exist_has_no_reports() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::to_read(Some(&root.path().join("none"))).expect("named");

    assert!(matches!(folder.find(&key("web")), Err(FindError::NoSuchReport { reports: 0, .. })));
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn a_pipe_in_the_folder_does_not_make_anybody_wait() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");
    let pipe = root.path().join("pipe.json");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("pipe");

    let listing = folder.list().expect("listed");

    assert_eq!((listing.reports.len(), listing.unreadable.len()), (0, 1));
}

#[test]
fn a_file_in_the_place_of_the_folder_is_an_error() {
    let root = tempfile::tempdir().expect("folder");
    let file = root.path().join("file");
    fs::write(&file, "").expect("written");

    let error = Folder::open(Some(&file)).expect_err("no folder");

    assert!(matches!(error, FolderError::Create { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_no_report_is_named() {
    let root = tempfile::tempdir().expect("folder");
    let file = root.path().join("x.json");
    fs::write(&file, "{}").expect("written");

    let error = store::read(&file).expect_err("no report");

    assert!(matches!(error, ReadError::Parse { .. }));
    assert!(error.to_string().contains("x.json"), "{error}");
}

#[test]
fn what_never_ends_is_given_up() {
    let error = store::read(Path::new("/dev/zero")).expect_err("endless");

    assert!(matches!(error, ReadError::Parse { source: report::ParseError::TooLarge, .. }), "{error:?}");
}

#[test]
fn the_next_folder_is_looked_in_if_the_first_has_no_such_report() {
    let (mine, roots) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    let folders = [mine.path(), roots.path(), Path::new("/dev/null/none")].map(|path| Folder::to_read(Some(path)));
    let [mine, roots, broken] = folders.map(|folder| folder.expect("named"));
    let web = roots.write(&report(Some("web"), "aa", 1)).expect("written");

    assert_eq!(store::find_in(&[mine.clone(), roots.clone()], &key("web")).expect("in the second"), web);
    let error = store::find_in(&[mine.clone(), roots.clone()], &key("db")).expect_err("in none");
    assert!(matches!(error, FindError::NoSuchReport { reports: 1, .. }), "{error:?}");
    let error = store::find_in(&[roots, mine.clone()], &key("db")).expect_err("in none");
    assert!(matches!(error, FindError::NoSuchReport { reports: 1, .. }), "{error:?}");
    let error = store::find_in(&[mine, broken], &key("db")).expect_err("in none");
    assert!(matches!(error, FindError::Folder { .. }), "{error:?}");
}

#[test]
fn the_last_recording_is_told_from_others_by_when_it_began() {
    let (one, two) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    let [empty, full] = [&one, &two].map(|root| Folder::open(Some(root.path())).expect("folder"));
    let recorded = |name: &str, second: u64, began: Option<u64>| {
        let mut report = report(Some(name), name, second);
        report.window.recording =
            began.map(|second| Moment { boot_ns: second, wall: Timestamp::from_unix_ns(second * 1_000_000_000) });
        full.write(&report).expect("written")
    };
    recorded("early", 5, None);
    // It began to run before all others, and was recorded last.
    let old = recorded("old", 1, Some(100));
    let new = recorded("new", 110, Some(100));
    recorded("before", 90, Some(50));

    let last = store::last_recording(&[empty.clone(), full]).expect("listed");

    assert_eq!(last, [new, old]);
    assert_eq!(store::last_recording(&[empty]).expect("listed"), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_merged_file_in_a_folder_is_no_report_of_a_container_and_none_that_cannot_be_read() {
    let root = tempfile::tempdir().expect("folder");
    let folder = Folder::open(Some(root.path())).expect("folder");
    let reports = [report(Some("web"), "aa", 1), report(Some("web"), "aa", 2)];
    let merged = report::Merged::of(&reports, "0.0.0").expect("two runs").to_json().expect("small");
    let path = root.path().join("web.runs.json");
    fs::write(&path, merged).expect("written");

    let listing = folder.list().expect("listed");

    assert!(listing.reports.is_empty() && listing.unreadable.is_empty(), "{listing:?}");
    assert_eq!(store::read_all(&path).expect("two reports"), reports);
    assert!(matches!(store::read(&path), Err(ReadError::Parse { .. })));
}
