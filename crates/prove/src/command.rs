//! Running other programs: bounded in time and in what is kept of their output.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is kept of each stream: its end.
const KEPT_BYTES: u64 = 64 << 10;
/// How often a child is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);

/// How a program ended, and what it said.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end; one that takes longer is killed.
pub(crate) fn finish(command: &mut Command, limit: Duration) -> io::Result<Finished> {
    // Files, not pipes: what it leaves running may keep them open.
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    // What ends us from the terminal does not end what cleans up behind us.
    command.process_group(0);
    let mut child = Running(command.spawn()?);
    let began = Instant::now();
    loop {
        if let Some(status) = child.0.try_wait()? {
            return Ok(Finished { status, stdout: end_of(&stdout)?, stderr: end_of(&stderr)? });
        }
        if began.elapsed() >= limit {
            return Err(io::Error::other(format!("it did not end within {limit:?}")));
        }
        sleep(GLANCE);
    }
}

/// The end of what was written to a file, as text.
pub(crate) fn end_of(mut file: &File) -> io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(KEPT_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(KEPT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A child that does not outlive us.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended was waited for, or is now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
