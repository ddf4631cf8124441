//! The places that a workload writes: a list of all that may be written, so that nothing else is.
//!
//! A name that stays the same from run to run is listed by itself, and so is a folder whose mode is changed. A folder is listed
//! with all that lies below it where names change, but never one of the system's: there each name is listed, and that is said.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{Files, NameUse, PathUse, Place};
use event::{FileAccess, FileType, NameOperation, Outcome, Phase, PrivilegedOperation, Text};
use report::{Reason, ReasonCode, Report, Workload};

use crate::hardening::paths::{Places, ancestors, is_below, name, parent, tidied};
use crate::hardening::{CHANGES, SHARED, joined, topmost};
use crate::names::{TEMPORARY, is_of_chance};
use crate::refusal::{self, Refusal};
use crate::source::{Runs, who};

/// So many names in one folder are listed one by one.
const MAX_NAMES: usize = 16;
/// So many places are listed before those that lie near each other are put together.
const MAX_PLACES: usize = 256;
/// With all below them: programs, libraries and what the kernel shows. None of these folders is opened for the sake of a name.
const SYSTEM: [&[u8]; 17] = [
    b"/bin",
    b"/boot",
    b"/lib",
    b"/lib32",
    b"/lib64",
    b"/libx32",
    b"/proc",
    b"/sbin",
    b"/usr/bin",
    b"/usr/lib",
    b"/usr/lib32",
    b"/usr/lib64",
    b"/usr/libexec",
    b"/usr/libx32",
    b"/usr/local/bin",
    b"/usr/local/lib",
    b"/usr/sbin",
];
/// Where no files lie: what the kernel shows of processes, terminals and message queues.
const NO_FILES: [&[u8]; 4] = [b"/dev/mqueue/", b"/dev/pts/", b"/proc/self/", b"/proc/thread-self/"];

/// A place that may be written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenPlace {
    /// Its whole path.
    pub path: Text,
    /// Whether all that lies below it is meant, and not it itself.
    pub is_below: bool,
}

/// What some runs of a workload wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub places: BTreeSet<WrittenPlace>,
    /// What was written and cannot be listed, as no path finds it again, or because only its folder is known and that is one of the
    /// system's.
    pub unlistable: BTreeSet<Text>,
    /// Folders of the system in which names change: those that were seen are listed, and others will be denied.
    pub narrow: BTreeSet<Text>,
    /// Whether places that lie near each other were put together, as there were too many.
    pub is_joined: bool,
    /// The runs, in the order in which they began: how each fares under what the others wrote.
    pub runs: Vec<RunWritten>,
    /// What the reports do not show, in sentences; not empty only if that was allowed.
    pub incomplete: Vec<Text>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunWritten {
    /// What people call the container.
    pub name: Text,
    /// How many files it wrote, made, removed, moved or changed.
    pub files: u64,
    /// How many of these would have been denied if only what the other runs wrote might have been written.
    pub denied: u64,
    /// What these were.
    pub denied_files: BTreeSet<Text>,
}

/// The places that these runs of one workload wrote.
pub fn written(reports: &[Report], allow_incomplete: bool) -> Result<Written, Refusal> {
    let runs = Runs::of(reports);
    if Workload::of_all(&runs.own)?.is_none() {
        return Err(Refusal::NoReport);
    }
    for run in &runs.own {
        refusal::is_visible(run)?;
    }
    if let Some(run) = runs.nested.first() {
        return Err(Refusal::WritesOfNested { who: who(run) });
    }
    let missing: Vec<String> =
        runs.own.iter().flat_map(|run| gaps(run).into_iter().map(|gap| format!("{}: {gap}", who(run)))).collect();
    if !missing.is_empty() && !allow_incomplete {
        return Err(Refusal::Incomplete { reasons: missing });
    }
    let mut own: Vec<(&Report, Acts)> = runs.own.iter().map(|run| (*run, Acts::of(run))).collect();
    own.sort_by_key(|(run, _)| run.window.begin.wall);

    let all: Vec<&Acts> = own.iter().map(|(_, acts)| acts).collect();
    let listed = Listed::of(&all);
    let mut found = Written {
        places: listed.places(),
        narrow: listed.narrow.iter().map(Text::new).collect(),
        is_joined: listed.is_joined,
        incomplete: missing.iter().map(|reason| Text::from(reason.as_str())).collect(),
        ..Written::default()
    };
    for (at, (run, acts)) in own.iter().enumerate() {
        found.unlistable.extend(acts.beyond(&listed, true));
        let others: Vec<&Acts> =
            all.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, acts)| *acts).collect();
        let denied = acts.beyond(&Listed::of(&others), false);
        found.runs.push(RunWritten {
            name: who(run).as_str().into(),
            files: acts.len() as u64,
            denied: denied.len() as u64,
            denied_files: denied,
        });
    }
    Ok(found)
}

