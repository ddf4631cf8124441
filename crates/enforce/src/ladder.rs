//! The ladder: what this kernel lets us do, found out by trying, the best first.

use containers::cgroupfs::{Layout, Version};
use sensors::Hierarchy;
use sensors::guard::{GuardError, Guards, Pins, Step};

use crate::canary::{self, CanaryError};

/// The step that was reached, and why not those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Climb {
    /// The step.
    pub step: Step,
    /// The steps before it, each with why it could not be had.
    pub refused: Vec<(Step, String)>,
}

/// Why no guard is there to be relied on.
#[derive(Debug, thiserror::Error)]
pub enum LadderError {
    /// The hierarchy that tells containers apart cannot be used.
    #[error("the cgroup hierarchy that tells containers apart has no controller")]
    NoController,
    /// The guards that are there cannot be used.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// They are there and block nothing.
    #[error(
        "guards are in place at the step {step}, and block nothing; `ringfence policy remove --all` takes them away"
    )]
    Broken {
        /// At which step.
        step: Step,
        /// What the canary came to.
        source: CanaryError,
    },
    /// This kernel has no step.
    #[error("this kernel lets nothing be blocked:{}", list(.0))]
    NoStep(Vec<(Step, String)>),
}

fn list(refused: &[(Step, String)]) -> String {
    refused.iter().map(|(step, why)| format!("\n  {step}: {why}")).collect()
}

/// What identifies containers, in the words of the guards.
pub(crate) fn hierarchy(layout: &Layout) -> Result<Hierarchy, LadderError> {
    let identity = layout.identity();
    match identity.version {
        Version::V2 => Ok(Hierarchy::Unified),
        Version::V1 => {
            let name = identity.identity_controller().ok_or(LadderError::NoController)?.to_owned();
            Ok(Hierarchy::Controller { name, id: identity.number })
        }
    }
}

/// The guards that are there, else new ones at the best step on which a canary is blocked. `only` leaves out all other steps.
pub(crate) fn climb(
    pins: &Pins,
    layout: &Layout,
    only: Option<Step>,
) -> Result<(Guards, Vec<(Step, String)>), LadderError> {
    let hierarchy = hierarchy(layout)?;
    if let Some(guards) = Guards::find(pins.clone(), &hierarchy)? {
        return match canary::check(&guards, layout) {
            Ok(()) => Ok((guards, Vec::new())),
            Err(source) => Err(LadderError::Broken { step: guards.step(), source }),
        };
    }
    let mut refused = Vec::new();
    for step in Step::LADDER.into_iter().filter(|step| only.is_none_or(|only| only == *step)) {
        match try_step(pins, &hierarchy, layout, step) {
            Ok(guards) => return Ok((guards, refused)),
            Err(why) => refused.push((step, why)),
        }
    }
    Err(LadderError::NoStep(refused))
}

fn try_step(pins: &Pins, hierarchy: &Hierarchy, layout: &Layout, step: Step) -> Result<Guards, String> {
    let guards = Guards::load(pins.clone(), hierarchy, step).map_err(|error| match error.objection() {
        Some(objection) => format!("{}: {objection}", first_lines(&error)),
        None => first_lines(&error),
    })?;
    match canary::check(&guards, layout) {
        Ok(()) => Ok(guards),
        Err(error) => {
            let why = first_lines(&error);
            guards.remove().map_err(|error| first_lines(&error))?;
            Err(why)
        }
    }
}

/// An error with its causes, each its first line, without what libbpf adds.
fn first_lines(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default().trim_end_matches("; libbpf said:").to_owned();
        if parts.last() != Some(&line) {
            parts.push(line);
        }
        next = cause.source();
    }
    parts.join(": ")
}
