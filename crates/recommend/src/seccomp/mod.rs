//! System calls: which are allowed, why each, and what is denied though it was tried.

mod conditions;
mod oci;
mod profile;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use behaviour::SyscallUse;
use event::{Arch, Errno, Phase, PrivilegedOperation, Syscall, SyscallNames, Text};
use report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use conditions::{AnyArgument, AnyReason, Condition, PassedValue, ValueReason};
pub use profile::{Argument, Profile, Rule};

use crate::source::{Runs, who};
use crate::{Options, Refusal, Runtime};
use conditions::Context;
use tables::{BASE_SETS, FAMILIES};

/// What the filter is to let through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seccomp {
    /// The tables of system calls that were used, and only these: through any other table nothing is let through.
    pub architectures: Vec<Arch>,
    /// The calls that are allowed, by name. A name stands for the call of each table that has one.
    pub allowed: Vec<AllowedCall>,
    /// What an argument of some of these must be, by name: without it the call is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Those whose argument could be filtered and is not, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_argument: Vec<AnyArgument>,
    /// Calls that were tried and are yet not allowed, by name.
    pub left_out: Vec<LeftOutCall>,
}

/// A call that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedCall {
    /// libseccomp's name for it.
    pub name: String,
    /// Why it is allowed: what was observed comes first.
    pub reasons: Vec<AllowReason>,
}

impl AllowedCall {
    /// Whether it was added because it turned out to be missing.
    pub(crate) fn is_amended(&self) -> bool {
        self.reasons.iter().any(|reason| matches!(reason, AllowReason::Denied { .. }))
    }
}

/// Why a call is allowed. In the order of their weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum AllowReason {
    /// The workload made it.
    Observed {
        /// It was made in a container that was made inside of the workload's.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        nested: bool,
        /// The part of the container's life.
        phase: Phase,
        /// The table that it was made through.
        arch: Arch,
        /// How often, in all runs.
        #[serde(with = "event::decimal")]
        #[schemars(with = "event::decimal::Digits")]
        count: u64,
        /// In how many runs.
        runs: u32,
        /// The program that made it first, in the first of these runs: its path, else its name; empty if not known.
        #[serde(default, skip_serializing_if = "Text::is_empty")]
        program: Text,
    },
    /// The runtime makes it itself when the filter is already in force.
    Runtime {
        /// The runtime.
        runtime: Runtime,
        /// The version that this was found on; `any` if it is Go's own.
        version: String,
        /// In which starts.
        when: String,
    },
    /// No program can avoid it, or a record cannot show it.
    Always {
        /// Why.
        why: String,
    },
    /// Another libc, or the same on another kernel, makes it in the place of one that was observed.
    Portability {
        /// The call that was observed.
        sibling: String,
        /// What both are for.
        why: String,
    },
    /// It was denied while the workload ran under a recommendation without it.
    Denied {
        /// In how many starts.
        starts: u32,
        /// The program that was denied it first; empty if not known.
        #[serde(default, skip_serializing_if = "Text::is_empty")]
        program: Text,
    },
}

/// A call that was tried and is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOutCall {
    /// libseccomp's name for it.
    pub name: String,
    /// Why.
    #[serde(flatten)]
    pub reason: LeftOutReason,
}

/// Why a call that was tried is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum LeftOutReason {
    /// It was refused before it was entered, each time: what was recorded is how the workload works without it.
    RefusedWhileRecorded {
        /// What it returned then.
        errnos: Vec<Errno>,
    },
    /// A ring of io_uring was set up, but nothing was ever asked for through it.
    RingNotUsed,
    /// Another call does the same and can be filtered by its arguments: this one is answered with ENOSYS, as by a kernel without
    /// it, and programs go on with the other.
    TakenOver {
        /// That call.
        by: String,
        /// Whether the workload made this one.
        made: bool,
    },
}

impl Seccomp {
    /// Whether a call is allowed.
    pub fn allows(&self, name: &str) -> bool {
        self.allowed.binary_search_by(|call| call.name.as_str().cmp(name)).is_ok()
    }

    /// Lets a call through with any argument, because it was denied; whether it had a condition.
    pub(crate) fn drop_condition(&mut self, name: &str) -> bool {
        let before = self.conditions.len();
        self.conditions.retain(|condition| condition.name != name);
        let had_one = self.conditions.len() < before;
        if had_one {
            let at = self.any_argument.partition_point(|one| one.name.as_str() < name);
            self.any_argument.insert(at, AnyArgument { name: name.to_owned(), because: AnyReason::Denied });
        }
        had_one
    }
}

/// The calls that use io_uring.
const IO_URING: [&str; 3] = ["io_uring_enter", "io_uring_register", "io_uring_setup"];

