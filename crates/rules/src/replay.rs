//! Events that were recorded, with what rules may ask around them as far as the events before tell.

use std::collections::{HashMap, VecDeque};

use event::{Event, Exec, ImageFacts, Payload, ProcessId, Text};
use serde_json::Value;

use crate::context::{Context, Lineage, Relative};
use crate::subject::{Container, Parent, Subject};

/// How many processes are remembered: of more, those that were seen first are forgotten.
const MAX_PROCESSES: usize = 100_000;
/// How many ancestors are followed.
const MAX_ANCESTORS: usize = 64;

/// Events in the order in which they were recorded, and the processes that they tell of.
#[derive(Debug, Default)]
pub struct Replay {
    processes: HashMap<ProcessId, Known>,
    order: VecDeque<ProcessId>,
    /// What a program is that is about to begin.
    images: HashMap<ProcessId, ImageFacts>,
    number: u64,
}

/// One event as it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// When, in nanoseconds since 1970; none if that was not recorded.
    pub wall_time: Option<u64>,
    name: Option<String>,
    id: Option<String>,
    image: Option<String>,
    engine: Option<String>,
}

/// What is known of a process.
#[derive(Debug, Default)]
struct Known {
    parent: Option<ProcessId>,
    comm: Text,
    exec: Option<Exec>,
    image: Option<ImageFacts>,
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
#[error("it is no event that `record --events` or `watch --format json` writes")]
pub struct ReplayError(#[source] serde_json::Error);

impl Recorded {
    /// Reads a line of `ringfence record --events FILE.ndjson` or `ringfence watch --format json`.
    pub fn parse(line: &str) -> Result<Recorded, ReplayError> {
        let value: Value = serde_json::from_str(line).map_err(ReplayError)?;
        if value.get("boot_ns").is_some() {
            let event = serde_json::from_value(value).map_err(ReplayError)?;
            return Ok(Recorded { event, wall_time: None, name: None, id: None, image: None, engine: None });
        }
        let text = |at: &str| {
            let text = value.pointer(at).and_then(Value::as_str)?;
            Some(
                Text::parse(text)
                    .map_or_else(|| text.to_owned(), |text| String::from_utf8_lossy(text.as_bytes()).into()),
            )
        };
        let kind = value.pointer("/event/kind").cloned().unwrap_or_default();
        let mut payload = value.get(kind.as_str().unwrap_or_default()).cloned().unwrap_or_default();
        if let Value::Object(fields) = &mut payload {
            fields.insert("kind".to_owned(), kind);
        }
        let part = |at: &str| value.pointer(at).cloned().unwrap_or_default();
        // The container's run is not told there.
        let event = serde_json::json!({
            "boot_ns": part("/event/time"),
            "run": { "slot": 1, "generation": 0 },
            "phase": part("/event/phase"),
            "task": {
                "pid": part("/process/pid"),
                "start_ns": part("/process/start"),
                "exec": 0,
                "tid": part("/process/tid"),
                "comm": part("/process/name"),
            },
            "payload": payload,
        });
        let event = serde_json::from_value(event).map_err(ReplayError)?;
        let wall_time =
            value.pointer("/event/wall_time").and_then(Value::as_str).and_then(|digits| digits.parse().ok());
        Ok(Recorded {
            event,
            wall_time,
            name: text("/container/name"),
            id: text("/container/id"),
            image: text("/container/image"),
            engine: text("/container/engine"),
        })
    }
}

impl Replay {
    /// Nothing has happened yet.
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Takes the next event, and hands it on with what is known around it.
    pub fn take<T>(&mut self, recorded: &Recorded, then: impl FnOnce(&Subject<'_>) -> T) -> T {
        self.number += 1;
        let event = &recorded.event;
        self.learn(event);
        let process = event.task.image.process;
        let known = self.processes.get(&process);
        let relatives = Relatives { replay: self, process };
        let mut subject = Subject::new(event, recorded.wall_time.unwrap_or(event.boot_ns));
        subject.container = Container {
            name: recorded.name.as_deref(),
            id: recorded.id.as_deref(),
            image: recorded.image.as_deref(),
            engine: recorded.engine.as_deref(),
        };
        let exec = known.and_then(|known| known.exec.as_ref());
        subject.process.executable = exec.map(|exec| &exec.executable);
        subject.process.parent = known.and_then(|known| known.parent).map(|parent| Parent {
            pid: parent.pid,
            executable: self.processes.get(&parent).and_then(|known| Some(&known.exec.as_ref()?.executable)),
        });
        subject.context = Context {
            number: self.number,
            image: known.and_then(|known| known.image.as_ref()),
            exec,
            lineage: Some(&relatives),
            ..Context::default()
        };
        then(&subject)
    }

    fn learn(&mut self, event: &Event) {
        let process = event.task.image.process;
        match &event.payload {
            Payload::Image(image) => {
                if self.images.len() >= MAX_PROCESSES {
                    self.images.clear();
                }
                self.images.insert(process, image.clone());
            }
            Payload::Exec(exec) => {
                let image = self.images.remove(&process);
                let known = self.process(process);
                known.parent = Some(exec.parent);
                known.exec = Some(exec.clone());
                known.image = image;
            }
            Payload::Fork(fork) if fork.child != process => {
                let (exec, image) = self
                    .processes
                    .get(&process)
                    .map_or((None, None), |known| (known.exec.clone(), known.image.clone()));
                let child = self.process(fork.child);
                child.parent = Some(fork.parent);
                child.comm = event.task.comm.clone();
                (child.exec, child.image) = (exec, image);
            }
            _ => {}
        }
        let is_leader = event.task.tid == process.pid;
        let known = self.process(process);
        // Threads have names of their own.
        if is_leader || known.comm.is_empty() {
            known.comm = event.task.comm.clone();
        }
    }

    fn process(&mut self, process: ProcessId) -> &mut Known {
        if !self.processes.contains_key(&process) {
            self.order.push_back(process);
            if self.order.len() > MAX_PROCESSES
                && let Some(first) = self.order.pop_front()
            {
                self.processes.remove(&first);
            }
        }
        self.processes.entry(process).or_default()
    }
}

/// The relatives of one process.
#[derive(Debug)]
struct Relatives<'r> {
    replay: &'r Replay,
    process: ProcessId,
}

impl Relatives<'_> {
    fn above(&self, level: usize) -> Option<ProcessId> {
        let mut at = self.process;
        for _ in 0..level.min(MAX_ANCESTORS + 1) {
            at = self.replay.processes.get(&at)?.parent?;
        }
        (level <= MAX_ANCESTORS).then_some(at)
    }

    fn relative(&self, process: ProcessId) -> Option<Relative<'_>> {
        let known = self.replay.processes.get(&process)?;
        Some(Relative {
            name: &known.comm,
            executable: known.exec.as_ref().map(|exec| &exec.executable),
            argv: known.exec.as_ref().map_or(&[], |exec| &exec.argv),
            pid: process.pid,
            pid_inside: known.exec.as_ref().map(|exec| exec.pid_inside),
            start_ns: process.start_ns,
        })
    }

    /// The eldest of those that are the same in this, beginning with the process itself.
    fn eldest(&self, number: impl Fn(&ImageFacts) -> u32) -> Option<Relative<'_>> {
        let same = |process: &ProcessId| self.replay.processes.get(process)?.image.as_ref().map(&number);
        let own = same(&self.process)?;
        let line = std::iter::once(self.process).chain((1..=MAX_ANCESTORS).map_while(|level| self.above(level)));
        let eldest = line.take_while(|process| same(process) == Some(own)).last()?;
        self.relative(eldest)
    }
}

impl Lineage for Relatives<'_> {
    fn ancestor(&self, level: usize) -> Option<Relative<'_>> {
        self.relative(self.above(level)?)
    }

    fn session_leader(&self) -> Option<Relative<'_>> {
        self.eldest(|image| image.session)
    }

    fn group_leader(&self) -> Option<Relative<'_>> {
        self.eldest(|image| image.process_group)
    }
}
