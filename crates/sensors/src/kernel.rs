//! The loaded programs, and everything that they keep.

use std::io::Read as _;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use event::{ProcessId, RunId, TaskId};
use libbpf_rs::libbpf_sys;
use libbpf_rs::{AsRawLibbpf as _, Link, MapCore as _, MapFlags, MapHandle, Object};

use crate::attach::{attach_adopt, attach_all, attach_walk, walks_tasks};
use crate::bpf::types::{adopted_task, shared};
use crate::load::{self, LoadError, Options, ProgramState, map};
use crate::mapped::Mapped;
use crate::record::{self, Plain};
use crate::ring::Ring;
use crate::sets::KernelSet;
use crate::slots::{self, Slot, SlotTable, Watch};
use crate::tasks::TaskTable;
use crate::{Program, SENSORS, capabilities, unneeded};

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

/// The loaded and attached programs. Dropping it detaches them all.
pub struct Kernel {
    pub(crate) slots: SlotTable,
    pub(crate) tasks: TaskTable,
    pub(crate) maps: Maps,
    adopt: Link,
    pub(crate) read: Link,
    pub(crate) sets: Vec<KernelSet>,
    shared: Mapped<shared>,
    handled_groups: Mutex<u64>,
    /// One walk at a time: what it is about is written down where its program reads it.
    walking: Mutex<()>,
    programs: Vec<ProgramState>,
    sensors: Vec<&'static str>,
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
        let load::Loaded { object, mut programs, room, needs_free_notes, callers } = load::load(options)?;
        let mapped = |map, source| LoadError::Map { map, source };
        let slots_map = map(&object, "slots")?;
        let slots = SlotTable::map(&slots_map).map_err(|source| mapped("slots", source))?;
        let tasks = TaskTable::map(&map(&object, "task_notes")?, map(&object, "task_counts")?, room)
            .map_err(|source| mapped("task_notes", source))?;
        let maps = Maps {
            call_totals: map(&object, "call_totals")?,
            free_slots: map(&object, "free_slots")?,
            cgroup_slots: map(&object, "cgroup_slots")?,
            namespace_slots: map(&object, "namespace_slots")?,
            named_processes: map(&object, "named_processes")?,
            samples: map(&object, "samples")?,
        };
        fill(&maps.free_slots, 1..slots::SLOTS)?;
        if needs_free_notes {
            // The lowest come last, and are taken first.
            fill(&map(&object, "free_notes")?, (1..room.followed).rev())?;
        }
        let shared = Mapped::map(&map(&object, ".data.shared")?, 1).map_err(|source| mapped(".data.shared", source))?;
        let adopt = attach_adopt(&object)?;
        let read = attach_walk(&object, load::READ, &maps.call_totals)?;
        let mut sets = Vec::new();
        for set in load::sets(&programs) {
            let map = map(&object, set.map)?;
            let walk = attach_walk(&object, set.walk, &map)?;
            sets.push(KernelSet { set: *set, map, walk, over_tasks: walks_tasks(&object, set.walk) });
        }
        // What is outside of every container must be known before anything is compared with it.
        read_to_end(&adopt)?;
        let links = attach_all(&object, &mut programs)?;
        capabilities::learn(&object, &callers, &programs)?;
        unneeded::give_back();
        Ok(Kernel {
            slots,
            tasks,
            maps,
            adopt,
            read,
            sets,
            shared,
            handled_groups: Mutex::new(0),
            walking: Mutex::new(()),
            programs,
            sensors: SENSORS.iter().filter(|sensor| (sensor.is_asked)(options)).map(|sensor| sensor.name).collect(),
            _links: links,
            object,
        })
    }

    #[cfg(test)]
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// The names of the sensors that observe, or should.
    pub fn sensors(&self) -> &[&'static str] {
        &self.sensors
    }

    /// Every program of these, and what became of it.
    pub fn programs(&self) -> &[ProgramState] {
        &self.programs
    }

    /// A reader of the ring, for the thread that calls this.
    pub fn ring(&self) -> Result<Ring, libbpf_rs::Error> {
        Ring::new(&self.maps.samples)
    }

    /// The slots in use.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.used().filter_map(|number| self.slots.get(number))
    }

    /// The slot of this run; none if it was released.
    pub fn slot(&self, run: RunId) -> Option<Slot> {
        self.slots.get(run.slot).filter(|slot| slot.run == run)
    }

    /// Whether nothing more can happen in this run: a look of a few bytes.
    pub fn is_over(&self, run: RunId) -> bool {
        self.slots.is_over(run)
    }

    /// How many containers found no free slot.
    pub fn slots_exhausted(&self) -> u64 {
        // SAFETY: inside the mapping, and aligned.
        unsafe { (&raw const (*self.shared.at(0)).slots_exhausted).read_volatile() }
    }

    /// How many samples were lost that belong to no slot.
    pub fn lost_without_slot(&self) -> u64 {
        // SAFETY: inside the mapping, and aligned.
        unsafe { (&raw const (*self.shared.at(0)).lost_without_slot).read_volatile() }
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
            .map_err(|source| MapError::Map { map: "cgroup_slots", source })?;
        self.look_again();
        Ok(())
    }

    /// Makes a process part of a container that has no cgroup; its children will be, too.
    pub fn enter_process(&self, pid: u32, run: RunId) -> Result<(), MapError> {
        self.maps
            .named_processes
            .update(&pid.to_ne_bytes(), &run.slot.to_ne_bytes(), MapFlags::ANY)
            .map_err(|source| MapError::Map { map: "named_processes", source })?;
        // SAFETY: inside the mapping, and aligned.
        unsafe { (&raw mut (*self.shared.at(0)).processes_named).write_volatile(MaybeUninit::new(true)) };
        self.look_again();
        Ok(())
    }

    /// From now on, and until what this gives is dropped or used again, walks are about this slot alone; 0: about all.
    pub(crate) fn walk_about(&self, slot: u32) -> std::sync::MutexGuard<'_, ()> {
        let turn = self.walking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: inside the mapping, and aligned; the kernel only reads it.
        unsafe { (&raw mut (*self.shared.at(0)).walked_slot).write_volatile(slot) };
        turn
    }

    /// Makes every task look up once more where it belongs: some are in a container from now on that nobody moved.
    fn look_again(&self) {
        // SAFETY: inside the mapping, and aligned; the kernel only reads it.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.shared.at(0)).epoch) }.fetch_add(1, Ordering::AcqRel);
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
            let mount_ns = slot.mount_ns.to_ne_bytes();
            let named = self
                .maps
                .namespace_slots
                .lookup(&mount_ns, MapFlags::ANY)
                .map_err(|source| MapError::Map { map: "namespace_slots", source })?;
            // Another container's namespace may have the number by now.
            if named.is_some_and(|number| number == run.slot.to_ne_bytes()) {
                self.maps.namespace_slots.delete(&mount_ns).or_else(missing_is_fine)?;
            }
            self.slots.end(run.slot, boot_ns());
        }
        Ok(())
    }

    /// Lists every task of a watched container; on old kernels gives each its note.
    pub fn adopt(&self) -> Result<Vec<Adopted>, MapError> {
        let mut handled = self.handled_groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: inside the mapping, and aligned.
        let groups = unsafe { (&raw const (*self.shared.at(0)).late_groups).read_volatile() };
        let mut iter =
            libbpf_rs::Iter::new(&self.adopt).map_err(|error| MapError::Tasks(std::io::Error::other(error)))?;
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
        let watched = unsafe { AtomicU64::from_ptr(&raw mut (*self.shared.at(0)).maybe_watched) };
        watched.fetch_sub(groups.wrapping_sub(*handled), Ordering::AcqRel);
        *handled = groups;
        Ok(tasks)
    }

    /// Whether a process with several threads came in since the last [`Kernel::adopt`]: they wait for it.
    pub fn has_late_groups(&self) -> bool {
        let handled = self.handled_groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: inside the mapping, and aligned.
        let groups = unsafe { (&raw const (*self.shared.at(0)).late_groups).read_volatile() };
        groups != *handled
    }

    /// From now on a program that starts in a mount namespace and a root of its own, in no watched cgroup, is a container.
    pub fn look_for_namespaces(&self) {
        // SAFETY: inside the mapping, and aligned.
        unsafe { (&raw mut (*self.shared.at(0)).look_for_namespaces).write_volatile(MaybeUninit::new(true)) };
    }

    /// What each program cost and missed until now.
    pub fn program_costs(&self) -> Vec<ProgramCost> {
        let mut costs = Vec::new();
        for program in self.object.progs() {
            let Some(known) = SENSORS.iter().flat_map(|sensor| sensor.programs).find(|known| {
                program.name().to_str().is_some_and(|name| name.trim_end_matches(load::HELD) == known.name)
            }) else {
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

    /// How often a program did not take place: the kernel skipped it, and nothing made up for it. At least so often, and
    /// at most: a run that was skipped may just be made up for.
    pub fn missed_runs(&self) -> std::ops::RangeInclusive<u64> {
        // SAFETY: inside the mapping, and aligned.
        let made_up = || unsafe { (&raw const (*self.shared.at(0)).made_up).read_volatile() };
        let before = made_up();
        let has_twin = |cost: &ProgramCost| sensor_on_function(cost.name).is_none();
        let skipped: u64 = self.program_costs().iter().filter(|cost| has_twin(cost)).map(|cost| cost.missed).sum();
        skipped.saturating_sub(made_up())..=skipped.saturating_sub(before)
    }

    /// How often the kernel skipped programs of this sensor on functions, which nothing makes up for; these are not among
    /// [`Kernel::missed_runs`].
    pub fn missed_functions(&self, sensor: &str) -> u64 {
        let of_sensor = |cost: &ProgramCost| sensor_on_function(cost.name) == Some(sensor);
        self.program_costs().iter().filter(|cost| of_sensor(cost)).map(|cost| cost.missed).sum()
    }

    /// The memory of all maps in bytes, as the kernel accounts for it.
    pub fn map_bytes(&self) -> u64 {
        self.object.maps().filter_map(|map| memory_of(&map)).sum()
    }
}

/// The sensor of a program on a function of the kernel; none if it is on a tracepoint.
fn sensor_on_function(program: &str) -> Option<&'static str> {
    let is_it = |known: &Program| known.name == program && known.hook.starts_with("fexit/");
    SENSORS.iter().find(|sensor| sensor.programs.iter().any(is_it)).map(|sensor| sensor.name)
}

/// Has the walk over the tasks done, for what it finds out on the way.
fn read_to_end(walk: &libbpf_rs::Link) -> Result<(), LoadError> {
    let failed = |source| LoadError::Attach { program: load::ADOPT, hook: "iter/task", source };
    let mut tasks = libbpf_rs::Iter::new(walk).map_err(failed)?;
    std::io::copy(&mut tasks, &mut std::io::sink()).map_err(|error| failed(error.into())).map(drop)
}

/// Puts numbers into a map that gives them out.
fn fill(map: &MapHandle, numbers: impl Iterator<Item = u32>) -> Result<(), LoadError> {
    for number in numbers {
        map.update(&[], &number.to_ne_bytes(), MapFlags::ANY)
            .map_err(|source| LoadError::Open { source, log: "the list of free numbers is full".into() })?;
    }
    Ok(())
}

/// Reads one record, or what is left.
fn read_record(iter: &mut libbpf_rs::Iter, record: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < record.len() {
        match iter.read(&mut record[got..]) {
            Ok(0) => break,
            Ok(bytes) => got += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
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

/// Nanoseconds since boot, the clock of every sample.
pub(crate) fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
