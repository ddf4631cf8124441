//! Bare `runc` and `crun`: no engine, their own state folder.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::bundle::Bundle;
use crate::command::{Background, Finished, command, finish, is_gone, must, wait_until};

/// Where the version 2 tree is on machines whose controllers are on version 1.
const UNIFIED: &str = "/sys/fs/cgroup/unified";
const STEP: Duration = Duration::from_secs(30);

/// crun with what stands before its commands, as a shell takes it: it refuses a machine with both versions of cgroups, so it
/// gets a view of it without the version 2 tree.
pub fn crun_words() -> String {
    if hybrid_with_controllers() {
        format!("unshare --mount --propagation private sh -c 'umount {UNIFIED} && exec crun \"$@\"' crun")
    } else {
        "crun".to_owned()
    }
}

/// A runtime with a state folder of its own.
#[derive(Debug)]
pub struct Runtime {
    program: &'static str,
    state: TempDir,
}

impl Runtime {
    /// `runc` or `crun`.
    pub fn new(program: &'static str) -> Result<Runtime> {
        Ok(Runtime { program, state: tempfile::Builder::new().prefix("ringfence-runtime").tempdir()? })
    }

    /// The program's name.
    pub fn name(&self) -> &'static str {
        self.program
    }

    /// The runtime's program with what stands before its commands, as a shell takes it.
    pub fn words(&self) -> String {
        let program = if self.program == "crun" { crun_words() } else { self.program.to_owned() };
        format!("{program} --root {}", self.state.path().display())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut run = match self.program {
            "crun" if hybrid_with_controllers() => {
                // crun refuses such a machine, so it gets a view of it without the version 2 tree.
                let hide = format!("umount {UNIFIED} && exec crun \"$@\"");
                command("unshare", ["--mount", "--propagation", "private", "sh", "-c", &hide, "crun"])
            }
            program => Command::new(program),
        };
        run.stdin(Stdio::null()).arg("--root").arg(self.state.path()).args(args);
        run
    }

    /// Creates a container: all is set up, and the runtime's init waits for the start.
    pub fn create<'a>(&'a self, bundle: &'a Bundle, id: &str) -> Result<Container<'a>> {
        bundle.write()?;
        let pid_file = bundle.file("pid");
        let mut create = self.command(&["create", "--bundle"]);
        create.arg(bundle.folder()).arg("--pid-file").arg(&pid_file).arg(id);
        let (out, err) = (bundle.file("stdout"), bundle.file("stderr"));
        let mut child = Background::spawn(create.stdout(File::create(&out)?).stderr(File::create(&err)?))?;
        // Made before the result is known, so that a container that was created by half is deleted too.
        let mut container = Container { runtime: self, bundle, id: id.into(), pid: 0 };
        let status = child.wait(STEP)?;
        if !status.success() {
            anyhow::bail!("{} create: {status}: {}", self.program, container.stderr());
        }
        let pid = std::fs::read_to_string(&pid_file).with_context(|| format!("read {}", pid_file.display()))?;
        container.pid = pid.trim().parse().context("the pid file")?;
        Ok(container)
    }

    /// Restores a container from a checkpoint; it runs on at once.
    pub fn restore<'a>(&'a self, bundle: &'a Bundle, id: &str, images: &Path) -> Result<Container<'a>> {
        let pid_file = bundle.file("restored-pid");
        let mut restore = self.command(&["restore", "--detach", "--bundle"]);
        restore.arg(bundle.folder()).arg("--image-path").arg(images).arg("--pid-file").arg(&pid_file).arg(id);
        let mut container = Container { runtime: self, bundle, id: id.into(), pid: 0 };
        must(&mut restore)?;
        let pid = std::fs::read_to_string(&pid_file).with_context(|| format!("read {}", pid_file.display()))?;
        container.pid = pid.trim().parse().context("the pid file")?;
        Ok(container)
    }

    /// Creates, starts and awaits a container, and deletes it.
    pub fn run(&self, bundle: &Bundle, id: &str, limit: Duration) -> Result<()> {
        let container = self.create(bundle, id)?;
        container.start()?;
        container.wait(limit)?;
        container.delete()
    }
}

/// One container; dropped, it is killed and deleted.
#[derive(Debug)]
pub struct Container<'a> {
    runtime: &'a Runtime,
    bundle: &'a Bundle,
    id: String,
    pid: u32,
}

impl Container<'_> {
    /// The id that the test chose.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pid of its init, as the host numbers it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the workload begin.
    pub fn start(&self) -> Result<()> {
        must(&mut self.runtime.command(&["start", &self.id]))?;
        Ok(())
    }

    /// Runs another program in it, to its end.
    pub fn exec(&self, args: &[&str]) -> Result<Finished> {
        finish(self.runtime.command(&["exec", &self.id]).args(args), STEP)
    }

    /// Writes a checkpoint into a folder; the container ends with it.
    pub fn checkpoint(&self, images: &Path) -> Result<()> {
        must(self.runtime.command(&["checkpoint", "--image-path"]).arg(images).arg(&self.id))?;
        Ok(())
    }

    /// Waits until its init is gone.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        wait_until(&format!("container {} ends (stderr: {})", self.id, self.stderr()), limit, || Ok(is_gone(self.pid)))
    }

    /// Sends its init a signal.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let raw = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
        rustix::process::kill_process(raw, signal).context("signal the container")
    }

    /// What it wrote to its standard output.
    pub fn stdout(&self) -> String {
        lossy(&self.bundle.file("stdout"))
    }

    /// What it (and its runtime) wrote to standard error.
    pub fn stderr(&self) -> String {
        lossy(&self.bundle.file("stderr"))
    }

    /// Removes it with its cgroup.
    pub fn delete(self) -> Result<()> {
        // The dropped value does it; here it must succeed.
        must(&mut self.runtime.command(&["delete", "--force", &self.id]))?;
        Ok(())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = finish(&mut self.runtime.command(&["delete", "--force", &self.id]), STEP);
    }
}

fn lossy(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

/// Whether the version 2 tree of a hybrid machine holds controllers.
fn hybrid_with_controllers() -> bool {
    std::fs::read_to_string(Path::new(UNIFIED).join("cgroup.controllers")).is_ok_and(|text| !text.trim().is_empty())
}
