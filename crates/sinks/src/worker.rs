//! The thread of a sink, its queue, and what it does when the other end does not take an alert.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alerts::Alert;

use crate::error::{DeliverError, OpenError};
use crate::spool::Spool;
use crate::status::{Report, Status};

/// How many alerts may wait for a sink in memory.
const QUEUE: usize = 1024;
/// How long it is waited before the first further attempt, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// One alert on its way.
#[derive(Clone, Debug)]
pub struct Item {
    /// The alert; none if it comes from a spool and only its JSON is known to be right.
    pub alert: Arc<Alert>,
    /// It as a line of JSON, without its end.
    pub json: Arc<str>,
}

impl Item {
    /// Of an alert.
    pub fn new(alert: &Alert) -> Item {
        Item { json: alert.to_json_line().into(), alert: Arc::new(alert.clone()) }
    }
}

/// Takes alerts somewhere. It may block, but for a bounded time.
pub(crate) trait Deliver: Send {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError>;
}

/// All sinks.
#[derive(Default)]
pub struct Sinks {
    all: Vec<Sink>,
}

struct Sink {
    name: String,
    queue: Option<SyncSender<Item>>,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    said: Report,
}

impl Sinks {
    pub(crate) fn add(
        &mut self,
        name: String,
        deliver: Box<dyn Deliver>,
        spool: Option<Spool>,
    ) -> Result<(), OpenError> {
        let (queue, items) = sync_channel(QUEUE);
        let (status, stop) = (Arc::new(Status::default()), Arc::new(AtomicBool::new(false)));
        let (own, own_stop) = (Arc::clone(&status), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("sink".into())
            .spawn(move || Worker { deliver, spool, status: own, stop: own_stop }.run(&items))
            .map_err(OpenError::Thread)?;
        self.all.push(Sink { name, queue: Some(queue), status, stop, thread: Some(thread), said: Report::default() });
        Ok(())
    }

    /// Hands an alert to every sink, and waits for none.
    pub fn send(&self, alert: &Alert) {
        if self.all.is_empty() {
            return;
        }
        let item = Item::new(alert);
        for sink in &self.all {
            let sent = sink.queue.as_ref().map(|queue| queue.try_send(item.clone()));
            match sent {
                Some(Ok(())) => {
                    sink.status.waiting.fetch_add(1, Ordering::Relaxed);
                }
                Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                    sink.status.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// What is new and bad, a sentence for each sink that it is said of.
    pub fn news(&mut self) -> Vec<String> {
        self.all.iter_mut().filter_map(|sink| sink.said.news(&sink.name, &sink.status, false)).collect()
    }

    /// The sinks by what they are called, and what they have come to.
    pub fn statuses(&self) -> impl Iterator<Item = (&str, &Status)> {
        self.all.iter().map(|sink| (sink.name.as_str(), &*sink.status))
    }

    /// Ends all sinks: gives them so long to deliver what waits, and says what is bad, at the end of each. What a sink has not taken
    /// by then, and has no spool for, is lost and counted.
    pub fn finish(mut self, patience: Duration) -> (Vec<String>, u64) {
        let until = Instant::now() + patience;
        for sink in &mut self.all {
            sink.queue = None;
        }
        let is_running = |sink: &Sink| sink.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        while self.all.iter().any(is_running) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        for sink in &self.all {
            sink.stop.store(true, Ordering::Release);
        }
        // Each looks soon, unless it waits for the other end.
        let until = Instant::now() + LOOK * 6;
        while self.all.iter().any(is_running) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut said = Vec::new();
        let mut lost = 0;
        for sink in &mut self.all {
            if is_running(sink) {
                // It hangs in the middle of one: that one and those behind it have not arrived.
                let left = sink.status.waiting.load(Ordering::Relaxed);
                sink.status.lost.fetch_add(left, Ordering::Relaxed);
                sink.status.failed("it hangs");
            } else if let Some(thread) = sink.thread.take() {
                let _ = thread.join();
            }
            lost += sink.status.lost() + sink.status.refused();
            said.extend(sink.said.news(&sink.name, &sink.status, true));
        }
        (said, lost)
    }
}

struct Worker {
    deliver: Box<dyn Deliver>,
    spool: Option<Spool>,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, items: &Receiver<Item>) {
        let mut current: Option<Item> = None;
        let mut pause = FIRST_PAUSE;
        let mut wait_until: Option<Instant> = None;
        let mut is_open = true;
        self.note_spool();
        loop {
            let is_stopped = self.stop.load(Ordering::Acquire);
            let has_spooled = self.spool.as_ref().is_some_and(|spool| !spool.is_empty());
            if is_stopped || (!is_open && current.is_none() && !has_spooled) {
                break;
            }
            // A sink with a spool takes whatever comes, so that its queue stays empty while the other end is away.
            let has_room = current.is_none() || (self.spool.is_some() && wait_until.is_some());
            if is_open && has_room {
                let is_idle = current.is_none() && !has_spooled;
                match items.recv_timeout(if is_idle || wait_until.is_some() { LOOK } else { Duration::ZERO }) {
                    Ok(item) if has_spooled || wait_until.is_some() => self.put_by(&item),
                    Ok(item) => current = Some(item),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => is_open = false,
                }
            } else if wait_until.is_some() {
                std::thread::sleep(LOOK);
            }
            if wait_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            wait_until = None;
            let from_spool = current.is_none();
            let next = current.clone().or_else(|| self.spool.as_mut().and_then(Spool::first));
            let Some(item) = next else { continue };
            match self.deliver.deliver(&item) {
                Ok(()) => {
                    self.status.sent.fetch_add(1, Ordering::Relaxed);
                    self.is_done_with(&mut current, from_spool);
                    pause = FIRST_PAUSE;
                }
                Err(DeliverError::Never(why)) => {
                    self.status.failed(&why);
                    self.status.refused.fetch_add(1, Ordering::Relaxed);
                    self.is_done_with(&mut current, from_spool);
                }
                Err(DeliverError::Later(why)) => {
                    self.status.failed(&why);
                    if let Some(item) = current.take_if(|_| self.spool.is_some()) {
                        self.put_by(&item);
                    }
                    wait_until = Some(Instant::now() + pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        self.end(current, items);
    }

    fn is_done_with(&mut self, current: &mut Option<Item>, from_spool: bool) {
        if from_spool {
            if let Some(spool) = &mut self.spool {
                spool.pop();
            }
            self.note_spool();
        } else {
            *current = None;
            self.status.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts an alert into the spool; without room it is lost.
    fn put_by(&mut self, item: &Item) {
        self.status.waiting.fetch_sub(1, Ordering::Relaxed);
        let is_kept = self.spool.as_mut().is_some_and(|spool| match spool.push(&item.json) {
            Ok(is_kept) => is_kept,
            Err(error) => {
                self.status.failed(&format!("its spool cannot be written: {error}"));
                false
            }
        });
        if !is_kept {
            self.status.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.note_spool();
    }

    fn note_spool(&self) {
        let spooled = self.spool.as_ref().map_or(0, Spool::len);
        self.status.spooled.store(spooled, Ordering::Relaxed);
    }

    /// What has not arrived goes into the spool, or is lost.
    fn end(mut self, current: Option<Item>, items: &Receiver<Item>) {
        for item in current.into_iter().chain(std::iter::from_fn(|| items.try_recv().ok())) {
            self.put_by(&item);
        }
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.tidy()
        {
            self.status.failed(&format!("its spool cannot be written: {error}"));
        }
        self.note_spool();
    }
}
