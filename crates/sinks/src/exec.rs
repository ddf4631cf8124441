//! A program for each alert: started with exactly the arguments that were given, the alert as JSON on its standard input.
//!
//! No shell, nothing of the alert in an argument or in the environment, one at a time, and not for long.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::error::{DeliverError, OpenError};
use crate::worker::{Deliver, Item};

/// The program.
pub(crate) struct Exec {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// How long each may run.
    pub(crate) patience: Duration,
}

impl Exec {
    /// Whether it can be run at all is known before the first alert.
    pub(crate) fn check(program: &Path) -> Result<(), OpenError> {
        let cannot = |reason| OpenError::Program { path: program.to_owned(), reason };
        if !program.is_absolute() {
            return Err(cannot("give its path from / on: nothing is looked for"));
        }
        if !program.is_file() {
            return Err(cannot("there is no such file"));
        }
        match rustix::fs::access(program, rustix::fs::Access::EXEC_OK) {
            Ok(()) => Ok(()),
            Err(_) => Err(cannot("it may not be executed")),
        }
    }

    fn run(&self, json: &str) -> std::io::Result<Result<(), String>> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let until = Instant::now() + self.patience;
        let done = feed(&mut child, format!("{json}\n").as_bytes(), until).and_then(|()| wait(&mut child, until));
        if !matches!(done, Ok(Some(_))) {
            // It may have ended by itself in this moment.
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok(match done? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("{} ended with {status}", self.program.display())),
            None => Err(format!("{} took longer than {:?} and was ended", self.program.display(), self.patience)),
        })
    }
}

/// Writes to a program that may not read.
fn feed(child: &mut Child, mut bytes: &[u8], until: Instant) -> std::io::Result<()> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    fcntl_setfl(&stdin, fcntl_getfl(&stdin)? | OFlags::NONBLOCK)?;
    while !bytes.is_empty() && Instant::now() < until {
        match stdin.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if child.try_wait()?.is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // It does not want to know: how it ends says the rest.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait(child: &mut Child, until: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Deliver for Exec {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError> {
        // To run it again might do the same thing twice.
        let ended = self
            .run(&item.json)
            .map_err(|error| DeliverError::Never(format!("{} cannot be run: {error}", self.program.display())))?;
        ended.map_err(DeliverError::Never)
    }
}
