//! The levels that containers name by a label: what they are, whom a label names, and that they are refused where they cannot be had.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::blocking::{Blocking, Clean, run, status};
use e2e::command::wait_until;
use e2e::engines::{Docker, Engine, Wish};
use e2e::machine::{alone, unique_name};
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};

const LABEL: &str = "ringfence.level";
const STEP: Duration = Duration::from_secs(60);

/// The file of one level, as `--print` shows it.
fn printed(level: &str) -> Result<String> {
    let done = run(None, &["enforce", "--levels", "--print"])?;
    ensure!(done.status.success(), "--print: {}", done.stderr());
    let all = done.stdout();
    let file = all.split("---\n").find_map(|part| part.strip_prefix(&format!("# {level}.yaml\n")).map(str::to_owned));
    file.with_context(|| format!("{level} is not printed: {all}"))
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_denied_here_is_refused_and_leaves_nothing() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let folder = tempfile::tempdir()?;
    // Also if it is only counted, and beside policies that can be had.
    let policy = r#"{"schema_version":1,"containers":[{"container":"rf-none"}],"exec":["whoami"]}"#;
    std::fs::write(folder.path().join("a.json"), policy)?;
    let shown = folder.path().display().to_string();
    let done = run(None, &["enforce", "--once", "--policy", &shown])?;
    ensure!(done.status.success(), "enforce: {}", done.stderr());
    let is_kill = status()?["step"] == "kill";
    run(None, &["policy", "remove", "--all"])?;
    if !is_kill {
        println!("skipped: this kernel can have the levels, as tests/vm/cases/block-levels.sh shows");
        return Ok(());
    }
    for more in [&[][..], &["--audit"], &["--once"]] {
        let refused = run(None, &[&["enforce", "--levels"], more].concat())?;
        ensure!(refused.status.code() == Some(3), "{more:?} ends with {}: {}", refused.status, refused.stderr());
        let said = refused.stderr();
        ensure!(said.contains("level baseline") && said.contains("cannot be denied at the step kill"), "{said}");
        ensure!(!std::path::Path::new("/sys/fs/bpf/ringfence").exists(), "something stays pinned");
    }
    for wrong in
        [&["--levels", "--container", "web"][..], &["--levels", "--baseline", "web"], &["--audit"], &["--print"]]
    {
        let wrong_use = run(None, &[&["enforce"], wrong].concat())?;
        ensure!(wrong_use.status.code() == Some(2), "{wrong:?} ends with {}", wrong_use.status);
    }
    Ok(())
}

/// A level is a policy for a label: what of `restricted` can be had at every step holds the containers of docker that name it.
#[test]
#[ignore = "needs root"]
fn the_containers_of_docker_that_name_a_level_are_held_to_it() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let place = (docker.socket(), "docker.sock");
    // Its copy, changed: only what is of programs.
    let text = printed("restricted")?;
    let kept: Vec<&str> = text.lines().take_while(|line| *line != "mount: true").collect();
    ensure!(kept.last() == Some(&"image_binaries_only: true"), "restricted is written otherwise: {text}");
    let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    std::fs::write(file.path(), kept.join("\n") + "\n")?;

    let script = "cp /bin/busybox /root/written; exec sleep 1000";
    let args = ["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let start = |level: Option<&str>| -> Result<String> {
        let name = unique_name("rf-level");
        let label = level.map(|level| format!("{LABEL}={level}"));
        let more: Vec<&str> = label.iter().flat_map(|label| ["--label", label]).collect();
        docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &more })?;
        Ok(name)
    };
    let works = |name: &str, program: &str| -> Result<bool> {
        let said = docker.try_docker(&["exec", name, "/bin/sh", "-c", &format!("exec -a echo {program} works")])?;
        Ok(said.stdout().trim() == "works")
    };
    let there = |name: &str| docker.try_docker(&["exec", name, "/bin/busybox", "test", "-s", "/root/written"]);
    let (restricted, baseline, none) = (start(Some("restricted"))?, start(Some("baseline"))?, start(None)?);
    for name in [&restricted, &baseline, &none] {
        wait_until("the program is written", STEP, || Ok(there(name)?.status.success()))?;
        ensure!(works(name, "/root/written")?, "it does not work before");
    }

    let file = file.path().display().to_string();
    let blocking = Blocking::start(Some(&place), &["--policy", &file, "--format", "json"])?;
    ensure!(!works(&restricted, "/root/written")? && works(&restricted, "/bin/busybox")?, "{restricted}");
    for name in [&baseline, &none] {
        ensure!(works(name, "/root/written")?, "{name} is held to a level that it does not name");
    }
    let denials = blocking.expect_denials(1)?;
    ensure!(
        denials[0]["policy"]["name"] == "level restricted" && denials[0]["reason"] == "not_of_image",
        "{denials:?}"
    );
    // One that comes later.
    let later = start(Some("restricted"))?;
    blocking.wait_for(&format!("in force in {later}"))?;
    wait_until("the program is written", STEP, || Ok(there(&later)?.status.success()))?;
    ensure!(!works(&later, "/root/written")?, "one that came later is not held to its level");
    for name in [&restricted, &baseline, &none, &later] {
        docker.remove(name)?;
    }
    Ok(())
}
