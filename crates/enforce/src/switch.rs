//! Policies in force that are switched: from denying to counting only, and back.

use std::time::Duration;

use sensors::guard::PolicyState;

use crate::store::lock;
use crate::{EnforceError, Enforcer, Policy, Status, canary};

impl Status {
    /// Whether it is this policy: as it is now, or as it was when it was put in force.
    pub fn is_of(&self, policy: &Policy) -> bool {
        let is_as_now = policy.audit == self.policy.audit;
        (is_as_now || self.is_switched) && Policy { audit: self.policy.audit, ..policy.clone() } == self.policy
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.left == Some(Duration::ZERO)
    }
}

impl Enforcer {
    /// Has these policies deny, or only count, from now on; all else of them stays. Gives each as it was before. Those that are
    /// to deny do when this returns: a canary was blocked.
    pub fn switch(&self, numbers: &[u32], to: PolicyState) -> Result<Vec<Status>, EnforceError> {
        let _lock = lock(&self.lock)?;
        let before: Vec<Status> = numbers.iter().map(|number| self.policy(*number)).collect::<Result<_, _>>()?;
        if let Some(over) = before.iter().find(|status| status.is_over()) {
            return Err(EnforceError::Over(over.number));
        }
        numbers.iter().try_for_each(|number| self.guards.set_state(*number, to))?;
        if to == PolicyState::Enforce && !numbers.is_empty() {
            canary::check(&self.guards, &self.layout)?;
        }
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use sensors::guard::Tally;

    use super::*;

    fn policy(audit: bool) -> Policy {
        let json = r#"{"schema_version":1,"containers":[{"container":"web"}],"exec":["id"]}"#;
        Policy { audit, ..Policy::parse(json.as_bytes()).expect("a policy") }
    }

    fn status(audit: bool, is_switched: bool) -> Status {
        let (tally, left) = (Tally::default(), None);
        Status { number: 0, policy: policy(audit), is_switched, left, tally, cgroups: 0 }
    }

    #[test]
    fn a_policy_that_was_switched_is_the_same_as_before_and_as_it_is_now() {
        for audit in [false, true] {
            assert!(status(audit, true).is_of(&policy(audit)) && status(audit, true).is_of(&policy(!audit)));
            assert!(status(audit, false).is_of(&policy(audit)));
            assert!(!status(audit, false).is_of(&policy(!audit)), "nobody switched it: the file says another thing");
        }
        let other = Policy { mount: true, ..policy(false) };
        assert!(!status(false, true).is_of(&other) && !status(true, true).is_of(&other));
    }
}
