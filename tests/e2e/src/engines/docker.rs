//! Docker: a `dockerd` of our own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tempfile::TempDir;

use super::{Engine, Started, Wish};
use crate::command::{Background, Finished, command, finish, must, must_within, poll};
use crate::machine::{find_program, unique_name};
use crate::rootfs::Rootfs;

/// How long the engine may take to answer first.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END: Duration = Duration::from_secs(40);
/// How long one of its commands may take.
const STEP: Duration = Duration::from_secs(120);

/// A running engine; dropped, it ends with all its containers.
#[derive(Debug)]
pub struct Docker {
    client: PathBuf,
    bridge: Bridge,
    folder: TempDir,
    daemon: Background,
}

impl Docker {
    /// Starts `dockerd` with folders, socket and bridge of its own; beside runc it knows crun, by that name.
    pub fn start() -> Result<Docker> {
        // The distribution's client fits the distribution's engine.
        let client = Path::new("/usr/bin/docker");
        let client =
            if client.exists() { client.into() } else { find_program("docker").context("no program docker")? };
        let folder = tempfile::Builder::new().prefix("rf-docker").tempdir()?;
        let bridge = Bridge::create()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let at = |name: &str| folder.path().join(name);
        let mut dockerd = Command::new("dockerd");
        dockerd.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
        dockerd.arg("--host").arg(format!("unix://{}", at("sock").display()));
        dockerd.args(["--bridge", &bridge.name, "--iptables=false", "--ip-masq=false", "--ip-forward=false"]);
        dockerd.arg("--config-file").arg(at("daemon.json"));
        let crun = at("crun");
        std::fs::write(&crun, format!("#!/bin/sh\nexec {} \"$@\"\n", crate::runtime::crun_words()))?;
        std::fs::set_permissions(&crun, std::fs::Permissions::from_mode(0o755))?;
        std::fs::write(at("daemon.json"), json!({"runtimes": {"crun": {"path": crun}}}).to_string())?;
        dockerd.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let daemon = Background::spawn(&mut dockerd)?;
        let mut docker = Docker { client, bridge, folder, daemon };
        docker.wait_until_it_answers()?;
        Ok(docker)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let answered = poll(READY, || {
            if let Some(status) = self.daemon.ended()? {
                bail!("dockerd ended with {status}: {}", self.log());
            }
            Ok(finish(&mut self.command(&["version"]), STEP)?.status.success())
        })?;
        if !answered {
            bail!("dockerd did not answer within {READY:?}: {}", self.log());
        }
        Ok(())
    }

    /// Its API socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// Its client with what stands before its commands, as a shell takes it.
    pub fn words(&self) -> String {
        let config = self.folder.path().display();
        format!("{} --config {config} --host unix://{}", self.client.display(), self.socket().display())
    }

    /// The name of its bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge.name
    }

    /// Runs `docker ARGS`; it must succeed.
    pub fn docker(&self, args: &[&str]) -> Result<String> {
        must_within(&mut self.command(args), STEP)
    }

    /// Runs `docker ARGS` to its end, however that is.
    pub fn try_docker(&self, args: &[&str]) -> Result<Finished> {
        finish(&mut self.command(args), STEP)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut docker = command(&self.client, ["--host"]);
        docker.arg(format!("unix://{}", self.socket().display())).args(args);
        docker.env_remove("DOCKER_CONTEXT").env("DOCKER_CONFIG", self.folder.path());
        docker
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(3000)..]).into_owned()
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn import(&self, rootfs: &Rootfs, image: &str) -> Result<()> {
        self.docker(&["import", &rootfs.archive.display().to_string(), image])?;
        Ok(())
    }

    fn run(&self, wish: &Wish<'_>) -> Result<Started> {
        let mut args = vec!["run".to_owned(), "--detach".into(), "--network".into(), "host".into()];
        args.extend(["--name".into(), wish.name.into()]);
        for (source, inside) in wish.mounts {
            args.extend(["--volume".into(), format!("{}:{inside}", source.display())]);
        }
        args.extend(wish.more.iter().map(|more| (*more).to_owned()));
        args.push(wish.image.into());
        args.extend(wish.args.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let id = self.docker(&args)?.trim().to_owned();
        let pid = self.docker(&["inspect", "--format", "{{.State.Pid}}", &id])?;
        Ok(Started { id, pid: pid.trim().parse().context("the pid")? })
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.docker(&["rm", "--force", name])?;
        Ok(())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Ok(all) = self.docker(&["ps", "--all", "--quiet"]) {
            for id in all.split_whitespace() {
                let _ = self.docker(&["rm", "--force", id]);
            }
        }
        let _ = self.daemon.end(END);
        super::unmount_below(self.folder.path());
    }
}

/// A bridge of our own, so that the engine does not take (or delete) another's.
#[derive(Debug)]
struct Bridge {
    name: String,
}

impl Bridge {
    fn create() -> Result<Bridge> {
        let name: String = unique_name("rf").chars().take(15).collect();
        // Should the bridge vanish, its addresses must not be looked for outside.
        let route = ["route", "add", "unreachable", "172.16.0.0/12", "metric", "4000000000"];
        let routed = finish(&mut command("ip", route), STEP)?;
        if !routed.status.success() && !routed.stderr().contains("File exists") {
            bail!("ip route add unreachable: {}", routed.stderr());
        }
        must(&mut command("ip", ["link", "add", &name, "type", "bridge"]))?;
        let bridge = Bridge { name };
        must(&mut command("ip", ["address", "add", "172.31.251.1/24", "dev", &bridge.name]))?;
        must(&mut command("ip", ["link", "set", &bridge.name, "up"]))?;
        Ok(bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = must(&mut command("ip", ["link", "delete", &self.name]));
    }
}
