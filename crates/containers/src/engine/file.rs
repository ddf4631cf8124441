//! Reads files that others wrote, without waiting and with a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::QueryError;

/// The longest state or configuration file that is read.
pub(super) const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

/// The bytes of a regular file. A fifo or device in its place (a user may own the directory) is refused, not waited for.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, QueryError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => QueryError::Absent { path: path.into() },
        _ => QueryError::Io { path: path.into(), source },
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(QueryError::Malformed { path: path.into(), reason: "it is not a regular file".into() });
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(QueryError::TooLong { path: path.into(), limit: MAX_FILE_BYTES });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{MAX_FILE_BYTES, read_file};
    use crate::engine::QueryError;

    #[test]
    fn a_fifo_in_place_of_the_file_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("config.json");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("a fifo");

        assert!(matches!(read_file(&path), Err(QueryError::Malformed { .. })));
        assert!(matches!(read_file(Path::new("/dev/zero")), Err(QueryError::Malformed { .. })));
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.as_file().set_len(MAX_FILE_BYTES as u64 + 1).expect("a long file");

        assert!(matches!(read_file(file.path()), Err(QueryError::TooLong { .. })));
    }

    #[test]
    fn a_missing_file_is_absent() {
        assert!(matches!(read_file(Path::new("/nonexistent/config.json")), Err(QueryError::Absent { .. })));
    }
}
