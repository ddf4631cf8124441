//! Nothing runs in a container but what a report of it saw: its own workload goes on, and all else is denied there and works elsewhere.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::blocking::{Blocking, Clean, Place, run, status};
use e2e::bundle::Bundle;
use e2e::cgroups::Cgroup;
use e2e::command::{Background, Finished, command, finish, wait_until};
use e2e::engines::{Docker, Engine, Podman, Wish};
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::recorder::Recorder;
use e2e::runtime::{Container, Runtime};
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};

const STEP: Duration = Duration::from_secs(60);

/// Makes what is tried later, then runs one script by its name for ever.
const WORKLOAD: [&str; 3] = [
    "/bin/sh",
    "-c",
    "cp /bin/busybox /tmp/busybox; mkdir -p /tmp/r/bin; cp /bin/busybox /tmp/r/bin/busybox; \
     printf '#!/bin/sh\\n/bin/busybox id -u >>/tmp/out\\n' >/tmp/work; cp /tmp/work /tmp/other; chmod 755 /tmp/work /tmp/other; \
     cd /tmp; while :; do ./work; /bin/busybox sleep 0.2; done",
];

/// Sessions that are recorded: each prints something.
const SEEN: [&[&str]; 4] = [
    &["/bin/busybox", "id", "-u"],
    &["/bin/busybox", "wc", "-l", "/tmp/out"],
    &["/bin/sh", "-c", "echo seen"],
    &["/bin/busybox", "chroot", "/", "/bin/busybox", "id", "-u"],
];

/// What is never recorded, and works without a policy. Each prints something.
const UNSEEN: [(&str, &[&str]); 6] = [
    ("an applet", &["/bin/busybox", "uname"]),
    ("an applet by its first argument", &["/bin/sh", "-c", "exec -a uname /bin/busybox"]),
    ("a copy", &["/tmp/busybox", "id", "-u"]),
    ("a copy called as what is listed", &["/bin/sh", "-c", "exec -a id /tmp/busybox"]),
    (
        "a copy where another root makes it look listed",
        &["/bin/busybox", "chroot", "/tmp/r", "/bin/busybox", "id", "-u"],
    ),
    ("a script", &["/bin/sh", "-c", "/tmp/other && echo ran"]),
];

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn works(finished: &Finished, what: &str) -> Result<()> {
    ensure!(finished.status.success(), "{what} fails: {} {}", finished.status, finished.stderr());
    ensure!(!finished.stdout().is_empty(), "{what} says nothing");
    Ok(())
}

fn fails(finished: &Finished, what: &str) -> Result<()> {
    ensure!(!finished.status.success(), "{what} works: {}", finished.stdout());
    ensure!(finished.stdout().is_empty(), "{what} said {}", finished.stdout());
    Ok(())
}

struct Tested<'a> {
    place: Option<&'a Place>,
    exec: &'a dyn Fn(&str, &[&str]) -> Result<Finished>,
    restart: &'a dyn Fn(&str) -> Result<()>,
}

impl Tested<'_> {
    fn in_container(&self, name: &str, args: &[&str]) -> Result<Finished> {
        (self.exec)(name, args)
    }

    /// How often the workload has run its script.
    fn count(&self, name: &str) -> Result<u64> {
        let counted = self.in_container(name, SEEN[1])?;
        works(&counted, "counting")?;
        Ok(counted.stdout().split_whitespace().next().context("no number")?.parse()?)
    }

    fn goes_on(&self, name: &str) -> Result<()> {
        let before = self.count(name)?;
        wait_until("the workload goes on", STEP, || Ok(self.count(name)? > before + 2))
    }

    /// One run, recorded from its start; the containers stay.
    fn the_task(&self, report: &Path, here: &str, elsewhere: &str) -> Result<()> {
        let report = report.display().to_string();
        for (what, args) in UNSEEN {
            works(&self.in_container(here, args)?, &format!("{what} without a policy"))?;
        }
        let _clean = Clean::start()?;

        let enforcing = Blocking::start_baseline(self.place, &[&report, "--programs-only", "--format", "json"])?;
        let is_kill = status()?["step"] == "kill";
        ensure!(enforcing.said().contains("one run alone cannot tell"), "{}", enforcing.said());
        for args in SEEN {
            works(&self.in_container(here, args)?, "what was seen")?;
        }
        self.goes_on(here)?;
        enforcing.expect_denials(0)?;
        for (at, (what, args)) in UNSEEN.iter().enumerate() {
            fails(&self.in_container(here, args)?, what)?;
            let denials = enforcing.expect_denials(at + 1).with_context(|| (*what).to_owned())?;
            let denial = &denials[at];
            ensure!(
                denial["reason"] == "not_listed"
                    && denial["container"]["name"].is_string() | denial["container"]["id"].is_string(),
                "{denial}"
            );
            ensure!(!is_kill || denial["action"] == "killed", "{denial}");
            works(&self.in_container(elsewhere, args)?, &format!("{what} elsewhere"))?;
        }
        works(&finish(&mut command("uname", [] as [&str; 0]), STEP)?, "the host")?;
        self.goes_on(here)?;

        // With no ringfence there, and started again by its runtime.
        enforcing.kill()?;
        (self.restart)(here)?;
        wait_until("the container runs again", STEP, || Ok(self.in_container(here, SEEN[0])?.status.success()))?;
        self.goes_on(here)?;
        for (what, args) in &UNSEEN[..3] {
            fails(&self.in_container(here, args)?, &format!("{what}, with no ringfence there"))?;
        }
        let removed = run(None, &["policy", "remove", "0"])?;
        ensure!(removed.status.success(), "policy remove: {}", removed.stderr());
        works(&self.in_container(here, UNSEEN[0].1)?, "an applet, afterwards")
    }
}

