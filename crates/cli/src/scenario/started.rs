//! A container that was started for one scenario.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::plan::{Container, Engine, Words};
use super::pump::{Finished, Pump};

/// The label of every container that is started here; its value is the same for one run of the command.
pub(super) const LABEL: &str = "ringfence.scenario";

/// An engine may have to fetch the image first.
const START_LIMIT: Duration = Duration::from_secs(600);
/// How long one of its other commands may take.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks whether a container is ready.
const RETRY: Duration = Duration::from_millis(200);

/// A container of ours; dropped, it is removed.
pub(super) struct Started {
    engine: Engine,
    pub(super) name: String,
    /// The id that the engine gave it.
    pub(super) id: String,
    address: String,
    /// Why it was not ready in time.
    pub(super) not_ready: Option<String>,
}

impl Started {
    /// Starts it, hands its id on, and waits until it is ready and has settled.
    pub(super) fn start(
        pump: &mut Pump,
        container: &Container,
        more: &[String],
        name: String,
        label: &str,
        has_id: impl FnOnce(&str),
    ) -> anyhow::Result<Started> {
        let engine = container.engine;
        let mut command = Command::new(engine.program());
        command.args(["run", "--detach", "--name", &name, "--label"]).arg(format!("{LABEL}={label}"));
        command.args(&container.flags).args(more).arg(&container.image).args(&container.command);
        // From here on it may be there, whatever comes of the command.
        let mut started = Started { engine, name, id: String::new(), address: String::new(), not_ready: None };
        let finished = pump.run(command, START_LIMIT)?;
        ensure!(finished.is_success(), "{} cannot start {}: {}", engine.program(), container.image, finished.said());
        let is_id = |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = finished.stdout.lines().rev().map(str::trim).find(is_id);
        started.id = id.with_context(|| format!("{} does not say the container's id", engine.program()))?.to_owned();
        has_id(&started.id);
        let format = "{{.NetworkSettings.IPAddress}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let asked = started.ask(pump, &["inspect", "--format", format, &started.name.clone()])?;
        started.address = asked.split_whitespace().next().unwrap_or("127.0.0.1").to_owned();
        if let Some(ready) = &container.ready {
            started.not_ready = started.wait_until_ready(pump, ready, container.ready_timeout)?;
        }
        pump.rest(container.settle)?;
        Ok(started)
    }

    /// Why it is not, if its time is over.
    fn wait_until_ready(&self, pump: &mut Pump, ready: &Words, timeout: Duration) -> anyhow::Result<Option<String>> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let finished = self.on_host(pump, ready, left.max(RETRY))?;
            if finished.is_success() {
                return Ok(None);
            }
            if left.is_zero() {
                return Ok(Some(format!("not ready within {timeout:?}: {}", finished.said())));
            }
            pump.rest(RETRY)?;
        }
    }

    /// Runs a command on the host, which is told how to reach the container.
    pub(super) fn on_host(&self, pump: &mut Pump, words: &Words, timeout: Duration) -> anyhow::Result<Finished> {
        let words = words.arguments();
        let (program, arguments) = words.split_first().context("an empty command")?;
        let mut command = Command::new(program);
        command.args(arguments).env("RINGFENCE_ENGINE", self.engine.program());
        command.env("RINGFENCE_CONTAINER", &self.name).env("RINGFENCE_ADDRESS", &self.address);
        pump.run(command, timeout)
    }

    /// Runs a command in the container.
    pub(super) fn inside(&self, pump: &mut Pump, words: &Words, timeout: Duration) -> anyhow::Result<Finished> {
        let mut command = Command::new(self.engine.program());
        command.args(["exec", &self.name]).args(words.arguments());
        pump.run(command, timeout)
    }

    /// Ends it as its engine does.
    pub(super) fn stop(&self, pump: &mut Pump, timeout: Duration) -> anyhow::Result<()> {
        let seconds = timeout.as_secs().to_string();
        let mut command = Command::new(self.engine.program());
        command.args(["stop", "-t", &seconds, &self.name]);
        let finished = pump.run(command, timeout + STEP_LIMIT)?;
        ensure!(finished.is_success(), "{} cannot stop {}: {}", self.engine.program(), self.name, finished.said());
        Ok(())
    }

    fn ask(&self, pump: &mut Pump, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.engine.program());
        command.args(arguments);
        let finished = pump.run(command, STEP_LIMIT)?;
        ensure!(finished.is_success(), "{} {}: {}", self.engine.program(), arguments.join(" "), finished.said());
        Ok(finished.stdout)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        remove(self.engine, &[&self.name]);
    }
}

/// All containers with a label; dropped, they are removed: an engine may have made one after its client was ended.
pub(super) struct Sweep {
    pub(super) engine: Engine,
    pub(super) label: String,
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let mut command = Command::new(self.engine.program());
        command.args(["ps", "--all", "--quiet", "--filter"]).arg(format!("label={LABEL}={}", self.label));
        let Ok(output) = command.stdin(Stdio::null()).stderr(Stdio::null()).output() else { return };
        let ids = String::from_utf8_lossy(&output.stdout).into_owned();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            remove(self.engine, &ids);
        }
    }
}

fn remove(engine: Engine, names: &[&str]) {
    let mut command = Command::new(engine.program());
    command.args(["rm", "--force", "--volumes"]).args(names);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What was never made need not be removed, and an engine that is gone has no containers.
    let _ = command.status();
}
