//! `strace` as the oracle: attached to a process that waits, with the proof that nothing that it does afterwards can be
//! missed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command::{Background, command, state, wait_until};
use crate::strace_log::Trace;

/// A running `strace` of one process and all its descendants.
#[derive(Debug)]
pub struct Strace {
    folder: TempDir,
    process: Background,
}

impl Strace {
    /// Attaches to all threads of the process and to all that it will create. The process must wait in a call; when
    /// this returns it waits in it again, traced.
    pub fn attach(pid: u32) -> Result<Strace> {
        let folder = tempfile::Builder::new().prefix("ringfence-strace").tempdir()?;
        let notes = std::fs::File::create(folder.path().join("notes"))?;
        let pid_text = pid.to_string();
        // `raw=all`: no strings of the traced program are read or printed. `-n`: numbers beside names.
        let args = ["-f", "-n", "-e", "raw=all", "-o", "log", "-p", &pid_text];
        let process = Background::spawn(
            command("strace", args).current_dir(folder.path()).stdout(notes.try_clone()?).stderr(notes),
        )?;
        let mut strace = Strace { folder, process };
        strace.wait_until_it_traces(pid)?;
        Ok(strace)
    }

    fn wait_until_it_traces(&mut self, pid: u32) -> Result<()> {
        let tracer = format!("TracerPid:\t{}\n", self.process.pid().as_raw_nonzero());
        let own = format!("/proc/{}", self.process.pid().as_raw_nonzero());
        let mut quiet_looks = 0;
        let attached = wait_until("strace attached", Duration::from_secs(20), || {
            let mut quiet = state(Path::new(&own)) == Some('S');
            for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
                let task = task?.path();
                let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
                // Asleep and not stopped for the tracer: it was let go on, and is in its call again.
                quiet &= status.contains(&tracer) && state(&task) == Some('S');
            }
            quiet_looks = if quiet { quiet_looks + 1 } else { 0 };
            Ok(quiet_looks >= 5)
        });
        attached.with_context(|| format!("strace says: {}", self.notes()))
    }

    /// What strace said beside its log.
    pub fn notes(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("notes")).unwrap_or_default()
    }

    /// Waits until all traced processes ended, and gives all calls.
    pub fn finish(mut self, limit: Duration) -> Result<Trace> {
        self.process.wait(limit).with_context(|| format!("strace says: {}", self.notes()))?;
        read(&self.folder.path().join("log"))
    }
}

/// Runs a command under `strace` from its exec on, and gives all calls.
pub fn trace(program: &Path, args: &[&str], limit: Duration) -> Result<Trace> {
    let folder = tempfile::Builder::new().prefix("ringfence-strace").tempdir()?;
    let log = folder.path().join("log");
    let mut strace = command("strace", ["-f", "-n", "-e", "raw=all", "-o"]);
    strace.arg(&log).arg(program).args(args);
    crate::command::must_within(&mut strace, limit)?;
    read(&log)
}

fn read(log: &Path) -> Result<Trace> {
    let text = std::fs::read_to_string(log).with_context(|| format!("read {}", log.display()))?;
    Trace::parse(&text)
}
