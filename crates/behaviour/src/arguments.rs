//! Arguments of system calls: with which values those calls were made whose danger is in one argument.

use std::collections::BTreeMap;

use event::{ArgumentSeen, Phase, Syscall, SyscallNames, constants};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FirstUse;
use crate::first::First;
use crate::images::Images;

/// The arguments of the system calls of a container: one entry per phase, table and call that is looked at.
///
/// In JSON a list, in this order. A call that was made and is looked at has an entry with every value that it was passed,
/// or one that says that there were more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Arguments {
    /// The entries, ordered by phase, table and number.
    pub uses: Vec<ArgumentUse>,
}

impl Arguments {
    /// The arguments of several runs as one: every value of both, with its earliest first use. The order and the grouping
    /// of merges make no difference.
    ///
    /// Times are compared as they are: those of two boots or machines have no order that means anything.
    pub fn merge(self, other: Arguments) -> Arguments {
        let mut merged = BTreeMap::<Key, ArgumentUse>::new();
        for one in self.uses.into_iter().chain(other.uses) {
            let key = one.key();
            let sum = match merged.remove(&key) {
                Some(known) => known.merge(one),
                None => one.in_order(),
            };
            merged.insert(key, sum);
        }
        Arguments { uses: merged.into_values().collect() }
    }
}

/// What is kept by itself. Another version may look at other bits: those are not put together.
type Key = (Phase, Syscall, u8, u32);

/// With which values of one argument a call was made in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArgumentUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The call.
    #[serde(flatten)]
    pub syscall: Syscall,
    /// Its name at the time of recording; `nr 471` if nobody had one.
    pub name: String,
    /// Which argument, from 0.
    pub position: u8,
    /// The bits of it that were looked at.
    pub mask: u32,
    /// The distinct values of these bits, in ascending order.
    pub values: Vec<ValueUse>,
    /// Whether there were more values than are kept: then the list is not all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
}

/// One value that a call was passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValueUse {
    /// The value.
    pub value: u32,
    /// The kernel's names for what is in it; in hexadecimal what has none.
    pub words: String,
    /// The first call with it.
    pub first: FirstUse,
}

impl ArgumentUse {
    fn key(&self) -> Key {
        (self.phase, self.syscall, self.position, self.mask)
    }

    fn merge(self, other: ArgumentUse) -> ArgumentUse {
        let name = self.name.min(other.name);
        let values = self.values.into_iter().chain(other.values).collect();
        ArgumentUse { name, values, others: self.others || other.others, ..other }.in_order()
    }

    /// Each value once, in ascending order.
    fn in_order(self) -> ArgumentUse {
        let mut values = BTreeMap::<u32, ValueUse>::new();
        for one in self.values {
            match values.get(&one.value) {
                Some(known) if (&known.first, &known.words) <= (&one.first, &one.words) => {}
                _ => {
                    values.insert(one.value, one);
                }
            }
        }
        ArgumentUse { values: values.into_values().collect(), ..self }
    }
}

/// The kernel keeps fewer values of one container; beyond, an entry says that there were more.
const MAX_VALUES: usize = 4096;

/// What is known of one run so far: it comes again and again out of the kernel's set, and nothing is ever taken back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    calls: BTreeMap<Key, Values>,
    kept: usize,
}

#[derive(Clone, Debug, Default)]
struct Values {
    values: BTreeMap<u32, First>,
    name: Option<String>,
    others: bool,
}

impl Passed {
    pub(crate) fn keep(&mut self, phase: Phase, seen: &ArgumentSeen, images: &Images) {
        let key = (phase, seen.syscall, seen.position, seen.mask);
        if !self.calls.contains_key(&key) && self.calls.len() >= MAX_VALUES {
            return;
        }
        let call = self.calls.entry(key).or_default();
        call.others |= seen.others;
        let Some(value) = seen.value else { return };
        if !call.values.contains_key(&value) {
            if self.kept >= MAX_VALUES {
                call.others = true;
                return;
            }
            self.kept += 1;
        }
        let first = call.values.entry(value).or_insert_with(|| First::new(seen.boot_ns, &seen.task));
        if seen.boot_ns < first.boot_ns {
            *first = First::new(seen.boot_ns, &seen.task);
        }
        first.resolve(images);
    }

