//! Attaches the programs that were loaded, one by one.

use std::os::fd::{AsFd as _, IntoRawFd as _};

use libbpf_rs::{Link, MapHandle, Object, ProgramMut};

use crate::load::{ADOPT, HELD, IDENTITY, LoadError, ProgramState, REQUIRED, State, TWIN, innermost, refusal};
use crate::{Program, SENSORS, Sensor, perf};

/// Attaches what was chosen.
pub(crate) fn attach_all(object: &Object, states: &mut [ProgramState]) -> Result<Vec<Link>, LoadError> {
    // All others ask what identity has found out.
    let (identity, others): (Vec<&Sensor>, Vec<&Sensor>) = SENSORS.iter().partition(|sensor| sensor.name == IDENTITY);
    let programs = identity.into_iter().chain(others).flat_map(|sensor| sensor.programs);
    let (last, first): (Vec<&Program>, Vec<&Program>) = programs.partition(|program| program.last);
    let mut links = Vec::new();
    for program in first.into_iter().chain(last) {
        let state = states.iter_mut().find(|state| state.name == program.name && state.state == State::Attached);
        let Some(state) = state else { continue };
        match attach(object, program) {
            Ok(attached) => links.extend(attached),
            // Nothing can be booked on anybody, or no call is seen.
            Err(source) if REQUIRED.contains(&state.sensor) => {
                return Err(LoadError::Attach { program: program.name, hook: program.hook, source });
            }
            Err(error) => state.state = refusal(program, &innermost(&error)),
        }
    }
    Ok(links)
}

/// Attaches every form of the program that was loaded.
fn attach(object: &Object, program: &Program) -> libbpf_rs::Result<Vec<Link>> {
    let mut links = Vec::new();
    for form in [HELD, "", TWIN].map(|end| program.name.to_owned() + end) {
        let loaded = object.progs_mut().find(|it| it.name().to_str() == Some(&form) && it.autoload());
        if let Some(loaded) = loaded {
            links.push(attach_loaded(&loaded)?);
        }
    }
    Ok(links)
}

fn attach_loaded(program: &ProgramMut<'_>) -> libbpf_rs::Result<Link> {
    let section = program.section().to_string_lossy();
    match section.strip_prefix("tracepoint/").and_then(|event| event.split_once('/')) {
        // The link closes the descriptor.
        Some((group, event)) => program.attach_perf_event(perf::tracepoint(group, event)?.into_raw_fd()),
        None => program.attach(),
    }
}

/// The walk over the tasks.
pub(crate) fn attach_adopt(object: &Object) -> Result<Link, LoadError> {
    let program = object.progs_mut().find(|program| program.name().to_str() == Some(ADOPT));
    let attached = program.expect("the object has the walk over the tasks").attach();
    attached.map_err(|source| LoadError::Attach { program: ADOPT, hook: "iter/task", source })
}

/// The walk over a map, or that of a set over the tasks.
pub(crate) fn attach_walk(object: &Object, walk: &'static str, map: &MapHandle) -> Result<Link, LoadError> {
    let program = object.progs_mut().find(|program| program.name().to_str() == Some(walk));
    let program = program.unwrap_or_else(|| panic!("the object has no walk {walk}"));
    let (attached, hook) = match is_over_tasks(&program) {
        true => (program.attach(), OVER_TASKS),
        false => (program.attach_iter(map.as_fd()), "iter/bpf_map_elem"),
    };
    attached.map_err(|source| LoadError::Attach { program: walk, hook, source })
}

const OVER_TASKS: &str = "iter/task";

fn is_over_tasks(program: &ProgramMut<'_>) -> bool {
    program.section().to_str() == Some(OVER_TASKS)
}

/// Whether a walk goes over the tasks.
pub(crate) fn walks_tasks(object: &Object, walk: &str) -> bool {
    object.progs_mut().any(|program| program.name().to_str() == Some(walk) && is_over_tasks(&program))
}
