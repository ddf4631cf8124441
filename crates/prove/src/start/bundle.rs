//! runc and crun, from a bundle.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use event::Text;
use recommend::{Beside, Profile, Recommendation, Runtime, Target};
use report::Software;
use serde_json::{Value, json};

use super::wait::wait;
use super::{
    Entry, Exit, FirstProcess, Order, Outcome, PROBE_INSIDE, Patience, STEP, StartError, boot_ns, command_of,
    end_of_text, version_of,
};
use crate::command::{GLANCE, Running, end_of, finish};
use crate::proof::Workload;

/// Starts containers of a bundle: a folder with a `config.json`. The folder is not changed.
#[derive(Clone, Debug)]
pub struct BundleStarter {
    /// The runtime.
    pub runtime: Runtime,
    /// Its program, with what stands before its commands: `runc --root …`.
    pub program: Vec<String>,
    /// The folder.
    pub folder: PathBuf,
}

impl BundleStarter {
    pub(super) fn run(&self, order: &Order<'_>, patience: &Patience, stop: &AtomicBool) -> Result<Outcome, StartError> {
        let bundle = tempfile::Builder::new().prefix("ringfence-bundle").tempdir();
        let bundle = bundle.map_err(|source| self.unusable(source))?;
        let config = self.config(order).map_err(|source| self.unusable(source))?;
        let file = File::create(bundle.path().join("config.json")).map_err(|source| self.unusable(source))?;
        serde_json::to_writer(file, &config).map_err(|error| self.unusable(error.into()))?;

        let output = tempfile::tempfile().map_err(|source| self.unusable(source))?;
        let stream = || output.try_clone().map_err(|source| self.unusable(source));
        let after_ns = boot_ns();
        let mut run = self.command();
        run.arg("run").arg("--bundle").arg(bundle.path()).arg("--pid-file").arg(bundle.path().join("pid"));
        run.arg(order.name).stdin(Stdio::null()).stdout(stream()?).stderr(stream()?);
        run.process_group(0);
        // Dropped after what runs it.
        let deleted = Deleted { starter: self, name: order.name };
        let mut run = Running(run.spawn().map_err(|source| self.cannot_run(source))?);
        let mut has_ended = || Ok(run.0.try_wait().map_err(|source| self.cannot_run(source))?.is_some());
        let mut environment = vec![("RINGFENCE_CONTAINER", order.name.to_owned())];
        if patience.check.is_some() {
            let began = Instant::now();
            let mut pid = String::new();
            while pid.is_empty() && !has_ended()? && began.elapsed() < patience.ready {
                std::thread::sleep(GLANCE);
                pid = std::fs::read_to_string(bundle.path().join("pid")).unwrap_or_default();
            }
            environment.push(("RINGFENCE_PID", pid));
        }
        let waited = wait(patience, stop, &environment, has_ended)?;
        if !waited.ended {
            self.tell(order.name, "TERM")?;
            let began = Instant::now();
            let mut killed = false;
            let limit = STEP + patience.stop;
            while run.0.try_wait().map_err(|source| self.cannot_run(source))?.is_none() && began.elapsed() < limit {
                if began.elapsed() >= patience.stop && !killed {
                    self.tell(order.name, "KILL")?;
                    killed = true;
                }
                std::thread::sleep(GLANCE);
            }
        }
        let status = run.0.try_wait().map_err(|source| self.cannot_run(source))?;
        let status = status.map_or(-1, code_of);
        drop(deleted);
        let pid = std::fs::read_to_string(bundle.path().join("pid")).ok().and_then(|pid| pid.trim().parse().ok());
        Ok(Outcome {
            id: order.name.to_owned(),
            first: pid.map(|pid| FirstProcess { pid, after_ns, before_ns: boot_ns() }),
            exit: if waited.ended { Exit::Ended(status) } else { Exit::Stopped(status) },
            check: waited.check,
            says: end_of_text(&end_of(&output).map_err(|source| self.unusable(source))?),
        })
    }

    /// The bundle's configuration, as this start needs it.
    fn config(&self, order: &Order<'_>) -> io::Result<Value> {
        let file = File::open(self.folder.join("config.json"))?;
        let mut config: Value = serde_json::from_reader(io::BufReader::new(file))?;
        let root = config["root"]["path"].as_str().ok_or_else(|| io::Error::other("config.json has no root.path"))?;
        let root = std::path::absolute(self.folder.join(root))?;
        config["root"]["path"] = json!(root);
        config["process"]["terminal"] = json!(false);
        if let Some((recommendation, _)) = order.under {
            config = confined(&config, recommendation)?;
        }
        if let Entry::Probe(path) = order.entry {
            enter(&mut config, path);
        }
        Ok(config)
    }

