//! What the pipeline calls: it keeps events in memory and hands the rest to a thread.
//!
//! Nothing here waits for a disk, for `/proc` or for the thread. What finds the thread's queue full is counted, and the alert
//! is told so.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use behaviour::Redaction;
use event::{Payload, ProcessId, RunId, Text};
use report::Timestamp;
use rules::Subject;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::noted::{Names, Noted};
use crate::worker::{AlertJob, Job, Worker, WorkerSettings};
use crate::{Bounds, Grouping, Incidents, Quota, Rings, Since};

/// So many jobs wait for the thread.
const QUEUE: usize = 64;
/// So long after its last alert an incident gets what its container does.
const AFTERWARDS: Duration = Duration::from_secs(60);
/// How long the end waits for the thread.
const END: Duration = Duration::from_secs(20);
/// How often what is over is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How evidence is collected.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where incidents are kept.
    pub folder: Incidents,
    /// How much of what containers do is kept in memory.
    pub bounds: Bounds,
    /// How much all incidents may take.
    pub quota: Quota,
    /// Whether files are kept: programs, scripts and what was written.
    pub capture: bool,
    /// Of one file at most so much is kept, and a program is hashed only up to that size.
    pub file_bytes: u64,
    /// Of one incident's files at most so much is kept.
    pub files_bytes: u64,
    /// Keep the environment of processes, without what this takes out; none: do not look at it.
    pub environment: Option<Redaction>,
    /// What an event is in words.
    pub describe: fn(&Subject<'_>) -> String,
    /// The version of the program.
    pub version: Text,
}

impl Settings {
    /// The usual bounds.
    pub fn new(folder: Incidents, version: &str, describe: fn(&Subject<'_>) -> String) -> Settings {
        Settings {
            folder,
            bounds: Bounds { entries_of_one: 1000, bytes_of_all: 16 << 20, containers: 4096 },
            quota: Quota { bytes: 2 << 30, incidents: 1000 },
            capture: false,
            file_bytes: 64 << 20,
            files_bytes: 256 << 20,
            environment: None,
            describe,
            version: version.into(),
        }
    }
}

/// An alert, as far as evidence for it is concerned.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// What it is called.
    pub id: Text,
    /// The rule.
    pub rule: Text,
    /// How bad that is.
    pub priority: Text,
    /// What the rule says about it.
    pub output: Text,
    /// When it happened, by the wall clock.
    pub time: Timestamp,
    /// The run of the container that it happened in.
    pub run: RunId,
    /// Who did it.
    pub process: ProcessId,
    /// The program that the process ran then, seen from its own root; none if that is not known.
    pub executable: Option<Text>,
    /// The alert, as it is given out.
    pub alert: Value,
}

/// What evidence there will be for an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It becomes part of this incident.
    Incident(Text),
    /// None.
    Skipped(Skipped),
}

/// Why there is no evidence for an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Too many alerts wait for theirs.
    Busy,
    /// The thread that collects has ended.
    Ended,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Skipped::Busy => "too many alerts wait for theirs",
            Skipped::Ended => "the thread that collects it has ended",
        })
    }
}

/// What was collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Alerts that there is evidence for.
    pub alerts: u64,
    /// Alerts that were told that there is none.
    pub skipped: u64,
    /// The incidents that were begun.
    pub incidents: Vec<Text>,
    /// Older incidents that were removed to make room.
    pub removed: Vec<Text>,
    /// What went wrong while they were written, each once.
    pub failures: Vec<String>,
    /// What the thread was still doing when nobody waited for it any more: what is written may lack the last of it.
    pub unfinished: Option<String>,
}

/// What the thread tells.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) summary: Summary,
    /// What it does now; empty if it waits.
    pub(crate) doing: String,
}

/// The incident of a container whose events are still wanted.
#[derive(Debug)]
struct Following {
    incident: Text,
    /// The first of its events that the incident has not got.
    next: u64,
    /// Until when.
    until: Timestamp,
}

