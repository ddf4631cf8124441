//! Starting a workload as its engine starts everybody, to see what it does.

use std::sync::atomic::AtomicBool;

use report::Report;

use crate::expected::Expected;
use crate::observe::observe;
use crate::start::{Entry, Order, Outcome, Patience, Starter};
use crate::verify::{ProveError, container_name, not_told_to_stop};

/// Starts it so often and gives a report of each start. Each must work, and end in the same way.
pub fn record(
    starter: &Starter,
    patience: &Patience,
    starts: u32,
    stop: &AtomicBool,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Report>, ProveError> {
    let work = || -> Result<Vec<Outcome>, ProveError> {
        (1..=starts)
            .map(|number| {
                progress(&format!("recording start {number} of {starts}"));
                let name = container_name("recorded", number);
                not_told_to_stop(stop)?;
                Ok(starter.run(&Order { name: &name, under: None, entry: Entry::Workload }, patience, stop)?)
            })
            .collect()
    };
    let (outcomes, kept) = observe(stop, work, |report| Some(report.clone()))?;
    let outcomes = outcomes?;
    Expected::of(&outcomes, patience)?;
    if let Some(outer) = outcomes.iter().find(|outcome| kept.has_inner(outcome)) {
        return Err(ProveError::Nested { container: outer.id.clone() });
    }
    outcomes
        .iter()
        .map(|outcome| {
            let report = kept.of(outcome).cloned();
            report.ok_or_else(|| ProveError::NotObserved { container: outcome.id.clone() })
        })
        .collect()
}