/// Why it may have written more, in sentences.
fn gaps(run: &Report) -> Vec<String> {
    // Names of sockets come from another sensor, whose other gaps are about peers.
    let concerns = |reason: &&Reason| match reason.sensor.as_ref().map(Text::as_bytes) {
        None | Some(b"files" | b"identity") => true,
        Some(b"network") => matches!(reason.code, ReasonCode::Loss | ReasonCode::SensorMissing),
        Some(_) => false,
    };
    let mut gaps: Vec<String> =
        run.reasons.iter().filter(concerns).map(|reason| reason.text.shown().into_owned()).collect();
    let is_complete = run.sections.get(&Text::from("files")).copied().unwrap_or(run.complete);
    if !is_complete && gaps.is_empty() {
        gaps.push("files may be missing in the report".into());
    }
    let files = &run.behaviour.files;
    if files.untold > 0 {
        gaps.push("there are paths whose text is not known".into());
    }
    let is_cut = |used: &PathUse| used.path_truncated && is_change(used) && counts(used.phase);
    let is_name_cut = |used: &NameUse| used.truncated && !changed(used).is_empty() && counts(used.phase);
    if files.paths.iter().any(is_cut) || files.names.iter().any(is_name_cut) {
        gaps.push("something was written at a path that is too long to be told".into());
    }
    let changes_root = |operation| matches!(operation, PrivilegedOperation::Chroot | PrivilegedOperation::PivotRoot);
    let operations = run.behaviour.privileged.operations.iter().filter(|one| counts(one.phase));
    for one in operations.filter(|one| changes_root(one.operation) && one.outcome == Outcome::Allowed) {
        if one.object.as_bytes() != b"/" {
            gaps.push(format!(
                "it changed its root to {}: what it wrote then is told by paths below that root",
                report::quoted(&one.object)
            ));
        }
    }
    gaps
}

/// The workload's own, and that of sessions in it.
fn counts(phase: Phase) -> bool {
    matches!(phase, Phase::Main | Phase::Exec)
}

fn is_change(used: &PathUse) -> bool {
    // Whoever made the descriptor wrote it, not who was handed it.
    if used.opens == 0 && used.accesses.iter().all(|access| !CHANGES.contains(&access) || access == FileAccess::Written)
    {
        return false;
    }
    // Once it is open, what is written to one of these changes no file.
    let is_more_than_its_name =
        matches!(used.file_type, FileType::CharacterDevice | FileType::NamedPipe | FileType::Socket);
    match is_more_than_its_name {
        true => used.accesses.has_any(&[FileAccess::Created, FileAccess::ModeChanged, FileAccess::OwnerChanged]),
        false => used.accesses.has_any(&CHANGES),
    }
}

/// The names that this changed, as they were passed.
fn changed(used: &NameUse) -> Vec<&Text> {
    if used.errno.is_some() {
        return Vec::new();
    }
    match used.operation {
        NameOperation::Open | NameOperation::RunScript => Vec::new(),
        NameOperation::Symlink => vec![&used.second_path],
        // Whoever may write the second name of a file may write the file.
        NameOperation::Rename | NameOperation::Link => vec![&used.path, &used.second_path],
        NameOperation::Delete
        | NameOperation::MakeDirectory
        | NameOperation::MakeNode
        | NameOperation::ChangeMode
        | NameOperation::ChangeOwner
        | NameOperation::Truncate => vec![&used.path],
    }
}

fn is_no_file(path: &[u8]) -> bool {
    let is_of_process = path.strip_prefix(b"/proc/").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    is_of_process || NO_FILES.iter().any(|folder| path.starts_with(folder))
}

