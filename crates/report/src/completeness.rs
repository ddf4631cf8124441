//! Whether a report is complete, and why not. The rules are here and nowhere else.

use event::{Arch, Protocol, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AttachState, Loss, ObservedFrom, Report, SensorHealth, Stage, rings};

/// The parts of a behaviour, and the sensor that each comes from.
const SECTIONS: [(&str, &str); 10] = [
    ("arguments", ARGUMENTS_SENSOR),
    ("capabilities", "capabilities"),
    ("files", FILES_SENSOR),
    ("network", NETWORK_SENSOR),
    ("privileged", PRIVILEGED_SENSOR),
    ("processes", PROCESS_SENSOR),
    ("resources", "resources"),
    ("scripts", PROCESS_SENSOR),
    ("syscalls", "syscalls"),
    ("terminals", "terminal"),
];
/// The sensor that lists what calls are passed.
const ARGUMENTS_SENSOR: &str = "arguments";
/// The sensor that lists files.
const FILES_SENSOR: &str = "files";
/// The sensor that lists connections.
const NETWORK_SENSOR: &str = "network";
/// The sensor that lists privileged operations.
const PRIVILEGED_SENSOR: &str = "privileged";
/// The sensor that lists processes.
const PROCESS_SENSOR: &str = "process";
/// The sensor that says which container a task is in: what it misses, all others miss.
const IDENTITY_SENSOR: &str = "identity";

/// Whether counts are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Each count is the true one.
    Exact,
    /// Threads moved while the counts were read: each may be below the truth, never above.
    AtLeast,
}

impl Counts {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Counts::Exact => "exact",
            Counts::AtLeast => "at-least",
        }
    }
}

/// One reason why a report is not complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The reason, for programs.
    pub code: ReasonCode,
    /// The one sensor whose facts are not complete; none if it concerns all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<Text>,
    /// The reason, for people: one sentence without its full stop.
    pub text: Text,
}

/// The reasons, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// The workload runs behind another kernel, which ringfence cannot see into.
    WorkloadNotVisible,
    /// The container ran already when it was found.
    ObservedLate,
    /// A sensor did not observe.
    SensorMissing,
    /// Something was lost on the way.
    Loss,
    /// There were more processes, programs or arguments than a report lists.
    ProcessesNotListed,
    /// Something else, in the text.
    Other,
}

impl ReasonCode {
    /// Whether [`Report::finish`] finds this reason by itself.
    fn is_derived(self) -> bool {
        match self {
            ReasonCode::ObservedLate
            | ReasonCode::SensorMissing
            | ReasonCode::Loss
            | ReasonCode::ProcessesNotListed => true,
            ReasonCode::WorkloadNotVisible | ReasonCode::Other => false,
        }
    }
}

impl Report {
    /// The report in its final form: equal losses are added up, lists are put in their order, and `complete`,
    /// `sections`, `reasons` and `counts` follow from the rest. Reasons that only the caller can know (`workload-not-visible`, `other`) are
    /// kept. Every report passes here once before it is written; doing it again changes nothing.
    pub fn finish(mut self) -> Report {
        self.losses = merged(std::mem::take(&mut self.losses));
        self.sensors.sort();
        self.cost.programs.sort();

        self.reasons.retain(|reason| !reason.code.is_derived());
        let derived = self.derived_reasons();
        self.reasons.extend(derived);
        self.reasons.sort();
        self.reasons.dedup();
        self.complete = self.reasons.is_empty();
        self.sections =
            SECTIONS.iter().map(|&(section, sensor)| (section.into(), self.is_complete_for(sensor))).collect();
        self.counts = if self.behaviour.counts_at_least { Counts::AtLeast } else { Counts::Exact };
        self
    }

    /// Whether something that this kernel could have shown is not in the report.
    pub fn has_gaps(&self) -> bool {
        let is_unsupported = |reason: &Reason| {
            let of = |sensor: &&SensorHealth| Some(&sensor.name) == reason.sensor.as_ref();
            reason.code == ReasonCode::SensorMissing
                && self.sensors.iter().find(of).is_some_and(|sensor| sensor.state == AttachState::Unsupported)
        };
        !self.reasons.iter().all(is_unsupported)
    }

