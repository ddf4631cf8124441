//! `ringfence block` and `ringfence policy`, as a user runs them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Background, Finished, finish, poll, wait_until};
use crate::recorder::{beside, binary};

/// How long setting up a block may take, and how long it may take until something is told.
const READY: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(20);

/// Where `ringfence` finds the engine of the test: its socket, and the usual place.
pub type Place = (PathBuf, &'static str);

/// A `ringfence block` that goes on. Dropped, it is killed; the policies stay.
#[derive(Debug)]
pub struct Blocking {
    process: Background,
    folder: TempDir,
}

fn program(place: Option<&Place>) -> Result<Command> {
    match place {
        Some((socket, usual)) => beside(socket, usual),
        None => Ok(Command::new(binary()?)),
    }
}

impl Blocking {
    /// Starts `ringfence block` with these arguments and waits until the block is in force.
    pub fn start(place: Option<&Place>, args: &[&str]) -> Result<Blocking> {
        Blocking::start_as(place, "block", args)
    }

    /// The same with `ringfence enforce --baseline`.
    pub fn start_baseline(place: Option<&Place>, args: &[&str]) -> Result<Blocking> {
        Blocking::start_as(place, "enforce", &[&["--baseline"], args].concat())
    }

    fn start_as(place: Option<&Place>, subcommand: &str, args: &[&str]) -> Result<Blocking> {
        let folder = tempfile::Builder::new().prefix("ringfence-block").tempdir()?;
        let (out, err) = (File::create(folder.path().join("shown"))?, File::create(folder.path().join("said"))?);
        let mut command = program(place)?;
        command.arg(subcommand).args(args).stdin(Stdio::null()).stdout(out).stderr(err);
        let process = Background::spawn(&mut command)?;
        let mut blocking = Blocking { process, folder };
        let ready = poll(READY, || {
            ensure!(blocking.process.ended()?.is_none(), "ringfence {subcommand} ended: {}", blocking.said());
            Ok(blocking.said().contains("policy remove"))
        })?;
        if !ready {
            bail!("ringfence {subcommand} was not ready within {READY:?}: {}", blocking.said());
        }
        Ok(blocking)
    }

    /// All of standard error.
    pub fn said(&self) -> String {
        read(&self.folder.path().join("said"))
    }

    /// All of standard output.
    pub fn shown(&self) -> String {
        read(&self.folder.path().join("shown"))
    }

    /// The denials so far, with `--format json`.
    pub fn denials(&self) -> Result<Vec<Value>> {
        let shown = self.shown();
        let whole = shown.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
    }

    /// Waits until so many denials have been shown, and that no more come.
    pub fn expect_denials(&self, count: usize) -> Result<Vec<Value>> {
        poll(SOON, || Ok(self.denials()?.len() >= count))?;
        std::thread::sleep(Duration::from_millis(300));
        let denials = self.denials()?;
        ensure!(denials.len() == count, "{} denials, not {count}: {}", denials.len(), self.shown());
        Ok(denials)
    }

    /// Waits until standard error has this.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        wait_until(&format!("{text:?} is said"), SOON, || Ok(self.said().contains(text))).with_context(|| self.said())
    }

    /// Kills it, as nothing can be caught.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(SOON)?;
        Ok(())
    }

    /// Ends it as Ctrl-C does, and gives what it said.
    pub fn stop(mut self) -> Result<String> {
        self.process.signal(Signal::INT)?;
        let status = self.process.wait(SOON)?;
        ensure!(status.success(), "it ended with {status}: {}", self.said());
        Ok(self.said())
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Result<String> {
        let status = self.process.wait(READY)?;
        ensure!(status.success(), "it ended with {status}: {}", self.said());
        Ok(self.said())
    }
}

/// Runs `ringfence ARGS` to its end.
pub fn run(place: Option<&Place>, args: &[&str]) -> Result<Finished> {
    finish(program(place)?.args(args).stdin(Stdio::null()), READY)
}

/// What `ringfence block --status` says.
pub fn status() -> Result<Value> {
    let finished = run(None, &["block", "--status", "--format", "json"])?;
    ensure!(
        finished.status.success(),
        "block --status: {}: {}{}",
        finished.status,
        finished.stderr(),
        finished.stdout()
    );
    Ok(serde_json::from_str(&finished.stdout())?)
}

/// Takes everything away, now and when it goes.
#[derive(Debug)]
pub struct Clean;

impl Clean {
    /// Nothing is blocked from here on.
    pub fn start() -> Result<Clean> {
        let finished = run(None, &["policy", "remove", "--all"])?;
        ensure!(finished.status.success(), "policy remove --all: {}", finished.stderr());
        Ok(Clean)
    }
}

impl Drop for Clean {
    fn drop(&mut self) {
        let _ = run(None, &["policy", "remove", "--all"]);
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
