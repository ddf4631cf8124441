//! `ringfence merge` and `diff`, as their users see them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use report::Report;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example").join(name)
}

fn ringfence(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(arguments).env("COLUMNS", "120").stdin(Stdio::null()).output().expect("ringfence runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("created");
    folder
}

/// Two runs of one workload in a folder; the second also called `personality`.
fn two_runs(folder: &Path) -> (PathBuf, PathBuf) {
    let mut report = Report::parse(&fs::read(example("client.json")).expect("there")).expect("a report");
    let first = folder.join("first.json");
    fs::write(&first, report.to_json()).expect("written");
    report.container.run.generation += 1;
    report.container.name = Some("again".into());
    let uses = &mut report.behaviour.syscalls.uses;
    let mut more = uses.iter().find(|used| used.phase == event::Phase::Main).expect("a call").clone();
    more.syscall.number = 135;
    more.name = "personality".to_owned();
    uses.push(more);
    let second = folder.join("second.json");
    fs::write(&second, report.to_json()).expect("written");
    (first, second)
}

#[test]
fn merging_writes_one_file_and_shows_what_each_run_added() {
    let folder = folder("merging");
    let (first, second) = two_runs(&folder);
    let out = folder.join("runs.json");

    let merged = ringfence(&["merge", text(&second), text(&first), text(&first), "--out", text(&out)]);

    assert!(merged.status.success(), "{merged:?}");
    let table = stdout(&merged);
    let line = table.lines().find(|line| line.starts_with("personality")).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("1 of 2") && line.contains(".x") && line.contains("again"), "{table}");
    assert!(table.contains("in each run: --all lists them"), "{table}");
    assert!(stderr(&merged).contains("1 report of a run that is there already"), "{merged:?}");
    assert_eq!(fs::metadata(&out).expect("there").permissions().mode() & 0o777, 0o600);

    let json = stdout(&ringfence(&["merge", text(&out), "--format", "json"]));
    assert!(json.contains(r#""name": "personality""#) && json.contains(r#""client","#), "{json}");

    let written = fs::read(&out).expect("there");
    let again = ringfence(&["merge", text(&out), text(&second), "--out", "-"]);
    assert_eq!(again.stdout, written, "one that is there already changes nothing");
    for command in [&["recommend"][..], &["saturation"], &["map"]] {
        let of_files = ringfence(&[command, &[text(&first), text(&second)]].concat());
        let of_merged = ringfence(&[command, &[text(&out)]].concat());
        assert!(of_merged.status.success(), "{of_merged:?}");
        assert_eq!(stdout(&of_merged), stdout(&of_files), "{command:?}");
    }
    let refused = ringfence(&["report", text(&out)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("a merged file of 2 reports"), "{refused:?}");
    let found = ringfence(&["recommend", "runs.json", "--dir", text(&folder)]);
    assert!(found.status.success(), "by its name in a folder: {found:?}");
}

#[test]
fn different_workloads_are_not_merged_and_nothing_is_written() {
    let folder = folder("not-merged");
    let out = folder.join("runs.json");

    let refused = ringfence(&["merge", text(&example("web.json")), text(&example("db.json")), "--out", text(&out)]);

    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(stderr(&refused).contains("are not the same workload"), "{refused:?}");
    assert!(!out.exists());
}

#[test]
fn the_exit_code_of_diff_is_for_ci() {
    let folder = folder("diff");
    let profile = |name: &str, calls: &str| {
        let path = folder.join(name);
        let allow = format!(r#"{{"names": [{calls}], "action": "SCMP_ACT_ALLOW"}}"#);
        fs::write(&path, format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{allow}]}}"#)).expect("written");
        path
    };
    let (one, more) = (profile("one.json", r#""read""#), profile("more.json", r#""read", "mount""#));
    let code = |arguments: &[&str]| ringfence(&[&["diff"], arguments].concat()).status.code();

    assert_eq!(code(&[text(&one), text(&one)]), Some(0));
    assert_eq!(code(&[text(&one), text(&more)]), Some(1));
    assert_eq!(code(&[text(&one), text(&more), "--fail-on", "added"]), Some(1));
    assert_eq!(code(&[text(&one), text(&more), "--fail-on", "removed"]), Some(0));
    assert_eq!(code(&[text(&more), text(&one), "--fail-on", "removed"]), Some(1));
    assert_eq!(code(&[text(&one), text(&folder.join("none.json"))]), Some(2));
    fs::write(folder.join("bad.json"), "{}").expect("written");
    let refused = ringfence(&["diff", text(&one), text(&folder.join("bad.json"))]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("cannot be compared"), "{refused:?}");

    let shown = stdout(&ringfence(&["diff", text(&one), text(&more)]));
    assert!(shown.contains("+ mount (x86_64, aarch64): EPERM -> allowed"), "{shown}");
    let json = stdout(&ringfence(&["diff", text(&one), text(&more), "--format", "json"]));
    assert!(json.contains(r#""name": "mount""#), "{json}");
    assert!(stdout(&ringfence(&["diff", "--schema"])).contains("ringfence diff, version 1"));
}

#[test]
fn a_report_is_compared_with_the_profile_that_it_gave() {
    let folder = folder("lacks");
    let (_, second) = two_runs(&folder);
    let profile = folder.join("profile.json");
    let first = folder.join("first.json");
    let made = ringfence(&["recommend", text(&first), "--target", "seccomp", "--out", text(&profile)]);
    assert!(made.status.success(), "{made:?}");

    let fits = ringfence(&["diff", text(&first), text(&profile)]);
    let lacks = ringfence(&["diff", text(&second), text(&profile)]);

    assert_eq!(fits.status.code(), Some(0), "{fits:?}");
    assert!(stdout(&fits).starts_with("nothing that was done is denied"), "{fits:?}");
    assert_eq!(lacks.status.code(), Some(1), "{lacks:?}");
    assert!(stdout(&lacks).contains("- personality (x86_64): made -> EPERM"), "{lacks:?}");
}

#[test]
fn a_plan_that_is_wrong_is_refused_before_anything_is_started() {
    let folder = folder("plan");
    let plan = folder.join("plan.toml");
    let refused = |content: &str| {
        fs::write(&plan, content).expect("written");
        let output = ringfence(&["scenario", "run", text(&plan)]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        stderr(&output)
    };

    let message = refused("container.image = 'web'\n[[scenario]]\nname = 'one'\nmistake = 1\n");
    assert!(message.contains("plan.toml is wrong") && message.contains("mistake"), "{message}");
    assert!(refused("\u{1b}[2J").lines().all(|line| !line.contains('\u{1b}')));
    let none = ringfence(&["scenario", "run", text(&folder.join("none.toml"))]);
    assert!(stderr(&none).contains("cannot read"), "{none:?}");
    for template in ["requests", "errors", "load", "memory"] {
        let printed = ringfence(&["scenario", "template", template]);
        assert!(stdout(&printed).contains("[[scenario]]"), "{printed:?}");
    }
}

#[test]
fn standard_input_can_be_one_side() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["diff", "-", text(&example("web.json"))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ringfence runs");
    let bytes = fs::read(example("web.json")).expect("there");
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(stdout(&output).lines().next(), Some("no difference"));
    assert_eq!(ringfence(&["diff", "-", "-"]).status.code(), Some(2));
}
