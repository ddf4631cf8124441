//! Docker and Podman, by their command lines: what is proved is what a user pastes.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use event::Text;
use recommend::{Beside, Profile, Recommendation, Target};
use report::Software;

use super::wait::wait;
use super::{
    CREATE, Entry, Exit, Order, Outcome, PROBE_INSIDE, Patience, STEP, StartError, command_of, end_of_text, version_of,
};
use crate::command::{Finished, GLANCE, Running, end_of, finish};
use crate::proof::Workload;

/// Whose command line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Docker's, or what takes the same arguments.
    Docker,
    /// Podman's.
    Podman,
}

impl Client {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Client::Docker => "docker",
            Client::Podman => "podman",
        }
    }
}

/// What a container of an image runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineCommand {
    /// What the image says.
    Image,
    /// These words behind the image: what its entry point is run with, or the command if it has none.
    Arguments(Vec<String>),
    /// This program with these arguments, whatever the image says.
    Whole(Vec<String>),
}

/// Starts containers of an image.
#[derive(Clone, Debug)]
pub struct EngineStarter {
    /// Whose command line it is.
    pub client: Client,
    /// The client's program, with what stands before its commands: `docker --host …`.
    pub program: Vec<String>,
    /// The runtime, by the name that the engine has for it; none for the engine's own choice.
    pub runtime: Option<String>,
    /// The image.
    pub image: String,
    /// Options of `run`: volumes, networks, variables.
    pub options: Vec<String>,
    /// What it runs.
    pub command: EngineCommand,
}

impl EngineStarter {
    pub(super) fn run(&self, order: &Order<'_>, patience: &Patience, stop: &AtomicBool) -> Result<Outcome, StartError> {
        let not_started = |id: &str, said: &Finished| Outcome {
            id: id.to_owned(),
            first: None,
            exit: Exit::NotStarted,
            check: None,
            says: end_of_text(&said.stderr),
        };
        let args = self.create(order)?;
        // Made before the result is known: a container that was made by half goes, too.
        let _removed = Removed { engine: self, name: order.name };
        let created = self.client_within(&args, CREATE)?;
        if !created.status.success() {
            return Ok(not_started(order.name, &created));
        }
        // Before the id there can be warnings.
        let id = created.stdout.lines().last().unwrap_or_default().trim().to_owned();
        let started = self.client(&["start", order.name])?;
        if !started.status.success() {
            return Ok(not_started(&id, &started));
        }
        let environment = self.environment(order.name, patience)?;
        let code = tempfile::tempfile().map_err(|source| self.cannot_run(source))?;
        let mut waiting = self.command(&["wait", order.name]);
        waiting.process_group(0);
        waiting.stdin(Stdio::null()).stderr(Stdio::null());
        waiting.stdout(code.try_clone().map_err(|source| self.cannot_run(source))?);
        let mut waiting = Running(waiting.spawn().map_err(|source| self.cannot_run(source))?);
        let waited = wait(patience, stop, &environment, || {
            Ok(waiting.0.try_wait().map_err(|source| self.cannot_run(source))?.is_some())
        })?;
        if !waited.ended {
            let seconds = patience.stop.as_secs().max(1).to_string();
            self.client_within(&["stop", "--time", &seconds, order.name], STEP + patience.stop)?;
            let began = Instant::now();
            while waiting.0.try_wait().map_err(|source| self.cannot_run(source))?.is_none() && began.elapsed() < STEP {
                std::thread::sleep(GLANCE);
            }
        }
        let status = end_of(&code).map_err(|source| self.cannot_run(source))?;
        // An engine that does not say how it ended is none whose word is taken for it.
        let status = status.trim().parse().unwrap_or(-1);
        let logs = self.client(&["logs", "--tail", "20", order.name])?;
        Ok(Outcome {
            id,
            first: None,
            exit: if waited.ended { Exit::Ended(status) } else { Exit::Stopped(status) },
            check: waited.check,
            says: end_of_text(&(logs.stdout + &logs.stderr)),
        })
    }

    /// The arguments that make the container.
    fn create(&self, order: &Order<'_>) -> Result<Vec<String>, StartError> {
        let mut args = Vec::new();
        if let (Client::Podman, Some(runtime)) = (self.client, &self.runtime) {
            args.extend(["--runtime".to_owned(), runtime.clone()]);
        }
        args.extend(["create".to_owned(), "--name".to_owned(), order.name.to_owned()]);
        if let (Client::Docker, Some(runtime)) = (self.client, &self.runtime) {
            args.extend(["--runtime".to_owned(), runtime.clone()]);
        }
        args.extend(self.options.iter().cloned());
        if let Some((recommendation, profile)) = order.under {
            args.extend(self.flags(recommendation, profile)?);
        }
        let whole = |program: &str| ["--entrypoint".to_owned(), program.to_owned()];
        match (order.entry, &self.command) {
            (Entry::Probe(path), _) => {
                args.extend(["--volume".to_owned(), format!("{}:{PROBE_INSIDE}:ro", text(path)?)]);
                args.extend(whole(PROBE_INSIDE));
                args.push(self.image.clone());
            }
            (Entry::Workload, EngineCommand::Image) => args.push(self.image.clone()),
            (Entry::Workload, EngineCommand::Arguments(words)) => {
                args.push(self.image.clone());
                args.extend(words.iter().cloned());
            }
            (Entry::Workload, EngineCommand::Whole(words)) => {
                args.extend(words.first().iter().flat_map(|program| whole(program)));
                args.push(self.image.clone());
                args.extend(words.iter().skip(1).cloned());
            }
        }
        Ok(args)
    }

