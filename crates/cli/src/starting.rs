//! How a workload is started, in the words of the command line: what `verify` and `harden` have in common.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::recommend::{Runtime, Source};
use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use event::Text;
use prove::{BundleStarter, Client, EngineCommand, EngineStarter, Patience, Starter};
use serde::Deserialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::units;

/// How the workload is started.
#[derive(Args)]
pub(crate) struct StartArgs {
    /// Who starts it; runc and crun start a bundle. Without it: the engine that it was recorded with, else docker.
    #[arg(long, value_enum)]
    engine: Option<EngineName>,

    /// The program of the engine or runtime, with what stands before its commands: 'docker --host unix:///…', 'runc --root /srv'.
    #[arg(long, value_name = "COMMAND")]
    client: Option<String>,

    /// The runtime, by the name that the engine has for it. Without it: the engine's own choice.
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,

    /// Options of `docker run` that the workload needs, as one text: '--volume /data:/data --env A=b'.
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    run_options: Option<String>,

    /// A shell command on this host that succeeds if the workload works. It is tried until then, and the workload is then stopped.
    ///
    /// It finds the container's name in $RINGFENCE_CONTAINER, the pid of its first process in $RINGFENCE_PID and its address in
    /// $RINGFENCE_ADDRESS. Without it the workload works if it ends as it does without the recommendation.
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,

    /// The status with which a workload that ends by itself ends if it works; a check decides without it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    status: i32,

    /// How long the check is tried.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    ready: Duration,

    /// Without a check: how long a workload runs that does not end by itself.
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = units::duration)]
    run: Duration,

    /// How long it may take to stop before it is killed.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::duration)]
    stop: Duration,

    /// Do not show progress.
    #[arg(long, short)]
    quiet: bool,
}

/// Who starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineName {
    Docker,
    Podman,
    /// A bundle, by runc.
    Runc,
    /// A bundle, by crun.
    Crun,
}

/// What is started.
pub(crate) struct What<'a> {
    /// The image.
    pub(crate) image: Option<String>,
    /// The command behind it.
    pub(crate) command: &'a [String],
    /// A container whose settings are taken over.
    pub(crate) container: Option<&'a str>,
    /// The bundle's folder.
    pub(crate) bundle: Option<PathBuf>,
    /// The runs that were recorded, for what else is not said.
    pub(crate) sources: &'a [Source],
}

impl StartArgs {
    pub(crate) fn patience(&self) -> Patience {
        Patience { check: self.check.clone(), status: self.status, ready: self.ready, run: self.run, stop: self.stop }
    }

    /// How to start it.
    pub(crate) fn starter(&self, what: What<'_>) -> anyhow::Result<Starter> {
        let recorded = |of: fn(&Source) -> Option<&Text>| {
            what.sources.iter().find_map(of).map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned())
        };
        let engine = self.engine.unwrap_or_else(|| match recorded(|source| source.engine.as_ref()).as_deref() {
            Some("podman") => EngineName::Podman,
            Some("runc") if what.bundle.is_some() => EngineName::Runc,
            Some("crun") if what.bundle.is_some() => EngineName::Crun,
            _ => EngineName::Docker,
        });
        let client = match engine {
            EngineName::Docker => Client::Docker,
            EngineName::Podman => Client::Podman,
            EngineName::Runc => return self.bundle(what, Runtime::Runc),
            EngineName::Crun => return self.bundle(what, Runtime::Crun),
        };
        ensure!(what.bundle.is_none(), "{} starts no bundle: say --engine runc or crun", client.name());
        let program = self.program(client.name())?;
        let mut options = match &self.run_options {
            Some(words) => shell_words::split(words).with_context(|| format!("--run-options {words}"))?,
            None => Vec::new(),
        };
        if let Some(option) = options.iter().find(|option| gives_rights(option)) {
            bail!("--run-options has {option}, which the recommendation decides about, or the start: leave it away");
        }
        let (image, command) = match what.container {
            Some(container) => {
                ensure!(what.image.is_none(), "--container has an image already: leave --image away");
                let copied = Copied::of(&program, container)?;
                options.splice(0..0, copied.options);
                (copied.image, EngineCommand::Whole(copied.command))
            }
            None => {
                let image = what.image.clone().or_else(|| recorded(|source| source.image.as_ref()));
                let image = image.context("no report says which image it is: give it with --image")?;
                let whole = what.sources.iter().map(|source| &source.command).find(|command| !command.is_empty());
                let command = match whole {
                    // The image that was asked for may have another.
                    Some(command) if what.image.is_none() => {
                        let words = command.iter().map(|word| String::from_utf8(word.as_bytes().to_vec()));
                        EngineCommand::Whole(words.collect::<Result<_, _>>().context("the command is not UTF-8")?)
                    }
                    _ => EngineCommand::Image,
                };
                (image, command)
            }
        };
        let command = if what.command.is_empty() { command } else { EngineCommand::Arguments(what.command.to_vec()) };
        Ok(Starter::Engine(EngineStarter { client, program, runtime: self.runtime.clone(), image, options, command }))
    }

    fn bundle(&self, what: What<'_>, runtime: Runtime) -> anyhow::Result<Starter> {
        let Some(folder) = what.bundle else {
            bail!("{} starts bundles: say which with --bundle DIR", runtime.name());
        };
        let has_more = what.image.is_some() || what.container.is_some() || !what.command.is_empty();
        let has_options = self.run_options.is_some() || self.runtime.is_some();
        ensure!(
            !has_more && !has_options,
            "a bundle says all of it: leave --image, --container, --run-options, --runtime and the command away"
        );
        Ok(Starter::Bundle(BundleStarter { runtime, program: self.program(runtime.name())?, folder }))
    }

    /// The program that starts it, with what stands before its commands.
    fn program(&self, usual: &str) -> anyhow::Result<Vec<String>> {
        let Some(words) = &self.client else { return Ok(vec![usual.to_owned()]) };
        let program = shell_words::split(words).with_context(|| format!("--client {words}"))?;
        ensure!(!program.is_empty(), "--client is empty: write the program of the engine or runtime");
        Ok(program)
    }

    /// What is done, on one line of standard error that is written over.
    pub(crate) fn progress(&self) -> impl Fn(&str) + Sync + use<> {
        let shows = !self.quiet && std::io::stderr().is_terminal();
        move |what: &str| {
            if shows {
                eprint!("\r\x1b[K{}", Text::from(what).shown());
            }
        }
    }

    /// Ends the line.
    pub(crate) fn done(&self) {
        if !self.quiet && std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

/// From now on these signals only say that it is to end: what was started is taken away first.
pub(crate) fn told_to_stop() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot catch signals")?;
    }
    Ok(stop)
}

