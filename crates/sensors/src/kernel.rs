//! Loads the object, attaches its programs one by one, and hands out what they keep.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use event::{ProcessId, RunId, TaskId};
use libbpf_rs::btf::{
    Btf,
    types::{Enum, Typedef},
};
use libbpf_rs::libbpf_sys;
use libbpf_rs::{
    AsRawLibbpf as _, Link, MapCore as _, MapFlags, MapHandle, MapType, Object, ObjectBuilder, OpenObject, PrintLevel,
};

use crate::bpf::types::{adopted_task, bss, rodata};
use crate::counts::read_record;
use crate::record::{self, Plain};
use crate::ring::Ring;
use crate::slots::{self, Slot, SlotTable, Watch};
use crate::{Program, SENSORS};

/// For kernels with storage for tasks and `bpf_loop`: 5.17 and later.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ringfence.bpf.o"));
/// For older ones: every call is counted in the totals that all share.
const OLD_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ringfence-old.bpf.o"));

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
    /// Behave as on a kernel that has no storage for any task: for tests of that path.
    pub refuse_task_storage: bool,
    /// Make an event of each system call that matches.
    pub trace: Option<CallFilter>,
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
    #[error(
        "this kernel has no storage for tasks, or no bpf_loop (5.17 has both): system calls cannot be traced one by one without"
    )]
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

fn said_by_libbpf(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("; libbpf said:\n{lines}") }
}

/// Why the kernel's tables could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// A map operation failed.
    #[error("the BPF map {map} cannot be changed")]
    Map {
        /// The map.
        map: &'static str,
        /// What it was.
        source: libbpf_rs::Error,
    },
    /// The walk over the tasks failed.
    #[error("the kernel did not list its tasks")]
    Tasks(#[source] std::io::Error),
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

/// What one program cost and missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCost {
    /// Its name.
    pub name: &'static str,
    /// How often it ran; only counted while the kernel's BPF statistics are on.
    pub runs: u64,
    /// The time it took in all, in nanoseconds; only measured while the kernel's BPF statistics are on.
    pub run_time_ns: u64,
    /// How often the kernel skipped it, because it was in the middle of a run on the same CPU.
    pub missed: u64,
}

/// A task that was there before anybody looked, or that came in behind its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The container.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
    /// Its parent process.
    pub parent: ProcessId,
    /// Its thread id in its own pid namespace.
    pub tid_inside: u32,
    /// Its pid namespace.
    pub pid_ns: u32,
    /// Its mount namespace.
    pub mount_ns: u32,
    /// Its user namespace.
    pub user_ns: u32,
}

// SAFETY: integers and arrays of them only (`identity.bpf.c`).
unsafe impl Plain for adopted_task {}

pub(crate) struct Maps {
    pub(crate) call_totals: MapHandle,
    pub(crate) free_slots: MapHandle,
    cgroup_slots: MapHandle,
    namespace_slots: MapHandle,
    named_processes: MapHandle,
    samples: MapHandle,
}

pub(crate) struct Iterators {
    adopt: Link,
    pub(crate) read: Link,
}

/// The loaded and attached programs. Dropping it detaches them all.
pub struct Kernel {
    pub(crate) slots: SlotTable,
    pub(crate) maps: Maps,
    pub(crate) iterators: Iterators,
    globals: Globals,
    handled_groups: Mutex<u64>,
    programs: Vec<ProgramState>,
    counts_in_tasks: bool,
    _links: Vec<Link>,
    object: Object,
}

