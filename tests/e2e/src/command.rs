//! Running other programs, always bounded in time and output, and never leaving one behind.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// How much of a program's output is kept.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// The standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a program to its end. Its output goes through files, so that what it leaves running in the background can keep
/// them open.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Finished> {
    let mut stdout = tempfile::tempfile()?;
    let mut stderr = tempfile::tempfile()?;
    command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = Background::spawn(command)?;
    let status = child.wait(limit)?;
    Ok(Finished { status, stdout: read_back(&mut stdout)?, stderr: read_back(&mut stderr)? })
}

/// Runs a program that must succeed, within one minute; its standard output.
pub fn must(command: &mut Command) -> Result<String> {
    must_within(command, Duration::from_secs(60))
}

/// Runs a program that must succeed; its standard output.
pub fn must_within(command: &mut Command, limit: Duration) -> Result<String> {
    let finished = finish(command, limit)?;
    if !finished.status.success() {
        bail!("{command:?} ended with {}: {}{}", finished.status, finished.stdout(), finished.stderr());
    }
    Ok(finished.stdout())
}

/// A command by its name and arguments, with nothing on its standard input.
pub fn command<I, S>(program: impl AsRef<std::ffi::OsStr>, args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

fn read_back(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A program that runs until it is told to end; dropped, it is killed.
#[derive(Debug)]
pub struct Background {
    name: String,
    child: Child,
}

impl Background {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> Result<Background> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Background { name, child })
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The child's pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process(self.pid(), signal).with_context(|| format!("signal {}", self.name))
    }

    /// Waits for its end; beyond the limit it is killed and that is an error.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut status = None;
        let ended = poll(limit, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        match status {
            Some(status) if ended => Ok(status),
            _ => {
                self.child.kill()?;
                self.child.wait()?;
                bail!("{} (pid {}) did not end within {limit:?} and was killed", self.name, self.child.id())
            }
        }
    }

    /// Asks it to end, and kills it if it does not.
    pub fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        self.wait(limit)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Asks again and again until it is so; whether it was so in time.
pub fn poll(limit: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    let end = Instant::now() + limit;
    loop {
        if is_so()? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As [`poll`], but late is an error that says what was waited for.
pub fn wait_until(what: &str, limit: Duration, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    if poll(limit, is_so)? { Ok(()) } else { bail!("{what}: not within {limit:?}") }
}

/// Whether a process is gone, or only waits to be reaped.
pub fn is_gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => state_letter(&stat).is_none_or(|state| matches!(state, 'Z' | 'X')),
        Err(_) => true,
    }
}

/// The state of a task, as in `/proc/PID/stat`; none if it is gone.
pub fn state(task: &Path) -> Option<char> {
    state_letter(&std::fs::read_to_string(task.join("stat")).ok()?)
}

fn state_letter(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed_and_named() {
        let result = finish(&mut command("sleep", ["60"]), Duration::from_millis(50));

        assert!(result.is_err_and(|error| error.to_string().starts_with("sleep (pid")));
    }

    #[test]
    fn output_is_read_back_although_a_grandchild_keeps_it_open() {
        let finished =
            finish(&mut command("sh", ["-c", "sleep 2 & echo out; echo err >&2; exit 3"]), Duration::from_secs(1))
                .expect("sh ends at once");

        assert_eq!((finished.stdout().as_str(), finished.stderr().as_str()), ("out\n", "err\n"));
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn a_comm_with_a_parenthesis_does_not_hide_the_state() {
        assert_eq!(state_letter("12 (a) b) S 1 1"), Some('S'));
    }
}
