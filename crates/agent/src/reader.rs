//! The thread that reads the ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use event::Event;
use sensors::{Kernel, Ring};

/// How many batches may wait for the pipeline; a batch has at most a few thousand events.
pub(crate) const QUEUE_BATCHES: usize = 16;
/// The most events in one batch.
pub(crate) const BATCH_EVENTS: usize = Ring::BATCH;

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
    while !shared.stop.load(Ordering::Acquire) {
        let wish = shared.drain.load(Ordering::Acquire);
        let patience = if wish > answered { Duration::ZERO } else { Duration::from_millis(20) };
        let taken = ring.poll(patience)?;
        let count = taken.samples();
        shared.undecoded.fetch_add(taken.errors.len() as u64, Ordering::Relaxed);
        if !taken.events.is_empty() && sender.send(Batch::Events(taken.events)).is_err() {
            return Ok(());
        }
        if wish > answered && count < BATCH_EVENTS {
            if sender.send(Batch::Drained(wish)).is_err() {
                return Ok(());
            }
            answered = wish;
        }
        // To be woken for each event costs more than the event, here and where it is made.
        if count > 0 && count < BATCH_EVENTS && wish == answered {
            std::thread::sleep(GATHER);
        }
    }
    Ok(())
}
