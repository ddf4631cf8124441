//! Reading a report from a file or a pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use report::{MAX_BYTES, MAX_MERGED_BYTES, ParseError, Report, parse_reports};
use rustix::fs::OFlags;

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It is not a report that we can read.
    #[error("{} is not a report that can be shown", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseError,
    },
}

/// Reads a report from a file; a pipe or a device will do.
pub fn read(path: &Path) -> Result<Report, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    read_from(file, path)
}

/// Reads a report from anything; `path` is what errors call it. No more is read than a report can have.
pub fn read_from(from: impl Read, path: &Path) -> Result<Report, ReadError> {
    let bytes = bounded(from, MAX_BYTES).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    Report::parse(&bytes).map_err(|source| ReadError::Parse { path: path.to_owned(), source })
}

/// Reads the reports of a file: one, or all of a merged file.
pub fn read_all(path: &Path) -> Result<Vec<Report>, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    read_all_from(file, path)
}

/// Reads the reports of anything; `path` is what errors call it.
pub fn read_all_from(from: impl Read, path: &Path) -> Result<Vec<Report>, ReadError> {
    let bytes = read_bytes_from(from, path)?;
    parse_reports(&bytes).map_err(|source| ReadError::Parse { path: path.to_owned(), source })
}

/// The bytes of anything that may be a report, a merged file or smaller; `path` is what errors call it. No more is read than a
/// merged file can have.
pub fn read_bytes_from(from: impl Read, path: &Path) -> Result<Vec<u8>, ReadError> {
    bounded(from, MAX_MERGED_BYTES).map_err(|source| ReadError::Io { path: path.to_owned(), source })
}

/// The bytes of a regular file; anything else that lies in a folder (a pipe would wait for ever) is an error.
pub(crate) fn regular_file(path: &Path) -> io::Result<Vec<u8>> {
    let wait_for_nobody = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(wait_for_nobody).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    bounded(file, MAX_BYTES)
}

/// One byte more than it can have is enough to know that it is none.
fn bounded(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
