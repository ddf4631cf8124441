//! The folder that reports are in.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::write::hint;

/// Where reports are when root records.
const SYSTEM_FOLDER: &str = "/var/lib/ringfence/reports";
/// What all folders of root's are in.
const SYSTEM_STATE: &str = "/var/lib/ringfence";

/// A folder with reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub(crate) path: PathBuf,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Nobody said where reports go.
    #[error("no folder to keep anything in: neither XDG_STATE_HOME nor HOME is an absolute path; give a folder")]
    NoHome,
    /// It cannot be created.
    #[error("cannot create the folder {} for reports; {hint}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// No file can be created in it.
    #[error("cannot write reports to the folder {}; {hint}", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// What went wrong.
        source: io::Error,
    },
}

impl Folder {
    /// The folder to write to: the one that is given, else the usual one. It is created if it is not there, for its
    /// owner alone (command lines can hold secrets), and a file is created and removed in it: that reports cannot be
    /// written is to be known before a recording, not after.
    pub fn open(path: Option<&Path>) -> Result<Folder, FolderError> {
        let folder = Folder::to_read(path)?;
        let path = &folder.path;
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| FolderError::Create {
            path: path.clone(),
            hint: hint(&source),
            source,
        })?;
        tempfile::tempfile_in(path).map_err(|source| FolderError::NotWritable {
            path: path.clone(),
            hint: hint(&source),
            source,
        })?;
        Ok(folder)
    }

    /// The folder to read from: the one that is given, else the usual one. Nothing is created or looked at.
    pub fn to_read(path: Option<&Path>) -> Result<Folder, FolderError> {
        let path = path.map_or_else(|| usual_folder_of("reports"), |path| Ok(path.to_owned()))?;
        Ok(Folder { path })
    }

    /// The folder beside the usual one for reports, with this name: for what a command keeps for itself. Nothing is created.
    pub fn beside(name: &str) -> Result<PathBuf, FolderError> {
        let usual = Folder::to_read(None)?;
        Ok(usual.path.parent().unwrap_or(&usual.path).join(name))
    }

    /// The folders to look in when none is given: the usual one and, for users who record with `sudo`, root's.
    pub fn all_to_read() -> Result<Vec<Folder>, FolderError> {
        let of_root = Folder { path: SYSTEM_FOLDER.into() };
        match Folder::to_read(None) {
            Ok(usual) if usual == of_root => Ok(vec![usual]),
            Ok(usual) => Ok(vec![usual, of_root]),
            Err(FolderError::NoHome) => Ok(vec![of_root]),
            Err(error) => Err(error),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The usual folder for what ringfence keeps of one kind: root's, or the user's own.
pub fn usual_folder_of(kind: &str) -> Result<PathBuf, FolderError> {
    let is_root = rustix::process::geteuid().is_root();
    let folder = usual_folder(kind, is_root, std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"));
    folder.ok_or(FolderError::NoHome)
}

/// Variables that are no absolute paths do not count, as the XDG specification has it.
fn usual_folder(kind: &str, is_root: bool, state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    if is_root {
        return Some(Path::new(SYSTEM_STATE).join(kind));
    }
    let absolute = |variable: Option<OsString>| variable.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(state_home).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(state.join("ringfence").join(kind))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::usual_folder;

    #[test]
    fn root_has_one_folder_and_users_their_own() {
        let some = |text: &str| Some(text.into());

        let of_root = usual_folder("reports", true, some("/x"), some("/root"));
        let of_user = usual_folder("reports", false, None, some("/home/u"));
        let of_user_with_state = usual_folder("reports", false, some("/state"), some("/home/u"));

        assert_eq!(of_root.as_deref(), Some(Path::new("/var/lib/ringfence/reports")));
        assert_eq!(of_user.as_deref(), Some(Path::new("/home/u/.local/state/ringfence/reports")));
        assert_eq!(of_user_with_state.as_deref(), Some(Path::new("/state/ringfence/reports")));
    }

    #[test]
    fn a_variable_that_is_no_absolute_path_does_not_count() {
        assert_eq!(usual_folder("reports", false, Some("".into()), Some("home".into())), None);
        assert_eq!(
            usual_folder("reports", false, Some("x".into()), Some("/h".into())),
            usual_folder("reports", false, None, Some("/h".into()))
        );
    }
}
