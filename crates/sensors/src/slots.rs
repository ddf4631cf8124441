//! The slot table, seen through a memory map: what the kernel knows of each container, current without a system call.

use std::sync::atomic::{Ordering, fence};

use event::RunId;
use libbpf_rs::MapHandle;

use crate::bpf::types::{limit, slot_flag, slot_state, slot_status};
use crate::mapped::Mapped;

/// What was lost of one container, by where it was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotLosses {
    /// Samples that found no room in the ring, per sensor in the order of [`crate::sensor_names`].
    pub samples: Vec<u64>,
    /// Entries of sets, and counts, that found no room in their map, per sensor in the same order; of `syscalls` also those
    /// of threads that could not be followed.
    pub entries: Vec<u64>,
}

/// One container or candidate, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which run.
    pub run: RunId,
    /// The user named it.
    pub named: bool,
    /// It ran already when the recording began.
    pub attached: bool,
    /// It has no cgroup of its own.
    pub no_cgroup: bool,
    /// The cgroup's id in the identity hierarchy; 0 if it has none.
    pub cgroup_id: u64,
    /// The cgroup's path, at most 255 bytes of it.
    pub path: Vec<u8>,
    /// Whether the path is longer.
    pub path_cut: bool,
    /// The slot of the container that it was made inside of; 0 if none.
    pub parent: u32,
    /// When it was made, in nanoseconds since boot.
    pub created_ns: u64,
    /// When its workload started.
    pub started_ns: Option<u64>,
    /// When its cgroup was removed.
    pub ended_ns: Option<u64>,
    /// The pid of its workload's first process, 0 before it started.
    pub init_pid: u32,
    /// The mount namespace of its workload, 0 before it started.
    pub mount_ns: u32,
    /// How many tasks came into it, by fork or from outside.
    pub tasks_entered: u64,
    /// How many of them are gone.
    pub tasks_left: u64,
    /// How many processes were made in it.
    pub processes: u64,
    /// How many threads were made in it, those of new processes included.
    pub threads: u64,
    /// How many programs were started in it.
    pub execs: u64,
    /// What was lost.
    pub losses: SlotLosses,
}

/// How a slot that user space takes is to be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The cgroup; 0 if it has none.
    pub cgroup_id: u64,
    /// Its path.
    pub path: Vec<u8>,
    /// The user named it: the first exec of a task that comes from outside starts the workload.
    pub named: bool,
    /// It runs already: everything in it counts as `main`.
    pub attached: bool,
    /// The pid of its first process, if known.
    pub init_pid: u32,
    /// Its mount namespace, if known.
    pub mount_ns: u32,
    /// Its user namespace, if known.
    pub user_ns: u32,
}

/// The memory-mapped table.
pub(crate) struct SlotTable {
    slots: Mapped<slot_state>,
}

pub(crate) const SLOTS: u32 = limit::MAX_SLOTS.0;
/// More slots are never being taken at the same moment.
const FRESH: u32 = 64;

impl SlotTable {
    pub(crate) fn map(map: &MapHandle) -> rustix::io::Result<SlotTable> {
        Ok(SlotTable { slots: Mapped::map(map, SLOTS as usize)? })
    }

    fn at(&self, number: u32) -> *mut slot_state {
        self.slots.at(number as usize)
    }

    /// Everything that is known of the slot; none while it is free.
    pub(crate) fn get(&self, number: u32) -> Option<Slot> {
        if number == 0 || number >= SLOTS {
            return None;
        }
        // SAFETY: inside the mapping; integers only, so any bytes are a value.
        let state = unsafe { self.at(number).read_volatile() };
        if state.status == slot_status::SLOT_FREE.0 {
            return None;
        }
        let has = |flag: slot_flag| state.flags & flag.0 != 0;
        let path_bytes = (state.path_bytes as usize).min(state.path.len());
        Some(Slot {
            run: RunId { slot: number, generation: state.generation },
            named: has(slot_flag::SLOT_NAMED),
            attached: has(slot_flag::SLOT_ATTACHED),
            no_cgroup: has(slot_flag::SLOT_NO_CGROUP),
            cgroup_id: state.cgroup_id,
            path: state.path[..path_bytes].to_vec(),
            path_cut: has(slot_flag::SLOT_PATH_CUT),
            parent: state.parent,
            created_ns: state.created_ns,
            started_ns: (state.started_ns != 0).then_some(state.started_ns),
            ended_ns: (state.ended_ns != 0).then_some(state.ended_ns),
            init_pid: state.init_pid,
            mount_ns: state.mount_ns,
            tasks_entered: state.tasks_entered,
            tasks_left: state.tasks_left,
            processes: state.processes,
            threads: state.threads,
            execs: state.execs,
            losses: SlotLosses { samples: state.lost_samples.to_vec(), entries: state.lost_entries.to_vec() },
        })
    }

