//! Hands events to whoever watches, as soon as it is known whose they are.
//!
//! A cgroup becomes a container some time after its first tasks, and its engine says only then what it is called. Until
//! both are known the events of a run wait, so that no one who asked for a container by name misses its beginning. What
//! waits is bounded: where there is no room, the run with the most gives up its events, which is one that will hardly
//! become a container any more (a session of a user, say). If it does, they are counted as lost.

use std::collections::BTreeMap;
use std::time::Duration;

use behaviour::Behaviour;
use containers::engine::Metadata;
use event::{Event, Payload, RunId, Text};
use report::Workload;
use rules::Subject;

use crate::clock::Clock;

/// Whoever looks on.
pub type Watcher = Box<dyn Watch>;

/// Gets what happens in the containers that are watched, as soon as it is known whose it is.
pub trait Watch {
    /// Gets one event; gives whether it wants more.
    fn event(&mut self, subject: &Subject<'_>, place: &Place<'_>) -> std::io::Result<bool>;

    /// Whether it looks at such events at all.
    fn looks_at(&self, _payload: &Payload) -> bool {
        true
    }

    /// Gets all that a container had done by a time, in nanoseconds since boot; `is_last` if it has ended.
    fn behaviour(
        &mut self,
        _behaviour: &Behaviour,
        _place: &Place<'_>,
        _boot_ns: u64,
        _is_last: bool,
    ) -> std::io::Result<()> {
        Ok(())
    }

    /// How often it wants [`Watch::behaviour`]; never if none.
    fn behaviour_every(&self) -> Option<Duration> {
        None
    }

    /// Whether it looks at what is around an event ([`rules::Context`]).
    fn wants_context(&self) -> bool {
        false
    }
}

impl<F: FnMut(&Subject<'_>) -> std::io::Result<bool>> Watch for F {
    fn event(&mut self, subject: &Subject<'_>, _: &Place<'_>) -> std::io::Result<bool> {
        self(subject)
    }
}

/// Where something happened.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The run of the container.
    pub run: RunId,
    /// What is known of it.
    pub container: rules::Container<'a>,
    /// Whether its engine has answered, or never will.
    pub is_settled: bool,
    pub(crate) clock: Clock,
    pub(crate) known: Option<&'a Metadata>,
    pub(crate) architecture: &'a Text,
}

impl Place<'_> {
    /// What is run in it, as far as its engine says.
    pub fn workload(&self) -> Workload {
        let text = |text: &Option<String>| text.as_deref().map(Text::from);
        let words = |command: &Vec<String>| command.iter().map(|word| Text::from(word.as_str())).collect();
        Workload {
            image: self.known.and_then(|known| text(&known.image)),
            image_digest: self.known.and_then(|known| text(&known.image_digest)),
            command: self.known.and_then(|known| known.command.as_ref()).map(words).unwrap_or_default(),
            architecture: self.architecture.clone(),
        }
    }

    /// The wall-clock time of a time since boot, both in nanoseconds.
    pub fn wall_ns(&self, boot_ns: u64) -> u64 {
        self.clock.at(boot_ns).wall.unix_ns()
    }
}

/// How many events of one run may wait, and of all runs together.
const MAX_OF_RUN: usize = 4096;
const MAX_OF_ALL: usize = 16 * 1024;
/// How long the events of a container wait for the answer of its engine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be done with the events of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are shown.
    Show,
    /// Nobody wants them.
    Drop,
    /// It may still become a container.
    Candidate,
    /// It is a container, whose engine has not answered.
    Nameless,
}

/// The events that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    runs: BTreeMap<RunId, Queue>,
    total: usize,
}

#[derive(Debug, Default)]
struct Queue {
    events: Vec<Event>,
    /// Earlier ones that found no room.
    dropped: u64,
}

/// What has waited, and is to be shown now.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    pub(crate) events: Vec<Event>,
    /// How many more there were.
    pub(crate) dropped: u64,
}