    /// Whether no reason concerns what this sensor observes.
    fn is_complete_for(&self, sensor: &str) -> bool {
        let concerns = |reason: &Reason| {
            let of = reason.sensor.as_ref().map(Text::as_bytes);
            of.is_none_or(|of| of == sensor.as_bytes() || of == IDENTITY_SENSOR.as_bytes())
        };
        self.sensors.iter().any(|health| health.name.as_bytes() == sensor.as_bytes())
            && !self.reasons.iter().any(concerns)
    }

    fn derived_reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.window.observed_from == ObservedFrom::Attach {
            reasons.push(Reason {
                code: ReasonCode::ObservedLate,
                sensor: None,
                text: "the container ran already when it was found: what it did before is not in this report".into(),
            });
        }
        if self.sensors.is_empty() {
            reasons.push(Reason {
                code: ReasonCode::SensorMissing,
                sensor: None,
                text: "no sensor observed the container".into(),
            });
        }
        reasons.extend(self.sensors.iter().filter(|sensor| sensor.state != AttachState::Attached).map(missing));
        reasons.extend(self.losses.iter().map(lost));

        let tree = &self.behaviour.processes;
        if !tree.kept_all {
            let listed = tree.processes.len() as u64;
            let text = match tree.total.checked_sub(listed) {
                Some(more @ 1..) => format!("{more} of {} processes were counted but are not listed", tree.total),
                Some(0) | None => "some programs or arguments of the processes are not listed".to_owned(),
            };
            reasons.push(Reason {
                code: ReasonCode::ProcessesNotListed,
                sensor: Some(PROCESS_SENSOR.into()),
                text: text.into(),
            });
        }
        let scripts = self.behaviour.scripts.unlisted;
        reasons.extend((scripts > 0).then(|| {
            Reason {
                code: ReasonCode::Other,
                sensor: Some(PROCESS_SENSOR.into()),
                text: format!(
                    "{scripts} {} a script was run that is not listed",
                    if scripts == 1 { "time" } else { "times" }
                )
                .into(),
            }
        }));
        let programs = self.behaviour.terminals.unlisted;
        reasons.extend((programs > 0).then(|| {
            Reason {
                code: ReasonCode::Other,
                sensor: Some("terminal".into()),
                text: format!(
                    "{programs} {} a program was started, or something typed or shown, in a session that is not listed",
                    if programs == 1 { "time" } else { "times" }
                )
                .into(),
            }
        }));
        reasons.extend(self.missing_files().map(|text| Reason {
            code: ReasonCode::Other,
            sensor: Some(FILES_SENSOR.into()),
            text: text.into(),
        }));
        reasons.extend(self.missing_connections().map(|text| Reason {
            code: ReasonCode::Other,
            sensor: Some(NETWORK_SENSOR.into()),
            text: text.into(),
        }));
        let operations = self.indistinct_operations().into_iter().chain(self.far_calls("privileged operations"));
        reasons.extend(operations.map(|text| Reason {
            code: ReasonCode::Other,
            sensor: Some(PRIVILEGED_SENSOR.into()),
            text: text.into(),
        }));
        reasons.extend(self.far_calls("arguments").map(|text| Reason {
            code: ReasonCode::Other,
            sensor: Some(ARGUMENTS_SENSOR.into()),
            text: text.into(),
        }));
        reasons
    }

    /// What was counted without being told apart, in a sentence.
    fn indistinct_operations(&self) -> Option<String> {
        let privileged = &self.behaviour.privileged;
        let operations = privileged.operations.iter().filter(|one| one.others).map(|one| one.count);
        let states = privileged.confinement.iter().filter(|one| one.others).map(|one| one.count);
        let count = operations.chain(states).fold(0_u64, u64::saturating_add);
        let times = if count == 1 { "time" } else { "times" };
        (count > 0).then(|| format!("{count} {times} a privileged operation or a change of rights is not told apart"))
    }

    /// Whether one of these system calls was made.
    fn called(&self, wanted: &[&str]) -> bool {
        self.behaviour.syscalls.uses.iter().any(|used| wanted.contains(&used.name.as_str()) && used.count > 0)
    }

    /// That this may be missing for calls beyond the table that x32 shares with the machine's own, if there were any: their
    /// numbers have other names there.
    fn far_calls(&self, what: &str) -> Option<String> {
        let is_far = |used: &behaviour::SyscallUse| used.syscall.arch == Arch::X32 && used.syscall.number >= 512;
        let far = self.behaviour.syscalls.uses.iter().any(is_far);
        far.then(|| format!("x32 calls of numbers from 512 on used: {what} may be missing"))
    }

    /// Why connections may be missing, each in a sentence.
    fn missing_connections(&self) -> impl Iterator<Item = String> {
        let network = &self.behaviour.network;
        let rings = rings::network(self);
        let paths = network.flows.iter().any(|flow| flow.protocol == Protocol::Mptcp);
        let paths = paths.then(|| "Multipath TCP used: bytes and ends of its connections may be missing".to_owned());
        let unlisted = network.unlisted_connections();
        let unlisted = (unlisted > 0).then(|| {
            let what = if unlisted == 1 { "connection was" } else { "connections were" };
            format!("{unlisted} {what} with peers that are not listed")
        });
        [rings, self.far_calls("messages"), paths, unlisted].into_iter().flatten()
    }

    /// Why files may be missing, each in a sentence.
    fn missing_files(&self) -> impl Iterator<Item = String> {
        let unlisted = self.behaviour.files.unlisted_names();
        let rings = rings::files(self);
        let submits =
            self.called(&["io_submit"]).then(|| "io_submit used: reading and writing files may be missing".to_owned());
        let far = self.far_calls("file operations");
        let opens = self.behaviour.files.unlisted_opens();
        let opens = (opens > 0).then(|| {
            let times = if opens == 1 { "time" } else { "times" };
            format!("{opens} {times} a file was opened that is not listed, nor its directory")
        });
        let names = (unlisted > 0).then(|| {
            let times = if unlisted == 1 { "time" } else { "times" };
            format!("{unlisted} {times} something was done to a name that is not listed")
        });
        [rings, submits, far, opens, names].into_iter().flatten()
    }
}

