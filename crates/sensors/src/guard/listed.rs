//! What the guards are told of policies that let nothing run, or nothing be written, but what is listed
//! (`src/guard_listed/guard_listed.bpf.c`, `src/guard_written/guard_written.bpf.c`).

use super::maps::{bit, find, write};
use super::{FileKey, GuardError, Guards, Step};
use crate::guard_bpf::types::{file_key, listing};
use crate::record::{self, Plain};

// SAFETY: made of fixed-width integers (`bpf/guard_list.h`).
unsafe impl Plain for listing {}

impl Guards {
    /// From now on the policy lets nothing run but what it lists. `host_root` is the folder that is the root of the host: what
    /// runtimes run there is not judged.
    pub fn allow_only_what_is_listed(&self, host_root: FileKey, number: u32) -> Result<(), GuardError> {
        self.change_listing(|listing| {
            listing.host_root_inode = host_root.inode;
            listing.host_root_device = host_root.device;
            listing.only_at_the_end = u32::from(self.step() == Step::Kill);
            listing.policies |= bit(number);
        })
    }

    /// It lets everything run and be written, whatever it lists.
    pub(super) fn list_nothing_more(&self, number: u32) -> Result<(), GuardError> {
        self.change_listing(|listing| {
            listing.policies &= !bit(number);
            listing.writing &= !bit(number);
        })
    }

    /// Lists the program with this path, as it is below the root of the container's mounts.
    pub fn list_path(&self, path: &[u8], number: u32) -> Result<(), GuardError> {
        self.mark("listed_paths", &self.key().of_path(path).to_ne_bytes(), number)
    }

    /// Lists this file under whatever name.
    pub fn list_file(&self, file: FileKey, number: u32) -> Result<(), GuardError> {
        self.mark("listed_files", record::bytes(&file_key::of(file)), number)
    }

    /// No longer.
    pub fn unlist_file(&self, file: FileKey, number: u32) -> Result<(), GuardError> {
        self.unmark("listed_files", record::bytes(&file_key::of(file)), number)
    }

    /// Lists scripts that are called by this text. Gives whether a text may be so long: of longer ones only the beginning is told.
    pub fn list_text(&self, text: &[u8], number: u32) -> Result<bool, GuardError> {
        if text.len() > LONGEST_TEXT {
            return Ok(false);
        }
        self.mark("listed_texts", &self.key().of_name(text).to_ne_bytes(), number)?;
        Ok(true)
    }

    /// Lists the program that this name picks, of one that is many.
    pub fn list_applet(&self, name: &[u8], number: u32) -> Result<(), GuardError> {
        self.mark("listed_applets", &self.key().of_name(name).to_ne_bytes(), number)
    }

    /// From now on the policy lets nothing be written but what it lists. `host_root` as above.
    pub fn write_only_what_is_listed(&self, host_root: FileKey, number: u32) -> Result<(), GuardError> {
        self.change_listing(|listing| {
            listing.host_root_inode = host_root.inode;
            listing.host_root_device = host_root.device;
            listing.writing |= bit(number);
        })
    }

    /// What lies at this path may be written: in the container's root, if that is an overlay, the path in it, else the path below
    /// the root of the container's mounts.
    pub fn list_written(&self, path: &[u8], number: u32) -> Result<(), GuardError> {
        self.mark("written_paths", &self.key().of_path(path).to_ne_bytes(), number)
    }

    /// All that lies below this folder may be written.
    pub fn list_written_below(&self, folder: &[u8], number: u32) -> Result<(), GuardError> {
        let name = folder.rsplit(|&byte| byte == b'/').find(|name| !name.is_empty()).unwrap_or_default();
        self.mark("written_names", &self.key().of_name(name).to_ne_bytes(), number)?;
        self.mark("written_folders", &self.key().of_path(folder).to_ne_bytes(), number)
    }

    /// The root of a container that the policy is about lies in the file system of this file.
    pub fn list_root(&self, root: FileKey, number: u32) -> Result<(), GuardError> {
        self.mark("container_roots", &root.device.to_ne_bytes(), number)
    }

    /// No longer.
    pub fn unlist_root(&self, root: FileKey, number: u32) -> Result<(), GuardError> {
        self.unmark("container_roots", &root.device.to_ne_bytes(), number)
    }

    fn change_listing(&self, change: impl FnOnce(&mut listing)) -> Result<(), GuardError> {
        let _alone = self.pins.alone()?;
        let mut listing: listing = self.read("listings", 0)?;
        change(&mut listing);
        write(&find(self.object(), "listings")?, "listings", &0_u32.to_ne_bytes(), record::bytes(&listing))
    }
}

/// One byte less than the kernel tells of a text: one that is as long as that may be the beginning of another.
const LONGEST_TEXT: usize = 254;
