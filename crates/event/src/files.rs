//! What is done with files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Errno;
use crate::text::{Text, decimal};

/// One path, unique within one recording: the same path has the same number, as tasks with the same root see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PathId(
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub u64,
);

/// Something that is done with an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileAccess {
    /// It was opened so that it can be read.
    OpenedToRead,
    /// It was opened so that it can be written.
    OpenedToWrite,
    /// It was opened with `O_PATH`: as a place, to be neither read nor written.
    OpenedAsPath,
    /// It was not there before.
    Created,
    /// What was in it was cut off.
    Truncated,
    /// It was read, or mapped to be read.
    Read,
    /// It was written, or mapped so that writing to memory writes it.
    Written,
    /// Its entries were listed.
    Listed,
    /// It was mapped so that it can be executed, as libraries are.
    MappedToExecute,
    /// It was run as a program, or as the loader that a program names.
    Executed,
    /// Its mode was changed through a descriptor.
    ModeChanged,
    /// Its owner was changed through a descriptor.
    OwnerChanged,
}

impl FileAccess {
    /// Every access, in the order of their numbers in the kernel side.
    pub const ALL: [FileAccess; 12] = [
        FileAccess::OpenedToRead,
        FileAccess::OpenedToWrite,
        FileAccess::OpenedAsPath,
        FileAccess::Created,
        FileAccess::Truncated,
        FileAccess::Read,
        FileAccess::Written,
        FileAccess::Listed,
        FileAccess::MappedToExecute,
        FileAccess::Executed,
        FileAccess::ModeChanged,
        FileAccess::OwnerChanged,
    ];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            FileAccess::OpenedToRead => "opened-to-read",
            FileAccess::OpenedToWrite => "opened-to-write",
            FileAccess::OpenedAsPath => "opened-as-path",
            FileAccess::Created => "created",
            FileAccess::Truncated => "truncated",
            FileAccess::Read => "read",
            FileAccess::Written => "written",
            FileAccess::Listed => "listed",
            FileAccess::MappedToExecute => "mapped-to-execute",
            FileAccess::Executed => "executed",
            FileAccess::ModeChanged => "mode-changed",
            FileAccess::OwnerChanged => "owner-changed",
        }
    }
}

/// A set of accesses; in JSON a list.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileAccesses(u16);

impl FileAccesses {
    /// Whether this one is among them.
    pub fn has(self, access: FileAccess) -> bool {
        self.0 & 1 << access as u16 != 0
    }

    /// Whether any of these is among them.
    pub fn has_any(self, accesses: &[FileAccess]) -> bool {
        accesses.iter().any(|&access| self.has(access))
    }

    /// Those of both.
    pub fn with(self, other: FileAccesses) -> FileAccesses {
        FileAccesses(self.0 | other.0)
    }

    /// Each of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = FileAccess> {
        FileAccess::ALL.into_iter().filter(move |&access| self.has(access))
    }
}

impl FromIterator<FileAccess> for FileAccesses {
    fn from_iter<I: IntoIterator<Item = FileAccess>>(accesses: I) -> FileAccesses {
        FileAccesses(accesses.into_iter().fold(0, |set, access| set | 1 << access as u16))
    }
}

impl std::fmt::Debug for FileAccesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for FileAccesses {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for FileAccesses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<FileAccesses, D::Error> {
        Ok(Vec::<FileAccess>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl JsonSchema for FileAccesses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileAccesses".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Vec::<FileAccess>::json_schema(generator)
    }
}

/// What sort of thing a path leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A symbolic link, opened as a path.
    SymbolicLink,
    /// A named pipe.
    NamedPipe,
    /// The name of a socket, opened as a path.
    Socket,
    /// Something else.
    #[default]
    Other,
}

impl FileType {
    /// By the type bits of a mode (`include/uapi/linux/stat.h`).
    pub fn of_mode(mode: u32) -> FileType {
        match mode & 0o170_000 {
            0o100_000 => FileType::Regular,
            0o040_000 => FileType::Directory,
            0o020_000 => FileType::CharacterDevice,
            0o060_000 => FileType::BlockDevice,
            0o120_000 => FileType::SymbolicLink,
            0o010_000 => FileType::NamedPipe,
            0o140_000 => FileType::Socket,
            _ => FileType::Other,
        }
    }

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            FileType::Regular => "regular",
            FileType::Directory => "directory",
            FileType::CharacterDevice => "character-device",
            FileType::BlockDevice => "block-device",
            FileType::SymbolicLink => "symbolic-link",
            FileType::NamedPipe => "named-pipe",
            FileType::Socket => "socket",
            FileType::Other => "other",
        }
    }
}

/// A device by its numbers, as `/proc/PID/mountinfo` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Which driver or file system.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl Device {
    /// From the number that the kernel has it by inside: include/linux/kdev_t.h (6.18), `MKDEV`.
    pub fn from_kernel(number: u32) -> Device {
        Device { major: number >> 20, minor: number & ((1 << 20) - 1) }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A path was used for the first time in this phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileUsed {
    /// The path, resolved by the kernel, seen from the task's own root.
    pub path: Text,
    /// The path that the program passed, if it passed another.
    pub argument: Text,
    /// What was done with it then.
    pub accesses: FileAccesses,
    /// Its number.
    pub file: PathId,
    /// What it is.
    pub file_type: FileType,
    /// The file system that it lies in.
    pub device: Device,
    /// Its inode number there.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub inode: u64,
    /// File systems give the number of a file that was deleted to another, with another number here; 0 where they do not.
    #[serde(default)]
    pub inode_generation: u32,
    /// The mount that it was reached through, as `/proc/PID/mountinfo` numbers it.
    pub mount: u32,
    /// The head of the path is missing.
    pub path_truncated: bool,
    /// The argument is cut off, or could not be read.
    pub argument_truncated: bool,
    /// The file had no name any more.
    pub deleted: bool,
    /// The file cannot be reached from the task's root: a memfd, or a file from outside.
    pub unreachable: bool,
}

/// What is done to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NameOperation {
    /// It was to be opened; that failed.
    Open,
    /// It was deleted, a file or a directory.
    Delete,
    /// It was renamed, from the first name to the second.
    Rename,
    /// It got the second name too.
    Link,
    /// A symbolic link to it, with the second name, was made.
    Symlink,
    /// A directory was made.
    MakeDirectory,
    /// A device, a named pipe, a socket or an empty file was made by mknod(2).
    MakeNode,
    /// The mode was changed.
    ChangeMode,
    /// The owner was changed.
    ChangeOwner,
    /// The file was cut off or made longer.
    Truncate,
    /// It was run, and named an interpreter.
    RunScript,
}

