//! `ringfence watch` on real containers: what it shows while they run, and what it leaves out.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{Background, command, wait_until};
use e2e::engines::{Docker, Engine, Wish};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::recorder::binary;
use e2e::rootfs;
use e2e::runtime::Runtime;
use e2e::sealed::{LIMIT, root_with};
use e2e::text::unsafe_on_a_terminal;
use e2e::watching::Watching;
use e2e::workloads::BUSYBOX_IMAGE;
use rustix::process::Signal;
use serde_json::Value;

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// Runs a program in a bare container from its creation to its end.
fn contain(id: &str, programs: &[&str], args: &[&str]) -> Result<()> {
    let overlay = root_with(programs)?;
    Runtime::new("runc")?.run(&Bundle::new(&overlay.root(), args)?, id, LIMIT)
}

fn of<'e>(events: &'e [Value], id: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["container"]["id"] == id).collect()
}

fn kinds(events: &[&Value]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for event in events {
        *kinds.entry(event["event"]["kind"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
    }
    kinds
}

#[test]
#[ignore = "needs root"]
fn a_container_is_shown_from_its_creation_to_its_end_and_nothing_is_kept() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let id = unique_name("rf-e2e-watched");
    let kept = || std::fs::read_dir("/var/lib/ringfence/reports").map_or(0, Iterator::count);
    let kept_before = kept();

    let watching = Watching::start(&["--all"])?;
    contain(&id, &["forks"], &["/bin/forks", "25", "1"])?;
    watching.wait_for("\"container_ended\":{}")?;
    let watched = watching.stop()?;

    ensure!(watched.status.success(), "{}: {}", watched.status, watched.stderr);
    let events = watched.events()?;
    let events = of(&events, &id);
    let main: Vec<&Value> = events.iter().copied().filter(|event| event["event"]["phase"] == "main").collect();
    let of_main = kinds(&main);
    let count = |kind: &str| of_main.get(kind).copied();
    assert_eq!((count("exec"), count("fork"), count("exit")), (Some(1), Some(25), Some(26)));
    assert_eq!(kinds(&events).get("container_created"), Some(&1));
    assert_eq!(kinds(&events).get("container_ended"), Some(&1));

    let exec = main.iter().find(|event| event["event"]["kind"] == "exec").context("no exec")?;
    assert_eq!(exec["exec"]["argv"], serde_json::json!(["/bin/forks", "25", "1"]));
    assert_eq!(exec["process"]["executable"], "/bin/forks");
    let child = main.iter().rfind(|event| event["event"]["kind"] == "exit" && event["exit"]["last_thread"] == true);
    assert_eq!(child.context("no exit")?["process"]["executable"], "/bin/forks");
    assert_eq!(kept(), kept_before);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_condition_and_kinds_say_what_is_shown() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let id = unique_name("rf-e2e-filtered");
    let script = "sh -c 'exit 3' wanted; sh -c 'exit 4' other; :";
    let matching = Watching::start(&["exec.argv intersects (wanted) and process.executable endswith busybox"])?;
    let other = Watching::start(&["container.id = nobody or exec.argv intersects (nothing-like-it)"])?;
    let named = Watching::start(&[&id, "--kind", "exit", "exit.status in (3, 4)"])?;
    let first = Watching::start(&["-n", "2", "--kind", "exec,container_started", &id])?;

    contain(&id, &[], &["/bin/sh", "-c", script])?;

    named.wait_for("\"status\":4")?;
    let statuses: Vec<Value> = named.stop()?.events()?.iter().map(|event| event["exit"]["status"].clone()).collect();
    assert_eq!(statuses, [3, 4]);
    let events = matching.stop()?.events()?;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["container"]["id"], &events[0]["exec"]["argv"][3]), (&id.into(), &"wanted".into()));
    let other = other.stop()?;
    ensure!(other.status.success() && other.stdout.is_empty(), "{}", other.text());
    let first = first.wait()?;
    ensure!(first.status.success(), "{}", first.stderr);
    assert_eq!(kinds(&first.events()?.iter().collect::<Vec<_>>()).into_values().sum::<usize>(), 2);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn no_argument_reaches_a_terminal_raw_in_any_format() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let id = unique_name("rf-e2e-evil");
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    let formats = ["text", "json", "csv"];
    let watching = formats.map(|format| Watching::start(&["--format", format, "--kind", "exec,exit", &id]));

    contain(&id, &[], &["/bin/sh", "-c", "exit 7", evil])?;

    for (format, watching) in formats.into_iter().zip(watching) {
        let watching = watching?;
        watching.wait_for(match format {
            "text" => "status 7 after",
            "json" => "\"status\":7",
            _ => "\"\"status\"\":7",
        })?;
        let watched = watching.stop()?;
        let text = watched.text().replace("\r\n", "\n");
        let bad = unsafe_on_a_terminal(text.as_bytes());
        ensure!(bad.is_none() && !text.contains('\u{202e}'), "{format} has {bad:?}: {text:?}");
        match format {
            "text" => {
                let exec = text.lines().find(|line| line.contains("  exec ")).context("no exec")?;
                ensure!(
                    exec.contains(&id[..10]) && exec.contains("sh -c 'exit 7' '\\u{1b}[2J\\u{1b}]0;owned\\u{7}"),
                    "{exec}"
                );
            }
            "json" => {
                let events = watched.events()?;
                let exec = events.iter().find(|event| event["event"]["kind"] == "exec").context("no exec")?;
                assert_eq!(exec["exec"]["argv"][3], evil);
            }
            _ => {
                let header = text.lines().next().context("no header")?;
                ensure!(header.starts_with("event.kind,event.phase,event.time,"), "{header}");
                ensure!(header.ends_with(",payload"), "{header}");
                ensure!(
                    text.lines().skip(1).all(|line| line.starts_with("exec,") || line.starts_with("exit,")),
                    "{text}"
                );
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_reader_who_has_seen_enough_ends_it_quietly() -> Result<()> {
    need!("runc", "busybox", "bash");
    let _alone = alone()?;
    let id = unique_name("rf-e2e-head");
    let pipeline = format!("set -o pipefail; {} watch --quiet {id} | head -1", binary()?.display());
    let mut bash = command("bash", ["-c", &pipeline]);
    let mut bash = Background::spawn(bash.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    // Nothing says when it is ready, so there is one container after another.
    let mut status = None;
    for round in 0..20 {
        contain(&id, &[], &["/bin/true"]).with_context(|| format!("round {round}"))?;
        status = bash.ended()?;
        if status.is_some() {
            break;
        }
    }
    let status = match status {
        Some(status) => status,
        None => bash.wait(Duration::from_secs(10))?,
    };

    let read = |pipe: Option<Box<dyn std::io::Read>>| -> Result<String> {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut pipe.context("no pipe")?, &mut text)?;
        Ok(text)
    };
    let stdout = read(bash.child().stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>))?;
    let stderr = read(bash.child().stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>))?;
    ensure!(status.success() && stderr.is_empty(), "{status}: {stderr}");
    assert_eq!(stdout.lines().count(), 1);
    serde_json::from_str::<Value>(&stdout)?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_a_slow_reader_misses_is_said_once_and_counted() -> Result<()> {
    const FORKS: u64 = 20_000;
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let id = unique_name("rf-e2e-lossy");
    let folder = tempfile::tempdir()?;
    let said = folder.path().join("said");
    let mut watch = command(binary()?, ["watch", "--buffer", "64K", "--format", "json", &id]);
    watch.stdout(Stdio::piped()).stderr(std::fs::File::create(&said)?);
    let mut watch = Background::spawn(&mut watch)?;
    let stderr = || -> Result<String> { Ok(std::fs::read_to_string(&said)?) };
    wait_until("it watches", READY, || Ok(stderr()?.starts_with("watching")))?;

    // Nobody reads meanwhile.
    contain(&id, &["forks"], &["/bin/forks", &FORKS.to_string(), "1"])?;
    let mut stdout = watch.child().stdout.take().context("no pipe")?;
    let reader = std::thread::spawn(move || {
        let mut shown = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut shown).map(|_| shown)
    });
    wait_until("it says that events are lost", READY, || Ok(stderr()?.contains("events are being lost")))?;
    watch.signal(Signal::INT)?;
    let status = watch.wait(LIMIT)?;

    let shown = reader.join().ok().context("the reader panicked")??.lines().count() as u64;
    let stderr = stderr()?;
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    let last = stderr.lines().last().and_then(|line| line.strip_prefix("ringfence: ")).context("no last line")?;
    let lost: u64 = last.split(' ').next().context("no number")?.parse()?;
    // One fork and one exit for each, and what the runtime did.
    let made = shown + lost;
    ensure!(lost > 0 && (2 * FORKS..2 * FORKS + 500).contains(&made), "{shown} shown, {lost} lost: {stderr}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_docker_container_is_shown_under_its_name_from_its_first_program_on() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (wanted, other) = (unique_name("rf-e2e-wanted"), unique_name("rf-e2e-other"));
    let args = [&wanted, "--kind", "container_started,exec,exit"];
    let watching = Watching::start_beside(&docker.socket(), "docker.sock", &args)?;
    let filtered = format!("container.name = {wanted} and container.image exists and event.phase = main");
    let filtered = Watching::start_beside(&docker.socket(), "docker.sock", &["--kind", "exec", &filtered])?;

    let args = ["/bin/sh", "-c", "exit 5"].map(str::to_owned);
    for name in [&other, &wanted] {
        docker.run(&Wish { name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &[] })?;
        docker.docker(&["wait", name])?;
        docker.remove(name)?;
    }
    watching.wait_for("\"status\":5")?;
    let watched = watching.stop()?;
    let filtered = filtered.stop()?.events()?;

    ensure!(watched.status.success(), "{}: {}", watched.status, watched.stderr);
    let events = watched.events()?;
    ensure!(events.iter().all(|event| event["container"]["name"] == wanted.as_str()), "{}", watched.text());
    let begun = events.iter().position(|event| event["event"]["kind"] == "container_started").context("no start")?;
    assert_eq!(events[begun + 1]["exec"]["argv"][2], "exit 5");
    assert_eq!((&events[begun]["container"]["engine"], filtered.len()), (&"docker".into(), 1));
    Ok(())
}
