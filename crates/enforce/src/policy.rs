//! What may not happen, and where: as somebody wrote it, checked.

use event::{Capability, Text};
use schemars::JsonSchema;
use sensors::guard::{Deed, Trigger};
use serde::{Deserialize, Serialize};

use crate::network::{Peer, Port};
use crate::place::FileRule;
use crate::{After, Hash, Listed, Target};

/// Why a policy is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It says of no container.
    #[error("the policy names no container: say which with `containers`")]
    NoTarget,
    /// It denies nothing.
    #[error("the policy denies nothing: say what, as with `exec` or `connect`")]
    NoRule,
    /// It lets nothing run at all.
    #[error("the policy lists no program that may run: nothing could be started")]
    NothingListed,
    /// A container is named by a word that may be something of the host.
    #[error("{0} would be a cgroup of the host, or of many containers: name one container")]
    Host(String),
    /// No container's name looks so.
    #[error("{0:?} is no name or id of a container")]
    Name(String),
    /// A program is named by what is neither a name nor a path.
    #[error("{program:?} is no program: {why}")]
    Program {
        /// What was written.
        program: String,
        /// What is wrong.
        why: &'static str,
    },
    /// It is no content.
    #[error("{0:?} is no content: write sha256: and 64 hexadecimal digits")]
    Hash(String),
    /// What nobody may read or write is no file.
    #[error("{file:?} is no file that can be denied: {why}")]
    File {
        /// What was written.
        file: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What it is to wait for is nothing that can be waited for.
    #[error("{after:?} is nothing that a policy can wait for: {why}")]
    After {
        /// What was written.
        after: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What alone may be written is no place.
    #[error("{place:?} is no place that can be written: {why}")]
    Written {
        /// What was written.
        place: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What nobody may connect to is no address.
    #[error("{peer:?} cannot be connected to: {why}")]
    Peer {
        /// What was written.
        peer: String,
        /// What is wrong.
        why: String,
    },
    /// What nobody may listen on is no port.
    #[error("{0:?} is no port: write a number from 1 to 65535, or `*` for all")]
    Port(String),
    /// It is no capability.
    #[error("{0:?} is no capability: write its name, such as CAP_NET_RAW or net_raw")]
    Capability(String),
    /// It is no policy, by what it is written in.
    #[error("this is no policy: {0}")]
    Json(String),
}

/// A policy: what may not happen in some containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The version of this format.
    #[schemars(range(min = 1, max = 1))]
    pub schema_version: u32,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The containers that it is about: each that any of these names.
    pub containers: Vec<Target>,
    /// Programs that may not run: a name, which is meant wherever the program lies, or a whole path, as the container sees it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exec: Vec<Program>,
    /// Programs with these contents may not run, whatever they are called: `sha256:` and 64 hexadecimal digits. Held while `ringfence block` or
    /// `ringfence enforce` runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hash: Vec<Hash>,
    /// Only programs that came with the container's image may run: none that was written since, lies in a volume or in memory, or
    /// was changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub image_binaries_only: bool,
    /// Only these programs may run, and only these places be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Listed>,
    /// Files that nobody may read (`:r`), write (`:w`) or either (`:rw`), each a whole path, as the container sees it; of a folder all
    /// below it, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<FileRule>,
    /// Addresses that nobody may connect or send to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<Peer>,
    /// Ports that nobody may listen on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<Port>,
    /// Capabilities that nobody may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capability: Vec<Capability>,
    /// Nobody may mount, unmount or move mounts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mount: bool,
    /// Nobody may trace another process, or read or write its memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ptrace: bool,
    /// Nobody may load a module into the kernel, or have one loaded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub module: bool,
    /// Not in force in a container until one of these was read there: `network`, any socket of the network, or a file, a whole path as the
    /// container sees it; of a folder, anything below it. Without it, from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<After>,
    /// Deny nothing; count and tell what would have been denied.
    #[serde(default)]
    pub audit: bool,
}

impl Policy {
    /// The version of the format.
    pub const SCHEMA_VERSION: u32 = 1;

    /// Reads one from JSON, checked.
    pub fn parse(json: &[u8]) -> Result<Policy, PolicyError> {
        Policy::checked(serde_json::from_slice(json).map_err(unreadable)?)
    }

    /// Makes one of a value that was read from something else, checked.
    pub fn from_value(value: serde_json::Value) -> Result<Policy, PolicyError> {
        Policy::checked(serde_json::from_value(value).map_err(unreadable)?)
    }

    fn checked(policy: Policy) -> Result<Policy, PolicyError> {
        if policy.schema_version != Policy::SCHEMA_VERSION {
            return Err(PolicyError::Json(format!(
                "its schema_version is {}, and this program reads {}",
                policy.schema_version,
                Policy::SCHEMA_VERSION
            )));
        }
        policy.check()?;
        Ok(policy)
    }

    /// Whether it can be put in force at all.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.containers.is_empty() {
            return Err(PolicyError::NoTarget);
        }
        if self.deeds().is_empty() {
            return Err(PolicyError::NoRule);
        }
        if let Some(only) = &self.only {
            only.check()?;
        }
        self.containers.iter().try_for_each(Target::check)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Policy);
        schema.insert("title".into(), format!("ringfence policy, version {}", Policy::SCHEMA_VERSION).into());
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The kinds of deeds that it denies.
    pub fn deeds(&self) -> Vec<Deed> {
        let denies = |deed: &Deed| match deed {
            Deed::Exec => {
                !self.exec.is_empty() || !self.hash.is_empty() || self.image_binaries_only || self.only.is_some()
            }
            Deed::File => !self.file.is_empty(),
            Deed::Connect => !self.connect.is_empty(),
            Deed::Listen => !self.listen.is_empty(),
            Deed::Capability => !self.capability.is_empty(),
            Deed::Mount => self.mount,
            Deed::Ptrace => self.ptrace,
            Deed::Module => self.module,
            Deed::Write => self.only.as_ref().is_some_and(|only| only.written.is_some()),
        };
        Deed::ALL.into_iter().filter(denies).collect()
    }

    /// What it denies, in one line.
    pub fn what(&self) -> String {
        let mut all: Vec<String> = self.exec.iter().map(|program| program.as_str().to_owned()).collect();
        all.extend(self.hash.iter().map(ToString::to_string));
        all.extend(self.image_binaries_only.then(|| "all programs that are not of the image".to_owned()));
        all.extend(self.only.as_ref().map(Listed::what));
        all.extend(self.file.iter().map(|rule| format!("file {rule}")));
        all.extend(self.connect.iter().map(|peer| format!("connect {}", String::from(peer.clone()))));
        all.extend(self.listen.iter().map(|port| format!("listen {}", String::from(*port))));
        all.extend(self.capability.iter().map(ToString::to_string));
        for (is_denied, deed) in [(self.mount, Deed::Mount), (self.ptrace, Deed::Ptrace), (self.module, Deed::Module)] {
            all.extend(is_denied.then(|| deed.name().to_owned()));
        }
        all.join(", ")
    }

    /// The containers that it is about, in one line.
    pub fn whom(&self) -> String {
        self.containers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The kinds of what it waits for.
    pub fn triggers(&self) -> Vec<Trigger> {
        let waits_for = |trigger: &Trigger| self.after.iter().any(|after| after.trigger() == *trigger);
        Trigger::ALL.into_iter().filter(waits_for).collect()
    }

    /// What it waits for, behind all else that is said of it in a line; empty if it does not wait.
    pub fn when(&self) -> String {
        if self.after.is_empty() {
            return String::new();
        }
        let each = self.after.iter().map(|after| match after {
            After::Network => "from the network".to_owned(),
            After::File(_) => format!("of {after}"),
        });
        format!(", after a read {}", each.collect::<Vec<_>>().join(" or "))
    }

    /// The files that it waits for.
    pub(crate) fn tainting(&self) -> Vec<FileRule> {
        let rule = |after: &After| if let After::File(rule) = after { Some(rule.clone()) } else { None };
        self.after.iter().filter_map(rule).collect()
    }
}

