//! The last events of each container, in bounded memory.
//!
//! Each container has a ring of its own, so that none can push another's events out by doing much; where all together
//! are too large, the ring that is the largest gives way. Everything is numbered: what is asked for and not there any more is
//! counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What an entry takes in memory, about.
pub trait Cost {
    /// Bytes.
    fn bytes(&self) -> usize;
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entries of one container.
    pub entries_of_one: usize,
    /// Bytes of all containers together.
    pub bytes_of_all: usize,
    /// Containers.
    pub containers: usize,
}

/// The rings.
#[derive(Debug)]
pub struct Rings<K, E> {
    bounds: Bounds,
    rings: BTreeMap<K, Ring<E>>,
    bytes: usize,
    /// The number of the next entry, over all rings.
    next: u64,
}

#[derive(Debug)]
struct Ring<E> {
    entries: VecDeque<Entry<E>>,
    bytes: usize,
    /// How many there ever were.
    pushed: u64,
    /// The number of the newest that ever was in it.
    newest: u64,
}

#[derive(Debug)]
struct Entry<E> {
    /// Which it is among all of its container, from 0.
    place: u64,
    bytes: usize,
    value: Arc<E>,
}

/// What a ring had.
#[derive(Debug)]
pub struct Since<E> {
    /// The entries that are still there, the oldest first.
    pub entries: Vec<Arc<E>>,
    /// How many there were that are not.
    pub missed: u64,
    /// Where to go on.
    pub next: u64,
}

impl<K: Copy + Ord, E: Cost> Rings<K, E> {
    /// Rings within these bounds, each of which counts as one if it is zero.
    pub fn new(bounds: Bounds) -> Rings<K, E> {
        Rings { bounds, rings: BTreeMap::new(), bytes: 0, next: 0 }
    }

    /// Adds an entry to the ring of a container.
    pub fn push(&mut self, key: K, value: E) {
        let bytes = value.bytes();
        if !self.rings.contains_key(&key) && self.rings.len() >= self.bounds.containers.max(1) {
            self.forget_the_quietest();
        }
        let ring =
            self.rings.entry(key).or_insert_with(|| Ring { entries: VecDeque::new(), bytes: 0, pushed: 0, newest: 0 });
        let freed = if ring.entries.len() >= self.bounds.entries_of_one.max(1) { ring.pop() } else { 0 };
        ring.entries.push_back(Entry { place: ring.pushed, bytes, value: Arc::new(value) });
        ring.pushed += 1;
        ring.newest = self.next;
        ring.bytes += bytes;
        self.next += 1;
        self.bytes = self.bytes - freed + bytes;
        while self.bytes > self.bounds.bytes_of_all && self.give_way() {}
    }

    /// What has come into the ring of a container from a place on; from 0 on it is all.
    pub fn since(&self, key: K, place: u64) -> Since<E> {
        let Some(ring) = self.rings.get(&key) else { return Since { entries: Vec::new(), missed: 0, next: place } };
        let entries: Vec<Arc<E>> =
            ring.entries.iter().filter(|entry| entry.place >= place).map(|entry| Arc::clone(&entry.value)).collect();
        let missed = ring.pushed.saturating_sub(place) - entries.len() as u64;
        Since { entries, missed, next: ring.pushed.max(place) }
    }

    /// How many entries have come into the ring of a container.
    pub fn pushed(&self, key: K) -> u64 {
        self.rings.get(&key).map_or(0, |ring| ring.pushed)
    }

    /// Forgets a container.
    pub fn forget(&mut self, key: K) {
        if let Some(ring) = self.rings.remove(&key) {
            self.bytes -= ring.bytes;
        }
    }

    /// How much all entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many containers there are.
    pub fn containers(&self) -> usize {
        self.rings.len()
    }

    /// The largest ring loses its oldest entries, an eighth of them: so that it is not looked for at every event. Gives
    /// whether there were any.
    fn give_way(&mut self) -> bool {
        let Some(largest) = self.rings.values_mut().max_by_key(|ring| ring.bytes) else { return false };
        let count = largest.entries.len().div_ceil(8);
        for _ in 0..count {
            self.bytes -= largest.pop();
        }
        count > 0
    }

    fn forget_the_quietest(&mut self) {
        let quietest = self.rings.iter().min_by_key(|(_, ring)| ring.newest).map(|(key, _)| *key);
        if let Some(key) = quietest {
            self.forget(key);
        }
    }
}