pub(crate) fn seccomp(
    runs: &Runs<'_>,
    options: &Options,
    runtimes: &[Runtime],
    no_new_privileges: bool,
) -> Result<Seccomp, Refusal> {
    let Observed { architectures, mut calls, refused, mut left_out } = observed(runs, options)?;
    let exists = |name: &str| architectures.iter().any(|&arch| SyscallNames::builtin().number(arch, name).is_some());

    let mut more = BTreeMap::<&'static str, BTreeSet<AllowReason>>::new();
    for set in BASE_SETS.iter().filter(|set| set.applies(runtimes, no_new_privileges)) {
        for &call in set.calls.iter().filter(|call| exists(call)) {
            let (version, when) = (set.version.to_owned(), set.when.to_owned());
            more.entry(call).or_default().insert(AllowReason::Runtime { runtime: set.runtime, version, when });
        }
    }
    for family in &*FAMILIES {
        let observed = family.calls.iter().find(|&&call| calls.contains_key(call));
        let why = family.why.to_owned();
        let reason = match observed {
            _ if family.always => AllowReason::Always { why },
            Some(&sibling) if options.siblings => AllowReason::Portability { sibling: sibling.to_owned(), why },
            _ => continue,
        };
        for &call in family.calls.iter().filter(|call| exists(call)) {
            let is_news = family.always || !(calls.contains_key(call) || refused.contains_key(call));
            if is_news {
                more.entry(call).or_default().insert(reason.clone());
            }
        }
    }
    for (call, reasons) in more {
        calls.entry(call.to_owned()).or_default().extend(reasons);
    }

    let mut found = conditions::Conditions::default();
    if options.arguments {
        let context = Context { runs, options, runtimes, architectures: &architectures, calls: &calls };
        found = conditions::conditions(&context);
    }
    if found.filters_clone
        && let Some(reasons) = calls.remove("clone3")
    {
        let by = "clone".to_owned();
        let why = "it takes over from clone3, whose flags no filter sees".to_owned();
        let reason = AllowReason::Portability { sibling: "clone3".to_owned(), why };
        calls.entry(by.clone()).or_insert_with(|| BTreeSet::from([reason]));
        let made = reasons.iter().any(|reason| matches!(reason, AllowReason::Observed { .. }));
        left_out.push(LeftOutCall { name: "clone3".to_owned(), reason: LeftOutReason::TakenOver { by, made } });
    }

    for (name, errnos) in refused {
        if !calls.contains_key(&name) {
            let errnos = errnos.into_iter().collect();
            left_out.push(LeftOutCall { name, reason: LeftOutReason::RefusedWhileRecorded { errnos } });
        }
    }
    left_out.sort_by(|one, other| one.name.cmp(&other.name));
    let allowed =
        calls.into_iter().map(|(name, reasons)| AllowedCall { name, reasons: reasons.into_iter().collect() }).collect();
    Ok(Seccomp {
        architectures: architectures.into_iter().collect(),
        allowed,
        conditions: found.conditions,
        any_argument: found.any,
        left_out,
    })
}

/// What the runs show.
struct Observed {
    architectures: BTreeSet<Arch>,
    /// What was entered, by name.
    calls: BTreeMap<String, BTreeSet<AllowReason>>,
    /// What was refused before it was entered and never entered, and what it returned.
    refused: BTreeMap<String, BTreeSet<Errno>>,
    left_out: Vec<LeftOutCall>,
}

/// What is counted by itself: a phase, a table and a call; in nested containers or not.
type Key = (bool, Phase, Syscall);

/// How often a call was made.
struct Tally {
    count: u64,
    runs: u32,
    program: Text,
}

fn observed(runs: &Runs<'_>, options: &Options) -> Result<Observed, Refusal> {
    let names = SyscallNames::builtin();
    let mut tallies = BTreeMap::<Key, Tally>::new();
    let mut refused = BTreeMap::<String, BTreeSet<Errno>>::new();
    for (run, is_nested) in runs.each() {
        // The runtime of a nested container is part of the workload around it.
        let counts = |used: &&SyscallUse| is_nested || options.phases().contains(&used.phase);
        for used in run.behaviour.syscalls.uses.iter().filter(counts) {
            if used.count == 0 {
                let errnos = refused.entry(names.name(used.syscall).into_owned()).or_default();
                errnos.extend(used.failures.iter().map(|failure| failure.errno));
                continue;
            }
            if names.lookup(used.syscall).is_none() {
                let Syscall { arch, number } = used.syscall;
                return Err(Refusal::Unnamed { who: who(run), arch, number });
            }
            let tally = tallies.entry((is_nested, used.phase, used.syscall)).or_insert_with(|| Tally {
                count: 0,
                runs: 0,
                program: program(used),
            });
            tally.count = tally.count.saturating_add(used.count);
            tally.runs += 1;
        }
    }

    let mut architectures = BTreeSet::new();
    let mut calls = BTreeMap::<String, BTreeSet<AllowReason>>::new();
    for ((nested, phase, syscall), Tally { count, runs, program }) in tallies {
        architectures.insert(syscall.arch);
        let reason = AllowReason::Observed { nested, phase, arch: syscall.arch, count, runs, program };
        calls.entry(names.name(syscall).into_owned()).or_default().insert(reason);
    }
    let mut left_out = Vec::new();
    if !calls.contains_key("io_uring_enter") && !runs.each().any(|(run, is_nested)| used_ring(run, options, is_nested))
    {
        for name in IO_URING {
            if calls.remove(name).is_some() {
                left_out.push(LeftOutCall { name: name.to_owned(), reason: LeftOutReason::RingNotUsed });
            }
        }
    }
    refused.retain(|name, _| !calls.contains_key(name) && !left_out.iter().any(|call| call.name == *name));
    Ok(Observed { architectures, calls, refused, left_out })
}

/// Whether something was asked for through a ring: the kernel takes requests of some rings without a call.
fn used_ring(run: &Report, options: &Options, is_nested: bool) -> bool {
    run.behaviour.privileged.operations.iter().any(|one| {
        let counts = is_nested || options.phases().contains(&one.phase);
        counts && one.operation == PrivilegedOperation::IoUringRequest && one.count > 0
    })
}

/// The program of the first use: its executable, else its name.
fn program(used: &SyscallUse) -> Text {
    match &used.first {
        Some(first) if !first.executable.is_empty() => first.executable.clone(),
        Some(first) => first.comm.clone(),
        None => Text::default(),
    }
}