/// The losses that really were some, added up per place, sensor and knob.
fn merged(mut losses: Vec<Loss>) -> Vec<Loss> {
    losses.retain(|loss| loss.count > 0);
    losses.sort();
    losses.dedup_by(|next, kept| {
        let same = (kept.stage, &kept.sensor, &kept.knob) == (next.stage, &next.sensor, &next.knob);
        if same {
            kept.count = kept.count.saturating_add(next.count);
        }
        same
    });
    losses
}

fn missing(sensor: &SensorHealth) -> Reason {
    let name = sensor.name.escaped();
    let because = sensor.reason.as_ref().map(|reason| format!(": {}", reason.escaped())).unwrap_or_default();
    let text = match sensor.state {
        AttachState::Unsupported => format!("this kernel cannot run the sensor {name}{because}"),
        AttachState::Attached | AttachState::Failed => format!("the sensor {name} did not run{because}"),
    };
    Reason { code: ReasonCode::SensorMissing, sensor: Some(sensor.name.clone()), text: reparsed(&text) }
}

fn lost(loss: &Loss) -> Reason {
    let sensor = loss.sensor.escaped();
    let (one, many, fate) = match loss.stage {
        Stage::Recursion => {
            ("program run", "program runs", "did not take place: the kernel skips a program that already runs")
        }
        Stage::KernelMap => ("entry", "entries", "found no room in a kernel map"),
        Stage::KernelRing => ("event", "events", "found no room in the ring buffer"),
        Stage::Reader => ("reading", "readings", "failed"),
        Stage::Decode => ("record", "records", "could not be understood"),
        Stage::Queue => ("event", "events", "found no room in the queue"),
    };
    let what = if loss.count == 1 { one } else { many };
    let help = loss.knob.as_ref().map(|knob| format!("; {} helps", knob.escaped())).unwrap_or_default();
    let text = format!("{} {what} of the sensor {sensor} {fate}{help}", loss.count);
    Reason { code: ReasonCode::Loss, sensor: Some(loss.sensor.clone()), text: reparsed(&text) }
}

/// The text whose exact text form this is: it was put together from such forms and words without a backslash.
fn reparsed(escaped: &str) -> Text {
    Text::parse(escaped).unwrap_or_else(|| escaped.into())
}
