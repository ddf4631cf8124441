//! `ringfence containers` beside containers that run.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish};
use e2e::machine::{alone, unique_name};
use e2e::recorder::binary;
use e2e::runtime::Runtime;
use e2e::{need, sealed};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

fn containers(run: &mut Command, args: &[&str]) -> Result<String> {
    let finished = finish(run.arg("containers").args(args), LIMIT)?;
    ensure!(finished.status.success(), "{}: {}", finished.status, finished.stderr());
    Ok(finished.stdout())
}

fn listed(args: &[&str]) -> Result<Value> {
    let json = containers(&mut Command::new(binary()?), &[&["--format", "json"], args].concat())?;
    serde_json::from_str(&json).context(json)
}

fn find<'a>(listing: &'a Value, id: &str) -> Option<&'a Value> {
    listing["containers"].as_array()?.iter().find(|container| container["id"] == id)
}

#[test]
#[ignore = "needs root"]
fn a_bare_container_is_shown_with_its_confinement_and_its_processes() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&[])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", "/bin/sleep 1000 & exec /bin/sleep 2000"])?;
    let runtime = Runtime::new("runc")?;
    let id = unique_name("rf-list");
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    wait_for_sleep(container.pid())?;

    let listing = listed(&["--processes"])?;

    let shown = find(&listing, &id).with_context(|| format!("{id} is not listed: {listing:#}"))?;
    assert_eq!((&shown["init"]["pid"], &shown["init"]["pid_inside"]), (&container.pid().into(), &1.into()));
    let commands: Vec<&Value> = list(&shown["processes"]).iter().map(|process| &process["command"]).collect();
    for expected in [["/bin/sleep", "1000"], ["/bin/sleep", "2000"]] {
        ensure!(commands.contains(&&serde_json::json!(expected)), "{commands:#?}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", container.pid()))?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let effective = u64::from_str_radix(field("CapEff:"), 16)?;
    assert_eq!(list(&shown["capabilities"]["effective"]).len(), effective.count_ones() as usize);
    assert_eq!(shown["seccomp"]["mode"], "disabled");
    assert_eq!(shown["no_new_privileges"], field("NoNewPrivs:") == "1");
    let path = shown["cgroup"]["path"].as_str().context("no cgroup")?;
    ensure!(std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid()))?.contains(path), "{path}");
    ensure!(shown["cgroup"]["id"].as_str().is_some_and(|id| id.parse::<u64>().is_ok()), "{shown:#}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_table_fits_its_terminal_and_shows_no_control_character() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&[])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", "/bin/sleep 1000; :", "\x1b[2J\x07evil"])?;
    let runtime = Runtime::new("runc")?;
    let id = unique_name("rf-list");
    let container = runtime.create(&bundle, &id)?;
    container.start()?;

    for width in ["60", "140"] {
        let table = containers(Command::new(binary()?).env("COLUMNS", width), &["--processes"])?;

        let columns: usize = width.parse()?;
        ensure!(table.contains(&id), "{table}");
        ensure!(table.lines().all(|line| line.chars().count() <= columns), "{table}");
        ensure!(!table.chars().any(|c| c.is_control() && c != '\n'), "{table:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn an_ordinary_user_is_told_what_was_not_seen() -> Result<()> {
    need!("gcc", "runc", "busybox", "setpriv");
    let _alone = alone()?;
    let overlay = sealed::root_with(&[])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sleep", "1000"])?;
    let runtime = Runtime::new("runc")?;
    let container = runtime.create(&bundle, &unique_name("rf-list"))?;
    container.start()?;
    let folder = tempfile::Builder::new().prefix("ringfence-containers").tempdir()?;
    let program = folder.path().join("ringfence");
    std::fs::copy(binary()?, &program)?;
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody)?;
    let mut run = command("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups"]);

    let finished = finish(run.arg(&program).arg("containers"), LIMIT)?;

    ensure!(finished.status.success() && finished.stderr().contains("not seen: "), "{}", finished.stderr());
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Until the shell has become the program that it was told to.
fn wait_for_sleep(pid: u32) -> Result<()> {
    e2e::command::wait_until("the shell becomes sleep", LIMIT, || {
        Ok(std::fs::read(format!("/proc/{pid}/cmdline"))? == b"/bin/sleep\x002000\x00")
    })
}
