//! The runs that reports are of: one report each, the containers inside of them told apart, and whether all are one workload.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use event::{RunId, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Report, quoted, short_id};

/// One report of each run.
#[derive(Debug)]
pub struct Runs<'r> {
    /// The runs of the workload, in an order that depends on nothing but what is in them.
    pub own: Vec<&'r Report>,
    /// The containers that were made inside of these, or inside of such a one.
    pub nested: Vec<&'r Report>,
}

impl<'r> Runs<'r> {
    /// Of several reports of one run the longest counts, and its JSON decides where nothing else does.
    pub fn of(reports: &'r [Report]) -> Runs<'r> {
        let all = one_each(reports);
        // What a child says of its parent: the run, in the same recording of the same boot.
        let place = |report: &Report, run: RunId| {
            (report.host.boot_id.clone(), report.window.recording.map(|at| at.boot_ns), run)
        };
        let mut outer = BTreeMap::<_, Vec<usize>>::new();
        for (at, run) in all.iter().enumerate() {
            outer.entry(place(run, run.container.run)).or_default().push(at);
        }
        let (mut own, mut nested) = (Vec::new(), Vec::new());
        for (at, run) in all.iter().enumerate() {
            let parents = run.container.parent.as_ref().and_then(|parent| outer.get(&place(run, parent.run)));
            // Nothing was made inside of itself, whatever a file says.
            let is_nested = parents.is_some_and(|parents| parents.iter().any(|&parent| parent != at));
            if is_nested { nested.push(*run) } else { own.push(*run) }
        }
        Runs { own, nested }
    }

    /// All of them, and whether each is nested.
    pub fn each(&self) -> impl Iterator<Item = (&'r Report, bool)> {
        let own = self.own.iter().map(|run| (*run, false));
        own.chain(self.nested.iter().map(|run| (*run, true)))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &'r Report> {
        self.each().map(|(run, _)| run)
    }
}

/// One report of each run, ordered by what tells runs apart.
pub(crate) fn one_each(reports: &[Report]) -> Vec<&Report> {
    let mut runs: Vec<(_, &Report)> = reports.iter().map(|report| (identity(report), report)).collect();
    // The longest of a run comes first; its JSON decides where nothing else does.
    runs.sort_by(|(one_is, one), (other_is, other)| {
        let end = |report: &Report| Reverse(report.window.end.boot_ns);
        let known = one_is.cmp(other_is).then_with(|| end(one).cmp(&end(other)));
        known.then_with(|| one.to_json().cmp(&other.to_json()))
    });
    runs.dedup_by(|(next, _), (kept, _)| next == kept);
    runs.into_iter().map(|(_, report)| report).collect()
}

/// What tells runs apart, of all boots, recordings and machines.
type Identity = (u64, Option<Text>, Option<u64>, Option<Text>, RunId, u64);

fn identity(report: &Report) -> Identity {
    (
        report.window.begin.wall.unix_ns(),
        report.host.boot_id.clone(),
        report.window.recording.map(|recording| recording.boot_ns),
        report.container.id.clone(),
        report.container.run,
        report.window.begin.boot_ns,
    )
}

/// What to call a run in a message; safe for a terminal.
pub fn called(run: &Report) -> String {
    let container = &run.container;
    match (&container.name, &container.id) {
        (Some(name), _) => name.shown().into_owned(),
        (None, Some(id)) => short_id(id),
        (None, None) => match container.command.first() {
            Some(program) => program.shown().into_owned(),
            None => format!("run {}.{}", container.run.slot, container.run.generation),
        },
    }
}

/// What is run: an image and a command, on one sort of machine. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// The image, as its engine names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// The image's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Text>,
    /// The command that it is started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Text>,
    /// The machine's architecture, as `uname -m` prints it.
    pub architecture: Text,
}

/// Why reports are not of one workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// They are of two programs.
    #[error("{one} and {other} are not the same workload: give the reports of one")]
    Workloads {
        /// The first, with what tells it apart.
        one: String,
        /// Another one.
        other: String,
    },
    /// They are from two sorts of machine.
    #[error("{one} and {other} have different system calls: give the reports of one architecture")]
    Architectures {
        /// The first, with its architecture.
        one: String,
        /// Another one.
        other: String,
    },
}

impl Workload {
    /// Whether both are of one workload, as far as is known. Of two that have nothing to be compared by, that cannot be said.
    pub fn is_same(&self, other: &Workload) -> bool {
        let images = match (&self.image_digest, &other.image_digest) {
            (Some(its), Some(others)) => Some(its == others),
            _ => self.image.as_ref().zip(other.image.as_ref()).map(|(its, others)| its == others),
        };
        let has_commands = !self.command.is_empty() && !other.command.is_empty();
        let commands = has_commands.then(|| self.command == other.command);
        self.architecture == other.architecture
            && (images.is_some() || commands.is_some())
            && images != Some(false)
            && commands != Some(false)
    }

    /// What a run is of.
    pub fn of(run: &Report) -> Workload {
        Workload {
            image: run.container.image.clone(),
            image_digest: run.container.image_digest.clone(),
            command: run.container.command.clone(),
            architecture: run.host.architecture.clone(),
        }
    }

    /// The one workload of these runs; none if there is no run.
    ///
    /// The same means: the same architecture, the same image by its digest (by its name if one has no digest), the same command.
    /// What is not known is not compared. Each is compared with each, so that the order makes no difference.
    pub fn of_all(runs: &[&Report]) -> Result<Option<Workload>, Mismatch> {
        let mut seen = BTreeSet::new();
        let different: Vec<(&Report, Workload)> = runs
            .iter()
            .map(|run| (*run, Workload::of(run)))
            .filter(|(_, workload)| seen.insert(workload.clone()))
            .collect();
        for (at, (one, its)) in different.iter().enumerate() {
            for (other, others) in &different[at + 1..] {
                its.must_be(others, one, other)?;
            }
        }
        // Of what is known, the least: it depends on no order.
        let known = |part: fn(&Workload) -> Option<&Text>| seen.iter().filter_map(part).min().cloned();
        Ok(seen.first().map(|first| Workload {
            image: known(|workload| workload.image.as_ref()),
            image_digest: known(|workload| workload.image_digest.as_ref()),
            command: seen.iter().map(|workload| &workload.command).max().cloned().unwrap_or_default(),
            architecture: first.architecture.clone(),
        }))
    }

    fn must_be(&self, other: &Workload, run: &Report, other_run: &Report) -> Result<(), Mismatch> {
        let named = |run: &Report, by: &Text| format!("{} ({})", called(run), by.shown());
        if self.architecture != other.architecture {
            return Err(Mismatch::Architectures {
                one: named(run, &self.architecture),
                other: named(other_run, &other.architecture),
            });
        }
        let images = match (&self.image_digest, &other.image_digest) {
            (Some(its), Some(others)) => Some((its, others)),
            _ => self.image.as_ref().zip(other.image.as_ref()),
        };
        if let Some((its, others)) = images.filter(|(its, others)| its != others) {
            return Err(Mismatch::Workloads { one: named(run, its), other: named(other_run, others) });
        }
        let has_commands = !self.command.is_empty() && !other.command.is_empty();
        if has_commands && self.command != other.command {
            let line = |workload: &Workload| {
                let words: Vec<String> = workload.command.iter().map(quoted).collect();
                Text::from(words.join(" ").as_str())
            };
            return Err(Mismatch::Workloads { one: named(run, &line(self)), other: named(other_run, &line(other)) });
        }
        Ok(())
    }
}
