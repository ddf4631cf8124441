//! The program `storm`, which makes processes as fast as it can, and what must be known of each of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::command::Background;

use crate::programs::program;

/// How many processes make others.
pub(crate) const WORKERS: u64 = 2;

/// How long it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    Seconds(u64),
    Cycles(u64),
}

impl Extent {
    /// The program's arguments.
    pub(crate) fn args(self) -> [String; 3] {
        let (unit, number) = match self {
            Extent::Seconds(seconds) => ("seconds", seconds),
            Extent::Cycles(cycles) => ("cycles", cycles),
        };
        [unit.into(), number.to_string(), WORKERS.to_string()]
    }
}

/// Forks, execs and exits of a storm of this many cycles that came into its container before it began: those of the
/// workers, which run no program of their own, and its own exit, too.
pub(crate) fn events_of(cycles: u64) -> u64 {
    3 * cycles + 2 * WORKERS + 1
}

/// A storm that waits.
#[derive(Debug)]
pub(crate) struct Storm {
    process: Background,
    answer: BufReader<ChildStdout>,
}

impl Storm {
    /// Starts the program; nothing happens yet.
    pub(crate) fn prepare(extent: Extent) -> Result<Storm> {
        Storm::prepare_with(extent, &[])
    }

    /// The same; each of its programs opens so many files of this folder, `file-0` and so on.
    pub(crate) fn prepare_opening(extent: Extent, opens: u64, folder: &Path) -> Result<Storm> {
        Storm::prepare_with(extent, &[opens.to_string(), folder.display().to_string()])
    }

    fn prepare_with(extent: Extent, more: &[String]) -> Result<Storm> {
        let mut command = Command::new(program("storm")?);
        command.args(extent.args()).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let answer = BufReader::new(process.child().stdout.take().context("no pipe")?);
        Ok(Storm { process, answer })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Lets it go, and waits for its end; how many cycles it made.
    pub(crate) fn run(mut self, limit: Duration) -> Result<u64> {
        let mut stdin = self.process.child().stdin.take().context("no pipe")?;
        stdin.write_all(b"go\n").context("the storm has ended")?;
        drop(stdin);
        let status = self.process.wait(limit)?;
        ensure!(status.success(), "the storm ended with {status}");
        let mut line = String::new();
        self.answer.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("the storm says {line:?}"))
    }
}
