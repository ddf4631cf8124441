//! Chooses what fits the running kernel, and loads it.

use std::collections::{BTreeMap, BTreeSet};

use libbpf_rs::btf::{
    Btf,
    types::{Enum, Func, Typedef},
};
use libbpf_rs::{MapCore as _, MapHandle, Object, ObjectBuilder, OpenObject};

use crate::bpf::types::callers;
use crate::configure::configure;
use crate::libbpf_log::{capture, said};
use crate::tasks::Room;
use crate::{Program, SENSORS, Sensor, Set, capabilities, objects, preemption};

/// The hierarchy whose cgroups identify containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// The v2 tree.
    Unified,
    /// One controller's v1 tree.
    Controller {
        /// The controller's name: `pids`, `memory` …
        name: String,
        /// The hierarchy's number, the first field of `/proc/PID/cgroup`.
        id: u32,
    },
}

/// How the programs are to be loaded.
#[derive(Clone, Debug)]
pub struct Options {
    /// What identifies containers.
    pub hierarchy: Hierarchy,
    /// The size of the ring in bytes: a power of two, and a multiple of the page size.
    pub ring_bytes: u32,
    /// Behave as on a kernel before 5.17, whose tasks have no counts of their own: for tests of that path.
    pub as_old_kernel: bool,
    /// Behave as on a kernel without these hooks (`tp_btf/cap_capable`): for tests of what is done instead.
    pub without_hooks: Vec<String>,
    /// How many tasks have counts of their own; none: what befits the machine's memory.
    pub counted_tasks: Option<u32>,
    /// Make an event of each system call that matches.
    pub trace: Option<CallFilter>,
    /// Count bytes for each file, not only for each mount.
    pub file_bytes: bool,
    /// Bytes of what is typed and shown on terminals that are kept of each container and phase; 0: none.
    pub terminal_bytes: u32,
    /// Make an event of each of these calls that is unlike those before it, and of each program that begins.
    pub actions: Option<ActionCalls>,
}

/// Which calls become [actions](event::Action).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionCalls {
    /// The calls. One that is named twice is wanted as either says.
    pub calls: Vec<ActionCall>,
    /// Whether the environment of programs is wanted, too.
    pub environment: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionCall {
    /// Its name, as [`event::SyscallNames`] has it. One that this machine does not have is never made.
    pub name: String,
    /// Whether it is wanted also if it fails.
    pub also_failed: bool,
}

/// Which system calls become events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Only calls of threads with this name; the kernel knows its first 15 bytes.
    pub comm: Option<String>,
    /// Only calls with this real user id.
    pub uid: Option<u32>,
    /// Only calls with these numbers of the native table.
    pub numbers: Option<Vec<u32>>,
    /// Only calls that fail.
    pub failed_only: bool,
}

impl Options {
    /// The size of the ring unless one is asked for, in bytes.
    pub const RING_BYTES: u32 = 8 << 20;
}

/// Why the programs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel has no description of its types.
    #[error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux): it was built without CONFIG_DEBUG_INFO_BTF=y, which every \
         program here needs"
    )]
    NoBtf(#[source] libbpf_rs::Error),
    /// The v1 hierarchy's controller is unknown to this kernel.
    #[error("the kernel's types do not name the cgroup controller {0}")]
    NoController(String),
    /// libbpf could not read or prepare the object.
    #[error("the BPF object cannot be prepared{}", said_by_libbpf(.log))]
    Open {
        /// What it was.
        source: libbpf_rs::Error,
        /// The last lines that libbpf said.
        log: String,
    },
    /// The kernel refused a program or a map.
    #[error("the kernel refused to load the BPF programs{}", said_by_libbpf(.log))]
    Load {
        /// What it was.
        source: libbpf_rs::Error,
        /// The last lines that libbpf said, the verifier's among them.
        log: String,
    },
    /// Calls cannot be traced.
    #[error("this kernel has no bpf_loop (5.17 has it): system calls cannot be traced one by one without")]
    NoTrace,
    /// A program that everything else depends on could not be attached.
    #[error("program {program} cannot be attached to {hook}")]
    Attach {
        /// The program.
        program: &'static str,
        /// What it should have been attached to.
        hook: &'static str,
        /// What it was.
        source: libbpf_rs::Error,
    },
    /// A map's memory could not be used.
    #[error("the memory of the BPF map {map} cannot be mapped")]
    Map {
        /// The map.
        map: &'static str,
        /// What it was.
        source: rustix::io::Errno,
    },
}

pub(crate) fn said_by_libbpf(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("; libbpf said:\n{lines}") }
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Attached,
    /// This kernel has no such hook.
    Unsupported(String),
    /// It should have worked.
    Failed(String),
}

