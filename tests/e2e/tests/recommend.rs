//! What is recommended is what is needed: real workloads run under it on real runtimes, and no more than it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, must_within};
use e2e::engines::{Docker, Engine};
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::programs::program;
use e2e::recommended::{Recommended, Setting, Started, refused};
use e2e::recorder::{Recorder, binary, ringfence};
use e2e::reports::NATIVE;
use e2e::runtime::Runtime;
use e2e::workloads::{self, DEBIAN_IMAGE};
use e2e::{against_strace, need, rootfs};
use serde_json::Value;

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

/// The script prints in how many starts each call showed, and fails if the table lacks one that it saw.
#[test]
#[ignore = "needs root"]
fn what_the_runtimes_call_under_a_filter_is_in_the_table() -> Result<()> {
    need!("runc", "crun", "busybox", "jq");
    // It waits for the other tests by itself.
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut script = command(format!("{tree}/x"), ["base-set"]);
    script.current_dir(tree).env("RINGFENCE_BIN", binary()?).env("RINGFENCE_BASE_SET_STARTS", "5");
    let printed = must_within(&mut script, Duration::from_secs(300))?;
    for expected in ["runc", "crun"].map(|runtime| [format!("{runtime} "), "execve".to_owned(), "5 of 5".to_owned()]) {
        let rows = printed.lines().filter(|line| expected.iter().all(|part| line.contains(part.as_str()))).count();
        ensure!(rows == 4, "{rows} rows with {expected:?} of two users and two settings: {printed}");
    }
    Ok(())
}

/// What a run of the script does, beside what every run does: three of these, chosen by the run's number.
const FEATURES: [&str; 16] = [
    "mkdir /tmp/d; rmdir /tmp/d",
    "ln -s here /tmp/l; ls -l /tmp/l",
    "echo x > /tmp/x; mv /tmp/x /tmp/y",
    "mknod /tmp/p p",
    "echo x > /tmp/c; chmod 600 /tmp/c",
    "echo x > /tmp/o; cp -a /tmp/o /tmp/q",
    "ls /",
    "sleep 0.01",
    "(true) & wait",
    "echo a | cat",
    "kill -0 $$",
    "touch -d 2001-02-03 /tmp/t",
    "ps > /dev/null",
    "dd if=/dev/zero of=/tmp/z bs=1 count=1 conv=fsync 2> /dev/null",
    "echo 3 | sort",
    "date > /dev/null; ulimit -n 100",
];

/// Over 200 splits of recorded runs into seen and held back: what is expected of the latter, and what they added.
#[test]
#[ignore = "needs root"]
fn what_saturation_expects_of_runs_is_about_what_they_add() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let runtime = Runtime::new("runc")?;
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 20) as usize % sides
    };
    let work = tempfile::tempdir()?;
    let recorder = Recorder::start(&["--all"])?;
    let mut ids = Vec::new();
    for _ in 0..24 {
        // The first features are frequent, the last ones rare.
        let chosen: Vec<&str> = (0..3).map(|_| FEATURES[roll(FEATURES.len()).min(roll(FEATURES.len()))]).collect();
        // Always the same command: runs of another one would be of another workload.
        std::fs::write(work.path().join("script"), chosen.join("\n"))?;
        let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "/work/script"])?.bind(work.path(), workloads::INSIDE);
        let id = unique_name("rf-e2e");
        runtime.run(&bundle, &id, workloads::LIMIT)?;
        ids.push(id);
    }
    let recording = recorder.stop()?;
    let reports = ids.iter().map(|id| recording.of(id)).collect::<Result<Vec<_>>>()?;

    let (splits, held_back) = (200, reports.len() / 2);
    let (mut expected, mut found, mut inside) = (0.0, 0.0, 0);
    for _ in 0..splits {
        let mut order: Vec<usize> = (0..reports.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, roll(at + 1));
        }
        let (later, seen) = order.split_at(held_back);
        let of = |runs: &[usize]| -> Result<Value> {
            let files = runs.iter().map(|&run| reports[run].path.clone().into_os_string());
            let args: Vec<_> = ["saturation", "--format", "json"].map(Into::into).into_iter().chain(files).collect();
            let finished = ringfence(&args, Duration::from_secs(30))?;
            ensure!(finished.status.success(), "{}", finished.stderr());
            Ok(serde_json::from_slice(&finished.stdout)?)
        };
        let (before, all) = (of(seen)?, of(&[seen, later].concat())?);
        let total = |saturation: &Value| saturation["total"].as_f64().context("a total");
        let new = total(&all)? - total(&before)?;
        let estimate = |field: &str| before["estimate"][field].as_f64().context("an estimate");
        expected += estimate("expected")?;
        found += new;
        inside += u32::from((estimate("least")?..=estimate("most")?).contains(&new));
    }
    let mean = |sum: f64| sum / f64::from(splits);
    println!("{splits} splits: {:.2} expected, {:.2} found, {inside} inside the interval", mean(expected), mean(found));
    ensure!((0.5..=2.0).contains(&(expected / found)), "expected {:.2}, found {:.2}", mean(expected), mean(found));
    ensure!(inside * 100 >= splits * 80, "{inside} of {splits} inside the interval of 90 %");
    Ok(())
}
