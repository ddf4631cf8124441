//! Many addresses outside that mean the same to the containers become one node: a server has thousands of clients.

use std::collections::{BTreeMap, BTreeSet};

use super::resolve::{Edges, Found, Key, Outside, Who};

/// So many addresses with the same neighbours are still shown one by one.
const MOST_ADDRESSES: usize = 3;
/// So many names.
const MOST_NAMES: usize = 8;

/// Whom somebody outside talks to, and who begins.
type Neighbours = BTreeSet<(Who, bool)>;

/// Replaces those that have the same neighbours by one node. Whatever went over their edges is added up.
pub(super) fn fold(edges: &mut Edges) {
    let mut neighbours: BTreeMap<Outside, Neighbours> = BTreeMap::new();
    for key in edges.keys() {
        for (one, other, begins) in [(&key.from, &key.to, true), (&key.to, &key.from, false)] {
            if let Who::Outside(outside) = one {
                neighbours.entry(outside.clone()).or_default().insert((other.clone(), begins));
            }
        }
    }
    let mut alike: BTreeMap<(bool, Neighbours), Vec<Outside>> = BTreeMap::new();
    for (outside, neighbours) in neighbours {
        let is_named = match outside {
            Outside::Address(_) => false,
            Outside::Name(_) => true,
            Outside::Names(..) | Outside::Addresses(..) | Outside::Others | Outside::Unknown => continue,
        };
        alike.entry((is_named, neighbours)).or_default().push(outside);
    }
    let mut folded: BTreeMap<Outside, Outside> = BTreeMap::new();
    for ((is_named, _), members) in alike {
        if members.len() <= if is_named { MOST_NAMES } else { MOST_ADDRESSES } {
            continue;
        }
        let together = match members.first() {
            Some(Outside::Address(first)) => Outside::Addresses(first.clone(), members.len()),
            Some(Outside::Name(first)) => Outside::Names(first.clone(), members.len()),
            _ => continue,
        };
        folded.extend(members.into_iter().map(|member| (member, together.clone())));
    }
    if folded.is_empty() {
        return;
    }
    let instead = |who: Who| match who {
        Who::Outside(outside) => Who::Outside(folded.get(&outside).cloned().unwrap_or(outside)),
        inside => inside,
    };
    for (key, mut found) in std::mem::take(edges) {
        for who in [&key.from, &key.to] {
            if let Who::Outside(Outside::Name(name)) = who
                && folded.contains_key(&Outside::Name(name.clone()))
            {
                found.addresses = BTreeSet::from([name.clone()]);
            }
        }
        let key = Key { from: instead(key.from), to: instead(key.to), ..key };
        match edges.get_mut(&key) {
            Some(sum) => sum.add(found),
            None => {
                edges.insert(key, found);
            }
        }
    }
}

impl Found {
    fn add(&mut self, other: Found) {
        for (sum, other) in [(&mut self.client, other.client), (&mut self.server, other.server)] {
            let Some(other) = other else { continue };
            let figures = sum.get_or_insert_default();
            figures.connections = figures.connections.saturating_add(other.connections);
            figures.sent_bytes = figures.sent_bytes.saturating_add(other.sent_bytes);
            figures.received_bytes = figures.received_bytes.saturating_add(other.received_bytes);
            figures.shared_out |= other.shared_out;
        }
        self.failures = self.failures.saturating_add(other.failures);
        self.seen = self.seen.min(other.seen);
        self.translated.extend(other.translated);
        self.addresses.extend(other.addresses);
    }
}
