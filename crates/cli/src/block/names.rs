//! What policies and containers are called.

use std::collections::BTreeMap;

use ::enforce::{Contained, Denial, Enforcer, Follower, Place, Reason, Status, Taint, Told};

/// What policies and containers are called.
#[derive(Default)]
pub(crate) struct Names {
    policies: BTreeMap<u32, String>,
    containers: Vec<(Place, String, Option<String>)>,
    /// Where policies that waited are strict or were, each with its number, the newest first: what a container did is told after
    /// it has ended, too.
    taints: Vec<(u32, Taint)>,
    contained: Option<Contained>,
}

/// So many of them are remembered.
const MOST_TAINTS: usize = 1024;

impl Names {
    /// Of the containers in which policies that waited are strict; others are not asked for.
    pub(crate) fn of_tainted(enforcer: &Enforcer, policies: &[Status]) -> anyhow::Result<Names> {
        let mut names = Names::default();
        if policies.iter().any(|status| !status.taints.is_empty()) {
            let running = enforcer.cgroups(policies)?.into_iter();
            names.containers = running.map(|(cgroup, id, name)| (Place::Cgroup(cgroup), id, name)).collect();
        }
        Ok(names)
    }

    /// Takes in what is told before the next look.
    pub(crate) fn hear(&mut self, told: &Told) {
        if let Told::Tainted(tainted) = told {
            self.remember(tainted.policy, tainted.taint());
        }
    }

    fn remember(&mut self, policy: u32, taint: Taint) {
        self.taints.retain(|(number, known)| (*number, known.cgroup_id) != (policy, taint.cgroup_id));
        self.taints.insert(0, (policy, taint));
        self.taints.truncate(MOST_TAINTS);
    }

    pub(super) fn taint(&self, policy: u32, cgroup_id: u64) -> Option<&Taint> {
        let found = self.taints.iter().find(|(number, taint)| *number == policy && taint.cgroup_id == cgroup_id);
        found.map(|(_, taint)| taint)
    }

    pub(super) fn in_cgroup(&self, cgroup_id: u64) -> Option<(&str, Option<&str>)> {
        let found = self.containers.iter().find(|(place, ..)| *place == Place::Cgroup(cgroup_id));
        found.map(|(_, id, name)| (id.as_str(), name.as_deref()))
    }

    pub(crate) fn renew(&mut self, enforcer: &Enforcer, follower: &Follower) -> anyhow::Result<()> {
        let policies = enforcer.policies()?;
        self.policies = policies
            .iter()
            .map(|status| (status.number, status.policy.name.clone().unwrap_or_else(|| status.policy.what())))
            .collect();
        for status in policies {
            for taint in status.taints {
                self.remember(status.number, taint);
            }
        }
        self.contained = follower.contained();
        self.containers =
            follower.places().map(|(place, id, name)| (place, id.to_owned(), name.map(str::to_owned))).collect();
        Ok(())
    }

    /// Why it was denied: of a content the guards know the file alone.
    pub(super) fn reason(&self, denial: &Denial) -> Reason {
        self.contained.as_ref().map_or(denial.reason, |contained| contained.reason(denial))
    }

    pub(super) fn container(&self, denial: &Denial) -> Option<(&str, Option<&str>)> {
        let found = self.containers.iter().find(|(place, ..)| match place {
            Place::Cgroup(id) => *id == denial.cgroup_id,
            Place::Namespace(namespace) => *namespace == denial.mount_ns,
        });
        found.map(|(_, id, name)| (id.as_str(), name.as_deref()))
    }

    pub(super) fn policy(&self, number: u32) -> &str {
        self.policies.get(&number).map_or("", String::as_str)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn names() -> Names {
        let containers = vec![(Place::Cgroup(77), "ab".repeat(32), Some("web".to_owned()))];
        Names {
            policies: BTreeMap::from([(3, "no whoami".to_owned())]),
            containers,
            taints: Vec::new(),
            contained: None,
        }
    }
}
