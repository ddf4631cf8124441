//! What the guards are told of files and folders that may not be read or written.

use super::hash::end_of;
use super::maps::FileKey;
use super::{GuardError, Guards};
use crate::guard_bpf::types::{end_key, file_act, file_key};
use crate::record;
use crate::record::Plain;

/// What a rule for files is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Access {
    /// Opening it to read it.
    pub read: bool,
    /// Opening it to write to it, and changing what lies there.
    pub write: bool,
    /// Opening it to read it, which is not denied: it makes policies strict that wait for it.
    pub taint: bool,
}

impl Access {
    /// All that either denies.
    pub fn with(self, other: Access) -> Access {
        Access { read: self.read || other.read, write: self.write || other.write, taint: self.taint || other.taint }
    }
}

/// What was to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAct {
    /// Opening it to read.
    Read,
    /// Opening it to write.
    Write,
    /// Opening it for both.
    ReadWrite,
    /// Making it.
    Make,
    /// Removing it.
    Remove,
    /// Moving it, or something to where it is.
    Move,
    /// Giving it another name.
    Link,
    /// Cutting it without opening it.
    Cut,
    /// Giving it another mode or owner.
    Change,
}

impl FileAct {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            FileAct::Read => "read",
            FileAct::Write => "write",
            FileAct::ReadWrite => "read and write",
            FileAct::Make => "make",
            FileAct::Remove => "remove",
            FileAct::Move => "move",
            FileAct::Link => "link",
            FileAct::Cut => "cut",
            FileAct::Change => "change",
        }
    }

    pub(super) fn from_number(number: u32) -> Option<FileAct> {
        match file_act(number) {
            file_act::FILE_READ => Some(FileAct::Read),
            file_act::FILE_WRITE => Some(FileAct::Write),
            file_act::FILE_READ_WRITE => Some(FileAct::ReadWrite),
            file_act::FILE_MAKE => Some(FileAct::Make),
            file_act::FILE_REMOVE => Some(FileAct::Remove),
            file_act::FILE_MOVE => Some(FileAct::Move),
            file_act::FILE_LINK => Some(FileAct::Link),
            file_act::FILE_CUT => Some(FileAct::Cut),
            file_act::FILE_CHANGE => Some(FileAct::Change),
            _ => None,
        }
    }
}

// SAFETY: made of fixed-width integers (`bpf/guard_where.h`).
unsafe impl Plain for end_key {}

impl Guards {
    /// From now on the policy has rules for files. Who has `host_root` as its root is a runtime, and no container.
    pub fn watch_files(&self, host_root: FileKey, number: u32) -> Result<(), GuardError> {
        self.change_facts(|facts| {
            facts.host_root_device = host_root.device;
            facts.host_root_inode = host_root.inode;
            facts.filing |= 1 << number;
        })
    }

    /// Has this access denied, or watched, of what lies at this path, as the container sees it, and of all below.
    pub fn deny_place(&self, path: &[u8], access: Access, number: u32) -> Result<(), GuardError> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let key = self.key().of_path(path).to_ne_bytes();
        for map in maps_of(access, ["unreadable_paths", "unwritable_paths", "tainting_paths"]) {
            self.mark(map, &key, number)?;
        }
        let end = end_key { end: end_of(name), length: name.len() as u32, ..end_key::default() };
        maps_of(access, ["unreadable_ends", "unwritable_ends", "tainting_ends"])
            .try_for_each(|map| self.mark(map, record::bytes(&end), number))
    }

    /// The same of this file under whatever name, and of all below if it is a folder.
    pub fn deny_tree(&self, file: FileKey, access: Access, number: u32) -> Result<(), GuardError> {
        maps_of(access, TREES).try_for_each(|map| self.mark(map, record::bytes(&file_key::of(file)), number))
    }

    /// No longer.
    pub fn allow_tree(&self, file: FileKey, access: Access, number: u32) -> Result<(), GuardError> {
        maps_of(access, TREES).try_for_each(|map| self.unmark(map, record::bytes(&file_key::of(file)), number))
    }

    /// Denies that the folder at this path is moved or removed: denied files lie below.
    pub fn fix_place(&self, path: &[u8], number: u32) -> Result<(), GuardError> {
        self.mark("fixed_paths", &self.key().of_path(path).to_ne_bytes(), number)
    }

    /// The same for a folder under whatever name.
    pub fn fix_folder(&self, folder: FileKey, number: u32) -> Result<(), GuardError> {
        self.mark("fixed_files", record::bytes(&file_key::of(folder)), number)
    }

    /// No longer.
    pub fn free_folder(&self, folder: FileKey, number: u32) -> Result<(), GuardError> {
        self.unmark("fixed_files", record::bytes(&file_key::of(folder)), number)
    }
}

const TREES: [&str; 3] = ["unreadable_files", "unwritable_files", "tainting_files"];

/// Those of three maps, of reading, writing and what taints, that have what the rule is about.
fn maps_of(access: Access, maps: [&'static str; 3]) -> impl Iterator<Item = &'static str> {
    let asked = [access.read, access.write, access.taint];
    maps.into_iter().zip(asked).filter_map(|(map, is_asked)| is_asked.then_some(map))
}
