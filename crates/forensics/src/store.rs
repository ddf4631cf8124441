//! Incidents on disk: a folder each, with `incident.json` and the files that were kept, by their SHA-256, in `objects`.
//!
//! A file is written under a hidden name, put on disk and then renamed, so that it is whole or not there. All of it can be read by its
//! owner alone, and nothing in it can be executed: what was kept may be what somebody attacked with.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use event::Text;
use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::{ContentHash, Incident, MAX_BYTES, ParseError};

const FILE: &str = "incident.json";
const OBJECTS: &str = "objects";

/// How much all incidents of a folder may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all files together.
    pub bytes: u64,
    /// How many incidents.
    pub incidents: usize,
}

/// The folder that incidents are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incidents {
    path: PathBuf,
}

/// Why incidents cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum IncidentsError {
    /// Nobody said where they are.
    #[error(transparent)]
    Place(#[from] store::FolderError),
    /// The file system refused.
    #[error("cannot {what} {}; {hint}", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// A file is there that is no incident.
    #[error("{} is not an incident that can be shown", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseError,
    },
    /// None is called so.
    #[error(
        "no incident, alert or container is called {key} among the {incidents} incidents in {}; `ringfence incident list` shows \
         them, or give another folder with --dir",
        folder.display()
    )]
    NoSuch {
        /// What was looked for.
        key: Text,
        /// Where.
        folder: PathBuf,
        /// How many there are.
        incidents: usize,
    },
    /// Several are.
    #[error("{key} is the beginning of several incidents: {}; give more of it", ids.join(", "))]
    Ambiguous {
        /// What was looked for.
        key: Text,
        /// Their names.
        ids: Vec<String>,
    },
}

/// One incident of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its folder.
    pub path: PathBuf,
    /// What it says.
    pub incident: Incident,
    /// What its files take.
    pub bytes: u64,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The incidents, the newest first.
    pub incidents: Vec<Found>,
    /// Folders with an incident's name that cannot be read.
    pub unreadable: Vec<IncidentsError>,
}

impl Incidents {
    /// The folder to write to: the one that is given, else the usual one. It is created if it is not there, for its owner
    /// alone.
    pub fn open(path: Option<&Path>) -> Result<Incidents, IncidentsError> {
        let folder = Incidents::to_read(path)?;
        make(&folder.path, true).map_err(|source| failed("create the folder", &folder.path, source))?;
        tempfile::tempfile_in(&folder.path).map_err(|source| failed("write to the folder", &folder.path, source))?;
        Ok(folder)
    }

