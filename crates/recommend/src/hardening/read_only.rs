//! The root file system: whether it can be read-only, and which directories must stay writable.

mod against;

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{NameUse, PathUse, Place};
use event::{Errno, FileAccess, FileType, NameOperation, Phase, Text};
use report::{Kind, Report, counted};

use super::paths::{Places, ancestors, is_below, parent, shown, text};
use super::seen::{Seen, Tally, program_of, sentence};
use super::user::writers;
use super::{Advice, Medium, ReadOnlyRoot, Verdict, WritableDirectory};

/// More directories than these are no short list: those that have one above them in common are put together.
const MAX_DIRECTORIES: usize = 16;
/// More than these, even so, are nothing that anybody mounts.
const MAX_MOUNTS: usize = 64;
/// So many lines of evidence are told of each.
const MAX_EVIDENCE: usize = 5;
/// What is done to a file that a read-only file system refuses.
pub(crate) const CHANGES: [FileAccess; 6] = [
    FileAccess::OpenedToWrite,
    FileAccess::Created,
    FileAccess::Truncated,
    FileAccess::Written,
    FileAccess::ModeChanged,
    FileAccess::OwnerChanged,
];
/// Directories of the image as a whole, or of what every program shares: none of them is mounted over for the sake of one file.
pub(crate) const SHARED: [&[u8]; 27] = [
    b"/",
    b"/bin",
    b"/boot",
    b"/dev",
    b"/etc",
    b"/home",
    b"/lib",
    b"/lib32",
    b"/lib64",
    b"/libx32",
    b"/media",
    b"/mnt",
    b"/opt",
    b"/proc",
    b"/sbin",
    b"/srv",
    b"/sys",
    b"/usr",
    b"/usr/bin",
    b"/usr/lib",
    b"/usr/lib64",
    b"/usr/local",
    b"/usr/sbin",
    b"/usr/share",
    b"/var",
    b"/var/lib",
    b"/usr/local/bin",
];
/// Directories whose content no program may count on at its next start: Filesystem Hierarchy Standard 3.0, 3.15 (`/run`), 3.18
/// (`/tmp`), 5.5 (`/var/cache`, which can be made anew), 5.9 and 5.13 (`/var/lock`, `/var/run`).
const SCRATCH: [&[u8]; 6] = [b"/run", b"/tmp", b"/var/cache", b"/var/lock", b"/var/run", b"/dev/shm"];
/// More than this is too much for memory, where it is not known how much of it goes to which directory.
const MAX_IN_MEMORY: u64 = 64 << 20;
/// EEXIST.
const EXISTS: Errno = Errno(17);

/// What all runs wrote to the root file system.
#[derive(Default)]
struct Written {
    /// By path.
    writes: BTreeMap<Vec<u8>, Write>,
    /// What the runs made themselves, directories and files.
    made: BTreeSet<Vec<u8>>,
    /// Of these, the directories.
    made_directories: BTreeSet<Vec<u8>>,
    /// Directories that were to be made and were there already.
    found_directories: BTreeSet<Vec<u8>>,
    /// The two names of what was renamed or linked.
    pairs: BTreeSet<(Vec<u8>, Vec<u8>)>,
    /// What was done to files of the engine.
    of_engine: BTreeMap<Vec<u8>, Tally>,
    /// The most that a run wrote to files of which it is not known how much was written to each.
    unlisted_bytes: u64,
    /// What was removed again by the run that made it.
    removed: BTreeSet<Vec<u8>>,
    /// What was used and was there before.
    found: BTreeSet<Vec<u8>>,
    /// What was run or mapped to be run.
    executed: BTreeSet<Vec<u8>>,
    /// How often something was tried with a name that failed, and would fail otherwise.
    failed: u64,
    /// Why there may be more, in sentences.
    unknown: BTreeSet<Text>,
}

/// What was written at one path.
#[derive(Default)]
struct Write {
    tally: Tally,
    /// Whether the path is that of a directory whose files are not listed one by one.
    is_directory: bool,
    /// Whether a directory was made there.
    makes_directory: bool,
    /// By run.
    bytes: Vec<(usize, u64)>,
}

