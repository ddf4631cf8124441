//! Capabilities: what the kernel checked, what it answered, how often, and by which program and call first.

use std::collections::BTreeMap;

use event::{
    Capability, CapabilityAudit, CapabilityCheck, CapabilityNamespace, Credentials, Event, Phase, Syscall,
    SyscallNames, Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FirstUse;
use crate::first::First;
use crate::images::Images;

/// The capabilities that the kernel checked for a container: one entry per phase, capability, answer, and way of asking.
///
/// In JSON a list, in this order. That a capability was used does not say that it was needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Capabilities {
    /// The entries, ordered by phase, capability, answer, audit, namespace and credentials.
    pub uses: Vec<CapabilityUse>,
}

impl Capabilities {
    /// The checks of several runs as one: every entry of both, the sums of the counts, the earliest first check and the
    /// latest last one. The order and the grouping of merges make no difference.
    ///
    /// Times are compared as they are: those of two boots or machines have no order that means anything.
    pub fn merge(self, other: Capabilities) -> Capabilities {
        let mut merged = BTreeMap::<Key, CapabilityUse>::new();
        for one in self.uses.into_iter().chain(other.uses) {
            let key = one.key();
            let sum = match merged.remove(&key) {
                Some(known) => known.merge(one),
                None => one,
            };
            merged.insert(key, sum);
        }
        Capabilities { uses: merged.into_values().collect() }
    }
}

/// What is counted by itself.
type Key = (Phase, Capability, Verdict, CapabilityAudit, CapabilityNamespace, Credentials);

/// How one capability was asked for in one phase, and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The capability.
    pub capability: Capability,
    /// What the kernel answered.
    pub verdict: Verdict,
    /// Whether it would have a denial audited.
    pub audit: CapabilityAudit,
    /// The user namespace that it was asked for.
    pub namespace: CapabilityNamespace,
    /// Whose credentials were looked at.
    pub credentials: Credentials,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first check of all.
    pub first: FirstCheck,
    /// The end of the last snapshot interval in which the count grew, or the time of the only check; in nanoseconds since
    /// boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
}

/// What a check may mean to whoever decides on capabilities; those that matter most come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckMeaning {
    /// The kernel asked, and the task has it.
    Used,
    /// The kernel asked, and the task has it not.
    Denied,
    /// The kernel asked only to choose between two ways of going on.
    Silent,
    /// In a user namespace that the container made itself.
    InWorkload,
    /// With credentials that are not the task's.
    OfOthers,
}

impl CheckMeaning {
    /// In one word: a title must fit the narrowest terminal.
    pub fn name(self) -> &'static str {
        match self {
            CheckMeaning::Used => "used",
            CheckMeaning::Denied => "denied",
            CheckMeaning::Silent => "unaudited",
            CheckMeaning::InWorkload => "nested",
            CheckMeaning::OfOthers => "borrowed",
        }
    }
}

impl CapabilityUse {
    /// What these checks may mean.
    pub fn meaning(&self) -> CheckMeaning {
        match (self.credentials, self.namespace, self.audit, self.verdict) {
            (Credentials::Other, ..) => CheckMeaning::OfOthers,
            (_, CapabilityNamespace::Workload, ..) => CheckMeaning::InWorkload,
            (_, _, CapabilityAudit::No, _) => CheckMeaning::Silent,
            (_, _, _, Verdict::Used) => CheckMeaning::Used,
            (_, _, _, Verdict::Denied) => CheckMeaning::Denied,
        }
    }

    fn key(&self) -> Key {
        (self.phase, self.capability, self.verdict, self.audit, self.namespace, self.credentials)
    }

    fn merge(self, other: CapabilityUse) -> CapabilityUse {
        CapabilityUse {
            count: self.count.saturating_add(other.count),
            last_boot_ns: self.last_boot_ns.max(other.last_boot_ns),
            first: self.first.min(other.first),
            ..other
        }
    }
}

/// The first check of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct FirstCheck {
    /// When, and which program.
    #[serde(flatten)]
    pub by: FirstUse,
    /// The system call that it was in; none if it was in none (a page fault asks for memory, too), or if that is not known.
    pub syscall: Option<NamedCall>,
}

/// A system call and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NamedCall {
    /// The call.
    #[serde(flatten)]
    pub syscall: Syscall,
    /// Its name at the time of recording; `nr 471` if nobody had one.
    pub name: String,
}

/// What is known of one run so far. The same fact comes as an event, and again and again out of the kernel's set: counts
/// replace and never fall. Memory is bounded by the few values that each part of a key has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    uses: BTreeMap<Key, Use>,
}

#[derive(Clone, Debug)]
struct Use {
    count: u64,
    first: First,
    syscall: Option<Syscall>,
    name: Option<String>,
    last_boot_ns: u64,
}

