//! Containers that ran already, and processes that come in with a past: what they run is read from `/proc`.

use std::collections::BTreeMap;

use behaviour::Adopted;
use containers::cgroupfs::{Hierarchy, Layout, walk};
use containers::list::running;
use containers::path::{Kind, classify};
use containers::proc::{Namespace, Proc, ReadError, TICKS_PER_SECOND};
use event::{ExecId, Phase, RunId, Text};
use sensors::{Kernel, MapError, Watch};

/// Why the containers that run already could not be found.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The cgroup tree cannot be walked.
    #[error("cannot walk the cgroups below {}", path.display())]
    Walk {
        /// The mount.
        path: std::path::PathBuf,
        /// What it was.
        source: std::io::Error,
    },
    /// The processes cannot be listed.
    #[error("cannot tell which containers run")]
    List(#[from] ReadError),
    /// The kernel's maps.
    #[error("cannot enter a container that runs already")]
    Map(#[from] MapError),
}

/// Enters every container that runs already, with the cgroups inside of it.
pub(crate) fn enter_running(kernel: &Kernel, proc: &Proc, layout: &Layout) -> Result<(), AdoptError> {
    let hierarchy = layout.identity();
    let walked = walk(hierarchy).map_err(|source| AdoptError::Walk { path: hierarchy.mount_point.clone(), source })?;
    let own_mount_ns = proc.namespace(std::process::id(), Namespace::Mount).unwrap_or_default();
    let outside = outside_mount_namespace(proc);
    // The runs of this walk, by the path of their cgroup.
    let mut entered: BTreeMap<Vec<u8>, RunId> = BTreeMap::new();
    for found in running(proc, layout)?.containers {
        let mount_ns = found.namespaces.mount;
        let own = Watch {
            attached: true,
            init_pid: found.init.pid,
            mount_ns: if mount_ns == outside { 0 } else { mount_ns },
            user_ns: found.namespaces.user,
            ..Watch::default()
        };
        match &found.cgroup {
            // Made since the programs were attached: the kernel knows it.
            Some(cgroup) if kernel.run_of_cgroup(cgroup.id.0).is_some() => {}
            Some(cgroup) => {
                let path = cgroup.path.as_bytes().to_vec();
                let watch = Watch { cgroup_id: cgroup.id.0, path: path.clone(), ..own };
                if let Some(run) = kernel.watch(&watch)? {
                    entered.insert(path, run);
                }
            }
            // Whatever this program itself runs in is outside, also where the first process has yet another root.
            None if mount_ns == own_mount_ns => {}
            None => {
                if let Some(run) = kernel.watch(&own)? {
                    for process in &found.processes {
                        kernel.enter_process(process.pid, run)?;
                    }
                }
            }
        }
    }
    for cgroup in &walked.cgroups {
        if kernel.run_of_cgroup(cgroup.id.0).is_some() {
            continue;
        }
        let above = (1..cgroup.path.len())
            .rev()
            .filter(|&end| cgroup.path[end] == b'/')
            .find_map(|end| entered.get(&cgroup.path[..end]))
            .copied();
        if let Some(run) = above {
            kernel.enter_cgroup(cgroup.id.0, run)?;
        } else if let Kind::Container(_) = classify(&cgroup.path) {
            // It is empty, so its whole life lies before it.
            let watch = Watch { cgroup_id: cgroup.id.0, path: cgroup.path.clone(), ..Watch::default() };
            if let Some(run) = kernel.watch(&watch)? {
                entered.insert(cgroup.path.clone(), run);
            }
        }
    }
    Ok(())
}

/// Watches one cgroup that is there already.
pub(crate) fn enter_cgroup(
    kernel: &Kernel,
    proc: &Proc,
    hierarchy: &Hierarchy,
    cgroup_id: u64,
    path: &[u8],
) -> Result<Option<RunId>, AdoptError> {
    let pids = hierarchy
        .directory(path)
        .and_then(|directory| std::fs::read_to_string(directory.join("cgroup.procs")).ok())
        .map(|list| list.lines().filter_map(|line| line.trim().parse().ok()).collect::<Vec<u32>>())
        .unwrap_or_default();
    let oldest = |&pid: &u32| proc.stat(pid).map_or(u64::MAX, |stat| stat.start_ns());
    let init_pid = pids.iter().copied().min_by_key(oldest);
    let mount_ns = init_pid.and_then(|pid| proc.namespace(pid, Namespace::Mount).ok()).unwrap_or_default();
    let watch = Watch {
        named: true,
        cgroup_id,
        path: path.to_vec(),
        // An empty one has its whole life before it.
        attached: !pids.is_empty(),
        init_pid: init_pid.unwrap_or_default(),
        mount_ns: if mount_ns == outside_mount_namespace(proc) { 0 } else { mount_ns },
        user_ns: init_pid.and_then(|pid| proc.namespace(pid, Namespace::User).ok()).unwrap_or_default(),
    };
    Ok(kernel.watch(&watch)?)
}

/// The mount namespace outside of every container; 0 if nobody may read it.
fn outside_mount_namespace(proc: &Proc) -> u32 {
    proc.outside().map(|outside| outside.mount_namespace).unwrap_or_default()
}

/// What `/proc` knows of a process and its program; none if it is gone or another one has its pid now.
pub(crate) fn describe(proc: &Proc, image: ExecId, phase: Phase) -> Option<Adopted> {
    let pid = image.process.pid;
    let stat = proc.stat(pid).ok()?;
    // `/proc` has clock ticks only: the kernel's own time lies within the tick.
    let tick_ns = 1_000_000_000 / TICKS_PER_SECOND;
    if image.process.start_ns.abs_diff(stat.start_ns()) > tick_ns {
        return None;
    }
    let status = proc.status(pid).ok()?;
    let namespaces = proc.namespaces(pid).unwrap_or_default();
    let command = proc.cmdline(pid).unwrap_or_default();
    let executable = proc.exe(pid).ok().flatten().unwrap_or_default();
    let argv: Vec<Text> = command.args.into_iter().map(Text::new).collect();
    // All of it is of one program only if that was there whole before and after.
    let is_of_one = stat.image.is_some() && proc.stat(pid).is_ok_and(|after| after.image == stat.image);
    let program = (is_of_one && !executable.is_empty()).then(|| event::Exec {
        executable: Text::new(executable),
        argument: argv.first().cloned().unwrap_or_default(),
        interpreter: Text::default(),
        cwd: Text::new(proc.cwd(pid).unwrap_or_default()),
        argv,
        argv_truncated: command.is_truncated,
        path_truncated: false,
        parent: event::ProcessId { pid: status.ppid, start_ns: 0 },
        pid_inside: status.pid_inside(),
        uid: status.uid[0],
        gid: status.gid[0],
        uid_inside: None,
        gid_inside: None,
        user_namespace: namespaces.user,
        pid_namespace: namespaces.pid,
        mount_namespace: namespaces.mount,
    });
    Some(Adopted { image, pid_inside: Some(status.pid_inside()), parent: None, phase, threads: 0, program })
}
