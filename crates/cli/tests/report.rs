//! `ringfence report`, as its users see it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../report/tests").join(name)
}

fn ringfence(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.arg("report").args(arguments).env_remove("COLUMNS").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    ringfence(arguments).output().expect("ringfence runs")
}

/// The one message of a command that could not be done.
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain")
}

/// A folder with one report, of the container `web` with the id `3f2a9c1d8e7b…`.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("created");
    fs::copy(kept("golden/docker.json"), folder.join("web-20260102T030405Z-3.0.json")).expect("copied");
    folder
}

#[test]
fn each_format_is_what_the_report_gives() {
    let file = kept("golden/docker.json");

    for (format, golden) in [("table", "txt"), ("json", "json"), ("markdown", "md"), ("html", "html"), ("csv", "csv")] {
        let output = run(&[text(&file), "--format", format]);

        let expected = fs::read(kept("golden/docker").with_extension(golden)).expect("golden file");
        assert!(output.status.success() && output.stdout == expected, "{format}: {output:?}");
    }
}

#[test]
fn the_width_is_that_of_the_terminal() {
    let output = ringfence(&[text(&kept("golden/docker.json"))]).env("COLUMNS", "44").output().expect("ringfence runs");

    assert_eq!(output.stdout, fs::read(kept("golden/docker.narrow.txt")).expect("golden file"));
    let widest = ringfence(&[text(&kept("golden/docker.json"))]).env("COLUMNS", usize::MAX.to_string()).output();
    assert!(widest.expect("ringfence runs").status.success());
}

#[test]
fn all_shows_more() {
    let file = kept("golden/busy.json");

    let all = ringfence(&[text(&file), "--all"]).env("COLUMNS", "120").output().expect("ringfence runs");

    assert_eq!(all.stdout, fs::read(kept("golden/busy.all.txt")).expect("golden file"));
}

#[test]
fn a_report_is_found_by_name_by_the_beginning_of_its_id_and_by_file() {
    let folder = folder("found");
    let expected = fs::read(kept("golden/docker.txt")).expect("golden file");

    for key in ["web", "3f2a", "web-20260102T030405Z-3.0.json"] {
        assert_eq!(run(&[key, "--dir", text(&folder)]).stdout, expected, "{key}");
    }
}

#[test]
fn a_user_without_the_option_looks_in_the_usual_folder() {
    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        println!("skipped: root has a folder of the whole system");
        return;
    }
    let state = folder("usual/ringfence/reports").join("../..");

    let output = ringfence(&["web"]).env("XDG_STATE_HOME", state).output().expect("ringfence runs");

    assert!(output.status.success(), "{output:?}");
}

#[test]
fn standard_input_is_read() {
    let mut child = ringfence(&["-", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ringfence runs");
    let report = fs::read(kept("golden/docker.json")).expect("golden file");
    child.stdin.take().expect("piped").write_all(&report).expect("read by ringfence");

    let output = child.wait_with_output().expect("ended");

    assert_eq!(output.stdout, fs::read(kept("golden/docker.csv")).expect("golden file"));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let file = kept("golden/busy.json");
    let mut child = ringfence(&[text(&file), "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ringfence runs");
    drop(child.stdout.take());

    let output = child.wait_with_output().expect("ended");

    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");

    let output = ringfence(&[text(&kept("golden/docker.json"))]).stdout(full).output().expect("ringfence runs");

    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.starts_with("ringfence: cannot write to standard output\n"), "{message}");
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let output = run(&["--schema"]);

    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/report-1.json");
    assert!(output.stdout == fs::read(checked_in).expect("schema"), "the program prints another schema");
    assert_eq!(run(&["--schema", "web"]).status.code(), Some(2));
}

#[test]
fn what_cannot_be_shown_is_one_message() {
    let folder = folder("refused");
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).expect("written");
        text(&path).to_owned()
    };
    let missing = text(&folder.join("none.json")).to_owned();
    let cut = file("cut.json", "{\"schema_version\": 1,");
    let other = file("other.json", "{}");
    let newer = file("newer.json", "{\"schema_version\": 9, \"ringfence_version\": \"7.0.0\"}");

    for (arguments, said) in [
        (vec![missing.as_str()], "No such file"),
        (vec![&cut], "not JSON at line 1, column 21"),
        (vec![&other], "not a ringfence report: it has no `schema_version`"),
        (vec![&newer], "read it with ringfence 7.0.0 or later"),
        (vec!["-"], "not JSON at line 1, column 0"),
        (vec![], "required"),
        (vec!["db", "--dir", text(&folder)], "no report of a container with the name or id db among the 1 in"),
        (vec!["db", "--dir", "/nonexistent"], "there is no folder /nonexistent"),
        (vec![text(&folder)], "Is a directory"),
        (vec!["web", "--format", "xml"], "possible values: table, json, markdown, html, csv"),
    ] {
        let message = refusal(&arguments);
        assert!(message.contains(said), "{arguments:?}: {message}");
    }
}

#[test]
fn a_path_never_reaches_a_terminal_raw() {
    let message = refusal(&["./\x1b[2J\u{202e}none"]);

    assert!(message.contains("\\u{1b}[2J\\u{202e}none"), "{message}");
}
