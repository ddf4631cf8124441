//! cgroups that a test makes itself, in every hierarchy that the machine has, so that it need not know which of them
//! tells containers apart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::wait_until;

/// The roots of all mounted hierarchies that the tests may use, and which of them is version 2.
pub fn hierarchies() -> Result<Vec<(PathBuf, bool)>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    let own = std::fs::read_to_string("/proc/self/cgroup").context("read /proc/self/cgroup")?;
    Ok(roots(&mounts, &own))
}

/// A version 1 hierarchy in which we are below the root holds a limit that somebody set for us: it is left alone.
fn roots(mountinfo: &str, own: &str) -> Vec<(PathBuf, bool)> {
    let limited: Vec<&str> = own
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .filter(|(controllers, path)| !controllers.is_empty() && *path != "/")
        .flat_map(|(controllers, _)| controllers.split(','))
        .collect();
    let mut roots = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let version2 = match after.split(' ').next() {
            Some("cgroup2") => true,
            Some("cgroup") => false,
            _ => continue,
        };
        let controllers = after.rsplit(' ').next().unwrap_or_default();
        if !version2 && controllers.split(',').any(|controller| limited.contains(&controller)) {
            continue;
        }
        if let Some(place) = before.split(' ').nth(4) {
            roots.push((PathBuf::from(place), version2));
        }
    }
    roots
}

/// The root of the version 2 hierarchy.
pub fn version2_root() -> Result<Option<PathBuf>> {
    Ok(hierarchies()?.into_iter().find(|(_, version2)| *version2).map(|(root, _)| root))
}

/// A cgroup of the same path in every hierarchy; dropped, it is removed (what runs in it must have ended).
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes `/NAME` in every hierarchy.
    pub fn create(name: &str) -> Result<Cgroup> {
        let mut cgroup = Cgroup { path: format!("/{name}"), folders: Vec::new() };
        for (root, _) in hierarchies()? {
            let folder = root.join(name);
            std::fs::create_dir(&folder).with_context(|| format!("make cgroup {}", folder.display()))?;
            cgroup.folders.push(folder.clone());
            inherit_cpuset(&folder)?;
        }
        Ok(cgroup)
    }

    /// The path from the root of each hierarchy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its folder in the version 2 hierarchy.
    pub fn version2_folder(&self) -> Result<Option<PathBuf>> {
        Ok(version2_root()?.map(|root| root.join(self.path.trim_start_matches('/'))))
    }

    /// All files to which a process that enters writes.
    pub fn procs_files(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Moves a process with all its threads into it.
    pub fn take(&self, pid: u32) -> Result<()> {
        move_to(&self.folders, pid)
    }

    /// Waits until nothing runs in it.
    pub fn wait_until_empty(&self, limit: Duration) -> Result<()> {
        wait_until("the cgroup is empty", limit, || {
            Ok(self.procs_files().iter().all(|file| std::fs::read_to_string(file).is_ok_and(|text| text.is_empty())))
        })
    }

    /// Removes it; that must succeed.
    pub fn remove(mut self) -> Result<()> {
        for folder in self.folders.drain(..) {
            remove(&folder)?;
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = remove(folder);
        }
    }
}

/// Moves a process out, to the root of each hierarchy.
pub fn take_out(pid: u32) -> Result<()> {
    let roots: Vec<PathBuf> = hierarchies()?.into_iter().map(|(root, _)| root).collect();
    move_to(&roots, pid)
}

fn move_to(folders: &[PathBuf], pid: u32) -> Result<()> {
    for folder in folders {
        let file = folder.join("cgroup.procs");
        std::fs::write(&file, pid.to_string()).with_context(|| format!("move {pid} to {}", file.display()))?;
    }
    Ok(())
}

/// A new cpuset cgroup of version 1 takes no process before it has CPUs and memory nodes.
fn inherit_cpuset(folder: &Path) -> Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let own = folder.join(name);
        if !own.exists() || !std::fs::read_to_string(&own)?.trim().is_empty() {
            continue;
        }
        if let Some(above) = folder.parent().map(|parent| parent.join(name)).filter(|above| above.exists()) {
            std::fs::write(&own, std::fs::read(above)?)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    // The last task's exit reaches the cgroup a little after its parent was told.
    wait_until(&format!("cgroup {} can be removed", folder.display()), Duration::from_secs(5), || {
        Ok(!folder.exists() || std::fs::remove_dir(folder).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchies_of_a_hybrid_machine_are_found_except_those_that_limit_us() {
        let mountinfo = "\
30 23 0:26 / /sys/fs/cgroup rw,relatime shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
32 30 0:28 / /sys/fs/cgroup/unified rw,relatime shared:11 - cgroup2 cgroup2 rw
33 30 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";
        let own = "4:memory:/limited\n3:pids:/\n0::/user.slice\n";
        let expected = [("/sys/fs/cgroup/pids".into(), false), ("/sys/fs/cgroup/unified".into(), true)];

        assert_eq!(roots(mountinfo, own), expected);
    }
}
