//! The files of a process that an alert is about: its program is hashed, and with `capture` kept, as are its scripts and what was
//! written.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use containers::proc::{Namespace, Proc};
use event::{Payload, Phase, ProcessId, Text};
use rustix::fs::OFlags;

use super::{Open, WorkerSettings, now};
use crate::capture::{self, Refused};
use crate::evidence::{Grip, facts, is_of};
use crate::family::{Candidate, Family, written};
use crate::incident::FileFacts;
use crate::missing::reason;
use crate::noted::Noted;
use crate::{Executable, FileKind, Incident, KeptFile, Missing, Process};

/// So many files of an incident are kept or said to be missing, and so many of them for one alert.
const MAX_FILES: usize = 256;
const MAX_FILES_OF_ONE: usize = 32;
/// Of so many processes it is tried whether one still lives, to reach the files of one that does not.
const MAX_TRIED: usize = 32;

/// What the files of an incident take.
pub(super) fn kept_bytes(incident: &Incident) -> u64 {
    let kept = incident.files.iter().filter(|file| file.sha256.is_some());
    kept.filter_map(|file| file.file.as_ref()).map(|file| file.size_bytes).sum()
}

pub(super) fn of_process(
    settings: &WorkerSettings,
    proc: &Proc,
    open: &mut Open,
    process: &mut Process,
    grip: Grip,
    family: &Family<'_>,
    events: &[Arc<Noted>],
) {
    program(settings, open, process, grip.program.as_ref());
    if !settings.capture {
        return;
    }
    let close = family.close_to(process.id);
    let mut wanted: Vec<(FileKind, Candidate)> = Vec::new();
    // The program that did it, where that is not what could be opened: it has ended, or become another one.
    let is_another = process
        .executable_then
        .as_ref()
        .is_some_and(|then| process.executable.as_ref().is_some_and(|now| !is_of(now, then)));
    if (grip.program.is_none() || is_another)
        && let Some(path) =
            process.executable_then.clone().or(process.told.as_ref().map(|told| told.executable.clone()))
    {
        wanted.push((FileKind::Executable, Candidate { path, process: process.id, inode: None }));
    }
    wanted.extend(family.scripts(&close).into_iter().map(|it| (FileKind::Script, it)));
    wanted.extend(written(events, &close, process.id).into_iter().map(|it| (FileKind::Written, it)));
    if wanted.len() > MAX_FILES_OF_ONE {
        let more = wanted.len() - MAX_FILES_OF_ONE;
        open.miss("files", format!("{more} more that process {} or one close to it wrote", process.id.pid));
        wanted.truncate(MAX_FILES_OF_ONE);
    }
    if wanted.is_empty() {
        return;
    }
    let (root, through) = match grip.root {
        Some(root) => (Ok(root), None),
        None => root_of_another(proc, process, events),
    };
    let root = root.and_then(|root| not_of_the_host(proc, root));
    for (kind, candidate) in wanted {
        one(settings, open, kind, candidate, root.as_ref(), through);
    }
}

/// Hashes the program, and keeps it if that is wanted.
fn program(settings: &WorkerSettings, open: &mut Open, process: &mut Process, file: Option<&File>) {
    let (Some(file), Some(executable)) = (file, process.executable.as_mut()) else { return };
    let path = executable.path.clone();
    if settings.capture {
        let mut kept = entry(FileKind::Executable, path, process.id);
        kept.file = Some(executable.file.clone());
        keep(settings, open, file, &mut kept);
        executable.sha256 = kept.sha256;
        add(open, kept);
    }
    if executable.sha256.is_none() {
        hash(settings, executable, file, &mut process.missing);
    }
}

fn hash(settings: &WorkerSettings, executable: &mut Executable, file: &File, missing: &mut Vec<Missing>) {
    let found =
        capture::check(file, &executable.file).and_then(|()| capture::read(file, settings.file_bytes, io::sink()));
    let mut miss = |why: String| missing.push(Missing { what: "hash of the program".into(), reason: why.into() });
    match found {
        Ok(content) if content.changed => miss("it changed while it was read".into()),
        Ok(content) => executable.sha256 = Some(content.sha256),
        Err(error) => miss(reason(&error)),
    }
}