impl Checks {
    /// Takes in what a check has come to, as it was at this time.
    pub(crate) fn check(&mut self, event: &Event, check: &CapabilityCheck, boot_ns: u64, images: &Images) {
        let key = (event.phase, check.capability, check.verdict, check.audit, check.namespace, check.credentials);
        if check.count == 0 {
            return;
        }
        let used = self.uses.entry(key).or_insert_with(|| Use {
            count: 0,
            first: First::new(event.boot_ns, &event.task),
            syscall: check.syscall,
            name: None,
            last_boot_ns: 0,
        });
        if check.count > used.count {
            used.count = check.count;
            used.last_boot_ns = used.last_boot_ns.max(boot_ns);
        }
        if event.boot_ns < used.first.boot_ns {
            used.first = First::new(event.boot_ns, &event.task);
            (used.syscall, used.name) = (check.syscall, None);
        }
        used.first.resolve(images);
    }

    /// Gives every system call its name that has none yet.
    pub(crate) fn name(&mut self, names: &SyscallNames) {
        for used in self.uses.values_mut().filter(|used| used.name.is_none()) {
            used.name = used.syscall.and_then(|call| names.lookup(call)).map(str::to_owned);
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> Capabilities {
        let builtin = SyscallNames::builtin();
        let named = |used: &Use| {
            let syscall = used.syscall?;
            let name = used.name.clone().unwrap_or_else(|| builtin.name(syscall).into_owned());
            Some(NamedCall { syscall, name })
        };
        let uses = self.uses.iter().map(|(&(phase, capability, verdict, audit, namespace, credentials), used)| {
            CapabilityUse {
                phase,
                capability,
                verdict,
                audit,
                namespace,
                credentials,
                count: used.count,
                first: FirstCheck { by: used.first.freeze(images), syscall: named(used) },
                last_boot_ns: used.last_boot_ns,
            }
        });
        Capabilities { uses: uses.collect() }
    }
}

#[cfg(test)]
mod tests {
    use event::{Arch, ExecId, Payload, ProcessId, RunId, TaskId};

    use super::*;

    fn check(at: u64, pid: u32, count: u64) -> Event {
        let process = ProcessId { pid, start_ns: 1 };
        Event {
            boot_ns: at,
            run: RunId { slot: 1, generation: 0 },
            phase: Phase::Main,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: pid, comm: "chown".into() },
            payload: Payload::Capability(CapabilityCheck {
                capability: Capability::new(0).expect("in a set"),
                verdict: Verdict::Used,
                audit: CapabilityAudit::Yes,
                namespace: CapabilityNamespace::Initial,
                credentials: Credentials::Own,
                syscall: Some(Syscall { arch: Arch::X86_64, number: 260 + 3740 * u32::from(pid == 9) }),
                count,
            }),
        }
    }

    fn checked(steps: &[(Event, u64)]) -> Vec<CapabilityUse> {
        let (mut checks, images) = (Checks::default(), Images::new(10, 1000));
        for (event, boot_ns) in steps {
            let Payload::Capability(check) = &event.payload else { panic!("{event:?}") };
            checks.check(event, check, *boot_ns, &images);
        }
        checks.freeze(&images).uses
    }

    #[test]
    fn the_event_and_the_set_are_one_fact_and_the_newest_count_is_the_count() {
        let uses = checked(&[(check(5, 7, 1), 5), (check(5, 7, 1), 10), (check(5, 7, 4), 20), (check(5, 7, 4), 30)]);

        assert_eq!((uses.len(), uses[0].count, uses[0].last_boot_ns), (1, 4, 20));
        assert_eq!((uses[0].first.by.boot_ns, uses[0].first.by.image.process.pid), (5, 7));
        assert_eq!(uses[0].first.syscall.as_ref().map(|call| call.name.as_str()), Some("fchownat"));
    }

    #[test]
    fn an_event_that_comes_late_changes_no_count_and_its_time_counts_only_if_it_is_earlier() {
        let uses = checked(&[(check(5, 7, 4), 20), (check(5, 7, 1), 5), (check(3, 8, 1), 3), (check(9, 6, 0), 40)]);

        assert_eq!((uses[0].count, uses[0].last_boot_ns), (4, 20));
        assert_eq!((uses[0].first.by.boot_ns, uses[0].first.by.image.process.pid), (3, 8));
    }

    #[test]
    fn a_name_that_somebody_knows_is_taken_and_a_number_is_the_last_resort() {
        let (mut checks, images) = (Checks::default(), Images::new(10, 1000));
        let event = check(5, 9, 1);
        let Payload::Capability(new) = &event.payload else { panic!("{event:?}") };
        let name = |checks: &Checks| checks.freeze(&images).uses[0].first.syscall.clone().map(|call| call.name);
        checks.check(&event, new, 5, &images);
        assert_eq!(name(&checks).as_deref(), Some("nr 4000"));

        let mut names = SyscallNames::builtin();
        names.extend_one(Arch::X86_64, 4000, "new_call").expect("a new name");
        checks.name(&names);

        assert_eq!(name(&checks).as_deref(), Some("new_call"));
    }

    #[test]
    fn an_entry_survives_its_json() {
        let uses = checked(&[(check(5, 7, u64::MAX), 6)]);

        let json = serde_json::to_string(&Capabilities { uses: uses.clone() }).expect("json");

        assert_eq!(serde_json::from_str::<Capabilities>(&json).expect("its own form").uses, uses);
        assert!(
            json.starts_with(r#"[{"phase":"main","capability":"CAP_CHOWN","verdict":"used","audit":"yes","#),
            "{json}"
        );
    }
}
