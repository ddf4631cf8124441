//! Conditions about events, in the language that Falco's rules are written in, the rules themselves, and the one list of names that
//! both know.
//!
//! A [`Subject`] is one event with its container and its process. What it consists of is what conditions can name: the
//! [`registry`] is derived from the types themselves, so a new kind of fact is in it at once. A [`Condition`] is read
//! from text ([`Condition::parse`]), with names and types checked, and then asked about subjects. A [`RuleSet`] is read from rule
//! files; what its rules may ask beside the event itself is in the subject's [`Context`].
//!
//! Pure: nothing here reads a file, a clock or the kernel.

// Tests in here use what those of the folder `tests` do.
#[cfg(test)]
extern crate self as rules;

mod answer;
mod condition;
mod context;
mod error;
mod escape;
mod eval;
mod falco;
mod fields;
mod file;
mod glob;
mod lexer;
mod network;
mod operator;
mod parser;
mod pick;
mod replay;
mod resolve;
mod set;
mod similar;
mod subject;
mod transform;

pub use answer::{FileCheck, Inactive, Match, RuleCheck};
pub use condition::Condition;
pub use context::{ContainerFacts, ContainerMount, Context, Lineage, Names, Relative};
pub use error::ConditionError;
pub use fields::{Field, Registry, Type, markdown, markdown_table, registry};
pub use file::{MAX_FILE_BYTES, Priority, Problem, Severity, yaml_to_json};
pub use operator::Operator;
pub use pick::Value;
pub use replay::{Recorded, Replay, ReplayError};
pub use set::{CallsWanted, Matches, Options, Part, Rule, RuleSet, Status};
pub use similar::similar as similar_name;
pub use subject::{Container, Parent, Process, Subject, When};

/// The longest condition that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 10;
/// How deep parentheses may be nested.
pub const MAX_DEPTH: usize = 64;
