//! What must have been read in a container before a policy is strict there.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use sensors::guard::Trigger;
use serde::{Deserialize, Serialize};

use crate::{FileRule, PolicyError};

/// What a policy waits for: `network`, or the whole path of a file or folder, as the container sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum After {
    /// A read from a socket of the network.
    Network,
    /// A read of this file, or of one below this folder.
    File(FileRule),
}

const NETWORK: &str = "network";

impl After {
    /// The kind.
    pub fn trigger(&self) -> Trigger {
        match self {
            After::Network => Trigger::Network,
            After::File(_) => Trigger::File,
        }
    }
}

impl FromStr for After {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<After, PolicyError> {
        let wrong = |why| PolicyError::After { after: text.to_owned(), why };
        match text {
            NETWORK => Ok(After::Network),
            path if path.starts_with('/') => match FileRule::tainting(path) {
                Ok(rule) => Ok(After::File(rule)),
                Err(PolicyError::File { why, .. }) => Err(wrong(why)),
                Err(other) => Err(other),
            },
            _ => Err(wrong("write `network`, or a whole path from the container's root")),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            After::Network => NETWORK,
            After::File(rule) => rule.path(),
        })
    }
}

impl From<After> for String {
    fn from(after: After) -> String {
        after.to_string()
    }
}

impl TryFrom<String> for After {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<After, PolicyError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_network_or_a_whole_path() {
        for (written, read) in [
            ("network", "network"),
            ("/srv/uploads/", "/srv/uploads"),
            ("/a:b", "/a:b"),
            ("/a:r", "/a:r"),
            ("//a//b", "/a/b"),
        ] {
            let parsed: After = written.parse().expect(written);
            assert_eq!(parsed.to_string(), read);
            assert_eq!(read.parse::<After>(), Ok(parsed));
        }
        for wrong in ["", "/", "Network", "net", "srv/uploads", "./x", "/a/../b", "/a\0b"] {
            assert!(matches!(wrong.parse::<After>(), Err(PolicyError::After { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_what_was_written() {
        let said = "/a/../b".parse::<After>().expect_err("it has ..").to_string();
        assert!(said.starts_with("\"/a/../b\" "), "{said}");
    }
}
