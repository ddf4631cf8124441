//! What was written in recorded runs is listed by name or by folder, what one run more would lose is said, and where writing cannot be
//! denied nothing is promised.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::blocking::{Clean, run, status};
use e2e::bundle::Bundle;
use e2e::command::{Finished, wait_until};
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::recorder::Recorder;
use e2e::runtime::Runtime;
use e2e::{need, rootfs};
use serde_json::{Value, json};

const STEP: Duration = Duration::from_secs(60);

/// Writes the same names in each run, and two of chance: one in a folder of its own and one in that of the system.
const WORKLOAD: [&str; 3] = [
    "/bin/sh",
    "-c",
    "name=$(/bin/busybox cat /proc/sys/kernel/random/uuid); /bin/busybox mkdir -p /var/log/app; echo x >/var/log/app/log; \
     echo x >/run/app.pid.new; /bin/busybox mv /run/app.pid.new /run/app.pid; /bin/busybox mktemp /tmp/xXXXXXX; \
     echo x >/srv/app/part-$name; echo x >/etc/part-$name; echo x >/dev/null; echo app >/proc/self/comm; \
     echo x >/srv/app/ready; while :; do /bin/busybox sleep 0.2; done",
];

fn ended_with(finished: &Finished, code: i32) -> Result<()> {
    ensure!(finished.status.code() == Some(code), "it ends with {}: {}", finished.status, finished.stderr());
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_was_written_is_listed_and_nothing_is_promised_where_writing_cannot_be_denied() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let mut recordings = Vec::new();
    let mut paths = Vec::new();
    for at in 0..3 {
        let name = unique_name("rf-written");
        let root = Overlay::above(&rootfs::busybox()?.folder)?;
        for folder in ["etc", "run", "srv/app", "tmp", "var/log"] {
            std::fs::create_dir_all(root.root().join(folder))?;
        }
        let bundle = Bundle::new(&root.root(), &WORKLOAD)?;
        let recorder = Recorder::start(&["--all"])?;
        let container = runtime.create(&bundle, &name)?;
        container.start()?;
        wait_until("the workload is ready", STEP, || Ok(root.root().join("srv/app/ready").exists()))?;
        if at == 2 {
            let session = container.exec(&["/bin/sh", "-c", "echo x >/etc/once; echo done"])?;
            ensure!(session.status.success(), "{}", session.stderr());
        }
        let recording = recorder.stop()?;
        recording.of(&name)?.must_be_complete()?;
        paths.push(recording.of(&name)?.path.display().to_string());
        recordings.push(recording);
        container.delete()?;
    }
    let enforce = |more: &[&str]| {
        let reports: Vec<&str> = paths.iter().map(String::as_str).collect();
        let whom = ["--container", "rf-nobody"];
        run(None, &[&["enforce", "--baseline"], reports.as_slice(), &whom, more].concat())
    };

    let printed = enforce(&["--print"])?;
    ended_with(&printed, 0)?;
    let policy: Value = serde_json::from_str(&printed.stdout())?;
    let listed = policy["only"]["written"].as_array().context("no places")?;
    // The names of chance in the system's folder are listed one by one.
    let (of_chance, others): (Vec<&Value>, Vec<&Value>) =
        listed.iter().partition(|place| place.as_str().is_some_and(|place| place.starts_with("/etc/part-")));
    ensure!(of_chance.len() == 3, "{listed:?}");
    let expected =
        json!(["/etc/once", "/run/app.pid", "/run/app.pid.new", "/srv/app/", "/tmp/", "/var/log/app", "/var/log/app/"]);
    ensure!(json!(others) == expected, "{listed:?}");
    let said = printed.stderr();
    for line in [
        "written: 7 files, 3 folders with all below",
        "names change in /etc, which is the system's and is not opened for that",
        "each run, if only where the others wrote might be written: 4 of ",
        "/etc/once",
    ] {
        ensure!(said.contains(line), "{line:?} is not said: {said}");
    }
    ensure!(status()?["step"].is_null(), "something is in place");

    let programs = enforce(&["--print", "--programs-only"])?;
    ended_with(&programs, 0)?;
    let policy: Value = serde_json::from_str(&programs.stdout())?;
    ensure!(policy["only"].get("written").is_none() && !programs.stderr().contains("written: "), "{policy}");

    // Only where writing can be denied it is in force: else nothing is, not even of programs, until that is asked for.
    let whole = enforce(&["--later", "--once"])?;
    if whole.status.success() {
        ensure!(status()?["step"] != "kill", "it is said to be in force at the step kill");
        return Ok(());
    }
    ended_with(&whole, 3)?;
    let said = whole.stderr();
    ensure!(said.contains("writing what is not listed cannot be denied at the step kill"), "{said}");
    ensure!(said.contains("--programs-only"), "{said}");
    ensure!(status()?["step"].is_null(), "something is in place");
    let audit = enforce(&["--later", "--once", "--audit"])?;
    ended_with(&audit, 3)?;
    ended_with(&enforce(&["--later", "--once", "--programs-only"])?, 0)?;
    ensure!(status()?["step"] == "kill", "nothing is in place");
    Ok(())
}
