//! Losses that cannot be told apart by container, and what they were when a container came to be.

/// Losses that cannot be told apart by container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommonLosses {
    /// Records that could not be decoded.
    pub(crate) undecoded: u64,
    /// Samples of no slot that found no room.
    pub(crate) without_slot: u64,
    /// Runs of a program that the kernel skipped.
    pub(crate) missed: u64,
    /// The same of programs that see capabilities checked, where those are on a function.
    pub(crate) missed_checks: u64,
}

/// The losses at past moments.
///
/// A container is met some time after it was made, on a busy machine seconds after: what was lost in between is its own.
/// So it counts from the last moment known that lies before it.
#[derive(Debug, Default)]
pub(crate) struct History {
    older: Moment,
    newer: Moment,
}

#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    boot_ns: u64,
    losses: CommonLosses,
}

impl History {
    /// How far apart the moments are at least, in nanoseconds.
    const STEP_NS: u64 = 1_000_000_000;

    /// Whether it is time to remember the losses again.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.newer.boot_ns) >= History::STEP_NS
    }

    /// Remembers the losses of now. They must have been read before the time was.
    pub(crate) fn remember(&mut self, now_ns: u64, losses: CommonLosses) {
        self.older = std::mem::replace(&mut self.newer, Moment { boot_ns: now_ns, losses });
    }

    /// What was lost before this time, as far as is known: rather too little than too much. Nothing was when the programs
    /// were loaded.
    pub(crate) fn before(&self, boot_ns: u64) -> CommonLosses {
        let known = [self.newer, self.older].into_iter().find(|moment| moment.boot_ns < boot_ns);
        known.map(|moment| moment.losses).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(missed: u64) -> CommonLosses {
        CommonLosses { missed, ..CommonLosses::default() }
    }

    #[test]
    fn what_is_lost_between_a_container_s_beginning_and_its_being_met_is_its_own() {
        let mut history = History::default();
        for (at, count) in [(10, 0), (20, 5), (30, 9)] {
            history.remember(at, missed(count));
        }

        assert_eq!(history.before(25), missed(5));
        assert_eq!(history.before(35), missed(9));
        assert_eq!(history.before(15), missed(0), "further back than is remembered");
    }

    #[test]
    fn it_is_due_once_a_second() {
        let mut history = History::default();
        history.remember(5, missed(0));
        assert!(!history.is_due(6));
        assert!(history.is_due(5 + History::STEP_NS));
    }
}
