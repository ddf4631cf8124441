//! Scripts: what interpreters ran, started in each of the ways in which that is done.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::engines::{Docker, Engine as _, Wish};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::recorder::{Recorder, record_command};
use e2e::reports::{Report, number};
use e2e::rootfs;
use e2e::workloads::BUSYBOX_IMAGE;

const LIMIT: Duration = Duration::from_secs(60);

/// Phase, name of the interpreter, path, text and count of a script.
type Script = (String, String, String, String, u64);

fn scripts(report: &Report) -> Result<BTreeSet<Script>> {
    let uses = report.json["behaviour"]["scripts"]["uses"].as_array().context("no scripts")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    uses.iter()
        .map(|one| {
            let interpreter = text(&one["interpreter"]);
            let name = interpreter.rsplit('/').next().unwrap_or_default().to_owned();
            Ok((text(&one["phase"]), name, text(&one["path"]), text(&one["text"]), number(&one["count"])?))
        })
        .collect()
}

#[test]
#[ignore = "needs root"]
fn each_way_to_run_a_script_is_told_with_its_path_or_text() -> Result<()> {
    need!("busybox");
    let _alone = alone()?;
    let folder = tempfile::Builder::new().prefix("ringfence-scripts").tempdir_in("/var/tmp")?;
    let folder = folder.path().display();
    for (name, first_line) in [("named", "#!/bin/dash"), ("found", "#!/usr/bin/env dash"), ("handed", "")] {
        let path = format!("{folder}/{name}");
        std::fs::write(&path, format!("{first_line}\n:\n"))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    let main = format!(
        "cd {folder}; ./named; {folder}/found; dash -e handed; dash -c ': 1' a b; dash -c ': 1'; \
         perl -e '1;' -e '2;'; busybox sh -c ': 2'; echo : | dash; echo : | dash -s x; ls >/dev/null"
    );

    let recording = record_command::<&str, &str>(&[], &["dash", "-c", &main], LIMIT)?;

    let report = recording.only()?;
    ensure!(report.json["sections"]["scripts"] == true, "{}", report.json["reasons"]);
    let expected = [
        ("dash", String::new(), main.as_str(), 1),
        ("dash", format!("{folder}/named"), "", 1),
        ("dash", format!("{folder}/found"), "", 1),
        ("dash", format!("{folder}/handed"), "", 1),
        ("dash", String::new(), ": 1", 2),
        ("perl", String::new(), "1;\n2;", 1),
        ("busybox", String::new(), ": 2", 1),
    ];
    let expected: BTreeSet<_> = expected
        .into_iter()
        .map(|(name, path, text, count)| ("main".to_owned(), name.to_owned(), path, text.to_owned(), count))
        .collect();
    let found = scripts(report)?;
    ensure!(found == expected, "{found:#?}\nand not\n{expected:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root and docker"]
fn what_a_session_runs_is_told_apart_from_the_workload() -> Result<()> {
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let name = unique_name("rf-scripts");
    let workload = "while [ ! -e /tmp/end ]; do sleep 1; done";

    let args = ["sh", "-c", workload].map(str::to_owned);
    docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &[] })?;
    docker.docker(&["exec", &name, "sh", "-c", "touch /tmp/end"])?;
    docker.docker(&["wait", &name])?;
    let recording = recorder.stop()?;

    let found = scripts(recording.of(&name)?)?;
    let one = |phase: &str, text: &str| (phase.to_owned(), "busybox".to_owned(), String::new(), text.to_owned(), 1);
    let expected = BTreeSet::from([one("main", workload), one("exec", "touch /tmp/end")]);
    ensure!(found == expected, "{found:#?}");
    Ok(())
}
