//! Containers in numbers: many short ones one after another, and many at once; what ringfence holds meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish, must};
use e2e::machine::{first_missing, unique_name};
use e2e::overlay::Overlay;
use e2e::recorder::{Recorder, Recording, binary, record_command};
use e2e::reports::{Report, number};
use e2e::rootfs::busybox;
use e2e::runtime::Runtime;
use tempfile::TempDir;

use super::Settings;
use crate::measure::process::{mib, resident_bytes, resident_bytes_of_maps};
use crate::measure::sandbox::Sandboxes;
use crate::measure::spread::Spread;
use crate::outcome::{Findings, Table, short};
use crate::programs::program;

/// How long what has ended may take until it is closed and forgotten.
const SETTLE: Duration = Duration::from_secs(3);
/// Item `containers`.
pub(crate) fn containers(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let count = settings.choose(2_000, 200);
    let mut table = Table::new(
        format!("{count} containers of a few milliseconds, one after another."),
        ["reports", "ms each", "MiB after 5 %", "MiB at the end", "grew by"],
    );
    let sandboxes = Sandboxes::new()?;
    one_after_another(&mut findings, &mut table, "own cgroups", count, |name| in_own_cgroup(&sandboxes, name))?;
    match first_missing(&["runc", "busybox"]) {
        Some(missing) => findings.not_measured("bare runc, one after another", &format!("no program {missing}")),
        None => {
            let runc = BareRunc::new()?;
            one_after_another(&mut findings, &mut table, "bare runc", count, |name| runc.run(name))?;
            findings.tables.push(table);
            at_once(&mut findings, settings.choose(100, 20))?;
        }
    }
    start(&mut findings, settings.choose(40, 8))?;
    size(&mut findings)?;
    Ok(findings)
}

fn one_after_another(
    findings: &mut Findings,
    table: &mut Table,
    what: &str,
    count: usize,
    run: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let recorder = Recorder::start(&["--all"])?;
    let prefix = unique_name("short");
    let names: Vec<String> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
    let began = Instant::now();
    let mut early = 0;
    for (number, name) in names.iter().enumerate() {
        run(name).with_context(|| format!("{what} {name}"))?;
        if number == count / 20 {
            sleep(SETTLE);
            early = resident_bytes(recorder.pid())?;
        }
    }
    let each_ms = (began.elapsed() - SETTLE).as_secs_f64() * 1000.0 / count as f64;
    sleep(SETTLE);
    let late = resident_bytes(recorder.pid())?;
    let recording = recorder.stop()?;
    let reported = names_of(&recording);
    let found = names.iter().filter(|name| reported.contains(name.as_str())).count();
    let growth = mib(late) - mib(early);
    table.row(what, [found as f64, each_ms, mib(early), mib(late), growth]);
    findings.check(
        format!("{what}, {count} one after another: each has a report"),
        format!("{found}"),
        format!("{count}"),
        found == count,
    );
    findings.at_most(format!("{what}, {count} one after another: resident memory grows by"), growth, 5.0, " MiB");
    Ok(())
}

fn names_of(recording: &Recording) -> BTreeSet<&str> {
    let paths = recording.reports.iter().map(|report| report.cgroup_path());
    paths.filter_map(|path| path.rsplit('/').next()).collect()
}

fn in_own_cgroup(sandboxes: &Sandboxes, name: &str) -> Result<()> {
    let cgroup = sandboxes.make(name)?;
    must(command(program("short")?, cgroup.procs_files()).env_clear())?;
    Ok(())
}

/// `runc run` and nothing else, in one call of it.
struct BareRunc {
    bundle: Bundle,
    state: TempDir,
    _overlay: Overlay,
}

impl BareRunc {
    fn new() -> Result<BareRunc> {
        let overlay = Overlay::above(&busybox()?.folder)?;
        let bundle = Bundle::new(&overlay.root(), &["/bin/true"])?;
        bundle.write()?;
        Ok(BareRunc { bundle, state: tempfile::tempdir()?, _overlay: overlay })
    }

    fn run(&self, name: &str) -> Result<()> {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.state.path()).args(["run", "--bundle"]).arg(self.bundle.folder()).arg(name);
        must(runc.stdin(std::process::Stdio::null())).map(drop)
    }
}