/// Starts it while it is recorded, and runs each session that is to be seen.
fn record(recorder: Recorder, here: &str, id: &str, tested: &Tested<'_>) -> Result<e2e::recorder::Recording> {
    wait_until("the workload has begun", STEP, || {
        Ok(tested.in_container(here, SEEN[1])?.stdout().split_whitespace().next().is_some_and(|lines| lines != "0"))
    })?;
    for args in SEEN {
        works(&tested.in_container(here, args)?, "what is recorded")?;
    }
    let recording = recorder.stop()?;
    recording.of(id)?.must_be_complete()?;
    Ok(recording)
}

#[test]
#[ignore = "needs root"]
fn nothing_but_what_a_report_saw_runs_in_a_container_of_docker() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (here, elsewhere) = (unique_name("rf-here"), unique_name("rf-elsewhere"));
    let place = (docker.socket(), "docker.sock");
    let tested = Tested {
        place: Some(&place),
        exec: &|name, args| docker.try_docker(&[&["exec", name], args].concat()),
        restart: &|name| docker.docker(&["restart", "--time", "0", name]).map(|_| ()),
    };
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let args = words(&WORKLOAD);
    for name in [&here, &elsewhere] {
        docker.run(&Wish { name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &[] })?;
    }
    let recording = record(recorder, &here, &here, &tested)?;
    tested.the_task(&recording.of(&here)?.path, &here, &elsewhere)
}

#[test]
#[ignore = "needs root"]
fn nothing_but_what_a_report_saw_runs_in_a_container_of_podman() -> Result<()> {
    need!("podman", "runc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (socket, _service) = (podman.socket(), podman.serve()?);
    let (here, elsewhere) = (unique_name("rf-here"), unique_name("rf-elsewhere"));
    let place = (socket.clone(), "podman/podman.sock");
    let tested = Tested {
        place: Some(&place),
        exec: &|name, args| podman.try_podman(&[&["exec", name], args].concat()),
        restart: &|name| podman.podman(&["restart", "--time", "0", name]).map(|_| ()),
    };
    let recorder = Recorder::start_beside(&socket, "podman/podman.sock", &["--all"])?;
    let args = words(&WORKLOAD);
    let wish = |name| Wish { name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &[] };
    let id = podman.run(&wish(&here))?.id;
    podman.run(&wish(&elsewhere))?;
    let recording = record(recorder, &here, &id, &tested)?;
    tested.the_task(&recording.of(&id)?.path, &here, &elsewhere)
}

fn in_bare_containers(program: &'static str) -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new(program)?;
    let (here, elsewhere) = (unique_name("rf-here"), unique_name("rf-elsewhere"));
    let (root, other_root) = (Overlay::above(&rootfs::busybox()?.folder)?, Overlay::above(&rootfs::busybox()?.folder)?);
    let bundle = Bundle::new(&root.root(), &WORKLOAD)?;
    let other_bundle = Bundle::new(&other_root.root(), &WORKLOAD)?;
    let begin = |bundle, name: &str| -> Result<Container<'_>> {
        let container = runtime.create(bundle, name)?;
        container.start()?;
        Ok(container)
    };
    let recorder = Recorder::start(&["--all"])?;
    let here_is = RefCell::new(Some(begin(&bundle, &here)?));
    let elsewhere_is = begin(&other_bundle, &elsewhere)?;
    let tested = Tested {
        place: None,
        exec: &|name, args| match here_is.borrow().as_ref() {
            Some(container) if container.id() == name => container.exec(args),
            _ => elsewhere_is.exec(args),
        },
        restart: &|name| {
            here_is.take().context("it does not run")?.delete()?;
            here_is.replace(Some(begin(&bundle, name)?));
            Ok(())
        },
    };
    let recording = record(recorder, &here, &here, &tested)?;
    tested.the_task(&recording.of(&here)?.path, &here, &elsewhere)
}

