//! Learns for a time what is normal in containers of one workload, and says how sure that is.
//!
//! The time is cut into equal slices; each is one sample of what the workload does, as each run is for `ringfence saturation`.

use std::collections::BTreeMap;

use report::Workload;

use crate::facts::Facts;
use crate::{Fact, Normal};

/// In so many slices the time is cut.
pub const SLICES: u32 = 10;

/// Of one workload no more is learnt: what comes beyond is an alert later.
const MAX_FACTS: usize = 64 * 1024;

/// What is being learnt of one workload.
#[derive(Clone, Debug)]
pub struct Learner {
    workload: Workload,
    began_ns: u64,
    window_ns: u64,
    facts: BTreeMap<Fact, Learnt>,
    newest_ns: u64,
    is_full: bool,
}

#[derive(Clone, Debug, Default)]
struct Learnt {
    /// In which slices, a bit each.
    slices: u32,
    /// The largest count of one container, by its run: a snapshot has all since its beginning.
    counts: BTreeMap<u64, u64>,
}

/// What was learnt, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sureness {
    /// How many samples there were.
    pub samples: u32,
    /// How many facts were seen in one of them only.
    pub once: u32,
    /// How many in two.
    pub twice: u32,
    /// For how long nothing was new at the end, in nanoseconds.
    pub quiet_ns: u64,
}

impl Learner {
    /// Learns from now on, in nanoseconds since boot, for so long.
    pub fn new(workload: Workload, now_ns: u64, window_ns: u64) -> Learner {
        Learner {
            workload,
            began_ns: now_ns,
            window_ns: window_ns.max(1),
            facts: BTreeMap::new(),
            newest_ns: now_ns,
            is_full: false,
        }
    }

    /// Which workload it is.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Whether the time is over.
    pub fn is_over(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.began_ns) >= self.window_ns
    }

    /// Takes in all that one container had done by now, or some of it.
    pub fn take(&mut self, run: u64, facts: &Facts, now_ns: u64) {
        for (fact, seen) in facts {
            self.take_one(run, fact, seen.count, now_ns);
        }
    }

    /// Takes in one fact.
    pub fn take_one(&mut self, run: u64, fact: &Fact, count: u64, now_ns: u64) {
        let slice = now_ns.saturating_sub(self.began_ns).saturating_mul(u64::from(SLICES)) / self.window_ns;
        let slice = u32::try_from(slice).unwrap_or(u32::MAX).min(SLICES - 1);
        if !self.facts.contains_key(fact) {
            self.newest_ns = now_ns;
            if self.facts.len() >= MAX_FACTS {
                self.is_full = true;
                return;
            }
        }
        let learnt = self.facts.entry(fact.clone()).or_default();
        let known = learnt.counts.entry(run).or_default();
        if count > *known {
            *known = count;
            learnt.slices |= 1 << slice;
        }
    }

    /// Ends it.
    pub fn finish(self, now_ns: u64) -> (Normal, Sureness) {
        let in_slices = |wanted: u32| {
            let count = self.facts.values().filter(|learnt| learnt.slices.count_ones() == wanted).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let sureness = Sureness {
            samples: SLICES,
            once: in_slices(1),
            twice: in_slices(2),
            quiet_ns: now_ns.saturating_sub(self.newest_ns),
        };
        let mut normal = Normal::of(self.workload, self.facts.into_keys(), 1);
        normal.is_incomplete = self.is_full;
        (normal, sureness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str) -> Fact {
        Fact::Program { path: path.into(), called: event::Text::default() }
    }

    #[test]
    fn what_was_seen_in_one_slice_only_is_what_makes_it_unsure() {
        let mut learner = Learner::new(Workload::default(), 1000, 100);
        learner.take_one(1, &program("/once"), 1, 1000);
        for (count, at) in [(1, 1000), (2, 1015), (2, 1025)] {
            learner.take_one(1, &program("/twice"), count, at);
        }
        assert!(!learner.is_over(1099) && learner.is_over(1100));

        let (normal, sureness) = learner.finish(1100);

        assert!(normal.has(&program("/once")) && !normal.has(&program("/never")));
        assert_eq!((sureness.once, sureness.twice, sureness.quiet_ns), (1, 1, 100));
    }
}
