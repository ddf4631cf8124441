//! Lists of two behaviours as one.

use std::collections::BTreeMap;

use crate::FirstUse;

/// Both lists in their order, entries with the same key as one.
pub(crate) fn merged<T, K: Ord>(one: Vec<T>, other: Vec<T>, key: impl Fn(&T) -> K, sum: impl Fn(T, T) -> T) -> Vec<T> {
    let mut all = BTreeMap::new();
    for entry in one.into_iter().chain(other) {
        let key = key(&entry);
        let entry = match all.remove(&key) {
            Some(known) => sum(known, entry),
            None => entry,
        };
        all.insert(key, entry);
    }
    all.into_values().collect()
}

/// The one that was first.
pub(crate) fn earlier(one: Option<FirstUse>, other: Option<FirstUse>) -> Option<FirstUse> {
    [one, other].into_iter().flatten().min()
}
