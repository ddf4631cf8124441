//! Which containers are at the other ends of connections: the kernel knows their runs, and here is what they are called.

use std::collections::{BTreeMap, VecDeque};

use behaviour::{Network, OtherEnd};
use event::{RunId, Text};

/// How many runs that are over are remembered: their peers may go on.
const REMEMBERED: usize = 4096;

/// What a run is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// The run whose report it is in: of a cgroup inside a container that of the container.
    pub(crate) run: RunId,
    pub(crate) id: Option<Text>,
    pub(crate) name: Option<Text>,
}

/// Runs that are over.
#[derive(Default)]
pub(crate) struct Past {
    called: BTreeMap<RunId, Called>,
    order: VecDeque<RunId>,
}

impl Past {
    pub(crate) fn remember(&mut self, run: RunId, called: Called) {
        if self.called.insert(run, called).is_none() {
            self.order.push_back(run);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.called.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, run: RunId) -> Option<&Called> {
        self.called.get(&run)
    }
}

/// Writes down what the other ends are called. Runs that turn out to be parts of one container become one.
pub(crate) fn name(network: &mut Network, called: impl Fn(RunId) -> Option<Called>) {
    for flow in &mut network.flows {
        let mut named = Vec::<OtherEnd>::new();
        for mut end in std::mem::take(&mut flow.other_ends) {
            if let Some(called) = called(end.run) {
                (end.run, end.container, end.name) = (called.run, called.id, called.name);
            }
            let same = |one: &OtherEnd| {
                (one.run, &one.address_there, one.port_there) == (end.run, &end.address_there, end.port_there)
            };
            match named.iter_mut().find(|one| same(one)) {
                Some(known) => known.connections = known.connections.saturating_add(end.connections),
                None => named.push(end),
            }
        }
        named.sort();
        flow.other_ends = named;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(slot: u32) -> RunId {
        RunId { slot, generation: 0 }
    }

    fn called(slot: u32) -> Called {
        Called { run: run(slot), id: Some("id".into()), name: None }
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut past = Past::default();

        for slot in 0..=REMEMBERED as u32 {
            past.remember(run(slot), called(slot));
            past.remember(run(slot), called(slot));
        }

        assert_eq!(past.get(run(0)), None);
        assert_eq!(past.get(run(1)), Some(&called(1)));
        assert_eq!(past.called.len(), REMEMBERED);
    }
}
