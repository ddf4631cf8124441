//! What the pipeline keeps of one run of one container.

use behaviour::{Behaviour, Builder, Limits};
use containers::engine::{State, Want};
use containers::path::{Engine, Kind, classify};
use event::{Exit, RunId};
use sensors::Slot;

/// One run, or one candidate.
pub(crate) struct Run {
    /// The newest that was read of its slot.
    pub(crate) slot: Slot,
    /// What its cgroup's path says.
    pub(crate) kind: Kind,
    /// Whether the user named it by cgroup or pid, or started it.
    pub(crate) named: bool,
    pub(crate) builder: Builder,
    /// What ended inside of it without being a container itself.
    pub(crate) absorbed: Option<Behaviour>,
    /// How its first process ended.
    pub(crate) init_exit: Option<Exit>,
    /// What its engine said, or why it did not; none before it was asked.
    pub(crate) metadata: Option<State>,
    /// What was lost of everybody when it was met.
    pub(crate) lost_before: CommonLosses,
}

/// Losses that cannot be told apart by container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommonLosses {
    /// Records that could not be decoded.
    pub(crate) undecoded: u64,
    /// Samples of no slot that found no room.
    pub(crate) without_slot: u64,
    /// Runs of a program that the kernel skipped.
    pub(crate) missed: u64,
}

impl Run {
    pub(crate) fn new(slot: Slot, lost_before: CommonLosses) -> Run {
        Run {
            kind: classify(&slot.path),
            slot,
            named: false,
            builder: Builder::new(Limits::default()),
            absorbed: None,
            init_exit: None,
            metadata: None,
            lost_before,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.slot.run
    }

    /// Whether it is a container, as far as can be told now: by structure, else by name.
    pub(crate) fn is_container(&self) -> bool {
        let names_one = matches!(self.kind, Kind::Container(_));
        self.named || self.slot.started_ns.is_some() || names_one
    }

    /// The engine's id of it, as its path says.
    pub(crate) fn path_id(&self) -> Option<&str> {
        self.kind.container().map(|identity| identity.id.as_str())
    }

    /// What to ask engines for; none if there is nothing to ask by.
    ///
    /// A bare runc or crun names the cgroup after the container, with nothing around it that says so.
    pub(crate) fn question(&self) -> Option<Want> {
        let pid = (self.slot.init_pid != 0).then_some(self.slot.init_pid);
        if let Some(identity) = self.kind.container() {
            let is_ours = identity.engine == Engine::Ringfence;
            return (!is_ours).then(|| Want { id: identity.id.clone(), hint: identity.engine, pid });
        }
        let name = self.slot.path.rsplit(|&byte| byte == b'/').next()?;
        let id = std::str::from_utf8(name).ok().filter(|name| containers::path::is_valid_id(name))?;
        let is_container = self.slot.started_ns.is_some() && !self.named;
        is_container.then(|| Want { id: id.to_owned(), hint: Engine::Unknown, pid })
    }

    /// What its engine said, if it has.
    pub(crate) fn known(&self) -> Option<&containers::engine::Metadata> {
        match &self.metadata {
            Some(State::Known(known)) => Some(known),
            _ => None,
        }
    }

    /// Adds the behaviour of a cgroup inside of it.
    pub(crate) fn absorb(&mut self, inner: Behaviour) {
        self.absorbed = Some(match self.absorbed.take() {
            Some(already) => already.merge(inner),
            None => inner,
        });
    }
}
