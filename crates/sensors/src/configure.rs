//! What the object is told before it is loaded: constants, and how long its maps are.

use event::{Arch, SyscallNames};
use libbpf_rs::btf::{Btf, types::Enum};
use libbpf_rs::{OpenMapMut, OpenObject};

use crate::bpf::types::{
    action_settings, block_hooks, call_table, callers, handled_table, limit, ring_hooks, settings, tracing,
};
use crate::load::{CallFilter, Facts, Hierarchy, LoadError, Options};
use crate::{SENSORS, Sensor, actions, privileged, resources};

/// Writes down what the kernel side has to know, and makes the maps as long as befits the machine.
pub(crate) fn configure(open: &mut OpenObject, options: &Options, facts: &Facts<'_>) -> Result<(), LoadError> {
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name.ends_with(".rodata.settings") {
            // SAFETY: integers only; this struct alone is in that section, and the map is a value of it.
            let settings = unsafe { initial_value::<settings>(&mut map) };
            settings.preemptible.write(facts.preemptible);
            settings.counted_tasks = facts.room.counted;
            settings.followed_tasks = facts.room.followed;
            settings.hash_key = [random_number(), random_number()];
            settings.file_bytes.write(options.file_bytes);
            settings.terminal_bytes = options.terminal_bytes;
            match &options.hierarchy {
                Hierarchy::Unified => {
                    settings.identity_is_v2.write(true);
                    settings.identity_hierarchy = 0;
                }
                Hierarchy::Controller { name, id } => {
                    settings.identity_is_v2.write(false);
                    settings.identity_hierarchy = *id;
                    settings.identity_controller =
                        controller(facts.btf, name).ok_or_else(|| LoadError::NoController(name.clone()))?;
                }
            }
        } else if name.ends_with(".rodata.tracing") {
            // SAFETY: as above.
            let tracing = unsafe { initial_value::<tracing>(&mut map) };
            if let Some(filter) = &options.trace {
                set_filter(tracing, filter);
            }
        } else if name.ends_with(".rodata.calls") {
            // SAFETY: as above.
            hand_out_calls(unsafe { initial_value::<call_table>(&mut map) }, options);
        } else if name.ends_with(".rodata.actions") {
            // SAFETY: as above.
            let settings = unsafe { initial_value::<action_settings>(&mut map) };
            *settings = actions::settings(options);
        } else if name.ends_with(".rodata.callers") {
            // SAFETY: as above.
            let callers = unsafe { initial_value::<callers>(&mut map) };
            *callers = facts.callers;
        } else if name.ends_with(".rodata.block_hooks") {
            // SAFETY: as above.
            let hooks = unsafe { initial_value::<block_hooks>(&mut map) };
            hooks.issue_has_queue = u32::from(resources::issue_has_queue(facts.btf));
        } else if name.ends_with(".rodata.ring_hooks") {
            // SAFETY: as above.
            let hooks = unsafe { initial_value::<ring_hooks>(&mut map) };
            hooks.operation_at = privileged::ring_operation_at(facts.btf);
        } else if name == "open_calls" && options.trace.is_none() {
            map.set_autocreate(false).map_err(|source| LoadError::Open { source, log: name })?;
        } else if let Some(entries) = entries(&name, options, facts) {
            map.set_max_entries(entries).map_err(|source| LoadError::Open { source, log: name })?;
        } else if name == "samples" {
            map.set_max_entries(options.ring_bytes)
                .map_err(|source| LoadError::Open { source, log: "the ring's size is not a power of two".into() })?;
        }
    }
    Ok(())
}

/// How long a map is that grows with the machine, or that is not always needed.
fn entries(map: &str, options: &Options, facts: &Facts<'_>) -> Option<u32> {
    match map {
        "told_actions" if options.actions.as_ref().is_none_or(|actions| actions.calls.is_empty()) => Some(1),
        "ran_programs" if !facts.preemptible => Some(1),
        "task_notes" | "free_notes" | "watched_tasks" => Some(facts.room.followed),
        "task_counts" => Some(facts.room.counted),
        _ => None,
    }
}

