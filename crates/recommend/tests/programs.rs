//! The programs of a workload: what is listed, what the runtime's own is, and how each run fares under the list of the others.

use std::path::Path;

use event::{FileAccess, Phase, Text};
use recommend::{Programs, Refusal, programs};
use report::{ObservedFrom, Report, Timestamp};

/// Runc's own program, then python in the container's mounts, then a session that runs python again.
fn run(at: u32) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/app.json");
    let mut report = Report::parse(&std::fs::read(path).expect("docs/example is checked in")).expect("a report");
    report.container.run.generation = at;
    report.window.begin.wall = Timestamp::from_unix_ns(1_700_000_000_000_000_000 + u64::from(at));
    report
}

/// One more exec by the process that is the workload.
fn with(mut report: Report, executable: &str, argv: &[&str], script: Option<(&str, &str)>) -> Report {
    let processes = &mut report.behaviour.processes.processes;
    let process = processes.iter_mut().find(|process| process.programs.len() > 1);
    let process = match process {
        Some(process) => process,
        None => processes.last_mut().expect("a process"),
    };
    let mut program = process.programs.last().expect("a program").clone();
    program.exec += 1;
    program.detail.executable = executable.into();
    program.detail.argv = argv.iter().map(|&text| text.into()).collect();
    if let Some((cwd, called)) = script {
        program.detail.cwd = cwd.into();
        program.detail.argument = called.into();
        program.detail.interpreter = executable.into();
    }
    let mut more = process.clone();
    more.id.pid += 100_000;
    more.phase = Phase::Main;
    more.programs = vec![program];
    report.behaviour.processes.processes.push(more);
    report
}

fn of(runs: &[Report]) -> Programs {
    programs(runs, false).expect("whole reports of one workload")
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a Text>) -> Vec<String> {
    texts.into_iter().map(|text| text.escaped().into_owned()).collect()
}

#[test]
fn what_the_workload_ran_is_listed_and_what_its_runtime_ran_is_not() {
    let found = of(&[run(0)]);

    assert_eq!(texts(&found.programs), ["/usr/bin/python3.11"]);
    assert!(found.scripts.is_empty() && found.applets.is_empty() && found.unlistable.is_empty(), "{found:?}");
}

#[test]
fn a_process_that_the_runtime_made_is_told_by_its_mounts_where_the_files_do_not_say() {
    let mut report = run(0);
    report.behaviour.files.paths.retain(|used| !used.accesses.has(FileAccess::Executed));
    let processes = &mut report.behaviour.processes.processes;
    let python = processes
        .iter()
        .find(|process| process.programs.len() == 1 && process.programs[0].detail.executable != "/".into());
    let python = python.expect("python").programs[0].clone();
    let runc =
        processes.iter_mut().find(|process| process.programs.iter().any(|one| one.detail.executable == "/".into()));
    let runc = runc.expect("runc");
    let mut python = python;
    python.exec = runc.programs[0].exec + 1;
    python.detail.mount_namespace = runc.programs[0].detail.mount_namespace + 1;
    runc.programs.push(python);

    assert_eq!(texts(&of(&[report]).programs), ["/usr/bin/python3.11"]);
}

#[test]
fn a_script_is_listed_with_its_interpreter_by_its_path_and_by_what_it_was_called() {
    let found = of(&[with(run(0), "/bin/sh", &["/bin/sh", "../start.sh"], Some(("/srv/app", "../start.sh")))]);

    assert_eq!(texts(&found.programs), ["/bin/sh", "/usr/bin/python3.11"]);
    assert_eq!(texts(found.scripts.iter().map(|script| &script.path)), ["/srv/start.sh"]);
    assert_eq!(texts(found.scripts.iter().map(|script| &script.called)), ["../start.sh"]);
}

#[test]
fn what_has_no_path_that_finds_it_again_is_not_listed_and_is_said() {
    let found = of(&[with(run(0), "(unreachable)/memfd:x (deleted)", &["x"], None)]);

    assert_eq!(texts(&found.unlistable), ["(unreachable)/memfd:x (deleted)"]);
    assert_eq!(texts(&found.programs), ["/usr/bin/python3.11"]);
    assert_eq!(found.runs[0].denied, 3, "one run, and nothing else to compare it with");
}

#[test]
fn each_run_is_held_to_the_list_of_the_others() {
    let more = with(with(run(1), "/bin/busybox", &["wget"], None), "/bin/busybox", &["wget", "-q"], None);
    let found = of(&[more, run(0), run(2)]);

    assert_eq!(found.runs.iter().map(|run| (run.execs, run.denied)).collect::<Vec<_>>(), [(2, 0), (4, 2), (2, 0)]);
    assert_eq!(texts(&found.runs[1].denied_programs), ["/bin/busybox", "wget"]);
    assert_eq!(texts(&found.applets), ["wget"]);
}

#[test]
fn a_report_that_misses_programs_is_refused_unless_that_is_allowed() {
    let mut late = run(0);
    late.window.observed_from = ObservedFrom::Attach;
    let late = late.finish();
    let mut cut = run(1);
    cut.behaviour.processes.kept_all = false;
    let cut = cut.finish();

    for report in [late, cut] {
        assert!(matches!(programs(std::slice::from_ref(&report), false), Err(Refusal::Incomplete { .. })));
        assert!(!programs(&[report], true).expect("it was allowed").incomplete.is_empty());
    }
    assert!(matches!(programs(&[], true), Err(Refusal::NoReport)));
    let mut empty = run(2);
    empty.behaviour.processes.processes.clear();
    assert!(matches!(programs(&[empty], false), Err(Refusal::NoProgram { .. })));
}