    fn tell(&self, name: &str, signal: &str) -> Result<(), StartError> {
        // One that has just ended cannot be told anything.
        finish(self.command().args(["kill", name, signal]), STEP).map(drop).map_err(|source| self.cannot_run(source))
    }

    /// What is started, as far as the bundle says.
    pub(super) fn describe(&self) -> Workload {
        let file = std::fs::read(self.folder.join("config.json")).unwrap_or_default();
        let config: Value = serde_json::from_slice(&file).unwrap_or_default();
        let args = config["process"]["args"].as_array().into_iter().flatten();
        Workload {
            image: Text::from(self.folder.display().to_string()),
            image_id: None,
            command: args.filter_map(Value::as_str).map(Text::from).collect(),
            engine: None,
            runtime: Some(Software { name: self.runtime.name().into(), version: version_of(&mut self.command()) }),
        }
    }

    fn command(&self) -> Command {
        command_of(&self.program, self.runtime.name())
    }

    fn unusable(&self, source: io::Error) -> StartError {
        StartError::Bundle { path: self.folder.display().to_string(), source }
    }

    fn cannot_run(&self, source: io::Error) -> StartError {
        let program = self.program.first().cloned().unwrap_or_else(|| self.runtime.name().to_owned());
        StartError::Program { program, source }
    }
}

/// The configuration with what is recommended.
fn confined(config: &Value, recommendation: &Recommendation) -> io::Result<Value> {
    let (text, profile) = (config.to_string(), Profile::new(&recommendation.seccomp));
    let beside = Beside { profile: None, config: Some(&text) };
    let output = Target::Oci.write(recommendation, &profile, &beside).map_err(io::Error::other)?;
    let mut config: Value = serde_json::from_str(&output.text)?;
    // Also if that is less than the bundle has: it is what is to be tried.
    config["process"]["noNewPrivileges"] = json!(recommendation.no_new_privileges);
    Ok(config)
}

/// Has the configuration run this program.
fn enter(config: &mut Value, path: &Path) {
    config["process"]["args"] = json!([PROBE_INSIDE]);
    let mount = json!({"destination": PROBE_INSIDE, "type": "bind", "source": path, "options": ["bind", "ro"]});
    match config["mounts"].as_array_mut() {
        Some(mounts) => mounts.push(mount),
        None => config["mounts"] = json!([mount]),
    }
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A container that goes when we are done with it, however that is.
struct Deleted<'a> {
    starter: &'a BundleStarter,
    name: &'a str,
}

impl Drop for Deleted<'_> {
    fn drop(&mut self) {
        // One that ended by itself is gone already.
        let _ = finish(self.starter.command().args(["delete", "--force", self.name]), STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_confined_and_its_folder_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let before = r#"{"root":{"path":"rootfs"},"process":{"args":["x"],"terminal":true,
            "capabilities":{"bounding":["CAP_KILL"],"ambient":["CAP_KILL"]}},"linux":{}}"#;
        std::fs::write(folder.path().join("config.json"), before).expect("a file");
        let starter = BundleStarter { runtime: Runtime::Runc, program: Vec::new(), folder: folder.path().to_owned() };
        let report = report::Report::parse(include_bytes!("../../../../docs/example/cache.json")).expect("a report");
        let options = recommend::Options { allow_incomplete: true, ..Default::default() };
        let recommended = recommend::recommend(&[report], &options, "0").expect("it can be derived");
        let order =
            Order { name: "n", under: Some((&recommended, Path::new("/p"))), entry: Entry::Probe(Path::new("/b")) };

        let config = starter.config(&order).expect("it can be read");

        assert_eq!(config["root"]["path"], json!(folder.path().join("rootfs")));
        assert_eq!(config["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
        let added: Vec<String> = recommended.capabilities.add.iter().map(|need| need.capability.to_string()).collect();
        assert_eq!(config["process"]["capabilities"]["bounding"], json!(added));
        assert_eq!(config["process"]["capabilities"]["ambient"], json!([]));
        assert_eq!(config["process"]["args"], json!([PROBE_INSIDE]));
        assert_eq!(config["mounts"][0]["source"], "/b");
        assert_eq!(std::fs::read_to_string(folder.path().join("config.json")).expect("it is there"), before);
    }
}
