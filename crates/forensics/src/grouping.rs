//! Which alerts belong to one incident.
//!
//! The rule: an alert belongs to the newest incident of its container if it comes within [`GROUP_WITHIN`] of that incident's
//! last alert, within [`MAX_SPAN`] of its first, and the incident has fewer than [`MAX_ALERTS`]; else it begins a new one. A
//! container that was started again under the same name is another one.

use std::collections::BTreeMap;
use std::time::Duration;

use event::{RunId, Text};
use report::Timestamp;

/// So close after the last alert comes one that belongs to it.
pub const GROUP_WITHIN: Duration = Duration::from_secs(10 * 60);
/// So long an incident is at most.
pub const MAX_SPAN: Duration = Duration::from_secs(6 * 60 * 60);
/// So many alerts an incident has at most.
pub const MAX_ALERTS: u32 = 500;

/// The newest incident of each container.
#[derive(Debug, Default)]
pub struct Grouping {
    newest: BTreeMap<RunId, Newest>,
}

#[derive(Clone, Debug)]
struct Newest {
    id: Text,
    first: Timestamp,
    last: Timestamp,
    alerts: u32,
}

impl Grouping {
    /// The incident that an alert at this time belongs to, and whether it is a new one; then it is called what `name` gives.
    pub fn incident(&mut self, run: RunId, at: Timestamp, name: impl FnOnce() -> Text) -> (Text, bool) {
        let apart = |from: Timestamp| Duration::from_nanos(at.unix_ns().saturating_sub(from.unix_ns()));
        if let Some(newest) = self.newest.get_mut(&run)
            && apart(newest.last) <= GROUP_WITHIN
            && apart(newest.first) <= MAX_SPAN
            && newest.alerts < MAX_ALERTS
        {
            newest.last = newest.last.max(at);
            newest.alerts += 1;
            return (newest.id.clone(), false);
        }
        let id = name();
        self.newest.insert(run, Newest { id: id.clone(), first: at, last: at, alerts: 1 });
        (id, true)
    }

    /// The incident of a container that goes on at this time, if one does.
    pub fn going_on(&self, run: RunId, at: Timestamp) -> Option<&Text> {
        let newest = self.newest.get(&run)?;
        let since = Duration::from_nanos(at.unix_ns().saturating_sub(newest.last.unix_ns()));
        (since <= GROUP_WITHIN).then_some(&newest.id)
    }

    /// Forgets an incident that could not be begun.
    pub fn forget(&mut self, run: RunId) {
        self.newest.remove(&run);
    }

    /// Forgets those that no alert can belong to any more.
    pub fn forget_before(&mut self, at: Timestamp) {
        self.newest.retain(|_, newest| {
            Duration::from_nanos(at.unix_ns().saturating_sub(newest.last.unix_ns())) <= GROUP_WITHIN
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ns((1_000_000 + seconds) * 1_000_000_000)
    }

    fn run(slot: u32) -> RunId {
        RunId { slot, generation: 0 }
    }

    fn incidents(alerts: &[(u32, u64)]) -> Vec<String> {
        let mut grouping = Grouping::default();
        let names = alerts.iter().enumerate().map(|(at_most, &(slot, seconds))| {
            grouping.incident(run(slot), at(seconds), || at_most.to_string().into()).0.to_string()
        });
        names.collect()
    }

    #[test]
    fn alerts_of_one_container_close_after_each_other_are_one_incident() {
        assert_eq!(incidents(&[(1, 0), (1, 600), (1, 1200)]), ["0", "0", "0"]);
        assert_eq!(incidents(&[(1, 0), (1, 601), (1, 602)]), ["0", "1", "1"]);
    }

    #[test]
    fn another_container_has_another_incident() {
        assert_eq!(incidents(&[(1, 0), (2, 0), (1, 1), (2, 1)]), ["0", "1", "0", "1"]);
    }

    #[test]
    fn an_incident_that_does_not_end_is_divided() {
        let alerts: Vec<(u32, u64)> = (0..100).map(|number| (1, number * 500)).collect();
        let names = incidents(&alerts);
        assert_eq!((names[43].as_str(), names[44].as_str()), ("0", "44"));

        let alerts = vec![(1, 0); MAX_ALERTS as usize + 1];
        assert_eq!(incidents(&alerts).last().map(String::as_str), Some("500"));
    }

    #[test]
    fn an_alert_that_comes_late_belongs_to_the_incident_that_goes_on() {
        assert_eq!(incidents(&[(1, 100), (1, 50), (1, 700)]), ["0", "0", "0"]);
    }

    proptest! {
        #[test]
        fn one_incident_is_never_longer_nor_larger_than_it_may_be(steps in prop::collection::vec(0u64..900, 1..200)) {
            let mut grouping = Grouping::default();
            let (mut seconds, mut count) = (0, 0);
            let mut first = (Text::default(), 0);
            for step in steps {
                seconds += step;
                let (id, is_new) = grouping.incident(run(1), at(seconds), || seconds.to_string().into());
                prop_assert_eq!(is_new, first.0 != id);
                if is_new {
                    first = (id.clone(), seconds);
                    count = 0;
                }
                count += 1;
                prop_assert!(seconds - first.1 <= MAX_SPAN.as_secs() && count <= MAX_ALERTS);
                prop_assert_eq!(grouping.going_on(run(1), at(seconds)), Some(&id));
            }
        }
    }
}
