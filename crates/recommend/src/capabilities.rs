//! Capabilities: none but those that the workload was seen to use.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{CapabilityUse, CheckMeaning};
use event::{Capability, CapabilitySet, Phase, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::capability_table::about;
use crate::source::Runs;

/// What to do with capabilities: drop all, then add these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityAdvice {
    /// Those that the workload used, by number. That one was used does not say that it was needed.
    pub add: Vec<CapabilityNeed>,
    /// Those that the kernel was asked for and that are yet not added, by number.
    pub left_out: Vec<CapabilityLeftOut>,
    /// Those that the workload could have now: the bounding sets of its programs.
    pub now: CapabilitySet,
}

/// A capability that is needed as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityNeed {
    /// The capability.
    pub capability: Capability,
    /// Where it was used, per phase.
    pub evidence: Vec<CapabilityEvidence>,
    /// How the workload could do without it, in sentences; empty if no way is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub smaller: Vec<Text>,
}

/// How one capability was used in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityEvidence {
    /// The part of the container's life.
    pub phase: Phase,
    /// How often, in all runs.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// In how many runs.
    pub runs: u32,
    /// The program that used it first, in the first of these runs: its path, else its name.
    pub program: Text,
    /// The system call that it was used in first; none if it was in none, or if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<Text>,
}

/// A capability that was asked for and is not added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityLeftOut {
    /// The capability.
    pub capability: Capability,
    /// Why it is not needed, in sentences.
    pub reasons: Vec<Text>,
}

pub(crate) fn advice(runs: &Runs<'_>, options: &Options) -> CapabilityAdvice {
    let mut needs = BTreeMap::<Capability, BTreeMap<Phase, CapabilityEvidence>>::new();
    let mut others = BTreeMap::<Capability, BTreeSet<&'static str>>::new();
    let mut now = CapabilitySet::default();
    for (run, is_nested) in runs.each() {
        let mut seen = BTreeSet::new();
        for used in &run.behaviour.capabilities.uses {
            match left_out(used, options, is_nested) {
                Some(reason) => {
                    others.entry(used.capability).or_default().insert(reason);
                }
                None => {
                    let is_first = seen.insert((used.capability, used.phase));
                    let of_phases = needs.entry(used.capability).or_default();
                    let evidence = of_phases.entry(used.phase).or_insert_with(|| CapabilityEvidence {
                        phase: used.phase,
                        count: 0,
                        runs: 0,
                        program: program(used),
                        syscall: used.first.syscall.as_ref().map(|call| call.name.as_str().into()),
                    });
                    evidence.count = evidence.count.saturating_add(used.count);
                    evidence.runs += u32::from(is_first);
                }
            }
        }
        if is_nested {
            continue;
        }
        let states = run.behaviour.privileged.confinement.iter().filter(|state| state.phase == Phase::Main);
        now.0 |= states.filter(|state| !state.others).fold(0, |sum, state| sum | state.bounding.0);
    }
    others.retain(|capability, _| !needs.contains_key(capability));
    CapabilityAdvice {
        add: needs
            .into_iter()
            .map(|(capability, evidence)| CapabilityNeed {
                capability,
                evidence: evidence.into_values().collect(),
                smaller: about(capability).and_then(|about| about.smaller).map(Text::from).into_iter().collect(),
            })
            .collect(),
        left_out: others
            .into_iter()
            .map(|(capability, reasons)| CapabilityLeftOut {
                capability,
                reasons: reasons.into_iter().map(Text::from).collect(),
            })
            .collect(),
        now,
    }
}

/// Why these checks are no reason to add the capability; none if they are one.
fn left_out(used: &CapabilityUse, options: &Options, is_nested: bool) -> Option<&'static str> {
    let meaning = match used.meaning() {
        CheckMeaning::Used => None,
        CheckMeaning::Denied => Some("it was not held when it was asked for"),
        CheckMeaning::Silent => Some("asked for only to choose how to go on"),
        CheckMeaning::InWorkload => Some("used in a user namespace that the workload made itself"),
        CheckMeaning::OfOthers => Some("asked of somebody else's credentials"),
    };
    match used.phase {
        // Its runtime is part of the workload around it.
        _ if is_nested => meaning,
        Phase::RuntimeInit => Some("used by the runtime only, before it gives its capabilities up"),
        Phase::Exec if !options.exec => Some("used in sessions from outside only"),
        Phase::Main | Phase::Exec => meaning,
    }
}

/// The program of the first check: its executable, else its name.
fn program(used: &CapabilityUse) -> Text {
    let by = &used.first.by;
    if by.executable.is_empty() { by.comm.clone() } else { by.executable.clone() }
}