pub(super) fn read_only_root(seen: &Seen<'_>) -> ReadOnlyRoot {
    let now = now(seen);
    if let Some(reason) = impossible(seen) {
        return ReadOnlyRoot { advice: Advice::unknown(now, reason), writable: Vec::new() };
    }
    let mut written = Written::default();
    for (number, (run, places)) in seen.runs().enumerate() {
        written.add(seen, number, run, places);
    }
    let (directories, hindrances) = written.directories();
    if directories.len() > MAX_MOUNTS {
        let reason =
            format!("it is written to in {} directories, which are too many to mount something at", directories.len());
        return ReadOnlyRoot { advice: Advice::unknown(now, &reason), writable: Vec::new() };
    }
    let writable: Vec<WritableDirectory> =
        directories.iter().map(|directory| written.writable(seen, directory)).collect();

    let mut advice = if let Some(advice) = written.refused(now) {
        advice
    } else if let Some(advice) = written.across(now, &directories) {
        advice
    } else if !hindrances.is_empty() {
        let writes = hindrances.iter().filter_map(|path| written.writes.get(path));
        let evidence: Vec<_> = writes.flat_map(|write| write.tally.evidence()).take(MAX_EVIDENCE).collect();
        let paths: Vec<String> = hindrances.iter().take(MAX_EVIDENCE).map(|path| shown(path)).collect();
        let reason = format!(
            "written in a directory that cannot be mounted over for that: {}; put this into the image, or let the program write elsewhere",
            paths.join(", ")
        );
        Advice::needed(now, &reason, evidence)
    } else if !written.unknown.is_empty() {
        Advice { now, reasons: written.unknown.iter().cloned().collect(), ..Advice::default() }
    } else if let Some(path) = written.made_in_advance(&directories) {
        let path = shown(path);
        let reason = format!(
            "it makes {path} itself, which would be mounted in advance; whether it goes on if the directory is there already is not known"
        );
        Advice::unknown(now, &reason)
    } else {
        let reason = match writable.len() {
            0 => "nothing was written to it".to_owned(),
            many => format!("all that was written to it lies in {}", counted(many as u64, "directory", "directories")),
        };
        Advice::apply(now, &reason, "a program that writes anywhere else in it gets EROFS")
    };
    if written.failed > 0 && advice.verdict == Verdict::Apply {
        advice = advice.because(format!(
            "{} to change a name failed while recorded, and will fail with EROFS instead",
            counted(written.failed, "attempt", "attempts")
        ));
    }
    ReadOnlyRoot { advice: seen.judge(&["files"], advice), writable }
}

/// Whether it is read-only already.
fn now(seen: &Seen<'_>) -> Option<bool> {
    seen.flag("read-only").or_else(|| {
        seen.agreed(|run| {
            let mounts = &run.behaviour.files.mounts;
            let root = |mount: &&behaviour::MountUse| {
                mount.phase == Phase::Main && mount.place == behaviour::Place::Root && mount.point.as_bytes() == b"/"
            };
            mounts.iter().find(root).map(|mount| mount.read_only)
        })
    })
}