// SAFETY: libbpf's object, links and descriptors are bound to no thread; everything that changes after loading goes
// through system calls on descriptors, or through the mapped memory, which has its own rules.
unsafe impl Send for Kernel {}
// SAFETY: as above; no method that takes `&self` changes libbpf's own state.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// Loads every sensor and attaches it. From the moment this returns, every new container is counted.
    pub fn load(options: &Options) -> Result<Kernel, LoadError> {
        let btf = &Btf::from_vmlinux().map_err(LoadError::NoBtf)?;
        let counts_in_tasks = !options.refuse_task_storage
            && has_helper(btf, "BPF_FUNC_loop")
            && MapType::TaskStorage.is_supported().unwrap_or(false);
        if !counts_in_tasks && options.trace.is_some() {
            return Err(LoadError::NoTrace);
        }
        let print = capture_log();
        let mut open = ObjectBuilder::default()
            .name("ringfence")
            .and_then(|builder| builder.open_memory(if counts_in_tasks { OBJECT } else { OLD_OBJECT }))
            .map_err(|source| LoadError::Open { source, log: said() })?;
        configure(&mut open, options, btf)?;
        let mut programs = choose(&mut open, btf, options.trace.is_some());
        let object = open.load().map_err(|source| LoadError::Load { source, log: said() })?;
        libbpf_rs::set_print(print);

        let slots_map = map(&object, "slots")?;
        let slots = SlotTable::map(&slots_map).map_err(|source| LoadError::Map { map: "slots", source })?;
        let maps = Maps {
            call_totals: map(&object, "call_totals")?,
            free_slots: map(&object, "free_slots")?,
            cgroup_slots: map(&object, "cgroup_slots")?,
            namespace_slots: map(&object, "namespace_slots")?,
            named_processes: map(&object, "named_processes")?,
            samples: map(&object, "samples")?,
        };
        for slot in 1..slots::SLOTS {
            maps.free_slots
                .update(&[], &slot.to_ne_bytes(), MapFlags::ANY)
                .map_err(|source| LoadError::Open { source, log: "the queue of free slots is full".into() })?;
        }
        let globals = Globals::map(&object)?;
        let iterators = Iterators {
            adopt: attach_one(&object, "adopt_task", "iter/task")?,
            read: attach_one(&object, "read_task", "iter/task")?,
        };
        let links = attach_all(&object, &mut programs)?;
        Ok(Kernel {
            slots,
            maps,
            iterators,
            globals,
            handled_groups: Mutex::new(0),
            programs,
            counts_in_tasks,
            _links: links,
            object,
        })
    }

    /// Whether each task counts in storage of its own; else every call goes to a map that all share.
    pub fn counts_in_tasks(&self) -> bool {
        self.counts_in_tasks
    }

    /// Every program of every sensor, and what became of it.
    pub fn programs(&self) -> &[ProgramState] {
        &self.programs
    }

    /// A reader of the ring, for the thread that calls this.
    pub fn ring(&self) -> Result<Ring, libbpf_rs::Error> {
        Ring::new(&self.maps.samples)
    }

    /// The slots in use.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (1..slots::SLOTS).filter(|&number| self.slots.is_used(number)).filter_map(|number| self.slots.get(number))
    }

    /// The slot of this run; none if it was released.
    pub fn slot(&self, run: RunId) -> Option<Slot> {
        self.slots.get(run.slot).filter(|slot| slot.run == run)
    }

    /// How many containers found no free slot.
    pub fn slots_exhausted(&self) -> u64 {
        // SAFETY: inside the mapping, see `Globals`.
        unsafe { (&raw const (*self.globals.at).slots_exhausted).read_volatile() }
    }

    /// How many samples were lost that belong to no slot.
    pub fn lost_without_slot(&self) -> u64 {
        // SAFETY: inside the mapping, see `Globals`.
        unsafe { (&raw const (*self.globals.at).lost_without_slot).read_volatile() }
    }

    /// Watches a cgroup that is there already, or a container that has none; `None` if no slot is free.
    pub fn watch(&self, watch: &Watch) -> Result<Option<RunId>, MapError> {
        let Ok(Some(number)) = self.maps.free_slots.lookup_and_delete(&[]) else {
            return Ok(None);
        };
        let Some(number) = <[u8; 4]>::try_from(number.as_slice()).ok().map(u32::from_ne_bytes) else {
            return Ok(None);
        };
        let run = self.slots.occupy(number, watch, boot_ns());
        if watch.cgroup_id != 0 {
            self.enter_cgroup(watch.cgroup_id, run)?;
        }
        if watch.mount_ns != 0 {
            self.maps
                .namespace_slots
                .update(&watch.mount_ns.to_ne_bytes(), &number.to_ne_bytes(), MapFlags::ANY)
                .map_err(|source| MapError::Map { map: "namespace_slots", source })?;
        }
        Ok(Some(run))
    }

    /// Makes a cgroup part of a container that is watched: one below its own that was there before.
    pub fn enter_cgroup(&self, cgroup_id: u64, run: RunId) -> Result<(), MapError> {
        self.maps
            .cgroup_slots
            .update(&cgroup_id.to_ne_bytes(), &run.slot.to_ne_bytes(), MapFlags::ANY)
            .map_err(|source| MapError::Map { map: "cgroup_slots", source })
    }

    /// Makes a process part of a container that has no cgroup; its children will be, too.
    pub fn enter_process(&self, pid: u32, run: RunId) -> Result<(), MapError> {
        self.maps
            .named_processes
            .update(&pid.to_ne_bytes(), &run.slot.to_ne_bytes(), MapFlags::ANY)
            .map_err(|source| MapError::Map { map: "named_processes", source })?;
        // SAFETY: inside the mapping, see `Globals`.
        unsafe { (&raw mut (*self.globals.at).processes_named).write_volatile(true) };
        Ok(())
    }

    /// The run that a cgroup belongs to.
    pub fn run_of_cgroup(&self, cgroup_id: u64) -> Option<RunId> {
        let number = self.maps.cgroup_slots.lookup(&cgroup_id.to_ne_bytes(), MapFlags::ANY).ok()??;
        let slot = u32::from_ne_bytes(number.as_slice().try_into().ok()?);
        self.slots.get(slot).map(|slot| slot.run)
    }

    /// Says that a candidate is a container because the user named it: the first exec from outside starts it.
    pub fn name(&self, run: RunId) {
        if self.slot(run).is_some() {
            self.slots.name(run.slot);
        }
    }

    /// Says that a candidate is none: its tasks are watched no longer than until they next look up their cgroup.
    pub fn end(&self, run: RunId) -> Result<(), MapError> {
        if let Some(slot) = self.slot(run) {
            let missing_is_fine = |source: libbpf_rs::Error| match source.kind() {
                libbpf_rs::ErrorKind::NotFound => Ok(()),
                _ => Err(MapError::Map { map: "cgroup_slots", source }),
            };
            if slot.cgroup_id != 0 {
                self.maps.cgroup_slots.delete(&slot.cgroup_id.to_ne_bytes()).or_else(missing_is_fine)?;
            }
            if slot.mount_ns != 0 {
                self.maps.namespace_slots.delete(&slot.mount_ns.to_ne_bytes()).or_else(missing_is_fine)?;
            }
            self.slots.end(run.slot, boot_ns());
        }
        Ok(())
    }

    /// Gives every task of a watched container its storage, and lists those tasks.
    pub fn adopt(&self) -> Result<Vec<Adopted>, MapError> {
        let mut handled = self.handled_groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: inside the mapping, see `Globals`.
        let groups = unsafe { (&raw const (*self.globals.at).late_groups).read_volatile() };
        let mut iter = libbpf_rs::Iter::new(&self.iterators.adopt)
            .map_err(|error| MapError::Tasks(std::io::Error::other(error)))?;
        let mut tasks = Vec::new();
        let mut bytes = vec![0; size_of::<adopted_task>()];
        loop {
            let got = read_record(&mut iter, &mut bytes).map_err(MapError::Tasks)?;
            let Ok(found) = record::read::<adopted_task>(&bytes[..got]) else { break };
            tasks.push(Adopted {
                run: record::run(found.slot, found.generation),
                task: record::task(&found.task),
                parent: record::process(&found.parent),
                tid_inside: found.tid_inside,
                pid_ns: found.pid_ns,
                mount_ns: found.mount_ns,
                user_ns: found.user_ns,
            });
        }
        // SAFETY: inside the mapping and aligned; the kernel, too, changes it by atomic additions only.
        let watched = unsafe { AtomicU64::from_ptr(&raw mut (*self.globals.at).maybe_watched) };
        watched.fetch_sub(groups.wrapping_sub(*handled), Ordering::AcqRel);
        *handled = groups;
        Ok(tasks)
    }

    /// Whether a process with several threads came in since the last [`Kernel::adopt`]: they wait for it.
    pub fn has_late_groups(&self) -> bool {
        let handled = self.handled_groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: inside the mapping, see `Globals`.
        let groups = unsafe { (&raw const (*self.globals.at).late_groups).read_volatile() };
        groups != *handled
    }

    /// From now on a program that starts in a mount namespace and a root of its own, in no watched cgroup, is a container.
    pub fn look_for_namespaces(&self) {
        // SAFETY: inside the mapping, see `Globals`.
        unsafe { (&raw mut (*self.globals.at).look_for_namespaces).write_volatile(true) };
    }

    /// What each program cost and missed until now.
    pub fn program_costs(&self) -> Vec<ProgramCost> {
        let mut costs = Vec::new();
        for program in self.object.progs() {
            let Some(known) = SENSORS
                .iter()
                .flat_map(|sensor| sensor.programs)
                .find(|known| program.name().to_str() == Some(known.name))
            else {
                continue;
            };
            if let Some(info) = info_of(program.as_libbpf_object()) {
                costs.push(ProgramCost {
                    name: known.name,
                    runs: info.run_cnt,
                    run_time_ns: info.run_time_ns,
                    missed: info.recursion_misses,
                });
            }
        }
        costs
    }

    /// The memory of all maps in bytes, as the kernel accounts for it; without the storage of live threads.
    pub fn map_bytes(&self) -> u64 {
        self.object.maps().filter_map(|map| memory_of(&map)).sum()
    }

    /// What the storage of one thread takes, in bytes: an object of 2 KiB.
    pub const fn thread_bytes() -> u64 {
        2048
    }
}