impl NameOperation {
    /// Every operation, in the order of their numbers in the kernel side.
    pub const ALL: [NameOperation; 11] = [
        NameOperation::Open,
        NameOperation::Delete,
        NameOperation::Rename,
        NameOperation::Link,
        NameOperation::Symlink,
        NameOperation::MakeDirectory,
        NameOperation::MakeNode,
        NameOperation::ChangeMode,
        NameOperation::ChangeOwner,
        NameOperation::Truncate,
        NameOperation::RunScript,
    ];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            NameOperation::Open => "open",
            NameOperation::Delete => "delete",
            NameOperation::Rename => "rename",
            NameOperation::Link => "link",
            NameOperation::Symlink => "symlink",
            NameOperation::MakeDirectory => "make-directory",
            NameOperation::MakeNode => "make-node",
            NameOperation::ChangeMode => "change-mode",
            NameOperation::ChangeOwner => "change-owner",
            NameOperation::Truncate => "truncate",
            NameOperation::RunScript => "run-script",
        }
    }
}

/// Something was done to a name for the first time in this phase, or an open failed for the first time in this way.
///
/// The names are those that the program passed: no link in them is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameUsed {
    /// What was done, or tried.
    pub operation: NameOperation,
    /// The name: what the program passed, behind the directory that it starts from.
    pub path: Text,
    /// The second name, of a rename or a link; else empty.
    pub second_path: Text,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// Its number.
    pub name: PathId,
    /// A name is cut off, or could not be read.
    pub truncated: bool,
}

/// A directory whose files are counted together, because the container had used too many by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryUsed {
    /// The path, resolved by the kernel, seen from the task's own root.
    pub path: Text,
    /// Its number.
    pub directory: PathId,
    /// The mount that it was reached through.
    pub mount: u32,
    /// The head of the path is missing.
    pub path_truncated: bool,
}

/// A mount was used for the first time in this phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MountUsed {
    /// Its number, as `/proc/PID/mountinfo` has it.
    pub mount: u32,
    /// The device of its file system.
    pub device: Device,
    /// Where it is mounted, seen from the task's own root.
    pub point: Text,
    /// The directory of the file system that is mounted there.
    pub root: Text,
    /// The type of the file system.
    pub fs_type: Text,
    /// What was mounted: a device, or any word.
    pub source: Text,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Where the host has the same directory; none if it is not known.
    pub host_path: Option<Text>,
    /// Of an overlay the directories of the host that it shows but does not write to, the topmost first; empty if they are not
    /// known.
    #[serde(default)]
    pub layers: Vec<Text>,
}

/// What one path has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUses {
    /// The path's number.
    pub file: PathId,
    /// How often it was opened.
    pub opens: u64,
    /// Bytes read from it, if they were asked for.
    pub read_bytes: u64,
    /// Bytes written to it, if they were asked for.
    pub written_bytes: u64,
    /// All that was done with it.
    pub accesses: FileAccesses,
}

/// What one name has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameUses {
    /// The name's number; 0 stands for all that found no room of their own.
    pub name: PathId,
    /// What was done, or tried.
    pub operation: NameOperation,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// How often.
    pub count: u64,
}

/// What the files of one directory that are counted together have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUses {
    /// The directory's number; 0 stands for all that found no room of their own.
    pub directory: PathId,
    /// How often one of them was opened.
    pub opens: u64,
    /// How many different ones they are, estimated, with a standard error of 6.5 %.
    pub distinct: u64,
    /// All that was done with any of them.
    pub accesses: FileAccesses,
}

/// What went through one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountUses {
    /// The mount's number.
    pub mount: u32,
    /// The device of its file system.
    pub device: Device,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_json_form() {
        for access in FileAccess::ALL {
            assert_eq!(serde_json::to_value(access).unwrap(), access.name());
        }
        for operation in NameOperation::ALL {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.name());
        }
    }

    #[test]
    fn a_set_is_a_list_in_its_order() {
        let set: FileAccesses = [FileAccess::Written, FileAccess::OpenedToRead].into_iter().collect();

        let json = serde_json::to_string(&set).unwrap();

        assert_eq!(json, r#"["opened-to-read","written"]"#);
        assert_eq!(serde_json::from_str::<FileAccesses>(&json).unwrap(), set);
        assert!(set.has(FileAccess::Written) && !set.has(FileAccess::Read));
    }

    #[test]
    fn the_type_is_in_the_mode() {
        assert_eq!(FileType::of_mode(0o100_644), FileType::Regular);
        assert_eq!(FileType::of_mode(0o040_755), FileType::Directory);
        assert_eq!(FileType::of_mode(0o020_666), FileType::CharacterDevice);
        assert_eq!(FileType::of_mode(0o644), FileType::Other);
    }
}
