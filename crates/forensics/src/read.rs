//! Reading an incident's file: somebody else may have written or damaged it.

use serde::Deserialize;

use crate::{INCIDENT_VERSION, Incident};

/// A file of an incident is at most so large.
pub const MAX_BYTES: u64 = 64 << 20;

/// Why a text is not an incident that can be shown.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is longer than any.
    #[error("it is larger than {} MiB", MAX_BYTES >> 20)]
    TooLong,
    /// It is not JSON, or says something else.
    #[error("line {line}, column {column}: {why}")]
    Unreadable {
        /// Where.
        line: usize,
        /// Where in it.
        column: usize,
        /// What is wrong; safe for a terminal.
        why: String,
    },
    /// A later program wrote it.
    #[error(
        "it has version {version} of the format, and this program knows versions up to {INCIDENT_VERSION}: use a newer one"
    )]
    Newer {
        /// Its version.
        version: u64,
    },
}

#[derive(Deserialize)]
struct Version {
    schema_version: u64,
}

impl Incident {
    /// Reads what [`Incident::to_json`] writes. Fields that are not known are skipped.
    pub fn parse(bytes: &[u8]) -> Result<Incident, ParseError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ParseError::TooLong);
        }
        let Version { schema_version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if schema_version > u64::from(INCIDENT_VERSION) {
            return Err(ParseError::Newer { version: schema_version });
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}

fn unreadable(error: serde_json::Error) -> ParseError {
    let text = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    let why = event::Text::from(text.strip_suffix(&at).unwrap_or(&text)).shown().into_owned();
    ParseError::Unreadable { line: error.line(), column: error.column(), why }
}