/// What the kernel says of a loaded program; its counters of runs stay 0 while BPF statistics are off.
fn info_of(program: NonNull<libbpf_sys::bpf_program>) -> Option<libbpf_sys::bpf_prog_info> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut bytes = size_of_val(&info) as u32;
    // SAFETY: the program belongs to an object that is alive, and the kernel writes at most `bytes` bytes to `info`.
    let failed = unsafe {
        let fd = libbpf_sys::bpf_program__fd(program.as_ptr());
        libbpf_sys::bpf_prog_get_info_by_fd(fd, &raw mut info, &raw mut bytes)
    };
    (failed == 0).then_some(info)
}

/// `memlock:` of the map's descriptor (kernel/bpf/syscall.c, `bpf_map_show_fdinfo`, 6.18).
fn memory_of(map: &libbpf_rs::Map<'_>) -> Option<u64> {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}

/// The object's variables, mapped. Each is an integer that the kernel side reads or adds to at any time.
struct Globals {
    at: *mut bss,
    bytes: usize,
}

impl Globals {
    fn map(object: &Object) -> Result<Globals, LoadError> {
        let handle = object
            .maps()
            .find(|map| map.name().to_string_lossy().ends_with(".bss"))
            .and_then(|map| MapHandle::try_from(&map).ok())
            .ok_or(LoadError::Map { map: ".bss", source: rustix::io::Errno::NOENT })?;
        let at =
            slots::map_shared(&handle, size_of::<bss>()).map_err(|source| LoadError::Map { map: ".bss", source })?;
        Ok(Globals { at: at.as_ptr().cast(), bytes: size_of::<bss>().next_multiple_of(rustix::param::page_size()) })
    }
}

impl Drop for Globals {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this very length.
        let _ = unsafe { rustix::mm::munmap(self.at.cast(), self.bytes) };
    }
}

