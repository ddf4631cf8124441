//! Bad input and faults: one message that says what, why and what to do, a documented exit code, nothing left behind.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{Background, Finished, command, finish, must, poll, wait_until};
use e2e::host_bpf;
use e2e::machine::{alone, unique_name};
use e2e::recorder::{Recorder, binary, record_command, ringfence};
use e2e::reports::Report;
use e2e::runtime::Runtime;
use e2e::{need, sealed};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// The documented exit codes: nothing was done; a command could not be recorded; there is no such command.
const ERROR: i32 = 2;
const COMMAND_NOT_RECORDED: i32 = 125;
const NO_COMMAND: i32 = 127;
const NONE: [&str; 0] = [];

fn is_one_message(finished: &Finished, code: i32, about: &str) -> Result<()> {
    let said = finished.stderr();
    ensure!(finished.status.code() == Some(code), "{}, not exit code {code}: {said}", finished.status);
    ensure!(said.contains(about), "no word of {about:?}: {said}");
    ensure!(!said.contains("panicked"), "a panic: {said}");
    ensure!(finished.stdout.is_empty(), "notes on standard output: {}", finished.stdout());
    Ok(())
}

fn is_empty(folder: &Path) -> Result<()> {
    let left: Vec<_> = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_wrong_argument_is_named() -> Result<()> {
    let _alone = alone()?;
    let cases: [(&[&str], i32, &str); 8] = [
        (&["record", "--nonsense"], ERROR, "--nonsense"),
        (&["record", "--for", "soon"], ERROR, "soon"),
        (&["record", "--for=-3s", "--all"], ERROR, "-3s"),
        (&["record", "--pid", "0"], ERROR, "0"),
        (&["record", "--pid", "four"], ERROR, "four"),
        (&["record", "--", "/nothing/is/here"], NO_COMMAND, "/nothing/is/here"),
        (&["report", "/nothing/is/here"], ERROR, "/nothing/is/here"),
        (&["nonsense"], ERROR, "nonsense"),
    ];
    for (args, code, about) in cases {
        let folder = tempfile::tempdir()?;
        let finished = finish(command(binary()?, args).current_dir(folder.path()), LIMIT)?;
        is_one_message(&finished, code, about).with_context(|| format!("{args:?}"))?;
        is_empty(folder.path()).with_context(|| format!("{args:?}"))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_process_that_does_not_exist_is_named() -> Result<()> {
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let mut gone = Background::spawn(&mut command("true", NONE))?;
    let pid = gone.pid().as_raw_nonzero().to_string();
    gone.wait(LIMIT)?;

    let finished = ringfence(&["record", "--out", &folder.path().display().to_string(), "--pid", &pid], LIMIT)?;

    is_one_message(&finished, ERROR, &pid)?;
    is_empty(folder.path())
}

#[test]
#[ignore = "needs root"]
fn an_exit_code_is_passed_on() -> Result<()> {
    let _alone = alone()?;
    for code in [0, 1, 2, 7, 255] {
        let recording = record_command(&NONE, &["/bin/sh", "-c", &format!("exit {code}")], LIMIT)?;
        assert_eq!(recording.status.code(), Some(code));
        recording.only()?.must_be_complete()?;
    }
    let recording = record_command(&NONE, &["/bin/sh", "-c", "kill -KILL $$"], LIMIT)?;
    assert_eq!(recording.status.code(), Some(128 + 9));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_cannot_be_written_to_is_an_error_before_anything_runs() -> Result<()> {
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let proof = folder.path().join("ran");
    let file = folder.path().join("file");
    std::fs::write(&file, "")?;
    let read_only = Mounted::tmpfs(folder.path(), "read-only", "ro,size=1m")?;
    for out in [file.as_path(), read_only.place.as_path(), Path::new("/proc")] {
        let out = out.display().to_string();
        let finished = ringfence(&["record", "--out", &out, "--", "/bin/touch", &proof.display().to_string()], LIMIT)?;
        is_one_message(&finished, COMMAND_NOT_RECORDED, &out)?;
        ensure!(!proof.exists(), "{out}: the command ran although nothing could be written");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_leaves_no_partial_report() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let full = Mounted::tmpfs(folder.path(), "full", "size=64k")?;
    let filled = std::fs::write(full.place.join("filler"), vec![0; 60 << 10]);
    filled.context("fill the disk")?;
    let out = full.place.display().to_string();
    let forks = sealed::on_host("forks")?;

    let finished = ringfence(&["record", "--out", &out, "--", &forks, "300", "1"], LIMIT)?;

    is_one_message(&finished, COMMAND_NOT_RECORDED, &out)?;
    for entry in std::fs::read_dir(&full.place)? {
        let name = entry?.file_name();
        ensure!(name == "filler", "left behind: {name:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn without_privilege_the_missing_capabilities_are_named() -> Result<()> {
    need!("setpriv");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    // Where another user can reach it.
    let copy = folder.path().join("ringfence");
    std::fs::copy(binary()?, &copy)?;
    open_to_all(folder.path())?;
    let mut run = command("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    run.arg(&copy).args(["record", "--out", "/tmp", "--", "/bin/true"]);

    let finished = finish(&mut run, LIMIT)?;

    is_one_message(&finished, COMMAND_NOT_RECORDED, "CAP_BPF")?;
    let without = ["--bounding-set", "-bpf,-sys_admin", "--inh-caps", "-bpf,-sys_admin"];
    let mut run = command("setpriv", without);
    run.arg(&copy).args(["record", "--out", "/tmp", "--", "/bin/true"]);
    is_one_message(&finish(&mut run, LIMIT)?, COMMAND_NOT_RECORDED, "CAP_BPF")
}

fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?)
}

#[test]
#[ignore = "needs root"]
fn a_kill_leaves_nothing_attached() -> Result<()> {
    need!("bpftool");
    let _alone = alone()?;
    let recorder = Recorder::start(&["--all"])?;
    let held = host_bpf::held_by(recorder.pid())?;
    ensure!(held.iter().any(|(kind, _)| *kind == "prog"), "no program was attached: {held:?}");

    recorder.signal(Signal::KILL)?;
    let recording = recorder.wait()?;

    ensure!(recording.reports.is_empty(), "a report by a dead program");
    let mut left = Vec::new();
    let clean = poll(Duration::from_secs(10), || {
        left = host_bpf::loaded()?.into_iter().filter(|(object, _)| held.contains(object)).collect();
        Ok(left.is_empty())
    })?;
    ensure!(clean, "left behind: {left:?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn after_a_kill_the_next_recording_cleans_up_and_tells_only_of_its_own_command() -> Result<()> {
    let _alone = alone()?;
    let _sweep = Sweep;
    let folder = tempfile::tempdir()?;
    let flag = folder.path().join("flag");
    let script = format!("touch {}; exec sleep 1", flag.display());
    let mut run = command(binary()?, ["record", "--out"]);
    run.arg(folder.path()).args(["--", "/bin/sh", "-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut ringfence = Background::spawn(&mut run)?;
    wait_until("the command runs", LIMIT, || Ok(flag.exists()))?;
    ringfence.signal(Signal::KILL)?;
    ringfence.wait(LIMIT)?;

    record_command(&NONE, &["/bin/true"], LIMIT)?.only().context("while the orphan runs")?;
    std::thread::sleep(Duration::from_secs(2));
    record_command(&NONE, &["/bin/true"], LIMIT)?.only().context("after it ended")?;

    let left = sandboxes()?;
    ensure!(left.is_empty(), "cgroups left behind: {left:?}");
    Ok(())
}

/// Ends and removes, when dropped, what a recording that was cut short may have left.
struct Sweep;

impl Drop for Sweep {
    fn drop(&mut self) {
        for sandbox in sandboxes().unwrap_or_default() {
            let inside = std::fs::read_to_string(sandbox.join("cgroup.procs")).unwrap_or_default();
            for pid in inside.lines().filter_map(|line| rustix::process::Pid::from_raw(line.parse().ok()?)) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            let _ = poll(Duration::from_secs(2), || Ok(std::fs::remove_dir(&sandbox).is_ok()));
        }
    }
}

/// The cgroups that `ringfence` made for commands.
fn sandboxes() -> Result<Vec<std::path::PathBuf>> {
    let mut left = Vec::new();
    for (root, _) in e2e::cgroups::hierarchies()? {
        let Ok(entries) = std::fs::read_dir(root.join("ringfence")) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            }
        }
    }
    Ok(left)
}

#[test]
#[ignore = "needs root"]
fn interrupting_twice_still_writes_the_reports() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let runtime = Runtime::new("runc")?;
    let ids: Vec<String> = (0..5).map(|_| unique_name("rf-e2e")).collect();
    let recorder = Recorder::start(&["--all"])?;
    for id in &ids {
        runtime.run(&Bundle::new(&overlay.root(), &["/bin/exact", "unknown", "3"])?, id, LIMIT)?;
    }

    recorder.signal(Signal::INT)?;
    // The second may come after the end.
    let _ = recorder.signal(Signal::INT);
    let recording = recorder.wait()?;

    ensure!(matches!(recording.status.code(), Some(0 | 1)), "{}: {}", recording.status, recording.stderr);
    for id in &ids {
        assert_eq!(recording.of(id)?.count("main", "nr 999")?, 3);
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn an_interrupt_reaches_the_command_and_its_report_is_written() -> Result<()> {
    let _alone = alone()?;
    let _sweep = Sweep;
    let folder = tempfile::tempdir()?;
    let flag = folder.path().join("flag");
    let out = folder.path().join("out");
    std::fs::create_dir(&out)?;
    let script = format!("trap 'exit 5' INT TERM; touch {}; for i in $(seq 100); do sleep 0.05; done", flag.display());
    let mut run = command(binary()?, ["record", "--out"]);
    run.arg(&out).args(["--", "/bin/sh", "-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut ringfence = Background::spawn(&mut run)?;
    wait_until("the command runs", LIMIT, || Ok(flag.exists()))?;

    ringfence.signal(Signal::INT)?;
    let status = ringfence.wait(LIMIT)?;

    assert_eq!(status.code(), Some(5));
    assert_eq!(Report::read_all(&out)?.len(), 1);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_time_limit_ends_a_recording() -> Result<()> {
    let _alone = alone()?;
    let began = Instant::now();
    let recorder = Recorder::start(&["nobody-has-this-name", "--for", "1s"])?;

    let recording = recorder.wait()?;

    ensure!(recording.status.success(), "{}: {}", recording.status, recording.stderr);
    let took = began.elapsed();
    ensure!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "it took {took:?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_broken_or_future_report_is_refused_by_name() -> Result<()> {
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let recording = record_command(&NONE, &["/bin/true"], LIMIT)?;
    let whole = std::fs::read(&recording.only()?.path)?;
    let mut future = recording.only()?.json.clone();
    future["schema_version"] = 999.into();
    let cases = [
        ("cut.json", whole[..whole.len() / 2].to_vec()),
        ("empty.json", Vec::new()),
        ("bytes.json", vec![0xff; 100]),
        ("future.json", serde_json::to_vec(&future)?),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        let finished = ringfence(&["report", &path.display().to_string()], LIMIT)?;
        is_one_message(&finished, ERROR, name)?;
    }
    Ok(())
}

/// A mounted file system; dropped, it is unmounted.
struct Mounted {
    place: std::path::PathBuf,
}

impl Mounted {
    fn tmpfs(folder: &Path, name: &str, options: &str) -> Result<Mounted> {
        let place = folder.join(name);
        std::fs::create_dir(&place)?;
        must(command("mount", ["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&place))?;
        Ok(Mounted { place })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = must(command("umount", ["-l"]).arg(&self.place));
    }
}