fn one(
    settings: &WorkerSettings,
    open: &mut Open,
    kind: FileKind,
    candidate: Candidate,
    root: Result<&OwnedFd, &&'static str>,
    through: Option<ProcessId>,
) {
    let is_known = |it: &KeptFile| {
        (it.kind, &it.path, it.process) == (kind, &candidate.path, candidate.process) && it.sha256.is_some()
    };
    if open.incident.files.iter().any(is_known) {
        return;
    }
    let mut kept = entry(kind, candidate.path, candidate.process);
    let root = match root {
        Ok(root) => root,
        Err(why) => {
            kept.note = Some(format!("not kept: {why}").into());
            return add(open, kept);
        }
    };
    match capture::open_in(root, &kept.path) {
        Ok((file, found)) => {
            let was_replaced = candidate.inode.is_some_and(|inode| inode != found.inode);
            kept.file = Some(found);
            keep(settings, open, &file, &mut kept);
            if kept.sha256.is_some() {
                let replaced = was_replaced.then(|| "another file has its name now than was written".to_owned());
                let by_path = (kind == FileKind::Executable)
                    .then(|| "found by its path after the process had ended or had become another program: it may be another file by now".to_owned());
                let reached = through.map(|other| format!("reached through the root of process {}", other.pid));
                let notes: Vec<String> =
                    [kept.note.take().map(|note| note.shown().into_owned()), replaced, by_path, reached]
                        .into_iter()
                        .flatten()
                        .collect();
                kept.note = (!notes.is_empty()).then(|| notes.join("; ").into());
            }
        }
        Err(error) => kept.note = Some(format!("not kept: {}", reason(&error)).into()),
    }
    add(open, kept);
}

/// Reads a file into an object; says in the entry what came of it.
fn keep(settings: &WorkerSettings, open: &mut Open, file: &File, kept: &mut KeptFile) {
    let id = open.incident.id.clone();
    let left = settings.files_bytes.saturating_sub(open.kept_bytes);
    let most = settings.file_bytes.min(left);
    let content = capture::check(file, kept.file.as_ref().unwrap_or(&FileFacts::default())).and_then(|()| {
        let size = facts(file).map_err(|error| Refused::Read(error.into()))?.size_bytes;
        if size > most {
            return Err(Refused::TooLarge { most });
        }
        let mut object =
            settings.folder.object(&id).map_err(|error| Refused::Write(io::Error::other(reason(&error))))?;
        let content = capture::read(file, most, &mut object)?;
        settings
            .folder
            .keep(&id, object, content.sha256)
            .map_err(|error| Refused::Write(io::Error::other(reason(&error))))?;
        Ok(content)
    });
    match content {
        Ok(content) => {
            open.kept_bytes += content.bytes;
            if content.changed {
                kept.note = Some("it changed while it was read".into());
            }
            kept.sha256 = Some(content.sha256);
        }
        Err(Refused::TooLarge { most }) if left < settings.file_bytes => {
            kept.note =
                Some(format!("not kept: {most} bytes are left of what the files of one incident may take").into());
        }
        Err(error) => kept.note = Some(format!("not kept: {}", reason(&error)).into()),
    }
}

fn entry(kind: FileKind, path: Text, process: ProcessId) -> KeptFile {
    KeptFile { kind, path, process, looked: now(), file: None, sha256: None, note: None }
}

fn add(open: &mut Open, kept: KeptFile) {
    open.changed = true;
    if open.incident.files.len() < MAX_FILES {
        open.incident.files.push(kept);
    } else {
        open.miss("files", format!("only {MAX_FILES} of an incident are listed"));
    }
}

/// The root directory of another process that still lives, the one that was seen last first: one in the same mount namespace, as the
/// events tell of both, and that has begun with the container's own program.
fn root_of_another(
    proc: &Proc,
    gone: &Process,
    events: &[Arc<Noted>],
) -> (Result<OwnedFd, &'static str>, Option<ProcessId>) {
    let last_exec = |id: ProcessId| {
        events.iter().rev().filter(|event| event.id == id).find_map(|event| match event.payload() {
            Payload::Exec(exec) => Some(exec.mount_namespace),
            _ => None,
        })
    };
    let Some(mount_namespace) = last_exec(gone.id) else {
        return (Err("the process has ended, and its start was not seen, which would tell where its files are"), None);
    };
    let mut tried: Vec<ProcessId> = vec![gone.id];
    for event in events.iter().rev().filter(|event| event.when.phase != Phase::RuntimeInit) {
        if tried.len() > MAX_TRIED {
            break;
        }
        if tried.contains(&event.id) {
            continue;
        }
        tried.push(event.id);
        let Ok(held) = proc.hold(event.id.pid, event.id.start_ns) else { continue };
        if held.namespace(Namespace::Mount).ok() != Some(mount_namespace) {
            continue;
        }
        if let Ok(root) = held.open("root", OFlags::PATH | OFlags::DIRECTORY) {
            return (Ok(root), Some(event.id));
        }
    }
    (Err("no process of the container is there any more through which it could be reached"), None)
}

/// A root directory that is not that of the host, as a runtime has it before it has set up a container: what lies there is not
/// the container's.
fn not_of_the_host(proc: &Proc, root: OwnedFd) -> Result<OwnedFd, &'static str> {
    let outside = proc.outside().map_err(|_| "it cannot be told whether the process sees the host's files")?.root;
    let found = rustix::fs::fstat(&root).map_err(|_| "the root of the process cannot be looked at")?;
    let is_the_same = (found.st_dev, found.st_ino) == (outside.device, outside.inode);
    if is_the_same { Err("the process sees the host's own root, whose files are never kept") } else { Ok(root) }
}
