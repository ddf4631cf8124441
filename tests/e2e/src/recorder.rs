//! `ringfence record`, as a user runs it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::command::{Background, Finished, finish};
use crate::reports::Report;

/// How long ringfence may take to be ready.
pub(crate) const READY: Duration = Duration::from_secs(30);
/// How long it may take to write its reports.
const END: Duration = Duration::from_secs(60);

/// The cgroup hierarchies that `ringfence` is shown, by mounts of its own: one machine gives several layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As the machine is.
    Whole,
    /// A hybrid machine without its version 2 tree.
    Version1,
    /// Only the version 2 tree, at the usual place.
    Version2,
}

impl View {
    /// Whether the machine can show it: a hybrid one all, others only what they are.
    pub fn is_possible(self) -> Result<bool> {
        let hierarchies = crate::cgroups::hierarchies()?;
        Ok(match self {
            View::Whole => true,
            View::Version1 => hierarchies.iter().any(|(_, version2)| !version2),
            View::Version2 => hierarchies.iter().any(|(_, version2)| *version2),
        })
    }

    /// What the shell does before it becomes `ringfence`.
    fn preparation(self) -> Option<&'static str> {
        match self {
            View::Whole => None,
            View::Version1 => Some("! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified"),
            View::Version2 => Some("umount --recursive --lazy /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"),
        }
    }

    /// A command that becomes `ringfence` (same pid) with this view.
    fn ringfence(self) -> Result<Command> {
        self.preparation().map_or_else(|| Ok(Command::new(binary()?)), in_mounts_of_its_own)
    }
}

/// A command that prepares mounts which nobody else sees, and becomes `ringfence` (same pid).
fn in_mounts_of_its_own(preparation: &str) -> Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg(format!("{{ {preparation}; }} && exec \"$@\"")).arg("sh").arg(binary()?);
    Ok(command)
}

/// A command that becomes `ringfence` where an engine of the test listens at the usual place (a path below `/run`).
pub fn beside(socket: &Path, usual: &str) -> Result<Command> {
    let usual = Path::new("/run").join(usual);
    let folder = usual.parent().unwrap_or(Path::new("/run"));
    let (folder, socket, usual) = (folder.display(), socket.display(), usual.display());
    in_mounts_of_its_own(&format!("mount -t tmpfs none /run && mkdir -p {folder} && ln -s {socket} {usual}"))
}

/// The program under test: `RINGFENCE_BIN`, else the one that was built in this tree.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("RINGFENCE_BIN") {
        return Ok(path.into());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let built = ["release/ringfence", "debug/ringfence"].map(|name| target.join(name));
    let found = built.iter().find(|path| path.is_file());
    found.cloned().context("no ringfence: build it (cargo build --release) or name it with RINGFENCE_BIN")
}

/// Runs `ringfence` with these arguments to its end.
pub fn ringfence<S: AsRef<std::ffi::OsStr>>(args: &[S], limit: Duration) -> Result<Finished> {
    finish(Command::new(binary()?).args(args).stdin(Stdio::null()), limit)
}

/// The same where an engine of the test listens at the usual place (a path below `/run`).
pub fn ringfence_beside<S: AsRef<std::ffi::OsStr>>(
    socket: &Path,
    usual: &str,
    args: &[S],
    limit: Duration,
) -> Result<Finished> {
    finish(beside(socket, usual)?.args(args).stdin(Stdio::null()), limit)
}

/// The same with another PATH: programs of the test come first.
pub fn ringfence_with_path<S: AsRef<std::ffi::OsStr>>(path: &str, args: &[S], limit: Duration) -> Result<Finished> {
    finish(Command::new(binary()?).args(args).env("PATH", path).stdin(Stdio::null()), limit)
}

/// What a recording left.
#[derive(Debug)]
pub struct Recording {
    /// How `ringfence` ended.
    pub status: ExitStatus,
    /// The reports, by file name.
    pub reports: Vec<Report>,
    /// All of the command's standard output, if there was a command.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    folder: TempDir,
}

impl Recording {
    /// The report about this container; there must be one and no second.
    pub fn of(&self, container: &str) -> Result<&Report> {
        match self.all_of(container).as_slice() {
            [one] => Ok(one),
            found => {
                let (count, names, stderr) = (found.len(), self.names(), &self.stderr);
                bail!("{count} reports of {container}, not one; there are: {names} (stderr: {stderr})")
            }
        }
    }

    /// All reports about this container: one for each of its runs.
    pub fn all_of(&self, container: &str) -> Vec<&Report> {
        self.reports.iter().filter(|report| report.is_of(container)).collect()
    }

    /// The only report.
    pub fn only(&self) -> Result<&Report> {
        match self.reports.as_slice() {
            [one] => Ok(one),
            _ => bail!("not one report but {}: {} (stderr: {})", self.reports.len(), self.names(), self.stderr),
        }
    }

