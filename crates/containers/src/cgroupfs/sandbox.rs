//! A cgroup of our own, for a command that is run under observation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::walk::is_gone;
use super::{CgroupId, Hierarchy, Layout, Version, cgroup_id};
use crate::path::is_valid_id;
use crate::proc::CgroupLine;

/// Why our own cgroup could not be made, entered or removed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The name cannot be a cgroup's.
    #[error("{id:?} cannot name a sandbox: use letters, digits and any of `_.-`")]
    Name {
        /// The name.
        id: String,
    },
    /// There is one of this name.
    #[error("the cgroup {path} exists already: choose another name, or remove it")]
    Exists {
        /// Its directory.
        path: PathBuf,
    },
    /// The kernel refused to make it.
    #[error("cannot make the cgroup {path}: this needs root, or a cgroup tree that was delegated to this user")]
    Make {
        /// Its directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused to move the process in.
    #[error("cannot move process {pid} into the cgroup {path}")]
    Move {
        /// The process.
        pid: u32,
        /// The cgroup's directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read the cgroup {path}")]
    Read {
        /// The cgroup's directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It has processes still.
    #[error("the cgroup {path} still has processes and stays")]
    Busy {
        /// Its directory.
        path: PathBuf,
    },
    /// The kernel refused to remove it.
    #[error("cannot remove the cgroup {path}")]
    Remove {
        /// Its directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// A cgroup `ringfence/<id>` in the identity hierarchy. It stays until [`Sandbox::remove`]; dropping it after an error
/// tries that once, without waiting.
#[derive(Debug)]
pub struct Sandbox {
    directory: PathBuf,
    path: Vec<u8>,
    id: CgroupId,
    /// Cgroups of the same path in other hierarchies.
    companions: Vec<PathBuf>,
    is_removed: bool,
}

impl Sandbox {
    /// The cgroup that holds all sandboxes.
    pub const PARENT: &'static str = "ringfence";

    /// Makes it, empty.
    pub fn create(hierarchy: &Hierarchy, id: &str) -> Result<Sandbox, SandboxError> {
        if !is_valid_id(id) || id.starts_with("cgroup.") {
            return Err(SandboxError::Name { id: id.to_owned() });
        }
        let parent = hierarchy.mount_point.join(Sandbox::PARENT);
        let directory = parent.join(id);
        make(&parent).or_else(|error| match error {
            SandboxError::Exists { .. } => Ok(()),
            error => Err(error),
        })?;
        match make(&directory) {
            // Another ringfence removed the parent, which was empty, in between.
            Err(SandboxError::Make { source, .. }) if is_gone(&source) => {
                make(&parent)?;
                make(&directory)?;
            }
            other => other?,
        }
        let number = cgroup_id(&directory).map_err(|source| SandboxError::Read { path: directory.clone(), source })?;
        let above = if hierarchy.mounted == b"/" { &b""[..] } else { &hierarchy.mounted };
        let path = [above, format!("/{}/{id}", Sandbox::PARENT).as_bytes()].concat();
        Ok(Sandbox { directory, path, id: number, companions: Vec::new(), is_removed: false })
    }

    /// Has the kernel keep account of what will be in it, as far as that limits nothing and frees from no limit: with v2
    /// the controllers that its parent has; with v1 a cgroup in each hierarchy in which the caller, whose cgroups these
    /// are, is in the outermost one. What cannot be had is done without.
    pub fn account(&mut self, layout: &Layout, own: &[CgroupLine]) {
        if layout.identity().version == Version::V2 {
            let Some(parent) = self.directory.parent() else { return };
            let offered = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
            for controller in offered.split_ascii_whitespace().filter(|name| ["io", "memory", "pids"].contains(name)) {
                // Each by itself: one that is refused would take the others with it.
                let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
            }
            return;
        }
        let Some(name) = self.directory.file_name() else { return };
        let keeps_account = |hierarchy: &&Hierarchy| {
            let has_one = ["blkio", "cpuacct", "memory"].iter().any(|controller| hierarchy.has(controller));
            let is_outermost = hierarchy.path_of(own) == Some(hierarchy.mounted.as_slice());
            hierarchy.version == Version::V1 && has_one && is_outermost
        };
        for hierarchy in layout.hierarchies().iter().filter(keeps_account) {
            let parent = hierarchy.mount_point.join(Sandbox::PARENT);
            let _ = fs::create_dir(&parent);
            let directory = parent.join(name);
            if directory != self.directory && fs::create_dir(&directory).is_ok() {
                self.companions.push(directory);
            }
        }
    }

    /// The cgroup's id.
    pub fn id(&self) -> CgroupId {
        self.id
    }

    /// The cgroup's path below the root of its hierarchy.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The cgroup's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Moves a process, with all its threads, in; 0 is the calling process.
    pub fn add(&self, pid: u32) -> Result<(), SandboxError> {
        fs::write(self.directory.join("cgroup.procs"), pid.to_string()).map_err(|source| SandboxError::Move {
            pid,
            path: self.directory.clone(),
            source,
        })?;
        for companion in &self.companions {
            // The account is not kept, then.
            let _ = fs::write(companion.join("cgroup.procs"), pid.to_string());
        }
        Ok(())
    }

    /// The processes that are in it, those in cgroups below left out.
    pub fn processes(&self) -> Result<Vec<u32>, SandboxError> {
        let text = fs::read_to_string(self.directory.join("cgroup.procs"))
            .map_err(|source| SandboxError::Read { path: self.directory.clone(), source })?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes it with all that its processes made below it, waiting up to `patience` for the last of them to end.
    pub fn remove(mut self, patience: Duration) -> Result<(), SandboxError> {
        self.is_removed = true;
        let end = Instant::now() + patience;
        loop {
            match remove_tree(&self.directory) {
                Ok(()) => break,
                Err(source) if source.kind() == io::ErrorKind::ResourceBusy => {
                    if Instant::now() >= end {
                        return Err(SandboxError::Busy { path: self.directory.clone() });
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                Err(source) => return Err(SandboxError::Remove { path: self.directory.clone(), source }),
            }
        }
        remove_parent(&self.directory);
        self.remove_companions();
        Ok(())
    }

    /// They are as empty as the cgroup itself was.
    fn remove_companions(&self) {
        for companion in &self.companions {
            let _ = remove_tree(companion);
            remove_parent(companion);
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.is_removed && remove_tree(&self.directory).is_ok() {
            remove_parent(&self.directory);
            self.remove_companions();
        }
    }
}

fn make(directory: &Path) -> Result<(), SandboxError> {
    fs::create_dir(directory).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SandboxError::Exists { path: directory.into() },
        _ => SandboxError::Make { path: directory.into(), source },
    })
}

/// Removes a cgroup and those below it, the lowest first; one that is gone already is well.
fn remove_tree(directory: &Path) -> io::Result<()> {
    let mut order = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(above) = order.get(next).cloned() {
        next += 1;
        match fs::read_dir(&above) {
            Ok(entries) => {
                let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
                order.extend(below.map(|entry| entry.path()));
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    for directory in order.iter().rev() {
        match fs::remove_dir(directory) {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The parent goes with its last sandbox; while there are others the kernel keeps it.
fn remove_parent(directory: &Path) {
    if let Some(parent) = directory.parent() {
        let _ = fs::remove_dir(parent);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Sandbox, SandboxError};
    use crate::cgroupfs::{Hierarchy, Layout, Version, cgroup_id};
    use crate::path::{Engine, Kind, classify};
    use crate::proc::{Proc, parse_cgroup};

    fn in_tree(mount_point: &Path) -> Hierarchy {
        let controllers = vec![];
        let (mount_point, mounted) = (mount_point.to_path_buf(), b"/".to_vec());
        Hierarchy { version: Version::V2, number: 0, mount_point, mounted, controllers, name: None }
    }

    #[test]
    fn two_sandboxes_share_their_parent_and_the_last_takes_it_along() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let hierarchy = in_tree(tree.path());

        let first = Sandbox::create(&hierarchy, "one").expect("it is new");
        let second = Sandbox::create(&hierarchy, "two").expect("it is new");
        assert!(matches!(Sandbox::create(&hierarchy, "one"), Err(SandboxError::Exists { .. })));
        std::fs::create_dir(first.directory().join("below")).expect("a cgroup of the workload");

        first.remove(Duration::ZERO).expect("it is empty");
        assert!(tree.path().join("ringfence/two").is_dir());
        second.remove(Duration::ZERO).expect("it is empty");
        assert!(!tree.path().join("ringfence").exists());
    }

    #[test]
    fn an_account_is_kept_only_where_no_limit_is_left_behind() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let hierarchy = |number, name: &str| {
            let mount_point = tree.path().join(name);
            std::fs::create_dir(&mount_point).expect("a directory");
            let controllers = vec![name.to_owned()];
            Hierarchy { version: Version::V1, number, controllers, ..in_tree(&mount_point) }
        };
        let all = [(1, "cpu"), (2, "cpuacct"), (4, "memory"), (7, "blkio"), (8, "pids")];
        let layout =
            Layout::of(all.map(|(number, name)| hierarchy(number, name)).into(), |_| true).expect("hierarchies");
        let own = parse_cgroup(b"1:cpu:/\n2:cpuacct:/\n4:memory:/limited\n7:blkio:/\n8:pids:/\n").expect("lines");
        let mut sandbox = Sandbox::create(layout.identity(), "one").expect("it is new");

        sandbox.account(&layout, &own);
        sandbox.add(7).expect("a file");

        let made = |name: &str| tree.path().join(name).join("ringfence/one").is_dir();
        let there: Vec<&str> = all.iter().map(|(_, name)| *name).filter(|name| made(name)).collect();
        assert_eq!(there, ["cpuacct", "blkio", "pids"]);
        for name in there {
            let procs = tree.path().join(name).join("ringfence/one/cgroup.procs");
            assert_eq!(std::fs::read_to_string(&procs).expect("it was written"), "7");
            // Those of a cgroup go with it.
            std::fs::remove_file(procs).expect("it is there");
        }
        sandbox.remove(Duration::ZERO).expect("it is empty");
        assert!(!tree.path().join("cpuacct/ringfence").exists());
    }

    #[test]
    fn a_dropped_sandbox_is_removed() {
        let tree = tempfile::tempdir().expect("a temporary directory");

        drop(Sandbox::create(&in_tree(tree.path()), "one").expect("it is new"));

        assert!(!tree.path().join("ringfence").exists());
    }

    #[test]
    fn its_path_is_known_as_a_sandbox() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let hierarchy = Hierarchy { mounted: b"/docker/ab".to_vec(), ..in_tree(tree.path()) };

        let sandbox = Sandbox::create(&hierarchy, "one").expect("it is new");

        assert_eq!(sandbox.path(), b"/docker/ab/ringfence/one");
        let kind = classify(sandbox.path());
        assert!(matches!(kind, Kind::Container(found) if found.engine == Engine::Ringfence && found.id == "one"));
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        for wrong in ["", "..", "a/b", "cgroup.procs", "a\nb", "é"] {
            let result = Sandbox::create(&in_tree(tree.path()), wrong);
            assert!(matches!(result, Err(SandboxError::Name { .. })), "{wrong:?}");
        }
    }

    #[test]
    #[ignore = "needs root and a writable cgroup hierarchy"]
    fn a_process_moved_in_is_seen_there_and_a_busy_sandbox_stays() {
        let layout = Layout::detect(&Proc::default()).expect("cgroups are mounted");
        let hierarchy = layout.identity();
        let id = format!("test-{}", std::process::id());
        let sandbox = Sandbox::create(hierarchy, &id).expect("root may make it");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");

        sandbox.add(child.id()).expect("it can be moved");

        assert_eq!(sandbox.processes().expect("it can be read"), [child.id()]);
        let lines = Proc::default().cgroup(child.id()).expect("the child runs");
        assert_eq!(hierarchy.path_of(&lines), Some(sandbox.path()));
        assert_eq!(hierarchy.directory(sandbox.path()).as_deref(), Some(sandbox.directory()));
        assert_eq!(sandbox.id(), cgroup_id(sandbox.directory()).expect("it is there"));
        let directory = sandbox.directory().to_owned();
        assert!(matches!(sandbox.remove(Duration::from_millis(20)), Err(SandboxError::Busy { .. })));
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        std::fs::remove_dir(&directory).expect("it is empty now");
        let _ = std::fs::remove_dir(directory.parent().expect("it has a parent"));
    }

    #[test]
    #[ignore = "needs root, tracefs at /sys/kernel/tracing and a writable cgroup hierarchy"]
    fn the_inode_and_number_are_what_the_kernel_calls_id_and_root() {
        let tracing = Path::new("/sys/kernel/tracing/instances").join(format!("ringfence-{}", std::process::id()));
        std::fs::create_dir(&tracing).expect("tracefs is mounted");
        std::fs::write(tracing.join("events/cgroup/cgroup_mkdir/enable"), "1").expect("the event is there");
        let layout = Layout::detect(&Proc::default()).expect("cgroups are mounted");
        let id = format!("trace-{}", std::process::id());

        let made: Vec<_> = layout
            .hierarchies()
            .iter()
            .filter(|hierarchy| !hierarchy.has("cpuset"))
            .map(|hierarchy| (hierarchy.number, Sandbox::create(hierarchy, &id).expect("root may make it")))
            .collect();

        let trace = std::fs::read_to_string(tracing.join("trace")).expect("the trace can be read");
        std::fs::remove_dir(&tracing).expect("the instance is not in use");
        assert!(!made.is_empty());
        for (number, sandbox) in made {
            let line = format!("root={number} id={} level=2 path=/ringfence/{id}", sandbox.id().0);
            assert!(trace.contains(&line), "{line}\n{trace}");
        }
    }
}
