//! Evidence while it is collected, and the incidents that come of it.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Background, wait_until};
use crate::recorder::{READY, binary, collect, ringfence};

const SOON: Duration = Duration::from_secs(60);

/// A collector that runs.
#[derive(Debug)]
pub struct Collecting {
    process: Background,
    stdin: Option<ChildStdin>,
    stderr: JoinHandle<String>,
    folder: TempDir,
}

/// The example `collect` of the crate `agent`, beside the program under test.
fn collector() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("RINGFENCE_COLLECT") {
        return Ok(path.into());
    }
    let folder = binary()?.parent().context("a program is in a folder")?.join("examples/collect");
    ensure!(folder.is_file(), "no {}: cargo build --package agent --example collect", folder.display());
    Ok(folder)
}

impl Collecting {
    /// Collects evidence for each event that this condition matches.
    pub fn start(condition: &str) -> Result<Collecting> {
        let folder = tempfile::Builder::new().prefix("ringfence-incidents").tempdir()?;
        let mut command = Command::new(collector()?);
        command.arg(folder.path()).arg(condition);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let (pipe, stdin) = (process.child().stderr.take().context("no pipe")?, process.child().stdin.take());
        let (ready, is_ready) = mpsc::channel();
        let stderr = std::thread::spawn(move || collect(pipe, "collecting", &ready));
        if is_ready.recv_timeout(READY).is_err() {
            drop(process);
            anyhow::bail!("it was not ready within {READY:?}: {}", stderr.join().unwrap_or_default());
        }
        Ok(Collecting { process, stdin, stderr, folder })
    }

    /// Where the incidents are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until an incident is as wanted, as `ringfence incident show --json` tells it.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let dir = self.folder.path().to_str().context("a path")?;
        wait_until(what, SOON, || {
            let list = ringfence(&["incident", "list", "--json", "--dir", dir], SOON)?;
            let list: Value = serde_json::from_slice(&list.stdout)?;
            let Some(id) = list["incidents"][0]["id"].as_str() else { return Ok(false) };
            let shown = ringfence(&["incident", "show", "--json", "--dir", dir, id], SOON)?;
            last = serde_json::from_slice(&shown.stdout)?;
            Ok(is_so(&last))
        })
        .with_context(|| format!("{last:#}"))?;
        Ok(last)
    }

    /// Ends it; what it said.
    pub fn stop(mut self) -> Result<(String, TempDir)> {
        self.stdin = None;
        let status = self.process.wait(SOON)?;
        let said = self.stderr.join().unwrap_or_default();
        ensure!(status.success(), "{status}: {said}");
        Ok((said, self.folder))
    }
}

/// The content of all files that an incident kept, by their hashes.
pub fn objects(folder: &Path, incident: &Value) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = folder.join(incident["id"].as_str().context("an id")?).join("objects");
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        objects.push((name, std::fs::read(&path)?));
    }
    Ok(objects)
}
