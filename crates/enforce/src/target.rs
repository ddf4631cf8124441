//! Which containers a policy is about.

use std::fmt;

use containers::engine::Metadata;
use containers::list::Running;
use containers::path::{Kind, classify, is_valid_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Policy, PolicyError};

/// Which containers a policy is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", into = "Written", try_from = "Written")]
#[schemars(with = "Written")]
pub enum Target {
    /// The container with this name or id, or whose id begins so, with four characters or more.
    Container(String),
    /// Containers whose image matches; `*` stands for anything.
    Image(String),
    /// Containers with this label.
    Label(String, String),
}

/// As it stands in a file: exactly one of these.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// A name, an id, or the beginning of an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    /// A pattern of images; `*` stands for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// A label: KEY=VALUE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

impl From<Target> for Written {
    fn from(target: Target) -> Written {
        match target {
            Target::Container(name) => Written { container: Some(name), ..Written::default() },
            Target::Image(pattern) => Written { image: Some(pattern), ..Written::default() },
            Target::Label(key, value) => Written { label: Some(format!("{key}={value}")), ..Written::default() },
        }
    }
}

impl TryFrom<Written> for Target {
    type Error = String;

    fn try_from(written: Written) -> Result<Target, String> {
        match written {
            Written { container: Some(name), image: None, label: None } => Ok(Target::Container(name)),
            Written { container: None, image: Some(pattern), label: None } => Ok(Target::Image(pattern)),
            Written { container: None, image: None, label: Some(label) } => match label.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok(Target::Label(key.to_owned(), value.to_owned())),
                _ => Err(format!("{label:?} is no label: write KEY=VALUE")),
            },
            _ => Err("a container is named by exactly one of `container`, `image` and `label`".into()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Container(name) => write!(f, "container {name}"),
            Target::Image(pattern) => write!(f, "image {pattern}"),
            Target::Label(key, value) => write!(f, "label {key}={value}"),
        }
    }
}

/// How much of an id names a container.
const SHORTEST_ID: usize = 4;

impl Target {
    /// Whether it can name containers, and nothing of the host.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let Target::Container(name) = self else { return Ok(()) };
        if !is_valid_id(name) {
            return Err(PolicyError::Name(name.clone()));
        }
        // systemd's units are the host's own, but for those that an engine names after a container.
        let is_unit = [".slice", ".service", ".scope", ".mount", ".socket"].iter().any(|end| name.ends_with(end));
        let is_of_many =
            matches!(classify(format!("/{name}").as_bytes()), Kind::EngineParent(_) | Kind::PodParent { .. });
        match is_unit || is_of_many {
            true => Err(PolicyError::Host(name.clone())),
            false => Ok(()),
        }
    }

    /// Whether it is about the container that runs.
    pub(crate) fn wants_running(&self, container: &Running) -> bool {
        self.wants_id(&container.id) || container.metadata.as_deref().is_some_and(|known| self.wants(known))
    }

    /// Whether it is about a container that an engine knows.
    pub(crate) fn wants(&self, known: &Metadata) -> bool {
        match self {
            Target::Container(name) => self.wants_id(&known.id) || known.name.as_deref() == Some(name),
            Target::Image(pattern) => {
                known.image.as_deref().is_some_and(|image| containers::matches_pattern(pattern, image))
            }
            Target::Label(key, value) => known.labels.get(key) == Some(value),
        }
    }

    fn wants_id(&self, id: &str) -> bool {
        match self {
            Target::Container(name) => id == name || (name.len() >= SHORTEST_ID && is_long(id) && id.starts_with(name)),
            _ => false,
        }
    }
}

impl Policy {
    /// The names of containers that it has.
    pub(crate) fn names(&self) -> Vec<&str> {
        let named = self.containers.iter().filter_map(|target| match target {
            Target::Container(name) => Some(name.as_str()),
            _ => None,
        });
        named.collect()
    }

    /// The ids of containers that it is about and that may come, or come again.
    pub(crate) fn awaited_ids(&self, known: &[Metadata], later: bool) -> Vec<String> {
        let matching = known.iter().filter(|metadata| self.containers.iter().any(|target| target.wants(metadata)));
        let mut ids: Vec<String> = matching.map(|metadata| metadata.id.clone()).collect();
        // Where the id is the name that somebody gives: containerd, runc, crun.
        if later {
            ids.extend(self.names().into_iter().map(str::to_owned));
        }
        ids.sort();
        ids.dedup();
        ids
    }
}

/// Whether it is an id that an engine drew, not a name that somebody gave.
fn is_long(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The names that runtimes give to the cgroup of the container with this id.
pub(crate) fn cgroup_names(id: &str) -> Vec<String> {
    let mut names = vec![id.to_owned()];
    let scopes: &[&str] = match is_long(id) {
        true => &["docker", "libpod", "cri-containerd", "crio", "nerdctl", "runc", "crun"],
        false => &["nerdctl", "runc", "crun"],
    };
    names.extend(scopes.iter().map(|prefix| format!("{prefix}-{id}.scope")));
    if is_long(id) {
        names.extend(["libpod", "crio"].map(|prefix| format!("{prefix}-{id}")));
    }
    names
}

#[cfg(test)]
mod tests {
    use containers::path::Engine;

    use super::*;

    #[test]
    fn what_would_be_the_host_or_many_containers_is_refused() {
        for name in ["docker", "system.slice", "init.scope", "ringfence", "kubepods", "libpod_parent"] {
            let target = Target::Container(name.into());
            assert_eq!(target.check(), Err(PolicyError::Host(name.into())), "{name}");
        }
        for name in ["", "/", "a/b", "..", "a b", "a*"] {
            assert_eq!(Target::Container(name.into()).check(), Err(PolicyError::Name(name.into())), "{name}");
        }
        for name in ["web", "0123abcd", "web_1.x"] {
            assert_eq!(Target::Container(name.into()).check(), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_beginning_of_a_name_is_no_name() {
        let id = "0123456789abcdef".repeat(4);
        let wants = |name: &str, id: &str| Target::Container(name.into()).wants_id(id);

        assert!(wants("0123", &id) && wants(&id, &id) && wants("web", "web"));
        assert!(!wants("012", &id) && !wants("webs", "webserver") && !wants("0124", &id));
    }

    #[test]
    fn the_names_of_cgroups_are_those_that_the_path_table_knows() {
        let id = "0123456789abcdef".repeat(4);
        for name in cgroup_names(&id) {
            let path = format!("/above/{name}");
            let Kind::Container(identity) = classify(path.as_bytes()) else { panic!("{name} is a container's") };
            assert_eq!(identity.id, id, "{name}");
            assert_ne!(identity.engine, Engine::Ringfence);
        }
    }
}
