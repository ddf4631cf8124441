//! The policies that are in force on this machine: putting them there, listing them, taking them away.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containers::cgroupfs::Layout;
use containers::engine::{Metadata, Resolver, Sockets};
use containers::list::Running;
use containers::proc::Proc;
use sensors::guard::{
    Deed, DenialReader, FileKey, GuardError, Guards, Pins, PolicyRecord, PolicyState, Step, Taint, Tally, Told, Trigger,
};

use crate::error::DeedError;
use crate::ladder::{Climb, climb, hierarchy};
use crate::lock::Lock;
use crate::place::{FileRule, above};
use crate::running::running_now;
use crate::target::cgroup_names;
use crate::{EnforceError, Policy, canary, files, opens};

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

/// A policy, and what it has come to.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its number.
    pub number: u32,
    /// What it says. Whether it only counts is as it is now, not as it was when it was put in force.
    pub policy: Policy,
    /// Whether it was put in force denying and only counts now, or the other way round.
    pub is_switched: bool,
    /// How long it is still in force; none if it has no end. Zero if that has come.
    pub left: Option<Duration>,
    /// What it has come to.
    pub tally: Tally,
    /// How many cgroups are under it, also where it waits.
    pub cgroups: usize,
    /// In how many of them it waits still.
    pub waiting: usize,
    /// Where it has waited and is strict now.
    pub taints: Vec<Taint>,
}

/// The guards of this machine, and all that policies need to know of it.
pub struct Enforcer {
    pub(crate) guards: Guards,
    pub(crate) layout: Layout,
    pub(crate) proc: Proc,
    pub(crate) resolver: Resolver,
    climb: Climb,
    pub(crate) lock: PathBuf,
}

/// No runtime takes as long to make a container.
const MAKING: Duration = Duration::from_secs(20);

/// What is held while guards are changed.
const LOCK: &str = "/run/ringfence/guards.lock";

impl Enforcer {
    /// The guards that are in place, else new ones; a canary has been blocked when this returns. `only` allows one step alone.
    pub fn start(only: Option<Step>) -> Result<Enforcer, EnforceError> {
        let (proc, layout, _lock) = prepare()?;
        let (guards, refused) = climb(&Pins::at(Path::new(Pins::FILE_SYSTEM)), &layout, only)?;
        Ok(Enforcer::with(guards, layout, proc, refused))
    }

    /// The guards that are in place; none if there are none. Nothing is tried.
    pub fn find() -> Result<Option<Enforcer>, EnforceError> {
        let (proc, layout, _lock) = prepare()?;
        let found = Guards::find(Pins::at(Path::new(Pins::FILE_SYSTEM)), &hierarchy(&layout)?)?;
        Ok(found.map(|guards| Enforcer::with(guards, layout, proc, Vec::new())))
    }

    fn with(guards: Guards, layout: Layout, proc: Proc, refused: Vec<(Step, String)>) -> Enforcer {
        let climb = Climb { step: guards.step(), refused };
        let resolver = Resolver::new(Sockets::usual(Path::new("/")));
        Enforcer { guards, layout, proc, resolver, climb, lock: LOCK.into() }
    }

    /// How it is enforced.
    pub fn climb(&self) -> &Climb {
        &self.climb
    }

    /// Where the guards are pinned.
    pub fn folder(&self) -> &Path {
        self.guards.folder()
    }

    /// What is denied, from now on and what nobody has read yet.
    pub fn denials(&self) -> Result<DenialReader, EnforceError> {
        Ok(self.guards.denials()?)
    }

    /// Whether it is told of a canary.
    pub fn is_of_canary(told: &Told) -> bool {
        told.policy() == Guards::CANARY
    }

    /// How often the kernel skipped a guard.
    pub fn skipped(&self) -> u64 {
        self.guards.skipped()
    }

    /// Cgroups that were to be under a policy and are not: the map was full.
    pub fn cgroups_lost(&self) -> u64 {
        self.guards.cgroups_lost()
    }

    /// Has a canary blocked again.
    pub fn check(&self) -> Result<(), EnforceError> {
        let _lock = lock(&self.lock)?;
        Ok(canary::check(&self.guards, &self.layout)?)
    }

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

