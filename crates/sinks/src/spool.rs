//! A file for alerts that wait for the other end: bounded, and read again by the next start.
//!
//! One alert a line. What was delivered is taken out when all of it was, and at the end; after a kill some may be delivered again.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use alerts::Alert;

use crate::worker::Item;

/// The file and what is in it.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    most_bytes: u64,
    /// What is in the file, delivered or not.
    bytes: u64,
    /// What is still to be delivered: where each line is, and how long.
    waiting: VecDeque<(u64, usize)>,
}

impl Spool {
    /// Opens the file, with what an earlier start left in it.
    pub(crate) fn open(path: &Path, most_bytes: u64) -> io::Result<Spool> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        let mut file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut old = Vec::new();
        (&mut file).take(most_bytes).read_to_end(&mut old)?;
        let mut spool = Spool { file, most_bytes, bytes: 0, waiting: VecDeque::new() };
        let mut at = 0;
        for line in old.split_inclusive(|&byte| byte == b'\n') {
            // The last line may be cut off.
            if line.ends_with(b"\n") && serde_json::from_slice::<Alert>(line).is_ok() {
                spool.waiting.push_back((at, line.len() - 1));
            }
            at += line.len() as u64;
        }
        spool.bytes = at;
        if !old.is_empty() {
            spool.tidy()?;
        }
        Ok(spool)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Puts a line behind the others; whether there was room for it.
    pub(crate) fn push(&mut self, line: &str) -> io::Result<bool> {
        let needs = line.len() as u64 + 1;
        if self.bytes + needs > self.most_bytes {
            self.tidy()?;
        }
        if self.bytes + needs > self.most_bytes {
            return Ok(false);
        }
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.waiting.push_back((self.bytes, line.len()));
        self.bytes += needs;
        Ok(true)
    }

    /// The line that has waited longest. One that cannot be read any more is skipped.
    pub(crate) fn first(&mut self) -> Option<Item> {
        while let Some(&(at, length)) = self.waiting.front() {
            if let Some(item) = self.read(at, length) {
                return Some(item);
            }
            self.waiting.pop_front();
        }
        None
    }

    fn read(&self, at: u64, length: usize) -> Option<Item> {
        let mut line = vec![0; length];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut line, at).ok()?;
        let json = String::from_utf8(line).ok()?;
        let alert: Alert = serde_json::from_str(&json).ok()?;
        Some(Item { alert: Arc::new(alert), json: json.into() })
    }

    /// The first one was delivered.
    pub(crate) fn pop(&mut self) {
        self.waiting.pop_front();
        if self.waiting.is_empty() && self.file.set_len(0).is_ok() {
            self.bytes = 0;
        }
    }

    /// Takes out what was delivered.
    pub(crate) fn tidy(&mut self) -> io::Result<()> {
        let left: Vec<Vec<u8>> = self
            .waiting
            .iter()
            .filter_map(|&(at, length)| self.read(at, length).map(|item| item.json.as_bytes().to_vec()))
            .collect();
        self.file.set_len(0)?;
        (self.bytes, self.waiting) = (0, VecDeque::new());
        for line in left {
            self.file.write_all(&[&line[..], b"\n"].concat())?;
            self.waiting.push_back((self.bytes, line.len()));
            self.bytes += line.len() as u64 + 1;
        }
        Ok(())
    }
}
