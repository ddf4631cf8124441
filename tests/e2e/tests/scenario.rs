//! `ringfence scenario`: what each scenario added, on a real engine, and what follows from all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::command::Finished;
use e2e::engines::{Docker, Engine};
use e2e::machine::alone;
use e2e::recorder::{ringfence, ringfence_beside};
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

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a plain path")
}
