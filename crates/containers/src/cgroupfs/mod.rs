//! The cgroup hierarchies of this host, the cgroups in them, and cgroups of our own.
//!
//! A container is known to the kernel by a cgroup id, and ids are unique only within their hierarchy. So one hierarchy
//! is chosen as the *identity hierarchy*: the one that has the `pids` controller, else `memory`, else `devices`, be it v1
//! or v2; v2 also if only there are containers, or if there is no other.
//!
//! A cgroup's id is the inode number of its directory: on 64-bit machines kernfs gives out one 64-bit number for both
//! (`kernfs_ino` in `include/linux/kernfs.h`, since 5.5), in v1 and in v2.

mod layout;
mod sandbox;
mod usage;
mod walk;

pub use layout::{Hierarchy, Layout, LayoutError, Mode, Version};
pub use sandbox::{Sandbox, SandboxError};
pub use usage::{UsageError, usage};
pub use walk::{Cgroup, CgroupId, MAX_CGROUPS, Walked, cgroup_id, walk};
