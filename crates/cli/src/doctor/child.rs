//! The processes that `doctor` puts into cgroups of its own: each waits to be let go, does one thing and ends.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Subcommand;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread;

/// The hidden subcommand that a child runs.
const SUBCOMMAND: &str = "doctor-child";
/// The hidden subcommand that stops until it is let go, and then becomes the one above.
const WAITING: &str = "become-command";
/// Ourselves, even if the file has been replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// No child takes as long on the slowest machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Act {
    /// Makes so many calls of getppid and one call that fails, has one capability checked, connects to itself, and starts a program.
    Work {
        /// How many.
        calls: u32,
    },
    /// Nothing.
    End,
    /// Opens a socket.
    Socket,
    /// Measures a round for each byte that it is sent.
    Measure {
        /// The processor to do it on.
        cpu: usize,
    },
}

/// The error of the call that fails: a process that cannot be is asked for.
pub(super) const EXPECTED_ERRNO: event::Errno = event::Errno(3);
pub(super) const EXPECTED_CALL: &str = "getpgid";
/// The capability that is asked for once.
pub(super) const EXPECTED_CAPABILITY: &str = "CAP_SYS_CHROOT";

/// What the hidden subcommand does.
pub(crate) fn act(act: Act) -> anyhow::Result<ExitCode> {
    match act {
        Act::Work { calls } => {
            for _ in 0..calls {
                std::hint::black_box(rustix::process::getppid());
            }
            let _ = rustix::process::getpgid(Pid::from_raw(i32::MAX));
            // Whether it may is asked once; if so, its root stays what it is.
            let _ = rustix::process::chroot("/");
            // So are these, by functions of their own.
            let _ = thread::capabilities(None).and_then(|own| thread::set_capabilities(None, own));
            let _ = thread::capabilities_secure_bits().and_then(thread::set_capabilities_secure_bits);
            // Where loopback is down there is no connection.
            drop(connection_to_itself());
            let ended = Command::new(OWN_PROGRAM).args([SUBCOMMAND, "end"]).stdin(Stdio::null()).status()?;
            anyhow::ensure!(ended.success(), "the program that was started ended with {ended}");
        }
        Act::End => {}
        Act::Socket => drop(std::net::UdpSocket::bind("127.0.0.1:0")),
        Act::Measure { cpu } => measure(cpu)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn connection_to_itself() -> io::Result<std::net::TcpStream> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    std::net::TcpStream::connect(listener.local_addr()?)
}

/// How long a round may take.
const ROUND: Duration = Duration::from_millis(2);
/// How many calls are made between two looks at the clock.
const CALLS: u32 = 1_000;

fn measure(cpu: usize) -> anyhow::Result<()> {
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu);
    // Where that is refused the numbers are only less steady.
    let _ = rustix::thread::sched_setaffinity(None, &only);
    let mut out = io::stdout().lock();
    for byte in io::stdin().lock().bytes() {
        byte?;
        writeln!(out, "{}", round())?;
        out.flush()?;
    }
    Ok(())
}

/// Picoseconds per call of getppid.
fn round() -> u128 {
    let began = Instant::now();
    let mut calls = 0_u128;
    loop {
        for _ in 0..CALLS {
            std::hint::black_box(rustix::process::getppid());
        }
        calls += u128::from(CALLS);
        let elapsed = began.elapsed();
        if elapsed >= ROUND {
            return elapsed.as_nanos() * 1_000 / calls;
        }
    }
}

/// A child; it is killed if it still lives when this goes.
pub(super) struct Child {
    child: std::process::Child,
    pipes: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Child {
    /// Starts one, up to where it waits.
    pub(super) fn start(act: &[&str]) -> io::Result<Child> {
        Child::start_with(act, false)
    }

    /// Starts one that measures.
    pub(super) fn measuring(cpu: usize) -> io::Result<Child> {
        Child::start_with(&["measure", &cpu.to_string()], true)
    }

    fn start_with(act: &[&str], piped: bool) -> io::Result<Child> {
        let stdio = || if piped { Stdio::piped() } else { Stdio::null() };
        let name = std::env::args_os().next().unwrap_or_else(|| OsString::from("ringfence"));
        let child = Command::new(OWN_PROGRAM)
            .arg(WAITING)
            .arg(OWN_PROGRAM)
            .arg(name)
            .arg(SUBCOMMAND)
            .args(act)
            .stdin(stdio())
            .stdout(stdio())
            .stderr(Stdio::null())
            .spawn()?;
        let mut started = Child { child, pipes: None };
        if let (Some(input), Some(output)) = (started.child.stdin.take(), started.child.stdout.take()) {
            started.pipes = Some((input, BufReader::new(output)));
        }
        let end = Instant::now() + LIMIT;
        loop {
            let options = WaitOptions::UNTRACED | WaitOptions::NOHANG;
            match rustix::process::waitpid(Some(Pid::from_child(&started.child)), options)? {
                Some((_, status)) if status.stopped() => return Ok(started),
                Some(_) => return Err(io::Error::other("the test's process ended before it was let go")),
                None if Instant::now() >= end => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the test's process did not get ready"));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn go(&self) -> io::Result<()> {
        Ok(rustix::process::kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// Waits for its end, for a limited time.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.pipes = None;
        let end = Instant::now() + LIMIT;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() >= end => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the test's process did not end"));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// One round of a measuring child: picoseconds per call.
    pub(super) fn measure(&mut self) -> io::Result<u64> {
        let Some((input, output)) = &mut self.pipes else {
            return Err(io::Error::other("this child does not measure"));
        };
        input.write_all(b".")?;
        let mut waiting = [PollFd::new(output.get_ref(), PollFlags::IN)];
        let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
        if rustix::event::poll(&mut waiting, Some(&limit))? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the measuring process did not answer"));
        }
        let mut line = String::new();
        output.by_ref().take(40).read_line(&mut line)?;
        line.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "the measuring process ended"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_some_time_for_each_call() {
        assert!(round() > 0);
    }
}
