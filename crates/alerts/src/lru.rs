//! A table of bounded size: where there is no room, what was used least recently leaves.

use std::collections::BTreeMap;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// A bounded table.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    room: usize,
    entries: FxHashMap<K, (u64, V)>,
    /// By when they were used last.
    order: BTreeMap<u64, K>,
    clock: u64,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// A table for at most so many entries, at least one.
    pub(crate) fn new(room: usize) -> Lru<K, V> {
        Lru { room: room.max(1), entries: FxHashMap::default(), order: BTreeMap::new(), clock: 0 }
    }

    /// The entry, which is thereby the one that was used last.
    pub(crate) fn touch(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        self.order.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.order.insert(self.clock, key.clone());
        Some(value)
    }

    /// Puts in what is not there yet; gives what had to leave.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let leaves = if self.entries.len() >= self.room { self.order.pop_first() } else { None };
        let left = leaves.and_then(|(_, key)| self.entries.remove_entry(&key)).map(|(key, (_, value))| (key, value));
        self.clock += 1;
        self.order.insert(self.clock, key.clone());
        self.entries.insert(key, (self.clock, value));
        left
    }

    /// Every entry, the one that was used least recently first.
    pub(crate) fn for_each(&mut self, mut then: impl FnMut(&K, &mut V)) {
        for key in self.order.values() {
            if let Some((_, value)) = self.entries.get_mut(key) {
                then(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_leaves() {
        let mut table = Lru::new(2);
        assert!(table.insert("a", 1).is_none() && table.insert("b", 2).is_none());
        assert_eq!(table.touch(&"a"), Some(&mut 1));

        assert_eq!(table.insert("c", 3), Some(("b", 2)));

        let mut left = Vec::new();
        table.for_each(|key, _| left.push(*key));
        assert_eq!(left, ["a", "c"]);
        assert_eq!(table.touch(&"b"), None);
    }
}
