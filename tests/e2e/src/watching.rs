//! `ringfence watch` and `ringfence detect`, as a user runs them.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Background, wait_until};
use crate::recorder::{READY, beside, binary, collect};

/// How long an event may take to come.
const SOON: Duration = Duration::from_secs(20);
/// How long it may take to end: it still looks at all that is in its buffers.
const END: Duration = Duration::from_secs(120);

/// A watch that goes on.
#[derive(Debug)]
pub struct Watching {
    process: Background,
    stderr: JoinHandle<String>,
    folder: TempDir,
}

/// What it showed.
#[derive(Debug)]
pub struct Watched {
    /// How it ended.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// All of standard error.
    pub stderr: String,
}

impl Watching {
    /// Starts `ringfence watch` with these arguments and waits until everything is attached.
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Result<Watching> {
        Watching::spawn(Command::new(binary()?), "watch", args)
    }

    /// The same where an engine of the test listens at the usual place (a path below `/run`), for `ringfence` alone.
    pub fn start_beside<S: AsRef<std::ffi::OsStr>>(socket: &Path, usual: &str, args: &[S]) -> Result<Watching> {
        Watching::spawn(beside(socket, usual)?, "watch", args)
    }

    /// Starts `ringfence detect` with these arguments and waits until everything is attached.
    pub fn detect<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Result<Watching> {
        Watching::spawn(Command::new(binary()?), "detect", args)
    }

    /// The same where an engine of the test listens at the usual place.
    pub fn detect_beside<S: AsRef<std::ffi::OsStr>>(socket: &Path, usual: &str, args: &[S]) -> Result<Watching> {
        Watching::spawn(beside(socket, usual)?, "detect", args)
    }

    fn spawn<S: AsRef<std::ffi::OsStr>>(mut command: Command, what: &str, args: &[S]) -> Result<Watching> {
        let folder = tempfile::Builder::new().prefix("ringfence-watch").tempdir()?;
        let shown = File::create(folder.path().join("shown"))?;
        command.arg(what).args(args).stdin(Stdio::null()).stdout(shown).stderr(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let pipe = process.child().stderr.take().context("no pipe")?;
        let (ready, is_ready) = mpsc::channel();
        let begins = format!("{what}ing");
        let stderr = std::thread::spawn(move || collect(pipe, &begins, &ready));
        if is_ready.recv_timeout(READY).is_err() {
            drop(process);
            let said = stderr.join().unwrap_or_default();
            bail!("ringfence {what} was not ready within {READY:?}: {said}");
        }
        Ok(Watching { process, stderr, folder })
    }

    /// The pid of `ringfence`.
    pub fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until this has been shown.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        let shown = self.folder.path().join("shown");
        wait_until(&format!("{text:?} is shown"), SOON, || {
            Ok(String::from_utf8_lossy(&std::fs::read(&shown)?).contains(text))
        })
    }

    /// The lines that it has shown until now, as JSON.
    pub fn events(&self) -> Result<Vec<Value>> {
        let shown = std::fs::read_to_string(self.folder.path().join("shown"))?;
        let whole = shown.rfind('\n').map_or("", |end| &shown[..end]);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{line:?}"))).collect()
    }

    /// Ends it as Ctrl-C does, and gives what it showed.
    pub fn stop(self) -> Result<Watched> {
        self.process.signal(Signal::INT)?;
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Result<Watched> {
        let status = self.process.wait(END)?;
        let stderr = self.stderr.join().unwrap_or_default();
        Ok(Watched { status, stdout: std::fs::read(self.folder.path().join("shown"))?, stderr })
    }
}

impl Watched {
    /// The lines as JSON.
    pub fn events(&self) -> Result<Vec<Value>> {
        let lines = self.text().lines().map(|line| serde_json::from_str(line).with_context(|| format!("{line:?}")));
        lines.collect()
    }

    /// The output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or("not UTF-8")
    }
}
