//! Reading files that a container may be changing at this moment.
//!
//! A path is resolved inside the root of the process that it was seen from, and no link of `/proc` is followed: it leads
//! to nothing that the process could not have opened itself. What is found is looked at before it is opened: only a regular file
//! on a real file system is, so that neither a named pipe makes us wait nor a device notices.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use event::Text;
use rustix::fs::{Mode, OFlags, ResolveFlags, fstatfs, openat2};
use sha2::{Digest as _, Sha256};

use crate::ContentHash;
use crate::evidence::{facts, read_at};
use crate::incident::FileFacts;

/// File systems that are no files on any disk (include/uapi/linux/magic.h, 6.18): procfs, sysfs, cgroup, cgroup2, debugfs, tracefs,
/// bpf, securityfs, pstore, efivarfs, devpts, binfmt_misc, and configfs.
const NOT_REAL: [u64; 13] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0xcafe_4a11,
    0x7363_6673,
    0x6165_676c,
    0xde5e_81e4,
    0x1cd1,
    0x4249_4e4d,
    0x6265_6570,
];

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is not there, or nothing there can be reached.
    #[error("nothing can be opened by this path inside the root of the process")]
    Unreachable(#[source] io::Error),
    /// It is no file any more.
    #[error("it is no regular file: there is {0} now")]
    NotRegular(&'static str),
    /// The kernel makes it up.
    #[error("the kernel makes its content up")]
    NotReal,
    /// It is too large.
    #[error("it is larger than {most} bytes, which are kept of one file")]
    TooLarge {
        /// What may be kept.
        most: u64,
    },
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// What was read cannot be written.
    #[error("it cannot be kept")]
    Write(#[source] io::Error),
}

/// What was read of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) sha256: ContentHash,
    pub(crate) bytes: u64,
    /// Whether it changed meanwhile, so that this may be neither what it was nor what it is.
    pub(crate) changed: bool,
}

/// Opens a regular file by its path inside a root directory.
pub(crate) fn open_in(root: &OwnedFd, path: &Text) -> Result<(File, FileFacts), Refused> {
    let unreachable = |error: rustix::io::Errno| Refused::Unreachable(error.into());
    let place = openat2(
        root,
        path.as_bytes(),
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(unreachable)?;
    let facts = facts(&place).map_err(unreachable)?;
    check(&place, &facts)?;
    // The same file, by what is held of it; its name may be another's by now.
    let held = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(held, flags, Mode::empty()).map_err(|error| Refused::Read(error.into()))?;
    Ok((File::from(file), facts))
}

/// Whether something is a regular file on a real file system.
pub(crate) fn check(place: &impl AsFd, facts: &FileFacts) -> Result<(), Refused> {
    const TYPE: u32 = 0o170_000;
    let mode = u32::from_str_radix(&facts.mode.shown(), 8).unwrap_or_default();
    let found = match mode & TYPE {
        0o100_000 => None,
        0o040_000 => Some("a directory"),
        0o020_000 | 0o060_000 => Some("a device"),
        0o120_000 => Some("a symbolic link"),
        0o010_000 => Some("a named pipe"),
        0o140_000 => Some("a socket"),
        _ => Some("something else"),
    };
    if let Some(found) = found {
        return Err(Refused::NotRegular(found));
    }
    let file_system = fstatfs(place).map_err(|error| Refused::Read(error.into()))?;
    if NOT_REAL.contains(&(file_system.f_type as u64 & 0xffff_ffff)) { Err(Refused::NotReal) } else { Ok(()) }
}

/// Reads a file of at most so many bytes from its beginning to its end, and writes what is read.
pub(crate) fn read(file: &File, most: u64, mut out: impl Write) -> Result<Content, Refused> {
    let failed = |error: rustix::io::Errno| Refused::Read(error.into());
    let before = facts(file).map_err(failed)?;
    if before.size_bytes > most {
        return Err(Refused::TooLarge { most });
    }
    let (mut hash, mut offset) = (Sha256::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = read_at(file, &mut buffer, offset).map_err(Refused::Read)?;
        if length == 0 {
            break;
        }
        offset += length as u64;
        if offset > most {
            return Err(Refused::TooLarge { most });
        }
        hash.update(&buffer[..length]);
        out.write_all(&buffer[..length]).map_err(Refused::Write)?;
    }
    let after = facts(file).map_err(failed)?;
    let state = |it: &FileFacts| (it.size_bytes, it.modified, it.changed);
    let sha256 = ContentHash::new(hash.finalize().into());
    Ok(Content { sha256, bytes: offset, changed: state(&before) != state(&after) || offset != before.size_bytes })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::missing::reason;

    fn root(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("a directory")
    }

    fn refused(root: &OwnedFd, path: &str) -> String {
        reason(&open_in(root, &path.into()).map(|_| ()).expect_err(path))
    }

    #[test]
    fn the_hash_is_that_of_the_known_content_and_all_of_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "abc").expect("a file");
        let (file, facts) = open_in(&root(folder.path()), &"/a".into()).expect("it is there");
        let mut written = Vec::new();

        let content = read(&file, 3, &mut written).expect("it is read");

        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((content.sha256.to_string().as_str(), content.bytes, content.changed), (of_abc, 3, false));
        assert_eq!((written, facts.size_bytes), (b"abc".to_vec(), 3));
        assert!(matches!(read(&file, 2, io::sink()), Err(Refused::TooLarge { most: 2 })));
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let outer = tempfile::tempdir().expect("a folder");
        std::fs::write(outer.path().join("secret"), "of the host").expect("a file");
        let inner = outer.path().join("root");
        std::fs::create_dir_all(inner.join("folder")).expect("folders");
        symlink(outer.path(), inner.join("absolute")).expect("a link");
        symlink("../..", inner.join("relative")).expect("a link");
        symlink("/folder", inner.join("inside")).expect("a link");
        std::fs::write(inner.join("folder/file"), "x").expect("a file");
        let root = root(&inner);

        for path in ["/../secret", "/absolute/secret", "/relative/secret", "/folder/../../secret"] {
            assert!(refused(&root, path).contains("No such file"), "{path}: {}", refused(&root, path));
        }
        assert!(open_in(&root, &"/inside/file".into()).is_ok());
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        symlink("/etc/passwd", at("link")).expect("a link");
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        let root = root(folder.path());

        assert_eq!(refused(&root, "/link"), "it is no regular file: there is a symbolic link now");
        assert_eq!(refused(&root, "/pipe"), "it is no regular file: there is a named pipe now");
        assert_eq!(refused(&root, "/socket"), "it is no regular file: there is a socket now");
        assert_eq!(refused(&root, "/"), "it is no regular file: there is a directory now");
    }

    #[test]
    fn links_of_proc_are_not_followed_and_its_files_are_not_read() {
        let root = root(Path::new("/"));

        assert!(refused(&root, "/proc/self/root/etc/passwd").contains("Too many levels"));
        assert_eq!(refused(&root, "/proc/version"), "the kernel makes its content up");
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_told() {
        struct Append<'f>(&'f Path);
        impl Write for Append<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                std::fs::write(self.0, "something else")?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").expect("a file");
        let file = File::open(&path).expect("it is there");

        assert!(read(&file, 100, Append(&path)).expect("it is read").changed);
    }
}