    /// Gives every system call its name that has none yet.
    pub(crate) fn name(&mut self, names: &SyscallNames) {
        for ((_, syscall, ..), call) in self.calls.iter_mut().filter(|(_, call)| call.name.is_none()) {
            call.name = names.lookup(*syscall).map(str::to_owned);
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> Arguments {
        let builtin = SyscallNames::builtin();
        let uses = self.calls.iter().map(|(&(phase, syscall, position, mask), call)| {
            let name = call.name.clone().unwrap_or_else(|| builtin.name(syscall).into_owned());
            let values = call.values.iter().map(|(&value, first)| {
                let words = constants::words(&name, value).into_owned();
                ValueUse { value, words, first: first.freeze(images) }
            });
            let values = values.collect();
            ArgumentUse { phase, syscall, name, position, mask, values, others: call.others }
        });
        Arguments { uses: uses.collect() }
    }
}

#[cfg(test)]
mod tests {
    use event::{Arch, ExecId, ProcessId, TaskId};

    use super::*;

    fn seen(at: u64, pid: u32, value: Option<u32>, others: bool) -> ArgumentSeen {
        let process = ProcessId { pid, start_ns: 1 };
        ArgumentSeen {
            syscall: Syscall { arch: Arch::X86_64, number: 41 },
            position: 0,
            mask: u32::MAX,
            value,
            others,
            boot_ns: at,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: pid, comm: "nc".into() },
        }
    }

    fn passed(steps: &[ArgumentSeen]) -> Vec<ArgumentUse> {
        let (mut passed, images) = (Passed::default(), Images::new(10, 1000));
        steps.iter().for_each(|step| passed.keep(Phase::Main, step, &images));
        passed.freeze(&images).uses
    }

    #[test]
    fn each_value_is_there_once_with_its_first_use_and_its_name() {
        let read = [seen(9, 1, None, false), seen(9, 1, Some(2), false), seen(12, 2, Some(1), false)];

        let uses = passed(&[&read[..], &read[..], &[seen(7, 3, Some(2), false)]].concat());

        let [one] = uses.as_slice() else { panic!("{uses:?}") };
        assert_eq!((one.name.as_str(), one.position, one.others), ("socket", 0, false));
        let values: Vec<_> = one.values.iter().map(|it| (it.value, it.words.as_str(), it.first.boot_ns)).collect();
        assert_eq!(values, [(1, "AF_UNIX", 12), (2, "AF_INET", 7)]);
    }

    #[test]
    fn that_there_were_more_is_never_forgotten() {
        let uses = passed(&[seen(9, 1, Some(2), false), seen(9, 1, None, true), seen(9, 1, None, false)]);

        assert_eq!((uses.len(), uses[0].values.len(), uses[0].others), (1, 1, true));
        let merged = Arguments { uses: uses.clone() }.merge(Arguments { uses: passed(&[seen(9, 1, Some(1), false)]) });
        assert_eq!((merged.uses.len(), merged.uses[0].values.len(), merged.uses[0].others), (1, 2, true));
    }

    #[test]
    fn beyond_the_bound_it_is_said_that_there_were_more() {
        let many: Vec<ArgumentSeen> = (0..5000).map(|value| seen(9, 1, Some(value), false)).collect();

        let uses = passed(&many);

        assert_eq!((uses[0].values.len(), uses[0].others), (MAX_VALUES, true));
    }

    #[test]
    fn an_entry_survives_its_json() {
        let uses = passed(&[seen(5, 7, Some(40), false)]);

        let json = serde_json::to_string(&Arguments { uses: uses.clone() }).expect("json");

        assert_eq!(serde_json::from_str::<Arguments>(&json).expect("its own form").uses, uses);
        assert!(
            json.starts_with(r#"[{"phase":"main","arch":"x86_64","number":41,"name":"socket","position":0,"mask":4294967295,"values":[{"value":40,"words":"AF_VSOCK","first":{"#),
            "{json}"
        );
    }
}
