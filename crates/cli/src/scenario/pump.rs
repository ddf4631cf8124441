//! Commands that run while a recording goes on.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agent::Recording;
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::signals::Signals;

/// How often is looked whether a command has ended.
const STEP: Duration = Duration::from_millis(20);
/// So much of what a command says is kept.
const MOST_OUTPUT: u64 = 64 << 10;

/// A recording that is kept going while something is waited for.
pub(super) struct Pump {
    recording: Recording,
    signals: Signals,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// None if its time was over.
    pub(super) status: Option<ExitStatus>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Finished {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended and the end of what it said, on one line.
    pub(super) fn said(&self) -> String {
        let how = match self.status {
            Some(status) => status.to_string(),
            None => "its time was over".to_owned(),
        };
        match self.stderr.trim().lines().last().or(self.stdout.trim().lines().last()) {
            Some(line) => format!("{how}: {}", event::Text::from(line).shown()),
            None => how,
        }
    }
}

impl Pump {
    pub(super) fn new(recording: Recording, signals: Signals) -> Pump {
        Pump { recording, signals }
    }

    pub(super) fn into_recording(self) -> Recording {
        self.recording
    }

    /// Runs a command to its end; if its time is over, or a signal ends all, it is killed with all its children.
    pub(super) fn run(&mut self, mut command: Command, timeout: Duration) -> anyhow::Result<Finished> {
        let program = command.get_program().to_string_lossy().into_owned();
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run {program}"))?;
        let mut running = Running(child);
        let until = Instant::now() + timeout;
        let status = loop {
            if let Some(status) = running.0.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= until {
                break None;
            }
            self.step(STEP)?;
        };
        drop(running);
        Ok(Finished { status, stdout: beginning(stdout)?, stderr: beginning(stderr)? })
    }

    /// Waits until something is true; says whether it was in time.
    pub(super) fn until(&mut self, timeout: Duration, mut is_true: impl FnMut() -> bool) -> anyhow::Result<bool> {
        let until = Instant::now() + timeout;
        while !is_true() {
            if Instant::now() >= until {
                return Ok(false);
            }
            self.step(STEP)?;
        }
        Ok(true)
    }

    pub(super) fn rest(&mut self, time: Duration) -> anyhow::Result<()> {
        self.until(time, || false).map(drop)
    }

    fn step(&mut self, patience: Duration) -> anyhow::Result<()> {
        if self.signals.take().is_some() {
            bail!("ended by a signal; the containers that were started are removed");
        }
        Ok(self.recording.step(patience)?)
    }
}

/// A command that does not outlive whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Nothing is left to do about one that cannot be killed.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

fn beginning(mut file: File) -> anyhow::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
