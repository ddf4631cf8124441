//! `ringfence detect` by all public rules, end to end: whether it keeps up with a storm in a container, what an event costs it,
//! and what evidence adds.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cgroups::Cgroup;
use e2e::machine::unique_name;
use e2e::watching::Watching;

use super::Settings;
use crate::measure::process::user_ns;
use crate::measure::spread::Spread;
use crate::measure::storm::{Extent, Storm, events_of};
use crate::outcome::{Findings, Table};

const LIMIT: Duration = Duration::from_secs(180);
/// How many files each program of the storm opens.
const OPENS: u64 = 4;
/// How long after the storm what is still in the ring is looked at.
const CALM: Duration = Duration::from_secs(1);
/// What an event may cost, in microseconds of CPU time in user mode.
const MOST_US: f64 = 3.0;

/// The public rule files, in the order in which Falco loads them; none if the machine has none.
pub(crate) fn public_rules() -> Option<Vec<PathBuf>> {
    let folder = PathBuf::from(std::env::var_os("RINGFENCE_TEST_DATA")?).join("falco-rules");
    let names = ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"];
    Some(names.iter().map(|name| folder.join(name)).collect())
}

/// Why they are not there.
pub(crate) const NO_RULES: &str = "RINGFENCE_TEST_DATA, the folder with falco-rules, is not set";

/// `ringfence detect` by the public rules alone, which tells nobody; what it keeps is in `state`.
pub(crate) fn detect(state: &std::path::Path, target: &[&str], more: &[&str]) -> Result<Watching> {
    let state = state.display().to_string();
    let mut args: Vec<String> = ["--no-shipped-rules", "--sink", "none", "--state", &state].map(str::to_owned).into();
    for file in public_rules().context(NO_RULES)? {
        args.extend(["--rules".to_owned(), file.display().to_string()]);
    }
    args.extend(target.iter().chain(more).map(|arg| (*arg).to_owned()));
    Watching::detect(&args)
}

/// What one storm came to.
struct Looked {
    events: u64,
    user_us: f64,
    has_lost: bool,
}

/// Item `detect`.
pub(crate) fn detecting(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let what = "detect by all public rules: user CPU of ringfence per event";
    if public_rules().is_none() {
        findings.not_measured(what, NO_RULES);
        return Ok(findings);
    }
    let seconds = settings.choose(6, 2);
    let variants = [("without evidence", false), ("with evidence", true)];
    let mut costs: [Vec<f64>; 2] = Default::default();
    let (mut events, mut losing) = ([0; 2], [0_u64; 2]);
    for turn in 0..settings.choose(5, 2) {
        for step in 0..variants.len() {
            let which = (turn + step) % variants.len();
            let looked = storm(seconds, variants[which].1).context(variants[which].0)?;
            costs[which].push(looked.user_us);
            events[which] += looked.events;
            losing[which] += u64::from(looked.has_lost);
        }
    }
    let mut table = Table::new(
        format!(
            "fork, exec, {OPENS} opens and exit as fast as 2 processes can, {seconds} s at a time, in a container that is looked at by \
             all public rules: microseconds of ringfence's CPU time in user mode per event, without those of its start."
        ),
        ["rounds", "events", "min", "25 %", "median", "max", "rounds with losses"],
    );
    let spreads = [Spread::of(&costs[0])?, Spread::of(&costs[1])?];
    for (which, (label, _)) in variants.iter().enumerate() {
        let Spread { count, min, p25, median, max } = spreads[which];
        table.row(*label, [count as f64, events[which] as f64, min, p25, median, max, losing[which] as f64]);
    }
    findings.tables.push(table);
    findings.at_most(what, spreads[0].p25, MOST_US, " us");
    let rounds = format!("{} of {} rounds", losing[0], spreads[0].count);
    findings.check("detect by all public rules: rounds in which events were lost", rounds, "0".into(), losing[0] == 0);
    let ratio = spreads[1].p25 / spreads[0].p25;
    findings.notes.push(format!(
        "Evidence adds {:.2} us to an event ({ratio:.2}x). With it events were lost in {} of {} rounds.",
        spreads[1].p25 - spreads[0].p25,
        losing[1],
        spreads[1].count
    ));
    Ok(findings)
}

/// One storm in a container that is looked at.
fn storm(seconds: u64, with_evidence: bool) -> Result<Looked> {
    let folder = tempfile::Builder::new().prefix("ringfence-bench").tempdir_in("/dev/shm")?;
    let (state, files) = (folder.path().join("state"), folder.path().join("files"));
    std::fs::create_dir(&files)?;
    for at in 0..OPENS {
        std::fs::write(files.join(format!("file-{at}")), "")?;
    }
    let incidents = folder.path().join("incidents").display().to_string();
    let more: &[&str] = if with_evidence { &["--incidents", &incidents] } else { &[] };
    let name = unique_name("bench-detect");
    let cgroup_path = format!("/{name}");
    let watching = detect(&state, &["--cgroup", &cgroup_path], more)?;
    let cgroup = Cgroup::create(&name)?;
    let storm = Storm::prepare_opening(Extent::Seconds(seconds), OPENS, &files)?;
    cgroup.take(storm.pid())?;
    sleep(CALM);
    let before = user_ns(watching.pid())?;
    let cycles = storm.run(LIMIT)?;
    sleep(CALM);
    let used = user_ns(watching.pid())? - before;
    let watched = watching.stop()?;
    ensure!(watched.status.code() != Some(2), "ringfence detect ended with {}: {}", watched.status, watched.stderr);
    // What rules see of a program that begins is its image, too.
    let events = events_of(cycles) + cycles * (OPENS + 1);
    Ok(Looked { events, user_us: used as f64 / 1e3 / events as f64, has_lost: watched.stderr.contains("were lost") })
}
