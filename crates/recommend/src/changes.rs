//! What the recommendation takes away from what the workload can do now.

use std::collections::BTreeSet;

use event::{Capability, SyscallNames, Text};
use report::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability_table::about;
use crate::default_profile::{self, Machine, Passage, passage, version};
use crate::present::Present;
use crate::source::Runs;
use crate::{CapabilityAdvice, Recommendation, Seccomp};

/// What is open now and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Changes {
    /// Which filter its system calls pass now.
    pub filter: FilterNow,
    /// Why that is thought, in a sentence.
    pub filter_reason: Text,
    /// How many system calls of the tables that it used are open now; none if that is not known.
    pub calls_now: Option<u32>,
    /// How many are after.
    pub calls_after: u32,
    /// The calls that are open now and not after, by name; empty if it is not known what is open now.
    pub calls_closed: Vec<Text>,
    /// The calls that are open after and not now, by name; empty if it is not known what is open now.
    pub calls_opened: Vec<Text>,
    /// How many capabilities are open now (the bounding set); none if that is not known.
    pub capabilities_now: Option<u32>,
    /// How many are after.
    pub capabilities_after: u32,
    /// The capabilities that are taken away, by number.
    pub capabilities_removed: Vec<CapabilityRemoved>,
    /// Capabilities that are added and that it does not have now, by number.
    pub capabilities_added: Vec<Capability>,
    /// Whether its capabilities are those that docker gives by default; none if they are not known.
    pub docker_default_capabilities: Option<bool>,
}

/// Which filter system calls pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilterNow {
    /// None.
    Unconfined,
    /// Docker's default profile, or podman's, of which docker's is taken as the measure.
    EngineDefault,
    /// Another one.
    Custom,
    /// It is not known whether there is one, or which.
    #[default]
    Unknown,
}

/// A capability that is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityRemoved {
    /// The capability.
    pub capability: Capability,
    /// Why that is safe, in a sentence.
    pub safe: Text,
    /// What would fail if it were needed after all, in a sentence.
    pub breaks: Text,
}

impl Changes {
    /// Takes in that more is allowed than before.
    pub(crate) fn amend(&mut self, seccomp: &Seccomp, advice: &CapabilityAdvice) {
        let count = |amount: usize| u32::try_from(amount).unwrap_or(u32::MAX);
        let before = usize::try_from(self.calls_after).unwrap_or(usize::MAX);
        if self.calls_now.is_some() && seccomp.allowed.len() > before {
            let known: BTreeSet<Text> = self.calls_closed.iter().cloned().collect();
            let names =
                seccomp.allowed.iter().filter(|call| call.is_amended()).map(|call| Text::from(call.name.as_str()));
            // What is open now was closed by the recommendation before.
            let opened: BTreeSet<Text> =
                names.filter(|name| !known.contains(name)).chain(self.calls_opened.drain(..)).collect();
            self.calls_opened = opened.into_iter().collect();
            self.calls_closed
                .retain(|name| !std::str::from_utf8(name.as_bytes()).is_ok_and(|name| seccomp.allows(name)));
        }
        self.calls_after = count(seccomp.allowed.len());
        let is_added = |capability: Capability| advice.add.iter().any(|need| need.capability == capability);
        self.capabilities_removed.retain(|one| !is_added(one.capability));
        self.capabilities_after = count(advice.add.len());
        if self.capabilities_now.is_some() {
            let added = advice.add.iter().map(|need| need.capability);
            self.capabilities_added = added.filter(|one| !advice.now.contains(*one)).collect();
        }
    }
}

impl Recommendation {
    /// Whether this call is let through now, with any argument: only what was open before may be opened without being asked for.
    /// Where that is not known it is not.
    pub fn lets_through_now(&self, call: &str) -> bool {
        let Some(source) = self.sources.first() else { return false };
        match self.changes.filter {
            FilterNow::Unconfined => true,
            FilterNow::EngineDefault => {
                let (architecture, release) = (source.architecture.shown(), source.kernel_release.shown());
                let machine = Machine { architecture: &architecture, kernel: version(&release) };
                passage(call, self.capabilities.now, machine) == Passage::Open
            }
            FilterNow::Custom | FilterNow::Unknown => false,
        }
    }
}

pub(crate) fn changes(runs: &Runs<'_>, present: &Present<'_>, seccomp: &Seccomp, advice: &CapabilityAdvice) -> Changes {
    let names = SyscallNames::builtin();
    let tables = seccomp.architectures.iter().flat_map(|&arch| names.all(arch).map(|(_, name)| name));
    let known: BTreeSet<&str> = tables.collect();
    let passages = known.iter().map(|call| Some((*call, present.passage(call)?)));
    let now: Option<BTreeSet<&str>> = passages.collect::<Option<Vec<_>>>().map(|passages| {
        passages.into_iter().filter(|(_, passage)| *passage != Passage::Closed).map(|(call, _)| call).collect()
    });
    let after: BTreeSet<&str> = seccomp.allowed.iter().map(|call| call.name.as_str()).collect();
    let texts = |calls: Vec<&str>| calls.into_iter().map(Text::from).collect();
    let closed = now.as_ref().map(|now| now.difference(&after).copied().collect()).unwrap_or_default();
    let opened = now.as_ref().map(|now| after.difference(now).copied().collect()).unwrap_or_default();

    let count = |amount: usize| u32::try_from(amount).unwrap_or(u32::MAX);
    let added: BTreeSet<Capability> = advice.add.iter().map(|need| need.capability).collect();
    let now_held = present.capabilities;
    Changes {
        filter: present.filter,
        filter_reason: present.filter_reason.into(),
        calls_now: now.as_ref().map(|now| count(now.len())),
        calls_after: count(after.len()),
        calls_closed: texts(closed),
        calls_opened: texts(opened),
        capabilities_now: now_held.map(|held| held.0.count_ones()),
        capabilities_after: count(added.len()),
        capabilities_removed: now_held
            .map(|held| held.iter().filter(|one| !added.contains(one)).map(|one| removed(one, runs, advice)).collect())
            .unwrap_or_default(),
        capabilities_added: now_held
            .map(|held| added.iter().copied().filter(|one| !held.contains(*one)).collect())
            .unwrap_or_default(),
        docker_default_capabilities: now_held.map(|held| held == default_profile::capabilities()),
    }
}

fn removed(capability: Capability, runs: &Runs<'_>, advice: &CapabilityAdvice) -> CapabilityRemoved {
    let left_out = advice.left_out.iter().find(|one| one.capability == capability);
    let reasons = left_out.map(|one| one.reasons.iter().map(|reason| reason.shown().into_owned()).collect::<Vec<_>>());
    let safe = match reasons {
        Some(reasons) => reasons.join("; "),
        None => format!("the kernel was not asked for it in {}", counted(runs.own.len() as u64, "run", "runs")),
    };
    let breaks = match about(capability) {
        Some(about) => format!("{} fails with EPERM", about.fails),
        None => "what needs it fails with EPERM".to_owned(),
    };
    CapabilityRemoved { capability, safe: safe.as_str().into(), breaks: breaks.as_str().into() }
}
