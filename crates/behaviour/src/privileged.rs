//! Privileged operations, and with which rights programs ran.

use std::collections::BTreeMap;

use event::{
    CapabilitySet, Confinement, Errno, Event, Ids, Outcome, Payload, Phase, PrivilegedOperation, PrivilegedUse, RunId,
    SeccompMode, Text, UserNamespace,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FirstUse;
use crate::first::First;
use crate::images::Images;
use crate::lists::merged;

/// What a container did, or tried to do, that concerns more than its own processes and files, and with which rights its
/// programs ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Privileged {
    /// The operations, ordered by phase, operation, errno and the rest of what tells them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationUse>,
    /// The distinct states that programs ran in, ordered by phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confinement: Vec<ConfinementUse>,
    /// Processes that came in from outside after the workload had started, by the way that they came in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entered: Vec<EnteredUse>,
}

/// Operations of one phase that are alike in everything but the target's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// What was done, or tried.
    pub operation: PrivilegedOperation,
    /// What became of it.
    pub outcome: Outcome,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// What was passed, by the kernel's names for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Text>,
    /// What it was done to, as it was passed.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub object: Text,
    /// What it was done with, as it was passed.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub source: Text,
    /// The type of the file system or key, as it was passed.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub type_name: Text,
    /// One of these three is cut off, or could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The ids before, if it may change them and they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ids>,
    /// The ids after, if it may change them and succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Ids>,
    /// It was done to a process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_target: bool,
    /// The name of the first process that it was done to.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub target_comm: Text,
    /// The container of the process that it was done to; left out if it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_run: Option<RunId>,
    /// It stands for all those of this operation and errno beyond what is kept apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first time.
    pub first: FirstUse,
    /// The end of the last snapshot interval in which the count grew, or the time of the only one; in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
}

/// A state that programs of one phase ran in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfinementUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// Whether seccomp filters their system calls.
    pub seccomp: SeccompMode,
    /// Whether programs that they start gain no rights.
    pub no_new_privileges: bool,
    /// Whose user namespace their capabilities count in.
    pub user_namespace: UserNamespace,
    /// Effective capabilities.
    pub effective: CapabilitySet,
    /// Permitted capabilities.
    pub permitted: CapabilitySet,
    /// Inheritable capabilities.
    pub inheritable: CapabilitySet,
    /// The bounding set.
    pub bounding: CapabilitySet,
    /// Ambient capabilities.
    pub ambient: CapabilitySet,
    /// Their ids, as the first user namespace numbers them.
    pub ids: Ids,
    /// The namespaces that they share with the host: `cgroup`, `ipc`, `mount`, `net`, `pid`, `uts`; or `unknown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_namespaces: Vec<Text>,
    /// It stands for all states beyond those that are kept apart: then nothing else here means anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// How often it was seen: when a program started, and after a call that changed it.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first time.
    pub first: FirstUse,
    /// The end of the last snapshot interval in which the count grew, or the time of the only one; in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
}

/// How processes came in from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnteredUse {
    /// The way.
    pub way: Way,
    /// How many.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first, and who moved it there: of one that entered a namespace, itself.
    pub first: FirstUse,
}

/// A way into a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Into its cgroup: by a move, or made there.
    Cgroup,
    /// Into its mount namespace, while its cgroup is another: `nsenter`.
    Namespace,
}

impl Way {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Way::Cgroup => "cgroup",
            Way::Namespace => "namespace",
        }
    }
}

/// What tells operations apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OperationKey {
    phase: Phase,
    operation: PrivilegedOperation,
    errno: Option<Errno>,
    others: bool,
    details: Vec<Text>,
    texts: [Text; 3],
    truncated: bool,
    ids: [Option<Ids>; 2],
    has_target: bool,
    target_run: Option<RunId>,
}

/// What tells states apart.
type StateKey = (Phase, bool, SeccompMode, bool, UserNamespace, [CapabilitySet; 5], Ids, Vec<Text>);

impl Privileged {
    /// Those of several runs as one: every entry of both, the sums of the counts, the earliest first and the latest last
    /// time. The order and the grouping of merges make no difference.
    pub fn merge(self, other: Privileged) -> Privileged {
        Privileged {
            operations: merged(self.operations, other.operations, OperationUse::key, OperationUse::merge),
            confinement: merged(self.confinement, other.confinement, ConfinementUse::key, ConfinementUse::merge),
            entered: merged(self.entered, other.entered, |one| one.way, EnteredUse::merge),
        }
    }
}

impl OperationUse {
    fn key(&self) -> OperationKey {
        OperationKey {
            phase: self.phase,
            operation: self.operation,
            errno: self.errno,
            others: self.others,
            details: self.details.clone(),
            texts: [self.object.clone(), self.source.clone(), self.type_name.clone()],
            truncated: self.truncated,
            ids: [self.before, self.after],
            has_target: self.has_target,
            target_run: self.target_run,
        }
    }

