//! `ringfence scenario`: what each scenario added, on a real engine, and what follows from all of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::command::Finished;
use e2e::engines::{Docker, Engine, Podman};
use e2e::machine::{alone, find_program};
use e2e::recorder::{ringfence, ringfence_beside, ringfence_with_path};
use e2e::reports::list;
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(240);

/// A web server; when it is told that something is wrong it makes a link, which it does at no other time.
fn plan(engine: &str) -> String {
    let server = "busybox httpd -p 127.0.0.1:8080 -h /etc; \
        while :; do if [ -e /tmp/wrong ]; then busybox ln -s /tmp/wrong /tmp/seen; rm /tmp/wrong; fi; \
        busybox usleep 100000; done";
    format!(
        r#"
[container]
engine = "{engine}"
image = "{BUSYBOX_IMAGE}"
command = ["sh", "-c", '''{server}''']
flags = ["--stop-signal", "KILL"]
settle = "500ms"
ready = "$RINGFENCE_ENGINE exec $RINGFENCE_CONTAINER busybox wget -q -O /dev/null http://127.0.0.1:8080/passwd"

[[scenario]]
name = "requests"
exec = ["sh", "-c", "for i in 1 2 3; do busybox wget -q -O /dev/null http://127.0.0.1:8080/passwd || exit 1; done"]

[[scenario]]
name = "errors"
exec = "touch /tmp/wrong; busybox sleep 1; busybox test -h /tmp/seen"

[[scenario]]
name = "fails"
run = "exit 7"
expect = 3
"#
    )
}

fn row<'t>(table: &'t str, call: &str) -> Result<&'t str> {
    table.lines().find(|line| line.starts_with(&format!("{call} "))).with_context(|| format!("{call} in {table}"))
}

fn nothing_is_left(docker: &Docker) -> Result<()> {
    let left = docker.docker(&["ps", "--all", "--quiet", "--filter", "label=ringfence.scenario"])?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn each_scenario_says_what_it_added_and_the_recommendation_has_it() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let folder = tempfile::tempdir()?;
    let (file, out) = (folder.path().join("plan.toml"), folder.path().join("runs.json"));
    std::fs::write(&file, plan("docker"))?;
    let run = |more: &[&str]| -> Result<Finished> {
        let mut args = vec!["scenario", "run", text(&file)?];
        args.extend(more);
        ringfence_beside(&docker.socket(), "docker.sock", &args, LIMIT)
    };

    let finished = run(&["--out", text(&out)?, "--all"])?;

    println!("{}", finished.stdout());
    // One scenario does not end as the plan says.
    let (table, says) = (finished.stdout(), finished.stderr());
    ensure!(finished.status.code() == Some(1), "{:?}: {says}", finished.status);
    ensure!(says.contains("requests: as expected") && says.contains("errors: as expected"), "{says}");
    ensure!(says.contains("fails: not exit status 3 but exit status: 7"), "{says}");
    let made = row(&table, "symlink")?;
    ensure!(made.contains("1 of 4") && made.contains("..x.") && made.ends_with("errors"), "{table}");
    ensure!(row(&table, "execve")?.contains("4 of 4"), "{table}");
    nothing_is_left(&docker)?;

    let merged: Value = serde_json::from_slice(&std::fs::read(&out)?)?;
    ensure!(list(&merged["runs"]).len() == 4, "{} runs", list(&merged["runs"]).len());
    let allows = |file: &Path| -> Result<bool> {
        let recommended = ringfence(&["recommend", text(file)?, "--format", "json"], LIMIT)?;
        ensure!(recommended.status.success(), "{}", recommended.stderr());
        let recommendation: Value = serde_json::from_slice(&recommended.stdout)?;
        Ok(list(&recommendation["seccomp"]["allowed"]).iter().any(|call| call["name"] == "symlink"))
    };
    ensure!(allows(&out)?, "what only the error showed is allowed");
    // Without the scenario it is not: the link is what the scenario added.
    let start = folder.path().join("start.json");
    std::fs::write(&start, list(&merged["runs"])[0].to_string())?;
    ensure!(!allows(&start)?, "symlink at start-up");
    let lacks = ringfence(&["diff", text(&start)?, text(&out)?], LIMIT)?;
    ensure!(lacks.stdout().contains("+ symlink (x86_64): not made -> made"), "{}", lacks.stdout());

    // What cannot be started leaves nothing behind, either.
    std::fs::write(&file, plan("docker").replace("--stop-signal", "--no-such-flag"))?;
    let refused = run(&[])?;
    ensure!(refused.status.code() == Some(2), "{:?}", refused.status);
    ensure!(refused.stderr().contains("docker cannot start"), "{}", refused.stderr());
    nothing_is_left(&docker)?;

    // Nor does what is ended by a signal, which comes here from the command itself.
    std::fs::write(&file, plan("docker").replace("exit 7", "kill -INT $PPID; sleep 100"))?;
    let began = Instant::now();
    let ended = run(&[])?;
    ensure!(ended.status.code() == Some(2), "{:?}", ended.status);
    ensure!(ended.stderr().contains("ended by a signal"), "{}", ended.stderr());
    ensure!(began.elapsed() < Duration::from_secs(90), "the command was waited for");
    nothing_is_left(&docker)
}

/// Podman's API does not listen here: the containers are told by their ids alone.
#[test]
#[ignore = "needs root"]
fn podman_starts_the_containers_as_well() -> Result<()> {
    need!("podman", "runc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let folder = tempfile::tempdir()?;
    let (file, program) = (folder.path().join("plan.toml"), folder.path().join("podman"));
    let with_host = plan("podman").replace("\"--stop-signal\"", "\"--network\", \"host\", \"--stop-signal\"");
    // Its own default is more than a user without CAP_SYS_RESOURCE may set.
    let limits = r#""--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", "--network""#;
    std::fs::write(&file, with_host.replace("\"--network\"", limits))?;
    let real = podman.command(&[]);
    let words = std::iter::once(real.get_program()).chain(real.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let own = find_program("podman").context("no podman")?;
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\"\n",
        words.join(" ").replacen("'podman'", &format!("'{}'", own.display()), 1)
    );
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);

    let finished = ringfence_with_path(&path, &["scenario", "run", text(&file)?, "--format", "json"], LIMIT)?;

    let says = finished.stderr();
    ensure!(finished.status.code() == Some(1), "{:?}: {says}", finished.status);
    ensure!(says.contains("errors: as expected"), "{says}");
    let presence: Value = serde_json::from_slice(&finished.stdout)?;
    let symlink = list(&presence["permissions"]).iter().find(|one| one["name"] == "symlink");
    ensure!(symlink.context("a link was made")?["columns"] == serde_json::json!([2]), "{symlink:?}");
    let left = podman.podman(&["ps", "--all", "--quiet"])?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a plain path")
}