/// One program and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramState {
    /// The sensor that it belongs to.
    pub sensor: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is attached to.
    pub hook: &'static str,
    /// What became of it.
    pub state: State,
}

/// The sensor that says who is in which container.
pub(crate) const IDENTITY: &str = "identity";
/// The walk over the tasks, and that over the totals; they belong to no hook.
pub(crate) const ADOPT: &str = "adopt_task";
pub(crate) const READ: &str = "read_total";
/// What the name of a program ends with that does the work of another on a tracepoint of perf.
pub(crate) const HELD: &str = "_held";
/// What the name of a program ends with that makes up for another where the kernel skipped that.
pub(crate) const TWIN: &str = "_again";

/// The sensors without which the others have nothing to say: what the kernel refuses of them ends everything.
pub(crate) const REQUIRED: [&str; 2] = [IDENTITY, "syscalls"];

/// The loaded object, and what was chosen.
pub(crate) struct Loaded {
    pub(crate) object: Object,
    pub(crate) programs: Vec<ProgramState>,
    pub(crate) room: Room,
    /// Whether user space fills the stack of free notes: else the kernel side counts those that nobody has had yet.
    pub(crate) needs_free_notes: bool,
    pub(crate) callers: callers,
}

/// Loads every sensor. Nothing is attached yet.
pub(crate) fn load(options: &Options) -> Result<Loaded, LoadError> {
    let btf = &Btf::from_vmlinux().map_err(LoadError::NoBtf)?;
    let counts_in_tasks = !options.as_old_kernel && has_helper(btf, "BPF_FUNC_loop");
    if !counts_in_tasks && options.trace.is_some() {
        return Err(LoadError::NoTrace);
    }
    let print = capture();
    let facts = Facts {
        btf,
        counts_in_tasks,
        preemptible: counts_in_tasks && preemption::of_tracepoints(btf),
        callers: match missing("tp_btf/cap_capable", options, btf) {
            None => capabilities::find_callers(),
            Some(_) => callers::default(),
        },
        room: room(options, counts_in_tasks),
    };
    let loaded = load_what_can_be(options, &facts);
    libbpf_rs::set_print(print);
    let (object, programs) = loaded?;
    Ok(Loaded { object, programs, room: facts.room, needs_free_notes: !counts_in_tasks, callers: facts.callers })
}

/// What was found out before loading.
pub(crate) struct Facts<'btf> {
    pub(crate) btf: &'btf Btf<'btf>,
    counts_in_tasks: bool,
    pub(crate) preemptible: bool,
    /// Who asks for capabilities; empty where no program wants to know.
    pub(crate) callers: callers,
    pub(crate) room: Room,
}

/// What became of programs that the kernel would not load, by name.
type Refused = BTreeMap<&'static str, State>;

/// Loads all programs at once, as they share their maps. Only if that fails is each tried by itself, and left out, or
/// replaced by what does its work instead, if it is to blame.
fn load_what_can_be(options: &Options, facts: &Facts<'_>) -> Result<(Object, Vec<ProgramState>), LoadError> {
    let mut refused = Refused::new();
    loop {
        let mut open = open(options, facts)?;
        let programs = choose(&mut open, options, facts, &refused);
        let (source, log) = match open.load() {
            Ok(object) => return Ok((object, programs)),
            Err(source) => (source, said()),
        };
        let blamed = refused_alone(options, facts, &programs)?;
        if blamed.is_empty() {
            return Err(LoadError::Load { source, log });
        }
        refused.extend(blamed);
    }
}

/// Those of the chosen programs that cannot be loaded even by themselves.
fn refused_alone(options: &Options, facts: &Facts<'_>, programs: &[ProgramState]) -> Result<Refused, LoadError> {
    let mut refused = Refused::new();
    for sensor in SENSORS.iter().filter(|sensor| !REQUIRED.contains(&sensor.name)) {
        let is_chosen = |program: &&Program| {
            programs.iter().any(|state| state.name == program.name && state.state == State::Attached)
        };
        for program in sensor.programs.iter().filter(is_chosen) {
            let mut open = open(options, facts)?;
            let mut wanted: BTreeSet<String> = sensor.sets.iter().map(|set| set.walk.to_owned()).collect();
            wanted.extend(forms(program, facts.preemptible, &names(&open)));
            load_only(&mut open, &wanted);
            if let Err(error) = open.load() {
                let why = objection(&said()).map(|line| format!(": {line}")).unwrap_or_default();
                refused.insert(program.name, refusal(program, &format!("{}{why}", innermost(&error))));
            }
        }
    }
    Ok(refused)
}

/// What a refusal means: typed tracepoints are everywhere where this program runs, other hooks are not.
pub(crate) fn refusal(program: &Program, why: &str) -> State {
    match program.hook.split_once('/') {
        Some(("tp_btf", _)) | None => State::Failed(format!("the kernel refuses {}: {why}", program.hook)),
        Some(_) => State::Unsupported(format!("the kernel refuses {}: {why}", program.hook)),
    }
}

