//! The contents of files, hashed once for each version of a file.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::Hash;

/// No larger file is hashed.
pub(crate) const MAX_BYTES: u64 = 256 << 20;
/// So many versions of files are remembered; then it begins anew.
const MOST: usize = 16_384;
/// What was changed less than this ago may be changed again without a trace in its times.
const SETTLED: Duration = Duration::from_secs(1);
const PART: usize = 256 << 10;

/// One version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// Why the content of a file is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhashed {
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is being written")]
    Written,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Version {
    fn of(file: BorrowedFd<'_>) -> io::Result<Version> {
        let stat = rustix::fs::fstat(file)?;
        Ok(Version {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as u64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u64),
        })
    }

    /// Whether its times would tell of a change from now on.
    fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let Ok(seconds) = u64::try_from(self.changed.0) else { return false };
        Duration::new(seconds, u32::try_from(self.changed.1).unwrap_or(0)) + SETTLED < now
    }
}

/// Hashes, by what `stat` tells of a version.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    known: BTreeMap<Version, Hash>,
}

impl Contents {
    /// The content of this file, as it is now.
    pub(crate) fn hash(&mut self, file: BorrowedFd<'_>) -> Result<Hash, Unhashed> {
        let version = Version::of(file)?;
        if let Some(hash) = self.known.get(&version) {
            return Ok(*hash);
        }
        let hash = hash_whole(file, version.size)?;
        if Version::of(file)? != version {
            return Err(Unhashed::Written);
        }
        if version.is_settled(SystemTime::now()) {
            if self.known.len() >= MOST {
                self.known.clear();
            }
            self.known.insert(version, hash);
        }
        Ok(hash)
    }
}

fn hash_whole(file: BorrowedFd<'_>, size: i64) -> Result<Hash, Unhashed> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if size > MAX_BYTES {
        return Err(Unhashed::TooLarge);
    }
    let (mut sha, mut part, mut at) = (Sha256::new(), vec![0; PART], 0_u64);
    loop {
        let count =
            rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut part[..], at)).map_err(io::Error::from)?;
        if count == 0 {
            break;
        }
        sha.update(&part[..count]);
        at += count as u64;
        if at > size {
            return Err(Unhashed::Written);
        }
    }
    match at == size {
        true => Ok(Hash(sha.finalize().into())),
        false => Err(Unhashed::Written),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    fn file(content: &[u8]) -> File {
        let fd = rustix::fs::memfd_create("content", rustix::fs::MemfdFlags::CLOEXEC).expect("a file");
        let mut file = File::from(fd);
        file.write_all(content).expect("it can be written");
        file
    }

    #[test]
    fn the_hash_is_that_of_the_whole_file() {
        let mut contents = Contents::default();
        let mut hash = |content: &[u8]| contents.hash(file(content).as_fd()).expect("it can be read").to_string();

        assert_eq!(hash(b"abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_ne!(hash(&vec![0; PART + 1]), hash(&vec![0; PART]));
    }

    #[test]
    fn what_was_just_written_is_read_again_and_what_rests_is_not() {
        let mut contents = Contents::default();
        let mut changing = file(b"one");
        let first = contents.hash(changing.as_fd()).expect("it can be read");
        assert!(contents.known.is_empty(), "its times may not tell of a change");
        std::io::Seek::rewind(&mut changing).expect("it can");
        changing.write_all(b"two").expect("it can be written");
        assert_ne!(contents.hash(changing.as_fd()).expect("it can be read"), first);

        let version = Version { device: 1, inode: 1, size: 1, modified: (5, 0), changed: (5, 0) };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds);
        assert!(!version.is_settled(at(6_000)) && version.is_settled(at(6_001)) && !version.is_settled(at(4_000)));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let large = file(b"");
        large.set_len(MAX_BYTES + 1).expect("it can be longer");

        assert!(matches!(Contents::default().hash(large.as_fd()), Err(Unhashed::TooLarge)));
    }
}
