//! Files and folders that policies name.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use sensors::guard::Access;
use serde::{Deserialize, Serialize};

use crate::PolicyError;

/// A file that nobody may read or write, or a folder with all below it, as the container sees it: `/etc/shadow:r`,
/// `/etc/cron.d:w`, `/data:rw`. Without an access both are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FileRule {
    path: String,
    access: Access,
}

/// The longest path, and the most names in one: what the kernel tells.
const MAX_PATH_BYTES: usize = 4095;
const MAX_NAMES: usize = 64;
const MAX_NAME_BYTES: usize = 255;
const BOTH: Access = Access { read: true, write: true, taint: false };

impl FileRule {
    /// A rule that denies nothing: what is read at this path, or below it, makes policies strict that wait for it.
    pub(crate) fn tainting(path: &str) -> Result<FileRule, PolicyError> {
        // With an access, as the path may have a colon.
        let FileRule { path, .. } = format!("{path}:r").parse()?;
        Ok(FileRule { path, access: Access { taint: true, ..Access::default() } })
    }

    /// The path, without what says nothing.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the rule is about.
    pub fn access(&self) -> Access {
        self.access
    }
}

/// A whole path without what says nothing, or why it is none.
pub(crate) fn whole(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("write its whole path from the container's root");
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if path.contains('\0') {
        return Err("it has a zero byte");
    }
    if names.iter().any(|name| matches!(*name, "." | "..")) {
        return Err("it has `.` or `..`: write the path without");
    }
    if names.iter().any(|name| name.len() > MAX_NAME_BYTES) || names.len() > MAX_NAMES || path.len() > MAX_PATH_BYTES {
        return Err("it is longer than a path may be here: 64 names of 255 bytes, 4095 bytes in all");
    }
    Ok(format!("/{}", names.join("/")))
}

/// The folders above a path, the root left out.
pub(crate) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(at, byte)| *at > 0 && **byte == b'/').map(|(at, _)| &path[..at])
}

fn access(text: &str) -> Option<Access> {
    match text {
        "r" => Some(Access { read: true, ..Access::default() }),
        "w" => Some(Access { write: true, ..Access::default() }),
        "rw" | "wr" => Some(BOTH),
        _ => None,
    }
}

impl FromStr for FileRule {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<FileRule, PolicyError> {
        let wrong = |why| PolicyError::File { file: text.to_owned(), why };
        // A name may have a colon; then its access must be said.
        let (path, access) = match text.rsplit_once(':') {
            Some((path, after)) if !after.contains('/') => {
                let known = access(after).ok_or_else(|| {
                    wrong(match after {
                        "x" | "rx" | "rwx" | "wx" => {
                            "running is denied with `exec`; behind the colon stands r, w or rw"
                        }
                        _ => "behind the colon stands r, w or rw; a path with a colon needs its access behind it",
                    })
                })?;
                (path, known)
            }
            _ => (text, BOTH),
        };
        let path = whole(path).map_err(wrong)?;
        if path == "/" {
            return Err(wrong("it is the container's root: let the engine make that read-only"));
        }
        Ok(FileRule { path, access })
    }
}

impl fmt::Display for FileRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access { read: true, write: false, .. } => "r",
            Access { read: false, .. } => "w",
            Access { read: true, write: true, .. } => "rw",
        };
        write!(f, "{}:{access}", self.path)
    }
}

impl From<FileRule> for String {
    fn from(rule: FileRule) -> String {
        rule.to_string()
    }
}

impl TryFrom<String> for FileRule {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<FileRule, PolicyError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        text.parse::<FileRule>().ok().map(String::from)
    }

    #[test]
    fn a_file_is_a_whole_path_with_an_access_or_without() {
        for (written, read) in [
            ("/etc/shadow", "/etc/shadow:rw"),
            ("/etc/shadow:r", "/etc/shadow:r"),
            ("/etc/cron.d/:w", "/etc/cron.d:w"),
            ("//etc//cron.d/", "/etc/cron.d:rw"),
            ("/data:wr", "/data:rw"),
            ("/a:b/c", "/a:b/c:rw"),
            ("/a:b:r", "/a:b:r"),
            ("/a:r:w", "/a:r:w"),
        ] {
            assert_eq!(canonical(written).as_deref(), Some(read), "{written}");
            assert_eq!(canonical(read).as_deref(), Some(read), "{read}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let long = format!("/{}", "x".repeat(256));
        let deep = "/x".repeat(65);
        for wrong in
            ["", "/", "/:r", ":r", "etc/shadow", "/etc/../shadow", "/.", "/a:", "/a:b", "/a:x", "/a\0b", &long, &deep]
        {
            assert_eq!(canonical(wrong), None, "{wrong:?}");
        }
        let said = "/bin/sh:x".parse::<FileRule>().expect_err("it is no access").to_string();
        assert!(said.contains("`exec`"), "{said}");
    }

    #[test]
    fn the_folders_above_a_path_are_all_but_the_root() {
        assert_eq!(above(b"/a/b/c").collect::<Vec<_>>(), [b"/a".as_slice(), b"/a/b"]);
        assert_eq!(above(b"/a").count(), 0);
    }
}
