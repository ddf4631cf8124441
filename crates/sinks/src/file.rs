//! A file that is begun anew when it is large, with so many old ones kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use alerts::Alert;

use crate::error::DeliverError;
use crate::form::{Form, one_line};
use crate::worker::{Deliver, Item};

/// How large a file becomes, and how many older ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes.
    pub most_bytes: u64,
    /// Files beside the one that is written: `FILE.1` is the newest.
    pub keep: u32,
}

/// Alerts, one a line.
pub(crate) struct AlertFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotation: Rotation,
    form: Form,
}

impl AlertFile {
    pub(crate) fn open(path: &Path, rotation: Rotation, form: Form) -> io::Result<AlertFile> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        Ok(AlertFile { path: path.to_owned(), file, bytes, rotation, form })
    }

    fn write(&mut self, alert: &Alert, json: &str) -> io::Result<()> {
        let line = match self.form {
            Form::Json => format!("{json}\n"),
            Form::Text => format!("{} {}\n", alert.last_seen, one_line(alert)),
        };
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.rotation.most_bytes {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let older = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.rotation.keep).rev() {
            match std::fs::rename(older(number), older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.rotation.keep > 0 {
            std::fs::rename(&self.path, older(1))?;
        } else {
            std::fs::remove_file(&self.path)?;
        }
        self.file = open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

/// Alerts can hold secrets of command lines: the owner alone reads them.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl Deliver for AlertFile {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError> {
        // Somebody else may have taken it away, as logrotate does.
        if !self.path.exists() {
            self.file = open(&self.path)?;
            self.bytes = 0;
        }
        Ok(self.write(&item.alert, &item.json)?)
    }
}
