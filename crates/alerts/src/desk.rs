//! Decides what is told: the same alert once with a count, and of one rule in one container not too many at once.
//!
//! Nothing is dropped without being counted: of all alerts that were made, each was told as new, or belongs to one that was
//! ([`Counts::grouped`]), or was suppressed and counted with its rule and container. How often those happened that were told is told
//! again at intervals and at the end, as an update under the same id.

use event::Text;
use report::Timestamp;

use crate::lru::Lru;
use crate::{Alert, Container, Rate, State, bucket::Bucket};

/// How much is remembered and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Alerts that are remembered, so that the same is not told again.
    pub alerts: usize,
    /// Pairs of a container and a rule that are remembered.
    pub pairs: usize,
    /// How many different alerts of one such pair are told.
    pub rate: Rate,
    /// How often news of what was told already are told, in nanoseconds.
    pub update_ns: u64,
}

impl Default for Limits {
    /// Some megabytes at most; news once a minute.
    fn default() -> Limits {
        Limits { alerts: 4096, pairs: 1024, rate: Rate::default(), update_ns: 60_000_000_000 }
    }
}

/// What became of all alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many were made.
    pub made: u64,
    /// How many were told as new.
    pub emitted: u64,
    /// How many were the same as one that was told.
    pub grouped: u64,
    /// How many were not told, because too many of their rule and container came at once.
    pub suppressed: u64,
    /// How many that were told are not remembered any more: the same would be told as new.
    pub forgotten: u64,
}

/// What became of one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was told.
    New,
    /// It is the same as one that was told.
    Grouped,
    /// It was not told.
    Suppressed,
}

/// Where all alerts come together.
#[derive(Debug)]
pub struct Desk {
    limits: Limits,
    told: Lru<Text, Told>,
    pairs: Lru<(Container, Text), Pair>,
    counts: Counts,
    looked_ns: Option<u64>,
}

#[derive(Debug)]
struct Told {
    alert: Alert,
    /// The count that was told last.
    count: u64,
}

/// One rule in one container.
#[derive(Debug)]
struct Pair {
    bucket: Bucket,
    /// How many were suppressed since something of it was told.
    suppressed: u64,
    /// The one that was told last: news of the suppressed come with it.
    newest: Option<Text>,
    /// The same, if it is not remembered any more.
    last: Option<Box<Alert>>,
}

impl Desk {
    /// One that has seen nothing.
    pub fn new(limits: Limits) -> Desk {
        Desk {
            limits,
            told: Lru::new(limits.alerts),
            pairs: Lru::new(limits.pairs),
            counts: Counts::default(),
            looked_ns: None,
        }
    }

    /// What became of all alerts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes in an alert with its id and time, and hands on what is to be told now.
    pub fn take(&mut self, alert: Alert, mut emit: impl FnMut(&Alert)) -> Taken {
        self.counts.made += 1;
        if let Some(told) = self.told.touch(&alert.id) {
            told.alert.count += 1;
            told.alert.last_seen = told.alert.last_seen.max(alert.last_seen);
            self.counts.grouped += 1;
            return Taken::Grouped;
        }
        let now_ns = alert.last_seen.unix_ns();
        let key = (alert.container.clone(), alert.rule.clone());
        if self.pairs.touch(&key).is_none() {
            let bucket = Bucket::full(self.limits.rate, now_ns);
            let pair = Pair { bucket, suppressed: 0, newest: None, last: None };
            if let Some((_, left)) = self.pairs.insert(key.clone(), pair)
                && left.suppressed > 0
            {
                self.tell(left.newest, left.last, left.suppressed, &mut emit);
            }
        }
        let rate = self.limits.rate;
        let Some(pair) = self.pairs.touch(&key) else { return Taken::Suppressed };
        if !pair.bucket.take(rate, now_ns) {
            pair.suppressed += 1;
            self.counts.suppressed += 1;
            return Taken::Suppressed;
        }
        let suppressed = std::mem::take(&mut pair.suppressed);
        let alert = Alert { suppressed, state: State::New, count: 1, ..alert };
        (pair.newest, pair.last) = (Some(alert.id.clone()), None);
        self.counts.emitted += 1;
        emit(&alert);
        let (id, alert) = (alert.id.clone(), Alert { suppressed: 0, ..alert });
        if let Some((_, left)) = self.told.insert(id, Told { alert, count: 1 }) {
            self.forget(left, &mut emit);
        }
        Taken::New
    }