/// What one run wrote.
#[derive(Debug, Default)]
struct Acts {
    /// By path.
    names: BTreeSet<Vec<u8>>,
    /// Folders in which something was written that is not known by name.
    folders: BTreeSet<Vec<u8>>,
    /// Folders that the run made itself.
    made: BTreeSet<Vec<u8>>,
    /// What no path finds again.
    unlistable: BTreeSet<Text>,
}

impl Acts {
    fn of(run: &Report) -> Acts {
        let mut acts = Acts::default();
        let files = &run.behaviour.files;
        let places = Places::of(run);
        for used in files.paths.iter().filter(|used| counts(used.phase) && is_change(used)) {
            acts.add_path(used, files);
        }
        for used in files.directories.iter().filter(|used| counts(used.phase) && used.accesses.has_any(&CHANGES)) {
            let path = used.path.as_bytes();
            if path.starts_with(b"/") && !is_no_file(&[path, b"/"].concat()) {
                acts.folders.insert(path.to_vec());
            }
        }
        let mut renamed = Vec::new();
        for used in files.names.iter().filter(|used| counts(used.phase) && !used.path.is_empty() && !used.truncated) {
            acts.add_name(used, &places, &mut renamed);
        }
        for (from, to) in renamed {
            if acts.made.contains(&from) {
                acts.made.insert(to);
            }
        }
        // A name in the file system is made when a unix socket is bound.
        for used in run.behaviour.network.listeners.iter().filter(|used| counts(used.phase)) {
            if used.protocol.is_unix() && !used.address.is_empty() && !used.address.as_bytes().starts_with(b"@") {
                acts.add(&used.address, &places);
            }
        }
        acts
    }

    fn add_path(&mut self, used: &PathUse, files: &Files) {
        let path = used.path.as_bytes();
        if used.path_truncated || is_no_file(path) {
            return;
        }
        if used.unreachable || !path.starts_with(b"/") {
            let mut mounts = files.mounts.iter().filter(|mount| (mount.phase, mount.mount) == (used.phase, used.mount));
            if !mounts.any(|mount| mount.place == Place::Internal) {
                self.unlistable.insert(used.path.clone());
            }
        } else if used.deleted {
            self.folders.insert(parent(path).to_vec());
        } else {
            self.names.insert(path.to_vec());
        }
    }

    fn add_name(&mut self, used: &NameUse, places: &Places, renamed: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let changed: Vec<Vec<u8>> = changed(used).into_iter().filter_map(|name| self.add(name, places)).collect();
        match (used.operation, changed.as_slice()) {
            (NameOperation::MakeDirectory, [path]) => drop(self.made.insert(path.clone())),
            (NameOperation::Rename, [from, to]) => renamed.push((from.clone(), to.clone())),
            (NameOperation::ChangeMode | NameOperation::ChangeOwner | NameOperation::Truncate, [path]) => {
                // These go through a link.
                self.names.extend(places.target(path).map(<[u8]>::to_vec).filter(|target| !is_no_file(target)));
            }
            _ => {}
        }
    }

    /// A name as it was passed; gives where it led.
    fn add(&mut self, name: &Text, places: &Places) -> Option<Vec<u8>> {
        if !name.as_bytes().starts_with(b"/") {
            self.unlistable.insert(name.clone());
            return None;
        }
        // First, as what stands for the process itself is no link like others.
        if is_no_file(&tidied(name.as_bytes())) {
            return None;
        }
        let path = places.resolve(name.as_bytes());
        if is_no_file(&path) {
            return None;
        }
        self.names.insert(path.clone());
        Some(path)
    }

    fn len(&self) -> usize {
        self.names.len() + self.folders.len() + self.unlistable.len()
    }

    /// What may not be written under this list; without names if only what no list can have is asked for.
    fn beyond(&self, listed: &Listed, only_unlistable: bool) -> BTreeSet<Text> {
        let mut beyond = self.unlistable.clone();
        let folders = self.folders.iter().filter(|folder| !listed.has_below(folder));
        beyond.extend(folders.map(|folder| Text::new([folder, b"/*".as_slice()].concat())));
        if !only_unlistable {
            beyond.extend(self.names.iter().filter(|path| !listed.has(path)).map(Text::new));
        }
        beyond
    }
}

