//! `ringfence record -- COMMAND`: a command in a cgroup of its own.
//!
//! The child stops itself, is moved into the cgroup, and goes on: its next exec is the workload's first. So nothing of the
//! command runs outside, and of ringfence only the last few calls run inside, as `runtime-init`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, WaitOptions};

/// The hidden subcommand that the child runs until it becomes the command.
pub const BECOME_COMMAND: &str = "become-command";

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such program.
    #[error("{}: no such program{}", .0.display(), if .0.as_os_str().as_bytes().contains(&b'/') { "" } else { " in PATH" })]
    NotFound(PathBuf),
    /// It is there, but cannot be executed.
    #[error("{} cannot be executed: it is no file with execute permission", .0.display())]
    NotExecutable(PathBuf),
    /// The child could not be made.
    #[error("cannot start a process for the command")]
    Spawn(#[source] std::io::Error),
    /// The child died or did not stop.
    #[error("the process for the command ended before it could be watched")]
    Lost,
    /// A step of the child failed.
    #[error("cannot run {}", .program.display())]
    Exec {
        /// The program.
        program: PathBuf,
        /// What it was.
        source: std::io::Error,
    },
}

/// A command that waits to be let go.
pub(crate) struct Launched {
    child: Child,
}

impl Launched {
    /// Starts the child, up to where it stops itself.
    pub(crate) fn start(command: &[OsString]) -> Result<Launched, LaunchError> {
        let name = command.first().map(OsString::as_os_str).unwrap_or_default();
        let program = find(name)?;
        let child = Command::new("/proc/self/exe")
            .arg(BECOME_COMMAND)
            .arg(&program)
            .args(command)
            .spawn()
            .map_err(LaunchError::Spawn)?;
        let launched = Launched { child };
        match rustix::process::waitpid(Some(launched.pid()), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => Ok(launched),
            _ => Err(LaunchError::Lost),
        }
    }

    /// The child's pid.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Lets it become the command.
    pub(crate) fn go(&self) -> Result<(), LaunchError> {
        rustix::process::kill_process(self.pid(), Signal::CONT).map_err(|error| LaunchError::Spawn(error.into()))
    }

    /// Sends it a signal; one that has ended gets none.
    pub(crate) fn signal(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            let _ = rustix::process::kill_process(self.pid(), signal);
        }
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends a child that never became the command.
    pub(crate) fn abandon(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does: stops, and becomes the command. Returns only if that fails.
///
/// `arguments` is the path of the program, the name it is called by, and its arguments.
pub fn become_command(arguments: &[OsString]) -> LaunchError {
    let [program, name, rest @ ..] = arguments else {
        return LaunchError::Lost;
    };
    let own = rustix::process::getpid();
    // Should ringfence be killed now, a stopped process would be left behind for ever.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if let Err(error) = rustix::process::kill_process(own, Signal::STOP) {
        return LaunchError::Spawn(error.into());
    }
    let _ = rustix::process::set_parent_process_death_signal(None);
    let source = Command::new(program).arg0(name).args(rest).exec();
    LaunchError::Exec { program: program.into(), source }
}

/// The path of a program, looked for as a shell would.
fn find(name: &OsStr) -> Result<PathBuf, LaunchError> {
    let is_program = |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match path {
            path if is_program(&path) => Ok(path),
            path if path.exists() => Err(LaunchError::NotExecutable(path)),
            path => Err(LaunchError::NotFound(path)),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
        .ok_or_else(|| LaunchError::NotFound(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_path() {
        assert!(find(OsStr::new("sh")).unwrap().is_absolute());
    }

    #[test]
    fn what_is_missing_and_what_cannot_be_executed_are_told_apart() {
        assert!(matches!(find(OsStr::new("no-such-program")), Err(LaunchError::NotFound(_))));
        assert!(matches!(find(OsStr::new("/no/such/program")), Err(LaunchError::NotFound(_))));
        assert!(matches!(find(OsStr::new("/etc/passwd")), Err(LaunchError::NotExecutable(_))));
    }
}
