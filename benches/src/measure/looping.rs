//! The program `loop`, which makes one call over and over, and takes the time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::command::Background;

use crate::programs::program;

/// Which time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The thread's own: what others on a loaded machine take is left out.
    Cpu,
    /// That of the clock on the wall, in short rounds, of which the quickest were not disturbed.
    Wall,
}

impl Clock {
    fn name(self) -> &'static str {
        match self {
            Clock::Cpu => "cpu",
            Clock::Wall => "wall",
        }
    }

    /// How long a round takes with nothing attached.
    fn round_ns(self) -> f64 {
        match self {
            Clock::Cpu => 5e6,
            Clock::Wall => 5e5,
        }
    }
}

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `getppid`, which succeeds.
    Getppid,
    /// `read` of an empty pipe, which fails with EAGAIN.
    Eagain,
    /// `openat` of a file, and the `close` of it.
    Open,
}

impl Call {
    /// As `loop` calls it.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Call::Getppid => "getppid",
            Call::Eagain => "eagain",
            Call::Open => "open",
        }
    }

    /// The name of the system call.
    pub(crate) fn syscall(self) -> &'static str {
        match self {
            Call::Getppid => "getppid",
            Call::Eagain => "read",
            Call::Open => "openat",
        }
    }
}

/// A loop that waits for its next rounds.
#[derive(Debug)]
pub(crate) struct Loop {
    process: Background,
    answers: BufReader<ChildStdout>,
    calls: u64,
    threads: u64,
    /// Calls made since the start, by all threads.
    pub(crate) made: u64,
}

impl Loop {
    /// Starts it, each thread on a CPU of its own, and finds how many calls make a round.
    pub(crate) fn start(call: Call, threads: u32, clock: Clock) -> Result<Loop> {
        let mut command = Command::new(program("loop")?);
        command.args([call.mode(), &threads.to_string(), clock.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let answers = BufReader::new(process.child().stdout.take().context("no pipe")?);
        let mut running = Loop { process, answers, calls: 1000, threads: threads.into(), made: 0 };
        let quickest = running.rounds(50)?.into_iter().fold(f64::MAX, f64::min);
        ensure!(quickest > 0.0, "the clock of threads stands still");
        running.calls = (clock.round_ns() / quickest).max(1.0) as u64;
        Ok(running)
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Runs this many rounds; the time of one call in each, in nanoseconds. All threads begin a round together.
    pub(crate) fn rounds(&mut self, rounds: u32) -> Result<Vec<f64>> {
        let stdin = self.process.child().stdin.as_mut().context("no pipe")?;
        writeln!(stdin, "{rounds} {}", self.calls).context("the loop has ended")?;
        stdin.flush()?;
        self.made += u64::from(rounds) * self.calls * self.threads;
        (0..rounds).map(|_| self.answer()).collect()
    }

    fn answer(&mut self) -> Result<f64> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the loop has ended");
        }
        line.trim().parse().with_context(|| format!("the loop says {line:?}"))
    }
}