/// Why it is none, in serde's words; safe on a terminal, for they may quote the file.
fn unreadable(error: serde_json::Error) -> PolicyError {
    PolicyError::Json(Text::from(error.to_string()).shown().into_owned())
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Program(String);

/// The longest name of a file, and the longest path that is told to the kernel.
const MAX_NAME_BYTES: usize = 255;

impl Program {
    /// A bare name, or a whole path.
    pub fn parse(text: &str) -> Result<Program, PolicyError> {
        let wrong = |why| Err(PolicyError::Program { program: text.to_owned(), why });
        if text.contains('\0') {
            return wrong("it has a zero byte");
        }
        let is_path = text.contains('/');
        if is_path && !text.starts_with('/') {
            return wrong("write its bare name, or its whole path from the container's root");
        }
        let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        if names.is_empty() || text.ends_with('/') {
            return wrong("it names no file");
        }
        if names.iter().any(|name| matches!(*name, "." | "..")) {
            return wrong("it has `.` or `..`: write the path without");
        }
        if text.len() > MAX_NAME_BYTES {
            return wrong("it is longer than 255 bytes");
        }
        Ok(Program(if is_path { format!("/{}", names.join("/")) } else { text.to_owned() }))
    }

    /// As it was written, without what says nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a whole path, not a name.
    pub fn is_path(&self) -> bool {
        self.0.starts_with('/')
    }

    /// Its last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl TryFrom<String> for Program {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Program, PolicyError> {
        Program::parse(&text)
    }
}

