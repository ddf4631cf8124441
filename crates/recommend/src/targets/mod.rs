//! The forms that engines, orchestrators and service managers take. One file per target; each is a pure function of the
//! recommendation and of the names of what lies beside it.

mod apparmor;
mod compose;
mod containers;
mod ctr;
mod kubernetes;
mod network_policy;
mod oci;
mod operator;
mod quadlet;
pub(crate) mod quoting;
mod settings;
mod systemd;
mod yaml;

use crate::{Profile, Recommendation};
use event::Text;
use settings::Settings;

/// Who takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The seccomp profile alone, as runc, crun, docker, podman, containerd and Kubernetes take it.
    Seccomp,
    /// Arguments for `docker run`.
    Docker,
    /// Arguments for `podman run`.
    Podman,
    /// Arguments for `nerdctl run`.
    Nerdctl,
    /// Arguments for `ctr run`.
    Ctr,
    /// An override file of docker compose.
    Compose,
    /// A `.container` file of podman's Quadlet.
    Quadlet,
    /// A pod for Kubernetes.
    Kubernetes,
    /// A `SeccompProfile` of the security-profiles-operator.
    Operator,
    /// A `NetworkPolicy` for Kubernetes.
    NetworkPolicy,
    /// Options for a unit of systemd.
    Systemd,
    /// A profile for AppArmor.
    Apparmor,
    /// The `config.json` of an OCI bundle.
    Oci,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 13] = [
        Target::Seccomp,
        Target::Docker,
        Target::Podman,
        Target::Nerdctl,
        Target::Ctr,
        Target::Compose,
        Target::Quadlet,
        Target::Kubernetes,
        Target::Operator,
        Target::NetworkPolicy,
        Target::Systemd,
        Target::Apparmor,
        Target::Oci,
    ];

    /// The name, as the command line takes it.
    pub fn name(self) -> &'static str {
        match self {
            Target::Seccomp => "seccomp",
            Target::Docker => "docker",
            Target::Podman => "podman",
            Target::Nerdctl => "nerdctl",
            Target::Ctr => "ctr",
            Target::Compose => "compose",
            Target::Quadlet => "quadlet",
            Target::Kubernetes => "kubernetes",
            Target::Operator => "seccomp-operator",
            Target::NetworkPolicy => "network-policy",
            Target::Systemd => "systemd",
            Target::Apparmor => "apparmor",
            Target::Oci => "oci",
        }
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Target::Seccomp => {
                "The seccomp profile alone, as runc, crun, docker, podman, containerd and Kubernetes take it"
            }
            Target::Docker => "Arguments for `docker run`, on one line as a shell takes them",
            Target::Podman => "Arguments for `podman run`, on one line",
            Target::Nerdctl => "Arguments for `nerdctl run`, on one line",
            Target::Ctr => "Arguments for containerd's `ctr run`, on one line",
            Target::Compose => "A file that docker compose merges into yours",
            Target::Quadlet => "A drop-in for a `.container` file of podman's Quadlet",
            Target::Kubernetes => "A pod with the container's securityContext",
            Target::Operator => "A SeccompProfile of Kubernetes' security-profiles-operator",
            Target::NetworkPolicy => "A NetworkPolicy for Kubernetes",
            Target::Systemd => "A drop-in for a service of systemd",
            Target::Apparmor => "A profile for AppArmor",
            Target::Oci => "The config.json of a bundle, changed: --config says which",
        }
    }

    /// Whether it holds or names a seccomp profile in the form of the OCI runtime specification.
    pub fn has_profile(self) -> bool {
        self.names_profile() || matches!(self, Target::Seccomp | Target::Operator | Target::Oci)
    }

    /// Whether its text names a file with the seccomp profile, which must be there.
    pub fn names_profile(self) -> bool {
        match self {
            Target::Docker
            | Target::Podman
            | Target::Nerdctl
            | Target::Ctr
            | Target::Compose
            | Target::Quadlet
            | Target::Kubernetes => true,
            Target::Seccomp
            | Target::Operator
            | Target::NetworkPolicy
            | Target::Systemd
            | Target::Apparmor
            | Target::Oci => false,
        }
    }

    /// Whether it changes a file that is there already.
    pub fn changes_config(self) -> bool {
        self == Target::Oci
    }

    /// What may be missing in a recommendation that this target is derived from, beyond what made it incomplete.
    pub fn missing(self, recommendation: &Recommendation) -> &[Text] {
        match self {
            Target::Systemd | Target::Apparmor => &recommendation.access_control.missing,
            _ => &[],
        }
    }

    /// Writes it.
    pub fn write(
        self,
        recommendation: &Recommendation,
        profile: &Profile,
        beside: &Beside<'_>,
    ) -> Result<Output, TargetError> {
        let settings = Settings::of(recommendation);
        let file = if self.names_profile() { beside.profile.ok_or(TargetError::NoProfile(self.name()))? } else { "" };
        Ok(match self {
            Target::Seccomp => Output::of(profile.to_json()),
            Target::Docker => containers::docker(settings, file),
            Target::Podman => containers::podman(settings, file),
            Target::Nerdctl => containers::nerdctl(settings, file),
            Target::Ctr => ctr::flags(settings, file),
            Target::Compose => compose::file(settings, file),
            Target::Quadlet => quadlet::file(settings, file)?,
            Target::Kubernetes => kubernetes::pod(settings, file)?,
            Target::Operator => operator::profile(&settings, profile),
            Target::NetworkPolicy => network_policy::policy(recommendation, &settings)?,
            Target::Systemd => systemd::options(recommendation, profile, &settings),
            Target::Apparmor => apparmor::profile(recommendation, &settings),
            Target::Oci => oci::config(settings, profile, beside.config.ok_or(TargetError::NoConfig)?)?,
        })
    }
}

