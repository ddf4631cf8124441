//! Why a sink cannot be used, or an alert not be delivered.

use std::io;
use std::path::PathBuf;

/// What is wrong with the words for a sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no sink: {reason}")]
pub struct SpecError {
    /// The words.
    pub(crate) text: String,
    /// What is wrong, and what can be done.
    pub(crate) reason: String,
}

/// Why a sink could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file.
    #[error("cannot write alerts to {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What it was.
        source: io::Error,
    },
    /// A host that is not known.
    #[error(
        "`{0}` is no address and not in /etc/hosts: this program asks no DNS, so give the address, or enter the name there"
    )]
    Host(String),
    /// A program.
    #[error("cannot run {}: {reason}", path.display())]
    Program {
        /// Which one.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A thread.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Why an alert was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// It is worth trying again.
    #[error("{0}")]
    Later(String),
    /// It never will be: the other end does not want it.
    #[error("{0}")]
    Never(String),
}

impl From<io::Error> for DeliverError {
    fn from(error: io::Error) -> DeliverError {
        DeliverError::Later(error.to_string())
    }
}