    /// The folder to read from: the one that is given, else the usual one.
    pub fn to_read(path: Option<&Path>) -> Result<Incidents, IncidentsError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => store::usual_folder_of("incidents")?,
        };
        Ok(Incidents { path })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder of a new incident. That there is one already is an error.
    pub(crate) fn begin(&self, id: &Text) -> Result<(), IncidentsError> {
        let path = self.folder(id)?;
        make(&path, false)
            .and_then(|()| make(&path.join(OBJECTS), false))
            .and_then(|()| sync(&self.path))
            .map_err(|source| failed("create the folder", &path, source))
    }

    /// Writes an incident, in the place of what was written of it before.
    pub(crate) fn write(&self, incident: &Incident) -> Result<(), IncidentsError> {
        let folder = self.folder(&incident.id)?;
        let path = folder.join(FILE);
        let write = || -> io::Result<()> {
            let mut file = hidden(&folder)?;
            file.write_all(incident.to_json().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            sync(&folder)
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// A new file for what is kept, without a name as yet.
    pub(crate) fn object(&self, id: &Text) -> Result<NamedTempFile, IncidentsError> {
        let folder = self.folder(id)?.join(OBJECTS);
        hidden(&folder).map_err(|source| failed("write to the folder", &folder, source))
    }

    /// Gives it its name. One that is there already has the same content.
    pub(crate) fn keep(&self, id: &Text, object: NamedTempFile, sha256: ContentHash) -> Result<(), IncidentsError> {
        let folder = self.folder(id)?.join(OBJECTS);
        let path = folder.join(sha256.to_string());
        let keep = || -> io::Result<()> {
            object.as_file().sync_all()?;
            object.persist(&path).map_err(|error| error.error)?;
            sync(&folder)
        };
        keep().map_err(|source| failed("write", &path, source))
    }

    /// Where the content of a file of an incident is.
    pub fn object_path(&self, id: &Text, sha256: ContentHash) -> PathBuf {
        self.path.join(id.shown().as_ref()).join(OBJECTS).join(sha256.to_string())
    }

    /// Reads one incident.
    pub(crate) fn read(&self, id: &Text) -> Result<Incident, IncidentsError> {
        let path = self.folder(id)?.join(FILE);
        let bytes = regular_file(&path).map_err(|source| failed("read", &path, source))?;
        Incident::parse(&bytes).map_err(|source| IncidentsError::Parse { path, source })
    }

    /// Every incident. A folder that does not exist has none.
    pub fn list(&self) -> Result<Listing, IncidentsError> {
        let mut listing = Listing::default();
        for id in self.ids()?.into_iter().rev() {
            match self.read(&id) {
                Ok(incident) => {
                    let path = self.folder(&id)?;
                    listing.incidents.push(Found { bytes: size(&path), path, incident });
                }
                // Removed since, or begun just now.
                Err(IncidentsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => listing.unreadable.push(error),
            }
        }
        Ok(listing)
    }

    /// The incident that is called so, or that has an alert of this name; else the only one whose name begins so; else the newest of
    /// a container by its name, its id or the beginning of its id (at least 4 characters).
    pub fn find(&self, key: &Text) -> Result<Found, IncidentsError> {
        let listing = self.list()?;
        let of =
            |found: &&Found| &found.incident.id == key || found.incident.alerts.iter().any(|alert| &alert.id == key);
        if let Some(found) = listing.incidents.iter().find(of) {
            return Ok(found.clone());
        }
        let begins =
            |text: &Text, least: usize| key.as_bytes().len() >= least && text.as_bytes().starts_with(key.as_bytes());
        let so: Vec<&Found> = listing.incidents.iter().filter(|found| begins(&found.incident.id, 4)).collect();
        match so[..] {
            [one] => return Ok(one.clone()),
            [_, _, ..] => {
                let ids = so.iter().take(10).map(|found| found.incident.id.to_string()).collect();
                return Err(IncidentsError::Ambiguous { key: key.clone(), ids });
            }
            [] => {}
        }
        let is_container = |found: &&Found| {
            let container = &found.incident.container;
            container.name.as_ref() == Some(key) || container.id.as_ref().is_some_and(|id| id == key || begins(id, 4))
        };
        listing.incidents.iter().find(is_container).cloned().ok_or_else(|| IncidentsError::NoSuch {
            key: key.clone(),
            folder: self.path.clone(),
            incidents: listing.incidents.len(),
        })
    }

    /// Removes the oldest incidents until there is room, but none of these; gives which.
    pub(crate) fn make_room(&self, quota: Quota, in_use: &[&Text]) -> Result<Vec<Text>, IncidentsError> {
        let mut sizes = Vec::new();
        for id in self.ids()? {
            let bytes = size(&self.folder(&id)?);
            sizes.push((id, bytes));
        }
        let mut bytes: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
        let mut count = sizes.len();
        let mut removed = Vec::new();
        for (id, size) in sizes {
            if bytes <= quota.bytes && count <= quota.incidents {
                break;
            }
            if in_use.contains(&&id) {
                continue;
            }
            let path = self.folder(&id)?;
            std::fs::remove_dir_all(&path).map_err(|source| failed("remove", &path, source))?;
            bytes -= size;
            count -= 1;
            removed.push(id);
        }
        Ok(removed)
    }

    /// The names of all incidents, the oldest first: they begin with the time.
    fn ids(&self) -> Result<Vec<Text>, IncidentsError> {
        let cannot = |source| failed("read the folder", &self.path, source);
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(cannot)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(cannot)?;
            let id = Text::new(entry.file_name().as_encoded_bytes());
            // Nothing else in the folder is ours, to be read or to be removed; nor is what a link leads to.
            if is_id(&id) && entry.file_type().is_ok_and(|it| it.is_dir()) {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    fn folder(&self, id: &Text) -> Result<PathBuf, IncidentsError> {
        let path = self.path.join(id.shown().as_ref());
        if is_id(id) { Ok(path) } else { Err(failed("use", &path, io::ErrorKind::InvalidInput.into())) }
    }
}

/// What [`crate::collector`] calls incidents: a time, and words of harmless letters.
pub(crate) fn is_id(id: &Text) -> bool {
    let bytes = id.as_bytes();
    let (time, rest) = bytes.split_at(bytes.len().min(16));
    let is_time = time.len() == 16 && time[8] == b'T' && time[15] == b'Z';
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    is_time && rest.first() == Some(&b'-') && bytes.len() <= 100 && bytes.iter().all(is_harmless)
}

fn make(path: &Path, with_parents: bool) -> io::Result<()> {
    DirBuilder::new().recursive(with_parents).mode(0o700).create(path)
}

/// For its owner alone, as temporary files are.
fn hidden(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".ringfence-").suffix(".partial").tempfile_in(folder)
}

/// Puts the folder's list of names on disk. Some file systems cannot do that for folders, and lose nothing by it.
fn sync(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

fn regular_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the files of an incident take.
fn size(folder: &Path) -> u64 {
    let of = |folder: &Path| -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
    };
    of(folder) + of(&folder.join(OBJECTS))
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> IncidentsError {
    let hint = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk, or give another folder",
        io::ErrorKind::PermissionDenied => "run as a user who may do that (sudo), or give another folder",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "something else has that name",
        _ => "give another folder",
    };
    IncidentsError::Io { what, path: path.to_owned(), hint, source }
}