    /// One that was told happened so many times more, the last time at this time; nothing if it was not told, or is forgotten.
    pub fn again(&mut self, id: &Text, more: u64, last_seen: Timestamp) {
        if let Some(told) = self.told.touch(id) {
            told.alert.count += more;
            told.alert.last_seen = told.alert.last_seen.max(last_seen);
            self.counts.made += more;
            self.counts.grouped += more;
        }
    }

    /// Whether a new alert of this rule in this container would be told now.
    pub fn has_room(&mut self, container: &Container, rule: &str, now: Timestamp) -> bool {
        let rate = self.limits.rate;
        let pair = self.pairs.touch(&(container.clone(), rule.into()));
        pair.is_none_or(|pair| pair.bucket.has_one(rate, now.unix_ns()))
    }

    /// Hands on the news of what was told before, if it is time; `at_end` in any case.
    pub fn look(&mut self, now: Timestamp, at_end: bool, mut emit: impl FnMut(&Alert)) {
        let now_ns = now.unix_ns();
        let looked = *self.looked_ns.get_or_insert(now_ns);
        if !at_end && now_ns.saturating_sub(looked) < self.limits.update_ns {
            return;
        }
        self.looked_ns = Some(now_ns);
        let mut news = Vec::new();
        self.pairs.for_each(|_, pair| {
            if pair.suppressed > 0 {
                news.push((pair.newest.clone(), pair.last.clone(), std::mem::take(&mut pair.suppressed)));
            }
        });
        for (newest, last, suppressed) in news {
            self.tell(newest, last, suppressed, &mut emit);
        }
        self.told.for_each(|_, told| {
            if told.alert.count != told.count {
                told.count = told.alert.count;
                told.alert.state = State::Update;
                emit(&told.alert);
            }
        });
    }

    /// Tells of suppressed ones, with the one of their pair that was told last.
    fn tell(&mut self, newest: Option<Text>, last: Option<Box<Alert>>, suppressed: u64, emit: &mut impl FnMut(&Alert)) {
        if let Some(told) = newest.and_then(|id| self.told.touch(&id)) {
            (told.count, told.alert.state) = (told.alert.count, State::Update);
            emit(&Alert { suppressed, ..told.alert.clone() });
        } else if let Some(alert) = last {
            emit(&Alert { suppressed, state: State::Update, ..*alert });
        }
    }