    fn merge(self, other: OperationUse) -> OperationUse {
        // What is told of the first goes with it.
        let (first, later) = if (&other.first, &other.target_comm) < (&self.first, &self.target_comm) {
            (other, self)
        } else {
            (self, other)
        };
        OperationUse {
            count: first.count.saturating_add(later.count),
            last_boot_ns: first.last_boot_ns.max(later.last_boot_ns),
            ..first
        }
    }
}

impl ConfinementUse {
    fn key(&self) -> StateKey {
        let sets = [self.effective, self.permitted, self.inheritable, self.bounding, self.ambient];
        let namespaces = self.host_namespaces.clone();
        (self.phase, self.others, self.seccomp, self.no_new_privileges, self.user_namespace, sets, self.ids, namespaces)
    }

    fn merge(self, other: ConfinementUse) -> ConfinementUse {
        ConfinementUse {
            count: self.count.saturating_add(other.count),
            last_boot_ns: self.last_boot_ns.max(other.last_boot_ns),
            first: self.first.min(other.first),
            ..other
        }
    }
}

impl EnteredUse {
    fn merge(self, other: EnteredUse) -> EnteredUse {
        EnteredUse { count: self.count.saturating_add(other.count), first: self.first.min(other.first), ..other }
    }
}

/// What is known of one run so far. The same fact comes as an event, and again and again out of the kernel's sets: counts
/// replace and never fall. Memory is bounded by those sets, of which each container has so many entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    operations: BTreeMap<OperationKey, Entry<PrivilegedUse>>,
    states: BTreeMap<StateKey, Entry<Confinement>>,
    entered: BTreeMap<Way, Entry<()>>,
    has_started: bool,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    fact: T,
    count: u64,
    first: First,
    last_boot_ns: u64,
}

impl<T> Entry<T> {
    fn new(fact: T, event: &Event) -> Entry<T> {
        Entry { fact, count: 0, first: First::new(event.boot_ns, &event.task), last_boot_ns: 0 }
    }

    fn count(&mut self, fact: impl FnOnce() -> T, count: u64, event: &Event, boot_ns: u64, images: &Images) {
        if count > self.count {
            self.count = count;
            self.last_boot_ns = self.last_boot_ns.max(boot_ns);
        }
        if event.boot_ns < self.first.boot_ns {
            self.first = First::new(event.boot_ns, &event.task);
            self.fact = fact();
        }
        self.first.resolve(images);
    }
}

impl Operations {
    /// Takes in an event, or an entry of a set as it was at this time.
    pub(crate) fn observe(&mut self, event: &Event, boot_ns: u64, images: &Images) {
        match &event.payload {
            Payload::Privileged(used) if used.count > 0 => {
                let key = key_of(event.phase, used);
                let entry = self.operations.entry(key).or_insert_with(|| Entry::new(used.clone(), event));
                entry.count(|| used.clone(), used.count, event, boot_ns, images);
            }
            Payload::Confinement(state) if state.count > 0 => {
                let sets = [state.effective, state.permitted, state.inheritable, state.bounding, state.ambient];
                let key = (
                    event.phase,
                    state.others,
                    state.seccomp,
                    state.no_new_privileges,
                    state.user_namespace,
                    sets,
                    state.ids,
                    state.host_namespaces.clone(),
                );
                let entry = self.states.entry(key).or_insert_with(|| Entry::new(state.clone(), event));
                entry.count(|| state.clone(), state.count, event, boot_ns, images);
            }
            Payload::ContainerStarted(_) => self.start(),
            // A runtime's own come in before the workload starts.
            Payload::TaskEntered(entered) if self.has_started => {
                let is_own = event.task.image.process == entered.image.process;
                let way = if is_own && event.phase == Phase::Exec { Way::Namespace } else { Way::Cgroup };
                let entry = self.entered.entry(way).or_insert_with(|| Entry::new((), event));
                let count = entry.count.saturating_add(1);
                entry.count(|| (), count, event, boot_ns, images);
            }
            _ => {}
        }
    }

    /// The workload runs: whoever comes in from now on is none of its runtime's.
    pub(crate) fn start(&mut self) {
        self.has_started = true;
    }

    pub(crate) fn freeze(&self, images: &Images) -> Privileged {
        Privileged {
            operations: self.operations.iter().map(|(key, entry)| operation_use(key.phase, entry, images)).collect(),
            confinement: self.states.iter().map(|(key, entry)| confinement_use(key.0, entry, images)).collect(),
            entered: self
                .entered
                .iter()
                .map(|(&way, entry)| EnteredUse { way, count: entry.count, first: entry.first.freeze(images) })
                .collect(),
        }
    }
}

fn key_of(phase: Phase, used: &PrivilegedUse) -> OperationKey {
    OperationKey {
        phase,
        operation: used.operation,
        errno: used.errno,
        others: used.others,
        details: used.details.clone(),
        texts: [used.object.clone(), used.source.clone(), used.type_name.clone()],
        truncated: used.truncated,
        ids: [used.before, used.after],
        has_target: used.target.is_some(),
        target_run: used.target_run,
    }
}

