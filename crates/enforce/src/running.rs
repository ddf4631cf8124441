//! The containers that run now, with the cgroups that policies tell them by.

use std::path::Path;

use containers::cgroupfs::{Layout, cgroup_id};
use containers::engine::{Metadata, Resolver, Sockets};
use containers::list::{Running, RunningCgroup, describe, running};
use containers::proc::Proc;
use event::Text;

use crate::target::cgroup_names;
use crate::{EnforceError, Enforcer, Policy, Status};

impl Enforcer {
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
}

/// The containers that run now, described by what engines know. The `names` are those that somebody gave containers.
pub(crate) fn running_now(
    proc: &Proc,
    layout: &Layout,
    known: &[Metadata],
    names: &[&str],
) -> Result<Vec<Running>, EnforceError> {
    let mut census = running(proc, layout)?;
    describe(&mut census.containers, known);
    for container in census.containers.iter_mut().filter(|container| container.cgroup.is_none()) {
        place(container, proc, layout, names);
    }
    Ok(census.containers)
}

/// A container whose processes have several mount namespaces is told by its namespace alone, though it has a cgroup: that is
/// its own if its name says so.
fn place(container: &mut Running, proc: &Proc, layout: &Layout, names: &[&str]) {
    let Ok(lines) = proc.cgroup(container.init.pid) else { return };
    let identity = layout.identity();
    let Some(path) = identity.path_of(&lines) else { return };
    let leaf = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let own = container.id.clone();
    let is_of = |id: &&str| cgroup_names(id).iter().any(|name| name.as_bytes() == leaf);
    let Some(id) = std::iter::once(own.as_str()).chain(names.iter().copied()).find(is_of) else { return };
    let number = identity.directory(path).and_then(|directory| cgroup_id(&directory).ok());
    if let Some(number) = number {
        container.cgroup = Some(RunningCgroup { id: number, path: Text::new(path) });
        container.id = id.to_owned();
    }
}

/// The containers that run and that a policy is about: id, and name if its engine says.
pub fn matching(policy: &Policy) -> Result<Vec<(String, Option<String>)>, EnforceError> {
    let proc = Proc::default();
    let layout = Layout::detect(&proc)?;
    let known = Resolver::new(Sockets::usual(Path::new("/"))).list()?.containers;
    let running = running_now(&proc, &layout, &known, &policy.names())?;
    let wanted = running.into_iter().filter(|it| policy.containers.iter().any(|target| target.wants_running(it)));
    Ok(wanted.map(|it| (it.id, it.metadata.and_then(|known| known.name))).collect())
}