    /// One that was told leaves: what is new of it is told before.
    fn forget(&mut self, left: Told, emit: &mut impl FnMut(&Alert)) {
        self.counts.forgotten += 1;
        let alert = Alert { state: State::Update, ..left.alert };
        if alert.count != left.count {
            emit(&alert);
        }
        if let Some(pair) = self.pairs.touch(&(alert.container.clone(), alert.rule.clone()))
            && pair.newest.as_ref() == Some(&alert.id)
        {
            pair.last = Some(Box::new(alert));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::alert::tests::alert;

    fn at(alert: Alert, ns: u64) -> Alert {
        alert.sealed(Timestamp::from_unix_ns(ns))
    }

    fn limits(burst: u32) -> Limits {
        Limits { alerts: 8, pairs: 8, rate: Rate { burst, per_ns: 1000 }, update_ns: 100 }
    }

    #[test]
    fn the_same_is_told_once_and_its_count_at_intervals() {
        let mut desk = Desk::new(limits(5));
        let mut told = Vec::new();
        for ns in [10, 20, 30] {
            desk.take(at(alert("r", "web", &[("proc.name", "sh")]), ns), |alert| told.push(alert.clone()));
        }
        assert_eq!(told.len(), 1);
        desk.look(Timestamp::from_unix_ns(40), false, |_| panic!("it is too early"));
        desk.look(Timestamp::from_unix_ns(140), false, |alert| told.push(alert.clone()));
        desk.look(Timestamp::from_unix_ns(141), true, |_| panic!("there is nothing new"));

        let update = &told[1];
        assert_eq!((update.state, update.count, update.id.clone()), (State::Update, 3, told[0].id.clone()));
        assert_eq!((update.first_seen.unix_ns(), update.last_seen.unix_ns()), (10, 30));
        assert_eq!(desk.counts(), Counts { made: 3, emitted: 1, grouped: 2, ..Counts::default() });
    }

    #[test]
    fn of_many_different_ones_some_are_told_and_the_number_of_the_others() {
        let mut desk = Desk::new(limits(2));
        let mut told = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            desk.take(at(alert("r", "web", &[("proc.name", name)]), 10), |alert| told.push(alert.clone()));
        }
        desk.take(at(alert("r", "db", &[("proc.name", "c")]), 10), |alert| told.push(alert.clone()));
        assert_eq!(told.len(), 3, "another container has tokens of its own");

        desk.look(Timestamp::from_unix_ns(10), true, |alert| told.push(alert.clone()));

        assert_eq!((told[3].id.clone(), told[3].suppressed, told[3].count), (told[1].id.clone(), 3, 1));
        assert_eq!(desk.counts(), Counts { made: 6, emitted: 3, suppressed: 3, ..Counts::default() });
    }

    #[test]
    fn what_the_kernel_counted_is_added_to_the_count() {
        let mut desk = Desk::new(limits(1));
        let one = at(alert("r", "web", &[]), 10);
        assert!(desk.has_room(&one.container, "r", Timestamp::from_unix_ns(10)));
        desk.take(one.clone(), |_| {});
        assert!(!desk.has_room(&one.container, "r", Timestamp::from_unix_ns(10)));
        assert!(desk.has_room(&one.container, "r", Timestamp::from_unix_ns(2000)));

        desk.again(&one.id, 6, Timestamp::from_unix_ns(50));
        desk.again(&"unknown".into(), 6, Timestamp::from_unix_ns(50));

        let mut told = Vec::new();
        desk.look(Timestamp::from_unix_ns(60), true, |alert| told.push((alert.count, alert.last_seen.unix_ns())));
        assert_eq!(told, [(7, 50)]);
        assert_eq!((desk.counts().made, desk.counts().grouped), (7, 6));
    }

    proptest! {
        /// What was told, put together, is all that was made.
        #[test]
        fn no_alert_is_lost_silently(
            steps in proptest::collection::vec((0..4_u8, 0..3_u8, 0..12_u8, 0..200_u64), 0..400),
            burst in 1..4_u32,
        ) {
            let limits = Limits { alerts: 5, pairs: 4, rate: Rate { burst, per_ns: 1000 }, update_ns: 300 };
            let mut desk = Desk::new(limits);
            // By id, each time that it was new: the count that was told last.
            let mut counts = BTreeMap::<Text, Vec<u64>>::new();
            let mut suppressed = 0;
            let mut hear = |alert: &Alert| {
                let of_id = counts.entry(alert.id.clone()).or_default();
                match alert.state {
                    State::New => of_id.push(alert.count),
                    State::Update => *of_id.last_mut().expect("new comes first") = alert.count,
                }
                suppressed += alert.suppressed;
            };
            let mut now = 0;
            for (container, rule, field, later) in steps {
                now += later;
                let one = alert(&format!("r{rule}"), &format!("c{container}"), &[("proc.name", &format!("p{field}"))]);
                desk.take(at(one, now), &mut hear);
                desk.look(Timestamp::from_unix_ns(now), false, &mut hear);
            }
            desk.look(Timestamp::from_unix_ns(now), true, &mut hear);

            let all = desk.counts();
            prop_assert_eq!(all.made, all.emitted + all.grouped + all.suppressed);
            prop_assert_eq!(counts.values().flatten().sum::<u64>(), all.emitted + all.grouped);
            prop_assert_eq!(counts.values().map(|of_id| of_id.len() as u64).sum::<u64>(), all.emitted);
            prop_assert_eq!(suppressed, all.suppressed);
        }
    }
}