/// Collects evidence for alerts.
#[derive(Debug)]
pub struct Collector {
    rings: Rings<RunId, Noted>,
    names: BTreeMap<RunId, Arc<Names>>,
    grouping: Grouping,
    following: BTreeMap<RunId, Following>,
    /// Containers that are gone, and when.
    ended: BTreeMap<RunId, Timestamp>,
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    told: Arc<Mutex<Told>>,
    half: u64,
    alerts: u64,
    skipped: u64,
    looked: Timestamp,
}

impl Collector {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system has no room for one.
    pub fn new(settings: Settings) -> std::io::Result<Collector> {
        let (queue, jobs) = sync_channel(QUEUE);
        let told = Arc::new(Mutex::new(Told::default()));
        let bounds = settings.bounds;
        let worker = Worker::new(
            WorkerSettings {
                folder: settings.folder,
                quota: settings.quota,
                capture: settings.capture,
                file_bytes: settings.file_bytes,
                files_bytes: settings.files_bytes,
                environment: settings.environment,
                describe: settings.describe,
                version: settings.version,
            },
            Arc::clone(&told),
        );
        let thread = std::thread::Builder::new().name("forensics".into()).spawn(move || worker.run(&jobs))?;
        Ok(Collector {
            rings: Rings::new(bounds),
            names: BTreeMap::new(),
            grouping: Grouping::default(),
            following: BTreeMap::new(),
            ended: BTreeMap::new(),
            queue: Some(queue),
            thread: Some(thread),
            told,
            half: (bounds.entries_of_one / 2).max(1) as u64,
            alerts: 0,
            skipped: 0,
            looked: Timestamp::default(),
        })
    }

    /// An event of a container, to be called before what it makes of alerts is handed to [`Collector::alert`].
    pub fn note(&mut self, run: RunId, subject: &Subject<'_>) {
        let now = Timestamp::from_unix_ns(subject.event.wall_time);
        if !self.names.get(&run).is_some_and(|names| names.is(&subject.container)) {
            self.names.insert(run, Arc::new(Names::of(&subject.container)));
        }
        self.rings.push(run, Noted::of(subject));
        if matches!(subject.payload, Payload::ContainerEnded(_)) {
            self.ended.insert(run, now);
        }
        let is_much = self.following.get(&run).is_some_and(|it| self.rings.pushed(run) - it.next >= self.half);
        if is_much {
            self.follow(run);
        }
        self.tick(now);
    }

    /// An alert: gives what evidence there will be for it.
    pub fn alert(&mut self, alert: AlertView) -> Evidence {
        let (run, at) = (alert.run, alert.time);
        let (incident, is_new) = self.grouping.incident(run, at, || {
            self.names.get(&run).map_or_else(|| name(&alert, &Names::default()), |names| name(&alert, names))
        });
        let place = if is_new { 0 } else { self.following.get(&run).map_or(0, |it| it.next) };
        let Since { entries, missed, next } = self.rings.since(run, place);
        let job = Job::Alert(Box::new(AlertJob {
            incident: incident.clone(),
            is_new,
            names: self.names.get(&run).cloned().unwrap_or_default(),
            events: entries,
            missed,
            alert,
        }));
        if let Err(skipped) = self.send(job) {
            self.skipped += 1;
            if is_new {
                self.grouping.forget(run);
            }
            return Evidence::Skipped(skipped);
        }
        self.alerts += 1;
        let until = Timestamp::from_unix_ns(at.unix_ns().saturating_add(AFTERWARDS.as_nanos() as u64));
        self.following.insert(run, Following { incident: incident.clone(), next, until });
        Evidence::Incident(incident)
    }

