//! Putting a policy in force: what it says, told to the guards.

use std::time::Duration;

use containers::engine::Metadata;
use containers::list::Running;
use sensors::guard::{Deed, Guards, PolicyRecord, PolicyState, Trigger};

use crate::error::DeedError;
use crate::place::{FileRule, above};
use crate::store::{boot_ns, host_root, lock};
use crate::{Climb, EnforceError, Enforcer, Policy, canary, opens};

/// A policy that was put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub number: u32,
    /// How it is enforced.
    pub climb: Climb,
    /// The ids of the containers that run and that it is about.
    pub running: Vec<String>,
    /// How many names of cgroups that are yet to be made are held to it.
    pub awaited: usize,
}

impl Enforcer {
    /// Puts a policy in force, for a limited time if one is given. Without `later` some container must match now.
    pub fn apply(&self, policy: &Policy, limit: Option<Duration>, later: bool) -> Result<Applied, EnforceError> {
        policy.check()?;
        let _lock = lock(&self.lock)?;
        let (running, known) = self.containers(&policy.names())?;
        let matching: Vec<&Running> = running
            .iter()
            .filter(|container| policy.containers.iter().any(|target| target.wants_running(container)))
            .collect();
        if matching.is_empty() && !later {
            return Err(EnforceError::NoContainer { whom: policy.whom() });
        }
        if !policy.hash.is_empty() {
            opens::try_out()?;
        }
        let number = self.free_number()?;
        let applied = policy
            .deeds()
            .into_iter()
            .try_for_each(|deed| self.have(deed))
            .and_then(|()| policy.triggers().into_iter().try_for_each(|trigger| self.have_trigger(trigger)))
            .and_then(|()| self.fill(number, policy, limit, &matching, &known, later));
        if applied.is_err() {
            self.guards.clear_policy(number)?;
            self.drop_unused_deeds()?;
        }
        applied
    }

    /// Sees to it that this kind of deed can be denied: a canary was denied it when this returns.
    fn have(&self, deed: Deed) -> Result<(), EnforceError> {
        let step = self.guards.step();
        let refused = |source: DeedError| EnforceError::Deed { deed, step, source };
        if !self.guards.add(deed).map_err(|error| refused(error.into()))? {
            return Ok(());
        }
        let tried = canary::check_deed(&self.guards, &self.layout, deed);
        if let Err(error) = tried {
            self.guards.drop_deed(deed)?;
            return Err(refused(error.into()));
        }
        Ok(())
    }

    /// Sees to it that this is seen: a policy that waited for it became strict when this returns.
    fn have_trigger(&self, trigger: Trigger) -> Result<(), EnforceError> {
        let step = self.guards.step();
        let refused = |source: DeedError| EnforceError::Trigger { trigger, step, source };
        if !self.guards.add_trigger(trigger).map_err(|error| refused(error.into()))? {
            return Ok(());
        }
        let tried = canary::check_trigger(&self.guards, &self.layout, trigger);
        if let Err(error) = tried {
            self.guards.drop_trigger(trigger)?;
            return Err(refused(error.into()));
        }
        Ok(())
    }