#[test]
#[ignore = "needs root"]
fn nothing_but_what_a_report_saw_runs_in_a_container_of_runc() -> Result<()> {
    need!("runc", "busybox");
    in_bare_containers("runc")
}

#[test]
#[ignore = "needs root"]
fn nothing_but_what_a_report_saw_runs_in_a_container_of_crun() -> Result<()> {
    need!("crun", "busybox");
    in_bare_containers("crun")
}

#[test]
#[ignore = "needs root"]
fn an_incomplete_report_is_refused_and_a_whole_one_makes_a_policy_for_a_folder_of_them() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let here = unique_name("rf-here");
    let root = Overlay::above(&rootfs::busybox()?.folder)?;
    let bundle = Bundle::new(&root.root(), &WORKLOAD)?;
    let recorder = Recorder::start(&["--all"])?;
    let container = runtime.create(&bundle, &here)?;
    container.start()?;
    wait_until("the workload has begun", STEP, || Ok(container.exec(SEEN[1])?.status.success()))?;
    let whole = recorder.stop()?;
    let late = Recorder::start(&["--all"])?.stop()?;

    let path = late.of(&here)?.path.display().to_string();
    let refused = run(None, &["enforce", "--once", "--baseline", &path])?;
    ensure!(refused.status.code() == Some(2), "it ends with {}: {}", refused.status, refused.stderr());
    ensure!(refused.stderr().contains("--allow-incomplete"), "{}", refused.stderr());
    ensure!(status()?["step"].is_null(), "something is in place");
    let allowed = run(None, &["enforce", "--baseline", &path, "--allow-incomplete", "--print"])?;
    ensure!(allowed.stderr().contains("incomplete: "), "{}", allowed.stderr());

    let path = whole.of(&here)?.path.display().to_string();
    let printed = run(None, &["enforce", "--baseline", &path, "--programs-only", "--print"])?;
    ensure!(printed.status.success() && status()?["step"].is_null(), "{}", printed.stderr());
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("here.json"), printed.stdout())?;
    let shown = folder.path().display().to_string();
    for _ in 0..2 {
        let done = run(None, &["enforce", "--once", "--policy", &shown])?;
        ensure!(done.status.success(), "enforce: {}", done.stderr());
    }
    let in_force = status()?;
    ensure!(in_force["policies"].as_array().map(Vec::len) == Some(1), "{in_force}");
    let listed = &in_force["policies"][0]["policy"]["only"];
    ensure!(listed["programs"] == serde_json::json!(["/bin/busybox"]), "{listed}");
    ensure!(listed["scripts"][0] == serde_json::json!({"path": "/tmp/work", "called": "./work"}), "{listed}");
    fails(&container.exec(UNSEEN[0].1)?, UNSEEN[0].0)?;
    works(&container.exec(SEEN[1])?, "what was seen")?;

    // Counted only, and both ways of being more than a list.
    let removed = run(None, &["policy", "remove", "0"])?;
    ensure!(removed.status.success(), "{}", removed.stderr());
    let audit = Blocking::start_baseline(None, &[&path, "--programs-only", "--audit", "--format", "json"])?;
    works(&container.exec(UNSEEN[0].1)?, "an applet, audited")?;
    let denials = audit.expect_denials(1)?;
    ensure!(denials[0]["action"] == "audited" && denials[0]["reason"] == "not_listed", "{denials:?}");
    Ok(())
}

/// Whoever shares the root of the host is not judged, and that is said before anything is promised.
#[test]
#[ignore = "needs root"]
fn a_container_in_the_root_of_the_host_is_refused() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let id = format!("{:064x}", std::process::id());
    let cgroup = Cgroup::create(&id)?;
    let process = Background::spawn(&mut command("sleep", ["1000"]))?;
    cgroup.take(process.pid().as_raw_nonzero().get().unsigned_abs())?;
    // One that has just begun may yet get a root of its own.
    std::thread::sleep(Duration::from_secs(21));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.json");
    let only = r#""only":{"programs":["/bin/sleep"]}"#;
    std::fs::write(&file, format!(r#"{{"schema_version":1,"containers":[{{"container":"{id}"}}],{only}}}"#))?;
    let refused = run(None, &["block", "--once", "--policy", &file.display().to_string()])?;
    ensure!(refused.status.code() == Some(3), "it ends with {}: {}", refused.status, refused.stderr());
    ensure!(refused.stderr().contains("is the host's"), "{}", refused.stderr());
    ensure!(status()?["step"].is_null(), "something is in place");
    drop(process);
    cgroup.wait_until_empty(STEP)?;
    cgroup.remove()
}
