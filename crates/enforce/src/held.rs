//! What the rules for files of one policy mean in one container, as the guards have it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};

use sensors::guard::{Access, FileKey, GuardError, Guards};

use crate::FileRule;
use crate::files::{self, Stat};
use crate::released::Released;

/// The files and folders that the guards know of.
#[derive(Default)]
pub(crate) struct Held {
    trees: BTreeMap<(Stat, Access), FileKey>,
    folders: BTreeMap<Stat, FileKey>,
    paths: BTreeSet<(Vec<u8>, Access)>,
    above: BTreeSet<Vec<u8>>,
}

/// Why it could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeldError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Guard(#[from] GuardError),
}

impl Held {
    /// Looks up anew what the rules mean for this process: a file that was replaced is another.
    pub(crate) fn renew(
        &mut self,
        guards: &Guards,
        rules: &[FileRule],
        pid: u32,
        policy: u32,
        released: &mut Released,
    ) -> Result<(), HeldError> {
        let places = files::look_up_places(pid, rules)?;
        for (path, access) in places.paths {
            if !self.paths.contains(&(path.clone(), access)) {
                guards.deny_place(&path, access, policy)?;
                self.paths.insert((path, access));
            }
        }
        for path in places.above {
            if !self.above.contains(&path) {
                guards.fix_place(&path, policy)?;
                self.above.insert(path);
            }
        }
        let mut old = std::mem::take(&mut self.trees);
        let mut kept = BTreeMap::new();
        for (file, access) in &places.trees {
            let one = (Stat::of(file.as_fd())?, *access);
            let key = old.remove(&one).or_else(|| kept.get(&one).copied());
            let key = look_at(guards, file, key, |key| guards.deny_tree(key, *access, policy))?;
            kept.insert(one, key);
        }
        self.trees = kept;
        released.trees.extend(old.into_iter().map(|((_, access), key)| (policy, key, access)));
        let mut old = std::mem::take(&mut self.folders);
        for folder in &places.folders {
            let stat = Stat::of(folder.as_fd())?;
            let key = old.remove(&stat).or_else(|| self.folders.get(&stat).copied());
            let key = look_at(guards, folder, key, |key| guards.fix_folder(key, policy))?;
            self.folders.insert(stat, key);
        }
        released.folders.extend(old.into_values().map(|key| (policy, key)));
        Ok(())
    }

    /// The container is gone.
    pub(crate) fn release(self, policy: u32, released: &mut Released) {
        released.trees.extend(self.trees.into_iter().map(|((_, access), key)| (policy, key, access)));
        released.folders.extend(self.folders.into_values().map(|key| (policy, key)));
    }

    /// What is denied of a file here.
    pub(crate) fn access(&self, file: FileKey) -> Access {
        let all = self.trees.iter().filter(|(_, key)| **key == file);
        all.fold(Access::default(), |access, ((_, other), _)| access.with(*other))
    }

    /// Whether a folder here must stay where it is.
    pub(crate) fn has_folder(&self, folder: FileKey) -> bool {
        self.folders.values().any(|key| *key == folder)
    }
}

fn look_at(
    guards: &Guards,
    file: &OwnedFd,
    known: Option<FileKey>,
    tell: impl FnOnce(FileKey) -> Result<(), GuardError>,
) -> Result<FileKey, GuardError> {
    if let Some(key) = known {
        return Ok(key);
    }
    let key = guards.file_key(file.as_fd())?;
    tell(key)?;
    Ok(key)
}
