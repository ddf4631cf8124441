//! Files, as the lists that people ask for.

use behaviour::{DirectoryUse, FirstUse, MountUse, NameUse, PathUse, secret};
use event::{FileAccess, FileAccesses, FileType, NameOperation, Phase};

use super::units::{bytes, count, counted};
use crate::{ObservedFrom, Report, UntouchedPart};

/// One list: its title, what stands above its columns, and its rows. All of it is safe for a terminal.
pub(super) struct List {
    pub(super) title: &'static str,
    pub(super) columns: [&'static str; 4],
    pub(super) rows: Vec<Row>,
}

/// One row of a list.
pub(super) struct Row {
    /// What the first cell shows: a count, or bytes.
    pub(super) value: u64,
    pub(super) cells: [String; 4],
}

const WRITES: [FileAccess; 6] = [
    FileAccess::OpenedToWrite,
    FileAccess::Created,
    FileAccess::Written,
    FileAccess::Truncated,
    FileAccess::ModeChanged,
    FileAccess::OwnerChanged,
];
const RUNS: [FileAccess; 2] = [FileAccess::Executed, FileAccess::MappedToExecute];

/// How much there is.
pub(super) fn about(report: &Report) -> String {
    let files = &report.behaviour.files;
    let all = [
        counted(files.paths.len() as u64, "path", "paths"),
        counted(files.paths.iter().fold(0, |sum, path| sum.saturating_add(path.opens)), "open", "opens"),
        counted(files.names.len() as u64, "name", "names"),
    ];
    let of_image = report.untouched.as_ref().map(|it| {
        format!(
            "; {} of the image's {} ({} of {}) not touched",
            count(it.untouched_files()),
            counted(it.files, "file", "files"),
            bytes(it.untouched_bytes()),
            bytes(it.bytes)
        )
    });
    all.join(", ") + &of_image.unwrap_or_default()
}

/// What the workload did, and with `all` what the runtime did too.
pub(super) fn lists(report: &Report, all: bool) -> Vec<List> {
    let files = &report.behaviour.files;
    let is_shown = |phase: Phase| all || phase != Phase::RuntimeInit;
    let mut paths: Vec<&PathUse> = files.paths.iter().filter(|path| is_shown(path.phase)).collect();
    paths.sort_by(|a, b| b.opens.cmp(&a.opens).then_with(|| a.path.cmp(&b.path)));
    let does = |path: &PathUse, wanted: &[FileAccess]| path.accesses.has_any(wanted);
    let of = |title, wanted: &dyn Fn(&PathUse) -> bool| List {
        title,
        columns: ["OPENS", "PATH", "WHAT", "FIRST BY"],
        rows: paths.iter().filter(|path| wanted(path)).map(|path| path_row(path)).collect(),
    };
    let names = |title, wanted: &dyn Fn(&NameUse) -> bool| List {
        title,
        columns: ["TIMES", "NAME", "WHAT", "FIRST BY"],
        rows: files.names.iter().filter(|name| is_shown(name.phase) && wanted(name)).map(name_row).collect(),
    };
    let was_read = |path: &PathUse| does(path, &[FileAccess::Read, FileAccess::OpenedToRead]);
    let is_directory = |path: &PathUse| path.file_type == FileType::Directory;
    let is_open = |name: &NameUse| name.operation == NameOperation::Open;
    let lists = vec![
        List {
            title: "Secrets that were opened",
            columns: ["OPENS", "PATH", "WHAT", "FIRST BY"],
            rows: paths.iter().filter_map(|path| secret_row(path)).collect(),
        },
        of("Written", &|path| does(path, &WRITES) && !is_directory(path)),
        of("Executed", &|path| does(path, &RUNS)),
        of("Read", &|path| was_read(path) && !does(path, &WRITES) && !does(path, &RUNS) && !is_directory(path)),
        of("Directories", &is_directory),
        of("Opened as a place only", &|path| {
            !was_read(path) && !does(path, &WRITES) && !does(path, &RUNS) && !is_directory(path)
        }),
        names("Names", &|name| !is_open(name)),
        names("Opens that failed", &is_open),
        List {
            title: "Counted by directory, beyond those that are listed",
            columns: ["OPENS", "DIRECTORY", "DIFFERENT FILES, ABOUT", "FIRST BY"],
            rows: files.directories.iter().filter(|one| is_shown(one.phase)).map(directory_row).collect(),
        },
        List {
            title: match report.window.observed_from {
                ObservedFrom::Start => "Files of the image that were never touched",
                ObservedFrom::Attach => "Files of the image that were not touched since the recording began",
            },
            columns: ["SIZE", "PATH", "FILES", ""],
            rows: report.untouched.iter().flat_map(|it| &it.parts).map(untouched_row).collect(),
        },
        List {
            title: "Mounts",
            columns: ["READ / WRITTEN", "MOUNT", "WHERE", "FILE SYSTEM"],
            rows: files.mounts.iter().filter(|mount| is_shown(mount.phase)).map(mount_row).collect(),
        },
    ];
    lists.into_iter().filter(|list| !list.rows.is_empty()).collect()
}

fn path_row(used: &PathUse) -> Row {
    let mut path = used.path.shown().into_owned();
    if used.path_truncated {
        path += " (its head is missing)";
    }
    if used.unreachable {
        path = format!("(unreachable) {path}");
    }
    if used.deleted {
        path += " (deleted)";
    }
    let what = in_phase(accesses(used.accesses), used.phase);
    Row { value: used.opens, cells: [count(used.opens), path, what, program(used.first.as_ref())] }
}

fn secret_row(used: &PathUse) -> Option<Row> {
    let what = secret(used.path.as_bytes())?;
    let mut row = path_row(used);
    row.cells[2] = format!("{what}; {}", row.cells[2]);
    Some(row)
}

fn name_row(used: &NameUse) -> Row {
    let mut name = if used.path.is_empty() { "(others)".to_owned() } else { used.path.shown().into_owned() };
    if !used.second_path.is_empty() {
        name += &format!(" → {}", used.second_path.shown());
    }
    if used.truncated {
        name += " (not whole)";
    }
    let what = match used.errno {
        Some(errno) if used.operation == NameOperation::Open => errno.to_string(),
        Some(errno) => format!("{}: {errno}", used.operation.name()),
        None => used.operation.name().to_owned(),
    };
    let cells = [count(used.count), name, in_phase(what, used.phase), program(used.first.as_ref())];
    Row { value: used.count, cells }
}

fn directory_row(used: &DirectoryUse) -> Row {
    let path = if used.path.is_empty() {
        "(others)".to_owned()
    } else {
        format!("{}/*", used.path.shown().trim_end_matches('/'))
    };
    let distinct = in_phase(count(used.distinct), used.phase);
    Row { value: used.opens, cells: [count(used.opens), path, distinct, program(used.first.as_ref())] }
}

fn mount_row(mount: &MountUse) -> Row {
    let place = match &mount.host_path {
        Some(path) if mount.place.name() != "root" => format!("{} {}", mount.place.name(), path.shown()),
        _ => mount.place.name().to_owned(),
    };
    let point = if mount.point.is_empty() { "(not known)".to_owned() } else { mount.point.shown().into_owned() };
    let read_only = if mount.read_only { ", read-only" } else { "" };
    Row {
        value: mount.read_bytes.saturating_add(mount.written_bytes),
        cells: [
            format!("{} / {}", bytes(mount.read_bytes), bytes(mount.written_bytes)),
            point,
            in_phase(place, mount.phase),
            format!("{} {}{read_only}", mount.fs_type.shown(), mount.device),
        ],
    }
}

fn untouched_row(part: &UntouchedPart) -> Row {
    let path = part.path.shown();
    let path = if part.is_directory { format!("{}/", path.trim_end_matches('/')) } else { path.into_owned() };
    Row { value: part.bytes, cells: [bytes(part.bytes), path, count(part.files), String::new()] }
}

/// In few words: what follows from another is left out.
fn accesses(accesses: FileAccesses) -> String {
    let has = |access| accesses.has(access);
    let is_implied = |access: &FileAccess| match access {
        FileAccess::OpenedToRead => has(FileAccess::Read) || has(FileAccess::Listed),
        FileAccess::OpenedToWrite => has(FileAccess::Written),
        FileAccess::Read => has(FileAccess::Executed) || has(FileAccess::MappedToExecute),
        _ => false,
    };
    let words: Vec<&str> = accesses.iter().filter(|access| !is_implied(access)).map(|access| access.name()).collect();
    words.join(", ")
}

fn in_phase(what: String, phase: Phase) -> String {
    if phase == Phase::Main { what } else { format!("{what} ({phase})") }
}

fn program(first: Option<&FirstUse>) -> String {
    let Some(first) = first else { return String::new() };
    let text = if first.executable.is_empty() { &first.comm } else { &first.executable };
    text.shown().into_owned()
}
