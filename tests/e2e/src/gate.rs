//! An entrypoint that waits until it may go on, for containers whose engine creates and starts them in one step.
//!
//! `gate` has no C library: from the exec that starts the container on it makes exactly two calls that a tracer which
//! attaches while it waits does not see.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use tempfile::TempDir;

use crate::command::wait_until;
use crate::programs::program;
use crate::strace_log::{Count, Counts};

/// Where the gate's folder is mounted in the container.
pub const INSIDE: &str = "/gate";

/// A folder with the program and the fifo, to be mounted into the container at [`INSIDE`].
#[derive(Debug)]
pub struct Gate {
    folder: TempDir,
}

impl Gate {
    /// Builds the folder.
    pub fn new() -> Result<Gate> {
        let folder = tempfile::Builder::new().prefix("ringfence-gate").tempdir()?;
        std::fs::copy(program("gate")?, folder.path().join("gate"))?;
        rustix::fs::mknodat(CWD, folder.path().join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        Ok(Gate { folder })
    }

    /// The folder on the host.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command line for the container: the gate, then the workload.
    pub fn command_line(&self, workload: &[String]) -> Vec<String> {
        let gate = [format!("{INSIDE}/gate"), format!("{INSIDE}/fifo")];
        gate.into_iter().chain(workload.iter().cloned()).collect()
    }

    /// Waits until the process waits at the gate.
    pub fn wait_for(&self, pid: u32) -> Result<()> {
        wait_until("the container waits at the gate", Duration::from_secs(30), || {
            let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Ok(comm == "gate\n" && call.split(' ').next() == Some(OPENAT_TEXT))
        })
    }

    /// Lets the container go on.
    pub fn open(&self) -> Result<()> {
        let fifo = self.folder.path().join("fifo");
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).context("flags")?;
        // Without a reader this is ENXIO, so that a gate that nobody waits at is an error.
        OpenOptions::new().write(true).custom_flags(flags).open(fifo).context("nobody waits at the gate")?;
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
const OPENAT: u32 = 257;
#[cfg(target_arch = "x86_64")]
const OPENAT_TEXT: &str = "257";
#[cfg(target_arch = "x86_64")]
const EXECVE: u32 = 59;
#[cfg(target_arch = "aarch64")]
const OPENAT: u32 = 56;
#[cfg(target_arch = "aarch64")]
const OPENAT_TEXT: &str = "56";
#[cfg(target_arch = "aarch64")]
const EXECVE: u32 = 221;

/// Adds the calls that were made before a tracer could attach: the exec of the gate, and the first entry into openat
/// (attaching interrupts it, and the tracer sees it entered again).
pub fn add_unseen(counts: &mut Counts) {
    for (number, name) in [(OPENAT, "openat"), (EXECVE, "execve")] {
        let count = counts.calls.entry(number).or_insert_with(|| Count { name: name.into(), ..Count::default() });
        count.entered += 1;
    }
}
