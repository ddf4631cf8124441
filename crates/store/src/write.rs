//! Writing a report: whole, or not at all.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use report::Report;

use crate::Folder;
use crate::file_name::file_name;

/// So many recordings of one slot may begin in one second in one folder.
const MAX_ATTEMPTS: u32 = 1000;

/// A report could not be written; nothing of it was left behind.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report {}; {hint}", path.display())]
pub struct WriteError {
    /// The file that it should have become.
    pub path: PathBuf,
    /// What to do.
    pub hint: &'static str,
    /// What went wrong.
    pub source: io::Error,
}

impl Folder {
    /// Writes a report to a new file and returns its path. The file has its name only when it is whole and on disk; it
    /// can be read by its owner alone, and no file that is there already is changed.
    pub fn write(&self, report: &Report) -> Result<PathBuf, WriteError> {
        let first = self.path.join(file_name(report, 1));
        self.write_new(report).map_err(|source| WriteError { hint: hint(&source), path: first, source })
    }

    fn write_new(&self, report: &Report) -> io::Result<PathBuf> {
        let mut file = tempfile::Builder::new().prefix(".ringfence-").suffix(".partial").tempfile_in(&self.path)?;
        file.write_all(report.to_json().as_bytes())?;
        file.as_file().sync_all()?;
        // Dropped on every way out of here, a file without its final name is removed.
        for attempt in 1..=MAX_ATTEMPTS {
            let path = self.path.join(file_name(report, attempt));
            match file.persist_noclobber(&path) {
                Ok(_) => {
                    return sync_folder(&self.path).map(|()| path.clone()).inspect_err(|_| {
                        // Said to have failed, so it must not be there; if it cannot be removed either, it is whole.
                        let _ = std::fs::remove_file(&path);
                    });
                }
                Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => file = taken.file,
                Err(other) => return Err(other.error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Puts the folder's list of names on disk. Some file systems cannot do that for folders, and lose nothing by it.
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// What can be done about an error of the file system.
pub(crate) fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on that disk, or give a folder on another one with --out"
        }
        io::ErrorKind::ReadOnlyFilesystem => "that disk is mounted read-only: give another folder with --out",
        io::ErrorKind::PermissionDenied => "run as a user who may write there, or give another folder with --out",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "something else has that name: give another folder with --out"
        }
        _ => "give another folder with --out",
    }
}
