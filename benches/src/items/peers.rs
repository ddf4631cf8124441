//! The same loop under other programs that count or print system calls, as they come in packages.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cgroups::{Cgroup, take_out};
use e2e::command::{Background, wait_until};
use e2e::machine::{find_program, unique_name};
use e2e::recorder::Recorder;
use rustix::process::Signal;

use super::Settings;
use crate::measure::empty::{EmptyPrograms, Hooks};
use crate::measure::hooks;
use crate::measure::looping::{Call, Clock, Loop};
use crate::measure::spread::Spread;
use crate::outcome::{Findings, Table, short};

/// Rounds of a peer between its start and its end: some are slow.
const ROUNDS: u32 = 20;
/// How long a peer may take until it says that it is ready.
const READY: Duration = Duration::from_secs(30);
/// After that, and for those that say nothing.
const SETTLE: Duration = Duration::from_millis(1_500);
/// A peer adds at least so much to a call, else it was not there.
const AT_LEAST: f64 = 1.1;

/// Another program.
struct Peer {
    label: &'static str,
    package: &'static str,
    /// Its command line; `PID` stands for that of the loop.
    args: &'static [&'static str],
    /// What it says, on either output, when it has begun; nothing if it says nothing.
    ready: &'static str,
}

const PEERS: [Peer; 4] = [
    Peer { label: "strace -c -f", package: "strace", args: &["strace", "-c", "-f", "-p", "PID"], ready: "attached" },
    Peer { label: "perf trace -s", package: "linux-perf", args: &["perf", "trace", "-s", "-p", "PID"], ready: "" },
    Peer {
        label: "bpftrace, count() by number",
        package: "bpftrace",
        args: &["bpftrace", "-e", "tracepoint:raw_syscalls:sys_enter { @[args->id] = count(); }"],
        ready: "Attaching",
    },
    Peer { label: "bcc's syscount", package: "bpfcc-tools", args: &["syscount-bpfcc"], ready: "Tracing" },
];

/// Item `peers`.
pub(crate) fn peers(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut looping = Loop::start(Call::Getppid, 1, Clock::Wall)?;
    take_out(looping.pid())?;
    let mut nothing = Vec::new();
    let mut empty = [Vec::new(), Vec::new()];
    let mut ours = Vec::new();
    let mut theirs: [Vec<f64>; PEERS.len()] = Default::default();
    let mut failed: [Option<String>; PEERS.len()] = Default::default();
    for _ in 0..settings.choose(12, 3) {
        hooks::wait_until_free()?;
        keep(&mut nothing, hooks::undisturbed(hooks::NONE, || looping.rounds(ROUNDS))?);
        for (hooks_of, expected, rounds) in [(Hooks::Enter, [1, 0], 0), (Hooks::Both, hooks::BOTH, 1)] {
            hooks::wait_until_free()?;
            let attached = EmptyPrograms::attach(hooks_of)?;
            keep(&mut empty[rounds], hooks::undisturbed(expected, || looping.rounds(ROUNDS))?);
            attached.detach()?;
        }
        hooks::wait_until_free()?;
        keep(&mut ours, recorded(&mut looping)?);
        for (number, peer) in
            PEERS.iter().enumerate().filter(|(number, _)| failed[*number].is_none()).collect::<Vec<_>>()
        {
            hooks::wait_until_free()?;
            match beside(peer, &mut looping) {
                Ok(rounds) => keep(&mut theirs[number], rounds),
                Err(error) => failed[number] = Some(format!("{error:#}")),
            }
        }
    }
    let base = Spread::of(&nothing)?;
    let mut table = Table::new(
        "getppid on one CPU: nanoseconds of wall time per call, in rounds of 0.5 ms; ratios are of the 25th percentiles.",
        ["rounds", "min", "25 %", "median", "max", "x nothing"],
    );
    let mut line = |label: &str, spread: Spread| {
        let Spread { count, min, p25, median, max } = spread;
        table.row(label, [count as f64, min, p25, median, max, p25 / base.p25]);
        p25 / base.p25
    };
    line("nothing", base);
    line("empty program on sys_enter", Spread::of(&empty[0])?);
    line("empty programs on sys_enter and sys_exit", Spread::of(&empty[1])?);
    let own = line("ringfence record, task inside", Spread::of(&ours)?);
    let mut lowest: Option<(&str, f64)> = None;
    for (peer, rounds) in PEERS.iter().zip(&theirs) {
        let Ok(spread) = Spread::of(rounds) else { continue };
        let ratio = line(peer.label, spread);
        if lowest.is_none_or(|(_, least)| ratio < least) {
            lowest = Some((peer.label, ratio));
        }
    }
    findings.tables.push(table);
    match lowest {
        Some((label, least)) => findings.check(
            "peers: the lowest of all that count",
            format!("{}x; the lowest peer, {label}, {}x", short(own), short(least)),
            "below every peer".into(),
            own < least,
        ),
        None => findings.not_measured("peers: the lowest of all that count", "no peer runs here"),
    }
    for (peer, why) in PEERS.iter().zip(failed) {
        if let Some(why) = why {
            findings.notes.push(format!("{} (package {}) did not run here: {why}", peer.label, peer.package));
        }
    }
    Ok(findings)
}

