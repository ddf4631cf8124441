//! Where the host has what a container sees at a mount.

use std::path::Path;

use containers::proc::{Mount, Proc};
use event::{Device, MountUsed, Text};

/// Where this program, which runs outside, sees the directory that is mounted; none if it sees no such file system.
pub(crate) fn host_path(proc: &Proc, used: &MountUsed) -> Option<Text> {
    let mounts = proc.mountinfo(std::process::id()).ok()?;
    find(&mounts, used.device, used.root.as_bytes()).map(Text::new)
}

fn find(mounts: &[Mount], device: Device, root: &[u8]) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    fn path(bytes: &[u8]) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(bytes))
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