/// Nanoseconds since boot, the clock of every sample.
fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn configure(open: &mut OpenObject, options: &Options, btf: &Btf<'_>) -> Result<(), LoadError> {
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name.ends_with(".rodata") {
            let bytes = map.initial_value_mut().expect("the object has constants");
            assert!(bytes.len() >= size_of::<rodata>(), "the object's constants are those of its own types");
            // SAFETY: the length was checked; libbpf maps this memory at a page boundary and nobody else holds it.
            let constants = unsafe { &mut *bytes.as_mut_ptr().cast::<rodata>() };
            if let Some(filter) = &options.trace {
                set_filter(constants, filter);
            }
            match &options.hierarchy {
                Hierarchy::Unified => {
                    constants.identity_is_v2 = true;
                    constants.identity_hierarchy = 0;
                }
                Hierarchy::Controller { name, id } => {
                    constants.identity_is_v2 = false;
                    constants.identity_hierarchy = *id;
                    constants.identity_controller =
                        controller(btf, name).ok_or_else(|| LoadError::NoController(name.clone()))?;
                }
            }
        } else if name == "open_calls" && options.trace.is_none() {
            map.set_autocreate(false).map_err(|source| LoadError::Open { source, log: name })?;
        } else if name == "samples" {
            map.set_max_entries(options.ring_bytes)
                .map_err(|source| LoadError::Open { source, log: "the ring's size is not a power of two".into() })?;
        }
    }
    Ok(())
}

