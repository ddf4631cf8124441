//! What runs now: every container that has a process, found without asking an engine.
//!
//! A process belongs to the innermost container that its cgroup path names. What no path names is told by structure:
//! processes in a mount namespace with a root of its own are one container per mount namespace (bare runc and crun,
//! rootless Podman on cgroup v1, `--cgroups=disabled`). [`describe`] adds what engines know.

mod scan;

use event::{CapabilitySet, Text};
use serde::Serialize;

use crate::cgroupfs::{CgroupId, Layout};
use crate::engine::Metadata;
use crate::path::{Engine, is_hex_id};
use crate::proc::{Namespaces, Proc, ReadError, SeccompMode};

use scan::{Membership, Scan, Task};

/// A container that has a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Who made it, as far as its path tells.
    pub engine: Engine,
    /// The engine's id; of a container that only its structure tells, the name of its cgroup, else `mnt:` and the number
    /// of its mount namespace.
    pub id: String,
    /// The pod that its path names.
    pub pod: Option<String>,
    /// The id of the container that it runs in, if they are nested.
    pub inside: Option<String>,
    /// Its cgroup in the identity hierarchy; none if it has none of its own there.
    pub cgroup: Option<RunningCgroup>,
    /// Its first process.
    pub init: RunningProcess,
    /// The first process's namespaces.
    pub namespaces: Namespaces,
    /// What confines the first process.
    pub confinement: Confinement,
    /// All its processes, by pid.
    pub processes: Vec<RunningProcess>,
    /// What engines know of it; see [`describe`].
    pub metadata: Option<Box<Metadata>>,
}

/// A container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningCgroup {
    /// Its id.
    pub id: CgroupId,
    /// Its path below the root of the identity hierarchy.
    pub path: Text,
}

/// A process of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningProcess {
    /// The pid, as the reader's pid namespace has it.
    pub pid: u32,
    /// The pid in the process's own pid namespace.
    pub pid_inside: u32,
    /// When it started, in nanoseconds since boot, to the tick (10 ms) below.
    pub start_ns: u64,
    /// Its name.
    pub comm: Text,
}

/// What confines a process, as the kernel says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// Whether and how seccomp confines it; none if the kernel has no seccomp.
    pub seccomp: Option<SeccompMode>,
    /// How many filters are stacked (since 5.9).
    pub seccomp_filters: Option<u32>,
    /// Effective capabilities.
    pub capabilities: CapabilitySet,
    /// The most that it can ever get.
    pub bounding: CapabilitySet,
    /// Whether exec can no longer give privileges.
    pub no_new_privileges: Option<bool>,
    /// Its real user id, as the reader numbers it.
    pub uid: u32,
}

/// What runs now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// The containers, the oldest first.
    pub containers: Vec<Running>,
    /// How many processes could not be read, for lack of privilege: theirs may be missing.
    pub unreadable: usize,
}

/// Looks at every process.
pub fn running(proc: &Proc, layout: &Layout) -> Result<Census, ReadError> {
    let scan = Scan::take(proc, layout)?;
    let groups = scan.groups();
    let mut containers: Vec<_> =
        groups.iter().filter_map(|(membership, tasks)| one(&scan, layout, membership, tasks)).collect();
    containers.sort_by_key(|container| (container.init.start_ns, container.init.pid));
    Ok(Census { containers, unreadable: scan.unreadable })
}

/// Adds what engines know: by id, else by the first process. Of what was found by structure alone, the engine and the
/// id become known.
pub fn describe(containers: &mut [Running], known: &[Metadata]) {
    for container in containers {
        let by_id = known.iter().find(|metadata| metadata.id == container.id && is_hex_id(&metadata.id));
        let by_pid = || known.iter().find(|metadata| metadata.pid == Some(container.init.pid));
        // The bare runtimes' ids are unique only together with the process.
        let by_name = || known.iter().find(|metadata| metadata.id == container.id && metadata.pid.is_none());
        let Some(found) = by_id.or_else(by_pid).or_else(by_name) else { continue };
        container.id.clone_from(&found.id);
        if found.engine != Engine::Unknown {
            container.engine = found.engine;
        }
        container.metadata = Some(Box::new(found.clone()));
    }
}

fn one(scan: &Scan, layout: &Layout, membership: &Membership, tasks: &[&Task]) -> Option<Running> {
    let init = *tasks.iter().min_by_key(|task| (task.status.pid_inside() != 1, task.start_ticks, task.pid))?;
    let (engine, id, pod, inside, path) = match membership {
        Membership::Named { identity, inside, path } => {
            (identity.engine, identity.id.clone(), identity.pod.clone(), inside.clone(), path.clone())
        }
        Membership::Structural { mount_namespace } => {
            let path = scan.own_cgroup(*mount_namespace, init);
            let name = path.as_deref().and_then(|path| path.rsplit(|&byte| byte == b'/').next());
            let name =
                name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| crate::path::is_valid_id(name));
            let id = name.map_or_else(|| format!("mnt:{mount_namespace}"), str::to_owned);
            (Engine::Unknown, id, None, None, path)
        }
    };
    // The cgroup can be gone by now; then so is the container.
    let cgroup = path.and_then(|path| {
        let directory = layout.identity().directory(&path)?;
        let id = crate::cgroupfs::cgroup_id(&directory).ok()?;
        Some(RunningCgroup { id, path: Text::new(path) })
    });
    let mut processes: Vec<_> = tasks.iter().map(|task| process(task)).collect();
    processes.sort_by_key(|process| process.pid);
    let status = &init.status;
    let confinement = Confinement {
        seccomp: status.seccomp,
        seccomp_filters: status.seccomp_filters,
        capabilities: CapabilitySet(status.cap_effective),
        bounding: CapabilitySet(status.cap_bounding),
        no_new_privileges: status.no_new_privileges,
        uid: status.uid[0],
    };
    let (init, namespaces) = (process(init), init.namespaces);
    Some(Running { engine, id, pod, inside, cgroup, init, namespaces, confinement, processes, metadata: None })
}

fn process(task: &Task) -> RunningProcess {
    RunningProcess {
        pid: task.pid,
        pid_inside: task.status.pid_inside(),
        start_ns: task.start_ticks.saturating_mul(1_000_000_000 / crate::proc::TICKS_PER_SECOND),
        comm: Text::new(task.status.name.clone()),
    }
}

#[cfg(test)]
mod tests;