impl From<Program> for String {
    fn from(program: Program) -> String {
        program.0
    }
}

impl std::str::FromStr for Program {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Program, PolicyError> {
        Program::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_name_or_a_whole_path() {
        let parsed = |text| Program::parse(text).map(|program| program.as_str().to_owned()).ok();

        assert_eq!(parsed("whoami").as_deref(), Some("whoami"));
        assert_eq!(parsed("//usr//bin/whoami").as_deref(), Some("/usr/bin/whoami"));
        for wrong in ["", "/", "bin/whoami", "/usr/bin/../whoami", "/usr/bin/", "..", "a\0b", &"x".repeat(256)] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_policy_without_containers_or_rules_is_refused() {
        let parse = |json: &str| Policy::parse(json.as_bytes()).map(|_| ());

        assert_eq!(parse(r#"{"schema_version":1,"containers":[],"exec":["id"]}"#), Err(PolicyError::NoTarget));
        let none = r#"{"schema_version":1,"containers":[{"container":"web"}],"exec":[]}"#;
        assert_eq!(parse(none), Err(PolicyError::NoRule));
        assert_eq!(parse(r#"{"schema_version":1,"containers":[{"container":"web"}],"exec":["id"]}"#), Ok(()));
        for unknown in [
            r#"{"schema_version":2,"containers":[{"container":"web"}],"exec":["id"]}"#,
            r#"{"schema_version":1,"containers":[{"container":"web"}],"exec":["id"],"files":["/etc"]}"#,
        ] {
            assert!(matches!(parse(unknown), Err(PolicyError::Json(_))), "{unknown}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_what_drives_a_terminal() {
        for field in ["\\u001b[2J", "a\\u0000b", "\\u202e"] {
            let json = format!(r#"{{"schema_version":1,"{field}":1}}"#);
            let said = Policy::parse(json.as_bytes()).expect_err("no policy has such a field").to_string();
            assert!(said.contains("unknown field") && !said.contains(event::is_unsafe_on_a_terminal), "{said:?}");
        }
    }

    #[test]
    fn a_policy_is_read_back_as_it_was_written() {
        let policy = Policy {
            schema_version: 1,
            name: Some("no whoami".into()),
            containers: vec![Target::Image("web:*".into()), Target::Label("a".into(), "b".into())],
            exec: vec![Program::parse("whoami").expect("it is a name")],
            hash: vec![Hash([0xa1; 32])],
            image_binaries_only: true,
            only: Some(Listed {
                programs: vec![Program::parse("/bin/sh").expect("it is a path")],
                written: Some(vec!["/tmp/".parse().expect("it is a place")]),
                ..Listed::default()
            }),
            file: vec!["/etc/shadow:r".parse().expect("it is a file"), "/data/".parse().expect("it is a file")],
            connect: vec!["10.0.0.0/8:443".parse().expect("it is a peer"), "*:25".parse().expect("it is a peer")],
            listen: vec!["*".parse().expect("it is a port"), "80".parse().expect("it is a port")],
            capability: vec!["CAP_NET_RAW".parse().expect("it is a capability")],
            mount: true,
            ptrace: true,
            module: true,
            after: vec![After::Network, "/srv/uploads/".parse().expect("it is a path")],
            audit: true,
        };
        let hash = format!("sha256:{}", "a1".repeat(32));
        let what = "all programs that are not of the image, all programs but those that are listed (1 program), all writing \
                    but where it is listed (1 place), file /etc/shadow:r, file /data:rw, connect 10.0.0.0/8:443, connect *:25, listen *, listen 80, \
                    CAP_NET_RAW, mount, ptrace, module";
        assert_eq!(policy.what(), format!("whoami, {hash}, {what}"));
        assert_eq!(policy.deeds(), Deed::ALL);
        assert_eq!(policy.triggers(), Trigger::ALL);
        assert_eq!(policy.when(), ", after a read from the network or of /srv/uploads");

        assert_eq!(Policy::parse(policy.to_json().as_bytes()), Ok(policy));
    }
}
