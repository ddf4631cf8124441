//! Asks engines what containers are called, on a thread of its own: an engine that is slow delays nobody.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use containers::engine::{Backfill, Resolver, Sockets, State, Want};
use event::RunId;

/// How many containers may wait for an answer.
const CAPACITY: usize = 8192;

/// The thread that asks.
pub(crate) struct Names {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
}

struct Board {
    backfill: Backfill<RunId>,
    stop: bool,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    pub(crate) fn start(sockets: Sockets) -> std::io::Result<Names> {
        let shared = Arc::new(Shared {
            board: Mutex::new(Board { backfill: Backfill::new(CAPACITY), stop: false }),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("names".into()).spawn(move || ask(&own, &Resolver::new(sockets)))?;
        Ok(Names { shared, thread: Some(thread) })
    }

    /// Asks for this container, once.
    pub(crate) fn want(&self, run: RunId, want: Want) {
        if self.shared.board().backfill.want(run, want, Instant::now()) {
            self.shared.changed.notify_one();
        }
    }

    /// Whether the first answer, good or bad, is still to come.
    pub(crate) fn is_unanswered(&self, run: RunId) -> bool {
        matches!(self.shared.board().backfill.state(&run), Some(State::Pending { attempts: 0, .. }))
    }

    /// What was said, if anything was.
    pub(crate) fn state(&self, run: RunId) -> Option<State> {
        self.shared.board().backfill.state(&run).cloned()
    }

    /// Stops asking for a container that is gone.
    pub(crate) fn forget(&self, run: RunId) {
        self.shared.board().backfill.forget(&run);
    }

    /// Waits until each of these was answered once, but not longer than this.
    pub(crate) fn wait_for(&self, runs: &[RunId], patience: Duration) {
        let until = Instant::now() + patience;
        while runs.iter().any(|&run| self.is_unanswered(run)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.shared.board().stop = true;
        self.shared.changed.notify_one();
        // A question that is being asked has a time limit of its own, but nobody waits for its answer any more.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

fn ask(shared: &Shared, resolver: &Resolver) {
    let mut board = shared.board();
    while !board.stop {
        let now = Instant::now();
        let Some((run, want)) = board.backfill.next(now) else {
            let pause = board.backfill.next_due().map_or(Duration::from_secs(60), |due| {
                due.saturating_duration_since(now).max(Duration::from_millis(1))
            });
            board = shared.changed.wait_timeout(board, pause).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        };
        drop(board);
        let answer = resolver.resolve(&want.id, want.hint, want.pid);
        board = shared.board();
        board.backfill.answered(&run, answer, Instant::now());
    }
}
