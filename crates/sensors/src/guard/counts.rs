//! How many files and ends of names with rules fall on each slot, by which the kernel side sees that there is none to look for
//! (`place_counts` in `bpf/guard_where.h`). A count may be too high, which only costs time, and never too low.

use super::maps::{find, look_up, write};
use super::{GuardError, Guards};
use crate::guard_bpf::types::place_slots;

/// The maps whose keys are counted: those of reading, writing and what taints.
const COUNTED: [[&str; 2]; 3] = [
    ["unreadable_files", "unreadable_ends"],
    ["unwritable_files", "unwritable_ends"],
    ["tainting_files", "tainting_ends"],
];
const MAP: &str = "place_counts";
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const LENGTHS_FROM: u64 = 1 << 63;

/// A key of a map is counted before it is there and until it is gone.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Comes,
    IsGone,
}

impl Guards {
    /// Counts a key of a map, if those are. Nobody else may change the maps meanwhile.
    pub(super) fn count(&self, map: &str, key: &[u8], change: Change) -> Result<(), GuardError> {
        let Some(slot) = slot(map, key) else { return Ok(()) };
        let handle = find(self.object(), MAP)?;
        let known = look_up(&handle, MAP, &slot.to_ne_bytes())?.and_then(|count| count.try_into().ok());
        let known = known.map_or(0, u32::from_ne_bytes);
        let count = match change {
            Change::Comes => known.saturating_add(1),
            // One that was never counted leaves the others alone.
            Change::IsGone => known.saturating_sub(1),
        };
        write(&handle, MAP, &slot.to_ne_bytes(), &count.to_ne_bytes())
    }
}

/// Where a key is counted: a file by its inode, which comes first, an end by the length of the name, which comes second.
fn slot(map: &str, key: &[u8]) -> Option<u32> {
    let (kind, is_end) = COUNTED
        .iter()
        .enumerate()
        .find_map(|(kind, maps)| maps.iter().position(|name| *name == map).map(|at| (kind, at == 1)))?;
    let (first, rest) = key.split_first_chunk()?;
    let number = match is_end {
        false => u64::from_ne_bytes(*first),
        true => LENGTHS_FROM | u64::from(u32::from_ne_bytes(*rest.first_chunk()?)),
    };
    let within = number.wrapping_mul(MULTIPLIER) >> (64 - place_slots::PLACE_SLOT_BITS.0);
    Some(kind as u32 * place_slots::PLACE_SLOTS.0 + within as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Access, FileKey, Pins, PolicyRecord, PolicyState, Step};
    use crate::guard_bpf::types::{end_key, file_key};
    use crate::record;

    #[test]
    fn files_and_ends_are_counted_apart_by_what_is_denied() {
        let of_file = |map| slot(map, record::bytes(&file_key::of(FileKey { device: 7, inode: 12 }))).expect("counted");
        let slots = place_slots::PLACE_SLOTS.0;

        assert_eq!(of_file("unreadable_files") / slots, place_slots::SLOTS_READ.0);
        assert_eq!(of_file("unwritable_files") / slots, place_slots::SLOTS_WRITE.0);
        assert_eq!(of_file("tainting_files") / slots, place_slots::SLOTS_TAINT.0);
        let of_end = |end, length| {
            slot("unreadable_ends", record::bytes(&end_key { end, length, ..end_key::default() })).expect("counted")
        };
        assert_eq!(of_end(7, 12), of_end(8, 12), "by the length alone");
        assert_ne!(of_end(7, 12), of_end(7, 13));
        assert_ne!(of_end(7, 12), of_file("unreadable_files"), "not with the inodes");
        assert_eq!(of_end(7, 12) / slots, place_slots::SLOTS_READ.0);
        assert_eq!(slot("unreadable_paths", &12_u64.to_ne_bytes()), None);
        assert_eq!(slot("fixed_files", &12_u64.to_ne_bytes()), None);
    }

    #[test]
    fn every_number_has_a_slot() {
        for number in [0, 1, u64::MAX, 1 << 63, MULTIPLIER] {
            let slot = slot("tainting_files", &number.to_ne_bytes()).expect("counted");
            assert!(slot < 3 * place_slots::PLACE_SLOTS.0, "{number}: {slot}");
        }
    }

    /// Guards of the test alone, in a BPF file system of its own.
    struct Own {
        folder: std::path::PathBuf,
        guards: Guards,
    }

    impl Own {
        fn new() -> Own {
            let folder = std::env::temp_dir().join(format!("ringfence-counts-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            let guards = Guards::load(Pins::at(&folder), &crate::Hierarchy::Unified, Step::Kill).expect("they load");
            Own { folder, guards }
        }

        fn all(&self) -> u64 {
            let map = find(self.guards.object(), MAP).expect("it is there");
            let counts = (0..3 * place_slots::PLACE_SLOTS.0).filter_map(|slot| {
                let count = look_up(&map, MAP, &slot.to_ne_bytes()).expect("it can be read")?;
                Some(u64::from(u32::from_ne_bytes(count.try_into().expect("a count"))))
            });
            counts.sum()
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = rustix::mount::unmount(&self.folder, rustix::mount::UnmountFlags::DETACH);
            let _ = std::fs::remove_dir(&self.folder);
        }
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn what_is_counted_is_what_there_is() {
        let own = Own::new();
        let guards = &own.guards;
        let both = Access { read: true, write: true, taint: false };
        let write = Access { write: true, ..Access::default() };
        let file = FileKey { device: 7, inode: 12 };
        let record = PolicyRecord { state: PolicyState::Enforce, expires_boot_ns: None, text: Vec::new() };
        for number in [0, 1] {
            guards.set_policy(number, &record).expect("it is set");
        }
        assert_eq!(own.all(), 0);

        guards.deny_place(b"/etc/shadow", both, 0).expect("denied");
        assert_eq!(own.all(), 2, "the name, for reading and for writing");
        guards.deny_place(b"/srv/shadow", write, 1).expect("denied");
        assert_eq!(own.all(), 2, "it is there already");
        guards.deny_tree(file, both, 0).expect("denied");
        guards.deny_tree(file, write, 1).expect("denied");
        guards.deny_tree(file, write, 1).expect("denied");
        assert_eq!(own.all(), 4);
        guards.allow_tree(file, both, 0).expect("allowed");
        guards.allow_tree(file, both, 0).expect("allowed");
        assert_eq!(own.all(), 3, "the other policy has it yet, for writing");
        guards.clear_policy(0).expect("cleared");
        assert_eq!(own.all(), 2, "what is left is what the other policy has: a name and a file");
        guards.clear_policy(1).expect("cleared");
        assert_eq!(own.all(), 0);
    }
}
