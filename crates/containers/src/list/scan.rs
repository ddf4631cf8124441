//! One look at every process, and which container each belongs to.

use std::collections::BTreeMap;

use crate::cgroupfs::{Hierarchy, Layout};
use crate::path::{Identity, Kind, chain, classify};
use crate::proc::{CgroupLine, FileId, Namespaces, Outside, Proc, ReadError, Status};

/// What was read of a process.
pub(super) struct Task {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) status: Status,
    pub(super) namespaces: Namespaces,
    root: FileId,
    cgroups: Vec<CgroupLine>,
    /// Its path in the identity hierarchy.
    path: Vec<u8>,
}

/// Whose a process is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Membership {
    /// Its cgroup path names the container, whose cgroup is `path` if that is in the identity hierarchy.
    Named { identity: Identity, inside: Option<String>, path: Option<Vec<u8>> },
    /// It has a root of its own in this mount namespace.
    Structural { mount_namespace: u32 },
}

/// Every process that has a program.
pub(super) struct Scan {
    tasks: Vec<Task>,
    outside: Outside,
    identity: Hierarchy,
    pub(super) unreadable: usize,
}

/// The kernel's own threads are the children of this one.
const KTHREADD: u32 = 2;

impl Scan {
    pub(super) fn take(proc: &Proc, layout: &Layout) -> Result<Scan, ReadError> {
        let identity = layout.identity();
        let mut scan = Scan { tasks: Vec::new(), outside: proc.outside()?, identity: identity.clone(), unreadable: 0 };
        for pid in proc.pids()? {
            match read(proc, identity, pid) {
                Ok(task) => scan.tasks.extend(task),
                Err(ReadError::Gone { .. }) => {}
                Err(_) => scan.unreadable += 1,
            }
        }
        Ok(scan)
    }

    /// The processes of each container.
    pub(super) fn groups(&self) -> BTreeMap<Membership, Vec<&Task>> {
        let mut groups: BTreeMap<Membership, Vec<&Task>> = BTreeMap::new();
        for task in &self.tasks {
            if let Some(membership) = self.membership(task) {
                groups.entry(membership).or_default().push(task);
            }
        }
        groups
    }

    /// The cgroup that the processes of this mount namespace share with no other process, if there is one.
    pub(super) fn own_cgroup(&self, mount_namespace: u32, init: &Task) -> Option<Vec<u8>> {
        let is_in = |path: &[u8]| {
            path.strip_prefix(init.path.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let is_own = init.path != b"/"
            && self.tasks.iter().all(|task| is_in(&task.path) == (task.namespaces.mount == mount_namespace));
        is_own.then(|| init.path.clone())
    }

    fn membership(&self, task: &Task) -> Option<Membership> {
        // The identity hierarchy speaks first; a runtime may have left its container out of any one of the others.
        let others = task.cgroups.iter().filter(|line| line.hierarchy != self.identity.number);
        let lines =
            std::iter::once((task.path.as_slice(), true)).chain(others.map(|line| (line.path.as_slice(), false)));
        let mut named = None;
        for (path, is_identity) in lines {
            if classify(path) == Kind::Monitor {
                return None;
            }
            let mut found = chain(path);
            if let Some(innermost) = found.pop()
                && named.is_none()
            {
                let inside = found.pop().map(|outer| outer.identity.id);
                let path = is_identity.then(|| path[..innermost.length].to_vec());
                named = Some(Membership::Named { identity: innermost.identity, inside, path });
            }
        }
        named.or_else(|| self.structural(task))
    }

    fn structural(&self, task: &Task) -> Option<Membership> {
        let is_apart = task.namespaces.mount != self.outside.mount_namespace && task.root != self.outside.root;
        is_apart.then_some(Membership::Structural { mount_namespace: task.namespaces.mount })
    }
}

/// None of kernel threads and of processes that have ended.
fn read(proc: &Proc, identity: &Hierarchy, pid: u32) -> Result<Option<Task>, ReadError> {
    let stat = proc.stat(pid)?;
    if stat.is_dead() || pid == KTHREADD || stat.ppid == KTHREADD {
        return Ok(None);
    }
    let cgroups = proc.cgroup(pid)?;
    let task = Task {
        pid,
        start_ticks: stat.start_ticks,
        status: proc.status(pid)?,
        namespaces: proc.namespaces(pid)?,
        root: proc.root_id(pid)?,
        path: identity.path_of(&cgroups).unwrap_or(b"/").to_vec(),
        cgroups,
    };
    // The pid may have become another process's in between.
    let is_same = proc.stat(pid)?.start_ticks == task.start_ticks;
    Ok(is_same.then_some(task))
}