    /// The slots that are in use. They are taken in turn, so that those behind many that never were are left alone: memory that
    /// nobody looks at is none.
    pub(crate) fn used(&self) -> impl Iterator<Item = u32> + '_ {
        let mut fresh = 0;
        (1..SLOTS)
            .map(|number| {
                let at = self.at(number);
                // SAFETY: inside the mapping.
                let (status, generation) = unsafe {
                    ((&raw const (*at).status).read_volatile(), (&raw const (*at).generation).read_volatile())
                };
                (number, status != slot_status::SLOT_FREE.0, generation != 0)
            })
            // One that is being taken looks as if it never was.
            .take_while(move |(_, is_used, was_used)| {
                fresh = if *is_used || *was_used { 0 } else { fresh + 1 };
                fresh <= FRESH
            })
            .filter_map(|(number, is_used, _)| is_used.then_some(number))
    }

    /// Whether the run has ended. Without a cgroup nothing says that nobody will come back: it is over with its last task.
    pub(crate) fn is_over(&self, run: RunId) -> bool {
        let at = self.at(run.slot);
        // SAFETY: inside the mapping.
        let (status, flags, generation, entered, left) = unsafe {
            (
                (&raw const (*at).status).read_volatile(),
                (&raw const (*at).flags).read_volatile(),
                (&raw const (*at).generation).read_volatile(),
                (&raw const (*at).tasks_entered).read_volatile(),
                (&raw const (*at).tasks_left).read_volatile(),
            )
        };
        let is_empty = flags & slot_flag::SLOT_NO_CGROUP.0 != 0 && entered > 0 && entered == left;
        generation == run.generation && (status == slot_status::SLOT_ENDED.0 || is_empty)
    }

    /// How many folds have begun and ended in the slot.
    pub(crate) fn folds(&self, number: u32) -> (u64, u64) {
        fence(Ordering::Acquire);
        // SAFETY: inside the mapping.
        unsafe {
            (
                (&raw const (*self.at(number)).folds_begun).read_volatile(),
                (&raw const (*self.at(number)).folds_ended).read_volatile(),
            )
        }
    }

    /// Fills a slot that was taken from the queue, so that nobody else uses it yet.
    pub(crate) fn occupy(&self, number: u32, watch: &Watch, now_ns: u64) -> RunId {
        let at = self.at(number);
        let path_bytes = watch.path.len().min(size_of_val(&slot_state::default().path) - 1);
        let mut flags = 0;
        if watch.named {
            flags |= slot_flag::SLOT_NAMED.0;
        }
        if watch.attached {
            flags |= slot_flag::SLOT_ATTACHED.0;
        }
        if watch.cgroup_id == 0 {
            flags |= slot_flag::SLOT_NO_CGROUP.0;
        }
        if path_bytes < watch.path.len() {
            flags |= slot_flag::SLOT_PATH_CUT.0;
        }
        // SAFETY: inside the mapping; the slot is in no other hands until its cgroup is entered into the map.
        unsafe {
            let generation = (&raw const (*at).generation).read_volatile();
            let mut state = slot_state {
                cgroup_id: watch.cgroup_id,
                created_ns: now_ns,
                started_ns: if watch.attached { now_ns } else { 0 },
                init_pid: watch.init_pid,
                mount_ns: watch.mount_ns,
                user_ns: watch.user_ns,
                generation,
                status: slot_status::SLOT_CONTAINER.0,
                flags,
                path_bytes: path_bytes as u32,
                ..slot_state::default()
            };
            state.path[..path_bytes].copy_from_slice(&watch.path[..path_bytes]);
            at.write_volatile(state);
            fence(Ordering::Release);
            RunId { slot: number, generation }
        }
    }

    /// Marks a slot that the kernel made as one that the user named.
    pub(crate) fn name(&self, number: u32) {
        let at = self.at(number);
        // SAFETY: inside the mapping; the kernel sets flags only when it takes the slot.
        unsafe {
            let flags = &raw mut (*at).flags;
            flags.write_volatile(flags.read_volatile() | slot_flag::SLOT_NAMED.0);
            (&raw mut (*at).status).write_volatile(slot_status::SLOT_CONTAINER.0);
        }
    }

    /// Marks a slot without a cgroup as ended.
    pub(crate) fn end(&self, number: u32, now_ns: u64) {
        let at = self.at(number);
        // SAFETY: inside the mapping; nothing in the kernel ends a slot that has no cgroup.
        unsafe {
            (&raw mut (*at).ended_ns).write_volatile(now_ns);
            (&raw mut (*at).status).write_volatile(slot_status::SLOT_ENDED.0);
        }
    }

    /// Clears the slot for its next owner, whose generation is one higher.
    pub(crate) fn clear(&self, number: u32) {
        let at = self.at(number);
        // SAFETY: inside the mapping; the slot is in no map of the kernel's any more.
        unsafe {
            let generation = (&raw const (*at).generation).read_volatile();
            at.write_volatile(slot_state { generation: generation.wrapping_add(1), ..slot_state::default() });
        }
        fence(Ordering::Release);
    }
}
