//! One process at a time changes the guards.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// Held while the guards are changed.
pub(crate) struct Lock {
    _file: File,
}

/// How long another process may take: it may be trying each kind of guard, on a machine that is slow.
const PATIENCE: Duration = Duration::from_secs(300);

impl Lock {
    /// Waits until no other process has it.
    pub(crate) fn take(path: &Path) -> io::Result<Lock> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
