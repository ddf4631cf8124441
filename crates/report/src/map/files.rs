//! What containers hand to one another through volumes and mounted directories: the same file by device, inode and its
//! generation, which one wrote and another read.

use std::collections::{BTreeMap, BTreeSet};

use event::{Device, Text};

use super::collect::{FilePart, Ground};

/// An edge names no more files than this.
pub(super) const MOST_FILES: usize = 16;
/// A file that more containers have than this gives edges only between the first of them: a host's time zone file is
/// read by everybody, and each writer and reader is an edge.
const MOST_SHARERS: usize = 64;

/// What went from a writer to a reader through one directory of the host.
#[derive(Default)]
pub(super) struct Handed {
    /// Paths in the writer.
    pub(super) files: BTreeSet<Text>,
    pub(super) total: u64,
    /// What the writer wrote and the reader read, if it was counted by file.
    pub(super) written_bytes: u64,
    pub(super) read_bytes: u64,
}

/// A file: the host, the device, the inode number and its generation.
type FileKey = (usize, Device, u64, u32);
/// By writer, reader, and the directory of the host.
pub(super) type Files = BTreeMap<(usize, usize, Text), Handed>;

pub(super) fn edges(ground: &Ground) -> Files {
    let mut sharers: BTreeMap<FileKey, Vec<(usize, &FilePart)>> = BTreeMap::new();
    for (at, container) in ground.containers.iter().enumerate() {
        for (&(device, inode, generation), part) in &container.files {
            let together = sharers.entry((container.host, device, inode, generation)).or_default();
            if together.len() < MOST_SHARERS {
                together.push((at, part));
            }
        }
    }
    let mut files = Files::new();
    for together in sharers.values() {
        for &(writer, written) in together.iter().filter(|(_, part)| part.writes) {
            for &(reader, read) in together.iter().filter(|(at, part)| part.reads && *at != writer) {
                let handed = files.entry((writer, reader, written.host_path.clone())).or_default();
                if handed.files.len() < MOST_FILES {
                    handed.files.insert(written.path.clone());
                }
                handed.total += 1;
                handed.written_bytes = handed.written_bytes.saturating_add(written.written_bytes);
                handed.read_bytes = handed.read_bytes.saturating_add(read.read_bytes);
            }
        }
    }
    files
}
