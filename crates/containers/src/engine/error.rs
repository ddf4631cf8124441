//! Why an engine did not answer.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Source;

/// Why one source did not say anything.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such socket or file: that engine is not installed, or not running, or elsewhere.
    #[error("{path} is not there")]
    Absent {
        /// Where it would be.
        path: PathBuf,
    },
    /// It does not know the container.
    #[error("no such container")]
    Unknown,
    /// The connection or the file failed.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The socket or file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It took too long.
    #[error("{path} did not answer within {limit:?}")]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
    /// Its answer is longer than any honest one.
    #[error("the answer from {path} is longer than {limit} bytes")]
    TooLong {
        /// The socket or file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// It refused the request.
    #[error("{path} refused: {message}")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// Its answer makes no sense.
    #[error("cannot understand the answer from {path}: {reason}")]
    Malformed {
        /// The socket or file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl QueryError {
    /// Whether it only means that the engine is not here.
    pub fn is_absent(&self) -> bool {
        matches!(self, QueryError::Absent { .. })
    }
}

/// One source that was asked in vain.
#[derive(Debug)]
pub struct Tried {
    /// Which.
    pub source: Source,
    /// Why it said nothing.
    pub error: QueryError,
}

/// Why nothing was learnt about a container.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It cannot be an id, so nobody was asked.
    #[error("{id:?} cannot be a container's id")]
    Id {
        /// What was asked for.
        id: String,
    },
    /// Nobody knows it.
    #[error("no engine knows container {id}: {}", said(tried))]
    Unknown {
        /// What was asked for.
        id: String,
        /// Every source, in the order asked.
        tried: Vec<Tried>,
    },
    /// The program could not set up what it needs to ask.
    #[error("cannot talk to container engines")]
    Runtime(#[source] io::Error),
}

/// What each source said; those that are not here only by their number.
fn said(tried: &[Tried]) -> String {
    let absent = tried.iter().filter(|tried| tried.error.is_absent()).count();
    let mut parts: Vec<_> = tried
        .iter()
        .filter(|tried| !tried.error.is_absent())
        .map(|tried| format!("{}: {}", tried.source.name(), tried.error))
        .collect();
    if absent > 0 {
        parts.push(format!("{absent} possible sources are not on this host"));
    }
    if parts.is_empty() { "there is nobody to ask".into() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::{QueryError, ResolveError, Source, Tried};

    #[test]
    fn every_source_that_is_here_says_why_not() {
        let error = ResolveError::Unknown {
            id: "web".into(),
            tried: vec![
                Tried { source: Source::Docker, error: QueryError::Unknown },
                Tried { source: Source::Podman, error: QueryError::Absent { path: "/run/podman/podman.sock".into() } },
            ],
        };

        let expected =
            "no engine knows container web: docker API: no such container; 1 possible sources are not on this host";
        assert_eq!(error.to_string(), expected);
    }
}
