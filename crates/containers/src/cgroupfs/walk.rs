//! The cgroups of a hierarchy with their ids and paths.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Hierarchy;

/// A cgroup's id, unique within its hierarchy until the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CgroupId(pub u64);

/// One cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its id.
    pub id: CgroupId,
    /// Its path below the root of the hierarchy.
    pub path: Vec<u8>,
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// The cgroups, parents before their children; the first is the one that is mounted.
    pub cgroups: Vec<Cgroup>,
    /// Whether there were more than [`MAX_CGROUPS`] and the rest is missing.
    pub is_truncated: bool,
}

/// The most that one walk returns.
pub const MAX_CGROUPS: usize = 200_000;

/// The id of the cgroup with this directory.
pub fn cgroup_id(directory: &Path) -> io::Result<CgroupId> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    Ok(CgroupId(metadata.ino()))
}

/// Every cgroup below the hierarchy's mount. Those that are removed meanwhile are left out.
pub fn walk(hierarchy: &Hierarchy) -> io::Result<Walked> {
    let root = if hierarchy.mounted == b"/" { Vec::new() } else { hierarchy.mounted.clone() };
    let shown = if root.is_empty() { b"/".to_vec() } else { root.clone() };
    let mut walked = Walked::default();
    walked.cgroups.push(Cgroup { id: cgroup_id(&hierarchy.mount_point)?, path: shown });
    let mut pending = vec![(hierarchy.mount_point.clone(), root)];
    while let Some((directory, path)) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) && directory != hierarchy.mount_point => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if is_gone(&error) => break,
                Err(error) => return Err(error),
            };
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let Ok(id) = cgroup_id(&entry.path()) else { continue };
            if walked.cgroups.len() >= MAX_CGROUPS {
                walked.is_truncated = true;
                return Ok(walked);
            }
            let path = child(&path, &entry.file_name());
            walked.cgroups.push(Cgroup { id, path: path.clone() });
            pending.push((entry.path(), path));
        }
    }
    Ok(walked)
}

fn child(path: &[u8], name: &OsStr) -> Vec<u8> {
    let mut joined = path.to_vec();
    joined.push(b'/');
    joined.extend_from_slice(name.as_bytes());
    joined
}

/// A directory that was removed under the reader.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{cgroup_id, walk};
    use crate::cgroupfs::{Hierarchy, Version};

    fn mounted_at(mount_point: &Path, mounted: &str) -> Hierarchy {
        Hierarchy {
            version: Version::V2,
            number: 0,
            mount_point: mount_point.into(),
            mounted: mounted.into(),
            controllers: vec![],
            name: None,
        }
    }

    #[test]
    fn every_directory_is_found_with_its_inode_and_path() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(tree.path().join("docker/ab")).expect("directories");
        std::fs::write(tree.path().join("docker/cgroup.procs"), "").expect("a file");

        let walked = walk(&mounted_at(tree.path(), "/")).expect("it can be read");

        let found: BTreeMap<_, _> = walked.cgroups.iter().map(|cgroup| (cgroup.path.as_slice(), cgroup.id)).collect();
        let id = |path: &str| cgroup_id(&tree.path().join(path)).expect("it is there");
        let expected = [(&b"/"[..], id("")), (b"/docker", id("docker")), (b"/docker/ab", id("docker/ab"))];
        assert_eq!(found, BTreeMap::from(expected));
        assert!(!walked.is_truncated);
    }

    #[test]
    fn below_the_mount_of_a_part_paths_begin_with_it() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(tree.path().join("init")).expect("a directory");

        let walked = walk(&mounted_at(tree.path(), "/docker/ab")).expect("it can be read");

        let paths: Vec<_> = walked.cgroups.iter().map(|cgroup| cgroup.path.as_slice()).collect();
        assert_eq!(paths, [&b"/docker/ab"[..], b"/docker/ab/init"]);
    }

    #[test]
    fn a_file_has_no_cgroup_id() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");

        assert!(cgroup_id(file.path()).is_err());
    }

    #[test]
    fn links_are_not_followed() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        std::os::unix::fs::symlink("/", tree.path().join("all")).expect("a link");

        assert_eq!(walk(&mounted_at(tree.path(), "/")).expect("it can be read").cgroups.len(), 1);
    }
}
