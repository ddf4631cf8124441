//! What a seccomp profile decides, whatever its layout.
//!
//! [`Filter`] is a profile as runtimes read it: the OCI form, and Docker's with `archMap`, `includes` and `excludes`. It is turned into
//! decisions as runc, crun and libseccomp do (libseccomp 2.5, runc 1.1, crun 1.8):
//!
//! - a rule with the default's own action is skipped; a name that the table does not have is skipped;
//! - a rule without conditions counts before every rule with conditions for the same call, wherever it stands;
//! - two conditions on one argument in one rule are two rules; conditions on different arguments must all hold;
//! - of rules that overlap and differ the stricter counts here; libseccomp does not promise which (a note says so);
//! - a comparison means what it says, although libseccomp 2.5.4 itself gets some mixtures of ordered ones on one call wrong;
//! - the host's own table is always filtered; a call through one that is not listed ends the thread;
//! - on 32-bit tables only the lower half of an argument is compared;
//! - 32-bit x86 also makes the calls of sockets and System V IPC through `socketcall` and `ipc`, by the number in the first argument;
//!   conditions of theirs on other arguments are asked of those two.

mod decide;
mod diagram;
mod host;
mod read;

use std::collections::BTreeSet;

use event::{Arch, Errno};

pub(crate) use decide::{Decided, Decider, World};
pub(crate) use diagram::Diagram;
pub(crate) use host::{Host, has_short_arguments};
pub use read::{MAX_PROFILE_BYTES, ProfileError};

/// What happens to a call. The strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// The whole process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// It gets a signal.
    Trap,
    /// It fails with this error; 0 is success without having done anything.
    Errno(u16),
    /// Another process decides.
    Notify,
    /// A tracer decides, and is told this number.
    Trace(u16),
    /// It is let through and logged.
    Log,
    /// It is let through.
    Allow,
}

impl Decision {
    /// Whether the call gets through.
    pub fn lets_through(self) -> bool {
        matches!(self, Decision::Allow | Decision::Log)
    }

    /// How far it lets a call through: not, if somebody else says so, or yes.
    pub(crate) fn leave(self) -> u8 {
        match self {
            Decision::Allow | Decision::Log => 2,
            Decision::Notify | Decision::Trace(_) => 1,
            _ => 0,
        }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Decision::KillProcess => f.write_str("kills the process"),
            Decision::KillThread => f.write_str("kills the thread"),
            Decision::Trap => f.write_str("SIGSYS"),
            Decision::Errno(0) => f.write_str("does nothing"),
            Decision::Errno(errno) => write!(f, "{}", Errno(*errno)),
            Decision::Notify => f.write_str("asks another process"),
            Decision::Trace(message) => write!(f, "asks a tracer ({message})"),
            Decision::Log => f.write_str("allowed and logged"),
            Decision::Allow => f.write_str("allowed"),
        }
    }
}

/// A seccomp profile as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What happens to calls that no rule is about.
    pub(crate) default: Decision,
    /// The tables that it lists by themselves, by libseccomp's names.
    pub(crate) architectures: BTreeSet<String>,
    /// The tables for each host, by libseccomp's names.
    pub(crate) arch_map: Vec<(String, BTreeSet<String>)>,
    /// The rules.
    pub(crate) rules: Vec<FilterRule>,
}

/// What happens to some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterRule {
    pub(crate) names: BTreeSet<String>,
    pub(crate) decision: Decision,
    /// All of them must hold.
    pub(crate) conditions: Vec<Condition>,
    /// Where it is in force at all.
    pub(crate) includes: Circumstances,
    /// Where it is not.
    pub(crate) excludes: Circumstances,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    /// Which argument, from 0 to 5.
    pub(crate) index: u8,
    pub(crate) operator: Operator,
    /// What it is compared with; of a masked comparison the mask.
    pub(crate) value: u64,
    /// Of a masked comparison what must be left.
    pub(crate) value_two: u64,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Condition { index, operator, value, value_two } = self;
        let sign = match operator {
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "==",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
            Operator::MaskedEqual => return write!(f, "arg{index} & {value:#x} == {:#x}", value_two & value),
        };
        write!(f, "arg{index} {sign} {value:#x}")
    }
}

/// What Docker's profiles make rules depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Capabilities of the container.
    pub(crate) capabilities: BTreeSet<String>,
    /// The host's architecture, as Go names it.
    pub(crate) architectures: BTreeSet<String>,
    /// From this kernel on.
    pub(crate) kernel: Option<(u32, u32)>,
}

impl Filter {
    /// Whether it makes a difference which host it is on, because it lists a table of it.
    pub(crate) fn mentions(&self, host: Host) -> bool {
        let tables: Vec<&str> = host.tables().iter().map(|arch| arch.seccomp_name()).collect();
        let listed = |names: &BTreeSet<String>| names.iter().any(|name| tables.contains(&name.as_str()));
        let mapped = |(of, subs): &(String, BTreeSet<String>)| tables.contains(&of.as_str()) || listed(subs);
        listed(&self.architectures) || self.arch_map.iter().any(mapped)
    }

    /// The tables that are filtered on a host: its own, and those that are listed.
    pub(crate) fn tables(&self, host: Host) -> BTreeSet<Arch> {
        let native = host.tables()[0];
        let of_host = self.arch_map.iter().filter(|(of, _)| of == native.seccomp_name());
        let listed: BTreeSet<&String> = of_host.flat_map(|(_, subs)| subs).chain(&self.architectures).collect();
        let is_listed =
            |arch: &&Arch| **arch == native || listed.iter().any(|name| name.as_str() == arch.seccomp_name());
        host.tables().iter().filter(is_listed).copied().collect()
    }

    /// The tables that it names and ringfence has not.
    pub(crate) fn other_tables(&self) -> BTreeSet<&str> {
        let mapped = self.arch_map.iter().flat_map(|(of, subs)| subs.iter().chain([of]));
        let all = mapped.chain(&self.architectures).map(String::as_str);
        all.filter(|name| !Arch::ALL.iter().any(|arch| arch.seccomp_name() == *name)).collect()
    }

    /// The names that some rule is about.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.rules.iter().flat_map(|rule| &rule.names).map(String::as_str).collect()
    }
}
