//! What advice is derived from: the workload's runs, which of their parts miss something, and evidence added up over them.

use std::collections::BTreeMap;

use behaviour::FirstUse;
use event::{Phase, Text};
use report::Report;

use super::paths::Places;
use super::{Advice, Evidence, Verdict};
use crate::Options;
use crate::source::{Runs, who};

/// The workload's runs, prepared.
pub(super) struct Seen<'r> {
    pub(super) own: &'r [&'r Report],
    pub(super) nested: &'r [&'r Report],
    pub(super) options: &'r Options,
    /// Of each of its own runs, where paths lead.
    pub(super) places: Vec<Places>,
}

impl<'r> Seen<'r> {
    pub(super) fn new(runs: &'r Runs<'r>, options: &'r Options) -> Seen<'r> {
        let places = runs.own.iter().map(|run| Places::of(run)).collect();
        Seen { own: &runs.own, nested: &runs.nested, options, places }
    }

    /// Its own runs with their places.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&'r Report, &Places)> {
        self.own.iter().copied().zip(&self.places)
    }

    /// Its own runs and those inside of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &'r Report> {
        self.own.iter().chain(self.nested).copied()
    }

    /// Whether what was done in this phase is the workload's.
    pub(super) fn counts(&self, phase: Phase) -> bool {
        self.options.phases().contains(&phase)
    }

    /// Why these parts of the reports may miss something, in sentences.
    pub(super) fn gaps(&self, sections: &[&str]) -> Vec<Text> {
        let mut gaps = Vec::new();
        for run in self.all() {
            for section in sections {
                let gap = match run.sections.get(&Text::from(*section)) {
                    Some(true) => continue,
                    Some(false) => reasons_of(run, section),
                    None => format!("the report does not say whether its part `{section}` is complete"),
                };
                gaps.push(Text::from(format!("{}: {gap}", who(run)).as_str()));
            }
        }
        gaps.sort();
        gaps.dedup();
        gaps
    }

    /// The advice, if these parts of the reports miss nothing. If they do, what was seen to be needed is needed still; anything
    /// else is not known, unless such reports are taken.
    pub(super) fn judge(&self, sections: &[&str], mut advice: Advice) -> Advice {
        let gaps = self.gaps(sections);
        if gaps.is_empty() {
            return advice;
        }
        if advice.verdict == Verdict::Apply && !self.options.allow_incomplete {
            advice.verdict = Verdict::Unknown;
            advice.reasons.clear();
        }
        advice.reasons.extend(gaps);
        advice
    }

    /// The same value of each run; none if they differ or one does not say.
    pub(super) fn agreed<T: PartialEq>(&self, value: impl Fn(&Report) -> Option<T>) -> Option<T> {
        let mut values = self.own.iter().map(|run| value(run));
        let first = values.next()??;
        values.all(|other| other.as_ref() == Some(&first)).then_some(first)
    }

    /// The value of a flag among the security options: `true` of `privileged=true`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.agreed(|run| {
            let mut values = run
                .container
                .security_options
                .iter()
                .filter_map(|option| option.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            match values.next_back()? {
                b"true" => Some(true),
                b"false" => Some(false),
                _ => None,
            }
        })
    }

    /// The engine that made it, if one made all of the runs.
    pub(super) fn engine(&self) -> Option<&'r Text> {
        let first = self.own.first()?.container.engine.as_ref();
        first.filter(|engine| self.own.iter().all(|run| run.container.engine.as_ref() == Some(*engine)))
    }
}

/// Why this part of a report is not complete.
fn reasons_of(run: &Report, section: &str) -> String {
    let concerns = |sensor: &Text| {
        let sensor = sensor.as_bytes();
        // The sensors `process` and `terminal` give `processes`, `scripts` and `terminals`.
        sensor == section.as_bytes()
            || sensor == b"identity"
            || (section.starts_with("process") && sensor == b"process")
    };
    let reasons: Vec<String> = run
        .reasons
        .iter()
        .filter(|reason| reason.sensor.as_ref().is_none_or(concerns))
        .map(|reason| reason.text.shown().into_owned())
        .collect();
    if reasons.is_empty() { format!("its part `{section}` was not observed") } else { reasons.join("; ") }
}

/// The program of a first use: its executable, else its name.
pub(super) fn program(first: &FirstUse) -> Text {
    if first.executable.is_empty() { first.comm.clone() } else { first.executable.clone() }
}

/// The program of a first use that may not be known.
pub(super) fn program_of(first: &Option<FirstUse>) -> Text {
    first.as_ref().map(program).unwrap_or_default()
}

/// A sentence of ours, with text of others only as it is safe to show.
pub(super) fn sentence(text: impl AsRef<str>) -> Text {
    Text::from(text.as_ref())
}

/// Evidence, added up.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seen: BTreeMap<(Text, Text, Phase), (Evidence, usize)>,
}

impl Tally {
    /// Adds what was seen in one run; the runs are given one after the other, and this is the number of the run.
    pub(super) fn add(&mut self, run: usize, what: &str, path: &Text, phase: Phase, program: Text, count: u64) {
        let key = (Text::from(what), path.clone(), phase);
        let (evidence, last) = self.seen.entry(key).or_insert_with(|| {
            let evidence = Evidence { what: what.into(), path: path.clone(), phase, program, count: 0, runs: 0 };
            (evidence, usize::MAX)
        });
        evidence.count = evidence.count.saturating_add(count);
        evidence.runs += u32::from(*last != run);
        *last = run;
    }

    /// Adds evidence that is added up already.
    pub(super) fn take(&mut self, evidence: Evidence) {
        let key = (evidence.what.clone(), evidence.path.clone(), evidence.phase);
        self.seen.insert(key, (evidence, usize::MAX));
    }

    /// Each.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Evidence> {
        self.seen.values().map(|(evidence, _)| evidence)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// All of it.
    pub(super) fn evidence(self) -> Vec<Evidence> {
        self.seen.into_values().map(|(evidence, _)| evidence).collect()
    }

    /// The first few, and how many more there are.
    pub(super) fn few(self, most: usize) -> (Vec<Evidence>, u32) {
        let mut all = self.evidence();
        let more = all.len().saturating_sub(most);
        all.truncate(most);
        (all, u32::try_from(more).unwrap_or(u32::MAX))
    }
}

impl Advice {
    /// To make the setting.
    pub(super) fn apply(now: Option<bool>, reason: &str, breaks: &str) -> Advice {
        Advice {
            verdict: Verdict::Apply,
            now,
            reasons: vec![sentence(reason)],
            breaks: Some(sentence(breaks)),
            ..Advice::default()
        }
    }

    /// Not to make it.
    pub(super) fn needed(now: Option<bool>, reason: &str, evidence: Vec<Evidence>) -> Advice {
        Advice { verdict: Verdict::Needed, now, reasons: vec![sentence(reason)], evidence, ..Advice::default() }
    }

    /// Not to know.
    pub(super) fn unknown(now: Option<bool>, reason: &str) -> Advice {
        Advice { verdict: Verdict::Unknown, now, reasons: vec![sentence(reason)], ..Advice::default() }
    }

    /// With one reason more.
    pub(super) fn because(mut self, reason: impl AsRef<str>) -> Advice {
        self.reasons.push(sentence(reason));
        self
    }
}
