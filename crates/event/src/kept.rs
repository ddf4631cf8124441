//! What the kernel keeps as sets: it is read again and again, and each reading is the whole truth so far.

use crate::{ArgumentSeen, DirectoryUses, Event, FileUses, MountUses, NameUses, Phase, ResourceTotal, RunId};

/// One entry of a set, as it was read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The container.
    pub run: RunId,
    /// The part of its life.
    pub phase: Phase,
    /// What it has come to.
    pub total: Total,
}

/// What something has come to since the run began. A new set is one more variant here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Total {
    /// The fact that was told when it was first, with the number it has come to: at the time, and by the task, of the first.
    Told(Box<Event>),
    /// What went over a connection that is still open, and is not in what its flow was told to have come to: a
    /// [`crate::Payload::Flow`] with traffic only.
    Open(Box<Event>),
    /// One path.
    File(FileUses),
    /// One name.
    Name(NameUses),
    /// The files of one directory that are counted together.
    Directory(DirectoryUses),
    /// One mount.
    Mount(MountUses),
    /// A value that a system call was passed, or that there were more than are kept.
    Argument(ArgumentSeen),
    /// Something that it used of the machine; its phase means nothing.
    Resource(ResourceTotal),
}
