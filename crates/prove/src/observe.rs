//! Recording what is started meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::{FinishError, Recording, Settings, StartError, Target};
use behaviour::Redaction;
use containers::engine::Sockets;
use event::{RunId, SyscallNames};
use report::Report;

use crate::start::Outcome;

/// How often it is looked whether the work is done.
const GLANCE: Duration = Duration::from_millis(20);
const RING_BYTES: u32 = 8 << 20;

/// Why it could not be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The recording did not begin.
    #[error("cannot begin to record")]
    Start(#[from] StartError),
    /// It did not end as it should.
    #[error("the recording broke off")]
    Finish(#[from] FinishError),
}

/// What was kept of the reports of one recording.
#[derive(Debug)]
pub struct Kept<T> {
    all: Vec<One<T>>,
    by_name: BTreeMap<String, usize>,
    /// The containers that others were made inside of.
    outer: BTreeSet<RunId>,
    /// Containers that found no free slot: something may be missing.
    pub not_recorded: u64,
}

/// What was kept of one report.
#[derive(Debug)]
struct One<T> {
    kept: T,
    run: RunId,
    /// The first of its processes: pid, and when they were made.
    processes: Vec<(u32, u64)>,
}

/// The first process of a container is among the first that are listed.
const FIRST_PROCESSES: usize = 16;

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept { all: Vec::new(), by_name: BTreeMap::new(), outer: BTreeSet::new(), not_recorded: 0 }
    }
}

impl<T> Kept<T> {
    /// What was kept of this container.
    pub fn of(&self, outcome: &Outcome) -> Option<&T> {
        self.one_of(outcome).map(|one| &one.kept)
    }

    /// Whether containers were made inside of this one: what these did is in reports of their own.
    pub fn has_inner(&self, outcome: &Outcome) -> bool {
        self.one_of(outcome).is_some_and(|one| self.outer.contains(&one.run))
    }

    fn one_of(&self, outcome: &Outcome) -> Option<&One<T>> {
        let by_process = || {
            let first = outcome.first?;
            self.all.iter().find(|one| {
                let is_it = |&(pid, start_ns): &(u32, u64)| {
                    pid == first.pid && (first.after_ns..=first.before_ns).contains(&start_ns)
                };
                one.processes.iter().any(is_it)
            })
        };
        let named = self.by_name.get(&outcome.id).and_then(|&at| self.all.get(at));
        named.or_else(by_process)
    }
}

/// Records every container while `work` runs, on a thread of its own, and gives what it gives. Of each report it keeps what `keep`
/// makes of it.
pub fn observe<W: Send, T: Send + 'static>(
    stop: &AtomicBool,
    work: impl FnOnce() -> W + Send,
    keep: impl Fn(&Report) -> Option<T> + 'static,
) -> Result<(W, Kept<T>), ObserveError> {
    let all = Arc::new(Mutex::new((Vec::new(), BTreeMap::new(), BTreeSet::new())));
    let save = {
        let all = Arc::clone(&all);
        move |report: &Report| {
            if let Some(kept) = keep(report) {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                let (list, by_name, outer) = &mut *all;
                outer.extend(report.container.parent.as_ref().map(|parent| parent.run));
                let listed = &report.behaviour.processes.processes;
                let processes = listed.iter().take(FIRST_PROCESSES).map(|one| (one.id.pid, one.id.start_ns)).collect();
                if let Some(called) = report.container.id.as_ref().or(report.container.name.as_ref()) {
                    by_name.insert(called.to_string(), list.len());
                }
                list.push(One { kept, run: report.container.run, processes });
            }
            Ok(PathBuf::new())
        }
    };
    let mut recording = Recording::start(Settings {
        targets: vec![Target::All],
        ring_bytes: RING_BYTES,
        events: None,
        names: SyscallNames::builtin(),
        trace: None,
        file_bytes: false,
        terminal_bytes: 0,
        actions: None,
        redaction: Redaction::default(),
        watch: None,
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: false,
        save: Some(Box::new(save)),
    })?;
    let done = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            // Without a recording there is nothing to be started for.
            recording.step(GLANCE).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
        }
        Ok::<_, FinishError>(worker.join())
    })?;
    let ended = recording.finish()?;
    let work = match done {
        Ok(work) => work,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let (all, by_name, outer) = std::mem::take(&mut *all);
    Ok((work, Kept { all, by_name, outer, not_recorded: ended.not_recorded }))
}
