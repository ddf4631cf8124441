//! What is recommended is what is needed: real workloads run under it on real runtimes, and no more than it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::engines::{Docker, Engine};
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::programs::program;
use e2e::recommended::{Recommended, Setting, Started, refused};
use e2e::recorder::{Recorder, ringfence};
use e2e::reports::NATIVE;
use e2e::runtime::Runtime;
use e2e::workloads::{self, DEBIAN_IMAGE};
use e2e::{against_strace, need, rootfs};

/// How often each workload is started under its recommendation.
const STARTS: usize = 4;

/// Records a workload on a bare runtime and starts it under its recommendation; the reports of the runtime's own needs too.
fn works(workload: &'static str, setting: Setting) -> Result<()> {
    let started = Started::new(workload, setting)?;
    let recommended = started.recommended()?;
    started.must_work(&recommended, STARTS).with_context(|| format!("{workload}, {setting:?}"))
}

fn each_workload_works(runtime: &'static str) -> Result<()> {
    need!("gcc", runtime, "mmdebstrap", "busybox");
    let _alone = alone()?;
    for no_new_privileges in [false, true] {
        for workload in workloads::NAMES {
            works(workload, Setting { runtime, no_new_privileges, uid: 0 })?;
        }
        for workload in ["shell", "python3"] {
            works(workload, Setting { runtime, no_new_privileges, uid: 1000 })?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn each_workload_works_on_runc_and_is_refused_nothing() -> Result<()> {
    each_workload_works("runc")
}

#[test]
#[ignore = "needs root"]
fn each_workload_works_on_crun_and_is_refused_nothing() -> Result<()> {
    each_workload_works("crun")
}

/// The negative controls: without them the tests above would also pass with a filter that is never loaded.
#[test]
#[ignore = "needs root"]
fn a_needed_call_that_is_taken_away_is_missed_and_a_dangerous_one_is_refused() -> Result<()> {
    need!("gcc", "runc", "crun", "mmdebstrap", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let started = Started::new("python3", Setting { runtime, no_new_privileges: false, uid: 0 })?;
        let recommended = started.recommended()?;

        let less = recommended.without("unlink")?;
        let error = started.must_work(&less, 1).expect_err("python removes files");
        ensure!(format!("{error:#}").contains("unlink"), "{runtime}: {error:#}");
        let runs = started.runs(Some(&less), 1)?;
        let refused = refused(runs.reports()?[0])?;
        ensure!(matches!(refused.as_slice(), [one] if one.starts_with("unlink in main")), "{runtime}: {refused:?}");

        let allowed = recommended.profile["syscalls"].to_string();
        for call in ["mount", "ptrace", "bpf", "unshare", "reboot", "kexec_load", "init_module"] {
            ensure!(allowed.contains(&format!("\"{call}\"")), "{call} is decided about");
            ensure!(recommended.without(call).is_err(), "{runtime}: {call} is allowed");
        }
    }
    Ok(())
}

/// The filter that is really loaded answers as the profile says, its default included.
#[test]
#[ignore = "needs root"]
fn each_call_that_is_denied_gets_its_errno_from_the_loaded_filter() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    let _alone = alone()?;
    // getpid, mount, io_uring_setup, clone3, a number that no table gives out.
    let numbers =
        if NATIVE == "x86_64" { ["39", "165", "425", "435", "400"] } else { ["172", "40", "425", "435", "400"] };
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let bundle = |numbers: &[&str]| {
        let args = [&["/errnos"], numbers].concat();
        Bundle::new(&overlay.root(), &args)?.with_program("errnos", "/errnos")
    };
    for name in ["runc", "crun"] {
        let runtime = Runtime::new(name)?;
        let id = unique_name("rf-e2e");
        let recorder = Recorder::start(&["--all"])?;
        runtime.run(&bundle(&numbers[..1])?, &id, workloads::LIMIT)?;
        let recording = recorder.stop()?;
        let recommended = Recommended::from(&[recording.of(&id)?])?;

        let confined = bundle(&numbers)?.change(|config| config["linux"]["seccomp"] = recommended.profile);
        let container = runtime.create(&confined, &unique_name("rf-e2e"))?;
        container.start()?;
        container.wait(workloads::LIMIT)?;

        let expected: String =
            numbers.iter().zip([0, 1, 38, 38, 38]).map(|(number, errno)| format!("{number} {errno}\n")).collect();
        ensure!(container.stdout() == expected, "{name}: {:?}, not {expected:?}", container.stdout());
        container.delete()?;
    }
    Ok(())
}

/// The flags as a user pastes them; sessions from outside work, too.
#[test]
#[ignore = "needs root"]
fn docker_runs_a_workload_with_the_flags_and_a_session_in_it() -> Result<()> {
    need!("dockerd", "runc", "mmdebstrap", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    against_strace::import_images(&docker)?;
    let work = tempfile::tempdir()?;
    std::fs::copy(program("errnos")?, work.path().join("errnos"))?;
    // A number that no table gives out, below some that they do: what is answered is the filter's default.
    let script = "echo x > /tmp/a; chown 5:5 /tmp/a && rm /tmp/a && /work/errnos 400 && sleep 3";
    let volume = format!("{}:/work", work.path().display());
    // Before version 23 docker does not pass the default's errno on.
    let version = docker.docker(&["version", "--format", "{{.Server.Version}}"])?;
    let major: u32 = version.split('.').next().unwrap_or_default().parse().context("docker's version")?;
    let default = if major < 23 { "400 1" } else { "400 38" };
    let run = |flags: &[&str]| -> Result<(String, String)> {
        let name = unique_name("rf-e2e");
        let mut args = vec!["run", "--detach", "--name", &name, "--volume", &volume];
        args.extend(flags);
        args.extend([DEBIAN_IMAGE, "/bin/sh", "-c", script]);
        docker.docker(&args)?;
        let listed = docker
            .docker(&["exec", &name, "ls", "/usr"])
            .with_context(|| docker.try_docker(&["logs", &name]).map(|logs| logs.stderr()).unwrap_or_default())?;
        let status = docker.docker(&["wait", &name])?;
        ensure!(status.trim() == "0", "{status}: {}", docker.docker(&["logs", &name])?);
        let says = docker.docker(&["logs", &name])?;
        docker.remove(&name)?;
        Ok((name, format!("{listed}{says}")))
    };
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let (name, plain) = run(&[])?;
    let recording = recorder.stop()?;
    let report = recording.of(&name)?;
    let added = Recommended::from(&[report])?.capabilities;
    ensure!(added.contains(&"CAP_CHOWN".to_owned()), "chown needs it: {added:?}");

    let out = recording.folder().join("profile.json");
    let args = ["recommend".into(), report.path.clone(), "--target".into(), "docker".into(), "--out".into(), out];
    let flags = ringfence(&args, Duration::from_secs(30))?;
    ensure!(flags.status.success(), "{}", flags.stderr());
    let flags = flags.stdout();
    let flags: Vec<&str> = flags.split_whitespace().collect();

    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    for _ in 0..STARTS {
        let (_, confined) = run(&flags)?;
        let (before, after) = (plain.lines().collect::<Vec<_>>(), confined.lines().collect::<Vec<_>>());
        ensure!(
            before.len() > 5 && before.split_last().map(|(_, rest)| rest) == after.split_last().map(|(_, rest)| rest)
        );
        ensure!(after.last() == Some(&default), "the default's errno: {after:?}, not {default}");
    }
    let recording = recorder.stop()?;
    ensure!(recording.reports.len() == STARTS, "{} reports", recording.reports.len());
    for report in &recording.reports {
        let refused = refused(report)?;
        ensure!(matches!(refused.as_slice(), [one] if one.starts_with("nr 400 in main")), "{refused:?}");
    }
    // Taken away, it is missed: the flags are what decides.
    let fewer: Vec<&str> = flags.iter().map(|&flag| if flag == "CHOWN" { "AUDIT_WRITE" } else { flag }).collect();
    ensure!(run(&fewer).is_err(), "chown works without CHOWN");
    Ok(())
}
