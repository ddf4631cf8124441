//! Files as the kernel tells of them: paths once, when they are used first, and counts again and again, in any order.
//!
//! Memory is bounded by the kernel's sets, of which each container has so many entries, and by a limit for texts: what
//! finds no room there is counted, all of it together.

use std::collections::BTreeMap;

use event::{
    Device, DirectoryUses, Errno, Event, FileAccesses, FileUsed, FileUses, Kept, MountUsed, MountUses, NameOperation,
    NameUsed, NameUses, PathId, Payload, Phase, Text, Total,
};
use rustc_hash::FxHashMap;

use crate::first::First;
use crate::images::Images;
use crate::{DirectoryUse, Files, MountUse, NameUse, PathUse, Place};

/// How one name was used, as the kernel keys it.
type NameKey = (Phase, NameOperation, Option<Errno>, PathId);

#[derive(Clone, Debug)]
pub(crate) struct FileSets {
    max_text_bytes: usize,
    text_bytes: usize,
    paths: FxHashMap<(Phase, PathId), Entry<FileUsed, FileUses>>,
    names: FxHashMap<NameKey, Entry<NameUsed, NameUses>>,
    directories: FxHashMap<(Phase, PathId), Entry<Text, DirectoryUses>>,
    mounts: BTreeMap<(Phase, u32, Device), Entry<MountUsed, MountUses>>,
}

/// What was told once, and what it has come to.
#[derive(Clone, Debug)]
struct Entry<T, C> {
    told: Option<T>,
    /// The text found no room.
    is_unlisted: bool,
    first: Option<First>,
    counted: Option<C>,
    last_boot_ns: u64,
}

impl<T, C> Default for Entry<T, C> {
    fn default() -> Entry<T, C> {
        Entry { told: None, is_unlisted: false, first: None, counted: None, last_boot_ns: 0 }
    }
}

impl<T, C: PartialEq> Entry<T, C> {
    fn tell(&mut self, told: T, event: &Event) {
        // An event that was sent twice is the same one, told by two CPUs.
        if self.first.as_ref().is_none_or(|first| event.boot_ns < first.boot_ns) {
            self.first = Some(First::new(event.boot_ns, &event.task));
            self.told = Some(told);
        }
    }

    /// The newest snapshot is the whole truth.
    fn count(&mut self, counted: &C, boot_ns: u64)
    where
        C: Clone,
    {
        if self.counted.as_ref() != Some(counted) {
            self.counted = Some(counted.clone());
            self.last_boot_ns = self.last_boot_ns.max(boot_ns);
        }
    }
}

impl FileSets {
    pub(crate) fn new(max_text_bytes: usize) -> FileSets {
        FileSets {
            max_text_bytes,
            text_bytes: 0,
            paths: FxHashMap::default(),
            names: FxHashMap::default(),
            directories: FxHashMap::default(),
            mounts: BTreeMap::new(),
        }
    }

    /// Takes in the first use of something.
    pub(crate) fn observe(&mut self, event: &Event) {
        match &event.payload {
            Payload::File(file) => {
                let fits = self.has_room(file.path.as_bytes().len() + file.argument.as_bytes().len());
                let entry = self.paths.entry((event.phase, file.file)).or_default();
                if fits { entry.tell(file.clone(), event) } else { entry.is_unlisted = true }
            }
            Payload::Name(name) => {
                let fits = self.has_room(name.path.as_bytes().len() + name.second_path.as_bytes().len());
                let key = (event.phase, name.operation, name.errno, name.name);
                let entry = self.names.entry(key).or_default();
                if fits { entry.tell(name.clone(), event) } else { entry.is_unlisted = true }
            }
            Payload::Directory(directory) => {
                let fits = self.has_room(directory.path.as_bytes().len());
                let entry = self.directories.entry((event.phase, directory.directory)).or_default();
                if fits { entry.tell(directory.path.clone(), event) } else { entry.is_unlisted = true }
            }
            Payload::Mount(mount) => {
                let entry = self.mounts.entry((event.phase, mount.mount, mount.device)).or_default();
                entry.tell(mount.clone(), event);
            }
            _ => {}
        }
    }

    /// Takes in what something has come to at this time.
    pub(crate) fn keep(&mut self, kept: &Kept, boot_ns: u64) {
        match &kept.total {
            Total::File(uses) => {
                self.paths.entry((kept.phase, uses.file)).or_default().count(uses, boot_ns);
            }
            Total::Name(uses) => {
                let key = (kept.phase, uses.operation, uses.errno, uses.name);
                self.names.entry(key).or_default().count(uses, boot_ns);
            }
            Total::Directory(uses) => {
                self.directories.entry((kept.phase, uses.directory)).or_default().count(uses, boot_ns);
            }
            Total::Mount(uses) => {
                self.mounts.entry((kept.phase, uses.mount, uses.device)).or_default().count(uses, boot_ns);
            }
            // What other totals come to is kept by whoever needs it.
            _ => {}
        }
    }

    /// Looks up who used what first, while that is still known.
    pub(crate) fn resolve(&mut self, images: &Images) {
        let paths = self.paths.values_mut().filter_map(|entry| entry.first.as_mut());
        let names = self.names.values_mut().filter_map(|entry| entry.first.as_mut());
        let directories = self.directories.values_mut().filter_map(|entry| entry.first.as_mut());
        paths.chain(names).chain(directories).for_each(|first| first.resolve(images));
    }

