//! How a workload ends if it works: what starts without the recommendation show. Pure.

use crate::start::{Exit, Outcome, Patience};
use crate::verify::ProveError;

/// How a start that works ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// By itself, not because it was stopped.
    pub(crate) ended: bool,
    /// With this status, if it is always the same.
    pub(crate) status: Option<i32>,
}

impl Expected {
    /// What starts without the recommendation show.
    pub(crate) fn of(plain: &[Outcome], patience: &Patience) -> Result<Expected, ProveError> {
        let mut expected: Option<Expected> = None;
        for outcome in plain {
            let (ended, status) = match outcome.exit {
                Exit::NotStarted => {
                    let why = "it cannot be started".to_owned();
                    return Err(ProveError::DoesNotWork { why, says: outcome.says.clone() });
                }
                Exit::Ended(status) => (true, status),
                Exit::Stopped(status) => (false, status),
            };
            if let Some(Err(why)) = &outcome.check {
                return Err(ProveError::DoesNotWork { why: why.clone(), says: outcome.says.clone() });
            }
            // One that fails in the same way each time does not work; and whatever an engine does not say is no way to end.
            if ended && (status < 0 || (outcome.check.is_none() && status != patience.status)) {
                let why = format!(
                    "it ends with status {status}, not {}: if it works then, say so with --status",
                    patience.status
                );
                return Err(ProveError::DoesNotWork { why, says: outcome.says.clone() });
            }
            let this = Expected { ended, status: Some(status) };
            expected = Some(match expected {
                None => this,
                Some(before) if before == this => this,
                // What a check says counts; and when it was stopped is a matter of chance.
                Some(before) if before.ended == ended && (outcome.check.is_some() || !ended) => {
                    Expected { ended, status: None }
                }
                Some(before) => return Err(ProveError::Unsteady { one: before.words(), other: this.words() }),
            });
        }
        Ok(expected.unwrap_or(Expected { ended: true, status: Some(0) }))
    }

    pub(crate) fn words(self) -> String {
        let how = if self.ended { "ends by itself" } else { "runs until it is stopped" };
        match self.status {
            Some(status) => format!("{how}, with status {status}"),
            None => how.to_owned(),
        }
    }

    /// Whether a start works; else what happens instead.
    pub(crate) fn check(self, outcome: &Outcome) -> Result<(), String> {
        if let Some(Err(why)) = &outcome.check {
            return Err(why.clone());
        }
        let (ended, status) = match outcome.exit {
            Exit::NotStarted => return Err("it could not be started".to_owned()),
            Exit::Ended(status) => (true, status),
            Exit::Stopped(status) => (false, status),
        };
        if status < 0 {
            return Err("nobody said how it ended".to_owned());
        }
        if ended == self.ended && self.status.is_none_or(|expected| expected == status) {
            return Ok(());
        }
        Err(format!("it {}", Expected { ended, status: Some(status) }.words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(exit: Exit, check: Option<Result<(), String>>) -> Outcome {
        Outcome { id: "1".into(), first: None, exit, check, says: "hello".into() }
    }

    fn patience(status: i32) -> Patience {
        let short = std::time::Duration::from_secs(1);
        Patience { check: None, status, ready: short, run: short, stop: short }
    }

    #[test]
    fn one_that_fails_each_time_or_of_whose_end_nobody_says_anything_does_not_work() {
        for status in [1, -1] {
            let error = Expected::of(&[outcome(Exit::Ended(status), None)], &patience(0)).expect_err("it does not");
            assert!(error.to_string().contains(&format!("it ends with status {status}, not 0")), "{error}");
        }
        assert!(Expected::of(&[outcome(Exit::Ended(-1), Some(Ok(())))], &patience(0)).is_err());
        let expected = Expected::of(&[outcome(Exit::Ended(0), None)], &patience(0)).expect("it works");
        assert!(expected.check(&outcome(Exit::Ended(-1), None)).is_err());
    }

    #[test]
    fn what_works_is_what_happens_without_the_recommendation() {
        let plain = [outcome(Exit::Ended(3), None), outcome(Exit::Ended(3), None)];
        let expected = Expected::of(&plain, &patience(3)).expect("it is steady");

        assert!(expected.check(&outcome(Exit::Ended(3), None)).is_ok());
        for other in [Exit::Ended(0), Exit::Stopped(3), Exit::NotStarted] {
            assert!(expected.check(&outcome(other, None)).is_err());
        }
    }

    #[test]
    fn a_status_that_varies_needs_a_check_and_one_after_a_stop_does_not_count() {
        let (zero, one) = (Exit::Ended(0), Exit::Ended(1));
        let unsteady = Expected::of(&[outcome(Exit::Stopped(0), None), outcome(zero.clone(), None)], &patience(0));
        assert!(matches!(unsteady, Err(ProveError::Unsteady { .. })));

        let checked = [outcome(zero, Some(Ok(()))), outcome(one, Some(Ok(())))];
        assert_eq!(Expected::of(&checked, &patience(0)).expect("the check decides").status, None);

        let stopped = [outcome(Exit::Stopped(143), None), outcome(Exit::Stopped(0), None)];
        assert_eq!(
            Expected::of(&stopped, &patience(0)).expect("it is steady"),
            Expected { ended: false, status: None }
        );
    }

    #[test]
    fn what_does_not_work_anyway_is_told_before_anything_is_proved() {
        let fails = Expected::of(&[outcome(Exit::Ended(0), Some(Err("the check ended with 1".into())))], &patience(0));

        let error = fails.expect_err("it does not work").to_string();
        assert!(error.ends_with("without the recommendation: the check ended with 1; it says: hello"), "{error}");
    }
}
