//! Reports on disk: one file each, written whole or not at all, found again by the names that people know.
//!
//! A [`Folder`] holds the reports of any number of recordings. A file is never changed once it is there, and another
//! run's report is never overwritten. Nothing here knows what a report says beyond what finds it.

mod file_name;
mod find;
mod folder;
mod read;
mod write;

pub use find::{FindError, Found, Listing, find_in, last_recording};
pub use folder::{Folder, FolderError, usual_folder_of};
pub use read::{ReadError, read, read_all, read_all_from, read_bytes_from, read_from};
pub use write::WriteError;
