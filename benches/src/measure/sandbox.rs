//! Cgroups that ringfence takes for sandboxes, made by hand where it may look: in the version 2 tree and in that of pids.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::cgroups::hierarchies;
use e2e::command::wait_until;

/// `/ringfence`, which holds them; dropped, it is removed unless somebody else has one in it.
#[derive(Debug)]
pub(crate) struct Sandboxes {
    folders: Vec<PathBuf>,
}

impl Sandboxes {
    /// Makes it where it is not yet.
    pub(crate) fn new() -> Result<Sandboxes> {
        let roots = hierarchies()?.into_iter().filter(|(root, version2)| *version2 || root.ends_with("pids"));
        let folders: Vec<PathBuf> = roots.map(|(root, _)| root.join("ringfence")).collect();
        for folder in &folders {
            std::fs::create_dir_all(folder).with_context(|| format!("make cgroup {}", folder.display()))?;
        }
        Ok(Sandboxes { folders })
    }

    /// Makes `/ringfence/NAME`.
    pub(crate) fn make(&self, name: &str) -> Result<MadeCgroup> {
        let mut made = MadeCgroup { folders: Vec::new() };
        for folder in &self.folders {
            let folder = folder.join(name);
            // Another ringfence removes the parent whenever it is empty.
            std::fs::create_dir_all(&folder).with_context(|| format!("make cgroup {}", folder.display()))?;
            made.folders.push(folder);
        }
        Ok(made)
    }
}

impl Drop for Sandboxes {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// One of them; dropped, it is removed once nothing runs in it.
#[derive(Debug)]
pub(crate) struct MadeCgroup {
    folders: Vec<PathBuf>,
}

impl MadeCgroup {
    /// The files that a process writes to in order to come in.
    pub(crate) fn procs_files(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Moves a process with all its threads into it.
    pub(crate) fn take(&self, pid: u32) -> Result<()> {
        for file in self.procs_files() {
            std::fs::write(&file, pid.to_string()).with_context(|| format!("move {pid} to {}", file.display()))?;
        }
        Ok(())
    }
}

impl Drop for MadeCgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The last task's exit reaches the cgroup a little after its parent was told.
            let _ = wait_until("the cgroup can be removed", Duration::from_secs(5), || {
                Ok(!folder.exists() || std::fs::remove_dir(folder).is_ok())
            });
        }
    }
}
