//! Reads what the kernel counted, without clearing it: the totals of the slots, and what live tasks hold themselves.

use event::{Arch, CallTally, Errno, FailureTally, Phase, RunId, Syscall, Tally};
use libbpf_rs::{MapCore as _, MapFlags};
use std::collections::{BTreeMap, BTreeSet};

use crate::bpf::types::{call_key, call_total, counted_call, errno_mark, table};
use crate::kernel::Kernel;
use crate::record::{self, Plain};
use crate::sets::delete;
use crate::tasks::LiveTask;

// SAFETY: integers and arrays of them only (`bpf/notes.h`).
unsafe impl Plain for call_key {}
// SAFETY: as above.
unsafe impl Plain for counted_call {}

/// Why counts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What is kept in maps.
    #[error("the kernel did not give what it has counted")]
    Walk(#[source] std::io::Error),
    /// The counts of live tasks.
    #[error("the kernel did not give the counts of live tasks")]
    Tasks(#[source] libbpf_rs::Error),
    /// What is not needed any more could not be taken away.
    #[error("the kernel did not forget the counts of a container that is over")]
    Release(#[source] libbpf_rs::Error),
}

/// How often a snapshot is tried while threads end in its middle.
const ATTEMPTS: u32 = 8;

/// What a count is kept under: the errno is with its mark.
type Key = (Phase, Syscall, u16);

#[derive(Default)]
struct Counts {
    counts: BTreeMap<Key, u64>,
    firsts: BTreeMap<Key, call_total>,
}

impl Kernel {
    /// The counts of these runs now. What no thread moved in the middle of is exact; else it says `at_least`.
    ///
    /// After a container's last task is gone the answer is final, and exact.
    pub fn read_counts(&self, runs: &[RunId]) -> Result<BTreeMap<RunId, Tally>, ReadError> {
        let mut done = BTreeMap::new();
        let mut open: BTreeSet<RunId> = runs.iter().copied().collect();
        for attempt in 1..=ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let before: BTreeMap<u32, (u64, u64)> =
                open.iter().map(|run| (run.slot, self.slots.folds(run.slot))).collect();
            // The totals first: a thread that folds in between is missed, never counted twice.
            let mut counts = self.read_totals(&open)?;
            self.read_tasks(&open, &mut counts)?;
            open.retain(|run| {
                let (begun, ended) = before[&run.slot];
                let still = begun == ended && self.slots.folds(run.slot) == (begun, ended);
                if still || attempt == ATTEMPTS {
                    done.insert(*run, tally(counts.remove(&run.slot).unwrap_or_default(), !still));
                }
                !still
            });
        }
        Ok(done)
    }

    fn read_totals(&self, runs: &BTreeSet<RunId>) -> Result<BTreeMap<u32, Counts>, ReadError> {
        let wanted: BTreeSet<u32> = runs.iter().map(|run| run.slot).collect();
        let mut slots: BTreeMap<u32, Counts> = BTreeMap::new();
        self.each_total(&wanted, |key, total| {
            let Some(at) = key_of(key.phase, key.table, key.number, key.errno).filter(|_| wanted.contains(&key.slot))
            else {
                return;
            };
            let counts = slots.entry(key.slot).or_default();
            // The walk may come to an entry twice.
            counts.counts.insert(at, total.count);
            counts.firsts.insert(at, total);
        })?;
        Ok(slots)
    }

    /// Every total of these slots, and perhaps of others; some perhaps twice.
    fn each_total(&self, slots: &BTreeSet<u32>, mut found: impl FnMut(call_key, call_total)) -> Result<(), ReadError> {
        self.each_record(&self.read, size_of::<counted_call>(), slots, |bytes| {
            if let Ok(call) = record::read::<counted_call>(bytes) {
                found(call.key, call.total);
            }
        })
    }

    fn read_tasks(&self, runs: &BTreeSet<RunId>, slots: &mut BTreeMap<u32, Counts>) -> Result<(), ReadError> {
        let lives = |run: &RunId| self.slots.get(run.slot).is_none_or(|slot| slot.tasks_entered != slot.tasks_left);
        if !runs.iter().any(lives) {
            return Ok(());
        }
        self.tasks
            .of_runs(|run| runs.contains(&run), |task| add_task(slots.entry(task.note.slot).or_default(), task))
            .map_err(ReadError::Tasks)
    }

    /// Forgets these runs: their totals and sets go, and their slots may be taken again. Do this when what was read is safe.
    pub fn release(&self, runs: &[RunId]) -> Result<(), ReadError> {
        let wanted: BTreeSet<u32> = runs.iter().map(|run| run.slot).collect();
        // First: whoever still holds counts of these runs sees by the generation that nobody wants them.
        wanted.iter().for_each(|&slot| self.slots.clear(slot));
        let mut keys = BTreeSet::new();
        self.each_total(&wanted, |key, _| {
            if wanted.contains(&key.slot) {
                keys.insert(record::bytes(&key).to_vec());
            }
        })?;
        for key in keys {
            delete(&self.maps.call_totals, &key)?;
        }
        self.clear_sets(&wanted)?;
        for slot in wanted {
            self.maps.free_slots.update(&[], &slot.to_ne_bytes(), MapFlags::ANY).map_err(ReadError::Release)?;
        }
        Ok(())
    }
}

fn add_task(counts: &mut Counts, task: &LiveTask) {
    for (number, &count) in (0..).zip(&task.counts.calls) {
        if let Some(key) = key_of(task.note.phase, native_table(), number, 0).filter(|_| count > 0) {
            *counts.counts.entry(key).or_default() += u64::from(count);
        }
    }
    for pair in task.note.errnos.iter().filter(|pair| pair.count > 0) {
        if let Some(key) = key_of(task.note.phase, native_table(), u32::from(pair.number), pair.errno) {
            *counts.counts.entry(key).or_default() += u64::from(pair.count);
        }
    }
}

/// The mark of a call that was refused before it was entered.
const REFUSED: u16 = errno_mark::ERRNO_REFUSED.0 as u16;

fn native_table() -> u8 {
    match Arch::NATIVE {
        Arch::Aarch64 => table::TABLE_AARCH64.0 as u8,
        _ => table::TABLE_X86_64.0 as u8,
    }
}

fn key_of(phase: u8, of_table: u8, number: u32, errno: u16) -> Option<Key> {
    let arch = record::table(of_table).ok()?;
    Some((record::phase(phase).ok()?, Syscall { arch, number }, errno))
}

fn tally(counts: Counts, at_least: bool) -> Tally {
    let mut tally = Tally { at_least, ..Tally::default() };
    for ((phase, syscall, errno), count) in counts.counts {
        // An entry whose only call was booked elsewhere in the end.
        if count == 0 {
            continue;
        }
        let first = counts.firsts.get(&(phase, syscall, errno));
        let first = first.map(|total| (total.first_ns, record::task(&total.first)));
        if errno == 0 {
            tally.calls.push(CallTally { phase, syscall, count, first });
        } else {
            let (errno, refused) = (Errno(errno & !REFUSED), errno & REFUSED != 0);
            tally.failures.push(FailureTally { phase, syscall, errno, refused, count, first });
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::types::{task_counts, task_note};

    #[test]
    fn a_thread_s_own_counts_are_added_to_the_totals() {
        let key = key_of(1, native_table(), 39, 0).unwrap();
        let mut counts = Counts::default();
        counts.counts.insert(key, 5);
        let mut task = LiveTask { note: task_note::default(), counts: task_counts::default() };
        task.note.phase = 1;
        task.counts.calls[39] = 2;
        task.note.errnos[0] = crate::bpf::types::thread_errno { number: 39, errno: 11, count: 3 };
        task.note.errnos[1] = crate::bpf::types::thread_errno { number: 39, errno: 0x8001, count: 2 };

        add_task(&mut counts, &task);
        let tally = tally(counts, false);

        assert_eq!(tally.calls[0].count, 7);
        let failures: Vec<_> = tally.failures.iter().map(|one| (one.errno, one.refused, one.count)).collect();
        assert_eq!(failures, [(Errno(11), false, 3), (Errno(1), true, 2)]);
    }

    #[test]
    fn a_table_that_is_none_is_skipped() {
        assert_eq!(key_of(1, 9, 39, 0), None);
        assert_eq!(key_of(9, native_table(), 39, 0), None);
    }

    #[test]
    fn a_count_that_was_booked_elsewhere_leaves_no_entry() {
        let mut counts = Counts::default();
        counts.counts.insert(key_of(0, native_table(), 59, 0).unwrap(), 0);

        assert_eq!(tally(counts, false), Tally::default());
    }
}
