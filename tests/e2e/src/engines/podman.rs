//! Podman, with folders of its own and `runc` or `crun`.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Engine, Started, Wish};
use crate::command::{Background, Finished, command, finish, must_within, wait_until};
use crate::rootfs::Rootfs;

const STEP: Duration = Duration::from_secs(120);

/// Podman with its own storage; dropped, its containers are removed.
#[derive(Debug)]
pub struct Podman {
    folder: TempDir,
    runtime: &'static str,
}

impl Podman {
    /// Storage of its own, and this runtime.
    pub fn new(runtime: &'static str) -> Result<Podman> {
        Ok(Podman { folder: tempfile::Builder::new().prefix("rf-podman").tempdir()?, runtime })
    }

    /// Runs `podman ARGS`; it must succeed.
    pub fn podman(&self, args: &[&str]) -> Result<String> {
        must_within(&mut self.command(args), STEP)
    }

    /// Runs `podman ARGS` to its end, however that is.
    pub fn try_podman(&self, args: &[&str]) -> Result<Finished> {
        finish(&mut self.command(args), STEP)
    }

    /// Its program with what stands before its commands, as a shell takes it.
    pub fn words(&self) -> String {
        let command = self.command(&[]);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// A `podman` command.
    pub fn command(&self, args: &[&str]) -> Command {
        let at = |name: &str| self.folder.path().join(name);
        let mut podman = command("podman", ["--root"]);
        podman.arg(at("root")).arg("--runroot").arg(at("run")).arg("--tmpdir").arg(at("tmp"));
        podman.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "overlay"]);
        podman.args(["--runtime", self.runtime]).args(args);
        podman
    }

    /// Starts its API, which answers when this returns; ended when it is dropped.
    pub fn serve(&self) -> Result<Background> {
        let socket = self.socket();
        let mut service = self.command(&["system", "service", "--time", "0", &format!("unix://{}", socket.display())]);
        let service = Background::spawn(service.stdout(Stdio::null()).stderr(Stdio::null()))?;
        wait_until("podman's service answers", STEP, || Ok(UnixStream::connect(&socket).is_ok()))?;
        Ok(service)
    }

    /// Where its API listens, if it is served.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn import(&self, rootfs: &Rootfs, image: &str) -> Result<()> {
        self.podman(&["import", &rootfs.archive.display().to_string(), image])?;
        Ok(())
    }

    fn run(&self, wish: &Wish<'_>) -> Result<Started> {
        let mut args = vec!["run".to_owned(), "--detach".into(), "--network".into(), "host".into()];
        // Its own default is more than a user without CAP_SYS_RESOURCE may set.
        args.extend(["--ulimit".into(), "nofile=4096:4096".into(), "--ulimit".into(), "nproc=4096:4096".into()]);
        args.extend(["--name".into(), wish.name.into()]);
        for (source, inside) in wish.mounts {
            args.extend(["--volume".into(), format!("{}:{inside}", source.display())]);
        }
        args.extend(wish.more.iter().map(|more| (*more).to_owned()));
        args.push(wish.image.into());
        args.extend(wish.args.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let id = self.podman(&args)?.trim().to_owned();
        let pid = self.podman(&["inspect", "--format", "{{.State.Pid}}", &id])?;
        Ok(Started { id, pid: pid.trim().parse().context("the pid")? })
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.podman(&["rm", "--force", "--time", "0", name])?;
        Ok(())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.try_podman(&["rm", "--all", "--force", "--time", "0"]);
        // What conmon starts when a container ends mounts the storage once more.
        super::wait_for_who_names(self.folder.path());
        super::unmount_below(self.folder.path());
    }
}