    fn fill(
        &self,
        number: u32,
        policy: &Policy,
        limit: Option<Duration>,
        matching: &[&Running],
        known: &[Metadata],
        later: bool,
    ) -> Result<Applied, EnforceError> {
        self.guards.clear_policy(number)?;
        for program in &policy.exec {
            match program.is_path() {
                true => self.guards.deny_path(program.as_str().as_bytes(), number)?,
                false => self.guards.deny_name(program.name().as_bytes(), number)?,
            }
        }
        if policy.image_binaries_only {
            for container in matching {
                self.must_be_overlay(container)?;
            }
            self.guards.deny_what_is_not_of_the_image(host_root(&self.guards)?, number)?;
        }
        if let Some(only) = &policy.only {
            for container in matching {
                self.has_own_root(container)?;
            }
            only.apply(&self.guards, host_root(&self.guards)?, number)?;
        }
        if !policy.file.is_empty() {
            for container in matching {
                self.has_own_root(container)?;
            }
            self.deny_files(&policy.file, number)?;
        }
        for peer in &policy.connect {
            for network in peer.networks() {
                self.guards.deny_peer(network, peer.port(), number)?;
            }
        }
        for port in &policy.listen {
            self.guards.deny_port(port.0, number)?;
        }
        for capability in &policy.capability {
            self.guards.deny_capability(capability.number(), number)?;
        }
        for (is_denied, deed) in
            [(policy.mount, Deed::Mount), (policy.ptrace, Deed::Ptrace), (policy.module, Deed::Module)]
        {
            if is_denied {
                self.guards.deny_kind(deed, number)?;
            }
        }
        self.wait_for_what_is_read(policy, number, matching)?;
        let record = PolicyRecord {
            state: if policy.audit { PolicyState::Audit } else { PolicyState::Enforce },
            expires_boot_ns: limit.map(|limit| boot_ns().saturating_add(limit.as_nanos() as u64)),
            text: policy.to_json().into_bytes(),
        };
        // In force first: what it is about is under it from the moment it is added.
        self.guards.set_policy(number, &record)?;
        for container in matching {
            self.watch(container, number)?;
        }
        let mut awaited = 0;
        for id in policy.awaited_ids(known, later) {
            awaited += self.wait_for(&id, number)?;
        }
        Ok(Applied {
            number,
            climb: self.climb().clone(),
            running: matching.iter().map(|container| container.id.clone()).collect(),
            awaited,
        })
    }

    /// Files by their paths as they are written, and the folders above; what lies there in each container is looked up later.
    fn deny_files(&self, rules: &[FileRule], number: u32) -> Result<(), EnforceError> {
        for rule in rules {
            let path = rule.path().as_bytes();
            self.guards.deny_place(path, rule.access(), number)?;
            above(path).try_for_each(|folder| self.guards.fix_place(folder, number))?;
        }
        Ok(self.guards.watch_files(host_root(&self.guards)?, number)?)
    }

    /// What the policy waits for, before it is about anybody.
    fn wait_for_what_is_read(&self, policy: &Policy, number: u32, matching: &[&Running]) -> Result<(), EnforceError> {
        if policy.triggers().contains(&Trigger::Network) {
            self.guards.wait_for_network(number)?;
        }
        let rules = policy.tainting();
        if rules.is_empty() {
            return Ok(());
        }
        for container in matching {
            self.has_own_root(container)?;
        }
        for rule in &rules {
            self.guards.deny_place(rule.path().as_bytes(), rule.access(), number)?;
        }
        Ok(self.guards.wait_for_file(host_root(&self.guards)?, number)?)
    }

    fn free_number(&self) -> Result<u32, EnforceError> {
        for number in 0..Guards::CANARY {
            match self.guards.policy(number)? {
                // One whose time is over holds no place.
                Some(record) if record.expires_boot_ns.is_none_or(|end| end > boot_ns()) => {}
                _ => return Ok(number),
            }
        }
        Err(EnforceError::Full)
    }

    /// Takes the guards of deeds away that no policy denies any more, and of what none waits for.
    pub(crate) fn drop_unused_deeds(&self) -> Result<(), EnforceError> {
        // Of a policy that another version made it is not known what it denies.
        let Ok(policies) = self.policies() else { return Ok(()) };
        let used: Vec<Deed> = policies.iter().flat_map(|status| status.policy.deeds()).collect();
        // Those of programs are the ground for all others.
        for deed in self.guards.deeds()?.into_iter().filter(|deed| *deed != Deed::Exec && !used.contains(deed)) {
            self.guards.drop_deed(deed)?;
        }
        let waited_for: Vec<Trigger> = policies.iter().flat_map(|status| status.policy.triggers()).collect();
        for trigger in self.guards.triggers()?.into_iter().filter(|trigger| !waited_for.contains(trigger)) {
            self.guards.drop_trigger(trigger)?;
        }
        Ok(())
    }
}
