//! What is still to be asked, and when: early answers may be missing, so none of them is final.
//!
//! An engine often knows a container only some time after its first process ran, and a short-lived one may be gone
//! before anybody asks. So a question is repeated with growing pauses for as long as the answer is wanted; the state in
//! between says why there is none. Time is passed in; nothing here asks or waits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Metadata, ResolveError};
use crate::path::Engine;

/// A question for [`super::Resolver::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The container's id.
    pub id: String,
    /// Whose it seems to be.
    pub hint: Engine,
    /// Its first process, if known.
    pub pid: Option<u32>,
}

/// How far the question has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not answered yet; it is early.
    Pending {
        /// How often it was asked.
        attempts: u32,
        /// Why the last attempt said nothing; none before the first.
        reason: Option<String>,
    },
    /// Answered.
    Known(Box<Metadata>),
    /// Not answered for so long that it should be reported; it is asked again all the same.
    Failed {
        /// How often it was asked.
        attempts: u32,
        /// Why the last attempt said nothing.
        reason: String,
    },
}

#[derive(Debug)]
struct Entry {
    want: Want,
    state: State,
    since: Instant,
    /// None while it is being asked, and once it is known.
    due: Option<Instant>,
}

/// The questions that are open, by a key of the caller's (not by id: one id can have several runs).
#[derive(Debug)]
pub struct Backfill<K> {
    entries: BTreeMap<K, Entry>,
    capacity: usize,
    refused: u64,
}

impl<K: Ord + Clone> Backfill<K> {
    /// The pause after the first attempt; it doubles with each.
    pub const FIRST_PAUSE: Duration = Duration::from_millis(50);
    /// The longest pause.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);
    /// After this long without an answer the state is [`State::Failed`].
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// None yet; room for `capacity`.
    pub fn new(capacity: usize) -> Backfill<K> {
        Backfill { entries: BTreeMap::new(), capacity, refused: 0 }
    }

    /// Adds a question, due at once. False if there is no room, which is counted, or if the key is in use.
    pub fn want(&mut self, key: K, want: Want, now: Instant) -> bool {
        if self.entries.contains_key(&key) {
            return false;
        }
        if self.entries.len() >= self.capacity {
            self.refused += 1;
            return false;
        }
        let state = State::Pending { attempts: 0, reason: None };
        self.entries.insert(key, Entry { want, state, since: now, due: Some(now) });
        true
    }

    /// The question that is due longest; it is not given out again before [`Backfill::answered`].
    pub fn next(&mut self, now: Instant) -> Option<(K, Want)> {
        let waiting = self.entries.iter_mut().filter_map(|(key, entry)| entry.due.map(|due| (due, key, entry)));
        let (_, key, entry) = waiting.filter(|(due, ..)| *due <= now).min_by_key(|(due, ..)| *due)?;
        entry.due = None;
        Some((key.clone(), entry.want.clone()))
    }

    /// When the next question is due, if any waits.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.due).min()
    }

    /// Takes the answer to a question that was given out.
    pub fn answered(&mut self, key: &K, answer: Result<Metadata, ResolveError>, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let before = match &entry.state {
            State::Pending { attempts, .. } | State::Failed { attempts, .. } => *attempts,
            State::Known(_) => 0,
        };
        let attempts = before.saturating_add(1);
        match answer {
            Ok(metadata) => {
                entry.state = State::Known(Box::new(metadata));
                entry.due = None;
            }
            Err(error) => {
                let pause = Self::FIRST_PAUSE.saturating_mul(1 << before.min(16)).min(Self::LONGEST_PAUSE);
                entry.due = Some(now + pause);
                let reason = error.to_string();
                let is_late = now.saturating_duration_since(entry.since) >= Self::PATIENCE;
                entry.state = if is_late {
                    State::Failed { attempts, reason }
                } else {
                    State::Pending { attempts, reason: Some(reason) }
                };
            }
        }
    }

    /// How far a question has come; none if it was never put, or refused.
    pub fn state(&self, key: &K) -> Option<&State> {
        self.entries.get(key).map(|entry| &entry.state)
    }

    /// Drops a question, with its answer.
    pub fn forget(&mut self, key: &K) -> Option<State> {
        self.entries.remove(key).map(|entry| entry.state)
    }

    /// How many questions were not taken for lack of room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Backfill, Metadata, ResolveError, State, Want};
    use crate::path::Engine;

    fn want() -> Want {
        Want { id: "ab".into(), hint: Engine::Docker, pid: None }
    }

    fn unknown() -> Result<Metadata, ResolveError> {
        Err(ResolveError::Unknown { id: "ab".into(), tried: vec![] })
    }

    #[test]
    fn a_question_is_asked_once_at_a_time_and_again_after_a_growing_pause() {
        let start = Instant::now();
        let mut backfill = Backfill::new(8);
        assert!(backfill.want(1, want(), start));

        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(backfill.next(now), Some((1, want())));
            assert_eq!(backfill.next(now), None, "it is being asked");
            backfill.answered(&1, unknown(), now);
            let due = backfill.next_due().expect("it is asked again");
            pauses.push(due - now);
            assert_eq!(backfill.next(due - Duration::from_nanos(1)), None);
            now = due;
        }

        assert_eq!(pauses[..3], [50, 100, 200].map(Duration::from_millis));
        assert_eq!(pauses[11], Backfill::<u32>::LONGEST_PAUSE);
    }

    #[test]
    fn a_failure_is_said_with_its_reason_and_a_late_answer_still_counts() {
        let start = Instant::now();
        let mut backfill = Backfill::new(8);
        backfill.want(1, want(), start);
        assert_eq!(backfill.state(&1), Some(&State::Pending { attempts: 0, reason: None }));

        backfill.next(start);
        backfill.answered(&1, unknown(), start);
        assert!(matches!(backfill.state(&1), Some(State::Pending { attempts: 1, reason: Some(_) })));

        let late = start + Backfill::<u32>::PATIENCE;
        backfill.next(late);
        backfill.answered(&1, unknown(), late);
        let reason = "no engine knows container ab: there is nobody to ask".to_owned();
        assert_eq!(backfill.state(&1), Some(&State::Failed { attempts: 2, reason }));

        let later = late + Backfill::<u32>::LONGEST_PAUSE;
        assert!(backfill.next(later).is_some(), "a failure is asked again");
        backfill.answered(&1, Ok(Metadata::new(Engine::Docker, "ab")), later);
        assert!(matches!(backfill.forget(&1), Some(State::Known(metadata)) if metadata.id == "ab"));
        assert_eq!((backfill.next_due(), backfill.state(&1)), (None, None));
    }

    #[test]
    fn the_longest_due_is_first_and_what_has_no_room_is_counted() {
        let start = Instant::now();
        let mut backfill = Backfill::new(2);
        assert!(backfill.want(7, want(), start + Duration::from_millis(1)));
        assert!(backfill.want(9, want(), start));
        assert!(!backfill.want(9, want(), start), "the key is in use");
        assert!(!backfill.want(8, want(), start), "it is full");

        assert_eq!(backfill.refused(), 1);
        assert_eq!(backfill.next(start + Duration::from_secs(1)).map(|(key, _)| key), Some(9));
    }
}