/// What lies beside a target's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside<'a> {
    /// The path of the file with the seccomp profile, absolute, if there is one.
    pub profile: Option<&'a str>,
    /// What is in the file that is to be changed, if there is one.
    pub config: Option<&'a str>,
}

/// What a target is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its text.
    pub text: String,
    /// The same as words, of a target that is arguments; else empty.
    pub words: Vec<String>,
    /// What whoever takes it should know and the format has no place for; safe for a terminal.
    pub notes: Vec<String>,
}

impl Output {
    fn of(text: String) -> Output {
        Output { text, ..Output::default() }
    }
}

/// Why a target cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It names a file, and there is none.
    #[error("the target {0} names the file of the seccomp profile: say where it is to be")]
    NoProfile(&'static str),
    /// It changes a file, and there is none.
    #[error("the target oci changes the config.json of a bundle: say which")]
    NoConfig,
    /// The file that is to be changed is not what it should be.
    #[error("this is no config.json of an OCI bundle: {0}")]
    Config(String),
    /// What it would say is not known.
    #[error("{what} is not known: {why}")]
    Unknown {
        /// What it would say.
        what: &'static str,
        /// Why it is not known.
        why: String,
    },
    /// The path cannot be written in this format.
    #[error("the target {target} cannot name the file {path}: choose another path, without {without}")]
    Path {
        /// The target.
        target: &'static str,
        /// The path, safe for a terminal.
        path: String,
        /// What is in its way.
        without: &'static str,
    },
}

/// Arguments on one line, as a shell takes them.
fn line(words: Vec<String>, mut notes: Vec<String>) -> Output {
    if words.iter().any(|word| !quoting::is_shell_word(word)) {
        notes.push("some words are in quotes: paste the line, as $(...) does not read quotes".to_owned());
    }
    let quoted: Vec<String> = words.iter().map(|word| quoting::shell(word)).collect();
    Output { text: quoted.join(" ") + "\n", words, notes }
}

/// The name without `CAP_`, as every version of every engine takes it.
fn short_name(capability: event::Capability) -> String {
    let name = capability.name();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests;
