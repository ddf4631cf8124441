//! Where the host has what a container sees at a mount.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use containers::proc::{Mount, Proc};
use event::{Device, MountUsed, Text};

/// The mount that this process uses, with where this program, which runs outside, sees the directory that is mounted, and the
/// layers that it is made of; without what is not to be seen.
pub(crate) fn seen_from_outside(proc: &Proc, pid: u32, used: &MountUsed) -> MountUsed {
    let ours = proc.mountinfo(std::process::id()).unwrap_or_default();
    let is_it = |mount: &&Mount| mount.device == (used.device.major, used.device.minor);
    let lower = |mounts: &[Mount]| mounts.iter().find(is_it).map(Mount::lower_directories);
    let mut layers = lower(&ours);
    // That of a rootless engine is in its own namespace only.
    if layers.is_none() && used.fs_type.as_bytes() == b"overlay" {
        layers = lower(&proc.mountinfo(pid).unwrap_or_default());
    }
    MountUsed {
        host_path: find(&ours, used.device, used.root.as_bytes()).map(Text::new),
        layers: of_image(&layers.unwrap_or_default()),
        ..used.clone()
    }
}

/// The layers of an image among the directories that an overlay shows and does not write to; none if they cannot be found.
pub(crate) fn of_image<T: AsRef<[u8]>>(lower: &[T]) -> Vec<Text> {
    // A relative one starts from a directory that is not known.
    if !lower.iter().all(|layer| layer.as_ref().starts_with(b"/")) {
        return Vec::new();
    }
    let layers = lower.iter().map(|layer| without_links(layer.as_ref())).filter(|layer| !is_made_by_docker(layer));
    layers.map(|layer| Text::new(layer.as_os_str().as_bytes())).collect()
}

/// Some engines pass short links to the directories, as there is little room in the options of a mount.
fn without_links(layer: &[u8]) -> PathBuf {
    let layer = Path::new(OsStr::from_bytes(layer));
    std::fs::canonicalize(layer).unwrap_or_else(|_| layer.to_owned())
}

/// Docker's driver `overlay2` puts a layer of its own above those of the image, with the files that it mounts others over; it is
/// removed with the container.
fn is_made_by_docker(layer: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    name(layer) == b"diff" && layer.parent().is_some_and(|above| name(above).ends_with(b"-init"))
}

fn find(mounts: &[Mount], device: Device, root: &[u8]) -> Option<Vec<u8>> {
    fn path(bytes: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(bytes))
    }
    let shows = |mount: &&Mount| mount.device == (device.major, device.minor);
    let below =
        |mount: &Mount| path(root).strip_prefix(path(&mount.root)).ok().map(|rest| path(&mount.mount_point).join(rest));
    // The mount that has most of the file system is where people look for it.
    let best = mounts.iter().filter(shows).filter_map(|mount| Some((mount.root.len(), below(mount)?)));
    let (_, found) = best.min_by_key(|(length, _)| *length)?;
    // A join with nothing ends with a slash.
    let found = found.as_os_str().as_bytes();
    Some(if found.len() > 1 { found.strip_suffix(b"/").unwrap_or(found).to_vec() } else { found.to_vec() })
}

#[cfg(test)]
mod tests {
    use containers::proc::parse_mountinfo;

    use super::*;

    #[test]
    fn the_layer_that_docker_makes_is_none_of_the_image() {
        let id = "3f2a";
        assert!(is_made_by_docker(Path::new(&format!("/var/lib/docker/overlay2/{id}-init/diff"))));
        assert!(!is_made_by_docker(Path::new(&format!("/var/lib/docker/overlay2/{id}/diff"))));
        assert!(!is_made_by_docker(Path::new("/srv/my-init/files")));
    }

    #[test]
    fn a_bind_mount_is_found_below_the_mount_of_its_file_system() {
        let lines = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n\
            30 22 254:16 / /srv rw - ext4 /dev/vdb rw\n\
            31 22 254:16 /deep/er /mnt rw - ext4 /dev/vdb rw\n\
            32 22 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n";
        let mounts = parse_mountinfo(lines).expect("mounts");
        let found = |major, minor, root: &str| {
            find(&mounts, Device { major, minor }, root.as_bytes()).map(|path| String::from_utf8(path).expect("UTF-8"))
        };

        assert_eq!(found(254, 0, "/etc/hosts").as_deref(), Some("/etc/hosts"));
        assert_eq!(found(254, 16, "/deep/er/still").as_deref(), Some("/srv/deep/er/still"));
        assert_eq!(found(254, 16, "/").as_deref(), Some("/srv"));
        assert_eq!(found(0, 40, "/").as_deref(), Some("/var/lib/docker/overlay2/x/merged"));
        assert_eq!(found(0, 99, "/"), None);
    }
}