fn set_filter(constants: &mut rodata, filter: &CallFilter) {
    constants.trace_calls = true;
    constants.trace_failed_only = filter.failed_only;
    if let Some(uid) = filter.uid {
        constants.trace_by_uid = true;
        constants.trace_uid = uid;
    }
    if let Some(comm) = &filter.comm {
        // The last byte stays zero, as in `task->comm`.
        let room = constants.trace_comm.len() - 1;
        for (to, from) in constants.trace_comm.iter_mut().zip(comm.bytes().take(room)) {
            *to = from;
        }
    }
    if let Some(numbers) = &filter.numbers {
        constants.trace_by_number = true;
        for &number in numbers {
            if let Some(word) = constants.trace_numbers.get_mut(number as usize / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }
}

/// Whether the kernel's list of helpers has this one.
fn has_helper(btf: &Btf<'_>, name: &str) -> bool {
    btf.type_by_name::<Enum<'_>>("bpf_func_id")
        .is_some_and(|list| list.iter().any(|helper| helper.name.is_some_and(|known| known.to_str() == Some(name))))
}

/// The index of a controller in `css_set.subsys`: it depends on the kernel's configuration.
fn controller(btf: &Btf<'_>, name: &str) -> Option<u32> {
    let wanted = format!("{name}_cgrp_id");
    let ids = btf.type_by_name::<Enum<'_>>("cgroup_subsys_id")?;
    ids.iter()
        .find(|member| member.name.is_some_and(|name| name.to_str() == Some(wanted.as_str())))
        .and_then(|member| u32::try_from(member.value).ok())
}

/// Leaves out the programs whose hook this kernel does not have.
fn choose(open: &mut OpenObject, btf: &Btf<'_>, traced: bool) -> Vec<ProgramState> {
    let mut states = Vec::new();
    for sensor in SENSORS {
        for program in sensor.programs {
            if program.only_traced && !traced {
                leave_out(open, program);
                continue;
            }
            let state = match program.hook.strip_prefix("tp_btf/") {
                Some(tracepoint) if btf.type_by_name::<Typedef<'_>>(&format!("btf_trace_{tracepoint}")).is_none() => {
                    State::Unsupported(format!("this kernel has no tracepoint {tracepoint}"))
                }
                _ => State::Attached,
            };
            if state != State::Attached {
                leave_out(open, program);
            }
            states.push(ProgramState { sensor: sensor.name, name: program.name, hook: program.hook, state });
        }
    }
    states
}

fn leave_out(open: &mut OpenObject, program: &Program) {
    for mut loaded in open.progs_mut().filter(|loaded| loaded.name().to_str() == Some(program.name)) {
        loaded.set_autoload(false);
    }
}

fn attach_all(object: &Object, states: &mut [ProgramState]) -> Result<Vec<Link>, LoadError> {
    let programs = || SENSORS.iter().flat_map(|sensor| sensor.programs);
    let (last, first): (Vec<&Program>, Vec<&Program>) = programs().partition(|program| program.last);
    let mut links = Vec::new();
    for program in first.into_iter().chain(last) {
        let state = states.iter_mut().find(|state| state.name == program.name && state.state == State::Attached);
        let Some(state) = state else { continue };
        match attach_one(object, program.name, program.hook) {
            Ok(link) => links.push(link),
            // Without identity nothing can be booked on anybody.
            Err(error) if state.sensor == "identity" => return Err(error),
            Err(error) => state.state = State::Failed(error.to_string()),
        }
    }
    Ok(links)
}

fn attach_one(object: &Object, name: &'static str, hook: &'static str) -> Result<Link, LoadError> {
    let program = object
        .progs_mut()
        .find(|program| program.name().to_str() == Some(name))
        .unwrap_or_else(|| panic!("the object has no program {name}"));
    program.attach().map_err(|source| LoadError::Attach { program: name, hook, source })
}

fn map(object: &Object, name: &'static str) -> Result<MapHandle, LoadError> {
    let map = object.maps().find(|map| map.name().to_str() == Some(name));
    MapHandle::try_from(&map.unwrap_or_else(|| panic!("the object has no map {name}")))
        .map_err(|source| LoadError::Open { source, log: format!("map {name}") })
}

/// The last lines that libbpf said: the only place where it says why.
static LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const LOG_LINES: usize = 40;
const LOG_CHARS: usize = 1500;

fn capture_log() -> Option<(PrintLevel, libbpf_rs::PrintCallback)> {
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, line| {
        if let Ok(mut log) = LOG.lock() {
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            // The verifier's reason comes last.
            let line = line.trim_end();
            let from = line.char_indices().rev().nth(LOG_CHARS).map_or(0, |(at, _)| at);
            log.push_back(line[from..].to_owned());
        }
    })))
}

fn said() -> String {
    LOG.lock().map(|mut log| log.drain(..).collect::<Vec<_>>().join("\n")).unwrap_or_default()
}
