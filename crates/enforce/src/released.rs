//! What a policy no longer means in one container. It is let go only so far as no other container of the policy has it, as files of a
//! volume are those of several.

use std::collections::BTreeSet;

use sensors::guard::{Access, FileKey, GuardError, Guards};

/// By the policy's number.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub(crate) programs: BTreeSet<(u32, FileKey)>,
    pub(crate) trees: BTreeSet<(u32, FileKey, Access)>,
    pub(crate) folders: BTreeSet<(u32, FileKey)>,
}

/// What a policy means in its containers now.
pub(crate) trait Meaning {
    fn has_program(&self, policy: u32, file: FileKey) -> bool;
    /// All that is denied there.
    fn access(&self, policy: u32, file: FileKey) -> Access;
    fn has_folder(&self, policy: u32, folder: FileKey) -> bool;
}

impl Released {
    /// The file under such a number may be anything by now: nobody is denied it any more who is not denied it elsewhere.
    pub(crate) fn let_go(&mut self, guards: &Guards, meaning: &impl Meaning) -> Result<(), GuardError> {
        for &(policy, file) in self.programs.iter().filter(|(policy, file)| !meaning.has_program(*policy, *file)) {
            guards.allow_file(file, policy)?;
        }
        for &(policy, file, access) in &self.trees {
            let left = without(access, meaning.access(policy, file));
            guards.allow_tree(file, left, policy)?;
        }
        for &(policy, folder) in self.folders.iter().filter(|(policy, folder)| !meaning.has_folder(*policy, *folder)) {
            guards.free_folder(folder, policy)?;
        }
        *self = Released::default();
        Ok(())
    }
}

fn without(access: Access, other: Access) -> Access {
    Access {
        read: access.read && !other.read,
        write: access.write && !other.write,
        taint: access.taint && !other.taint,
    }
}
