//! containerd, driven by `ctr`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Engine, Started, Wish};
use crate::command::{Background, Finished, command, finish, must_within, poll};
use crate::rootfs::Rootfs;

const READY: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(120);

/// A running engine; dropped, it ends with all its containers.
#[derive(Debug)]
pub struct Containerd {
    folder: TempDir,
    daemon: Background,
}

impl Containerd {
    /// Starts `containerd` with folders and a socket of its own, without the plugin for Kubernetes.
    pub fn start() -> Result<Containerd> {
        let folder = tempfile::Builder::new().prefix("rf-ctd").tempdir()?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n",
            at("root"),
            at("state"),
            at("sock"),
            at("opt")
        );
        std::fs::write(folder.path().join("config.toml"), config)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut containerd = command("containerd", ["--config", &at("config.toml")]);
        let daemon = Background::spawn(containerd.stdout(log.try_clone()?).stderr(log))?;
        let mut engine = Containerd { folder, daemon };
        let answered = poll(READY, || {
            if let Some(status) = engine.daemon.ended()? {
                bail!("containerd ended with {status}: {}", engine.log());
            }
            Ok(finish(&mut engine.command(&["version"]), STEP)?.status.success())
        })?;
        if !answered {
            bail!("containerd did not answer within {READY:?}: {}", engine.log());
        }
        Ok(engine)
    }

    /// Its API socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// Runs `ctr ARGS`; it must succeed.
    pub fn ctr(&self, args: &[&str]) -> Result<String> {
        must_within(&mut self.command(args), STEP)
    }

    /// Runs `ctr ARGS` to its end, however that is.
    pub fn try_ctr(&self, args: &[&str]) -> Result<Finished> {
        finish(&mut self.command(args), STEP)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut ctr = command("ctr", ["--address"]);
        ctr.arg(self.socket()).args(args);
        ctr
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(3000)..]).into_owned()
    }

    fn pid_of(&self, name: &str) -> Result<u32> {
        let tasks = self.ctr(&["tasks", "list"])?;
        let line = tasks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = line.into_iter().find(|words| words.first() == Some(&name)).context("no such task")?;
        line.get(1).context("no pid")?.parse().context("the pid")
    }
}

impl Engine for Containerd {
    fn name(&self) -> &'static str {
        "containerd"
    }

    fn import(&self, rootfs: &Rootfs, image: &str) -> Result<()> {
        // The archive of an image: a layer, its description and a manifest.
        let place = tempfile::Builder::new().prefix("ringfence-image").tempdir()?;
        let sum = must_within(command("sha256sum", ["--"]).arg(&rootfs.archive), STEP)?;
        let digest = sum.split(' ').next().context("no checksum")?;
        let config = serde_json::json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]);
        std::fs::write(place.path().join("config.json"), config.to_string())?;
        std::fs::write(place.path().join("manifest.json"), manifest.to_string())?;
        let layer = place.path().join("layer.tar");
        if std::fs::hard_link(&rootfs.archive, &layer).is_err() {
            std::fs::copy(&rootfs.archive, &layer)?;
        }
        let archive = place.path().join("image.tar");
        let parts = ["manifest.json", "config.json", "layer.tar"];
        must_within(command("tar", ["-cf"]).arg(&archive).arg("-C").arg(place.path()).args(parts), STEP)?;
        self.ctr(&["images", "import", &archive.display().to_string()])?;
        Ok(())
    }

    fn run(&self, wish: &Wish<'_>) -> Result<Started> {
        let mut args = vec!["run".to_owned(), "--detach".into(), "--net-host".into()];
        for (source, inside) in wish.mounts {
            args.push("--mount".into());
            args.push(format!("type=bind,src={},dst={inside},options=rbind:rw", source.display()));
        }
        args.extend(wish.more.iter().map(|more| (*more).to_owned()));
        args.extend([wish.image.into(), wish.name.into()]);
        args.extend(wish.args.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.ctr(&args)?;
        Ok(Started { id: wish.name.into(), pid: self.pid_of(wish.name)? })
    }

    fn remove(&self, name: &str) -> Result<()> {
        // A task that ended by itself needs no kill; what counts is that the container is gone afterwards.
        self.try_ctr(&["tasks", "kill", "--signal", "KILL", name])?;
        let removed = poll(END, || {
            self.try_ctr(&["tasks", "delete", name])?;
            Ok(self.try_ctr(&["containers", "delete", name])?.status.success())
        })?;
        if !removed {
            bail!("containerd does not remove {name}: {}", self.log());
        }
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Ok(all) = self.ctr(&["containers", "list", "--quiet"]) {
            for name in all.split_whitespace() {
                let _ = self.remove(name);
            }
        }
        let _ = self.daemon.end(END);
        super::unmount_below(self.folder.path());
    }
}
