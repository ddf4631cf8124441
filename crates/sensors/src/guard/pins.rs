//! Where guards are pinned: a folder of the BPF file system, which is gone with the machine's next start.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use libbpf_rs::{MapHandle, libbpf_sys};
use rustix::fs::FlockOperation;

use super::maps;
use crate::guard_bpf::types::guard_facts;

/// Why something was pinned or removed in vain.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// There is no BPF file system, and none can be mounted.
    #[error("there is no BPF file system at {path}, and none can be mounted there")]
    NoFileSystem {
        /// Where it should be.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A folder could not be made.
    #[error("the folder {path} cannot be made")]
    Folder {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Its folder could not be locked.
    #[error("the folder {path} cannot be locked, as it is while the guards are changed")]
    Lock {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something could not be pinned.
    #[error("cannot pin at {path}")]
    Pin {
        /// Where.
        path: PathBuf,
        /// What it was.
        source: libbpf_rs::Error,
    },
    /// What is pinned could not be read.
    #[error("what is pinned at {path} cannot be read")]
    Read {
        /// Where.
        path: PathBuf,
        /// What it was.
        source: libbpf_rs::Error,
    },
    /// Something could not be taken away.
    #[error("{path} cannot be removed")]
    Remove {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl PinError {
    pub(super) fn pin(path: PathBuf, source: libbpf_rs::Error) -> PinError {
        PinError::Pin { path, source }
    }
}

/// Where guards are pinned.
#[derive(Clone, Debug)]
pub struct Pins {
    file_system: PathBuf,
    folder: PathBuf,
}

/// In the order in which they are taken away: first nothing is called any more.
const PARTS: [&str; 3] = ["links", "programs", "maps"];

impl Pins {
    /// The usual place.
    pub const FILE_SYSTEM: &str = "/sys/fs/bpf";
    /// The folder in it. Its name has the version of what lies in it: another version of ringfence leaves it alone.
    pub const FOLDER: &str = "ringfence/guards-4";

    /// Below this BPF file system, which is mounted when it is needed.
    pub fn at(file_system: &Path) -> Pins {
        Pins { file_system: file_system.to_owned(), folder: file_system.join(Pins::FOLDER) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.folder.join("maps").join(name)
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("programs").join(name)
    }

    pub(super) fn link(&self, name: &str) -> PathBuf {
        self.folder.join("links").join(name)
    }

    /// While this is held, no other process changes what the maps have: each value is read, changed and written, and what another
    /// has written in between would be lost. None where they are taken away already.
    pub(super) fn alone(&self) -> Result<Option<File>, PinError> {
        let folder = match File::open(&self.folder) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PinError::Lock { path: self.folder.clone(), source }),
        };
        loop {
            match rustix::fs::flock(&folder, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Some(folder)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(PinError::Lock { path: self.folder.clone(), source: error.into() }),
            }
        }
    }

    /// Makes the folders.
    pub(super) fn make(&self) -> Result<(), PinError> {
        self.mount()?;
        for part in PARTS {
            let path = self.folder.join(part);
            fs::create_dir_all(&path).map_err(|source| PinError::Folder { path, source })?;
        }
        Ok(())
    }

    fn mount(&self) -> Result<(), PinError> {
        let path = &self.file_system;
        let failed = |source: io::Error| PinError::NoFileSystem { path: path.clone(), source };
        let known = rustix::fs::statfs(path).map_err(|error| failed(error.into()))?;
        if known.f_type as libc::c_ulong == libc::BPF_FS_MAGIC as libc::c_ulong {
            return Ok(());
        }
        rustix::mount::mount("bpf", path, "bpf", rustix::mount::MountFlags::empty(), None)
            .map_err(|error| failed(error.into()))
    }

    /// What the guards that are pinned know; none if there are none. Those that were never finished are all zero.
    pub(super) fn facts(&self) -> Result<Option<guard_facts>, PinError> {
        match fs::metadata(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PinError::Folder { path: self.folder.clone(), source }),
            Ok(_) => {}
        }
        let path = self.map("guard_facts");
        if !path.exists() {
            return Ok(Some(guard_facts::default()));
        }
        let map = match MapHandle::from_pinned_path(&path) {
            // Somebody has just taken them away.
            Err(_) if !path.exists() => return Ok(Some(guard_facts::default())),
            map => map.map_err(|source| PinError::Read { path: path.clone(), source })?,
        };
        maps::read(&map, "guard_facts", 0)
            .map(Some)
            .map_err(|error| PinError::Read { path, source: libbpf_rs::Error::from(io::Error::other(error)) })
    }

    /// Takes these programs away, so far as they are there.
    pub(super) fn forget(&self, programs: &[&str]) -> Result<(), PinError> {
        for path in programs.iter().map(|name| self.link(name)).chain(programs.iter().map(|name| self.program(name))) {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(PinError::Remove { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes all of it away.
    pub(super) fn remove(&self) -> Result<(), PinError> {
        for part in PARTS {
            let folder = self.folder.join(part);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(PinError::Remove { path: folder, source }),
            };
            for entry in entries.flatten() {
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| PinError::Remove { path, source })?;
            }
            fs::remove_dir(&folder).map_err(|source| PinError::Remove { path: folder, source })?;
        }
        if let Err(source) = fs::remove_dir(&self.folder)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(PinError::Remove { path: self.folder.clone(), source });
        }
        // Another version of ringfence may have its own there.
        if let Some(parent) = self.folder.parent() {
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }

    /// How often the kernel skipped a program that is pinned.
    pub(super) fn skipped(&self, name: &str) -> Option<u64> {
        let path = CString::new(self.program(name).as_os_str().as_bytes()).ok()?;
        // SAFETY: a text that ends in a zero byte; the descriptor that comes back is ours alone.
        let program = unsafe {
            let fd = libbpf_sys::bpf_obj_get(path.as_ptr());
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
        };
        let mut info = libbpf_sys::bpf_prog_info::default();
        let mut bytes = size_of_val(&info) as u32;
        // SAFETY: the descriptor is open, and the kernel writes at most `bytes` bytes to `info`.
        let failed = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut bytes) };
        (failed == 0).then_some(info.recursion_misses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_changes_a_value_waits_until_nobody_else_does() {
        let file_system = std::env::temp_dir().join(format!("ringfence-pins-{}", std::process::id()));
        let pins = Pins::at(&file_system);
        assert!(pins.alone().expect("it is asked").is_none(), "there is nothing to lock");
        fs::create_dir_all(pins.folder()).expect("the folder can be made");
        let first = pins.alone().expect("it can be locked");
        let (done, is_done) = mpsc::channel();
        let other = pins.clone();
        let waits = std::thread::spawn(move || done.send(other.alone().is_ok()));

        assert!(is_done.recv_timeout(Duration::from_millis(200)).is_err(), "both have it");
        drop(first);

        assert_eq!(is_done.recv(), Ok(true));
        waits.join().expect("it ends").expect("somebody listens");
        fs::remove_dir_all(&file_system).expect("the folder can be removed");
    }
}