    pub(crate) fn freeze(&self, images: &Images) -> Files {
        let mut files = Files::default();
        let mut unlisted: BTreeMap<Phase, DirectoryUses> = BTreeMap::new();
        for (&(phase, _), entry) in &self.paths {
            match (&entry.told, &entry.counted) {
                (Some(file), _) => files.paths.push(path_use(phase, file, entry, images)),
                (None, Some(counted)) if entry.is_unlisted => {
                    add_to(unlisted.entry(phase).or_insert_with(none), counted)
                }
                (None, _) => files.untold += 1,
            }
        }
        for (&(phase, operation, errno, id), entry) in &self.names {
            let count = entry.counted.as_ref().map_or(1, |counted| counted.count);
            if entry.told.is_none() && !entry.is_unlisted && id != PathId(0) {
                files.untold += 1;
                continue;
            }
            let told = entry.told.as_ref();
            files.names.push(NameUse {
                phase,
                operation,
                errno,
                path: told.map(|name| name.path.clone()).unwrap_or_default(),
                second_path: told.map(|name| name.second_path.clone()).unwrap_or_default(),
                count,
                first: entry.first.as_ref().map(|first| first.freeze(images)),
                last_boot_ns: entry.last_boot_ns,
                truncated: told.is_some_and(|name| name.truncated),
            });
        }
        for (&(phase, id), entry) in &self.directories {
            let Some(counted) = &entry.counted else { continue };
            if id == PathId(0) || entry.is_unlisted {
                let sum = unlisted.entry(phase).or_insert_with(none);
                sum.opens = sum.opens.saturating_add(counted.opens);
                sum.distinct = sum.distinct.saturating_add(counted.distinct);
                sum.accesses = sum.accesses.with(counted.accesses);
                continue;
            }
            if entry.told.is_none() {
                files.untold += 1;
            }
            files.directories.push(DirectoryUse {
                phase,
                path: entry.told.clone().unwrap_or_default(),
                opens: counted.opens,
                distinct: counted.distinct,
                accesses: counted.accesses,
                first: entry.first.as_ref().map(|first| first.freeze(images)),
            });
        }
        files.directories.extend(unlisted.into_iter().map(|(phase, sum)| DirectoryUse {
            phase,
            path: Text::default(),
            opens: sum.opens,
            distinct: sum.distinct,
            accesses: sum.accesses,
            first: None,
        }));
        files
            .mounts
            .extend(self.mounts.iter().map(|(&(phase, mount, device), entry)| mount_use(phase, mount, device, entry)));
        // In their order, and what is the same path as one: a file can be replaced by another.
        Files::default().merge(files)
    }

    /// Takes so much room, if it is there.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.text_bytes + bytes <= self.max_text_bytes;
        if fits {
            self.text_bytes += bytes;
        }
        fits
    }
}

fn path_use(phase: Phase, file: &FileUsed, entry: &Entry<FileUsed, FileUses>, images: &Images) -> PathUse {
    let counted = entry.counted.as_ref();
    let counted_accesses = counted.map(|counted| counted.accesses).unwrap_or_default();
    PathUse {
        phase,
        path: file.path.clone(),
        file_type: file.file_type,
        accesses: file.accesses.with(counted_accesses),
        opens: counted.map_or(0, |counted| counted.opens),
        read_bytes: counted.map_or(0, |counted| counted.read_bytes),
        written_bytes: counted.map_or(0, |counted| counted.written_bytes),
        first: entry.first.as_ref().map(|first| first.freeze(images)),
        argument: file.argument.clone(),
        last_boot_ns: entry.last_boot_ns,
        mount: file.mount,
        device: file.device,
        inode: file.inode,
        inode_generation: file.inode_generation,
        path_truncated: file.path_truncated,
        argument_truncated: file.argument_truncated,
        deleted: file.deleted,
        unreachable: file.unreachable,
    }
}

fn mount_use(phase: Phase, mount: u32, device: Device, entry: &Entry<MountUsed, MountUses>) -> MountUse {
    let told = entry.told.as_ref();
    let text = |of: fn(&MountUsed) -> &Text| told.map(of).cloned().unwrap_or_default();
    let (fs_type, point, root) = (text(|told| &told.fs_type), text(|told| &told.point), text(|told| &told.root));
    MountUse {
        phase,
        mount,
        device,
        place: Place::of(fs_type.as_bytes(), point.as_bytes(), root.as_bytes()),
        point,
        fs_type,
        root,
        source: text(|told| &told.source),
        host_path: told.and_then(|told| told.host_path.clone()),
        layers: told.map(|told| told.layers.clone()).unwrap_or_default(),
        read_only: told.is_some_and(|told| told.read_only),
        read_bytes: entry.counted.as_ref().map_or(0, |counted| counted.read_bytes),
        written_bytes: entry.counted.as_ref().map_or(0, |counted| counted.written_bytes),
    }
}

/// Of files that are not listed.
fn none() -> DirectoryUses {
    DirectoryUses { directory: PathId(0), opens: 0, distinct: 0, accesses: FileAccesses::default() }
}

fn add_to(sum: &mut DirectoryUses, file: &FileUses) {
    sum.opens = sum.opens.saturating_add(file.opens);
    sum.distinct += 1;
    sum.accesses = sum.accesses.with(file.accesses);
}
