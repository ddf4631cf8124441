//! The thread: it looks at processes, keeps files and writes incidents, one alert after the other.

mod files;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use behaviour::Redaction;
use containers::proc::Proc;
use event::{RunId, Text};
use report::{FormatVersion, Timestamp};
use rules::Subject;

use crate::collector::Told;
use crate::family::{self, Family};
use crate::missing::{Gaps, reason};
use crate::noted::{Names, Noted};
use crate::{Alert, AlertView, Container, Incident, Incidents, Missing, Quota, Recorded, evidence};

/// An incident that changed is written after so long at the latest.
const WRITE: Duration = Duration::from_secs(1);
/// One that nothing comes to for so long is put away: it is read again if something does.
const PUT_AWAY: Duration = Duration::from_secs(120);
/// So many are in memory at once.
const MAX_OPEN: usize = 16;
/// So many events an incident has, and so many bytes of them as JSON.
const MAX_EVENTS: usize = 4000;
const MAX_EVENT_BYTES: usize = 8 << 20;
/// So many processes an incident describes.
const MAX_PROCESSES: usize = 64;
/// So many failures are told.
const MAX_FAILURES: usize = 16;
/// So many peers an incident has.
const MAX_PEERS: usize = 512;

/// What the thread is to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// An alert came.
    Alert(Box<AlertJob>),
    /// The container of an incident has done more.
    After { incident: Text, names: Arc<Names>, events: Vec<Arc<Noted>>, missed: u64 },
}

/// An alert, and what its container did before it that the incident has not got.
#[derive(Debug)]
pub(crate) struct AlertJob {
    pub(crate) incident: Text,
    pub(crate) is_new: bool,
    pub(crate) names: Arc<Names>,
    pub(crate) events: Vec<Arc<Noted>>,
    pub(crate) missed: u64,
    pub(crate) alert: AlertView,
}

pub(crate) struct WorkerSettings {
    pub(crate) folder: Incidents,
    pub(crate) quota: Quota,
    pub(crate) capture: bool,
    pub(crate) file_bytes: u64,
    pub(crate) files_bytes: u64,
    pub(crate) environment: Option<Redaction>,
    pub(crate) describe: fn(&Subject<'_>) -> String,
    pub(crate) version: Text,
}

/// An incident in memory.
struct Open {
    incident: Incident,
    /// The events, for what follows from them; empty of what was read again.
    events: Vec<Arc<Noted>>,
    event_bytes: usize,
    /// What its files take so far.
    kept_bytes: u64,
    changed: bool,
    touched: Instant,
}

pub(crate) struct Worker {
    settings: WorkerSettings,
    proc: Proc,
    told: Arc<Mutex<Told>>,
    open: BTreeMap<Text, Open>,
    written: Instant,
}

impl Worker {
    pub(crate) fn new(settings: WorkerSettings, told: Arc<Mutex<Told>>) -> Worker {
        Worker { settings, proc: Proc::default(), told, open: BTreeMap::new(), written: Instant::now() }
    }

    /// Does what comes, until nobody can send any more.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(WRITE) {
                Ok(Job::Alert(job)) => {
                    self.say(format!(
                        "collecting evidence for alert {} about process {}",
                        job.alert.id, job.alert.process.pid
                    ));
                    self.alert(*job);
                }
                Ok(Job::After { incident, names, events, missed }) => {
                    self.say(format!("taking in what follows incident {incident}"));
                    self.after(&incident, &names, &events, missed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.written.elapsed() >= WRITE {
                self.write();
            }
            self.say(String::new());
        }
        self.write();
    }

