//! What a run needed: the system calls and capabilities that it used.

use std::collections::BTreeMap;

use behaviour::CheckMeaning;
use event::{Phase, SyscallNames, Text};
use report::Report;

/// The names of the system calls and capabilities that a run needed in these phases, and when it used each first, in
/// nanoseconds since boot.
pub(crate) fn permissions(run: &Report, phases: &[Phase]) -> BTreeMap<Text, u64> {
    let names = SyscallNames::builtin();
    let mut found = BTreeMap::<Text, u64>::new();
    let mut take = |name: Text, boot_ns: u64| {
        found.entry(name).and_modify(|first| *first = boot_ns.min(*first)).or_insert(boot_ns);
    };
    for used in &run.behaviour.syscalls.uses {
        if phases.contains(&used.phase) && used.count > 0 {
            take(names.name(used.syscall).as_ref().into(), used.first.as_ref().map_or(0, |first| first.boot_ns));
        }
    }
    for used in &run.behaviour.capabilities.uses {
        if phases.contains(&used.phase) && used.meaning() == CheckMeaning::Used {
            take(used.capability.to_string().into(), used.first.by.boot_ns);
        }
    }
    found
}
