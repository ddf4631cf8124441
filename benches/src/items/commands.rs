//! Whole commands, with and without a recording, and beside a program that prints the same: connections and opened files as fast
//! as they come, a walk over a file system, a clone of a repository, a compiler.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::cgroups::Cgroup;
use e2e::command::{Background, command, must, wait_until};
use e2e::machine::{find_program, unique_name};
use e2e::recorder::Recorder;
use e2e::reports::{Report, list, number};
use rustix::process::Signal;
use tempfile::TempDir;

use super::Settings;
use crate::measure::empty::{EmptyPrograms, Hooks};
use crate::measure::hooks;
use crate::measure::process::{mib, resident_bytes};
use crate::measure::spread::Spread;
use crate::outcome::{Findings, Table, short};
use crate::programs::program;

const LIMIT: Duration = Duration::from_secs(240);
/// How long the peer may take until it says that it is ready, and until it has written all.
const PEER_LIMIT: Duration = Duration::from_secs(60);
/// How many processes do it at once, where several do.
const WORKERS: &str = "2";

/// A command, and what is expected.
struct Work<'a> {
    label: &'static str,
    words: Vec<String>,
    rounds: usize,
    /// How fast it must be when recorded, as times what it is with nothing attached.
    wanted: Option<f64>,
    /// What must hold of each report.
    check: &'a dyn Fn(&Report) -> Result<()>,
    peer: Option<Peer<'a>>,
}

/// A script of bpftrace that prints a line for each of so many events.
struct Peer<'a> {
    script: String,
    /// Lines with this word are counted.
    word: &'a str,
    events: u64,
}

