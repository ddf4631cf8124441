//! What is measured; one file per subject.

pub(crate) mod accounting;
pub(crate) mod commands;
pub(crate) mod containers;
pub(crate) mod detecting;
pub(crate) mod guards;
pub(crate) mod peers;
pub(crate) mod rules;
pub(crate) mod scale;
pub(crate) mod servers;
pub(crate) mod storms;

use crate::outcome::Findings;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Only so much that every item is seen to work.
    pub(crate) quick: bool,
}

impl Settings {
    /// The first if there is time, else the second.
    pub(crate) fn choose<T>(self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}

/// One subject.
pub(crate) struct Item {
    /// As `--only` wants it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) run: fn(Settings) -> anyhow::Result<Findings>,
}

/// All of them, in the order of the page.
pub(crate) const ITEMS: &[Item] = &[
    Item { name: "getppid", title: "A call that succeeds", run: accounting::getppid },
    Item { name: "eagain", title: "A call that always fails", run: accounting::eagain },
    Item { name: "open", title: "Opening a file again and again", run: accounting::open },
    Item { name: "commands", title: "Whole commands", run: commands::commands },
    Item { name: "servers", title: "Real servers in a container", run: servers::servers },
    Item { name: "peers", title: "The same loop beside other programs", run: peers::peers },
    Item { name: "storm", title: "Storms of processes", run: storms::storm },
    Item { name: "containers", title: "Containers in numbers", run: containers::containers },
    Item { name: "rules", title: "Events through the rules", run: rules::rules },
    Item { name: "detect", title: "A storm through all public rules", run: detecting::detecting },
    Item { name: "redis-rules", title: "Redis, looked at by all public rules", run: servers::redis_rules },
    Item { name: "guards", title: "Programs beside guards", run: guards::guards },
    Item { name: "scale", title: "Many containers that do nothing", run: scale::scale },
];
