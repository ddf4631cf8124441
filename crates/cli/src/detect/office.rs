//! Where alerts come together: grouped and limited by the desk, then sent to every sink.

use std::time::{Duration, Instant};

use ::report::Timestamp;
use alerts::{Alert, Container, Counts, Desk, Limits, State, Taken};
use event::{ProcessId, RunId, Text};
use rules::Priority;
use sinks::Sinks;

/// Gets each alert when it is told for the first time, with the process and the run of the container that it is about, while both may
/// still be there to be looked at. Gives what the alert says of the evidence for it.
pub(crate) type Witness = Box<dyn FnMut(&Alert, ProcessId, RunId) -> Option<Text>>;

/// How often it is said what is wrong with sinks.
const SAY: Duration = Duration::from_secs(60);

/// The desk, the sinks behind it, and whoever keeps evidence.
pub(crate) struct Office {
    desk: Desk,
    sinks: Sinks,
    least: Priority,
    witness: Option<Witness>,
    said: Instant,
}

impl Office {
    pub(crate) fn new(limits: Limits, sinks: Sinks, least: Priority, witness: Option<Witness>) -> Office {
        Office { desk: Desk::new(limits), sinks, least, witness, said: Instant::now() }
    }

    /// Whether alerts of this priority are wanted.
    pub(crate) fn wants(&self, priority: Priority) -> bool {
        priority <= self.least
    }

    /// Takes in an alert with its id and time.
    pub(crate) fn take(&mut self, alert: Alert, suspect: Option<(ProcessId, RunId)>) -> Taken {
        let mut told = Vec::new();
        let taken = self.desk.take(alert, |alert| told.push(alert.clone()));
        for alert in &mut told {
            if let (State::New, Some(witness), Some((process, run))) = (alert.state, &mut self.witness, suspect) {
                alert.evidence = witness(alert, process, run);
            }
            self.sinks.send(alert);
        }
        taken
    }

    /// One that was told happened again.
    pub(crate) fn again(&mut self, id: &Text, more: u64, last_seen: Timestamp) {
        self.desk.again(id, more, last_seen);
    }

    /// Whether a new one would be told now.
    pub(crate) fn has_room(&mut self, container: &Container, rule: &str, now: Timestamp) -> bool {
        self.desk.has_room(container, rule, now)
    }

    /// Tells the news of what was told, if it is time, and gives sentences about sinks in trouble.
    pub(crate) fn look(&mut self, now: Timestamp) -> Vec<String> {
        let sinks = &self.sinks;
        self.desk.look(now, false, |alert| sinks.send(alert));
        if self.said.elapsed() < SAY {
            return Vec::new();
        }
        self.said = Instant::now();
        self.sinks.news()
    }

    /// Tells what is left to be told, and ends the sinks: gives what became of the alerts, sentences about sinks in trouble, and how
    /// many alerts did not arrive.
    pub(crate) fn finish(mut self, now: Timestamp, patience: Duration) -> (Counts, Vec<String>, u64) {
        let sinks = &self.sinks;
        self.desk.look(now, true, |alert| sinks.send(alert));
        let (said, lost) = self.sinks.finish(patience);
        (self.desk.counts(), said, lost)
    }
}
