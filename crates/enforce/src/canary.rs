//! A process of our own that must really be blocked, before anybody is told that something is.
//!
//! The canary waits, is moved to a cgroup of its own, and then starts our own program again. Without a policy that works; with
//! one that denies this program in this cgroup it must not. For other deeds than programs, that program does the deed.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use containers::cgroupfs::{Layout, Sandbox, SandboxError};
use rustix::process::{Pid, Signal, WaitOptions};
use sensors::guard::{Deed, GuardError, Guards, PolicyRecord, PolicyState, Step, Trigger};

use crate::attempt;
use crate::store::host_root;

/// The hidden subcommand that a canary runs.
pub const SUBCOMMAND: &str = "guard-canary";

/// Before what it does behind that.
const WAIT: &str = "wait-";
pub(crate) const LIVE: &str = "live";
/// Before what it reads.
const READ: &str = "read-";
/// Ourselves, even if the file has been replaced.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// How a canary ends that was refused its program, and one that failed otherwise.
const REFUSED: u8 = 10;
const BROKEN: u8 = 11;
/// No canary takes as long on the slowest machine, which is an emulated one beside others.
const LIMIT: Duration = Duration::from_secs(120);

/// Why it is not known that anything is blocked.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// It could not be tried.
    #[error("a process of our own could not be tried")]
    Io(#[from] io::Error),
    /// Its cgroup could not be made.
    #[error(transparent)]
    Cgroup(#[from] SandboxError),
    /// The guards could not be told.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// It fails without a policy, too.
    #[error("a process of our own does not work without a policy either: it ended with {0}")]
    Control(ExitStatus),
    /// It was not blocked.
    #[error("a process of our own that was to be blocked was not: it ended with {0}")]
    NotBlocked(ExitStatus),
    /// A policy was in force before what it waits for.
    #[error("a process of our own was blocked before it had done what the policy waits for: it ended with {0}")]
    TooEarly(ExitStatus),
    /// It could not read what makes a policy strict.
    #[error("a process of our own could not do what a policy waits for: it ended with {0}")]
    NotRead(ExitStatus),
    /// It was blocked, and the guards know nothing of it.
    #[error("a process of our own was blocked, and the guards counted nothing")]
    NotCounted,
}

impl CanaryError {
    /// Whether it shows that the guards do not do what they are for. Else they could not be tried, and may well do it.
    pub fn is_of_guards(&self) -> bool {
        match self {
            CanaryError::NotBlocked(_) | CanaryError::TooEarly(_) | CanaryError::NotCounted => true,
            CanaryError::Io(_)
            | CanaryError::Cgroup(_)
            | CanaryError::Guard(_)
            | CanaryError::Control(_)
            | CanaryError::NotRead(_) => false,
        }
    }
}

/// What the hidden subcommand does.
pub fn run(act: &str) -> ExitCode {
    if act == LIVE {
        return ExitCode::SUCCESS;
    }
    if let Some(next) = act.strip_prefix(WAIT) {
        // Should ringfence be killed now, a stopped process would be left behind for ever.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        if rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).is_err() {
            return ExitCode::from(BROKEN);
        }
        let error = Command::new(OWN_PROGRAM).args([SUBCOMMAND, next]).exec();
        let is_refused = error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error());
        return ExitCode::from(if is_refused { REFUSED } else { BROKEN });
    }
    if let Some(what) = act.strip_prefix(READ) {
        let trigger = Trigger::ALL.into_iter().find(|trigger| trigger.name() == what);
        return match trigger.map(attempt::read) {
            Some(Ok(())) => ExitCode::SUCCESS,
            Some(Err(_)) | None => ExitCode::from(BROKEN),
        };
    }
    let deed = Deed::ALL.into_iter().find(|deed| deed.name() == act);
    match deed.map(attempt::attempt) {
        Some(Ok(true)) => ExitCode::from(REFUSED),
        Some(Ok(false)) => ExitCode::SUCCESS,
        Some(Err(_)) | None => ExitCode::from(BROKEN),
    }
}

/// Whether everything that the guards can deny is really blocked, in the way that their step says, and what policies wait for is
/// seen.
pub(crate) fn check(guards: &Guards, layout: &Layout) -> Result<(), CanaryError> {
    guards.deeds()?.into_iter().try_for_each(|deed| check_deed(guards, layout, deed))?;
    guards.triggers()?.into_iter().try_for_each(|trigger| check_trigger(guards, layout, trigger))
}

/// The same of one kind of deed.
pub(crate) fn check_deed(guards: &Guards, layout: &Layout, deed: Deed) -> Result<(), CanaryError> {
    in_sandbox(guards, layout, |sandbox| try_in(guards, sandbox, deed))
}