fn at_once(findings: &mut Findings, count: usize) -> Result<()> {
    let recorder = Recorder::start(&["--all"])?;
    let overlay = Overlay::above(&busybox()?.folder)?;
    let runtime = Runtime::new("runc")?;
    let prefix = unique_name("at-once");
    let bundles: Vec<Bundle> =
        (0..count).map(|_| Bundle::new(&overlay.root(), &["/bin/sleep", "600"])).collect::<Result<_>>()?;
    let mut running = Vec::new();
    for (number, bundle) in bundles.iter().enumerate() {
        let container = runtime.create(bundle, &format!("{prefix}-{number}"))?;
        container.start()?;
        running.push(container);
    }
    sleep(SETTLE);
    let (resident, mapped) = (resident_bytes(recorder.pid())?, resident_bytes_of_maps(recorder.pid())?);
    let threads: u64 = running.iter().map(|container| threads_of(container.pid())).sum();
    let recording = recorder.stop()?;
    drop(running);
    let mine: Vec<_> = recording.reports.iter().filter(|report| report.cgroup_path().contains(&prefix)).collect();
    ensure!(!mine.is_empty(), "no report of a container: {}", recording.stderr);
    let maps = map_bytes(mine.iter().copied())?;
    let alone = record_command::<&str, &str>(&[], &["true"], Duration::from_secs(30))?;
    let maps_alone = map_bytes(&alone.reports)?;
    let mut table = Table::new(
        format!("{count} containers of bare runc at once, each with one process that sleeps."),
        ["reports", "MiB resident", "MiB in maps", "threads"],
    );
    table.row("at once", [mine.len() as f64, mib(resident), mib(maps), threads as f64]);
    findings.tables.push(table);
    findings.check(format!("{count} at once: reports"), mine.len().to_string(), count.to_string(), mine.len() == count);
    findings.at_most(format!("{count} at once: resident memory"), mib(resident), 40.0, " MiB");
    findings.at_most(format!("{count} at once: kernel part (maps)"), mib(maps), 32.0, " MiB");
    findings.notes.push(format!(
        "Of the resident memory {} MiB are maps that the kernel shares with ringfence, the ring twice among them. With one \
         container whose program ends at once the maps are {} MiB, so each that `runc` makes adds {} KiB to them.",
        short(mib(mapped)),
        short(mib(maps_alone)),
        short(maps.saturating_sub(maps_alone) as f64 / 1024.0 / count as f64)
    ));
    Ok(())
}

/// The most that the maps in the kernel ever were, by these reports.
fn map_bytes<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Result<u64> {
    let each = reports.into_iter().map(|report| number(&report.json["cost"]["kernel_map_bytes"]));
    each.into_iter().try_fold(0, |most, bytes| bytes.map(|bytes| bytes.max(most)))
}

fn threads_of(pid: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |tasks| tasks.count() as u64)
}

/// From the start of the program to the first event that a container makes.
fn start(findings: &mut Findings, rounds: u32) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let events = folder.path().join("events.ndjson");
        let mut record = command(binary()?, ["record", "--quiet", "--out"]);
        record.arg(folder.path()).arg("--events").arg(&events).args(["--", "/bin/true"]);
        let began = boot_ns();
        let finished = finish(&mut record, Duration::from_secs(30))?;
        ensure!(finished.status.success(), "ringfence: {}", finished.stderr());
        times.push((first_event_ns(&events)? as f64 - began as f64) / 1e6);
    }
    let Spread { count, min, p25, median, max } = Spread::of(&times)?;
    let mut table = Table::new(
        "From the start of `ringfence record -- true` to its first recorded event, in ms.",
        ["rounds", "min", "25 %", "median", "max"],
    );
    table.row("start", [count as f64, min, p25, median, max]);
    findings.tables.push(table);
    findings.at_most("start to first recorded event, median", median, 500.0, " ms");
    Ok(())
}

fn first_event_ns(events: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(events)?;
    let line = text.lines().next().context("no event")?;
    number(&serde_json::from_str::<serde_json::Value>(line)?["boot_ns"])
}

fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

fn size(findings: &mut Findings) -> Result<()> {
    let path = binary()?;
    let bytes = std::fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.len();
    findings.at_most("the program's file", mib(bytes), 20.0, " MiB");
    Ok(())
}
