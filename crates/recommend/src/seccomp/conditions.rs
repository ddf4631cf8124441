//! Conditions: what an argument of an allowed call must be.
//!
//! Only where it is known that every call's argument was seen, where the values are few, and where the table
//! `data/arguments.csv` says how. All arguments are numbers of 32 bits; a filter compares 64, of which the upper half is
//! whatever the caller left there: so only the bits of a mask are compared.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{ArgumentUse, SyscallUse};
use event::{Arch, Phase, PrivilegedOperation, SyscallNames, Text, constants};
use report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AllowReason;
use super::tables::{ARGUMENT_VALUES, ARGUMENTS, Filtered, How, RUNTIME_ARGUMENTS};
use crate::source::Runs;
use crate::{Options, Runtime};

/// A filter lists no more values of one argument than these, beside those of the tables.
const MOST_VALUES: usize = 12;
/// A condition that is not met is answered with EPERM where this takes no more rules than these.
const MOST_REFUSED: u32 = 8;

/// What an argument of an allowed call must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// libseccomp's name for the call.
    pub name: String,
    /// Which argument, from 0.
    pub argument: u8,
    /// The bits of it that are compared.
    pub mask: u32,
    /// What these bits may be: the call is allowed if they are one of these.
    pub values: Vec<u32>,
    /// What was passed, or may be, and why; of a condition about flags all of them are here.
    pub evidence: Vec<PassedValue>,
}

/// A value of an argument, and why it is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassedValue {
    /// The value.
    pub value: u32,
    /// The kernel's names for what is in it.
    pub words: String,
    /// Why it is allowed: what was observed comes first.
    pub reasons: Vec<ValueReason>,
}

/// Why a value is allowed. In the order of their weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum ValueReason {
    /// The workload passed it.
    Observed {
        /// It was passed in a container that was made inside of the workload's.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        nested: bool,
        /// The part of the container's life.
        phase: Phase,
        /// The table of the call.
        arch: Arch,
        /// In how many runs.
        runs: u32,
        /// The program that passed it first, in the first of these runs: its path, else its name; empty if not known.
        #[serde(default, skip_serializing_if = "Text::is_empty")]
        program: Text,
    },
    /// The workload asked for it by clone3, which clone takes over from.
    ObservedByClone3,
    /// The runtime passes it when the filter is already in force.
    Runtime {
        /// The runtime.
        runtime: Runtime,
        /// The version that this was found on.
        version: String,
    },
    /// A C library or language runtime passes it at a time of its own choosing, or another one does for the same purpose.
    Portability {
        /// What for.
        why: String,
    },
}

/// A call whose argument could be filtered, and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnyArgument {
    /// libseccomp's name for it.
    pub name: String,
    /// Why.
    pub because: AnyReason,
}

/// Why any argument is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnyReason {
    /// The reports do not show all that the call was passed.
    NotRecorded,
    /// It was passed more values than a filter lists, or than a recording keeps.
    TooManyValues,
    /// What was passed leaves nothing that could be refused.
    NothingToRefuse,
    /// A table of system calls that was used has a call that is passed it in another way.
    OtherTable,
    /// clone3 was asked for what clone cannot do, so that it must stay, and what it is passed no filter sees.
    Clone3Needed,
    /// It was denied while the workload ran under a recommendation with a condition.
    Denied,
}

impl AnyReason {
    /// The reason in a few words.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            AnyReason::NotRecorded => "the reports do not show all that it was passed",
            AnyReason::TooManyValues => "too many different values",
            AnyReason::NothingToRefuse => "what was passed leaves nothing to refuse",
            AnyReason::OtherTable => "another table that was used passes it differently",
            AnyReason::Clone3Needed => "clone3 was asked for what clone cannot do",
            AnyReason::Denied => "denied under the last recommendation",
        }
    }
}

impl Condition {
    /// The values of these bits that are answered with EPERM, each with the mask of the bits that are compared; none if that
    /// took too many rules: then the filter's default is the answer.
    pub(super) fn refused(&self) -> Vec<(u32, u32)> {
        let bits = || (0..32).map(|bit| 1_u32 << bit).filter(|bit| self.mask & bit != 0);
        let count = self.mask.count_ones();
        if self.values == [0] && count <= MOST_REFUSED {
            return bits().map(|bit| (bit, bit)).collect();
        }
        if 1_u64 << count > u64::from(MOST_REFUSED) {
            return Vec::new();
        }
        let all = (0..1_u32 << count).map(|number| {
            bits().enumerate().filter(|(place, _)| number >> place & 1 == 1).fold(0, |value, (_, bit)| value | bit)
        });
        all.filter(|value| !self.values.contains(value)).map(|value| (self.mask, value)).collect()
    }
}

