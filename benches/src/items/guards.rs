//! What guards cost where a program is killed as it begins: a storm of programs that may run, in a container beside one with
//! policies, in one whose policies name a thousand others, and in one where each program is held back until its content is
//! known; and what the guards' program itself takes of an exec.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::blocking::{Blocking, Clean, run, status};
use e2e::bundle::Bundle;
use e2e::command::{command, must};
use e2e::machine::{first_missing, unique_name};
use e2e::overlay::Overlay;
use e2e::rootfs;
use e2e::runtime::Runtime;

use super::Settings;
use crate::measure::spread::Spread;
use crate::measure::storm::WORKERS;
use crate::outcome::{Findings, Table, short};
use crate::programs::program;

/// The program at the end of each exec.
const PROGRAM: &str = "on_exec_guard";
/// The kernel keeps account of what BPF programs take while this is 1.
const ACCOUNT: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// What many entries may cost of what few do.
const MOST_OF_FEW: f64 = 1.10;
const LIMIT: Duration = Duration::from_secs(60);
/// No program here has this content.
const ABSENT: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// How many programs the policies name together.
const ENTRIES: usize = 1_000;
/// And where they are few.
const FEW_ENTRIES: usize = 10;
/// How many of them each names: the text of a policy has its bounds.
const ENTRIES_EACH: usize = 50;
/// At least this share of the programs without guards.
const SHARE: f64 = 0.97;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    None,
    Elsewhere,
    Here,
    Contents,
}

const VARIANTS: [(Variant, &str); 4] = [
    (Variant::None, "no guard"),
    (Variant::Elsewhere, "1,000 entries for another container"),
    (Variant::Here, "1,000 entries for this container"),
    (Variant::Contents, "a content that is not there, for this container"),
];
/// What is asked of an exec that no other process has to answer for.
const JUDGED: [Variant; 2] = [Variant::Elsewhere, Variant::Here];

/// Item `guards`.
pub(crate) fn guards(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let what = "exec storm with guards at the step kill";
    if let Some(missing) = first_missing(&["runc", "busybox"]) {
        findings.not_measured(what, &format!("no program {missing}"));
        return Ok(findings);
    }
    ensure!(
        status()?["step"].is_null(),
        "guards are in force on this machine: end them with `ringfence policy remove`"
    );
    let _clean = Clean::start()?;
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    std::fs::copy(program("storm")?, overlay.root().join("storm"))?;
    let seconds = settings.choose(3, 1);
    let mut times: [Vec<f64>; VARIANTS.len()] = Default::default();
    for turn in 0..settings.choose(7, 2) {
        for step in 0..VARIANTS.len() {
            let which = (turn + step) % VARIANTS.len();
            let (variant, label) = VARIANTS[which];
            times[which].push(Storm::of(variant, seconds).run(&overlay.root()).context(label)?.us_of_cycle);
        }
    }
    judge(&mut findings, &times)?;
    let mut runs: [Vec<f64>; 2] = Default::default();
    let account = Account::open()?;
    for turn in 0..settings.choose(8, 2) {
        for step in 0..2 {
            let which = (turn + step) % 2;
            let storm = Storm { entries: [FEW_ENTRIES, ENTRIES][which], ..Storm::of(Variant::Here, seconds) };
            runs[which].extend(storm.run(&overlay.root())?.ns_of_program);
        }
    }
    drop(account);
    judge_program(&mut findings, &runs)?;
    Ok(findings)
}

/// Has the kernel keep account of what BPF programs take, until it is dropped.
struct Account {
    before: String,
}

impl Account {
    fn open() -> Result<Account> {
        let before = std::fs::read_to_string(ACCOUNT).context(ACCOUNT)?;
        std::fs::write(ACCOUNT, "1").context(ACCOUNT)?;
        Ok(Account { before })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let _ = std::fs::write(ACCOUNT, &self.before);
    }
}

/// What the guards' program took of a run, in nanoseconds; none if it did not run.
fn read_program_ns() -> Result<Option<f64>> {
    let text = must(&mut command("bpftool", ["--json", "prog", "show", "name", PROGRAM]))?;
    let program: serde_json::Value = serde_json::from_str(&text).context("bpftool's JSON")?;
    let number = |name: &str| program[name].as_f64().filter(|number| *number > 0.0);
    Ok(number("run_time_ns").zip(number("run_cnt")).map(|(ns, runs)| ns / runs))
}

fn judge_program(findings: &mut Findings, runs: &[Vec<f64>; 2]) -> Result<()> {
    let mut table = Table::new(
        format!("`{PROGRAM}`, as the kernel keeps account of it: nanoseconds of each of the same execs."),
        ["rounds", "min", "25 %", "median", "max"],
    );
    let spreads = [Spread::of(&runs[0])?, Spread::of(&runs[1])?];
    for (entries, Spread { count, min, p25, median, max }) in [FEW_ENTRIES, ENTRIES].iter().zip(&spreads) {
        table.row(format!("{entries} entries for this container"), [*count as f64, *min, *p25, *median, *max]);
    }
    findings.tables.push(table);
    let what = format!("{PROGRAM}: {ENTRIES} entries, of what it takes with {FEW_ENTRIES}");
    findings.at_most(what, spreads[1].p25 / spreads[0].p25, MOST_OF_FEW, "x");
    Ok(())
}

