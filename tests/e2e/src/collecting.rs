//! Evidence while it is collected, and the incidents that come of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Background, wait_until};
use crate::recorder::{READY, binary, collect, ringfence};

const SOON: Duration = Duration::from_secs(60);

/// A detection that keeps evidence.
#[derive(Debug)]
pub struct Collecting {
    process: Background,
    stderr: JoinHandle<String>,
    folder: TempDir,
}

impl Collecting {
    /// Detects what this condition matches, each different command line by itself, and keeps everything that can be kept.
    pub fn start(condition: &str) -> Result<Collecting> {
        let folder = tempfile::Builder::new().prefix("ringfence-incidents").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let rule = format!(
            "- rule: Of a test\n  desc: What a test does.\n  condition: {condition}\n  \
             output: found (command=%proc.cmdline)\n  priority: CRITICAL\n"
        );
        std::fs::write(at("rules.yaml"), rule)?;
        let mut command = Command::new(binary()?);
        command.args(["detect", "--no-shipped-rules", "--rules"]).arg(at("rules.yaml")).args(["--rate", "1000/1m"]);
        command
            .arg("--state")
            .arg(at("state"))
            .args(["--capture", "--environment", "--incidents"])
            .arg(at("incidents"));
        command.stdin(Stdio::null()).stdout(File::create(at("alerts"))?).stderr(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let pipe = process.child().stderr.take().context("no pipe")?;
        let (ready, is_ready) = mpsc::channel();
        let stderr = std::thread::spawn(move || collect(pipe, "detecting", &ready));
        if is_ready.recv_timeout(READY).is_err() {
            drop(process);
            anyhow::bail!("it was not ready within {READY:?}: {}", stderr.join().unwrap_or_default());
        }
        Ok(Collecting { process, stderr, folder })
    }

    /// Where the incidents are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("incidents")
    }

    /// Waits until an incident is as wanted, as `ringfence incident show --json` tells it.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let dir = self.folder();
        let dir = dir.to_str().context("a path")?;
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

    /// Ends it as Ctrl-C does.
    pub fn stop(mut self) -> Result<Collected> {
        self.process.signal(Signal::INT)?;
        let status = self.process.wait(SOON)?;
        let said = self.stderr.join().unwrap_or_default();
        // 1: something was found.
        ensure!(status.code() == Some(1), "{status}: {said}");
        let lines = std::fs::read_to_string(self.folder.path().join("alerts"))?;
        let alerts = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Collected { said, alerts, folder: self.folder })
    }
}

/// What a detection left.
#[derive(Debug)]
pub struct Collected {
    /// What it said on standard error.
    pub said: String,
    /// The alerts.
    pub alerts: Vec<Value>,
    folder: TempDir,
}

impl Collected {
    /// Where the incidents are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("incidents")
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
