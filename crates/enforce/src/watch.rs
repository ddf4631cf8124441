//! Containers that come under a policy, or are to when they come.

use std::time::Duration;

use containers::list::Running;

use crate::store::boot_ns;
use crate::target::cgroup_names;
use crate::{EnforceError, Enforcer, files};

/// No runtime takes as long to make a container.
const MAKING: Duration = Duration::from_secs(20);

impl Enforcer {
    /// Whether what came with the image can be told from what was written since.
    pub(crate) fn must_be_overlay(&self, container: &Running) -> Result<(), EnforceError> {
        let mounts = self.proc.mountinfo(container.init.pid)?;
        match containers::proc::root_mount(&mounts) {
            Some(root) if root.fs_type == b"overlay" => Ok(()),
            _ => Err(EnforceError::NoOverlay { id: container.id.clone() }),
        }
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
}
