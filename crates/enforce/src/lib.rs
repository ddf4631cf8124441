//! Policies: what may not happen in which containers, and the guards of the kernel that see to it.
//!
//! A [`Policy`] names containers and what may not be done in them. [`Enforcer`] puts it in force: it finds out what this kernel lets us do, by
//! having a process of our own blocked (`ladder`), tells the guards whom and what a policy is about, and follows the containers
//! that come and go. The guards live on without this program; all that is known of a policy is kept with them, so that another
//! process finds it there.
//!
//! Nothing here prints, and nothing here decides what a container is: that is for the crate `containers`.

mod after;
mod apply;
mod attempt;
mod canary;
mod contents;
mod error;
mod files;
mod follow;
mod hash;
mod held;
mod ladder;
mod listed;
mod lock;
mod network;
mod opens;
mod place;
mod policy;
mod released;
mod running;
mod store;
mod switch;
mod target;
mod watch;
mod written;

pub use after::After;
pub use apply::Applied;
pub use canary::{CanaryError, SUBCOMMAND as CANARY_SUBCOMMAND, run as run_canary};
pub use error::{DeedError, EnforceError};
pub use follow::{Follower, LabelValues, Notice, Place, wake_on_events};
pub use hash::Hash;
pub use ladder::{Climb, LadderError};
pub use listed::{Listed, Script};
pub use network::{Peer, Port, capability};
pub use opens::{Contained, OpensError, are_contents_held};
pub use place::FileRule;
pub use policy::{Policy, PolicyError, Program};
pub use running::matching;
pub use sensors::guard::{
    Action, Cause, Deed, Denial, DenialReader, Details, FileAct, FileKey, GuardError, PolicyState, Reason, Step, Taint,
    Tainted, Tally, Told, Trigger,
};
pub use store::{Enforcer, Status};
pub use target::Target;
pub use written::WrittenPlace;
