//! What `detect` keeps in a folder of its own: its last alerts, what was allowed, and spools of sinks.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use alerts::{Alert, Allowed};
use anyhow::Context as _;

/// The last alerts, one a line; a file of the same name with `.1` has those before.
const ALERTS: &str = "alerts.ndjson";
/// What is allowed beside baselines.
const ALLOWED: &str = "allowed.json";
/// Exceptions from rules, in the language of rules.
const EXCEPTIONS: &str = "exceptions.yaml";
/// No larger file of these is read.
const MOST_BYTES: u64 = 64 << 20;

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct State {
    path: PathBuf,
}

impl State {
    /// The folder that is given, else the usual one.
    pub(crate) fn at(path: Option<&Path>) -> anyhow::Result<State> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => {
                store::Folder::beside("detect").context("no folder for what detect keeps; give one with --state")?
            }
        };
        Ok(State { path })
    }

    /// Makes it, for its owner alone: command lines can hold secrets.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .with_context(|| format!("cannot make the folder {}; give another one with --state", self.path.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The sink that keeps the last alerts here: at most 8 MiB.
    pub(crate) fn sink(&self) -> String {
        format!("file:{},size=4M,keep=1", self.path.join(ALERTS).display())
    }

    pub(crate) fn allowed_path(&self) -> PathBuf {
        self.path.join(ALLOWED)
    }

    pub(crate) fn exceptions_path(&self) -> PathBuf {
        self.path.join(EXCEPTIONS)
    }

    /// What is allowed beside baselines.
    pub(crate) fn allowed(&self) -> anyhow::Result<Allowed> {
        allowed(&self.allowed_path())
    }

    /// The exceptions from rules that are here, if there are any.
    pub(crate) fn exceptions(&self) -> anyhow::Result<Option<String>> {
        read(&self.exceptions_path())
    }

    /// The newest alert with this id, or with an id that begins so.
    pub(crate) fn find(&self, id: &str) -> anyhow::Result<Alert> {
        let newest = self.path.join(ALERTS);
        let older = self.path.join(format!("{ALERTS}.1"));
        find(&[newest, older], id)
    }
}

/// What is allowed, of a file that need not be there.
pub(crate) fn allowed(path: &Path) -> anyhow::Result<Allowed> {
    match read(path)? {
        None => Ok(Allowed::default()),
        Some(text) => {
            serde_json::from_str(&text).with_context(|| format!("{} is no list of what is allowed", path.display()))
        }
    }
}

/// The newest alert with this id, or with an id that begins so, of these files, the newest file first.
pub(crate) fn find(files: &[PathBuf], id: &str) -> anyhow::Result<Alert> {
    anyhow::ensure!(
        id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "`{}` is no alert's id: give at least four of its hexadecimal digits",
        event::Text::from(id).shown()
    );
    let mut found: Option<Alert> = None;
    for path in files {
        let text = read(path)?.unwrap_or_default();
        // The last that is right: one that was cut off is none.
        for line in text.lines().rev() {
            let Ok(alert) = serde_json::from_str::<Alert>(line) else { continue };
            if !alert.id.as_bytes().starts_with(id.as_bytes()) {
                continue;
            }
            match &found {
                None => found = Some(alert),
                Some(known) if known.id == alert.id => {}
                Some(known) => anyhow::bail!(
                    "several alerts begin with {id}: {} and {}: give more of its digits",
                    known.id.shown(),
                    alert.id.shown()
                ),
            }
        }
    }
    let looked: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    found.with_context(|| format!("there is no alert {id} in {}", looked.join(" or ")))
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let cannot = || format!("cannot read {}", path.display());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot),
    };
    anyhow::ensure!(
        metadata.is_file() && metadata.len() <= MOST_BYTES,
        "{} is no regular file of at most {} MiB",
        path.display(),
        MOST_BYTES >> 20
    );
    Ok(Some(std::fs::read_to_string(path).with_context(cannot)?))
}
