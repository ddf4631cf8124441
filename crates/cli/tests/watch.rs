//! `ringfence watch` and `ringfence fields`, as far as they need no privileges.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use event::is_unsafe_on_a_terminal;

fn ringfence(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(arguments).env_remove("COLUMNS").stdin(Stdio::null()).output().expect("ringfence runs")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// The one message of a command that could not be done.
fn refusal(arguments: &[&str]) -> String {
    let output = ringfence(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    text(output.stderr)
}

#[test]
fn a_condition_that_is_wrong_is_refused_with_a_mark_below_the_place() {
    let message = refusal(&["watch", "container.nmae = web"]);

    let expected = "ringfence: unknown field container.nmae; did you mean container.name?\n      \
                    container.nmae = web\n      ^^^^^^^^^^^^^^\n";
    assert_eq!(message, expected);
}

#[test]
fn what_cannot_be_watched_is_one_message() {
    for (arguments, said) in [
        (vec!["web", "fd.name = x"], "fd.name is a field of Falco's, for rule files alone"),
        (vec!["web", "exec.cwdd", "startswith", "/x"], "did you mean exec.cwd?"),
        (vec!["process.pid = sh"], "process.pid is a number"),
        (vec!["--kind", "nothing"], "possible values: container_created"),
        (vec!["--kind", "exec,syscall"], "`ringfence record --trace-syscalls` prints each of them"),
        (vec!["syscall.number = 1"], "`ringfence record --trace-syscalls` prints each of them"),
        (vec!["--format", "xml"], "possible values: text, json, csv"),
        (vec!["--label", "x"], "KEY=VALUE"),
        (vec!["--max-events", "0"], "0 is not in 1.."),
        (vec!["exec.cwd = '\u{1b}[2J\u{9b}"], "is never closed"),
    ] {
        let arguments: Vec<&str> = std::iter::once("watch").chain(arguments).collect();
        let message = refusal(&arguments);
        assert!(message.contains(said), "{arguments:?}: {message}");
        assert!(!message.chars().any(|c| is_unsafe_on_a_terminal(c) && c != '\n'), "{message:?}");
    }
}

#[test]
fn the_page_is_the_one_that_is_checked_in() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fields.md");

    let output = ringfence(&["fields", "--format", "markdown"]);

    assert!(output.stdout == std::fs::read(page).expect("the page"), "the program prints another page");
}

#[test]
fn fields_are_chosen_by_the_beginning_of_their_names() {
    let table = text(ringfence(&["fields", "exec.argv"]).stdout);
    let json = ringfence(&["fields", "exec.argv", "--format", "json"]).stdout;
    let markdown = text(ringfence(&["fields", "exec.argv", "--format", "markdown"]).stdout);

    let first: Vec<&str> = table.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(first, ["FIELD", "exec.argv", "exec.argv_truncated"]);
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let argv = serde_json::json!({
        "name": "exec.argv", "type": "text", "list": true, "values": [],
        "doc": "The arguments, the program's own name first.", "example": "exec.argv intersects (-c)",
    });
    assert_eq!((&json[0], json.as_array().map(Vec::len)), (&argv, Some(2)));
    assert_eq!(markdown.lines().count(), 4, "{markdown}");
    assert!(refusal(&["fields", "exec.argw"]).contains("no field begins with `exec.argw`; did you mean exec.argv?"));
}

#[test]
fn a_list_that_is_read_on_is_not_cut_unless_somebody_says_how_wide() {
    let whole = text(ringfence(&["fields"]).stdout);
    let mut narrow = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    let narrow = text(narrow.arg("fields").env("COLUMNS", "60").output().expect("ringfence runs").stdout);

    assert!(!whole.contains('…') && whole.lines().any(|line| line.len() > 120), "{whole}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
}
