//! What the rules for files of one policy mean in one container, as the guards have it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};

use sensors::guard::{Access, FileKey, GuardError, Guards};

use crate::FileRule;
use crate::files::{self, Stat};

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
        // The file under the old number may be anything by now.
        for ((_, access), key) in old {
            guards.allow_tree(key, access, policy)?;
            // Another rule may mean it, too.
            for ((_, access), _) in self.trees.iter().filter(|(_, kept)| **kept == key) {
                guards.deny_tree(key, *access, policy)?;
            }
        }
        let mut old = std::mem::take(&mut self.folders);
        for folder in &places.folders {
            let stat = Stat::of(folder.as_fd())?;
            let key = old.remove(&stat).or_else(|| self.folders.get(&stat).copied());
            let key = look_at(guards, folder, key, |key| guards.fix_folder(key, policy))?;
            self.folders.insert(stat, key);
        }
        for key in old.into_values().filter(|key| !self.folders.values().any(|kept| kept == key)) {
            guards.free_folder(key, policy)?;
        }
        Ok(())
    }

    /// The container is gone: another file may get the numbers of its own.
    pub(crate) fn forget(self, guards: &Guards, policy: u32) -> Result<(), GuardError> {
        self.trees.into_iter().try_for_each(|((_, access), key)| guards.allow_tree(key, access, policy))?;
        self.folders.into_values().try_for_each(|key| guards.free_folder(key, policy))
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