/// What the verifier did not like: its last line before its sum.
pub(crate) fn objection(log: &str) -> Option<&str> {
    let lines: Vec<&str> = log.lines().map(str::trim).collect();
    let sum = lines.iter().rposition(|line| line.starts_with("processed "))?;
    lines[..sum].iter().rfind(|line| !line.is_empty()).copied()
}

pub(crate) fn innermost(error: &libbpf_rs::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn open(options: &Options, facts: &Facts<'_>) -> Result<OpenObject, LoadError> {
    let object = if facts.counts_in_tasks { objects::SENSORS } else { objects::OLD_SENSORS };
    let mut open = ObjectBuilder::default()
        .name("ringfence")
        .and_then(|builder| builder.open_memory(&object.unpack()))
        .map_err(|source| LoadError::Open { source, log: said() })?;
    configure(&mut open, options, facts)?;
    Ok(open)
}

fn names(open: &OpenObject) -> BTreeSet<String> {
    open.progs().map(|program| program.name().to_string_lossy().into_owned()).collect()
}

fn load_only(open: &mut OpenObject, wanted: &BTreeSet<String>) {
    for mut program in open.progs_mut() {
        let is_wanted = program.name().to_str().is_some_and(|name| wanted.contains(name));
        program.set_autoload(is_wanted);
    }
}

fn room(options: &Options, counts_in_tasks: bool) -> Room {
    let room = Room::of_machine();
    match options.counted_tasks {
        _ if !counts_in_tasks => Room { counted: 1, ..room },
        Some(counted) => Room { counted: counted.clamp(1, room.followed), ..room },
        None => room,
    }
}

/// Whether the kernel's list of helpers has this one.
fn has_helper(btf: &Btf<'_>, name: &str) -> bool {
    btf.type_by_name::<Enum<'_>>("bpf_func_id")
        .is_some_and(|list| list.iter().any(|helper| helper.name.is_some_and(|known| known.to_str() == Some(name))))
}

/// Leaves out the programs whose hook this kernel does not have, those that it refused, and those that it does not need.
fn choose(open: &mut OpenObject, options: &Options, facts: &Facts<'_>, refused: &Refused) -> Vec<ProgramState> {
    let mut states = Vec::new();
    for sensor in SENSORS.iter().filter(|sensor| (sensor.is_asked)(options)) {
        let is_missing = |hook| missing(hook, options, facts.btf);
        choose_of(sensor, &mut states, options, |program| match refused.get(program.name) {
            _ if program.only_where.is_some_and(|hook| is_missing(hook).is_some()) => None,
            Some(state) => Some(state.clone()),
            None => Some(is_missing(program.hook).map_or(State::Attached, State::Unsupported)),
        });
    }
    let there = names(open);
    let mut wanted = BTreeSet::from([ADOPT, READ].map(str::to_owned));
    for program in SENSORS.iter().flat_map(|sensor| sensor.programs) {
        if states.iter().any(|state| state.name == program.name && state.state == State::Attached) {
            wanted.extend(forms(program, facts.preemptible, &there));
        }
    }
    wanted.extend(sets(&states).map(|set| set.walk.to_owned()));
    load_only(open, &wanted);
    states
}

/// Adds what is to become of each program of a sensor. Of several that can do the same work the first is taken and the
/// others are not mentioned, unless none can do it; nor are those of which there is no state, as they would see nothing here.
fn choose_of(
    sensor: &Sensor,
    states: &mut Vec<ProgramState>,
    options: &Options,
    state_of: impl Fn(&Program) -> Option<State>,
) {
    for program in sensor.programs.iter().filter(|program| !program.only_traced || options.trace.is_some()) {
        let does_the_same = |state: &ProgramState| {
            let other = sensor.programs.iter().find(|other| other.name == state.name);
            program
                .instead_of
                .is_some_and(|name| state.name == name || other.is_some_and(|other| other.instead_of == Some(name)))
        };
        let is_attached = |name| states.iter().any(|state| state.name == name && state.state == State::Attached);
        if !program.only_with.is_none_or(is_attached) {
            continue;
        }
        let Some(state) = state_of(program) else { continue };
        if states.iter().any(|other| does_the_same(other) && other.state == State::Attached) {
            continue;
        }
        if state == State::Attached {
            states.retain(|other| !does_the_same(other));
        }
        states.push(ProgramState { sensor: sensor.name, name: program.name, hook: program.hook, state });
    }
}

/// Why this kernel does not have the hook, if it does not.
fn missing(hook: &str, options: &Options, btf: &Btf<'_>) -> Option<String> {
    let is_hidden = options.without_hooks.iter().any(|hidden| hidden == hook);
    match hook.split_once('/')? {
        ("tp_btf", tracepoint) => (is_hidden
            || btf.type_by_name::<Typedef<'_>>(&format!("btf_trace_{tracepoint}")).is_none())
        .then(|| format!("this kernel has no tracepoint {tracepoint}")),
        ("fentry" | "fexit", function) => (is_hidden || btf.type_by_name::<Func<'_>>(function).is_none())
            .then(|| format!("this kernel has no function {function}")),
        _ => None,
    }
}

/// Which programs of the object do the work of this one, in the order in which they are attached; `bpf/ringfence.h` says
/// what each is for.
fn forms(program: &Program, preemptible: bool, there: &BTreeSet<String>) -> Vec<String> {
    let plain = program.name.to_owned();
    let held = plain.clone() + HELD;
    match preemptible {
        true if there.contains(&held) => vec![held, plain + TWIN],
        true => vec![plain.clone(), plain + TWIN],
        false => vec![plain],
    }
}

/// The sets of the sensors that observe: a sensor does if any of its programs can be attached, or if it has none and works in
/// those of system calls, without which nothing starts.
pub(crate) fn sets(states: &[ProgramState]) -> impl Iterator<Item = &'static Set> {
    let observes = |name| states.iter().any(|program| program.sensor == name && program.state == State::Attached);
    SENSORS
        .iter()
        .filter(move |sensor| sensor.programs.is_empty() || observes(sensor.name))
        .flat_map(|sensor| sensor.sets)
}

pub(crate) fn map(object: &Object, name: &'static str) -> Result<MapHandle, LoadError> {
    let map = object.maps().find(|map| map.name().to_str() == Some(name));
    MapHandle::try_from(&map.unwrap_or_else(|| panic!("the object has no map {name}")))
        .map_err(|source| LoadError::Open { source, log: format!("map {name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: &[Program] = &[
        Program::on("tp_btf/first", "first"),
        Program { instead_of: Some("first"), ..Program::on("fexit/second", "second") },
        Program { only_with: Some("second"), ..Program::on("fexit/beside", "beside") },
        Program { instead_of: Some("first"), ..Program::on("fexit/third", "third") },
        Program { only_where: Some("tp_btf/nowhere"), ..Program::on("tp_btf/fourth", "fourth") },
    ];

    /// The programs that are mentioned, with whether they are attached, where these cannot be.
    fn chosen(refused: &[&str]) -> Vec<(&'static str, bool)> {
        let sensor = Sensor::new(PROGRAMS, |kind, _| Err(crate::DecodeError::UnknownKind(kind)));
        let options = Options {
            hierarchy: Hierarchy::Unified,
            ring_bytes: Options::RING_BYTES,
            as_old_kernel: false,
            without_hooks: Vec::new(),
            counted_tasks: None,
            file_bytes: false,
            terminal_bytes: 0,
            actions: None,
            trace: None,
        };
        let mut states = Vec::new();
        choose_of(&sensor, &mut states, &options, |program| match refused.contains(&program.name) {
            _ if program.only_where.is_some() => None,
            true => Some(refusal(program, "no")),
            false => Some(State::Attached),
        });
        states.iter().map(|state| (state.name, state.state == State::Attached)).collect()
    }

    #[test]
    fn of_programs_that_do_the_same_the_first_that_can_be_is_taken() {
        assert_eq!(chosen(&[]), [("first", true)]);
        assert_eq!(chosen(&["first"]), [("second", true), ("beside", true)]);
        assert_eq!(chosen(&["first", "second"]), [("third", true)]);
    }

    #[test]
    fn if_none_can_be_each_is_named() {
        assert_eq!(chosen(&["first", "second", "third"]), [("first", false), ("second", false), ("third", false)]);
        assert_eq!(chosen(&["first", "beside"]), [("second", true), ("beside", false)]);
    }

    #[test]
    fn a_kernel_that_refuses_a_tracepoint_s_program_failed_and_one_that_refuses_others_has_none_of_the_kind() {
        let refused = |hook| refusal(&Program::on(hook, "on_it"), "no");

        assert_eq!(refused("tp_btf/x"), State::Failed("the kernel refuses tp_btf/x: no".into()));
        assert_eq!(refused("fexit/x"), State::Unsupported("the kernel refuses fexit/x: no".into()));
    }

    #[test]
    fn the_verifier_s_objection_is_its_last_line_before_its_sum() {
        let log = "libbpf: prog 'x'\n0: (b7) r0 = 0\nR1 is odd\n\nprocessed 3 insns (limit 1000000)\n-- END --";

        assert_eq!(objection(log), Some("R1 is odd"));
        assert_eq!(objection("Operation not permitted"), None);
    }
}
