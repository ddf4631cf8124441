//! Proves a recommendation: starts the workload under it again and again, watches what it is refused, and says what that
//! shows and what it does not.
//!
//! - [`Starter`] starts the workload by the command line of an engine or a runtime, as its users do.
//! - [`observe`] records what is started meanwhile.
//! - [`verify`] starts it under a recommendation and without, and gives a [`Proof`].
//!
//! What is decided from reports ([`Seen`], the controls, the verdict) is pure; only the starting and the recording are not.

mod command;
mod control;
mod expected;
mod judge;
mod observe;
mod probe;
mod proof;
mod record;
mod render;
mod start;
mod verify;

pub use judge::Seen;
pub use observe::{Kept, ObserveError, observe};
pub use proof::{
    CapabilityTrial, Denial, Denied, FailedStart, NeededControl, PROOF_VERSION, Proof, RefusedControl, SettingResult,
    Verdict, Workload, digest, rate_below,
};
pub use record::record;
pub use render::table;
pub use start::{
    BundleStarter, Client, EngineCommand, EngineStarter, Entry, Exit, FirstProcess, Order, Outcome, Patience,
    StartError, Starter, describe_workload,
};
pub use verify::{Plan, ProveError, verify};