/// Options that would give a container more than is recommended, or take it out of our hands.
fn gives_rights(option: &str) -> bool {
    const OPTIONS: [&str; 12] = [
        "--cap-add",
        "--cap-drop",
        "--detach",
        "--device-cgroup-rule",
        "--entrypoint",
        "--name",
        "--privileged",
        "--read-only",
        "--restart",
        "--rm",
        "--runtime",
        "--security-opt",
    ];
    OPTIONS.iter().any(|name| option.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
}

/// What another container was started with, as far as a second one can have the same beside it.
struct Copied {
    image: String,
    options: Vec<String>,
    command: Vec<String>,
}

/// What `docker inspect` and `podman inspect` say of a container, of which this is a part.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    path: String,
    #[serde(default)]
    args: Vec<String>,
    config: Config,
    host_config: HostConfig,
    image_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    image: String,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: Option<String>,
    pid_mode: Option<String>,
    ipc_mode: Option<String>,
    tmpfs: Option<std::collections::BTreeMap<String, String>>,
}

impl Copied {
    fn of(program: &[String], container: &str) -> anyhow::Result<Copied> {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).args(["container", "inspect", "--", container]);
        let said = command.output().with_context(|| format!("cannot run {}", program[0]))?;
        ensure!(
            said.status.success(),
            "there is no container {container}: {}",
            Text::new(said.stderr.trim_ascii()).shown()
        );
        let mut all: Vec<Inspected> = serde_json::from_slice(&said.stdout)
            .with_context(|| format!("cannot read what {} says of {container}", program[0]))?;
        let one = all.pop().with_context(|| format!("{} says nothing of {container}", program[0]))?;
        Ok(Copied::from(one, container))
    }

    /// Ports are not published a second time. Its volumes are shared with it, but not written to: they are somebody's data.
    fn from(one: Inspected, container: &str) -> Copied {
        let mut options = vec!["--volumes-from".to_owned(), format!("{container}:ro")];
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                options.extend([option.to_owned(), value]);
            }
        };
        for variable in one.config.env.into_iter().flatten() {
            add("--env", Some(variable));
        }
        add("--workdir", one.config.working_dir);
        add("--user", one.config.user);
        let is_set = |mode: &String| !matches!(mode.as_str(), "default" | "private" | "shareable");
        add("--network", one.host_config.network_mode.filter(is_set));
        add("--pid", one.host_config.pid_mode.filter(is_set));
        add("--ipc", one.host_config.ipc_mode.filter(is_set));
        for (path, how) in one.host_config.tmpfs.into_iter().flatten() {
            add("--tmpfs", Some(if how.is_empty() { path } else { format!("{path}:{how}") }));
        }
        let command = std::iter::once(one.path).chain(one.args).collect();
        Copied { image: one.image_name.unwrap_or(one.config.image), options, command }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_the_recommendation_decides_about_are_none_of_the_user() {
        let given = ["--cap-add", "--cap-add=NET_ADMIN", "--privileged", "--security-opt=seccomp=unconfined", "--rm"];
        assert!(given.iter().all(|option| gives_rights(option)));
        let free = ["--volume", "--network=host", "--read-only-tmpfs=false", "NET_ADMIN", "--env", "--namespace"];
        assert!(!free.iter().any(|option| gives_rights(option)));
    }

    #[test]
    fn a_copy_has_the_settings_of_a_container_without_its_ports() {
        let said = r#"[{"Path":"/bin/sh","Args":["-c","sleep 9"],"Config":{"Image":"web:1","Env":["A=b c"],"WorkingDir":"/srv",
            "User":"33"},"HostConfig":{"NetworkMode":"default","PidMode":"","IpcMode":"host","Tmpfs":{"/run":"size=1m"},
            "PortBindings":{"80/tcp":[{"HostPort":"80"}]}}}]"#;
        let mut all: Vec<Inspected> = serde_json::from_str(said).expect("it can be read");

        let copied = Copied::from(all.remove(0), "web");

        assert_eq!((copied.image.as_str(), copied.command.join(" ").as_str()), ("web:1", "/bin/sh -c sleep 9"));
        let options = "--volumes-from web:ro --env A=b c --workdir /srv --user 33 --ipc host --tmpfs /run:size=1m";
        assert_eq!(copied.options.join(" "), options);
    }
}