fn judge(findings: &mut Findings, times: &[Vec<f64>; VARIANTS.len()]) -> Result<()> {
    let mut table = Table::new(
        format!(
            "fork, exec and exit as fast as {WORKERS} processes can in a container of runc: microseconds per cycle."
        ),
        ["rounds", "min", "25 %", "median", "max", "x no guard"],
    );
    let spreads: Vec<Spread> = times.iter().map(|times| Spread::of(times)).collect::<Result<_>>()?;
    for ((_, label), Spread { count, min, p25, median, max }) in VARIANTS.iter().zip(&spreads) {
        table.row(*label, [*count as f64, *min, *p25, *median, *max, spreads[0].p25 / p25]);
    }
    findings.tables.push(table);
    for ((_, label), spread) in VARIANTS.iter().zip(&spreads).filter(|((variant, _), _)| JUDGED.contains(variant)) {
        let share = spreads[0].p25 / spread.p25;
        findings.check(
            format!("exec storm, {label}"),
            format!("{}x without", short(share)),
            format!(">= {SHARE}x"),
            share >= SHARE,
        );
    }
    Ok(())
}

/// One storm beside guards.
#[derive(Clone, Copy)]
struct Storm {
    variant: Variant,
    entries: usize,
    seconds: u64,
}

/// What it came to.
struct Round {
    us_of_cycle: f64,
    /// While the kernel keeps account.
    ns_of_program: Option<f64>,
}

impl Storm {
    fn of(variant: Variant, seconds: u64) -> Storm {
        Storm { variant, entries: ENTRIES, seconds }
    }

    fn run(self, root: &Path) -> Result<Round> {
        let runtime = Runtime::new("runc")?;
        let name = unique_name("bench-guards");
        let bundle = Bundle::new(root, &["/storm", "seconds", &self.seconds.to_string(), &WORKERS.to_string()])?;
        let container = runtime.create(&bundle, &name)?;
        let other_bundle = Bundle::new(root, &["/bin/sleep", "1000"])?;
        let other_name = unique_name("bench-other");
        let other = runtime.create(&other_bundle, &other_name)?;
        other.start()?;
        let mut looking = None;
        match self.variant {
            Variant::None => {}
            Variant::Elsewhere => guard(&other_name, self.entries)?,
            Variant::Here => guard(&name, self.entries)?,
            Variant::Contents => {
                looking = Some(Blocking::start(None, &["--container", &name, "--hash", ABSENT])?);
            }
        }
        container.start()?;
        container.wait(LIMIT)?;
        let said = container.stdout();
        let cycles: f64 = match said.trim().parse() {
            Ok(cycles) if cycles > 0.0 => cycles,
            _ => bail!("the storm says {said:?} {}", container.stderr()),
        };
        let mut ns_of_program = None;
        if self.variant != Variant::None {
            ensure!(status()?["step"] == "kill", "the guards are gone: {}", status()?);
            ns_of_program = read_program_ns()?;
            let removed = run(None, &["policy", "remove", "--all"])?;
            ensure!(removed.status.success(), "policy remove --all: {}", removed.stderr());
        }
        if let Some(looking) = looking {
            looking.wait()?;
        }
        Ok(Round { us_of_cycle: self.seconds as f64 * 1e6 / cycles, ns_of_program })
    }
}

/// Policies for this container that name so many programs which are not there.
fn guard(container: &str, entries: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for first in (0..entries).step_by(ENTRIES_EACH) {
        let last = entries.min(first + ENTRIES_EACH);
        let programs: Vec<String> = (first..last).map(|at| format!("absent-{at}")).collect();
        let policy = serde_json::json!({
            "schema_version": 1, "containers": [{ "container": container }], "exec": programs
        });
        std::fs::write(folder.path().join(format!("{first}.json")), policy.to_string())?;
    }
    let done = run(None, &["enforce", "--once", "--policy", &folder.path().display().to_string()])?;
    ensure!(done.status.success(), "ringfence enforce: {}", done.stderr());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_the_policy_is_judged() {
        let mut findings = Findings::default();

        judge(&mut findings, &[vec![100.0], vec![101.0], vec![110.0], vec![200.0]]).expect("one round each");

        let met: Vec<bool> = findings.checks.iter().map(|check| check.met).collect();
        assert_eq!(met, [true, false]);
    }

    #[test]
    fn many_entries_may_cost_what_few_do() {
        let mut findings = Findings::default();

        judge_program(&mut findings, &[vec![1000.0], vec![1050.0]]).expect("one round each");
        judge_program(&mut findings, &[vec![1000.0], vec![1200.0]]).expect("one round each");

        let met: Vec<bool> = findings.checks.iter().map(|check| check.met).collect();
        assert_eq!(met, [true, false]);
    }
}