/// What may be written.
#[derive(Debug, Default)]
struct Listed {
    names: BTreeSet<Vec<u8>>,
    folders: BTreeSet<Vec<u8>>,
    narrow: BTreeSet<Vec<u8>>,
    is_joined: bool,
}

impl Listed {
    fn of(runs: &[&Acts]) -> Listed {
        let mut open: BTreeSet<Vec<u8>> =
            runs.iter().flat_map(|acts| acts.folders.iter().chain(&acts.made)).cloned().collect();
        let mut narrow = BTreeSet::new();
        for (folder, names) in in_folders(runs) {
            let temporary = TEMPORARY.iter().map(|folder| folder.trim_end_matches('/').as_bytes());
            let mut temporary = temporary.filter(|temporary| folder == *temporary || is_below(folder, temporary));
            if let Some(temporary) = temporary.next() {
                open.insert(temporary.to_vec());
            } else if do_change(&names, runs.len()) && !open.contains(folder) {
                let into = if may_be_opened(folder) { &mut open } else { &mut narrow };
                into.insert(folder.to_vec());
            }
        }
        open.retain(|folder| may_be_opened(folder));
        let mut listed = Listed { folders: topmost(open), narrow, ..Listed::default() };
        let names = runs.iter().flat_map(|acts| &acts.names).filter(|path| !listed.has(path));
        listed.names = names.cloned().collect();
        if listed.names.len() + listed.folders.len() > MAX_PLACES {
            listed.join();
        }
        listed
    }

    /// Puts together what lies near each other.
    fn join(&mut self) {
        let (near, kept): (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) =
            std::mem::take(&mut self.names).into_iter().partition(|path| may_be_opened(parent(path)));
        let folders = joined(&near.union(&self.folders).cloned().collect());
        self.folders.extend(folders.into_iter().filter(|path| !near.contains(path)));
        self.folders = topmost(std::mem::take(&mut self.folders));
        self.names = near.into_iter().chain(kept).filter(|path| !self.has(path)).collect();
        self.is_joined = true;
    }

    fn has(&self, path: &[u8]) -> bool {
        self.names.contains(path) || ancestors(path).into_iter().any(|folder| self.folders.contains(folder))
    }

    fn has_below(&self, folder: &[u8]) -> bool {
        self.folders.contains(folder) || ancestors(folder).into_iter().any(|above| self.folders.contains(above))
    }

    fn places(&self) -> BTreeSet<WrittenPlace> {
        let place = |is_below| move |path: &Vec<u8>| WrittenPlace { path: Text::new(path), is_below };
        self.names.iter().map(place(false)).chain(self.folders.iter().map(place(true))).collect()
    }
}

/// The names that were written, by folder; of each folder those of each run in which there are any.
fn in_folders<'a>(runs: &[&'a Acts]) -> BTreeMap<&'a [u8], Vec<BTreeSet<&'a [u8]>>> {
    let mut folders = BTreeMap::<&[u8], Vec<BTreeSet<&[u8]>>>::new();
    for acts in runs {
        let mut own = BTreeMap::<&[u8], BTreeSet<&[u8]>>::new();
        for path in &acts.names {
            own.entry(parent(path)).or_default().insert(name(path));
        }
        for (folder, names) in own {
            folders.entry(folder).or_default().push(names);
        }
    }
    folders
}

/// Whether the next run may write other names in this folder, as far as these runs tell.
fn do_change(names: &[BTreeSet<&[u8]>], runs: usize) -> bool {
    let all: BTreeSet<&[u8]> = names.iter().flatten().copied().collect();
    if all.len() > MAX_NAMES {
        return true;
    }
    let is_in_all = |name: &&[u8]| runs > 1 && names.len() == runs && names.iter().all(|own| own.contains(name));
    if all.iter().any(|name| !is_in_all(name) && is_of_chance(name)) {
        return true;
    }
    // Two runs of which each wrote a name that the other did not: none has all of the other's.
    let mut by_size: Vec<&BTreeSet<&[u8]>> = names.iter().collect();
    by_size.sort_by_key(|own| own.len());
    by_size.windows(2).any(|pair| !pair[0].is_subset(pair[1]))
}

fn may_be_opened(folder: &[u8]) -> bool {
    !SHARED.contains(&folder) && !SYSTEM.iter().any(|system| folder == *system || is_below(folder, system))
}