    /// Hands over what has happened since, and forgets what is over. To be called now and then while nothing happens.
    pub fn tick(&mut self, now: Timestamp) {
        if now.unix_ns().abs_diff(self.looked.unix_ns()) < LOOK.as_nanos() as u64 {
            return;
        }
        self.looked = now;
        let runs: Vec<RunId> = self.following.keys().copied().collect();
        for run in runs {
            let is_over = self.following.get(&run).is_some_and(|it| it.until < now) || self.ended.contains_key(&run);
            if self.follow(run) && is_over {
                self.following.remove(&run);
            }
        }
        let grace = AFTERWARDS.as_nanos() as u64;
        let gone = |at: &Timestamp| now.unix_ns().saturating_sub(at.unix_ns()) > grace;
        let runs: Vec<RunId> = self.ended.iter().filter(|(_, at)| gone(at)).map(|(run, _)| *run).collect();
        for run in runs.into_iter().filter(|run| !self.following.contains_key(run)) {
            self.ended.remove(&run);
            self.names.remove(&run);
            self.rings.forget(run);
        }
        if self.names.len() > self.rings.containers() {
            self.names.retain(|run, _| self.rings.pushed(*run) > 0);
        }
        self.grouping.forget_before(now);
    }

    /// What went wrong so far, and which older incidents were removed.
    pub fn so_far(&self) -> Summary {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Summary { alerts: self.alerts, skipped: self.skipped, ..told.summary.clone() }
    }

    /// Hands over what there is, and waits until it is written, but not for ever.
    pub fn finish(mut self) -> Summary {
        let end = Instant::now() + END;
        let runs: Vec<RunId> = self.following.keys().copied().collect();
        for run in runs {
            while !self.follow(run) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // Without anybody who can send, the thread ends when it has done everything.
        self.queue = None;
        let Some(thread) = self.thread.take() else { return self.so_far() };
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let is_finished = thread.is_finished();
        let has_panicked = is_finished && thread.join().is_err();
        let mut summary = self.so_far();
        if has_panicked {
            summary.unfinished = Some("the thread that collects has panicked".into());
        } else if !is_finished {
            let doing = self.told.lock().unwrap_or_else(PoisonError::into_inner).doing.clone();
            summary.unfinished = Some(if doing.is_empty() { "more alerts than could be done".into() } else { doing });
        }
        summary
    }

    /// Hands over what a container has done since; gives whether that was possible.
    fn follow(&mut self, run: RunId) -> bool {
        let Some(following) = self.following.get(&run) else { return true };
        let Since { entries, missed, next } = self.rings.since(run, following.next);
        if entries.is_empty() && missed == 0 {
            return true;
        }
        let names = self.names.get(&run).cloned().unwrap_or_default();
        let job = Job::After { incident: following.incident.clone(), names, events: entries, missed };
        let is_sent = match self.send(job) {
            Ok(()) | Err(Skipped::Ended) => true,
            Err(Skipped::Busy) => false,
        };
        if is_sent && let Some(following) = self.following.get_mut(&run) {
            following.next = next;
        }
        is_sent
    }

    fn send(&self, job: Job) -> Result<(), Skipped> {
        let Some(queue) = &self.queue else { return Err(Skipped::Ended) };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Skipped::Busy,
            TrySendError::Disconnected(_) => Skipped::Ended,
        })
    }
}

/// `20260131T235959Z-web-1f3a9c`: the time, the container by its name or the beginning of its id, and six digits that tell apart what
/// began in the same second.
fn name(alert: &AlertView, names: &Names) -> Text {
    const MAX_NAME: usize = 32;
    const SHORT_ID: usize = 12;
    let harmless = |text: &str, most: usize| -> String {
        let letters =
            text.chars().take(most).map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' });
        letters.collect()
    };
    let called = names.name.as_deref().map(|name| harmless(name, MAX_NAME));
    let by_id = || names.id.as_deref().map(|id| harmless(id, SHORT_ID));
    let by_run = || format!("run-{}.{}", alert.run.slot, alert.run.generation);
    let called = called.filter(|it| !it.is_empty()).or_else(by_id).filter(|it| !it.is_empty()).unwrap_or_else(by_run);
    let mut hash = Sha256::new();
    hash.update(alert.id.as_bytes());
    hash.update(alert.time.unix_ns().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    hash.update(format!("{}.{}", alert.run.slot, alert.run.generation));
    let digits: String = hash.finalize().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{called}-{digits}", alert.time.compact()).into()
}
