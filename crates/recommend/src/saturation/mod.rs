//! How sure one can be that all has been seen: what each run added, and an estimate of what is still unseen.

mod estimate;
mod table;

use std::collections::BTreeMap;

use event::Text;
use report::{FormatVersion, Report, Timestamp, counted, duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use estimate::Estimate;
pub use table::table;

use crate::permissions::permissions;
use crate::{Options, Refusal, refusal, source};

/// The version of the format that this program writes.
pub const SATURATION_VERSION: u32 = 1;

/// Fewer runs say nothing about what others may show.
const FEWEST_RUNS: usize = 3;

/// What each run added, and what may be missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Saturation {
    /// The version of this format.
    pub schema_version: FormatVersion<SATURATION_VERSION>,
    /// What the reports do not show, in sentences; not empty only if that was allowed.
    pub incomplete: Vec<Text>,
    /// It in one sentence: for how long nothing was new, and how much more is expected.
    pub summary: Text,
    /// The runs, in the order in which they began.
    pub runs: Vec<RunAdds>,
    /// How many permissions were known after how much observed time, all runs one after another: a point for each time when one was
    /// new, and one for the end.
    pub curve: Vec<CurvePoint>,
    /// How many permissions were needed in all.
    pub total: u32,
    /// How many of them were seen in one run only.
    pub in_one_run: u32,
    /// How many were seen in two runs only.
    pub in_two_runs: u32,
    /// How many whole runs there were after the one that showed something new last.
    pub runs_without_new: u32,
    /// For how long nothing new was seen at the end, in nanoseconds of observed time.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub quiet_ns: u64,
    /// What is expected to be unseen; none if there are fewer than three runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// One run, and what no run before it had shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunAdds {
    /// What people call the container.
    pub name: Text,
    /// When it began to be observed.
    pub begin: Timestamp,
    /// For how long, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub observed_ns: u64,
    /// System calls and capabilities that are new in it, in the order of their first use.
    pub new: Vec<NewPermission>,
    /// How many there are with it.
    pub total: u32,
}

/// A point of the curve of permissions over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// For how long had been observed, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub observed_ns: u64,
    /// How many runs had begun.
    pub runs: u32,
    /// How many permissions were known.
    pub total: u32,
}

/// A permission that a run showed first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewPermission {
    /// The name of the system call or capability.
    pub name: Text,
    /// When it was used first, in nanoseconds since the run began.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub after_ns: u64,
}

impl Saturation {
    /// As JSON for people and programs, safe for a terminal.
    pub fn to_json(&self) -> String {
        report::json(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Saturation);
        schema.insert("title".into(), format!("ringfence saturation, version {SATURATION_VERSION}").into());
        report::json(&schema)
    }
}

/// Looks at what each of several runs of one workload added to those before it.
pub fn saturation(reports: &[Report], options: &Options) -> Result<Saturation, Refusal> {
    let runs = source::Runs::of(reports);
    let incomplete = refusal::check(&runs, options)?;
    let mut runs = runs.own;
    runs.sort_by_key(|run| run.window.begin.wall);
    let mut seen = BTreeMap::<Text, u32>::new();
    let mut adds = Vec::new();
    let (mut runs_without_new, mut quiet_ns) = (0, 0);
    for run in runs {
        let begin = run.window.begin.boot_ns;
        let observed_ns = run.window.end.boot_ns.saturating_sub(begin);
        let mut new = Vec::new();
        for (name, first_ns) in permissions(run, options.phases()) {
            let times = seen.entry(name.clone()).or_default();
            if *times == 0 {
                new.push(NewPermission { name, after_ns: first_ns.saturating_sub(begin).min(observed_ns) });
            }
            *times += 1;
        }
        new.sort_by(|one, other| (one.after_ns, &one.name).cmp(&(other.after_ns, &other.name)));
        match new.last() {
            Some(newest) => (runs_without_new, quiet_ns) = (0, observed_ns - newest.after_ns),
            None => (runs_without_new, quiet_ns) = (runs_without_new + 1, quiet_ns.saturating_add(observed_ns)),
        }
        let (name, begin) = (source::who(run).as_str().into(), run.window.begin.wall);
        adds.push(RunAdds { name, begin, observed_ns, new, total: of_size(seen.len()) });
    }
    let curve = curve(&adds);
    let in_runs = |wanted: u32| of_size(seen.values().filter(|&&times| times == wanted).count());
    let (in_one_run, in_two_runs) = (in_runs(1), in_runs(2));
    let estimate = (adds.len() >= FEWEST_RUNS)
        .then(|| Estimate::of(of_size(adds.len()), in_one_run, in_two_runs, of_size(adds.len())));
    Ok(Saturation {
        schema_version: FormatVersion,
        incomplete,
        summary: summary(quiet_ns, runs_without_new, estimate.as_ref()).as_str().into(),
        curve,
        total: of_size(seen.len()),
        in_one_run,
        in_two_runs,
        runs_without_new,
        quiet_ns,
        estimate,
        runs: adds,
    })
}

/// `no new system call or capability in the last 41 min 00 s and 3 runs; expect about 0.4 more`.
fn summary(quiet_ns: u64, runs_without_new: u32, estimate: Option<&Estimate>) -> String {
    let quiet = duration(quiet_ns);
    let since = match runs_without_new {
        0 => format!("the last {quiet} of the last run"),
        runs => format!("the last {quiet} and {}", counted(runs.into(), "run", "runs")),
    };
    let more = match estimate {
        Some(estimate) => format!("expect about {:.1} more", estimate.expected),
        None => "three runs are needed to say what others may add".to_owned(),
    };
    format!("no new system call or capability in {since}; {more}")
}

fn curve(runs: &[RunAdds]) -> Vec<CurvePoint> {
    let mut curve = Vec::<CurvePoint>::new();
    let (mut before, mut total) = (0_u64, 0);
    for (at, run) in runs.iter().enumerate() {
        for new in &run.new {
            total += 1;
            let point = CurvePoint { observed_ns: before.saturating_add(new.after_ns), runs: of_size(at + 1), total };
            match curve.last_mut().filter(|last| (last.observed_ns, last.runs) == (point.observed_ns, point.runs)) {
                Some(last) => *last = point,
                None => curve.push(point),
            }
        }
        before = before.saturating_add(run.observed_ns);
    }
    let end = CurvePoint { observed_ns: before, runs: of_size(runs.len()), total };
    if curve.last() != Some(&end) {
        curve.push(end);
    }
    curve
}

fn of_size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
