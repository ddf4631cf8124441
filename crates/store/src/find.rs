//! Finding reports by what people know: a container's name, its id, or the beginning of its id.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use event::Text;
use report::{ParseError, Summary};

use crate::read::regular_file;
use crate::{Folder, ReadError};

/// An error lists no more containers than this.
const MAX_LISTED: usize = 10;

/// One report of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What finds it.
    pub summary: Summary,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The reports, newest first.
    pub reports: Vec<Found>,
    /// Files with a report's name that cannot be read.
    pub unreadable: Vec<ReadError>,
}

/// Why no report was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The folder cannot be read.
    #[error("cannot read the folder {} with the reports; {}", path.display(), way_out(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// No report is of such a container.
    #[error(
        "no report of a container with the name or id {key} among the {reports} in {}{}; \
         give the path of a report, or another folder with --dir",
        folder.display(),
        unread(*unreadable)
    )]
    NoSuchReport {
        /// What was looked for.
        key: Text,
        /// Where.
        folder: PathBuf,
        /// How many reports there are.
        reports: usize,
        /// How many more files cannot be read.
        unreadable: usize,
    },
    /// Several containers have an id that begins so.
    #[error("the id {key} is the beginning of several: {}; give more of it", Candidates(candidates))]
    Ambiguous {
        /// What was looked for.
        key: Text,
        /// The ids that begin so, and the names of their containers.
        candidates: Vec<(Text, Option<Text>)>,
    },
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run as the user who recorded (sudo), or give another folder with --dir",
        _ => "give another one with --dir",
    }
}

/// The first folder's report, as [`Folder::find`] has it, or the next one's. If none has any: the error of the last
/// folder that holds reports or cannot be read, else that of the first.
pub fn find_in(folders: &[Folder], key: &Text) -> Result<PathBuf, FindError> {
    let mut error: Option<FindError> = None;
    for folder in folders {
        match folder.find(key) {
            Err(FindError::NoSuchReport { reports: 0, unreadable: 0, .. }) if error.is_some() => {}
            Err(none @ (FindError::NoSuchReport { .. } | FindError::Folder { .. })) => error = Some(none),
            found => return found,
        }
    }
    Err(error.unwrap_or_else(|| FindError::NoSuchReport {
        key: key.clone(),
        folder: PathBuf::new(),
        reports: 0,
        unreadable: 0,
    }))
}

/// The reports of the recording that began last, of the first folder that has any: those of the same boot that say the
/// same beginning of their recording. Reports of early versions, which do not say it, are one recording for each boot.
/// The order is that of [`Folder::list`].
pub fn last_recording(folders: &[Folder]) -> Result<Vec<PathBuf>, FindError> {
    for folder in folders {
        let reports = folder.list()?.reports;
        let began = |found: &Found| found.summary.recording.unwrap_or(found.summary.begin);
        let Some(last) = reports.iter().max_by_key(|found| began(found)) else { continue };
        let of = |found: &&Found| {
            (&found.summary.boot_id, found.summary.recording) == (&last.summary.boot_id, last.summary.recording)
        };
        return Ok(reports.iter().filter(of).map(|found| found.path.clone()).collect());
    }
    Ok(Vec::new())
}

fn unread(files: usize) -> String {
    match files {
        0 => String::new(),
        1 => " (1 more file there cannot be read)".to_owned(),
        files => format!(" ({files} more files there cannot be read)"),
    }
}

struct Candidates<'a>(&'a [(Text, Option<Text>)]);

impl fmt::Display for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (id, name)) in self.0.iter().take(MAX_LISTED).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{id}")?;
            if let Some(name) = name {
                write!(f, " ({name})")?;
            }
        }
        match self.0.len().checked_sub(MAX_LISTED) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            Some(0) | None => Ok(()),
        }
    }
}

impl Folder {
    /// The newest report of the container with this name, else with this id, else with an id that begins so; or the
    /// file of this name.
    pub fn find(&self, key: &Text) -> Result<PathBuf, FindError> {
        let listing = self.list()?;
        let has = |field: &Option<Text>| field.as_ref() == Some(key);
        let file_name =
            |found: &&Found| found.path.file_name().is_some_and(|name| name.as_encoded_bytes() == key.as_bytes());
        let reports = || listing.reports.iter();
        let newest = reports()
            .find(|found| has(&found.summary.name))
            .or_else(|| reports().find(|found| has(&found.summary.id)))
            .or_else(|| reports().find(file_name));
        if let Some(found) = newest {
            return Ok(found.path.clone());
        }

        let begins_so = |found: &&Found| {
            let id = found.summary.id.as_ref();
            !key.is_empty() && id.is_some_and(|id| id.as_bytes().starts_with(key.as_bytes()))
        };
        let mut by_id: BTreeMap<Text, &Found> = BTreeMap::new();
        for found in reports().filter(begins_so) {
            by_id.entry(found.summary.id.clone().unwrap_or_default()).or_insert(found);
        }
        if by_id.len() > 1 {
            let candidates = by_id.into_iter().map(|(id, found)| (id, found.summary.name.clone())).collect();
            return Err(FindError::Ambiguous { key: key.clone(), candidates });
        }
        match by_id.into_values().next() {
            Some(found) => Ok(found.path.clone()),
            None => Err(FindError::NoSuchReport {
                key: key.clone(),
                folder: self.path.clone(),
                reports: listing.reports.len(),
                unreadable: listing.unreadable.len(),
            }),
        }
    }

    /// Every report of the folder. Only files that are named like reports are looked at; a folder that does not exist
    /// has none.
    pub fn list(&self) -> Result<Listing, FindError> {
        let failed = |source| FindError::Folder { path: self.path.clone(), source };
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
            entries => entries.map_err(failed)?,
        };
        let mut listing = Listing::default();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
            if name.starts_with(b".") || !name.ends_with(b".json") {
                continue;
            }
            let bytes = match regular_file(&path) {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    listing.unreadable.push(ReadError::Io { path, source });
                    continue;
                }
                Ok(bytes) => bytes,
            };
            match Summary::parse(&bytes) {
                Ok(summary) => listing.reports.push(Found { path, summary }),
                // Of several runs: no report that a container's name could mean.
                Err(ParseError::IsMerged { .. }) => {}
                Err(source) => listing.unreadable.push(ReadError::Parse { path, source }),
            }
        }
        listing.reports.sort_by(|a, b| {
            let place = |found: &Found| (Reverse(found.summary.begin), Reverse(found.summary.run));
            place(a).cmp(&place(b)).then_with(|| b.path.cmp(&a.path))
        });
        Ok(listing)
    }
}