fn keep(all: &mut Vec<f64>, rounds: Option<Vec<f64>>) {
    all.extend(rounds.unwrap_or_default());
}

fn recorded(looping: &mut Loop) -> Result<Option<Vec<f64>>> {
    let name = unique_name("ringfence-bench");
    let recorder = Recorder::start(&["--cgroup".to_owned(), format!("/{name}")])?;
    let cgroup = Cgroup::create(&name)?;
    cgroup.take(looping.pid())?;
    sleep(SETTLE);
    let rounds = hooks::undisturbed(hooks::BOTH, || looping.rounds(ROUNDS))?;
    take_out(looping.pid())?;
    recorder.stop()?;
    Ok(rounds)
}

/// Rounds while the peer watches; the peers do not attach as links, so that nobody is expected there.
fn beside(peer: &Peer, looping: &mut Loop) -> Result<Option<Vec<f64>>> {
    let program = peer.args.first().copied().unwrap_or_default();
    ensure!(find_program(program).is_some(), "no program {program}");
    let untraced = Spread::of(&looping.rounds(ROUNDS)?)?.p25;
    let output = tempfile::NamedTempFile::new()?;
    // One place in the file for both, so that neither writes over the other.
    let both = output.reopen()?;
    let pid = looping.pid().to_string();
    let mut command = Command::new(program);
    command.args(peer.args[1..].iter().map(|arg| if *arg == "PID" { pid.as_str() } else { arg }));
    command.stdin(Stdio::null()).stdout(both.try_clone()?).stderr(both);
    let mut running = Background::spawn(&mut command)?;
    wait_until(&format!("{} is ready", peer.label), READY, || {
        ensure!(running.ended()?.is_none(), "it ended at once: {}", reason(output.path()));
        Ok(peer.ready.is_empty() || said(output.path()).contains(peer.ready))
    })?;
    sleep(SETTLE);
    ensure!(running.ended()?.is_none(), "it ended at once: {}", reason(output.path()));
    let rounds = hooks::undisturbed(hooks::NONE, || looping.rounds(ROUNDS))?;
    if running.ended()?.is_none() {
        running.signal(Signal::INT)?;
        running.wait(READY)?;
    }
    if let Some(rounds) = &rounds {
        let traced = Spread::of(rounds)?.p25;
        ensure!(traced >= untraced * AT_LEAST, "it traced nothing: {}", reason(output.path()));
    }
    Ok(rounds)
}

fn said(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Why a program gave up, as far as it says: the first line that tells of something missing, else its last one.
fn reason(path: &Path) -> String {
    reason_in(&said(path)).to_owned()
}

fn reason_in(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let tells = |line: &&str| {
        ["unable to", "cannot", "can't", "not permitted", "denied"]
            .iter()
            .any(|word| line.to_lowercase().contains(word))
    };
    lines.clone().find(tells).or_else(|| lines.next_back()).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_line_that_tells_what_is_missing() {
        let said = "modprobe: x\nUnable to find kernel headers.\nTraceback\nException: failed\n\n";

        assert_eq!(reason_in(said), "Unable to find kernel headers.");
        assert_eq!(reason_in("one\n two \n"), "two");
        assert_eq!(reason_in("\n"), "it said nothing");
    }
}
