//! Evidence for alerts: what `detect` hands to the collector, and what it says of it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use ::report::{Timestamp, counted};
use alerts::Alert;
use anyhow::Context as _;
use behaviour::Redaction;
use clap::Args;
use event::{ProcessId, RunId, Text};
use forensics::{AlertView, Collector, Incidents, Settings, Summary};
use rules::Subject;

use super::office::Witness;
use crate::watch::describe;

/// Which evidence is kept.
#[derive(Args)]
pub(crate) struct EvidenceArgs {
    /// Keep evidence for alerts: who did it, what the container did before and after. `ringfence incident` shows it.
    #[arg(long)]
    evidence: bool,

    /// Also keep the program, scripts, and files that were written, bounded in size. Implies --evidence.
    #[arg(long)]
    capture: bool,

    /// Also keep the environment of processes; what looks like a secret is taken out. Implies --evidence.
    #[arg(long)]
    environment: bool,

    /// The folder for evidence. Implies --evidence.
    #[arg(long, value_name = "DIR")]
    incidents: Option<PathBuf>,
}

impl EvidenceArgs {
    /// Starts to collect, if that is wanted.
    pub(super) fn start(&self) -> anyhow::Result<Option<Evidence>> {
        if !(self.evidence || self.capture || self.environment || self.incidents.is_some()) {
            return Ok(None);
        }
        let folder = Incidents::open(self.incidents.as_deref()).context("evidence cannot be kept")?;
        let mut settings = Settings::new(folder, env!("CARGO_PKG_VERSION"), describe);
        settings.capture = self.capture;
        settings.environment = self.environment.then(Redaction::default);
        let collector = Collector::new(settings).context("cannot start the thread that collects evidence")?;
        Ok(Some(Evidence { collector: Rc::new(RefCell::new(collector)), said: RefCell::default() }))
    }
}

/// The collector.
pub(super) struct Evidence {
    collector: Rc<RefCell<Collector>>,
    /// How much of what went wrong was said.
    said: RefCell<Summary>,
}

impl Evidence {
    /// Another hold on the same.
    pub(super) fn share(&self) -> Evidence {
        Evidence { collector: Rc::clone(&self.collector), said: RefCell::default() }
    }

    /// Takes in an event; before the alerts that come of it.
    pub(super) fn note(&self, run: RunId, subject: &Subject<'_>) {
        self.collector.borrow_mut().note(run, subject);
    }

    /// Whom alerts are handed to.
    pub(super) fn witness(&self) -> Witness {
        let collector = Rc::clone(&self.collector);
        Box::new(move |alert, process, run| Some(asked(&mut collector.borrow_mut(), alert, process, run)))
    }

    /// Lets it do what is due, and gives sentences about what is new.
    pub(super) fn look(&self, now: Timestamp) -> Vec<String> {
        let mut collector = self.collector.borrow_mut();
        collector.tick(now);
        let summary = collector.so_far();
        let mut said = self.said.borrow_mut();
        let sentences = news(&summary, &said);
        *said = summary;
        sentences
    }

    /// Ends it: gives sentences, and how many alerts have no evidence. Everybody else must have let go of it.
    pub(super) fn finish(self) -> anyhow::Result<(Vec<String>, u64)> {
        let Some(collector) = Rc::into_inner(self.collector) else { anyhow::bail!("somebody still hands in alerts") };
        let summary = collector.into_inner().finish();
        let mut sentences = news(&summary, &self.said.borrow());
        sentences.push(format!(
            "evidence for {} in {}: `ringfence incident list`",
            counted(summary.alerts, "alert", "alerts"),
            counted(summary.incidents.len() as u64, "incident", "incidents")
        ));
        if summary.skipped > 0 {
            sentences.push(format!(
                "no evidence for {}: too many came at once",
                counted(summary.skipped, "alert", "alerts")
            ));
        }
        if let Some(doing) = &summary.unfinished {
            sentences.push(format!("the last of the evidence is missing: it was not finished in time ({doing})"));
        }
        let is_unfinished = u64::from(summary.unfinished.is_some());
        Ok((sentences, summary.skipped + summary.failures.len() as u64 + is_unfinished))
    }
}

/// Asks for evidence; gives what the alert says of it.
fn asked(collector: &mut Collector, alert: &Alert, process: ProcessId, run: RunId) -> Text {
    let evidence = collector.alert(AlertView {
        id: alert.id.clone(),
        rule: alert.rule.clone(),
        priority: alert.priority.name().into(),
        output: alert.output.clone(),
        time: alert.last_seen,
        run,
        process,
        executable: alert.process.as_ref().and_then(|process| process.executable.clone()),
        alert: serde_json::to_value(alert).unwrap_or_default(),
    });
    match evidence {
        forensics::Evidence::Incident(id) => id,
        forensics::Evidence::Skipped(why) => format!("skipped: {why}").into(),
    }
}

/// What was not said before.
fn news(summary: &Summary, said: &Summary) -> Vec<String> {
    let removed = summary.removed.iter().skip(said.removed.len());
    let removed = removed.map(|id| format!("incident {} was removed to make room for a new one", id.shown()));
    let failures = summary.failures.iter().skip(said.failures.len());
    removed.chain(failures.map(|why| format!("evidence: {}", Text::from(why.as_str()).shown()))).collect()
}
