//! What guards cost where a program is killed as it begins: a storm of programs that may run, in a container beside one with
//! policies, and in one whose policies name a thousand others.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::blocking::{Clean, run, status};
use e2e::bundle::Bundle;
use e2e::machine::{first_missing, unique_name};
use e2e::overlay::Overlay;
use e2e::rootfs;
use e2e::runtime::Runtime;

use super::Settings;
use crate::measure::spread::Spread;
use crate::measure::storm::WORKERS;
use crate::outcome::{Findings, Table, short};
use crate::programs::program;

const LIMIT: Duration = Duration::from_secs(60);
/// How many programs the policies name together.
const ENTRIES: usize = 1_000;
/// How many of them each names: the text of a policy has its bounds.
const ENTRIES_EACH: usize = 50;
/// At least this share of the programs without guards.
const SHARE: f64 = 0.97;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    None,
    Elsewhere,
    Here,
}

const VARIANTS: [(Variant, &str); 3] = [
    (Variant::None, "no guard"),
    (Variant::Elsewhere, "1,000 entries for another container"),
    (Variant::Here, "1,000 entries for this container"),
];

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
            times[which].push(storm(&overlay.root(), variant, seconds).context(label)?);
        }
    }
    judge(&mut findings, &times)?;
    Ok(findings)
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
    for ((_, label), spread) in VARIANTS.iter().zip(&spreads).skip(1) {
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

/// Microseconds per cycle.
fn storm(root: &Path, variant: Variant, seconds: u64) -> Result<f64> {
    let runtime = Runtime::new("runc")?;
    let name = unique_name("bench-guards");
    let seconds_text = seconds.to_string();
    let workers = WORKERS.to_string();
    let bundle = Bundle::new(root, &["/storm", "seconds", &seconds_text, &workers])?;
    let container = runtime.create(&bundle, &name)?;
    let other_bundle = Bundle::new(root, &["/bin/sleep", "1000"])?;
    let other_name = unique_name("bench-other");
    let other = runtime.create(&other_bundle, &other_name)?;
    other.start()?;
    match variant {
        Variant::None => {}
        Variant::Elsewhere => guard(&other_name)?,
        Variant::Here => guard(&name)?,
    }
    container.start()?;
    container.wait(LIMIT)?;
    let said = container.stdout();
    let cycles: f64 = match said.trim().parse() {
        Ok(cycles) if cycles > 0.0 => cycles,
        _ => bail!("the storm says {said:?} {}", container.stderr()),
    };
    if variant != Variant::None {
        ensure!(status()?["step"] == "kill", "the guards are gone: {}", status()?);
        let removed = run(None, &["policy", "remove", "--all"])?;
        ensure!(removed.status.success(), "policy remove --all: {}", removed.stderr());
    }
    Ok(seconds as f64 * 1e6 / cycles)
}

/// Policies for this container that name programs which are not there.
fn guard(container: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for first in (0..ENTRIES).step_by(ENTRIES_EACH) {
        let programs: Vec<String> = (first..first + ENTRIES_EACH).map(|at| format!("absent-{at}")).collect();
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

        judge(&mut findings, &[vec![100.0], vec![101.0], vec![110.0]]).expect("one round each");

        let met: Vec<bool> = findings.checks.iter().map(|check| check.met).collect();
        assert_eq!(met, [true, false]);
    }
}