/// Item `commands`.
pub(crate) fn commands(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    // On a file system in memory, so that no disk is measured.
    let memory = tempfile::Builder::new().prefix("ringfence-bench").tempdir_in("/dev/shm")?;
    let place = memory.path().to_str().context("a path in UTF-8")?.to_owned();
    let connections: u64 = settings.choose(40_000, 4_000);
    let opens: u64 = settings.choose(500_000, 20_000);
    let names: u64 = settings.choose(1_000_000, 50_000);
    let rounds = settings.choose(7, 2);
    // Of what must be nearly as fast as untraced: here commands differ by a tenth from one time to the next.
    let many = settings.choose(15, 2);

    let repository = repository(&memory, settings.choose(2_000, 200))?;
    let clone = format!("rm -rf {place}/clone && git clone --quiet --no-local {repository} {place}/clone");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let source = source.display();
    let compile = format!("for i in 1 2 3 4 5 6; do for f in {source}/*.c; do gcc -O2 -c -o /dev/null $f; done; done");
    let open_words = |how: &str, n: u64| -> Result<Vec<String>> {
        Ok(vec![program("opens")?.display().to_string(), how.into(), n.to_string(), WORKERS.into(), place.clone()])
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let printing = |hook: &str| {
        format!(
            "tracepoint:syscalls:sys_enter_{hook} {{ printf(\"%d %s\\n\", pid, {}) }}",
            match hook {
                "openat" => "str(args->filename)",
                _ => "\"connects\"",
            }
        )
    };
    let all = [
        Work {
            label: "connections",
            words: vec![program("connects")?.display().to_string(), connections.to_string(), WORKERS.into()],
            rounds,
            wanted: None,
            check: &|report| exact_connections(report, connections),
            peer: Some(Peer { script: printing("connect"), word: "connects", events: connections }),
        },
        Work {
            label: "open and close",
            words: open_words("same", opens)?,
            rounds,
            // 1.4 times as long.
            wanted: Some(1.0 / 1.4),
            check: &|report| exact_opens(report, &place, opens, true),
            peer: Some(Peer { script: printing("openat"), word: &place, events: opens }),
        },
        Work {
            label: "different names",
            words: open_words("different", names)?,
            rounds: settings.choose(3, 1),
            wanted: None,
            check: &|report| exact_opens(report, &place, names, false),
            peer: None,
        },
        Work {
            label: "find",
            words: words(&["find", "/usr", "-xdev", "-size", "+1G"]),
            rounds: many,
            wanted: Some(0.95),
            check: &|_| Ok(()),
            peer: None,
        },
        Work {
            label: "git clone",
            words: words(&["sh", "-c", &clone]),
            rounds: many,
            wanted: Some(0.95),
            check: &|_| Ok(()),
            peer: None,
        },
        Work {
            label: "compiler",
            words: words(&["sh", "-c", &compile]),
            rounds: many,
            wanted: Some(0.95),
            check: &|_| Ok(()),
            peer: None,
        },
    ];

    let mut table = Table::new(
        "Seconds that a command takes, in turns with nothing attached, with empty programs, with a recording of all default \
         sensors, and beside bpftrace; each time in a cgroup of its own. Speed is that of the 25th percentiles.",
        ["rounds", "min", "25 %", "median", "max", "speed, x nothing", "events lost", "MiB resident"],
    );
    for work in &all {
        measure(work, &mut table, &mut findings)?;
    }
    findings.tables.push(table);
    findings.notes.push(format!(
        "In each recording all {connections} connections were in the report at both of their ends, with every byte; all {opens} \
         opens by their paths; and of {names} different names each open by its path or its directory. Nothing was lost: else \
         this would have ended here."
    ));
    Ok(findings)
}

/// A repository with so many files.
fn repository(folder: &TempDir, files: usize) -> Result<String> {
    let place = folder.path().join("repository");
    for number in 0..files {
        let below = place.join(format!("d{}", number % 50));
        std::fs::create_dir_all(&below)?;
        let line = format!("line of file {number}\n");
        std::fs::write(below.join(format!("f{number}")), line.repeat(100 + number % 200))?;
    }
    let place = place.to_str().context("a path in UTF-8")?.to_owned();
    let git =
        |args: &[&str]| must(command("git", ["-C", &place, "-c", "user.name=x", "-c", "user.email=x"]).args(args));
    git(&["init", "--quiet"])?;
    git(&["add", "."])?;
    git(&["commit", "--quiet", "--message", "x"])?;
    Ok(place)
}

/// What one variant came to.
#[derive(Default)]
struct Rounds {
    seconds: Vec<f64>,
    lost: u64,
    resident: u64,
    /// System calls that it made.
    calls: u64,
}

impl Rounds {
    /// Adds a line to the table; the 25th percentile.
    fn line(&self, label: String, base: Option<f64>, table: &mut Table) -> Result<f64> {
        let Spread { count, min, p25, median, max } = Spread::of(&self.seconds)?;
        let speed = base.map_or(1.0, |base| base / p25);
        table.row(label, [count as f64, min, p25, median, max, speed, self.lost as f64, mib(self.resident)]);
        Ok(p25)
    }
}

fn measure(work: &Work<'_>, table: &mut Table, findings: &mut Findings) -> Result<()> {
    let label = work.label;
    let (mut nothing, mut empty, mut recorded, mut beside): (Rounds, Rounds, Rounds, Rounds) = Default::default();
    let mut no_peer = find_program("bpftrace").is_none().then(|| "there is no program bpftrace".to_owned());
    // Once for the caches.
    timed_alone(&work.words).with_context(|| format!("run {label}"))?;
    for _ in 0..work.rounds {
        hooks::wait_until_free()?;
        nothing.seconds.push(timed_alone(&work.words)?);
        let attached = EmptyPrograms::attach(Hooks::Both)?;
        empty.seconds.push(timed_alone(&work.words)?);
        attached.detach()?;
        hooks::wait_until_free()?;
        record(work, &mut recorded).with_context(|| format!("record {label}"))?;
        if let (Some(peer), None) = (&work.peer, &no_peer) {
            hooks::wait_until_free()?;
            if let Err(error) = trace(peer, &work.words, &mut beside) {
                no_peer = Some(format!("{error:#}"));
            }
        }
    }
    let base = nothing.line(format!("{label}, nothing"), None, table)?;
    let floor = empty.line(format!("{label}, empty programs on sys_enter and sys_exit"), Some(base), table)?;
    let quarter = recorded.line(format!("{label}, recorded"), Some(base), table)?;
    if work.peer.is_some() {
        match no_peer {
            None => drop(beside.line(format!("{label}, bpftrace"), Some(base), table)?),
            Some(why) => findings.notes.push(format!("bpftrace (package bpftrace) did not run beside {label}: {why}")),
        }
    }
    if let Some(wanted) = work.wanted {
        let each: Vec<f64> = nothing.seconds.iter().zip(&recorded.seconds).map(|(nothing, it)| nothing / it).collect();
        let each = Spread::of(&each)?;
        let (speed, of_floor) = (base / quarter, floor / quarter);
        findings.check(
            format!("{label}: speed when recorded"),
            format!(
                "{}x untraced (by turn {} to {}), {}x empty",
                short(speed),
                short(each.min),
                short(each.max),
                short(of_floor)
            ),
            format!(">= {}x untraced", short(wanted)),
            speed >= wanted,
        );
        let per_call = |seconds: f64| match seconds * 1e9 / recorded.calls.max(1) as f64 {
            more @ 0.0.. => format!("{} ns", short(more)),
            _ => "nothing that can be told".to_owned(),
        };
        findings.notes.push(format!(
            "{label}: {} system calls in {} s. The empty programs alone add {} to each, a recording {}.",
            recorded.calls,
            short(base),
            per_call(floor - base),
            per_call(quarter - base)
        ));
    }
    findings.at_most(format!("{label}: resident memory of ringfence at its end"), mib(recorded.resident), 40.0, " MiB");
    Ok(())
}

/// One round with a recording.
fn record(work: &Work<'_>, rounds: &mut Rounds) -> Result<()> {
    let name = unique_name("ringfence-bench");
    let recorder = Recorder::start(&["--cgroup".to_owned(), format!("/{name}")])?;
    let cgroup = Cgroup::create(&name)?;
    rounds.seconds.push(timed(&work.words, &cgroup)?);
    rounds.resident = rounds.resident.max(resident_bytes(recorder.pid())?);
    let recording = recorder.stop()?;
    let report = recording.only()?;
    rounds.calls = report.syscalls()?.iter().map(|entry| entry.count).sum();
    (work.check)(report)
}

/// One round beside the peer.
fn trace(peer: &Peer<'_>, words: &[String], rounds: &mut Rounds) -> Result<()> {
    let output = tempfile::NamedTempFile::new()?;
    let said = tempfile::NamedTempFile::new()?;
    let mut bpftrace = Command::new("bpftrace");
    // Unbuffered, what it prints would take longer still.
    bpftrace.arg("-e").arg(&peer.script).stdin(Stdio::null()).stdout(output.reopen()?).stderr(said.reopen()?);
    let mut running = Background::spawn(&mut bpftrace)?;
    let begin = |file: &Path| std::fs::read_to_string(file).unwrap_or_default().contains("Attaching");
    wait_until("bpftrace is ready", PEER_LIMIT, || {
        ensure!(running.ended()?.is_none(), "it ended at once");
        Ok(begin(output.path()) || begin(said.path()))
    })?;
    // It says so before it does it.
    std::thread::sleep(Duration::from_secs(2));
    let seconds = timed_alone(words);
    running.signal(Signal::INT)?;
    running.wait(PEER_LIMIT)?;
    let lines = std::io::BufRead::lines(std::io::BufReader::new(File::open(output.path())?));
    let printed = lines.map_while(Result::ok).filter(|line| line.contains(peer.word)).count() as u64;
    ensure!(printed > 0, "it printed nothing");
    rounds.seconds.push(seconds?);
    rounds.lost += peer.events.saturating_sub(printed);
    Ok(())
}

/// How long a command takes, in a cgroup that nobody watches.
fn timed_alone(words: &[String]) -> Result<f64> {
    timed(words, &Cgroup::create(&unique_name("ringfence-bench-alone"))?)
}

/// How long a command takes, in this cgroup.
fn timed(words: &[String], cgroup: &Cgroup) -> Result<f64> {
    let mut command = Command::new("sh");
    command.args(["-c", "read go; exec \"$@\" 2>/dev/null", "sh"]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = Background::spawn(&mut command)?;
    cgroup.take(process.pid().as_raw_nonzero().get().unsigned_abs())?;
    let stdin = process.child().stdin.take().context("no pipe")?;
    let began = Instant::now();
    std::io::Write::write_all(&mut &stdin, b"go\n").context("the shell has ended")?;
    drop(stdin);
    let status = process.wait(LIMIT)?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status.success(), "{words:?} ended with {status}");
    Ok(seconds)
}

/// Each connection is there at both of its ends, with its bytes.
fn exact_connections(report: &Report, made: u64) -> Result<()> {
    ensure!(report.json["sections"]["network"] == true, "the network is not complete: {}", report.json["reasons"]);
    for (direction, bytes) in [("out", "sent_bytes"), ("in", "received_bytes")] {
        let (mut connections, mut moved) = (0, 0);
        for flow in list(&report.json["behaviour"]["network"]["flows"]) {
            if flow["direction"] == direction && flow["protocol"] == "tcp" {
                connections += number(&flow["connections"])?;
                moved += number(&flow[bytes])?;
            }
        }
        ensure!(
            (connections, moved) == (made, made * 100),
            "{connections} connections {direction} with {moved} bytes, really {made} with {}",
            made * 100
        );
    }
    Ok(())
}

/// Each open is there, by its path or by its directory; nothing was lost.
fn exact_opens(report: &Report, folder: &str, made: u64, complete: bool) -> Result<()> {
    ensure!(list(&report.json["losses"]).is_empty(), "lost: {}", report.json["losses"]);
    ensure!(report.json["sections"]["files"] == complete, "files complete: {}", report.json["sections"]["files"]);
    let files = &report.json["behaviour"]["files"];
    let mut opens = 0;
    for one in list(&files["paths"]).iter().chain(list(&files["directories"])) {
        if one["path"].as_str().is_some_and(|path| path.starts_with(folder)) {
            opens += number(&one["opens"])?;
        }
    }
    ensure!(opens == made, "{opens} opens, really {made}");
    Ok(())
}
