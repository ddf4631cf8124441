//! Why a policy is not in force.

use std::path::PathBuf;

use containers::cgroupfs::LayoutError;
use containers::engine::ResolveError;
use containers::proc::ReadError;
use sensors::guard::{Deed, GuardError, Guards, Step, Trigger};

use crate::canary::CanaryError;
use crate::ladder::LadderError;
use crate::opens::OpensError;
use crate::policy::PolicyError;

/// Why a policy could not be put in force, shown or taken away.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// Containers cannot be told apart.
    #[error("cannot tell containers apart")]
    Layout(#[from] LayoutError),
    /// What runs could not be read.
    #[error("cannot list what runs")]
    Read(#[from] ReadError),
    /// Engines could not be asked.
    #[error(transparent)]
    Engines(#[from] ResolveError),
    /// Nothing can be blocked.
    #[error(transparent)]
    Ladder(#[from] LadderError),
    /// The guards could not be changed or read.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Nothing is blocked any more, or that could not be tried.
    #[error("{}", if .0.is_of_guards() { "nothing is blocked any more" } else { "it cannot be tried whether anything is blocked" })]
    Canary(#[from] CanaryError),
    /// Somebody has taken the guards away.
    #[error("the guards were taken away: nothing is blocked any more")]
    Gone,
    /// Another process is changing the guards, or this one may not.
    #[error("cannot lock {path}, which is held while the guards are changed")]
    Lock {
        /// The file.
        path: PathBuf,
        /// What it was.
        source: std::io::Error,
    },
    /// It is no policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The guards that are in place do not deny what the policy asks for.
    #[error("{} cannot be denied at the step {step}, which is active here", .deed.description())]
    Deed {
        /// What was to be denied.
        deed: Deed,
        /// The step.
        step: Step,
        /// Why.
        source: DeedError,
    },
    /// What the policy waits for is not seen.
    #[error("{trigger} cannot be seen at the step {step}, which is active here")]
    Trigger {
        /// What it is.
        trigger: Trigger,
        /// The step.
        step: Step,
        /// Why.
        source: DeedError,
    },
    /// It is told by its namespaces, where a policy cannot wait.
    #[error("{id} has no cgroup of its own: a policy cannot wait there")]
    NoCgroup {
        /// The container's id.
        id: String,
    },
    /// The contents of programs cannot be looked at.
    #[error(transparent)]
    Opens(#[from] OpensError),
    /// No container is meant.
    #[error("no container matches {whom}: nothing is blocked; with --later it is blocked when it comes")]
    NoContainer {
        /// Whom the policy is about.
        whom: String,
    },
    /// The container is part of the host.
    #[error("{id} is the host itself, or shares all that would tell it from the host: nothing is blocked")]
    Host {
        /// What was found.
        id: String,
    },
    /// What came with its image cannot be told.
    #[error("the root of {id} is no overlay: what came with its image cannot be told from what was written since")]
    NoOverlay {
        /// The container's id.
        id: String,
    },
    /// Its files cannot be told from the host's.
    #[error("the root of {id} is the host's: its files cannot be told from those of the host")]
    HostRoot {
        /// The container's id.
        id: String,
    },
    /// There is no room.
    #[error(
        "{} policies are in force, and there is no room for more: remove one with `ringfence policy remove`",
        Guards::CANARY
    )]
    Full,
    /// Its time is over: there is nothing to switch.
    #[error("the time of policy {0} is over: it is not in force any more")]
    Over(u32),
    /// There is no such policy.
    #[error("there is no policy {0}; `ringfence policy list` shows those that there are")]
    NoPolicy(u32),
    /// What is kept with the guards is no policy.
    #[error("policy {number} was made by another version of ringfence")]
    Foreign {
        /// Its number.
        number: u32,
        /// What is wrong with it.
        source: PolicyError,
    },
}

impl EnforceError {
    /// Whether nothing was done since the policy, or this kernel, does not allow it; else something failed.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            EnforceError::Policy(_)
                | EnforceError::Deed { .. }
                | EnforceError::Trigger { .. }
                | EnforceError::NoCgroup { .. }
                | EnforceError::Opens(_)
                | EnforceError::NoContainer { .. }
                | EnforceError::Host { .. }
                | EnforceError::NoOverlay { .. }
                | EnforceError::HostRoot { .. }
                | EnforceError::Ladder(LadderError::NoStep(_))
                | EnforceError::Full
        )
    }
}

/// Why a kind of deed cannot be denied.
#[derive(Debug, thiserror::Error)]
pub enum DeedError {
    /// The guards have no programs for it, or the kernel refused them.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// It was not denied to a process of our own.
    #[error(transparent)]
    Canary(#[from] CanaryError),
}
