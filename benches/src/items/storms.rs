//! Processes made as fast as the machine can: whether every one of them is known, what that costs, and whether what could
//! not be kept is counted.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cgroups::Cgroup;
use e2e::command::{command, must_within};
use e2e::machine::unique_name;
use e2e::recorder::{Recorder, binary};
use e2e::reports::{Report, list, number};
use rustix::process::Signal;
use serde_json::Value;

use super::Settings;
use crate::measure::storm::{Extent, Storm, WORKERS, events_of};
use crate::outcome::{Findings, Table};
use crate::programs::program;

const LIMIT: Duration = Duration::from_secs(180);
/// How long after a burst nothing may be lost any more.
const CALM: Duration = Duration::from_secs(1);

/// Item `storm`.
pub(crate) fn storm(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    full_speed(&mut findings, settings.choose(30, 5))?;
    burst(&mut findings, settings.choose(60_000, 30_000))?;
    Ok(findings)
}

/// In ringfence's own sandbox, at its default buffer.
fn full_speed(findings: &mut Findings, seconds: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut record = command(binary()?, ["record", "--quiet", "--out"]);
    record.arg(folder.path()).arg("--").arg(program("storm")?).args(Extent::Seconds(seconds).args());
    let said = must_within(&mut record, LIMIT)?;
    let cycles: u64 = said.trim().parse().with_context(|| format!("the storm says {said:?}"))?;
    let report = only_report(folder.path())?;
    let received_forks = report.tree_total("total")?.saturating_sub(1);
    let received_execs = report.tree_total("total_execs")?;
    let lost = lost(&report)?;
    let events = events_of(cycles) + 1;
    let start = cost_of_start()?;
    let cost = |at: usize, field: &str| -> Result<f64> {
        let all = number(&report.json["cost"][field])?;
        Ok(all.saturating_sub(start[at]) as f64 / 1000.0 / events as f64)
    };
    let user_us = cost(0, "cpu_user_ns")?;
    let mut table = Table::new(
        format!(
            "fork, exec and exit as fast as {WORKERS} processes can for {seconds} s, in ringfence's own sandbox. \
                 ringfence's CPU time is without that of its start: {:.0} ms in user mode and {:.0} ms in the kernel.",
            start[0] as f64 / 1e6,
            start[1] as f64 / 1e6
        ),
        ["cycles", "events", "events/s", "lost", "us user per event", "us system per event"],
    );
    let system_us = cost(1, "cpu_system_ns")?;
    let rate = events as f64 / seconds as f64;
    table.row("storm", [cycles as f64, events as f64, rate, lost as f64, user_us, system_us]);
    findings.tables.push(table);
    findings.check(
        "storm: every process and every program is in the report, and nothing was lost",
        format!("{received_forks} forks, {received_execs} execs, {lost} lost"),
        format!("{} forks, {} execs, 0 lost", cycles + WORKERS, cycles + 1),
        (received_forks, received_execs, lost) == (cycles + WORKERS, cycles + 1, 0),
    );
    findings.at_most("storm: user CPU of ringfence per event", user_us, 2.0, " us");
    Ok(())
}

/// What a recording of next to nothing costs, in nanoseconds: in user mode, and in the kernel. The least of three.
fn cost_of_start() -> Result<[u64; 2]> {
    let mut least = [u64::MAX; 2];
    for _ in 0..3 {
        let folder = tempfile::tempdir()?;
        let mut record = command(binary()?, ["record", "--quiet", "--out"]);
        must_within(record.arg(folder.path()).args(["--", "true"]), LIMIT)?;
        let report = only_report(folder.path())?;
        for (least, field) in least.iter_mut().zip(["cpu_user_ns", "cpu_system_ns"]) {
            *least = number(&report.json["cost"][field])?.min(*least);
        }
    }
    Ok(least)
}

/// The reader is stopped during a storm, then goes on; a second later another container must lose nothing.
fn burst(findings: &mut Findings, cycles: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events.ndjson");
    let names = [unique_name("ringfence-burst"), unique_name("ringfence-calm")];
    let mut args: Vec<String> = names.iter().flat_map(|name| ["--cgroup".to_owned(), format!("/{name}")]).collect();
    args.extend(["--events".to_owned(), events.display().to_string()]);
    let recorder = Recorder::start(&args)?;
    let [during, after] = [Cgroup::create(&names[0])?, Cgroup::create(&names[1])?];

    let storm = Storm::prepare(Extent::Cycles(cycles))?;
    during.take(storm.pid())?;
    recorder.signal(Signal::STOP)?;
    let made = storm.run(LIMIT);
    recorder.signal(Signal::CONT)?;
    let made = made?;
    sleep(CALM);
    let storm = Storm::prepare(Extent::Cycles(cycles / 10))?;
    after.take(storm.pid())?;
    let made_after = storm.run(LIMIT)?;
    let recording = recorder.stop()?;

    let mut table = Table::new(
        "The reader stopped on purpose, with a burst meanwhile; then, 1 s after it went on, another container.",
        ["cycles", "events made", "received", "lost", "made - received - lost"],
    );
    for (what, name, cycles) in [("while stopped", &names[0], made), ("1 s after", &names[1], made_after)] {
        let report = recording.of(name)?;
        let (made, received, lost) = (events_of(cycles), received(&events, report)?, lost(report)?);
        let missing = made as f64 - received as f64 - lost as f64;
        table.row(what, [cycles as f64, made as f64, received as f64, lost as f64, missing]);
        if name == &names[0] {
            ensure!(lost > 0, "the burst was too small: nothing was lost");
            let measured = format!("{made} = {received} + {lost}{}", if missing == 0.0 { "" } else { ": no" });
            findings.check("burst: made = received + lost", measured, "exactly".into(), missing == 0.0);
        } else {
            let measured = format!("{lost} lost, {received} of {made} received");
            findings.check("burst: lost 1 s after it", measured, "0 lost".into(), lost == 0 && received == made);
        }
    }
    findings.tables.push(table);
    Ok(())
}

fn only_report(folder: &Path) -> Result<Report> {
    let mut reports = Report::read_all(folder)?;
    ensure!(reports.len() == 1, "{} reports, not one", reports.len());
    reports.pop().context("one report")
}

/// Samples of processes that found no room in the ring.
fn lost(report: &Report) -> Result<u64> {
    let of_processes = list(&report.json["losses"]).iter().filter(|loss| loss["sensor"] == "process");
    of_processes.map(|loss| number(&loss["count"])).sum()
}

/// Forks, execs and exits of this container in the file of events.
fn received(events: &Path, report: &Report) -> Result<u64> {
    let run = &report.json["container"]["run"];
    let mut received = 0;
    for line in BufReader::new(File::open(events)?).lines() {
        let event: Value = serde_json::from_str(&line?).context("a line of the file of events")?;
        let kind = event["payload"]["kind"].as_str().unwrap_or_default();
        received += u64::from(event["run"] == *run && matches!(kind, "fork" | "exec" | "exit"));
    }
    Ok(received)
}