/// What a map of constants holds when the object is loaded.
///
/// # Safety
///
/// The map is a value of `T`, and every byte pattern that libbpf puts there is one.
pub(crate) unsafe fn initial_value<'map, T>(map: &'map mut OpenMapMut<'_>) -> &'map mut T {
    let bytes = map.initial_value_mut().expect("constants have initial values");
    assert!(bytes.len() >= size_of::<T>(), "the object's constants are those of its own types");
    // SAFETY: the length was checked; libbpf maps this memory at a page boundary, and nobody else holds it.
    unsafe { &mut *bytes.as_mut_ptr().cast::<T>() }
}

const NATIVE_CALLS: usize = limit::NATIVE_CALLS.0 as usize;
const HANDLED_TABLES: usize = handled_table::HANDLED_TABLES.0 as usize;

/// Writes down which sensors asked for which calls.
fn hand_out_calls(table: &mut call_table, options: &Options) {
    let names = SyscallNames::builtin();
    let second = if Arch::NATIVE == Arch::Aarch64 { Arch::Arm } else { Arch::X86 };
    let calls_of = |sensor: &Sensor| [sensor.calls, &(sensor.calls_asked)(options)].concat();
    for (sensor, calls) in SENSORS.iter().map(calls_of).enumerate() {
        for (at, arch) in [Arch::NATIVE, second].into_iter().enumerate() {
            for call in &calls {
                let Some(place) = names.number(arch, call.name).map(|number| number as usize) else { continue };
                if place < NATIVE_CALLS {
                    table.sensors[at * NATIVE_CALLS + place] |= 1 << sensor;
                    if call.also_failed {
                        table.sensors_of_failures[at * NATIVE_CALLS + place] |= 1 << sensor;
                    }
                    table.names[(sensor * HANDLED_TABLES + at) * NATIVE_CALLS + place] = call.number;
                }
            }
        }
    }
    for (sensor, entries) in SENSORS.iter().map(|sensor| sensor.entries).enumerate() {
        for (at, arch) in [Arch::NATIVE, second].into_iter().enumerate() {
            for entry in entries {
                let Some(place) = names.number(arch, entry.name).map(|number| number as usize) else { continue };
                if place < NATIVE_CALLS {
                    table.sensors_of_entries[at * NATIVE_CALLS + place] |= 1 << sensor;
                    table.names[(sensor * HANDLED_TABLES + at) * NATIVE_CALLS + place] = entry.number;
                }
            }
        }
    }
}

fn set_filter(tracing: &mut tracing, filter: &CallFilter) {
    tracing.enabled.write(true);
    tracing.failed_only.write(filter.failed_only);
    if let Some(uid) = filter.uid {
        tracing.by_uid.write(true);
        tracing.uid = uid;
    }
    if let Some(comm) = &filter.comm {
        // The last byte stays zero, as in `task->comm`.
        let room = tracing.comm.len() - 1;
        for (to, from) in tracing.comm.iter_mut().zip(comm.bytes().take(room)) {
            *to = from;
        }
    }
    if let Some(numbers) = &filter.numbers {
        tracing.by_number.write(true);
        for &number in numbers {
            if let Some(word) = tracing.numbers.get_mut(number as usize / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }
}

/// A number that nobody can guess.
pub(crate) fn random_number() -> u64 {
    let mut bytes = [0; 8];
    // Without one, hashes are as good as their function: the kernel gives one as soon as it has ever had randomness.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

/// The index of a controller in `css_set.subsys`: it depends on the kernel's configuration.
pub(crate) fn controller(btf: &Btf<'_>, name: &str) -> Option<u32> {
    let wanted = format!("{name}_cgrp_id");
    let ids = btf.type_by_name::<Enum<'_>>("cgroup_subsys_id")?;
    ids.iter()
        .find(|member| member.name.is_some_and(|name| name.to_str() == Some(wanted.as_str())))
        .and_then(|member| u32::try_from(member.value).ok())
}
