//! Recording what is started meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::{FinishError, Recording, Settings, StartError, Target};
use behaviour::Redaction;
use containers::engine::Sockets;
use event::SyscallNames;
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
    /// Containers that found no free slot: something may be missing.
    pub not_recorded: u64,
}

/// What was kept of one report.
#[derive(Debug)]
struct One<T> {
    kept: T,
    /// The first of its processes: pid, and when they were made.
    processes: Vec<(u32, u64)>,
}

/// The first process of a container is among the first that are listed.
const FIRST_PROCESSES: usize = 16;

impl<T> Kept<T> {
    /// What was kept of this container.
    pub fn of(&self, outcome: &Outcome) -> Option<&T> {
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
        named.or_else(by_process).map(|one| &one.kept)
    }
}

/// Records every container while `work` runs, on a thread of its own, and gives what it gives. Of each report it keeps what `keep`
/// makes of it.
pub fn observe<W: Send, T: Send + 'static>(
    work: impl FnOnce() -> W + Send,
    keep: impl Fn(&Report) -> Option<T> + 'static,
) -> Result<(W, Kept<T>), ObserveError> {
    let all = Arc::new(Mutex::new((Vec::new(), BTreeMap::new())));
    let save = {
        let all = Arc::clone(&all);
        move |report: &Report| {
            if let Some(kept) = keep(report) {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                let (list, by_name) = &mut *all;
                let listed = &report.behaviour.processes.processes;
                let processes = listed.iter().take(FIRST_PROCESSES).map(|one| (one.id.pid, one.id.start_ns)).collect();
                if let Some(called) = report.container.id.as_ref().or(report.container.name.as_ref()) {
                    by_name.insert(called.to_string(), list.len());
                }
                list.push(One { kept, processes });
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
        redaction: Redaction::default(),
        watch: None,
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: false,
        save: Some(Box::new(save)),
    })?;
    let done = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            recording.step(GLANCE)?;
        }
        Ok::<_, FinishError>(worker.join())
    })?;
    let ended = recording.finish()?;
    let work = match done {
        Ok(work) => work,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let (all, by_name) = std::mem::take(&mut *all);
    Ok((work, Kept { all, by_name, not_recorded: ended.not_recorded }))
}
