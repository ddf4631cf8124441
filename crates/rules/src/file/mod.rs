//! Rule files: from text to what is defined in them, as Falco reads them.

mod define;
mod json;
mod problem;
mod read;
mod yaml;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use define::{Definitions, Exception, RuleDefinition, Several, Written};
pub use json::yaml_to_json;
pub(crate) use problem::{Joined, Sources};
pub use problem::{Problem, Severity};
pub(crate) use read::{Problems, read};
pub use yaml::MAX_FILE_BYTES;

/// How much a match matters, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// The system cannot be used.
    Emergency,
    /// Something must be done at once.
    Alert,
    /// It is critical.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal, but significant.
    Notice,
    /// For information.
    Informational,
    /// For whoever looks for a flaw.
    Debug,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Priority; 8] = [
        Priority::Emergency,
        Priority::Alert,
        Priority::Critical,
        Priority::Error,
        Priority::Warning,
        Priority::Notice,
        Priority::Informational,
        Priority::Debug,
    ];

    /// The name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Priority::Emergency => "emergency",
            Priority::Alert => "alert",
            Priority::Critical => "critical",
            Priority::Error => "error",
            Priority::Warning => "warning",
            Priority::Notice => "notice",
            Priority::Informational => "informational",
            Priority::Debug => "debug",
        }
    }

    /// Its severity in syslog (RFC 5424): 0, the most urgent, to 7.
    pub fn severity(self) -> u8 {
        self as u8
    }

    /// The priority with this name, in letters of either case; `INFO` is short for informational.
    pub fn from_name(name: &str) -> Option<Priority> {
        let name = if name.eq_ignore_ascii_case("info") { "informational" } else { name };
        Priority::ALL.into_iter().find(|priority| priority.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
