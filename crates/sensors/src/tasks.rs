//! The notes of the watched tasks, seen through a memory map, and the counts behind them.

use event::RunId;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};

use crate::bpf::types::{task_counts, task_note};
use crate::mapped::Mapped;
use crate::record::{self, Plain};

// SAFETY: integers and arrays of them only (`bpf/notes.h`).
unsafe impl Plain for task_note {}
// SAFETY: as above.
unsafe impl Plain for task_counts {}

/// How many tasks the kernel side can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Tasks with counts of their own; each takes 2 KiB. All others count in totals that they share.
    pub(crate) counted: u32,
    /// All tasks; each takes 64 bytes. Calls of those beyond are lost, and counted as lost.
    pub(crate) followed: u32,
}

impl Room {
    /// One counted task for each 16 MiB of the machine's memory, within limits, and 16 times as many in all.
    pub(crate) fn of_machine() -> Room {
        let info = rustix::system::sysinfo();
        let mebibytes = (info.totalram as u64 * u64::from(info.mem_unit.max(1))) >> 20;
        let counted = (mebibytes / 16).clamp(1024, 8192) as u32;
        Room { counted, followed: 16 * counted }
    }
}

/// What tasks know of themselves.
pub(crate) struct TaskTable {
    notes: Mapped<task_note>,
    counts: MapHandle,
}

/// A task that is in a container, and what it has counted since its last fold.
pub(crate) struct LiveTask {
    pub(crate) note: task_note,
    pub(crate) counts: task_counts,
}

impl TaskTable {
    pub(crate) fn map(notes: &MapHandle, counts: MapHandle, room: Room) -> rustix::io::Result<TaskTable> {
        Ok(TaskTable { notes: Mapped::map(notes, room.followed as usize)?, counts })
    }

    /// The counts of every task that is in one of these runs.
    pub(crate) fn of_runs(
        &self,
        is_wanted: impl Fn(RunId) -> bool,
        mut found: impl FnMut(&LiveTask),
    ) -> Result<(), libbpf_rs::Error> {
        for number in 1..self.notes.count() {
            let note = self.note(number);
            if note.counts == 0 || note.slot == 0 || !is_wanted(record::run(note.slot, note.generation)) {
                continue;
            }
            let Some(counts) = self.counts.lookup(&note.counts.to_ne_bytes(), MapFlags::ANY)? else { continue };
            let Ok(counts) = record::read::<task_counts>(&counts) else { continue };
            // Its pairs of call and errno may have moved on: then they are as of now. Whoever ends folds, which the
            // slot's numbers of folds show; the next owner of the note is none of ours.
            let again = self.note(number);
            if again.life == note.life && (again.slot, again.generation) == (note.slot, note.generation) {
                found(&LiveTask { note: again, counts });
            }
        }
        Ok(())
    }

    fn note(&self, number: usize) -> task_note {
        // SAFETY: inside the mapping; integers only, so any bytes are a value.
        unsafe { self.notes.at(number).read_volatile() }
    }
}
