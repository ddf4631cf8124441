//! What a recommendation would be wrong for, and is refused for.

use event::{Arch, Phase, Text};
use report::{Mismatch, ReasonCode, Report, Workload};

use crate::Options;
use crate::source::{Runs, who};

/// Why there is no recommendation. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing to derive it from.
    #[error("there is no report: record the workload first, `ringfence record NAME`")]
    NoReport,
    /// The workload ran behind another kernel.
    #[error("{who}: {why}: nothing can be recommended for it")]
    NotVisible {
        /// The run.
        who: String,
        /// What the report says.
        why: String,
    },
    /// The report shows no workload.
    #[error("{who}: the report has no system call of the workload: record it from its start, while it works")]
    Nothing {
        /// The run.
        who: String,
    },
    /// A program that was never executed cannot have been recorded whole.
    #[error(
        "{who}: the report has no execve of the workload though it claims to have seen its start: a profile from it could not start anything"
    )]
    NoExec {
        /// The run.
        who: String,
    },
    /// The report shows no program.
    #[error("{who}: the report has no program that the workload ran: record it from its start")]
    NoProgram {
        /// The run.
        who: String,
    },
    /// Containers inside of it write, too.
    #[error(
        "{who} is made inside of another container: where it writes is told in its own paths only, and cannot be listed for the outer one"
    )]
    WritesOfNested {
        /// The inner run.
        who: String,
    },
    /// Something is missing in the reports.
    #[error(
        "{}: a recommendation from that may deny what the workload needs: record it again, whole, or take it with --allow-incomplete",
        reasons.join("; ")
    )]
    Incomplete {
        /// What is missing, per run.
        reasons: Vec<String>,
    },
    /// The reports are of two programs, or from two sorts of machine.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// A call that a profile cannot name.
    #[error(
        "{who} made system call {number} of the table {arch}, which libseccomp has no name for: no profile could allow it"
    )]
    Unnamed {
        /// The run.
        who: String,
        /// The table.
        arch: Arch,
        /// The number.
        number: u32,
    },
}

/// The sections of a report that a recommendation is derived from, and the sensors behind them.
const SECTIONS: [&str; 2] = ["capabilities", "syscalls"];
const SENSORS: [&str; 3] = ["capabilities", "identity", "syscalls"];

/// What the reports do not show, if that is allowed.
pub(crate) fn check(runs: &Runs<'_>, options: &Options) -> Result<Vec<Text>, Refusal> {
    if Workload::of_all(&runs.own)?.is_none() {
        return Err(Refusal::NoReport);
    }
    for run in &runs.own {
        shows_a_workload(run)?;
    }
    let reasons: Vec<String> =
        runs.all().flat_map(|run| missing(run).into_iter().map(|reason| format!("{}: {reason}", who(run)))).collect();
    if !reasons.is_empty() && !options.allow_incomplete {
        return Err(Refusal::Incomplete { reasons });
    }
    Ok(reasons.into_iter().map(|reason| Text::from(reason.as_str())).collect())
}

/// That the workload did not run behind another kernel.
pub(crate) fn is_visible(run: &Report) -> Result<(), Refusal> {
    match run.reasons.iter().find(|reason| reason.code == ReasonCode::WorkloadNotVisible) {
        Some(reason) => Err(Refusal::NotVisible { who: who(run), why: reason.text.shown().into_owned() }),
        None => Ok(()),
    }
}

fn shows_a_workload(run: &Report) -> Result<(), Refusal> {
    is_visible(run)?;
    let made = |name: Option<&str>| {
        let uses = &run.behaviour.syscalls.uses;
        uses.iter().any(|used| used.phase == Phase::Main && used.count > 0 && name.is_none_or(|name| used.name == name))
    };
    if !made(None) {
        return Err(Refusal::Nothing { who: who(run) });
    }
    // A run that was found late may have started its last program before: that it misses something is said anyway.
    let from_start = run.window.observed_from == report::ObservedFrom::Start;
    if from_start && !made(Some("execve")) && !made(Some("execveat")) {
        return Err(Refusal::NoExec { who: who(run) });
    }
    Ok(())
}

/// Why what a recommendation is derived from may be missing, in sentences.
fn missing(run: &Report) -> Vec<String> {
    missing_in(run, &SECTIONS, &SENSORS)
}

/// Why something may be missing in these sections, which come from these sensors.
pub(crate) fn missing_in(run: &Report, sections: &[&str], sensors: &[&str]) -> Vec<String> {
    let concerns = |sensor: &Text| sensors.iter().any(|name| sensor.as_bytes() == name.as_bytes());
    let reasons = run.reasons.iter().filter(|reason| reason.sensor.as_ref().is_none_or(concerns));
    let mut missing: Vec<String> = reasons.map(|reason| reason.text.shown().into_owned()).collect();
    for &section in sections {
        // Reports of early versions say only whether they are complete as a whole.
        let complete = run.sections.get(&Text::from(section)).copied().unwrap_or(run.complete);
        if !complete && missing.is_empty() {
            missing.push(format!("{section} may be missing in the report"));
        }
    }
    missing
}