    fn alert(&mut self, job: AlertJob) {
        let AlertJob { incident: id, is_new, names, events, missed, alert } = job;
        if is_new {
            let incident = self.begin(&id, &names, &alert);
            self.open.insert(id.clone(), incident);
        } else if !self.reach(&id) {
            return;
        }
        let Some(open) = self.open.get_mut(&id) else { return };
        open.take_in(&self.settings, &names, &events, missed, if is_new { "events before" } else { "events between" });
        let incident = &mut open.incident;
        incident.begin = incident.begin.min(alert.time);
        incident.end = incident.end.max(alert.time);
        incident.alerts.push(Alert {
            id: alert.id.clone(),
            rule: alert.rule.clone(),
            priority: alert.priority.clone(),
            output: alert.output.clone(),
            time: alert.time,
            process: alert.process,
            alert: alert.alert.clone(),
        });
        let is_known =
            incident.processes.iter().any(|it| it.id == alert.process && it.executable_then == alert.executable);
        if is_known {
            return;
        }
        if incident.processes.len() == MAX_PROCESSES {
            let reason = format!("only {MAX_PROCESSES} processes of an incident are described");
            open.miss(format!("process {}", alert.process.pid), reason);
            return;
        }
        let seen = std::mem::take(&mut open.events);
        let family = Family::of(&seen);
        let container = open.incident.container.id.clone();
        let subject = evidence::Subject {
            id: alert.process,
            executable: alert.executable.clone(),
            container: container.as_ref(),
            now: now(),
        };
        let (mut process, grip) =
            evidence::of_process(&self.proc, &subject, &family, self.settings.environment.as_ref());
        files::of_process(&self.settings, &self.proc, open, &mut process, grip, &family, &seen);
        open.incident.processes.push(process);
        open.events = seen;
    }

    fn after(&mut self, id: &Text, names: &Names, events: &[Arc<Noted>], missed: u64) {
        if self.reach(id)
            && let Some(open) = self.open.get_mut(id)
        {
            open.take_in(&self.settings, names, events, missed, "events after");
        }
    }

    /// A new incident, with its folder.
    fn begin(&mut self, id: &Text, names: &Names, alert: &AlertView) -> Open {
        let in_use: Vec<&Text> = self.open.keys().collect();
        // One more is about to come.
        let quota = Quota { incidents: self.settings.quota.incidents.saturating_sub(1), ..self.settings.quota };
        let removed = self.settings.folder.make_room(quota, &in_use);
        let begun = self.settings.folder.begin(id);
        let mut open = Open {
            incident: empty(id, &self.settings.version, names, alert.run, alert.time),
            events: Vec::new(),
            event_bytes: 0,
            kept_bytes: 0,
            changed: true,
            touched: Instant::now(),
        };
        match removed {
            Ok(removed) => {
                for older in &removed {
                    open.miss(format!("incident {older}"), "it was removed to make room for this one");
                }
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                told.summary.removed.extend(removed);
            }
            Err(error) => self.failed(&error),
        }
        match begun {
            Ok(()) => {
                self.told.lock().unwrap_or_else(PoisonError::into_inner).summary.incidents.push(id.clone());
            }
            Err(error) => self.failed(&error),
        }
        open
    }

    /// Whether an incident is in memory now.
    fn reach(&mut self, id: &Text) -> bool {
        if let Some(open) = self.open.get_mut(id) {
            open.touched = Instant::now();
            return true;
        }
        match self.settings.folder.read(id) {
            Ok(incident) => {
                let kept_bytes = files::kept_bytes(&incident);
                let open = Open {
                    incident,
                    events: Vec::new(),
                    event_bytes: 0,
                    kept_bytes,
                    changed: false,
                    touched: Instant::now(),
                };
                self.open.insert(id.clone(), open);
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Writes what has changed, and puts away what nothing comes to any more.
    fn write(&mut self) {
        self.say("writing incidents".into());
        let mut failures = Vec::new();
        for open in self.open.values_mut().filter(|open| open.changed) {
            match self.settings.folder.write(&open.incident) {
                Ok(()) => open.changed = false,
                Err(error) => failures.push(error),
            }
        }
        for error in failures {
            self.failed(&error);
        }
        self.open.retain(|_, open| open.touched.elapsed() < PUT_AWAY);
        while self.open.len() > MAX_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.touched).map(|(id, _)| id.clone());
            oldest.and_then(|id| self.open.remove(&id));
        }
        self.written = Instant::now();
    }

    fn say(&self, doing: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).doing = doing;
    }

