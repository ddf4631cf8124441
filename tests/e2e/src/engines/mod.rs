//! Container engines of the test's own: with their own sockets and folders, so that an engine that is already there is
//! never touched, and ended with everything that they started.

mod containerd;
mod docker;
mod podman;

pub use containerd::Containerd;
pub use docker::Docker;
pub use podman::Podman;

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::command::{command, must, poll};
use crate::rootfs::Rootfs;

/// A container that is to be run.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The name, which ringfence must show.
    pub name: &'a str,
    /// The image, as [`Engine::import`] named it.
    pub image: &'a str,
    /// Its command line.
    pub args: &'a [String],
    /// Folders of the host and where they are mounted.
    pub mounts: &'a [(&'a Path, &'a str)],
    /// More arguments for the engine's `run`.
    pub more: &'a [&'a str],
}

/// A container that was started.
#[derive(Clone, Debug)]
pub struct Started {
    /// The full id that the engine gave it.
    pub id: String,
    /// Its init's pid, as the host numbers it.
    pub pid: u32,
}

/// What all engines can do.
pub trait Engine {
    /// Its name, as in reports.
    fn name(&self) -> &'static str;

    /// Makes an image from a root file system.
    fn import(&self, rootfs: &Rootfs, image: &str) -> Result<()>;

    /// Starts a container in the background, in the network of the host.
    fn run(&self, wish: &Wish<'_>) -> Result<Started>;

    /// Removes it, however it is.
    fn remove(&self, name: &str) -> Result<()>;
}

/// Waits for the processes that have this folder among their arguments, but not for ever.
fn wait_for_who_names(folder: &Path) {
    let folder = folder.as_os_str().as_bytes();
    let names = |entry: std::io::Result<std::fs::DirEntry>| {
        let arguments = entry.and_then(|entry| std::fs::read(entry.path().join("cmdline"))).unwrap_or_default();
        arguments.windows(folder.len()).any(|part| part == folder)
    };
    let _ = poll(Duration::from_secs(10), || Ok(!std::fs::read_dir("/proc")?.any(names)));
}

/// Unmounts what an engine left mounted in its folder, the innermost first.
fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().rev().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(folder)) {
        let _ = must(&mut command("umount", ["-l", place]));
    }
}
