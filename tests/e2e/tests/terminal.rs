//! Sessions on terminals: the workload's own, and those that are entered later.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::engines::{Docker, Engine as _, Wish};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::recorder::{Recorder, record_command, ringfence};
use e2e::reports::{list, number};
use e2e::rootfs;
use e2e::workloads::BUSYBOX_IMAGE;
use serde_json::Value;

#[test]
#[ignore = "needs root and docker"]
fn each_session_has_its_terminal_and_says_how_it_came_about() -> Result<()> {
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all", "--terminal"])?;
    let name = unique_name("rf-terminal");

    let args = ["sh", "-c", "while [ ! -e /tmp/end ]; do sleep 1; done"].map(str::to_owned);
    docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &["--tty"] })?;
    let inside = docker.docker(&["exec", "--tty", &name, "sh", "-c", "tty; :"])?;
    // Without a terminal.
    docker.docker(&["exec", &name, "touch", "/tmp/end"])?;
    docker.docker(&["wait", &name])?;
    let recording = recorder.stop()?;

    let report = recording.of(&name)?;
    ensure!(report.json["sections"]["terminals"] == true, "{}", report.json["reasons"]);
    let sessions = list(&report.json["behaviour"]["terminals"]["sessions"]);
    let of = |phase: &str| {
        let found: Vec<_> = sessions.iter().filter(|one| one["phase"] == phase).collect();
        let [one] = found[..] else { anyhow::bail!("sessions of {phase}: {sessions:#?}") };
        Ok((one["device"]["major"].as_u64(), one["device"]["minor"].as_u64(), number(&one["programs"])?))
    };
    let (major, _, programs) = of("main")?;
    ensure!(major == Some(136) && programs >= 2, "{sessions:#?}");
    // The shell; what says which terminal it has may be a part of it.
    let (major, minor, programs) = of("exec")?;
    ensure!(major == Some(136) && programs >= 1, "{sessions:#?}");
    let said = inside.trim().strip_prefix("/dev/pts/").with_context(|| format!("no terminal: {inside}"))?;
    ensure!(minor == Some(said.parse()?), "{sessions:#?}, but it said {inside}");
    let shown = list(&transcript(&report.json)?["passages"]).to_vec();
    ensure!(
        shown.len() == 1 && shown[0]["typed"] == false && shown[0]["text"] == format!("/dev/pts/{said}\n"),
        "{shown:#?}"
    );
    Ok(())
}

/// Somebody types these at a shell in a session of its own, each a while after the other.
fn typed(lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("sleep 0.8; echo '{line}'")).collect();
    format!("({}; sleep 0.8) | script -qc 'PS1=\"$ \" sh' /dev/null", lines.join("; "))
}

fn transcript(report: &Value) -> Result<&Value> {
    let sessions = list(&report["behaviour"]["terminals"]["sessions"]);
    let with: Vec<_> = sessions.iter().filter(|one| one["transcript"].is_object()).collect();
    ensure!(with.len() == 1, "{sessions:#?}");
    Ok(&with[0]["transcript"])
}

#[test]
#[ignore = "needs root"]
fn what_is_typed_and_shown_is_kept_but_no_password_and_no_secret() -> Result<()> {
    need!("script");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events.ndjson").display().to_string();
    let lines = [
        "echo first; export DB_PASSWORD=hunter2",
        "stty -echo; read word; stty echo",
        "sesame",
        "echo $word | rev",
        "exit",
    ];

    let args = ["--terminal", "--redact", "f[i]rst", "--events", &events];
    let recording = record_command(&args, &["sh", "-c", &typed(&lines)], Duration::from_secs(60))?;

    let report = recording.only()?;
    let transcript = transcript(&report.json)?;
    let passages = list(&transcript["passages"]);
    let of = |typed: bool| {
        let texts = passages.iter().filter(|one| one["typed"] == typed).filter_map(|one| one["text"].as_str());
        texts.collect::<Vec<_>>()
    };
    let expected = [
        "echo [redacted]; export DB_PASSWORD=[redacted]\n",
        "stty -echo; read word; stty echo\n",
        "echo $word | rev\n",
        "exit\n",
    ];
    ensure!(of(true) == expected, "{transcript:#}");
    let shown = of(false).concat();
    ensure!(shown.contains("[redacted]\n") && shown.contains("emases\n"), "{transcript:#}");
    ensure!(transcript["hidden_bytes"] == "7" && transcript["is_cut"] == false, "{transcript:#}");
    ensure!(number(&transcript["redacted"])? == 3, "{transcript:#}");
    let whole = report.json.to_string();
    // The command itself, with what was typed, is the argument of a program that is in the report.
    let said =
        list(&report.json["behaviour"]["terminals"]["sessions"]).iter().map(Value::to_string).collect::<String>();
    ensure!(!said.contains("hunter2") && !said.contains("sesame"), "{whole}");

    let events = std::fs::read_to_string(&events)?;
    let texts: Vec<&str> = events.lines().filter(|line| line.contains("\"kind\":\"terminal_text\"")).collect();
    ensure!(texts.len() >= 8 && texts.iter().all(|line| !line.contains("text\":\"")), "{texts:#?}");
    ensure!(texts.iter().all(|line| !line.contains("hunter2") && !line.contains("emases")), "{texts:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn no_more_is_kept_of_a_terminal_than_was_asked_for_and_nothing_if_nothing_was() -> Result<()> {
    need!("script");
    let _alone = alone()?;
    let flood = ["sh", "-c", "script -qc 'seq 100000' /dev/null </dev/null"];

    let recording = record_command(&["--terminal=1K"], &flood, Duration::from_secs(60))?;
    let transcript = transcript(&recording.only()?.json)?.clone();
    let kept: usize = list(&transcript["passages"]).iter().filter_map(|one| one["text"].as_str()).map(str::len).sum();
    ensure!(kept == 1024 && transcript["is_cut"] == true, "{kept} bytes: {transcript:#}");

    let recording = record_command::<&str, &str>(&[], &flood, Duration::from_secs(60))?;
    let sessions = recording.only()?.json["behaviour"]["terminals"]["sessions"].clone();
    ensure!(list(&sessions).iter().all(|one| one["transcript"].is_null()), "{sessions:#}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_pattern_that_is_none_is_refused_before_anything_runs() -> Result<()> {
    let finished = ringfence(&["record", "--terminal", "--redact", "(", "--", "true"], Duration::from_secs(60))?;

    ensure!(finished.status.code() == Some(125), "{}", finished.status);
    ensure!(finished.stderr().contains("--redact (: this is no regular expression"), "{}", finished.stderr());
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_command_without_a_terminal_has_no_session() -> Result<()> {
    let _alone = alone()?;

    let recording = record_command::<&str, &str>(&[], &["setsid", "-w", "sh", "-c", ":"], Duration::from_secs(60))?;

    let terminals = &recording.only()?.json["behaviour"]["terminals"];
    let by_setsid = list(&terminals["sessions"]).iter().filter(|one| one["first"]["comm"] == "sh");
    ensure!(by_setsid.count() == 0, "{terminals:#}");
    Ok(())
}
