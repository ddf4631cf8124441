//! The thread that reads the ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use event::Event;
use sensors::{Kernel, Ring};

/// How many batches may wait for the pipeline.
pub(crate) const QUEUE_BATCHES: usize = 8;
/// The most events in one batch: where there is no room for another one, what comes meanwhile is added to it.
pub(crate) const BATCH_EVENTS: usize = 2 * Ring::BATCH;

/// How long events gather in the ring before they are taken: at 100,000 a second that is a thousand, a small part
/// of the ring.
const GATHER: Duration = Duration::from_millis(10);

/// What the reader hands on.
pub(crate) enum Batch {
    /// Events in the order of the ring.
    Events(Vec<Event>),
    /// Everything that was in the ring when this was asked for has been handed on.
    Drained(u64),
    /// The ring cannot be read any more.
    Broken(String),
}

/// The reader's handle.
pub(crate) struct Reader {
    pub(crate) batches: Receiver<Batch>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// The number of the newest wish to be told when the ring is empty.
    drain: AtomicU64,
    undecoded: AtomicU64,
}

impl Reader {
    pub(crate) fn start(kernel: Arc<Kernel>) -> std::io::Result<Reader> {
        let (sender, batches) = sync_channel(QUEUE_BATCHES);
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("ring".into()).spawn(move || {
            if let Err(error) = read(&kernel, &own, &sender) {
                let _ = sender.send(Batch::Broken(error.to_string()));
            }
        })?;
        Ok(Reader { batches, shared, thread: Some(thread) })
    }

    /// Asks for a [`Batch::Drained`] with this number once everything that is in the ring now was handed on.
    pub(crate) fn ask_to_drain(&self, number: u64) {
        self.shared.drain.store(number, Ordering::Release);
    }

    /// How many records could not be decoded.
    pub(crate) fn undecoded(&self) -> u64 {
        self.shared.undecoded.load(Ordering::Relaxed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // A reader that waits for room in the channel must find it.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            let _ = self.batches.recv_timeout(Duration::from_millis(10));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(kernel: &Kernel, shared: &Shared, sender: &SyncSender<Batch>) -> Result<(), Box<dyn std::error::Error>> {
    let mut ring = kernel.ring()?;
    let mut answered = 0;
    // What was taken from the ring and is not handed on yet.
    let mut pending = Vec::new();
    while !shared.stop.load(Ordering::Acquire) {
        let wish = shared.drain.load(Ordering::Acquire);
        let patience = if wish > answered { Duration::ZERO } else { Duration::from_millis(20) };
        let taken = ring.poll(patience)?;
        let count = taken.samples();
        shared.undecoded.fetch_add(taken.errors.len() as u64, Ordering::Relaxed);
        pending = joined(pending, taken.events);
        let is_last = wish > answered && count < Ring::BATCH;
        let Some(left) = hand_on(sender, pending, is_last) else { return Ok(()) };
        pending = left;
        if is_last {
            if sender.send(Batch::Drained(wish)).is_err() {
                return Ok(());
            }
            answered = wish;
        }
        // To be woken for each event costs more than the event, here and where it is made.
        if count > 0 && count < Ring::BATCH && wish == answered {
            std::thread::sleep(GATHER);
        }
    }
    Ok(())
}

fn joined(mut earlier: Vec<Event>, later: Vec<Event>) -> Vec<Event> {
    if earlier.is_empty() {
        return later;
    }
    earlier.extend(later);
    earlier
}

/// Hands events on, if there is room for them, or they must be. Gives those that are left; none if nobody is there to take them.
fn hand_on(sender: &SyncSender<Batch>, events: Vec<Event>, must: bool) -> Option<Vec<Event>> {
    if events.is_empty() {
        return Some(events);
    }
    if must || events.len() >= Ring::BATCH {
        return sender.send(Batch::Events(events)).is_ok().then(Vec::new);
    }
    match sender.try_send(Batch::Events(events)) {
        Ok(()) => Some(Vec::new()),
        Err(TrySendError::Full(Batch::Events(events))) => Some(events),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use event::{ContainerEnded, ExecId, Payload, Phase, ProcessId, RunId, TaskId};

    use super::*;

    fn events(times: std::ops::Range<u64>) -> Vec<Event> {
        let event = |boot_ns| Event {
            boot_ns,
            run: RunId { slot: 1, generation: 0 },
            phase: Phase::Main,
            task: TaskId {
                image: ExecId { process: ProcessId { pid: 1, start_ns: 1 }, exec: 0 },
                tid: 1,
                comm: "x".into(),
            },
            payload: Payload::ContainerEnded(ContainerEnded {}),
        };
        times.map(event).collect()
    }

    #[test]
    fn what_finds_no_room_is_handed_on_later_with_what_came_meanwhile_in_its_order() {
        let (sender, batches) = sync_channel(1);
        assert_eq!(hand_on(&sender, events(0..2), false), Some(vec![]));
        let left = hand_on(&sender, events(2..4), false).expect("there is somebody");
        assert_eq!(left.len(), 2);

        let mut taken = Vec::new();
        let mut take = || match batches.recv() {
            Ok(Batch::Events(events)) => taken.extend(events.iter().map(|event| event.boot_ns)),
            _ => panic!("no events"),
        };
        take();
        assert_eq!(hand_on(&sender, joined(left, events(4..6)), true), Some(vec![]));
        take();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);

        drop(batches);
        assert_eq!(hand_on(&sender, events(6..7), false), None);
        assert_eq!(hand_on(&sender, events(6..7), true), None);
    }
}
