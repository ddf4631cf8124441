//! `ringfence rules`, as far as it is the program's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn ringfence(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(arguments).env_remove("COLUMNS").stdin(Stdio::null()).output().expect("ringfence runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A rule file of a test.
fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn the_page_about_the_shipped_rules_is_the_one_that_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/shipped-rules.md");

    let page = ringfence(&["rules", "list", "--format", "markdown"]).stdout;

    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    assert!(page == std::fs::read(path).expect("the page"), "the program prints another page: UPDATE=1 writes it");
}

#[test]
fn without_files_it_is_about_the_rules_that_come_with_it_and_all_are_active() {
    let check = ringfence(&["rules", "check"]);
    let list = text(&ringfence(&["rules", "list", "--tag", "mitre_impact"]).stdout);
    let explained = text(&ringfence(&["rules", "explain", "Reverse shell"]).stdout);

    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));
    assert!(text(&check.stdout).contains("0 errors, 0 warnings"), "{}", text(&check.stdout));
    assert_eq!(
        list.lines().skip(1).map(|line| line.contains("mitre_impact")).collect::<Vec<_>>(),
        [true, true],
        "{list}"
    );
    assert!(explained.contains("Wakes for: dup, dup2, dup3"), "{explained}");
}

#[test]
fn a_file_of_ones_own_is_read_and_what_is_wrong_in_it_is_shown_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = |condition: &str| {
        format!("- rule: mine\n  desc: d\n  condition: {condition}\n  output: o %proc.name\n  priority: NOTICE\n")
    };
    let right = file(folder.path(), "right.yaml", &rule("evt.type = execve and proc.name = sh"));
    let wrong = file(folder.path(), "wrong.yaml", &rule("evt.type = execve and proc.nmae = sh"));
    let absent = file(folder.path(), "absent.yaml", &rule("evt.type = read and evt.buffer contains x"));
    let check = |path: &Path| ringfence(&["rules", "check", &path.display().to_string()]);

    assert_eq!(check(&right).status.code(), Some(0));
    let answer = check(&wrong);
    let said = text(&answer.stdout) + &text(&answer.stderr);
    assert_eq!(answer.status.code(), Some(1), "{said}");
    assert!(said.contains("wrong.yaml:3:36") && said.contains("did you mean proc.name"), "{said}");
    let answer = check(&absent);
    let said = text(&answer.stdout) + &text(&answer.stderr);
    assert_eq!(answer.status.code(), Some(1), "{said}");
    assert!(said.contains("evt.buffer is not provided"), "{said}");
    assert_eq!(check(&folder.path().join("none.yaml")).status.code(), Some(2));
}

#[test]
fn recorded_events_are_asked_about_without_privileges() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = file(folder.path(), "none.ndjson", "");
    let broken = file(folder.path(), "broken.ndjson", "{\n");

    let none = ringfence(&["rules", "test", "--events", &events.display().to_string()]);
    let wrong = ringfence(&["rules", "test", "--events", &broken.display().to_string()]);

    assert_eq!(none.status.code(), Some(0), "{}", text(&none.stderr));
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}
