//! Places that may be written where nothing else may.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::os::fd::AsFd as _;
use std::str::FromStr;

use schemars::JsonSchema;
use sensors::guard::{FileKey, GuardError, Guards};
use serde::{Deserialize, Serialize};

use crate::PolicyError;
use crate::files::{self, Stat};
use crate::place::whole;

/// A place that may be written: `/run/app.pid` is what lies at this very path, `/tmp/` all that lies below this folder. No link is
/// in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct WrittenPlace {
    path: String,
    is_below: bool,
}

impl WrittenPlace {
    /// What lies at this path.
    pub fn at(path: &str) -> Result<WrittenPlace, PolicyError> {
        WrittenPlace::new(path, false)
    }

    /// All below this folder.
    pub fn below(folder: &str) -> Result<WrittenPlace, PolicyError> {
        WrittenPlace::new(folder, true)
    }

    /// Whether all below the path is meant.
    pub fn is_below(&self) -> bool {
        self.is_below
    }

    fn new(path: &str, is_below: bool) -> Result<WrittenPlace, PolicyError> {
        let wrong = |why| PolicyError::Written { place: path.to_owned(), why };
        let path = whole(path).map_err(wrong)?;
        match path.as_str() {
            "/" => Err(wrong("it is the container's root: leave `written` away to let everything be written")),
            _ => Ok(WrittenPlace { path, is_below }),
        }
    }

    /// Tells the guards.
    pub(crate) fn apply(&self, guards: &Guards, number: u32) -> Result<(), GuardError> {
        match self.is_below {
            true => guards.list_written_below(self.path.as_bytes(), number),
            false => guards.list_written(self.path.as_bytes(), number),
        }
    }
}

impl fmt::Display for WrittenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, if self.is_below { "/" } else { "" })
    }
}

impl From<WrittenPlace> for String {
    fn from(place: WrittenPlace) -> String {
        place.to_string()
    }
}

impl FromStr for WrittenPlace {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<WrittenPlace, PolicyError> {
        WrittenPlace::new(text, text.ends_with('/'))
    }
}

impl TryFrom<String> for WrittenPlace {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<WrittenPlace, PolicyError> {
        text.parse()
    }
}

/// The roots of one container, as far as the guards were told: what lies in them is told by its path in their file systems.
#[derive(Debug, Default)]
pub(crate) struct Roots(BTreeMap<Stat, FileKey>);

impl Roots {
    /// Looks up the root of this process, and tells the guards if it is a new one.
    pub(crate) fn renew(&mut self, pid: u32, guards: &Guards, number: u32) -> Result<(), String> {
        fn said(error: impl fmt::Display) -> String {
            error.to_string()
        }
        let (root, _) = files::root_of(pid).map_err(said)?;
        let stat = Stat::of(root.as_fd()).map_err(said)?;
        if let Entry::Vacant(unknown) = self.0.entry(stat) {
            let key = guards.file_key(root.as_fd()).map_err(said)?;
            guards.list_root(key, number).map_err(said)?;
            unknown.insert(key);
        }
        Ok(())
    }

    /// The container has ended: another file system may get the number of its own.
    pub(crate) fn forget(&self, guards: &Guards, number: u32) -> Result<(), GuardError> {
        self.0.values().try_for_each(|root| guards.unlist_root(*root, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        text.parse::<WrittenPlace>().ok().map(String::from)
    }

    #[test]
    fn a_slash_at_the_end_says_that_all_below_is_meant() {
        for (written, read) in
            [("/tmp/", "/tmp/"), ("//var//log//", "/var/log/"), ("/run/a.pid", "/run/a.pid"), ("/a:w", "/a:w")]
        {
            assert_eq!(canonical(written).as_deref(), Some(read), "{written}");
            assert_eq!(canonical(read).as_deref(), Some(read), "{read}");
        }
        assert_eq!(WrittenPlace::below("/tmp").map(String::from), Ok("/tmp/".into()));
        assert_eq!(WrittenPlace::at("/tmp").map(String::from), Ok("/tmp".into()));
    }

    #[test]
    fn the_root_and_what_is_no_whole_path_are_refused() {
        let long = format!("/{}", "x".repeat(256));
        for wrong in ["", "/", "//", "tmp", "tmp/", "/a/../b", "/./", "/a\0b", &long, &"/x".repeat(65)] {
            assert_eq!(canonical(wrong), None, "{wrong:?}");
        }
        let said = "/".parse::<WrittenPlace>().expect_err("it is the root").to_string();
        assert!(said.contains("leave `written` away"), "{said}");
    }
}