    /// The flags that are recommended.
    fn flags(&self, recommendation: &Recommendation, profile: &Path) -> Result<Vec<String>, StartError> {
        let target = match self.client {
            Client::Docker => Target::Docker,
            Client::Podman => Target::Podman,
        };
        let beside = Beside { profile: Some(text(profile)?), config: None };
        Ok(target.write(recommendation, &Profile::new(&recommendation.seccomp), &beside)?.words)
    }

    /// What a check is told: the container's name, its first process and its address.
    fn environment(&self, name: &str, patience: &Patience) -> Result<Vec<(&'static str, String)>, StartError> {
        if patience.check.is_none() {
            return Ok(Vec::new());
        }
        let said = self.client(&[
            "inspect",
            "--format",
            "{{.State.Pid}} {{.NetworkSettings.IPAddress}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}",
            name,
        ])?;
        let mut words = said.stdout.split_whitespace().map(str::to_owned);
        Ok(vec![
            ("RINGFENCE_CONTAINER", name.to_owned()),
            ("RINGFENCE_PID", words.next().unwrap_or_default()),
            ("RINGFENCE_ADDRESS", words.next().unwrap_or_default()),
        ])
    }

    /// What is started, as far as the engine says.
    pub(super) fn describe(&self) -> Workload {
        let said = |args: &[&str]| self.said(args);
        let (version, runtime) = match self.client {
            Client::Docker => ("{{.Server.Version}}", "{{.DefaultRuntime}}"),
            Client::Podman => ("{{.Client.Version}}", "{{.Host.OCIRuntime.Name}}"),
        };
        let runtime = self.runtime.clone().map(Text::from).or_else(|| said(&["info", "--format", runtime]));
        let command = match &self.command {
            EngineCommand::Image => &[][..],
            EngineCommand::Arguments(words) | EngineCommand::Whole(words) => words,
        };
        Workload {
            image: self.image.as_str().into(),
            image_id: self.image_id(),
            command: command.iter().map(|word| word.as_str().into()).collect(),
            engine: Some(Software {
                name: self.client.name().into(),
                version: said(&["version", "--format", version]),
            }),
            runtime: runtime.map(|name| Software { version: version_of(&mut Command::new(&*name.shown())), name }),
        }
    }

    /// What the image's name stands for at this moment; none if it is not there.
    pub(super) fn image_id(&self) -> Option<Text> {
        self.said(&["image", "inspect", "--format", "{{.Id}}", &self.image])
    }

    /// The first line of what the client says.
    fn said(&self, args: &[&str]) -> Option<Text> {
        let said = self.client(args).ok().filter(|said| said.status.success())?;
        let line = said.stdout.lines().next()?.trim().to_owned();
        (!line.is_empty()).then(|| Text::from(line))
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = command_of(&self.program, self.client.name());
        command.args(args);
        command
    }

    fn client<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<Finished, StartError> {
        self.client_within(args, STEP)
    }

    fn client_within<S: AsRef<std::ffi::OsStr>>(&self, args: &[S], limit: Duration) -> Result<Finished, StartError> {
        finish(&mut self.command(args), limit).map_err(|source| self.cannot_run(source))
    }

    fn cannot_run(&self, source: std::io::Error) -> StartError {
        let program = self.program.first().cloned().unwrap_or_else(|| self.client.name().to_owned());
        StartError::Program { program, source }
    }
}

fn text(path: &Path) -> Result<&str, StartError> {
    path.to_str().ok_or_else(|| StartError::NotText(path.display().to_string()))
}

/// A container that goes when we are done with it, however that is, and its volumes with it.
struct Removed<'a> {
    engine: &'a EngineStarter,
    name: &'a str,
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = self.engine.client(&["rm", "--force", "--volumes", self.name]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter(command: EngineCommand) -> EngineStarter {
        EngineStarter {
            client: Client::Docker,
            program: vec!["docker".into()],
            runtime: Some("runc".into()),
            image: "web:1".into(),
            options: vec!["--env".into(), "A=b c".into()],
            command,
        }
    }

    fn line(starter: &EngineStarter, entry: Entry<'_>) -> String {
        starter.create(&Order { name: "n", under: None, entry }).expect("all is text").join(" ")
    }

    #[test]
    fn the_command_stands_where_the_engine_takes_it() {
        let words = || vec!["/bin/sh".to_owned(), "-c".to_owned(), "true".to_owned()];
        let of = |command| line(&starter(command), Entry::Workload);
        let begin = "create --name n --runtime runc --env A=b c";

        assert_eq!(of(EngineCommand::Image), format!("{begin} web:1"));
        assert_eq!(of(EngineCommand::Arguments(words())), format!("{begin} web:1 /bin/sh -c true"));
        assert_eq!(of(EngineCommand::Whole(words())), format!("{begin} --entrypoint /bin/sh web:1 -c true"));
        let probe = line(&starter(EngineCommand::Whole(words())), Entry::Probe(Path::new("/tmp/p")));
        let mounted = "--volume /tmp/p:/dev/ringfence-probe:ro --entrypoint /dev/ringfence-probe web:1";
        assert_eq!(probe, format!("{begin} {mounted}"));
    }

    #[test]
    fn podman_takes_its_runtime_before_the_command() {
        let podman = EngineStarter { client: Client::Podman, ..starter(EngineCommand::Image) };

        assert!(line(&podman, Entry::Workload).starts_with("--runtime runc create --name n --env"));
    }
}