    fn failed(&self, error: &dyn std::error::Error) {
        let failures = &mut self.told.lock().unwrap_or_else(PoisonError::into_inner).summary.failures;
        let line = reason(error);
        if failures.len() < MAX_FAILURES && !failures.contains(&line) {
            failures.push(line);
        }
    }
}

impl Open {
    /// Takes in events that come after those that are there.
    fn take_in(
        &mut self,
        settings: &WorkerSettings,
        names: &Names,
        events: &[Arc<Noted>],
        missed: u64,
        what: &'static str,
    ) {
        self.touched = Instant::now();
        self.changed = true;
        complete(&mut self.incident.container, names);
        let mut left_out = 0;
        for event in events {
            if self.incident.events.len() == MAX_EVENTS || self.event_bytes > MAX_EVENT_BYTES {
                left_out += 1;
                continue;
            }
            let subject = event.subject(names);
            let json = report::json_line(&subject);
            self.event_bytes += json.len();
            self.incident.events.push(Recorded {
                time: Timestamp::from_unix_ns(event.when.wall_time),
                kind: event.when.kind.into(),
                phase: event.when.phase,
                process: event.id,
                name: event.name().clone(),
                text: (settings.describe)(&subject).into(),
                event: serde_json::from_str(&json).unwrap_or_default(),
            });
            self.events.push(Arc::clone(event));
        }
        if missed > 0 {
            self.miss(what, format!("{missed} were not in memory any more"));
        }
        if left_out > 0 {
            self.miss(what, format!("{left_out} are not kept: an incident has at most {MAX_EVENTS}, or 8 MiB of them"));
        }
        for peer in family::peers(&self.events) {
            let is_it = |known: &crate::Peer| {
                (known.direction, known.protocol, known.port) == (peer.direction, peer.protocol, peer.port)
                    && (&known.address, &known.failed) == (&peer.address, &peer.failed)
            };
            let peers = &mut self.incident.peers;
            match peers.iter().position(is_it) {
                Some(at) if peers[at].names.len() < peer.names.len() => peers[at].names = peer.names,
                None if peers.len() < MAX_PEERS => peers.push(peer),
                Some(_) | None => {}
            }
        }
    }

    fn miss(&mut self, what: impl Into<Text>, why: impl Into<Text>) {
        self.changed = true;
        let mut gaps = Gaps::from(std::mem::take(&mut self.incident.missing));
        gaps.add(what, why);
        self.incident.missing = gaps.into_list();
    }
}

impl From<Vec<Missing>> for Gaps {
    fn from(list: Vec<Missing>) -> Gaps {
        let mut gaps = Gaps::default();
        for missing in list {
            gaps.add(missing.what, missing.reason);
        }
        gaps
    }
}

fn empty(id: &Text, version: &Text, names: &Names, run: RunId, at: Timestamp) -> Incident {
    let mut container = Container { name: None, id: None, image: None, engine: None, run };
    complete(&mut container, names);
    Incident {
        schema_version: FormatVersion,
        ringfence_version: version.clone(),
        id: id.clone(),
        container,
        begin: at,
        end: at,
        alerts: Vec::new(),
        processes: Vec::new(),
        events: Vec::new(),
        peers: Vec::new(),
        files: Vec::new(),
        missing: Vec::new(),
    }
}

/// What is known by now and was not before.
fn complete(container: &mut Container, names: &Names) {
    let fill = |field: &mut Option<Text>, known: &Option<String>| {
        if let (None, Some(known)) = (&field, known) {
            *field = Some(known.as_str().into());
        }
    };
    fill(&mut container.name, &names.name);
    fill(&mut container.id, &names.id);
    fill(&mut container.image, &names.image);
    fill(&mut container.engine, &names.engine);
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap_or_default())
}
