//! What comes in from outside, and what the runtime runs: phases are told by structure.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::cgroups;
use e2e::command::{command, must};
use e2e::machine::{alone, unique_name};
use e2e::recorder::Recorder;
use e2e::runtime::Runtime;
use e2e::{need, sealed};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs root"]
fn a_session_by_the_runtime_is_the_phase_exec() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let overlay = sealed::root_with(&["exact", "mover"])?;
        let bundle = Bundle::new(&overlay.root(), &["/bin/sleep", "60"])?;
        let runtime = Runtime::new(runtime)?;
        let id = unique_name("rf-e2e");
        let recorder = Recorder::start(&["--all"])?;

        let container = runtime.create(&bundle, &id)?;
        container.start()?;
        for calls in ["11", "13"] {
            let session = container.exec(&["/bin/exact", "unknown", calls])?;
            ensure!(session.status.success(), "exec: {}", session.stderr());
        }
        container.delete()?;
        let recording = recorder.stop()?;

        let report = recording.of(&id)?;
        report.must_be_complete()?;
        assert_eq!(report.count("exec", "nr 999")?, 24, "{}", runtime.name());
        assert_eq!(report.count("main", "nr 999")?, 0, "{}", runtime.name());
        assert_eq!(report.count("runtime-init", "nr 999")?, 0, "{}", runtime.name());
        // The exec of each session's own program, and nothing of the runtime that set it up.
        assert_eq!(report.count("exec", "execve")?, 2, "{}", runtime.name());
        assert_eq!(report.count("main", "execve")?, 1, "{}", runtime.name());
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn nsenter_into_the_containers_cgroup_is_the_phase_exec() -> Result<()> {
    need!("gcc", "runc", "busybox", "nsenter");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sleep", "60"])?;
    let runtime = Runtime::new("runc")?;
    let id = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all"])?;

    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    let procs = cgroups::hierarchies()?.into_iter().map(|(root, _)| root.join(&id).join("cgroup.procs"));
    let mut enter = command(sealed::on_host("enter")?, procs);
    let pid = container.pid().to_string();
    enter.args(["--", "/usr/bin/nsenter", "-t", &pid, "-m", "-u", "-i", "-p", "/bin/exact", "unknown", "17"]);
    must(&mut enter)?;
    container.delete()?;
    let recording = recorder.stop()?;

    let report = recording.of(&id)?;
    report.must_be_exact_except(&[])?;
    assert_eq!(report.count("exec", "nr 999")?, 17);
    assert_eq!(report.count("main", "nr 999")?, 0);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn hooks_in_the_container_are_runtime_init() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    let _alone = alone()?;
    // A hook that does not read what it is given may end before the runtime gave it, which then does not start the container.
    let hook = "cat > /dev/null; exec /bin/exact unknown 21";
    for runtime in ["runc", "crun"] {
        let overlay = sealed::root_with(&["exact"])?;
        let bundle = Bundle::new(&overlay.root(), &["/bin/exact", "unknown", "5"])?;
        let bundle = bundle.with_hook("startContainer", "/bin/sh", &["sh", "-c", hook]);
        let id = unique_name("rf-e2e");
        let recorder = Recorder::start(&["--all"])?;

        Runtime::new(runtime)?.run(&bundle, &id, LIMIT)?;
        let recording = recorder.stop()?;

        let report = recording.of(&id).context(runtime)?;
        report.must_be_complete()?;
        assert_eq!(report.count("runtime-init", "nr 999")?, 21, "{runtime}");
        assert_eq!(report.count("main", "nr 999")?, 5, "{runtime}");
        assert_eq!(report.count("main", "execve")?, 1, "{runtime}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_runtimes_own_calls_are_runtime_init() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let id = unique_name("rf-e2e");
        let recording = sealed::record_one(runtime, &["short_life"], &["/bin/short_life"], &id)?;

        let report = recording.of(&id)?;
        for (name, least) in [("mount", 1), ("capset", 1), ("setresuid", 0), ("close", 3)] {
            assert!(report.count("runtime-init", name)? >= least, "{runtime}: {name}");
            assert_eq!(report.count("main", name)?, 0, "{runtime}: {name}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_container_that_runs_already_is_main_from_the_first_call_and_says_so() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let script = "read line < /go; exec /bin/exact unknown 23";
    rustix::fs::mknodat(
        rustix::fs::CWD,
        overlay.root().join("go"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?;
    let runtime = Runtime::new("runc")?;
    let id = unique_name("rf-e2e");
    let container = runtime.create(&bundle, &id)?;
    container.start()?;

    let recorder = Recorder::start(&["--all"])?;
    std::fs::write(overlay.root().join("go"), "go\n")?;
    container.wait(LIMIT)?;
    container.delete()?;
    let recording = recorder.stop()?;

    let report = recording.of(&id)?;
    ensure!(!report.from_start(), "it ran already");
    assert_eq!(report.reasons(), ["observed-late"]);
    report.must_be_exact_except(&["observed-late"])?;
    assert_eq!(report.count("main", "nr 999")?, 23);
    assert_eq!(report.phase("runtime-init")?, []);
    Ok(())
}