    /// The folder that the reports were written to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn names(&self) -> String {
        let names = self.reports.iter().map(|report| {
            let cgroup = report.cgroup_path();
            format!("{} (id {:?}, cgroup {cgroup:?})", report.path.display(), report.container("id"))
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// A recording that runs.
#[derive(Debug)]
pub struct Recorder {
    process: Background,
    stderr: JoinHandle<String>,
    folder: TempDir,
}

impl Recorder {
    /// Starts `ringfence record` with these arguments and waits until everything is attached.
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Result<Recorder> {
        Recorder::start_in(View::Whole, args)
    }

    /// The same, with a view of the machine's cgroups.
    pub fn start_in<S: AsRef<std::ffi::OsStr>>(view: View, args: &[S]) -> Result<Recorder> {
        Recorder::spawn(view.ringfence()?, args)
    }

    /// The same where an engine of the test listens at the usual place (a path below `/run`), for `ringfence` alone.
    pub fn start_beside<S: AsRef<std::ffi::OsStr>>(socket: &Path, usual: &str, args: &[S]) -> Result<Recorder> {
        Recorder::spawn(beside(socket, usual)?, args)
    }

    fn spawn<S: AsRef<std::ffi::OsStr>>(mut command: Command, args: &[S]) -> Result<Recorder> {
        let folder = tempfile::Builder::new().prefix("ringfence-reports").tempdir()?;
        command.arg("record").arg("--out").arg(folder.path()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let pipe = process.child().stderr.take().context("no pipe")?;
        let (ready, is_ready) = mpsc::channel();
        let stderr = std::thread::spawn(move || collect(pipe, "recording", &ready));
        if is_ready.recv_timeout(READY).is_err() {
            drop(process);
            let said = stderr.join().unwrap_or_default();
            bail!("ringfence record was not ready within {READY:?}: {said}");
        }
        Ok(Recorder { process, stderr, folder })
    }

    /// The pid of `ringfence`.
    pub fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// The reports that are already written.
    pub fn reports_so_far(&self) -> Result<Vec<Report>> {
        Report::read_all(self.folder.path())
    }

    /// Ends the recording as Ctrl-C does, and reads what it wrote.
    pub fn stop(self) -> Result<Recording> {
        self.signal(Signal::INT)?;
        let recording = self.wait()?;
        // 1: done, and a report is not complete, which is for each test to judge.
        if !matches!(recording.status.code(), Some(0 | 1)) {
            bail!("ringfence record ended with {}: {}", recording.status, recording.stderr);
        }
        Ok(recording)
    }

    /// Waits until it ends by itself, and reads what it wrote.
    pub fn wait(mut self) -> Result<Recording> {
        let status = self.process.wait(END)?;
        let stderr = self.stderr.join().unwrap_or_default();
        let reports = Report::read_all(self.folder.path())?;
        Ok(Recording { status, reports, stdout: String::new(), stderr, folder: self.folder })
    }
}

/// Records one command in ringfence's own sandbox: `ringfence record ARGS -- COMMAND`.
pub fn record_command<A, C>(args: &[A], command: &[C], limit: Duration) -> Result<Recording>
where
    A: AsRef<std::ffi::OsStr>,
    C: AsRef<std::ffi::OsStr>,
{
    record_command_in(View::Whole, args, command, limit)
}

/// The same, with a view of the machine's cgroups.
pub fn record_command_in<A, C>(view: View, args: &[A], command: &[C], limit: Duration) -> Result<Recording>
where
    A: AsRef<std::ffi::OsStr>,
    C: AsRef<std::ffi::OsStr>,
{
    let folder = tempfile::Builder::new().prefix("ringfence-reports").tempdir()?;
    let mut run = view.ringfence()?;
    run.arg("record").arg("--out").arg(folder.path()).args(args).arg("--").args(command).stdin(Stdio::null());
    let finished = finish(&mut run, limit)?;
    let reports = Report::read_all(folder.path())?;
    Ok(Recording { status: finished.status, reports, stdout: finished.stdout(), stderr: finished.stderr(), folder })
}

/// Reads to the end, says when the line came that tells that everything is attached, and gives all that was said.
pub(crate) fn collect(pipe: impl Read, first: &str, ready: &mpsc::Sender<()>) -> String {
    let mut said = Vec::new();
    let mut reader = BufReader::new(pipe);
    loop {
        let begin = said.len();
        match reader.read_until(b'\n', &mut said) {
            Ok(read) if read > 0 => {}
            _ => return String::from_utf8_lossy(&said).into_owned(),
        }
        if said[begin..].starts_with(first.as_bytes()) {
            // Nobody listens any more after the first.
            let _ = ready.send(());
        }
    }
}
