//! `ringfence doctor`: what it says is what is so.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{command, finish};
use e2e::machine::alone;
use e2e::need;
use e2e::recorder::binary;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// The diagnosis, and the exit code.
fn doctor(mut run: Command) -> Result<(Value, Option<i32>)> {
    let finished = finish(run.args(["doctor", "--format", "json"]), LIMIT)?;
    let json = serde_json::from_slice(&finished.stdout)
        .with_context(|| format!("{}: {}{}", finished.status, finished.stdout(), finished.stderr()))?;
    Ok((json, finished.status.code()))
}

fn grade<'a>(diagnosis: &'a Value, feature: &str) -> &'a Value {
    let verdicts = diagnosis["verdicts"].as_array().map(Vec::as_slice).unwrap_or_default();
    verdicts.iter().find(|verdict| verdict["feature"] == feature).map_or(&Value::Null, |verdict| &verdict["grade"])
}

fn hook<'a>(diagnosis: &'a Value, kind: &str) -> &'a Value {
    let hooks = diagnosis["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    hooks.iter().find(|hook| hook["kind"] == kind).unwrap_or(&Value::Null)
}

#[test]
#[ignore = "needs root"]
fn every_program_delivers_exactly_what_the_test_did() -> Result<()> {
    let _alone = alone()?;
    let (diagnosis, code) = doctor(Command::new(binary()?))?;

    let sensors = &diagnosis["sensors"];
    ensure!(sensors["failure"].is_null() && sensors["untried"].is_null(), "{sensors:#}");
    let programs = sensors["programs"].as_array().context("no programs")?;
    for name in ["on_cgroup_mkdir", "on_fork_identity", "on_exec_process", "on_sys_enter", "on_sys_exit"] {
        ensure!(programs.iter().any(|program| program["name"] == name), "{name} is not named: {sensors:#}");
    }
    for program in programs {
        // Nothing that the test does goes to a disk for certain, or through io_uring.
        let untried = ["on_block_issue", "on_block_complete", "on_ring_request", "on_ring_entry"];
        let may_be_untried = untried.iter().any(|name| program["name"] == *name);
        let works = program["state"] == "works" && program["runs"] != 0;
        ensure!(works || (may_be_untried && program["state"] == "attached"), "{program:#}");
    }
    for feature in ["recording", "record -- COMMAND", "--trace-syscalls"] {
        ensure!(grade(&diagnosis, feature) == "works", "{feature}: {:#}", diagnosis["verdicts"]);
    }
    let all_work = diagnosis["verdicts"].as_array().context("no verdicts")?.iter().all(|it| it["grade"] == "works");
    assert_eq!(code, Some(if all_work { 0 } else { 1 }));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn no_cgroup_is_left_behind() -> Result<()> {
    let _alone = alone()?;

    doctor(Command::new(binary()?))?;

    let left = cgroups_of_ringfence(Path::new("/sys/fs/cgroup"), 3);
    ensure!(left.is_empty(), "cgroups were left: {left:?}");
    Ok(())
}

/// The cgroups that a doctor made, some levels down.
fn cgroups_of_ringfence(folder: &Path, levels: u32) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let is_ours = folder.ends_with("ringfence") && entry.file_name().to_string_lossy().starts_with("doctor-");
        found.extend(is_ours.then(|| path.clone()));
        if levels > 0 {
            found.extend(cgroups_of_ringfence(&path, levels - 1));
        }
    }
    found
}

#[test]
#[ignore = "needs root"]
fn what_each_kind_of_hook_answers_agrees_with_the_machine() -> Result<()> {
    let _alone = alone()?;
    let (diagnosis, _) = doctor(Command::new(binary()?))?;

    for kind in ["tp_btf", "raw_tp", "iter", "ring_buffer"] {
        ensure!(hook(&diagnosis, kind)["result"] == "works", "{:#}", hook(&diagnosis, kind));
    }
    let has_kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
    assert_eq!(hook(&diagnosis, "kprobe")["result"] == "works", has_kprobes);
    let lsms = diagnosis["machine"]["lsms"]["value"].as_str().context("the list of LSMs was not read")?;
    if !lsms.split(',').any(|name| name == "bpf") {
        ensure!(hook(&diagnosis, "lsm")["result"] != "works", "{:#}", hook(&diagnosis, "lsm"));
    }
    // A kernel in lockdown that refuses one trampoline refuses them all, and takes all the rest.
    if hook(&diagnosis, "fentry")["errno"] == "EPERM" {
        for kind in ["fentry", "fexit", "fmod_ret", "lsm"] {
            let hook = hook(&diagnosis, kind);
            ensure!(hook["step"] == "load" && hook["errno"] == "EPERM", "{hook:#}");
        }
        for kind in ["tracepoint", "perf_event", "uprobe", "cgroup", "task_storage", "cgroup_storage"] {
            ensure!(hook(&diagnosis, kind)["result"] == "works", "{:#}", hook(&diagnosis, kind));
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn securityfs_is_read_also_where_nobody_mounted_it() -> Result<()> {
    need!("unshare", "mountpoint");
    let _alone = alone()?;
    let hide = "if mountpoint -q /sys/kernel/security; then umount /sys/kernel/security; fi; exec \"$0\" \"$@\"";
    let mut run = command("unshare", ["--mount", "--propagation", "private", "sh", "-c", hide]);
    run.arg(binary()?);

    let (diagnosis, _) = doctor(run)?;

    let machine = &diagnosis["machine"];
    ensure!(machine["lsms"]["state"] == "known", "{:#}", machine["lsms"]);
    let mounts = machine["mounts"].as_array().context("no mounts")?;
    ensure!(mounts.iter().any(|it| it["name"] == "securityfs" && it["mounted_at"].is_null()), "{mounts:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn an_ordinary_user_is_told_what_is_needed() -> Result<()> {
    need!("setpriv");
    let folder = tempfile::Builder::new().prefix("ringfence-doctor").tempdir()?;
    let program = folder.path().join("ringfence");
    std::fs::copy(binary()?, &program)?;
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody)?;
    let mut run = command("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    run.arg(&program);

    let (diagnosis, code) = doctor(run)?;

    assert_eq!((code, grade(&diagnosis, "recording")), (Some(1), &Value::from("fails")));
    let why = diagnosis["verdicts"][0]["why"][0].as_str().context("no reason")?;
    ensure!(why.contains("CAP_BPF") && why.contains("sudo"), "{why}");
    ensure!(hook(&diagnosis, "tp_btf")["result"] == "not_tried", "{:#}", hook(&diagnosis, "tp_btf"));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_cost_of_a_call_is_measured() -> Result<()> {
    let _alone = alone()?;
    let (diagnosis, _) = doctor(Command::new(binary()?))?;

    let cost = &diagnosis["cost"];
    ensure!(cost["map_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{cost:#}");
    let least = |kind: &str| cost["getppid"][kind]["min_ns"].as_f64().with_context(|| format!("{cost:#}"));
    let (untraced, inside) = (least("untraced")?, least("inside")?);
    ensure!(0.0 < untraced && untraced < inside, "counting is not free: {cost:#}");
    Ok(())
}
