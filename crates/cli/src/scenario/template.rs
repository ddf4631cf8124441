//! Plans to start from.

use clap::ValueEnum;

/// A plan to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// What a service does for its users: plain requests, large ones, many methods.
    Requests,
    /// What it does when something is wrong: bad requests, missing files, a peer that goes away, signals.
    Errors,
    /// Many requests at once, and for a while.
    Load,
    /// Too little memory, a small disk, few processes.
    Memory,
}

impl Template {
    #[cfg(test)]
    pub(super) const ALL: [Template; 4] = [Template::Requests, Template::Errors, Template::Load, Template::Memory];

    /// The file.
    pub(super) fn text(self) -> &'static str {
        match self {
            Template::Requests => include_str!("../../../../docs/scenarios/requests.toml"),
            Template::Errors => include_str!("../../../../docs/scenarios/errors.toml"),
            Template::Load => include_str!("../../../../docs/scenarios/load.toml"),
            Template::Memory => include_str!("../../../../docs/scenarios/memory.toml"),
        }
    }
}