/// Whether a policy that waits for this is not in force before, and is afterwards.
pub(crate) fn check_trigger(guards: &Guards, layout: &Layout, trigger: Trigger) -> Result<(), CanaryError> {
    in_sandbox(guards, layout, |sandbox| {
        guards.clear_policy(Guards::CANARY)?;
        let own = File::open(OWN_PROGRAM)?;
        guards.deny_file(guards.file_key(own.as_fd())?, Guards::CANARY)?;
        attempt::wait_for(guards, trigger)?;
        be_in_force(guards, sandbox)?;
        let early = send(sandbox, LIVE)?;
        if !early.success() {
            return Err(CanaryError::TooEarly(early));
        }
        let read = send(sandbox, &format!("{READ}{}", trigger.name()))?;
        if !read.success() {
            return Err(CanaryError::NotRead(read));
        }
        must_be_blocked(guards, sandbox, LIVE)
    })
}

fn in_sandbox(
    guards: &Guards,
    layout: &Layout,
    attempt: impl FnOnce(&Sandbox) -> Result<(), CanaryError>,
) -> Result<(), CanaryError> {
    let sandbox = Sandbox::create(layout.identity(), &format!("canary-{}", std::process::id()))?;
    let outcome = attempt(&sandbox);
    let cleared = guards.clear_policy(Guards::CANARY);
    let removed = sandbox.remove(LIMIT);
    // What it shows of the guards comes before what went wrong afterwards.
    outcome?;
    cleared?;
    Ok(removed?)
}

fn try_in(guards: &Guards, sandbox: &Sandbox, deed: Deed) -> Result<(), CanaryError> {
    guards.clear_policy(Guards::CANARY)?;
    let act = if deed == Deed::Exec { LIVE } else { deed.name() };
    let control = send(sandbox, act)?;
    if !control.success() {
        return Err(CanaryError::Control(control));
    }
    if deed == Deed::Exec {
        let own = File::open(OWN_PROGRAM)?;
        guards.deny_file(guards.file_key(own.as_fd())?, Guards::CANARY)?;
        be_in_force(guards, sandbox)?;
        must_be_blocked(guards, sandbox, act)?;
        // By a list that it is not on.
        guards.clear_policy(Guards::CANARY)?;
        guards.allow_only_what_is_listed(host_root(guards)?, Guards::CANARY)?;
    }
    attempt::deny(guards, deed)?;
    be_in_force(guards, sandbox)?;
    must_be_blocked(guards, sandbox, act)
}

fn be_in_force(guards: &Guards, sandbox: &Sandbox) -> Result<(), CanaryError> {
    guards.watch_cgroup(sandbox.id().0, Guards::CANARY)?;
    let record = PolicyRecord { state: PolicyState::Enforce, expires_boot_ns: None, text: b"{}".to_vec() };
    Ok(guards.set_policy(Guards::CANARY, &record)?)
}

fn must_be_blocked(guards: &Guards, sandbox: &Sandbox, act: &str) -> Result<(), CanaryError> {
    let status = send(sandbox, act)?;
    let is_blocked = match guards.step() {
        Step::Lsm | Step::FmodRet => status.code() == Some(i32::from(REFUSED)),
        Step::Kill => status.signal() == Some(Signal::KILL.as_raw()),
    };
    if !is_blocked {
        return Err(CanaryError::NotBlocked(status));
    }
    match guards.tally(Guards::CANARY)?.denied {
        0 => Err(CanaryError::NotCounted),
        _ => Ok(()),
    }
}

/// Has a canary do something in the cgroup, and tells how it ended.
fn send(sandbox: &Sandbox, act: &str) -> Result<ExitStatus, CanaryError> {
    let mut command = Command::new(OWN_PROGRAM);
    let act = format!("{WAIT}{act}");
    command.args([SUBCOMMAND, &act]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = Running(command.spawn()?);
    let end = Instant::now() + LIMIT;
    loop {
        let options = WaitOptions::UNTRACED | WaitOptions::NOHANG;
        match rustix::process::waitpid(Some(Pid::from_child(&child.0)), options).map_err(io::Error::from)? {
            Some((_, status)) if status.stopped() => break,
            Some(_) => return Err(io::Error::other("it ended before it was let go").into()),
            None => wait(end)?,
        }
    }
    sandbox.add(child.0.id())?;
    rustix::process::kill_process(Pid::from_child(&child.0), Signal::CONT).map_err(io::Error::from)?;
    loop {
        match child.0.try_wait()? {
            Some(status) => return Ok(status),
            None => wait(end)?,
        }
    }
}

fn wait(end: Instant) -> io::Result<()> {
    if Instant::now() >= end {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end"));
    }
    std::thread::sleep(Duration::from_millis(2));
    Ok(())
}

/// Killed if it still lives when this goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
