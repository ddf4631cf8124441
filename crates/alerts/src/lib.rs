//! Alerts: what they are, when two are the same, how many are told, and what is normal so that all else is one.
//!
//! A [`Desk`] takes every alert that a rule or a [`Baseline`] makes and tells each once, with a count, and of one rule in one
//! container not too many at once: what is not told is counted. A [`Baseline`] is made of reports, or learnt ([`Learner`]); what a
//! container does is compared with it as [`Fact`]s, in which what differs each time is folded.
//!
//! Pure: nothing here reads a file, a clock or the kernel. Where alerts go is the matter of the crate `sinks`.

mod alert;
mod baseline;
mod bucket;
mod desk;
mod exception;
mod fact;
mod facts;
mod learn;
mod lru;
mod render;
mod same;
mod sensitive;

pub use alert::{ALERT_VERSION, Alert, Container, Origin, Process, State};
pub use baseline::{ALLOWED_VERSION, Allowed, AllowedFact, Baseline, Normal, Verdict};
pub use bucket::Rate;
pub use desk::{Counts, Desk, Limits, Taken};
pub use exception::{RuleException, allowed_fact, rule_exception};
pub use fact::Fact;
pub use facts::{By, Facts, Seen, facts, facts_of};
pub use learn::{Learner, SLICES, Sureness};
pub use render::lines;
pub use same::{is_volatile, same_text};
