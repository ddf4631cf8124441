//! `ringfence map`, as its users see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../report/tests").join(name)
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.arg("map").args(arguments).env_remove("COLUMNS").stdin(Stdio::null());
    command.output().expect("ringfence runs")
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The one message of a command that could not be done.
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain")
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("created");
    folder
}

#[test]
fn each_format_begins_as_it_must() {
    let file = kept("golden/docker.json");

    for (format, beginning) in [
        ("table", "2 containers, 4 edges, 125 connections\n\nFROM"),
        ("json", "{\n  \"schema_version\": 1,\n  \"nodes\": ["),
        ("dot", "digraph ringfence {\n"),
        ("mermaid", "flowchart LR\n"),
        ("svg", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "),
    ] {
        let drawn = printed(&[text(&file), "--format", format]);

        assert!(drawn.starts_with(beginning), "{format}: {drawn}");
    }
}

#[test]
fn without_a_name_the_last_recording_is_drawn() {
    let folder = folder("last-recording");
    let report = fs::read_to_string(kept("golden/docker.json")).expect("golden file");
    fs::write(folder.join("web.json"), &report).expect("written");
    // Recorded by an early version, a year and a boot before.
    let early = report
        .replace("7c0e6a0e", "00000000")
        .replace("\"2026-", "\"2025-")
        .replace("\"name\": \"web\"", "\"name\": \"early\"");
    let (before, after) = early.split_once("    \"recording\": {").expect("it has one");
    let (_, after) = after.split_once("    }\n").expect("its end");
    let before = before.trim_end().trim_end_matches(',');
    fs::write(folder.join("early.json"), format!("{before}\n{after}")).expect("written");

    let drawn = printed(&["--dir", text(&folder), "--format", "mermaid"]);
    let both = printed(&["--dir", text(&folder), "--format", "mermaid", "web", "early"]);

    assert!(drawn.contains("web<br/>") && !drawn.contains("early<br/>"), "{drawn}");
    assert!(both.contains("web<br/>") && both.contains("early<br/>"), "{both}");
}

#[test]
fn a_folder_without_reports_says_what_to_do() {
    let message = refusal(&["--dir", text(&folder("nothing"))]);

    assert!(message.contains("there is no report in") && message.contains("ringfence record"), "{message}");
    assert!(refusal(&["--dir", "/no/such/folder"]).contains("there is no folder /no/such/folder"));
    assert!(refusal(&["no-such-container-at-all", "--dir", text(&folder("nothing"))]).contains("no report of"));
}

#[test]
fn what_contradicts_itself_is_refused() {
    for arguments in [&["--for", "1s", "web"][..], &["--buffer", "8M"], &["--schema", "--all"], &["--for", "soon"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_schema_is_that_of_the_maps() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/map-1.json");

    assert_eq!(printed(&["--schema"]), fs::read_to_string(checked_in).expect("the schema"));
}
