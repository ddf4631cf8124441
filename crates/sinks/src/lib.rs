//! Where alerts go: standard output, files, syslog, webhooks, Alertmanager, unix sockets and programs.
//!
//! Each sink has a thread and a queue of its own, both bounded: one that is slow or dead delays neither whoever makes alerts nor the
//! other sinks. What it cannot take waits, in its queue or in a spool on disk; what finds no room is counted, and said.

mod address;
mod error;
mod exec;
mod file;
mod form;
mod http;
mod output;
mod spec;
mod spool;
mod status;
mod syslog;
mod unix;
mod webhook;
mod worker;

pub use error::{DeliverError, OpenError, SpecError};
pub use file::Rotation;
pub use form::Form;
pub use output::Paint;
pub use spec::{KINDS, Spec, Transport};
pub use status::{Report, Status};
pub use worker::{Item, Sinks};