    /// Takes the guards of deeds away that no policy denies any more, and of what none waits for.
    fn drop_unused_deeds(&self) -> Result<(), EnforceError> {
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
            climb: self.climb.clone(),
            running: matching.iter().map(|container| container.id.clone()).collect(),
            awaited,
        })
    }

    /// Whether what came with the image can be told from what was written since.
    pub(crate) fn must_be_overlay(&self, container: &Running) -> Result<(), EnforceError> {
        let mounts = self.proc.mountinfo(container.init.pid)?;
        match containers::proc::root_mount(&mounts) {
            Some(root) if root.fs_type == b"overlay" => Ok(()),
            _ => Err(EnforceError::NoOverlay { id: container.id.clone() }),
        }
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

    /// Whether the container's files can be told from the host's by now: one that has just begun has yet to get a root of its own.
    pub(crate) fn has_own_root(&self, container: &Running) -> Result<bool, EnforceError> {
        let is_new = boot_ns().saturating_sub(container.init.start_ns) < MAKING.as_nanos() as u64;
        match files::has_our_root(container.init.pid) {
            Ok(true) if !is_new => Err(EnforceError::HostRoot { id: container.id.clone() }),
            Ok(is_ours) => Ok(!is_ours),
            // It has ended.
            Err(_) => Ok(false),
        }
    }

    /// From now on the policy is about this container. What it means there is looked up by [`crate::Follower`].
    pub(crate) fn watch(&self, container: &Running, number: u32) -> Result<(), EnforceError> {
        let outside = self.proc.outside()?;
        if let Some(cgroup) = &container.cgroup {
            if cgroup.path.as_bytes() == b"/" || cgroup.path.is_empty() {
                return Err(EnforceError::Host { id: container.id.clone() });
            }
            self.guards.watch_cgroup(cgroup.id.0, number)?;
            self.wait_for(&container.id, number)?;
            return Ok(());
        }
        if self.guards.waits(number)? {
            return Err(EnforceError::NoCgroup { id: container.id.clone() });
        }
        let of_its_own: Vec<u32> =
            [(container.namespaces.mount, outside.mount_namespace), (container.namespaces.pid, outside.pid_namespace)]
                .into_iter()
                .filter(|(own, outer)| own != outer)
                .map(|(own, _)| own)
                .collect();
        if of_its_own.is_empty() {
            return Err(EnforceError::Host { id: container.id.clone() });
        }
        of_its_own.iter().try_for_each(|namespace| self.guards.watch_namespace(*namespace, number))?;
        Ok(())
    }

    /// Holds the cgroups that this container may get to the policy; gives how many names that are.
    pub(crate) fn wait_for(&self, id: &str, number: u32) -> Result<usize, EnforceError> {
        let mut count = 0;
        for name in cgroup_names(id) {
            count += usize::from(self.guards.await_cgroup(&name, number)?);
        }
        Ok(count)
    }

    /// No longer.
    pub(crate) fn wait_no_more(&self, id: &str, number: u32) -> Result<(), EnforceError> {
        for name in cgroup_names(id) {
            self.guards.await_no_more(&name, number)?;
        }
        Ok(())
    }

    /// What runs, described, and what engines know. The `names` are those that somebody gave containers.
    pub(crate) fn containers(&self, names: &[&str]) -> Result<(Vec<Running>, Vec<Metadata>), EnforceError> {
        let known = self.known()?;
        Ok((self.running(&known, names)?, known))
    }

    /// The containers that run and have a cgroup of their own: that, their ids, and their names if their engines say.
    pub fn cgroups(&self, policies: &[Status]) -> Result<Vec<(u64, String, Option<String>)>, EnforceError> {
        let names: Vec<&str> = policies.iter().flat_map(|status| status.policy.names()).collect();
        let (running, _) = self.containers(&names)?;
        let place = |it: Running| {
            let name = it.metadata.as_deref().and_then(|known| known.name.clone());
            Some((it.cgroup?.id.0, it.id, name))
        };
        Ok(running.into_iter().filter_map(place).collect())
    }

    /// What engines know.
    pub(crate) fn known(&self) -> Result<Vec<Metadata>, EnforceError> {
        Ok(self.resolver.list()?.containers)
    }

    /// What runs, described by what engines know.
    pub(crate) fn running(&self, known: &[Metadata], names: &[&str]) -> Result<Vec<Running>, EnforceError> {
        running_now(&self.proc, &self.layout, known, names)
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

    /// Every policy that is in force, and those whose time is over.
    pub fn policies(&self) -> Result<Vec<Status>, EnforceError> {
        let mut all = Vec::new();
        for number in 0..Guards::CANARY {
            if let Some(record) = self.guards.policy(number)? {
                all.push(self.status(number, &record)?);
            }
        }
        Ok(all)
    }

    /// One policy.
    pub fn policy(&self, number: u32) -> Result<Status, EnforceError> {
        let record = if number < Guards::CANARY { self.guards.policy(number)? } else { None };
        self.status(number, &record.ok_or(EnforceError::NoPolicy(number))?)
    }

    fn status(&self, number: u32, record: &PolicyRecord) -> Result<Status, EnforceError> {
        let mut policy = Policy::parse(&record.text).map_err(|source| EnforceError::Foreign { number, source })?;
        // What the guards do decides.
        let audit = record.state == PolicyState::Audit;
        let is_switched = std::mem::replace(&mut policy.audit, audit) != audit;
        let left = |end: u64| Duration::from_nanos(end.saturating_sub(boot_ns()));
        Ok(Status {
            number,
            policy,
            is_switched,
            left: record.expires_boot_ns.map(left),
            tally: self.guards.tally(number)?,
            cgroups: self.guards.cgroups_of(number)?.len(),
            waiting: self.guards.waiting(number)?,
            taints: self.guards.taints(number)?,
        })
    }

    /// Takes a policy away; what it has come to until then.
    pub fn remove(&self, number: u32) -> Result<Status, EnforceError> {
        let _lock = lock(&self.lock)?;
        let status = self.policy(number)?;
        self.guards.clear_policy(number)?;
        self.drop_unused_deeds()?;
        Ok(status)
    }

    /// Takes the guards away if no policy is left. Gives whether they are gone.
    pub fn end_if_unused(self) -> Result<bool, EnforceError> {
        let _lock = lock(&self.lock)?;
        for number in 0..Guards::CANARY {
            if self.guards.policy(number)?.is_some() {
                return Ok(false);
            }
        }
        self.guards.remove()?;
        Ok(true)
    }

    /// Takes everything away.
    pub fn end(self) -> Result<(), EnforceError> {
        let _lock = lock(&self.lock)?;
        Ok(self.guards.remove()?)
    }
}

impl Policy {
    /// The names of containers that it has.
    pub(crate) fn names(&self) -> Vec<&str> {
        let named = self.containers.iter().filter_map(|target| match target {
            crate::Target::Container(name) => Some(name.as_str()),
            _ => None,
        });
        named.collect()
    }

    /// The ids of containers that it is about and that may come, or come again.
    pub(crate) fn awaited_ids(&self, known: &[Metadata], later: bool) -> Vec<String> {
        let matching = known.iter().filter(|metadata| self.containers.iter().any(|target| target.wants(metadata)));
        let mut ids: Vec<String> = matching.map(|metadata| metadata.id.clone()).collect();
        // Where the id is the name that somebody gives: containerd, runc, crun.
        if later {
            ids.extend(self.names().into_iter().map(str::to_owned));
        }
        ids.sort();
        ids.dedup();
        ids
    }
}

/// The folder that is the root of the host.
pub(crate) fn host_root(guards: &Guards) -> Result<FileKey, GuardError> {
    let root = std::fs::File::open("/").map_err(GuardError::File)?;
    guards.file_key(root.as_fd())
}

fn prepare() -> Result<(Proc, Layout, Lock), EnforceError> {
    let lock = lock(Path::new(LOCK))?;
    let proc = Proc::default();
    let layout = Layout::detect(&proc)?;
    Ok((proc, layout, lock))
}

pub(crate) fn lock(path: &Path) -> Result<Lock, EnforceError> {
    Lock::take(path).map_err(|source| EnforceError::Lock { path: path.into(), source })
}

pub(crate) fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