impl<E> Ring<E> {
    /// Takes the oldest out; gives what it took.
    fn pop(&mut self) -> usize {
        let bytes = self.entries.pop_front().map_or(0, |entry| entry.bytes);
        self.bytes -= bytes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Bounds, Cost, Rings};

    #[derive(Debug)]
    struct Thing {
        number: u64,
        bytes: usize,
    }

    impl Cost for Thing {
        fn bytes(&self) -> usize {
            self.bytes
        }
    }

    fn rings(entries_of_one: usize, bytes_of_all: usize, containers: usize) -> Rings<u32, Thing> {
        Rings::new(Bounds { entries_of_one, bytes_of_all, containers })
    }

    fn numbers(rings: &Rings<u32, Thing>, key: u32, place: u64) -> (Vec<u64>, u64, u64) {
        let since = rings.since(key, place);
        (since.entries.iter().map(|thing| thing.number).collect(), since.missed, since.next)
    }

    #[test]
    fn the_last_ones_are_there_and_the_others_are_counted() {
        let mut rings = rings(3, 1000, 10);
        for number in 0..5 {
            rings.push(1, Thing { number, bytes: 1 });
        }
        rings.push(2, Thing { number: 9, bytes: 1 });

        assert_eq!(numbers(&rings, 1, 0), (vec![2, 3, 4], 2, 5));
        assert_eq!(numbers(&rings, 1, 4), (vec![4], 0, 5));
        assert_eq!(numbers(&rings, 1, 5), (vec![], 0, 5));
        assert_eq!(numbers(&rings, 7, 3), (vec![], 0, 3));
        assert_eq!((rings.bytes(), rings.pushed(1), rings.pushed(7)), (4, 5, 0));
    }

    #[test]
    fn a_container_that_does_much_pushes_out_its_own_events_first() {
        let mut rings = rings(10_000, 100, 10);
        rings.push(1, Thing { number: 0, bytes: 10 });
        for number in 0..1000 {
            rings.push(2, Thing { number, bytes: 1 });
        }

        assert_eq!(numbers(&rings, 1, 0), (vec![0], 0, 1));
        let (kept, missed, _) = numbers(&rings, 2, 0);
        assert_eq!((kept.len() as u64 + missed, kept.last()), (1000, Some(&999)));
    }

    #[test]
    fn an_entry_that_is_too_large_by_itself_is_counted_and_gone() {
        let mut rings = rings(10, 100, 10);
        rings.push(1, Thing { number: 0, bytes: 101 });

        assert_eq!((numbers(&rings, 1, 0), rings.bytes()), ((vec![], 1, 1), 0));
    }

    #[test]
    fn of_too_many_containers_the_one_that_was_quiet_for_longest_is_forgotten() {
        let mut rings = rings(10, 100, 2);
        for key in [1, 2, 1, 3] {
            rings.push(key, Thing { number: 0, bytes: 1 });
        }

        assert_eq!((rings.containers(), rings.pushed(1), rings.pushed(2), rings.bytes()), (2, 2, 0, 3));
    }

    proptest! {
        #[test]
        fn no_bound_is_passed_and_every_event_is_there_or_counted(
            pushes in prop::collection::vec((0u32..6, 0usize..40), 0..400),
            (entries, bytes, containers) in (1usize..20, 0usize..300, 1usize..6),
            forgotten in prop::option::of(0u32..6),
        ) {
            let mut rings = rings(entries, bytes, containers);
            for (number, (key, cost)) in pushes.iter().enumerate() {
                rings.push(*key, Thing { number: number as u64, bytes: *cost });

                prop_assert!(rings.bytes() <= bytes && rings.containers() <= containers);
                let newest = rings.since(*key, 0);
                prop_assert!(newest.entries.len() <= entries);
                prop_assert_eq!(newest.entries.len() as u64 + newest.missed, rings.pushed(*key));
            }
            rings.forget(forgotten.unwrap_or_default());

            let mut total = 0;
            for key in 0..6 {
                let all = rings.since(key, 0);
                total += all.entries.iter().map(|thing| thing.bytes).sum::<usize>();
                prop_assert!(all.entries.is_sorted_by_key(|thing| thing.number));
                // In two steps it is the same as in one.
                let half = rings.pushed(key) / 2;
                let rest = rings.since(key, half);
                prop_assert_eq!(rest.entries.len() as u64 + rest.missed, rings.pushed(key) - half);
                let tail = &all.entries[all.entries.len() - rest.entries.len()..];
                prop_assert!(tail.iter().zip(&rest.entries).all(|(one, other)| one.number == other.number));
            }
            prop_assert_eq!(total, rings.bytes());
        }
    }
}
