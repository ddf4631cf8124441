//! The guards of this machine and the policies that are in force: listing them, taking them away.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containers::cgroupfs::Layout;
use containers::engine::{Resolver, Sockets};
use containers::proc::Proc;
use sensors::guard::{
    DenialReader, FileKey, GuardError, Guards, Pins, PolicyRecord, PolicyState, Step, Taint, Tally, Told,
};

use crate::ladder::{Climb, climb, hierarchy};
use crate::lock::Lock;
use crate::{EnforceError, Policy, canary};

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

    /// Whether somebody has taken the guards away meanwhile.
    pub fn is_over(&self) -> Result<bool, EnforceError> {
        Ok(!self.guards.are_pinned()?)
    }

    /// Has a canary blocked again.
    pub fn check(&self) -> Result<(), EnforceError> {
        let _lock = lock(&self.lock)?;
        if self.is_over()? {
            return Err(EnforceError::Gone);
        }
        Ok(canary::check(&self.guards, &self.layout)?)
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
        if self.is_over()? {
            return Err(EnforceError::NoPolicy(number));
        }
        let status = self.policy(number)?;
        self.guards.clear_policy(number)?;
        self.drop_unused_deeds()?;
        Ok(status)
    }

    /// Takes the guards away if no policy is left. Gives whether they are gone.
    pub fn end_if_unused(self) -> Result<bool, EnforceError> {
        let _lock = lock(&self.lock)?;
        // What is pinned now is not ours.
        if self.is_over()? {
            return Ok(true);
        }
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
        if self.is_over()? {
            return Ok(());
        }
        Ok(self.guards.remove()?)
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
