//! What the pipeline keeps of one run of one container.

use std::time::Instant;

use behaviour::{Behaviour, Builder, Limits};
use containers::engine::{State, Want};
use containers::path::{Engine, Kind, classify};
use event::{Exit, RunId};
use report::Parent;
use sensors::Slot;

use crate::interfaces::Interfaces;
use crate::live;
use crate::losses::CommonLosses;

/// One run, or one candidate.
pub(crate) struct Run {
    /// The newest that was read of its slot.
    pub(crate) slot: Slot,
    /// What its cgroup's path says.
    pub(crate) kind: Kind,
    pub(crate) builder: Builder,
    pub(crate) interfaces: Interfaces,
    /// What ended inside of it without being a container itself.
    pub(crate) absorbed: Option<Behaviour>,
    /// The container that it was made inside of, which may end first.
    pub(crate) parent: Option<Parent>,
    /// How its first process ended.
    pub(crate) init_exit: Option<Exit>,
    /// What its engine said, or why it did not; none before it was asked.
    pub(crate) metadata: Option<State>,
    /// When it was asked.
    pub(crate) asked: Option<Instant>,
    /// What was lost of everybody before it was there.
    pub(crate) lost_before: CommonLosses,
}

impl Run {
    pub(crate) fn new(slot: Slot, lost_before: CommonLosses) -> Run {
        Run {
            kind: classify(&slot.path),
            slot,
            builder: Builder::new(Limits::default()),
            interfaces: Interfaces::default(),
            absorbed: None,
            parent: None,
            init_exit: None,
            metadata: None,
            asked: None,
            lost_before,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.slot.run
    }

    /// Whether it is a container, as far as can be told now: by structure, else by name.
    pub(crate) fn is_container(&self) -> bool {
        let names_one = matches!(self.kind, Kind::Container(_));
        self.slot.named || self.slot.started_ns.is_some() || names_one
    }

    /// The container that its path leads into: its own id, or that of the one around it.
    pub(crate) fn path_id(&self) -> Option<&str> {
        self.kind.container().map(|identity| identity.id.as_str())
    }

    /// Its own id: as its path says, or else the name of its cgroup, which bare runtimes name after the container.
    pub(crate) fn id_of_its_own(&self) -> Option<&str> {
        if let Kind::Container(identity) = &self.kind {
            return Some(&identity.id);
        }
        let name = self.slot.path.rsplit(|&byte| byte == b'/').next()?;
        std::str::from_utf8(name).ok().filter(|name| containers::path::is_valid_id(name))
    }

    /// What to ask engines for; none if there is nothing to ask by.
    ///
    /// A bare runc or crun names the cgroup after the container, with nothing around it that says so.
    pub(crate) fn question(&self) -> Option<Want> {
        let pid = (self.slot.init_pid != 0).then_some(self.slot.init_pid);
        let hint = match &self.kind {
            Kind::Container(identity) if identity.engine == Engine::Ringfence => return None,
            Kind::Container(identity) => identity.engine,
            _ if self.slot.started_ns.is_none() || self.slot.named => return None,
            _ => Engine::Unknown,
        };
        self.id_of_its_own().map(|id| Want { id: id.to_owned(), hint, pid })
    }

    /// What its engine said, if it has.
    pub(crate) fn known(&self) -> Option<&containers::engine::Metadata> {
        match &self.metadata {
            Some(State::Known(known)) => Some(known),
            _ => None,
        }
    }

    /// Whether its engine may still say in time what it is called: one that the path names for a while, whoever else
    /// once.
    pub(crate) fn awaits_its_name(&self) -> bool {
        let is_open = match &self.metadata {
            None => self.question().is_some(),
            Some(State::Pending { attempts, .. }) => *attempts == 0 || self.engine_by_path().is_some(),
            Some(_) => false,
        };
        is_open && self.asked.is_none_or(|asked| asked.elapsed() < live::PATIENCE)
    }

    /// The engine that the path names, if it names this very container.
    pub(crate) fn engine_by_path(&self) -> Option<Engine> {
        match &self.kind {
            Kind::Container(identity) if identity.engine != Engine::Unknown => Some(identity.engine),
            _ => None,
        }
    }

    /// The samples of it that found no room in the ring.
    pub(crate) fn lost_samples(&self) -> u64 {
        self.slot.losses.samples.iter().sum()
    }

    /// Adds the behaviour of a cgroup inside of it.
    pub(crate) fn absorb(&mut self, inner: Behaviour) {
        self.absorbed = Some(match self.absorbed.take() {
            Some(already) => already.merge(inner),
            None => inner,
        });
    }
}