/// What is found out about conditions.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) conditions: Vec<Condition>,
    pub(super) any: Vec<AnyArgument>,
    /// clone is filtered, so that clone3 must not be allowed.
    pub(super) filters_clone: bool,
}

/// What must be known of the recommendation so far.
pub(super) struct Context<'a> {
    pub(super) runs: &'a Runs<'a>,
    pub(super) options: &'a Options,
    pub(super) runtimes: &'a [Runtime],
    pub(super) architectures: &'a BTreeSet<Arch>,
    /// What is allowed, by name.
    pub(super) calls: &'a BTreeMap<String, BTreeSet<AllowReason>>,
}

/// What is allowed of one argument: each value with the reasons.
type Values = BTreeMap<u32, BTreeSet<ValueReason>>;

pub(super) fn conditions(context: &Context<'_>) -> Conditions {
    let mut found = Conditions::default();
    for filtered in &*ARGUMENTS {
        // Where clone3 was used, clone takes over from it.
        let is_clone = filtered.calls.contains(&CLONE);
        let is_allowed =
            |name: &str| context.calls.contains_key(name) || (name == CLONE && context.calls.contains_key(CLONE3));
        let names: Vec<&str> = filtered.calls.iter().copied().filter(|name| is_allowed(name)).collect();
        if names.is_empty() {
            continue;
        }
        match context.condition(filtered, is_clone) {
            Ok(condition) => {
                found.filters_clone |= is_clone;
                let of = |name: &&str| Condition { name: (*name).to_owned(), ..condition.clone() };
                found.conditions.extend(names.iter().map(of));
            }
            Err(because) => {
                let known = names.iter().filter(|name| context.calls.contains_key(**name));
                found.any.extend(known.map(|name| AnyArgument { name: (*name).to_owned(), because }));
            }
        }
    }
    found.conditions.sort_by(|one, other| one.name.cmp(&other.name));
    found.any.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

const CLONE: &str = "clone";
const CLONE3: &str = "clone3";
const CLONE_NEWTIME: u32 = 0x80;

impl Context<'_> {
    fn condition(&self, filtered: &Filtered, is_clone: bool) -> Result<Condition, AnyReason> {
        if filtered.not_on.iter().any(|arch| self.architectures.contains(arch)) {
            return Err(AnyReason::OtherTable);
        }
        let mut values = self.observed(filtered)?;
        if is_clone && self.calls.contains_key(CLONE3) {
            self.add_clone3(&mut values)?;
        }
        if filtered.any.is_some_and(|any| values.contains_key(&any)) {
            return Err(AnyReason::NothingToRefuse);
        }
        match filtered.how {
            How::Bits => {
                let seen = values.keys().fold(0, |all, value| all | value);
                let mask = filtered.mask & !seen;
                if mask == 0 {
                    return Err(AnyReason::NothingToRefuse);
                }
                Ok(self.assembled(filtered, mask, vec![0], values))
            }
            How::Values => {
                let compared = |value: u32| value & filtered.mask;
                if values.keys().map(|&value| compared(value)).collect::<BTreeSet<_>>().len() > MOST_VALUES {
                    return Err(AnyReason::TooManyValues);
                }
                self.add_tables(filtered, &mut values);
                let allowed: BTreeSet<u32> = values.keys().map(|&value| compared(value)).collect();
                if allowed.is_empty() {
                    return Err(AnyReason::NotRecorded);
                }
                let bits = filtered.mask.count_ones();
                if bits < u32::BITS && allowed.len() >= 1 << bits {
                    return Err(AnyReason::NothingToRefuse);
                }
                Ok(self.assembled(filtered, filtered.mask, allowed.into_iter().collect(), values))
            }
        }
    }

    fn assembled(&self, filtered: &Filtered, mask: u32, allowed: Vec<u32>, values: Values) -> Condition {
        let words = |value| constants::words(filtered.calls[0], value).into_owned();
        let evidence = values.into_iter().map(|(value, reasons)| PassedValue {
            value,
            words: words(value),
            reasons: reasons.into_iter().collect(),
        });
        Condition {
            name: String::new(),
            argument: filtered.argument,
            mask,
            values: allowed,
            evidence: evidence.collect(),
        }
    }

    /// What was passed; refused if it may be more than the reports say.
    fn observed(&self, filtered: &Filtered) -> Result<Values, AnyReason> {
        let mut seen = BTreeMap::<(u32, bool, Phase, Arch), (u32, Text)>::new();
        for (run, nested) in self.runs.each() {
            if !is_complete(run, "arguments") {
                return Err(AnyReason::NotRecorded);
            }
            let counts = |phase: Phase| nested || self.options.phases().contains(&phase);
            let uses = run.behaviour.syscalls.uses.iter();
            let made = uses.filter(|used| {
                used.count > 0
                    && counts(used.phase)
                    && filtered.calls.contains(&SyscallNames::builtin().name(used.syscall).as_ref())
            });
            for used in made {
                let passed = all_of(run, used, filtered)?;
                for one in &passed.values {
                    let value = one.value & filtered.kept_mask();
                    let key = (value, nested, used.phase, used.syscall.arch);
                    let first = &one.first;
                    let program = if first.executable.is_empty() { &first.comm } else { &first.executable };
                    seen.entry(key).or_insert_with(|| (0, program.clone())).0 += 1;
                }
            }
        }
        let mut values = Values::new();
        for ((value, nested, phase, arch), (runs, program)) in seen {
            values.entry(value).or_default().insert(ValueReason::Observed { nested, phase, arch, runs, program });
        }
        Ok(values)
    }

    /// What clone3 was asked for, which the sensor of privileged operations reads out of memory.
    fn add_clone3(&self, values: &mut Values) -> Result<(), AnyReason> {
        for (run, nested) in self.runs.each() {
            let counts = |phase: Phase| nested || self.options.phases().contains(&phase);
            let is_made = |used: &SyscallUse| used.count > 0 && used.name == CLONE3 && counts(used.phase);
            if run.behaviour.syscalls.uses.iter().any(is_made) && !is_complete(run, "privileged") {
                return Err(AnyReason::NotRecorded);
            }
            let operations = run.behaviour.privileged.operations.iter();
            for one in operations.filter(|one| one.operation == PrivilegedOperation::Clone3 && counts(one.phase)) {
                let words = one.details.iter().map(|word| word.shown().into_owned()).collect::<Vec<_>>().join("|");
                let flags = constants::number(CLONE, &words).ok_or(AnyReason::NotRecorded)?;
                if one.others || flags & CLONE_NEWTIME != 0 {
                    return Err(AnyReason::Clone3Needed);
                }
                values.entry(flags).or_default().insert(ValueReason::ObservedByClone3);
            }
        }
        Ok(())
    }

    /// What is allowed although no run showed it.
    fn add_tables(&self, filtered: &Filtered, values: &mut Values) {
        for line in RUNTIME_ARGUMENTS.iter() {
            if filtered.calls.contains(&line.call) && self.runtimes.contains(&line.runtime) {
                for &value in &line.values {
                    let (runtime, version) = (line.runtime, line.version.to_owned());
                    values.entry(value).or_default().insert(ValueReason::Runtime { runtime, version });
                }
            }
        }
        if !self.options.siblings {
            return;
        }
        let seen: BTreeSet<u32> = values.keys().copied().collect();
        for line in ARGUMENT_VALUES.iter() {
            if filtered.calls.contains(&line.call) && line.only_if.is_none_or(|value| seen.contains(&value)) {
                for value in line.values.iter().filter(|value| !seen.contains(value)) {
                    let why = line.why.to_owned();
                    values.entry(*value).or_default().insert(ValueReason::Portability { why });
                }
            }
        }
    }
}

/// Whether nothing is missing in a part of a report. Reports of early versions do not have this one.
fn is_complete(run: &Report, section: &str) -> bool {
    run.sections.get(&Text::from(section)).copied().unwrap_or(false)
}

/// All that was passed in such a call: a report that has less does not know it.
fn all_of<'r>(run: &'r Report, used: &SyscallUse, filtered: &Filtered) -> Result<&'r ArgumentUse, AnyReason> {
    let is_it = |one: &&ArgumentUse| {
        (one.phase, one.syscall, one.position) == (used.phase, used.syscall, filtered.argument)
            && one.mask & filtered.mask == filtered.mask
    };
    let passed = run.behaviour.arguments.uses.iter().find(is_it);
    match passed.filter(|passed| passed.others || !passed.values.is_empty()) {
        Some(passed) if passed.others => Err(AnyReason::TooManyValues),
        Some(passed) => Ok(passed),
        None => Err(AnyReason::NotRecorded),
    }
}
