//! Storms of tasks, and tasks that are made or replaced in unusual ways.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::cgroups::Cgroup;
use e2e::command::{command, must};
use e2e::machine::{alone, unique_name};
use e2e::recorder::{Recorder, record_command};
use e2e::reports::{Report, list, number};
use e2e::{need, sealed};

/// Beyond the number of processes that a report lists, those that are left out are a reason of their own; counts are
/// not touched by it.
const MANY_PROCESSES: [&str; 1] = ["processes-not-listed"];
const NONE: [&str; 0] = [];

/// A report of `PROGRAM ARGS` in the sandbox, whose counts are exact.
fn in_sandbox(args: &[&str]) -> Result<Report> {
    let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    args[0] = sealed::on_host(&args[0])?;
    let recording = record_command(&NONE, &args, sealed::LIMIT)?;
    ensure!(recording.status.success(), "ended with {}: {}", recording.status, recording.stderr);
    let report = recording.only()?.clone();
    report.must_be_exact_except(&MANY_PROCESSES)?;
    Ok(report)
}

/// The same in a runc container.
fn in_container(args: &[&str]) -> Result<Report> {
    let id = unique_name("rf-e2e");
    let inside = format!("/bin/{}", args[0]);
    let mut with_path = args.to_vec();
    with_path[0] = &inside;
    let recording = sealed::record_one("runc", &[args[0], "exact", "short_life"], &with_path, &id)?;
    let report = recording.of(&id)?.clone();
    report.must_be_exact_except(&MANY_PROCESSES)?;
    Ok(report)
}

/// How often any of the calls that make a task was entered.
fn clones(report: &Report) -> Result<u64> {
    ["clone", "clone3", "fork", "vfork"].iter().map(|name| report.count("main", name)).sum()
}

fn forks_are_exact(report: &Report) -> Result<()> {
    assert_eq!(report.count("main", "getppid")?, 20_000);
    assert_eq!(report.count("main", "wait4")?, 10_000);
    assert_eq!(report.count("main", "exit_group")?, 10_001);
    assert_eq!(clones(report)?, 10_000);
    // The program, its children, and the few processes that set the container up.
    let processes = report.tree_total("total")?;
    assert!((10_001..10_020).contains(&processes), "{processes} processes");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn ten_thousand_forks_are_counted_exactly() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    forks_are_exact(&in_sandbox(&["forks", "10000", "2"])?).context("in the sandbox")?;
    forks_are_exact(&in_container(&["forks", "10000", "2"])?).context("in a container")
}

fn threads_are_exact(report: &Report) -> Result<()> {
    assert_eq!(report.count("main", "getppid")?, 30_000);
    assert_eq!(report.count("main", "exit")?, 10_000);
    assert_eq!(clones(report)?, 10_000);
    let threads = report.tree_total("total_threads")?;
    assert!((10_001..10_040).contains(&threads), "{threads} threads");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn ten_thousand_threads_that_exit_at_once_are_counted_exactly() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    threads_are_exact(&in_sandbox(&["threads", "10000", "3"])?).context("in the sandbox")?;
    threads_are_exact(&in_container(&["threads", "10000", "3"])?).context("in a container")
}

#[test]
#[ignore = "needs root"]
fn an_exec_by_a_thread_that_is_not_the_leader_keeps_the_process() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;

    let report = in_container(&["thread_exec", "100", "/bin/exact", "getppid", "50"])?;

    assert_eq!(report.count("main", "getppid")?, 150);
    assert_eq!(report.count("main", "execve")?, 2);
    let with_both = report.processes().iter().filter(|process| {
        let executables: Vec<&str> =
            list(&process["programs"]).iter().filter_map(|program| program["executable"].as_str()).collect();
        executables.ends_with(&["/bin/thread_exec", "/bin/exact"])
    });
    assert_eq!(with_both.count(), 1, "{:?}", report.json["behaviour"]["processes"]);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn vfork_and_exec_are_counted_on_the_right_side() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;

    let report = in_container(&["vforks", "50", "/bin/short_life"])?;

    assert_eq!(report.count("main", "vfork")?, 50);
    assert_eq!(report.count("main", "execve")?, 51);
    assert_eq!(report.count("main", "exit_group")?, 51);
    let short = report.programs().into_iter().filter(|program| program["executable"] == "/bin/short_life");
    assert_eq!(short.count(), 50);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_process_whose_parent_is_gone_keeps_the_parent_that_made_it() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;

    let report = in_container(&["double_fork", "77"])?;

    assert_eq!(report.count("main", "getpgid")?, 77);
    let processes = report.processes();
    let main: Vec<_> = processes.iter().filter(|process| process["phase"] == "main").collect();
    assert_eq!(main.len(), 2, "child and grandchild: {main:?}");
    let (child, grandchild) = (main[0], main[1]);
    assert_eq!(grandchild["parent"]["pid"], child["pid"]);
    let parent = processes.iter().find(|process| process["pid"] == child["parent"]["pid"]).context("the first")?;
    assert!(list(&parent["programs"]).iter().any(|program| program["executable"] == "/bin/double_fork"));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn processes_that_have_one_pid_after_another_are_told_apart() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let cgroup = Cgroup::create(&unique_name("rf-e2e"))?;
    let recorder = Recorder::start(&["--cgroup", cgroup.path()])?;

    let mut enter = command(sealed::on_host("enter")?, cgroup.procs_files());
    must(enter.args(["--", &sealed::on_host("pid_reuse")?, "20"]))?;
    cgroup.remove()?;
    let recording = recorder.stop()?;

    let report = recording.only()?;
    let total: u64 = report.syscalls()?.iter().filter(|entry| entry.name == "getppid").map(|entry| entry.count).sum();
    assert_eq!(total, (1..=20).sum::<u64>());
    let mut starts = std::collections::BTreeMap::<u64, BTreeSet<u64>>::new();
    for process in report.processes() {
        let pid = process["pid"].as_u64().context("no pid")?;
        starts.entry(pid).or_default().insert(number(&process["start_ns"])?);
    }
    let most = starts.values().map(BTreeSet::len).max();
    assert_eq!(most, Some(20), "20 processes had one pid: {starts:?}");
    Ok(())
}
