//! The file that says which container is started, and what is done to it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Deserializer};

use crate::units;

/// The scenario that nobody needs to write: the container is started and nothing is done.
pub(super) const START: &str = "start";
/// Each is a start of a container.
const MOST_SCENARIOS: usize = 64;
const LONGEST_NAME: usize = 40;
/// What ringfence says itself when it starts a container.
const OWN_FLAGS: [&str; 5] = ["--name", "--rm", "--detach", "-d", "--restart"];

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) container: Container,
    /// In the order in which they are done.
    #[serde(rename = "scenario")]
    pub(super) scenarios: Vec<Scenario>,
}

/// The container, started anew for each scenario.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    /// Who starts it.
    #[serde(default)]
    pub(super) engine: Engine,
    pub(super) image: String,
    /// Of `docker run`.
    #[serde(default)]
    pub(super) flags: Vec<String>,
    /// Without it the image's own.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// A command on the host that succeeds when the container is ready.
    pub(super) ready: Option<Words>,
    #[serde(default = "half_a_minute", deserialize_with = "duration")]
    pub(super) ready_timeout: Duration,
    /// How long it is left alone when it is ready.
    #[serde(default = "a_second", deserialize_with = "duration")]
    pub(super) settle: Duration,
    /// How long it may take to end when it is asked to.
    #[serde(default = "ten_seconds", deserialize_with = "duration")]
    pub(super) stop_timeout: Duration,
}

/// Who starts containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// `docker`
    #[default]
    Docker,
    /// `podman`
    Podman,
}

impl Engine {
    pub(super) fn program(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }
}

/// What is done to one container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// A command on the host.
    pub(super) run: Option<Words>,
    /// A command in the container.
    pub(super) exec: Option<Words>,
    /// More flags of `docker run` for this one.
    #[serde(default)]
    pub(super) flags: Vec<String>,
    #[serde(default = "a_minute", deserialize_with = "duration")]
    pub(super) timeout: Duration,
    /// The exit status that the command must have.
    #[serde(default)]
    pub(super) expect: i32,
}

/// A command: words, or a text for a shell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    Shell(String),
    Arguments(Vec<String>),
}

impl Words {
    /// The words, with a shell before a text.
    pub(super) fn arguments(&self) -> Vec<String> {
        match self {
            Words::Shell(text) => vec!["sh".to_owned(), "-c".to_owned(), text.clone()],
            Words::Arguments(words) => words.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Words::Shell(text) => text.trim().is_empty(),
            Words::Arguments(words) => words.first().is_none_or(String::is_empty),
        }
    }
}

impl Plan {
    pub(super) fn parse(text: &str) -> anyhow::Result<Plan> {
        let plan: Plan =
            toml::from_str(text).context("it is no plan of scenarios: docs/many-runs.md says what is in one")?;
        let Plan { container, scenarios } = &plan;
        ensure!(!container.image.is_empty(), "`container.image` is empty: give the image to start");
        ensure!(!container.image.starts_with('-'), "`container.image` is {}: give flags as `flags`", container.image);
        ensure!(!scenarios.is_empty(), "there is no [[scenario]]");
        ensure!(scenarios.len() <= MOST_SCENARIOS, "{} scenarios: at most {MOST_SCENARIOS} are done", scenarios.len());
        ensure!(!container.ready.as_ref().is_some_and(Words::is_empty), "`container.ready` is empty");
        let mut names = BTreeSet::from([START]);
        for Scenario { name, run, exec, .. } in scenarios {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain);
            ensure!(
                is_name,
                "`{}` is no name of a scenario: letters, digits, - and _, at most {LONGEST_NAME}",
                name.escape_debug()
            );
            ensure!(
                names.insert(name),
                "two scenarios are called {name} (`{START}` is the one in which nothing is done)"
            );
            ensure!(run.is_none() || exec.is_none(), "scenario {name} has both `run` and `exec`: make two of it");
            let commands = [run, exec].into_iter().flatten();
            ensure!(commands.into_iter().all(|words| !words.is_empty()), "scenario {name} has an empty command");
        }
        let flags = container.flags.iter().chain(scenarios.iter().flat_map(|scenario| &scenario.flags));
        for flag in flags {
            let name = flag.split('=').next().unwrap_or(flag);
            if OWN_FLAGS.contains(&name) {
                bail!("the flag {name} is ringfence's own: leave it out");
            }
        }
        Ok(plan)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    units::duration(&text).map_err(serde::de::Error::custom)
}

fn a_second() -> Duration {
    Duration::from_secs(1)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

#[cfg(test)]
mod tests {
    use super::super::template::Template;
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", Plan::parse(text).expect_err("refused"))
    }

    #[test]
    fn a_plan_says_only_what_differs_from_the_usual() {
        let plan = Plan::parse("container.image = 'web'\n[[scenario]]\nname = 'one'\nrun = 'true'").expect("a plan");

        assert_eq!(plan.container.engine, Engine::Docker);
        assert_eq!(plan.container.settle, Duration::from_secs(1));
        let [scenario] = &plan.scenarios[..] else { panic!("{plan:?}") };
        assert_eq!((scenario.timeout, scenario.expect), (Duration::from_secs(60), 0));
        assert_eq!(scenario.run.as_ref().expect("a command").arguments(), ["sh", "-c", "true"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        let with = |rest: &str| refusal(&format!("container.image = 'web'\n{rest}"));

        assert!(refusal("").contains("container"), "{}", refusal(""));
        assert!(with("").contains("scenario"));
        assert!(with("scenario = []").contains("no [[scenario]]"));
        assert!(with("[[scenario]]\nname = 'start'").contains("`start` is the one"));
        assert!(with("[[scenario]]\nname = 'a b'").contains("is no name"));
        assert!(with("[[scenario]]\nname = 'a'\n[[scenario]]\nname = 'a'").contains("two scenarios"));
        assert!(with("[[scenario]]\nname = 'a'\nrun = 'x'\nexec = 'y'").contains("both"));
        assert!(with("[[scenario]]\nname = 'a'\nrun = []").contains("empty command"));
        assert!(with("[[scenario]]\nname = 'a'\ntimeout = 'soon'").contains("is no duration"));
        assert!(with("[[scenario]]\nname = 'a'\nflags = ['--name=x']").contains("ringfence's own"));
        assert!(with("[[scenario]]\nname = 'a'\nmistake = 1").contains("mistake"));
        assert!(refusal("container = {image = '-v'}\nscenario = [{name = 'a'}]").contains("flags"));
    }

    #[test]
    fn every_template_is_a_plan() {
        for template in Template::ALL {
            let plan = Plan::parse(template.text()).unwrap_or_else(|error| panic!("{template:?}: {error:#}"));
            assert!(plan.scenarios.iter().all(|one| one.run.is_some() || one.exec.is_some() || !one.flags.is_empty()));
        }
    }
}