fn operation_use(phase: Phase, entry: &Entry<PrivilegedUse>, images: &Images) -> OperationUse {
    let fact = entry.fact.clone();
    OperationUse {
        phase,
        operation: fact.operation,
        outcome: fact.outcome,
        errno: fact.errno,
        details: fact.details,
        object: fact.object,
        source: fact.source,
        type_name: fact.type_name,
        truncated: fact.truncated,
        before: fact.before,
        after: fact.after,
        has_target: fact.target.is_some(),
        target_comm: fact.target_comm,
        target_run: fact.target_run,
        others: fact.others,
        count: entry.count,
        first: entry.first.freeze(images),
        last_boot_ns: entry.last_boot_ns,
    }
}

fn confinement_use(phase: Phase, entry: &Entry<Confinement>, images: &Images) -> ConfinementUse {
    let fact = &entry.fact;
    ConfinementUse {
        phase,
        seccomp: fact.seccomp,
        no_new_privileges: fact.no_new_privileges,
        user_namespace: fact.user_namespace,
        effective: fact.effective,
        permitted: fact.permitted,
        inheritable: fact.inheritable,
        bounding: fact.bounding,
        ambient: fact.ambient,
        ids: fact.ids,
        host_namespaces: fact.host_namespaces.clone(),
        others: fact.others,
        count: entry.count,
        first: entry.first.freeze(images),
        last_boot_ns: entry.last_boot_ns,
    }
}

#[cfg(test)]
mod tests {
    use event::{ContainerStarted, ExecId, ProcessId, TaskEntered, TaskId};

    use super::*;

    fn event(at: u64, pid: u32, phase: Phase, payload: Payload) -> Event {
        let process = ProcessId { pid, start_ns: 1 };
        Event {
            boot_ns: at,
            run: RunId { slot: 1, generation: 0 },
            phase,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: pid, comm: "nsenter".into() },
            payload,
        }
    }

    fn used(object: &str, count: u64) -> PrivilegedUse {
        PrivilegedUse {
            operation: PrivilegedOperation::Mount,
            outcome: Outcome::Denied,
            errno: Some(Errno(1)),
            details: vec!["MS_BIND".into()],
            object: object.into(),
            source: "/".into(),
            type_name: Text::default(),
            truncated: false,
            before: None,
            after: None,
            target: None,
            target_comm: Text::default(),
            target_run: None,
            others: false,
            count,
        }
    }

    fn seen(events: &[(Event, u64)]) -> Privileged {
        let (mut operations, images) = (Operations::default(), Images::new(10, 1000));
        events.iter().for_each(|(event, boot_ns)| operations.observe(event, *boot_ns, &images));
        operations.freeze(&images)
    }

    #[test]
    fn the_event_and_the_set_are_one_fact_and_the_newest_count_is_the_count() {
        let mount = |object, count| event(5, 7, Phase::Main, Payload::Privileged(used(object, count)));

        let seen = seen(&[(mount("/a", 1), 5), (mount("/a", 4), 20), (mount("/a", 4), 30), (mount("/b", 1), 30)]);

        let found: Vec<_> =
            seen.operations.iter().map(|one| (one.object.clone(), one.count, one.last_boot_ns)).collect();
        assert_eq!(found, [("/a".into(), 4, 20), ("/b".into(), 1, 30)]);
    }

    #[test]
    fn whoever_comes_in_before_the_workload_starts_is_its_runtimes() {
        let process = |pid| ProcessId { pid, start_ns: 1 };
        let enters = |at, mover, pid, phase| {
            let image = ExecId { process: process(pid), exec: 1 };
            (event(at, mover, phase, Payload::TaskEntered(TaskEntered { image, whole_process: true })), at)
        };
        let started = ContainerStarted { mount_namespace: 1, pid_namespace: 2, user_namespace: 3 };
        let started = (event(2, 5, Phase::Main, Payload::ContainerStarted(started)), 2);

        let seen = seen(&[
            enters(1, 4, 5, Phase::RuntimeInit),
            started,
            enters(3, 4, 6, Phase::RuntimeInit),
            enters(4, 4, 7, Phase::RuntimeInit),
            enters(5, 9, 9, Phase::Exec),
        ]);

        let found: Vec<_> = seen.entered.iter().map(|one| (one.way, one.count, one.first.image.process.pid)).collect();
        assert_eq!(found, [(Way::Cgroup, 2, 4), (Way::Namespace, 1, 9)]);
    }

    #[test]
    fn an_operation_that_says_little_is_little_in_json() {
        let mount = event(5, 7, Phase::Main, Payload::Privileged(used("/a", 1)));
        let seen = seen(&[(mount, 5)]);

        let json = serde_json::to_string(&seen).expect("json");

        assert_eq!(serde_json::from_str::<Privileged>(&json).expect("its own form"), seen);
        assert!(!json.contains("type_name") && !json.contains("before") && !json.contains("target"), "{json}");
        assert_eq!(serde_json::from_str::<Privileged>("{}").expect("nothing"), Privileged::default());
    }
}
