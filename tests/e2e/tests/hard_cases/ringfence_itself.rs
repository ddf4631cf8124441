//! ringfence where it is short of something: of a pid namespace's outside, of what kernels have since 5.17, of a start to see.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish};
use e2e::machine::{alone, unique_name};
use e2e::recorder::{Recorder, binary, record_command};
use e2e::reports::{NATIVE, Report};
use e2e::runtime::Runtime;
use e2e::{need, sealed};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs root"]
fn inside_a_pid_namespace_the_counts_are_right() -> Result<()> {
    need!("gcc", "unshare");
    let _alone = alone()?;
    let folder = tempfile::Builder::new().prefix("ringfence-reports").tempdir()?;
    let mut run = command("unshare", ["--pid", "--fork", "--mount-proc"]);
    run.arg(binary()?).arg("record").arg("--out").arg(folder.path()).arg("--");
    run.args([&sealed::on_host("exact")?, "unknown", "33"]);

    let finished = finish(&mut run, LIMIT)?;

    ensure!(finished.status.success(), "{}: {}", finished.status, finished.stderr());
    let reports = Report::read_all(folder.path())?;
    let report = reports.first().context("no report")?;
    report.must_be_exact_except(&[])?;
    assert_eq!(report.count("main", "nr 999")?, 33);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn inside_a_pid_namespace_doctor_says_what_that_costs() -> Result<()> {
    need!("unshare");
    let doctor = |wrap: &[&str]| -> Result<String> {
        let mut run = match wrap {
            [] => Command::new(binary()?),
            [program, args @ ..] => {
                let mut run = command(program, args);
                run.arg(binary()?);
                run
            }
        };
        Ok(finish(run.arg("doctor"), LIMIT)?.stdout())
    };

    let outside = doctor(&[])?;
    let inside = doctor(&["unshare", "--pid", "--fork", "--mount-proc"])?;

    let line = inside.lines().find(|line| line.contains("pid namespace")).context("no word of the pid namespace")?;
    ensure!(!outside.contains(line), "the same line outside of one: {line}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn on_an_old_kernel_a_few_threads_are_counted_all_the_same() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let report = recorded_as_on_an_old_kernel(&["/bin/threads", "8", "1000"])?;

    report.must_be_exact_except(&[])?;
    assert_eq!(report.count("main", "getppid")?, 8000);
    assert_eq!(report.count("main", "exit")?, 8);
    assert_eq!(report.count("main", "execve")?, 1);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn on_an_old_kernel_the_phases_are_told_all_the_same() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let command = [sealed::on_host("exact")?, "half".into(), "100".into()];

    let recording = record_command(&["--as-old-kernel"], &command, LIMIT)?;

    let report = recording.only()?;
    report.must_be_exact_except(&[])?;
    let read = report.entry("main", NATIVE, "read")?.context("no read in main")?;
    assert_eq!((read.count, read.failures.get("EAGAIN")), (100, Some(&50)));
    assert_eq!(report.count("runtime-init", "read")?, 0);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn on_an_old_kernel_a_storm_of_threads_is_exact_or_says_what_was_lost() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let report = recorded_as_on_an_old_kernel(&["/bin/threads", "10000", "3"])?;

    let seen = report.count("main", "getppid")?;
    if report.reasons().iter().all(|reason| *reason == "processes-not-listed") {
        assert_eq!(seen, 30_000);
    } else {
        ensure!(seen <= 30_000, "{seen} calls, more than were made");
        let losses = e2e::reports::list(&report.json["losses"]);
        let lost = losses.iter().find(|loss| loss["stage"] == "kernel-map");
        ensure!(lost.is_some_and(|loss| loss["count"] != "0"), "the losses do not say so: {losses:?}");
    }
    Ok(())
}

/// A report of a runc container, recorded as on a kernel before 5.17.
fn recorded_as_on_an_old_kernel(args: &[&str]) -> Result<Report> {
    let overlay = sealed::root_with(&["threads"])?;
    let bundle = Bundle::new(&overlay.root(), args)?;
    let id = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all", "--as-old-kernel"])?;
    Runtime::new("runc")?.run(&bundle, &id, LIMIT)?;
    let recording = recorder.stop()?;
    Ok(recording.of(&id)?.clone())
}

#[test]
#[ignore = "needs root"]
fn a_container_restored_from_a_checkpoint_is_main_from_the_first_call_and_says_so() -> Result<()> {
    need!("gcc", "runc", "criu", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let script = "while [ ! -e /go ]; do sleep 0.05; done; exec /bin/exact unknown 14";
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?;
    let runtime = Runtime::new("runc")?;
    let id = unique_name("rf-e2e");
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    let images = tempfile::Builder::new().prefix("ringfence-criu").tempdir()?;
    if let Err(error) = container.checkpoint(images.path()) {
        println!("{error:#}");
        e2e::skip!("criu makes no checkpoint on this kernel");
    }
    drop(container);

    let recorder = Recorder::start(&["--all"])?;
    let container = runtime.restore(&bundle, &id, images.path())?;
    std::fs::write(overlay.root().join("go"), "")?;
    container.wait(LIMIT)?;
    container.delete()?;
    let recording = recorder.stop()?;

    let report = recording.of(&id)?;
    assert_eq!(report.count("main", "nr 999")?, 14);
    ensure!(!report.complete(), "what it did before the checkpoint is not in the report");
    Ok(())
}