/// Why nothing can be said at all.
fn impossible(seen: &Seen<'_>) -> Option<&'static str> {
    if !seen.nested.is_empty() {
        return Some("containers are made inside of it, and where these write is told in their own paths only");
    }
    let shares_mounts = seen.own.iter().any(|run| {
        let states = run.behaviour.privileged.confinement.iter().filter(|state| state.phase == Phase::Main);
        run.container.kind == Kind::ProcessTree
            || states.flat_map(|state| &state.host_namespaces).any(|one| one.as_bytes() == b"mount")
    });
    shares_mounts.then_some("it has no root file system of its own")
}

impl Written {
    fn add(&mut self, seen: &Seen<'_>, number: usize, run: &Report, places: &Places) {
        let files = &run.behaviour.files;
        if files.untold > 0 {
            self.unknown.insert(sentence("there are paths whose text is not known"));
        }
        let mut made = BTreeSet::new();
        let mut removed = BTreeSet::new();
        let roots = files.mounts.iter().filter(|mount| seen.counts(mount.phase) && mount.place == Place::Root);
        let mut unlisted = roots.map(|mount| mount.written_bytes).fold(0, u64::saturating_add);
        for used in files.paths.iter().filter(|used| seen.counts(used.phase)) {
            self.add_path(number, used, places, &mut made);
            if !used.unreachable && places.is_of_root(used) {
                unlisted = unlisted.saturating_sub(used.written_bytes);
            }
            if used.accesses.has_any(&CHANGES) && !used.unreachable {
                self.add_of_engine(number, run, used.path.as_bytes(), "written", used.phase, program_of(&used.first));
            }
        }
        self.unlisted_bytes = self.unlisted_bytes.max(unlisted);
        for used in files.directories.iter().filter(|used| seen.counts(used.phase)) {
            if !used.accesses.has_any(&CHANGES) {
                continue;
            }
            if used.path.is_empty() {
                self.unknown.insert(sentence("files were written of which not even the directory is listed"));
            } else if places.is_path_of_root(used.path.as_bytes()) {
                let write = self.writes.entry(used.path.as_bytes().to_vec()).or_default();
                write.is_directory = true;
                write.tally.add(number, "written", &used.path, used.phase, program_of(&used.first), used.opens);
            }
        }
        for used in files.names.iter().filter(|used| seen.counts(used.phase)) {
            self.add_name(number, used, places, &mut made, &mut removed);
            let changes_first = matches!(
                used.operation,
                NameOperation::ChangeMode | NameOperation::ChangeOwner | NameOperation::Truncate
            );
            if used.errno.is_none() && changes_first {
                let path = places.resolve(used.path.as_bytes());
                self.add_of_engine(number, run, &path, used.operation.name(), used.phase, program_of(&used.first));
            }
        }
        // A name in the file system is made when a unix socket begins to listen.
        for used in run.behaviour.network.listeners.iter().filter(|used| seen.counts(used.phase)) {
            let address = places.resolve(used.address.as_bytes());
            if used.protocol.is_unix() && used.address.as_bytes().starts_with(b"/") && places.is_path_of_root(&address)
            {
                let write = self.writes.entry(address.clone()).or_default();
                write.tally.add(
                    number,
                    "listened on",
                    &text(&address),
                    used.phase,
                    program_of(&used.first),
                    used.count,
                );
                made.insert(address);
            }
        }
        self.removed.extend(removed.intersection(&made).cloned());
        self.made.append(&mut made);
    }

    fn add_path(&mut self, number: usize, used: &PathUse, places: &Places, made: &mut BTreeSet<Vec<u8>>) {
        if used.unreachable || !places.is_of_root(used) {
            return;
        }
        let path = used.path.as_bytes().to_vec();
        let is_change = used.accesses.has_any(&CHANGES);
        // A device, a pipe and a socket can be written wherever they lie.
        let is_special = matches!(
            used.file_type,
            FileType::CharacterDevice | FileType::BlockDevice | FileType::NamedPipe | FileType::Socket
        );
        if used.path_truncated {
            if is_change && !is_special {
                self.unknown.insert(sentence("a file was written whose path is too long to be told"));
            }
            return;
        }
        if used.accesses.has_any(&[FileAccess::Executed, FileAccess::MappedToExecute]) {
            self.executed.insert(path.clone());
        }
        if used.accesses.has(FileAccess::Created) || used.deleted {
            made.insert(path.clone());
        } else {
            self.found.insert(path.clone());
        }
        if is_change && !is_special {
            let what = if used.accesses.has(FileAccess::Created) { "made and written" } else { "written" };
            let write = self.writes.entry(path).or_default();
            write.tally.add(number, what, &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            if used.written_bytes > 0 {
                write.bytes.push((number, used.written_bytes));
            }
        }
    }

    fn add_name(
        &mut self,
        number: usize,
        used: &NameUse,
        places: &Places,
        made: &mut BTreeSet<Vec<u8>>,
        removed: &mut BTreeSet<Vec<u8>>,
    ) {
        let operation = used.operation;
        if matches!(operation, NameOperation::Open | NameOperation::RunScript) {
            return;
        }
        if used.path.is_empty() {
            self.unknown.insert(sentence("something was done to names that are not listed"));
            return;
        }
        let first = places.resolve(used.path.as_bytes());
        let second = (!used.second_path.is_empty()).then(|| places.resolve(used.second_path.as_bytes()));
        // Of a symbolic link the first name is only what is written into it; of a hard link it stays as it is.
        let changed: Vec<&Vec<u8>> = match operation {
            NameOperation::Symlink | NameOperation::Link => second.iter().collect(),
            _ => std::iter::once(&first).chain(&second).collect(),
        };
        let changed: Vec<&Vec<u8>> = changed.into_iter().filter(|path| places.is_path_of_root(path)).collect();
        if changed.is_empty() {
            return;
        }
        if used.truncated {
            self.unknown.insert(sentence("something was done to a name that is too long to be told"));
            return;
        }
        if let Some(errno) = used.errno {
            // EPERM, EACCES and EROFS are refusals as before; a directory that is there is there (EEXIST).
            let stays =
                matches!(errno, Errno(1 | 13 | 30)) || (operation == NameOperation::MakeDirectory && errno == EXISTS);
            if operation == NameOperation::MakeDirectory && errno == EXISTS {
                self.found_directories.insert(first);
            }
            self.failed = self.failed.saturating_add(if stays { 0 } else { used.count });
            return;
        }
        if let (NameOperation::Rename | NameOperation::Link, Some(second)) = (operation, &second) {
            self.pairs.insert((first.clone(), second.clone()));
        }
        match operation {
            NameOperation::MakeDirectory => {
                self.made_directories.insert(first.clone());
                made.insert(first.clone());
            }
            NameOperation::MakeNode => drop(made.insert(first.clone())),
            NameOperation::Delete => drop(removed.insert(first.clone())),
            NameOperation::Rename => {
                // What was made under one name is there under the other.
                removed.insert(first.clone());
                made.extend(second.clone());
            }
            NameOperation::Link | NameOperation::Symlink => made.extend(second.clone()),
            _ => {}
        }
        for path in changed {
            let write = self.writes.entry(path.clone()).or_default();
            write.makes_directory |= operation == NameOperation::MakeDirectory;
            write.tally.add(number, operation.name(), &text(path), used.phase, program_of(&used.first), used.count);
        }
    }

    /// The directories that must be writable, and the paths that none of them can be for.
    fn directories(&self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let mut directories = BTreeSet::new();
        let mut hindrances = Vec::new();
        for (path, write) in &self.writes {
            match self.directory_of(path, write) {
                Some(directory) => drop(directories.insert(directory)),
                None => hindrances.push(path.clone()),
            }
        }
        // What lies below a directory that could be made is no hindrance.
        hindrances.retain(|path| !directories.iter().any(|directory| path == directory || is_below(path, directory)));
        let mut directories = topmost(directories);
        if directories.len() > MAX_DIRECTORIES {
            directories = topmost(joined(&directories));
        }
        (directories.into_iter().collect(), hindrances)
    }

    fn directory_of(&self, path: &[u8], write: &Write) -> Option<Vec<u8>> {
        let mut directory = if write.is_directory { path } else { parent(path) };
        // A directory that was made itself needs a writable one around it.
        while self.made_directories.contains(directory) && !SHARED.contains(&parent(directory)) {
            directory = parent(directory);
        }
        if !SHARED.contains(&directory) {
            return Some(directory.to_vec());
        }
        // It will be there already when the program wants to make it.
        (write.makes_directory && !SHARED.contains(&path)).then(|| path.to_vec())
    }

    fn writable(&self, seen: &Seen<'_>, directory: &[u8]) -> WritableDirectory {
        let below = |path: &&Vec<u8>| is_below(path, directory);
        let found = self.found.iter().filter(below).find(|path| !self.made.contains(*path));
        // A directory that something was made in and that no run made is the image's.
        let inner = self.writes.iter().filter(|(path, _)| is_below(path, directory)).flat_map(|(path, write)| {
            let own = write.is_directory.then_some(path.as_slice());
            ancestors(path).into_iter().chain(own)
        });
        let inner = inner.filter(|path| is_below(path, directory)).find(|path| !self.made_directories.contains(*path));
        let image = found.map(Vec::as_slice).or(inner);

        let here = |path: &Vec<u8>| path == directory || is_below(path, directory);
        let mut evidence = Vec::new();
        let mut more = 0_u32;
        let mut bytes = BTreeMap::<usize, u64>::new();
        for write in self.writes.iter().filter(|(path, _)| here(path)).map(|(_, write)| write) {
            for one in write.tally.evidence() {
                if evidence.len() < MAX_EVIDENCE { evidence.push(one) } else { more = more.saturating_add(1) }
            }
            for (run, written) in &write.bytes {
                let sum = bytes.entry(*run).or_default();
                *sum = sum.saturating_add(*written);
            }
        }
        let kept = self
            .writes
            .iter()
            .filter(|(path, write)| is_below(path, directory) && !write.is_directory)
            .map(|(path, _)| path)
            .find(|path| !self.removed.contains(*path));
        let is_listed = !self.writes.iter().any(|(path, write)| write.is_directory && here(path));
        let written_bytes = bytes.into_values().max().unwrap_or(0);
        let scratch = SCRATCH.iter().find(|scratch| directory == **scratch || is_below(directory, scratch));

        let mut reasons = Vec::new();
        let medium = if let Some(image) = image {
            reasons.push(format!(
                "the image has {} there, which was used: a new volume gets what the image has, a tmpfs hides it",
                shown(image)
            ));
            Medium::Volume
        } else if written_bytes.max(self.unlisted_bytes) > MAX_IN_MEMORY {
            reasons.push(if written_bytes > MAX_IN_MEMORY {
                "more is written there than memory is to be taken for".to_owned()
            } else {
                "more is written to the root file system than memory is to be taken for, and how much of it there is not known".to_owned()
            });
            Medium::Volume
        } else if let Some(scratch) = scratch {
            reasons.push(format!("programs may not count on what is in {} at their next start", shown(scratch)));
            Medium::Tmpfs
        } else if kept.is_none() && is_listed {
            reasons.push("all that was made there was removed again".to_owned());
            Medium::Tmpfs
        } else {
            let kept = kept.map(|path| format!(": {}", shown(path))).unwrap_or_default();
            reasons.push(format!("what is made there stays{kept}; whether the next start needs it is not known"));
            Medium::Volume
        };
        if self.made_directories.contains(directory) {
            reasons.push("the program makes this directory itself, and will find it there (EEXIST)".to_owned());
        }
        if let Some(hidden) = hidden(seen, directory).filter(|_| medium == Medium::Tmpfs) {
            reasons.push(format!(
                "the image has files there that were not used, and that a tmpfs hides: {}",
                shown(&hidden)
            ));
        }
        let writers = writers(seen);
        let mode = if writers.len() == 1 { "0755" } else { "1777" };
        let executed = self.executed.iter().any(|path| is_below(path, directory));
        let breaks = match medium {
            Medium::Tmpfs => "what the program writes there is gone at its next start, and takes memory until then",
            Medium::Volume => {
                "what the program writes there is not in the next container, as it was not before, and stays on the disk until the volume is removed"
            }
        };
        WritableDirectory {
            path: text(directory),
            medium,
            reasons: reasons.iter().map(sentence).collect(),
            breaks: sentence(breaks),
            writers,
            mode: mode.into(),
            written_bytes,
            executed,
            image_files_used: image.is_some(),
            evidence,
            more,
        }
    }
}

/// A file of the image below a directory that no run touched, if that was looked up.
fn hidden(seen: &Seen<'_>, directory: &[u8]) -> Option<Vec<u8>> {
    let untouched = seen.own.iter().filter_map(|run| run.untouched.as_ref());
    let mut paths = untouched.flat_map(|untouched| &untouched.parts).map(|part| part.path.as_bytes());
    paths.find(|path| is_below(path, directory)).map(<[u8]>::to_vec)
}

/// Those that lie below none of the others.
pub(crate) fn topmost(directories: BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let is_inner = |path: &&Vec<u8>| ancestors(path).into_iter().any(|above| directories.contains(above));
    directories.iter().filter(|path| !is_inner(path)).cloned().collect()
}

/// With the highest directory that several lie below in the place of these.
pub(crate) fn joined(directories: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let mut groups = BTreeMap::<&[u8], usize>::new();
    for directory in directories {
        for above in ancestors(directory) {
            *groups.entry(above).or_default() += 1;
        }
    }
    let highest = |directory: &Vec<u8>| {
        let above = ancestors(directory).into_iter().find(|above| !SHARED.contains(above) && groups[above] > 1);
        above.map_or_else(|| directory.clone(), <[u8]>::to_vec)
    };
    directories.iter().map(highest).collect()
}
