//! Reading profiles that somebody else wrote.

use std::collections::BTreeSet;

use event::Text;
use serde::Deserialize;

use super::{Circumstances, Condition, Decision, Filter, FilterRule, Operator};

/// No larger profile is read: 4 MiB. Docker's own has 20 KiB.
pub const MAX_PROFILE_BYTES: usize = 4 << 20;
/// A message quotes at most so much of a file.
const MAX_QUOTED_CHARS: usize = 80;
/// So many arguments has a call.
const ARGUMENTS: u64 = 6;
/// EPERM is what an errno action without one gives.
const EPERM: u16 = 1;

/// Why a profile cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// There is more than a profile can be.
    #[error("larger than {} MiB, so no seccomp profile", MAX_PROFILE_BYTES >> 20)]
    TooLarge,
    /// The bytes are not JSON, or not that of a profile.
    #[error("no seccomp profile: {problem}")]
    NotAProfile {
        /// What is wrong, with the line.
        problem: String,
    },
    /// What happens to other calls is not said.
    #[error("no seccomp profile: it has no `defaultAction`")]
    NoDefault,
    /// An action that no runtime knows.
    #[error("the action {action} is none of seccomp's: give one such as SCMP_ACT_ALLOW or SCMP_ACT_ERRNO")]
    UnknownAction {
        /// What is there.
        action: String,
    },
    /// An errno that a filter cannot return.
    #[error("{errno} is no errno: a filter returns 0 to 4095")]
    BadErrno {
        /// What is there.
        errno: u64,
    },
    /// A rule that is about no call.
    #[error("rule {rule} names no system call")]
    NoName {
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// A rule with `name` and `names`: engines refuse it.
    #[error("rule {rule} has both `name` and `names`: engines refuse that")]
    TwoNames {
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// A name that no system call can have.
    #[error("{name} in rule {rule} cannot be the name of a system call")]
    BadName {
        /// What is there.
        name: String,
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// A comparison that no runtime knows.
    #[error("rule {rule} compares by {operator}, which is none of seccomp's operators such as SCMP_CMP_EQ")]
    UnknownOperator {
        /// What is there.
        operator: String,
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// An argument that no call has.
    #[error("rule {rule} compares argument {index}, and calls have 0 to 5")]
    BadArgument {
        /// What is there.
        index: u64,
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// A kernel version that cannot be read.
    #[error("{version} in rule {rule} is no kernel version such as 4.8")]
    BadKernel {
        /// What is there.
        version: String,
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// Two ways of saying which tables are filtered: Docker refuses it.
    #[error("the profile has both `architectures` and `archMap`: engines refuse that")]
    TwoArchitectures,
    /// An architecture that libseccomp does not have.
    #[error("{name} is no architecture of libseccomp's such as SCMP_ARCH_X86_64")]
    BadArchitecture {
        /// What is there.
        name: String,
    },
    /// No call could be made.
    #[error("it lets no system call through: nothing could be started under it")]
    DeniesEverything,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: Option<String>,
    default_errno_ret: Option<u64>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<MapEntry>>,
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MapEntry {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: Option<String>,
    errno_ret: Option<u64>,
    args: Option<Vec<Argument>>,
    includes: Option<Only>,
    excludes: Option<Only>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    value: u64,
    #[serde(default)]
    value_two: u64,
    #[serde(default)]
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Only {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl Filter {
    /// Reads a profile: `linux.seccomp` of the OCI runtime specification, or Docker's extended form of it. Never panics, whatever
    /// the bytes are.
    ///
    /// A name that is in no table of system calls is taken: it may be newer than the tables, and runtimes skip it.
    pub fn parse(bytes: &[u8]) -> Result<Filter, ProfileError> {
        if bytes.len() > MAX_PROFILE_BYTES {
            return Err(ProfileError::TooLarge);
        }
        let not_a_profile = |problem: String| ProfileError::NotAProfile { problem };
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|&byte| byte == b'[') {
            // Left to itself, serde would take a list for a struct without its names.
            return Err(not_a_profile("it is a list".to_owned()));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|error| not_a_profile(quoted(&error.to_string())))?;
        let default = action(&file.default_action.ok_or(ProfileError::NoDefault)?, file.default_errno_ret)?;
        let architectures = architectures(file.architectures)?;
        let mut arch_map = Vec::new();
        for entry in file.arch_map.unwrap_or_default() {
            let of = architectures_one(entry.architecture)?;
            arch_map.push((of, self::architectures(entry.sub_architectures)?));
        }
        if !architectures.is_empty() && !arch_map.is_empty() {
            return Err(ProfileError::TwoArchitectures);
        }
        arch_map.sort();
        let mut rules = Vec::new();
        for (at, rule) in file.syscalls.unwrap_or_default().into_iter().enumerate() {
            rules.push(read_rule(rule, at + 1)?);
        }
        let lets_through = |decision: Decision| decision.leave() > 0;
        if !lets_through(default) && !rules.iter().any(|rule| lets_through(rule.decision)) {
            return Err(ProfileError::DeniesEverything);
        }
        Ok(Filter { default, architectures, arch_map, rules })
    }
}

fn read_rule(rule: Rule, at: usize) -> Result<FilterRule, ProfileError> {
    let names = match (rule.name.filter(|name| !name.is_empty()), rule.names.unwrap_or_default()) {
        (Some(_), names) if !names.is_empty() => return Err(ProfileError::TwoNames { rule: at }),
        (Some(name), _) => vec![name],
        (None, names) => names,
    };
    if names.is_empty() {
        return Err(ProfileError::NoName { rule: at });
    }
    for name in &names {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_+".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(ProfileError::BadName { name: quoted(name), rule: at });
        }
    }
    let no_action = || ProfileError::UnknownAction { action: "''".to_owned() };
    Ok(FilterRule {
        names: names.into_iter().collect(),
        decision: action(&rule.action.ok_or_else(no_action)?, rule.errno_ret)?,
        conditions: conditions(rule.args.unwrap_or_default(), at)?,
        includes: circumstances(rule.includes.unwrap_or_default(), at)?,
        excludes: circumstances(rule.excludes.unwrap_or_default(), at)?,
    })
}

fn action(name: &str, errno: Option<u64>) -> Result<Decision, ProfileError> {
    let number = || match errno {
        None => Ok(EPERM),
        Some(errno) => match u16::try_from(errno) {
            Ok(errno) if errno < 4096 => Ok(errno),
            _ => Err(ProfileError::BadErrno { errno }),
        },
    };
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Decision::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Decision::KillProcess,
        "SCMP_ACT_TRAP" => Decision::Trap,
        "SCMP_ACT_ERRNO" => Decision::Errno(number()?),
        "SCMP_ACT_NOTIFY" => Decision::Notify,
        "SCMP_ACT_TRACE" => Decision::Trace(number()?),
        "SCMP_ACT_LOG" => Decision::Log,
        "SCMP_ACT_ALLOW" => Decision::Allow,
        other => return Err(ProfileError::UnknownAction { action: quoted(other) }),
    })
}

fn conditions(args: Vec<Argument>, rule: usize) -> Result<Vec<Condition>, ProfileError> {
    let condition = |argument: Argument| {
        let Argument { index, value, value_two, op } = argument;
        let operator = match op.as_str() {
            "SCMP_CMP_NE" => Operator::NotEqual,
            "SCMP_CMP_LT" => Operator::Less,
            "SCMP_CMP_LE" => Operator::LessOrEqual,
            "SCMP_CMP_EQ" => Operator::Equal,
            "SCMP_CMP_GE" => Operator::GreaterOrEqual,
            "SCMP_CMP_GT" => Operator::Greater,
            "SCMP_CMP_MASKED_EQ" => Operator::MaskedEqual,
            other => return Err(ProfileError::UnknownOperator { operator: quoted(other), rule }),
        };
        match u8::try_from(index) {
            Ok(place) if index < ARGUMENTS => Ok(Condition { index: place, operator, value, value_two }),
            _ => Err(ProfileError::BadArgument { index, rule }),
        }
    };
    args.into_iter().map(condition).collect()
}

fn circumstances(only: Only, rule: usize) -> Result<Circumstances, ProfileError> {
    let kernel = only.min_kernel.filter(|version| !version.is_empty()).map(|version| {
        let numbers =
            version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        numbers.ok_or_else(|| ProfileError::BadKernel { version: quoted(&version), rule })
    });
    let plain = |names: Option<Vec<String>>| -> Result<BTreeSet<String>, ProfileError> {
        let names = names.unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match names.iter().find(|name| name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain)) {
            Some(name) => Err(ProfileError::BadName { name: quoted(name), rule }),
            None => Ok(names.into_iter().collect()),
        }
    };
    Ok(Circumstances {
        capabilities: plain(only.caps)?,
        architectures: plain(only.arches)?,
        kernel: kernel.transpose()?,
    })
}

fn architectures(names: Option<Vec<String>>) -> Result<BTreeSet<String>, ProfileError> {
    names.unwrap_or_default().into_iter().map(architectures_one).collect()
}

fn architectures_one(name: String) -> Result<String, ProfileError> {
    let of_libseccomp = name.strip_prefix("SCMP_ARCH_").is_some_and(|rest| {
        !rest.is_empty() && rest.len() < 32 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if of_libseccomp { Ok(name) } else { Err(ProfileError::BadArchitecture { name: quoted(&name) }) }
}

/// What a file says, as a message shows it.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    Text::from(short.as_str()).shown().into_owned()
}