impl Waiting {
    /// The runs with events that wait.
    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.runs.keys().copied().collect()
    }

    /// Whether events of this run wait, so that later ones must stand in line.
    pub(crate) fn has(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    /// Puts an event into the line of its run.
    pub(crate) fn push(&mut self, event: &Event) {
        let takes_no_more = |queue: &Queue| queue.dropped > 0 || queue.events.len() == MAX_OF_RUN;
        if self.total == MAX_OF_ALL && !self.runs.get(&event.run).is_some_and(takes_no_more) {
            self.make_room();
        }
        let queue = self.runs.entry(event.run).or_default();
        if takes_no_more(queue) {
            queue.dropped += 1;
            return;
        }
        queue.events.push(event.clone());
        self.total += 1;
    }

    fn make_room(&mut self) {
        if let Some(longest) = self.runs.values_mut().max_by_key(|queue| queue.events.len()) {
            self.total -= longest.events.len();
            longest.dropped += longest.events.len() as u64;
            longest.events = Vec::new();
        }
    }

    /// Gives what is to wait no longer under this verdict; `is_last` if nothing more will be known.
    pub(crate) fn settle(&mut self, run: RunId, verdict: Verdict, is_last: bool) -> Option<Ready> {
        let queue = self.runs.get(&run)?;
        let is_to_wait = match verdict {
            Verdict::Candidate => true,
            Verdict::Nameless => queue.dropped == 0 && queue.events.len() < MAX_OF_RUN,
            Verdict::Show | Verdict::Drop => false,
        };
        if is_to_wait && !is_last {
            return None;
        }
        let queue = self.runs.remove(&run)?;
        self.total -= queue.events.len();
        match verdict {
            Verdict::Show | Verdict::Nameless => Some(Ready { events: queue.events, dropped: queue.dropped }),
            Verdict::Drop | Verdict::Candidate => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{ContainerEnded, ExecId, Phase, ProcessId, TaskId};

    use super::*;

    fn event(slot: u32, boot_ns: u64) -> Event {
        let process = ProcessId { pid: 1, start_ns: 1 };
        Event {
            boot_ns,
            run: RunId { slot, generation: 0 },
            phase: Phase::Main,
            task: TaskId { image: ExecId { process, exec: 0 }, tid: 1, comm: "x".into() },
            payload: Payload::ContainerEnded(ContainerEnded {}),
        }
    }

    fn run(slot: u32) -> RunId {
        RunId { slot, generation: 0 }
    }

    #[test]
    fn events_wait_until_it_is_known_whose_they_are_and_keep_their_order() {
        let mut waiting = Waiting::default();
        for at in 0..3 {
            waiting.push(&event(1, at));
        }

        assert!(waiting.settle(run(1), Verdict::Candidate, false).is_none());
        assert!(waiting.settle(run(1), Verdict::Nameless, false).is_none());
        let ready = waiting.settle(run(1), Verdict::Show, false).expect("it is known now");

        assert_eq!(ready.events.iter().map(|event| event.boot_ns).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((ready.dropped, waiting.total, waiting.has(run(1))), (0, 0, false));
    }

    #[test]
    fn what_never_became_a_container_is_not_shown() {
        let mut waiting = Waiting::default();
        waiting.push(&event(1, 0));
        waiting.push(&event(2, 0));

        assert!(waiting.settle(run(1), Verdict::Candidate, true).is_none());
        assert!(waiting.settle(run(2), Verdict::Nameless, true).is_some());
        assert_eq!((waiting.total, waiting.runs()), (0, vec![]));
    }

    #[test]
    fn a_run_that_does_not_fit_waits_no_longer_for_its_name() {
        let mut waiting = Waiting::default();
        for at in 0..MAX_OF_RUN as u64 + 5 {
            waiting.push(&event(1, at));
        }

        let ready = waiting.settle(run(1), Verdict::Nameless, false).expect("it is full");

        assert_eq!((ready.events.len(), ready.dropped), (MAX_OF_RUN, 5));
    }

    #[test]
    fn all_runs_together_are_bounded_and_the_busiest_gives_way() {
        let mut waiting = Waiting::default();
        for slot in 0..4 {
            (0..5000).for_each(|at| waiting.push(&event(slot, at)));
        }
        assert_eq!(waiting.total, MAX_OF_ALL);

        (0..1000).for_each(|at| waiting.push(&event(9, at)));

        assert!(waiting.total <= MAX_OF_ALL);
        let new = waiting.settle(run(9), Verdict::Show, false).expect("its line");
        assert_eq!((new.events.len(), new.dropped), (1000, 0));
        let old: Vec<Ready> = (0..4).filter_map(|slot| waiting.settle(run(slot), Verdict::Show, false)).collect();
        assert!(old.iter().all(|ready| ready.events.len() as u64 + ready.dropped == 5000));
        assert_eq!(old.iter().filter(|ready| ready.events.is_empty()).count(), 1);
    }
}
