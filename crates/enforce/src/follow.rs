//! The containers that come and go while somebody looks: the policies follow them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use containers::engine::Metadata;
use containers::list::Running;
use sensors::guard::{Access, FileKey};

use crate::files::{self, Stat};
use crate::held::Held;
use crate::listed::ListedThere;
use crate::opens::{Contained, Opens, OpensError};
use crate::released::{Meaning, Released};
use crate::store::boot_ns;
use crate::{EnforceError, Enforcer, Status};

/// What a look at the containers found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A container is under a policy.
    InForce {
        /// The policy's number.
        policy: u32,
        /// The container's id.
        id: String,
        /// Its name, if its engine says.
        name: Option<String>,
        /// How long its first process had run before; none if it was under the policy before it began.
        late: Option<Duration>,
        /// Whether it has no cgroup of its own: it is told by its namespaces, and not found again when it comes anew.
        by_namespace: bool,
    },
    /// A container that the policy is meant for, and that it cannot wait in: it is not in force there.
    NotInForce {
        /// The policy's number.
        policy: u32,
        /// The container's id.
        id: String,
    },
    /// Somebody switched a policy.
    Switched {
        /// The policy's number.
        policy: u32,
        /// Whether it only counts now.
        audit: bool,
    },
    /// A container has a label whose value means nothing.
    Mislabelled {
        /// The container's id.
        id: String,
        /// Its name, if its engine says.
        name: Option<String>,
        /// The label, and what it may say.
        label: LabelValues,
        /// What it says.
        value: String,
    },
    /// A container that was under a policy has ended.
    Ended {
        /// The policy's number.
        policy: u32,
        /// The container's id.
        id: String,
    },
    /// Something went wrong where the contents of programs are looked at.
    Contents(String),
    /// What the policy means in a container could not be looked up: its files are told by name and path alone, and what came
    /// with the image is not told at all.
    Unseen {
        /// The policy's number.
        policy: u32,
        /// The container's id.
        id: String,
        /// Why.
        why: String,
    },
}

/// A label that containers may have, and what it may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelValues {
    /// The label.
    pub key: String,
    /// What it may say.
    pub values: Vec<String>,
}

impl LabelValues {
    /// What this container has there that means nothing.
    fn wrong_in<'a>(&self, known: &'a Metadata) -> Option<&'a str> {
        let value = known.labels.get(&self.key)?;
        (!self.values.contains(value)).then_some(value)
    }
}

/// By what the kernel tells the tasks of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Its cgroup's id in the identity hierarchy.
    Cgroup(u64),
    /// Its mount namespace.
    Namespace(u32),
}

/// A container under a policy, and what was looked up in it.
struct Followed {
    place: Place,
    name: Option<String>,
    denied: BTreeMap<Stat, FileKey>,
    many: BTreeSet<Stat>,
    listed: ListedThere,
    held: Held,
    is_unseen: bool,
}

/// By policy, id, and when the container began.
type AllFollowed = BTreeMap<(u32, String, u64), Followed>;

impl Meaning for AllFollowed {
    fn has_program(&self, policy: u32, file: FileKey) -> bool {
        of_policy(self, policy).any(|followed| followed.denied.values().any(|key| *key == file))
    }

    fn access(&self, policy: u32, file: FileKey) -> Access {
        of_policy(self, policy).fold(Access::default(), |access, followed| access.with(followed.held.access(file)))
    }

    fn has_folder(&self, policy: u32, folder: FileKey) -> bool {
        of_policy(self, policy).any(|followed| followed.held.has_folder(folder))
    }
}

fn of_policy(followed: &AllFollowed, policy: u32) -> impl Iterator<Item = &Followed> {
    followed.range((policy, String::new(), 0)..).take_while(move |(key, _)| key.0 == policy).map(|(_, one)| one)
}

/// Follows the containers that policies are about.
#[derive(Default)]
pub struct Follower {
    followed: AllFollowed,
    /// What is no longer meant in one of them.
    released: Released,
    awaited: BTreeSet<(u32, String)>,
    /// Which policies only count, and which were switched.
    modes: BTreeMap<u32, (bool, bool)>,
    label: Option<LabelValues>,
    /// While a policy names contents.
    opens: Option<Opens>,
    /// The containers whose label is wrong, with what it says.
    mislabelled: BTreeSet<(String, String)>,
    /// The first look finds what was there before: nobody is told of that.
    has_looked: bool,
}

impl Follower {
    /// One that has seen nothing.
    pub fn new() -> Follower {
        Follower::default()
    }

    /// One that also looks at what this label says.
    pub fn with_label(label: LabelValues) -> Follower {
        Follower { label: Some(label), ..Follower::default() }
    }

    /// Whether a container has a label whose value means nothing.
    pub fn has_mislabelled(&self) -> bool {
        !self.mislabelled.is_empty()
    }

    /// Why what is denied by its content was denied; none while no policy names contents.
    pub fn contained(&self) -> Option<Contained> {
        self.opens.as_ref().map(Opens::contained)
    }

    /// The containers that are under policies: where they are, their ids, and their names if their engines say.
    pub fn places(&self) -> impl Iterator<Item = (Place, &str, Option<&str>)> {
        self.followed.iter().map(|((_, id, _), it)| (it.place, id.as_str(), it.name.as_deref()))
    }

    /// Looks at all containers: those that have come are put under their policies, and what the policies mean in each is
    /// looked up again.
    pub fn look(&mut self, enforcer: &Enforcer) -> Result<Vec<Notice>, EnforceError> {
        let policies = enforcer.policies()?;
        let mut notices = self.switched(&policies);
        // First, as one that is yet to start does not wait.
        let known = enforcer.known()?;
        self.expect(enforcer, &policies, &known)?;
        notices.extend(self.mislabelled_in(&known));
        self.look_at_contents(enforcer, &policies)?;
        notices.extend(self.opens.as_ref().and_then(Opens::failed).map(Notice::Contents));
        let names: Vec<&str> = policies.iter().flat_map(|status| status.policy.names()).collect();
        let running = enforcer.running(&known, &names)?;
        let mut seen = BTreeSet::new();
        for status in &policies {
            for container in
                running.iter().filter(|it| status.policy.containers.iter().any(|one| one.wants_running(it)))
            {
                let key = (status.number, container.id.clone(), container.init.start_ns);
                seen.insert(key.clone());
                if !self.followed.contains_key(&key) {
                    let notice = take_in(enforcer, status, container)?;
                    notices.extend(self.has_looked.then_some(notice));
                }
                let followed = self.followed.entry(key).or_insert_with(|| Followed::of(container));
                if let Err(why) = followed.renew(enforcer, status, container, self.opens.as_ref(), &mut self.released)
                    && !std::mem::replace(&mut followed.is_unseen, true)
                {
                    notices.push(Notice::Unseen { policy: status.number, id: container.id.clone(), why });
                }
            }
        }
        self.has_looked = true;
        let gone: Vec<_> = self.followed.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            if let Some(followed) = self.followed.remove(&key) {
                self.released.programs.extend(followed.denied.values().map(|file| (key.0, *file)));
                followed.listed.forget(&enforcer.guards, key.0)?;
                followed.held.release(key.0, &mut self.released);
            }
            notices.push(Notice::Ended { policy: key.0, id: key.1 });
        }
        self.released.let_go(&enforcer.guards, &self.followed)?;
        Ok(notices)
    }

    /// Whoever is to run what a policy names by its content is held back, while there is such a policy.
    fn look_at_contents(&mut self, enforcer: &Enforcer, policies: &[Status]) -> Result<(), EnforceError> {
        let naming = policies.iter().filter(|status| !status.policy.hash.is_empty() && !status.is_over());
        let hashes: BTreeMap<_, _> =
            naming.map(|status| (status.number, status.policy.hash.iter().copied().collect())).collect();
        if hashes.is_empty() {
            self.opens = None;
            return Ok(());
        }
        let opens = match self.opens.take() {
            Some(opens) if !opens.is_alive() => return Err(OpensError::Ended.into()),
            Some(opens) => opens,
            None => Opens::start(&enforcer.proc)?,
        };
        opens.set(hashes);
        self.opens = Some(opens);
        Ok(())
    }

    /// The containers whose label is wrong, and was not before.
    fn mislabelled_in(&mut self, known: &[Metadata]) -> Vec<Notice> {
        let Some(label) = &self.label else { return Vec::new() };
        let wrong: Vec<(&Metadata, &str)> =
            known.iter().filter_map(|metadata| Some((metadata, label.wrong_in(metadata)?))).collect();
        let now = wrong.iter().map(|(metadata, value)| (metadata.id.clone(), (*value).to_owned())).collect();
        let before = std::mem::replace(&mut self.mislabelled, now);
        let is_new = |id: &str, value: &str| !before.contains(&(id.to_owned(), value.to_owned()));
        let new = wrong.into_iter().filter(|(metadata, value)| is_new(&metadata.id, value));
        new.map(|(metadata, value)| Notice::Mislabelled {
            id: metadata.id.clone(),
            name: metadata.name.clone(),
            label: label.clone(),
            value: value.to_owned(),
        })
        .collect()
    }

    /// The policies that were switched since the last look.
    fn switched(&mut self, policies: &[Status]) -> Vec<Notice> {
        let now: BTreeMap<u32, (bool, bool)> =
            policies.iter().map(|status| (status.number, (status.policy.audit, status.is_switched))).collect();
        let before = std::mem::replace(&mut self.modes, now);
        // Both: another policy may have been given the number.
        let is_switched = |number: &u32, mode: &(bool, bool)| {
            before.get(number).is_some_and(|old| old.0 != mode.0 && old.1 != mode.1)
        };
        let switched = self.modes.iter().filter(|(number, mode)| is_switched(number, mode));
        switched.map(|(number, (audit, _))| Notice::Switched { policy: *number, audit: *audit }).collect()
    }

    /// Containers that engines know and that are yet to start, or to start again. An engine that does not answer forgets none, so
    /// that those that are gone are given up only when there are many.
    fn expect(&mut self, enforcer: &Enforcer, policies: &[Status], known: &[Metadata]) -> Result<(), EnforceError> {
        let mut current = BTreeSet::new();
        for status in policies {
            for id in status.policy.awaited_ids(known, false) {
                let one = (status.number, id);
                if !self.awaited.contains(&one) {
                    enforcer.wait_for(&one.1, one.0)?;
                }
                current.insert(one);
            }
        }
        self.awaited.extend(current.iter().cloned());
        if self.awaited.len() > current.len() + MOST_GONE {
            for (number, id) in self.awaited.difference(&current) {
                enforcer.wait_no_more(id, *number)?;
            }
            self.awaited = current;
        }
        Ok(())
    }
}

/// So many containers that are gone are still awaited.
const MOST_GONE: usize = 500;

fn take_in(enforcer: &Enforcer, status: &Status, container: &Running) -> Result<Notice, EnforceError> {
    let under = enforcer.guards.cgroups_of(status.number)?;
    let is_under = container.cgroup.as_ref().is_some_and(|cgroup| under.contains(&cgroup.id.0));
    if !is_under {
        match enforcer.watch(container, status.number) {
            Err(EnforceError::NoCgroup { id }) => return Ok(Notice::NotInForce { policy: status.number, id }),
            done => done?,
        }
    }
    Ok(Notice::InForce {
        policy: status.number,
        id: container.id.clone(),
        name: container.metadata.as_deref().and_then(|known| known.name.clone()),
        late: (!is_under).then(|| Duration::from_nanos(boot_ns().saturating_sub(container.init.start_ns))),
        by_namespace: container.cgroup.is_none(),
    })
}

impl Followed {
    fn of(container: &Running) -> Followed {
        let place = match &container.cgroup {
            Some(cgroup) => Place::Cgroup(cgroup.id.0),
            None => Place::Namespace(container.namespaces.mount),
        };
        let name = container.metadata.as_deref().and_then(|known| known.name.clone());
        Followed {
            place,
            name,
            denied: BTreeMap::new(),
            many: BTreeSet::new(),
            listed: ListedThere::default(),
            held: Held::default(),
            is_unseen: false,
        }
    }

    /// Looks up what the policy means in the container now: a program that was replaced is another file.
    fn renew(
        &mut self,
        enforcer: &Enforcer,
        status: &Status,
        container: &Running,
        opens: Option<&Opens>,
        released: &mut Released,
    ) -> Result<(), String> {
        let number = status.number;
        let said = |error: &dyn std::error::Error| error.to_string();
        if let Some(opens) = opens.filter(|_| !status.policy.hash.is_empty()) {
            let has_own_root = enforcer.has_own_root(container).map_err(|error| said(&error))?;
            if has_own_root {
                opens.watch(&enforcer.proc, container.init.pid)?;
            }
        }
        if status.policy.image_binaries_only {
            enforcer.must_be_overlay(container).map_err(|error| said(&error))?;
        }
        if let Some(only) = &status.policy.only {
            let has_own_root = enforcer.has_own_root(container).map_err(|error| said(&error))?;
            if has_own_root {
                self.listed.renew(only, container.init.pid, &enforcer.guards, number)?;
            }
        }
        let guards = &enforcer.guards;
        let rules = [status.policy.file.clone(), status.policy.tainting()].concat();
        if !rules.is_empty() {
            let has_own_root = enforcer.has_own_root(container).map_err(|error| said(&error))?;
            if has_own_root {
                let pid = container.init.pid;
                self.held.renew(guards, &rules, pid, number, released).map_err(|error| said(&error))?;
            }
        }
        let meant = files::look_up(container.init.pid, &status.policy.exec).map_err(|error| said(&error))?;
        for path in &meant.paths {
            guards.deny_path(path, number).map_err(|error| said(&error))?;
        }
        for name in &meant.names {
            guards.deny_name(name.as_bytes(), number).map_err(|error| said(&error))?;
        }
        for file in &meant.many {
            let stat = Stat::of(file.as_fd()).map_err(|error| said(&error))?;
            if self.many.insert(stat) {
                let key = guards.file_key(file.as_fd()).map_err(|error| said(&error))?;
                guards.name_many(key, number).map_err(|error| said(&error))?;
            }
        }
        let mut old = std::mem::take(&mut self.denied);
        for file in &meant.denied {
            let stat = Stat::of(file.as_fd()).map_err(|error| said(&error))?;
            let key = match old.remove(&stat) {
                Some(key) => key,
                None => {
                    let key = guards.file_key(file.as_fd()).map_err(|error| said(&error))?;
                    guards.deny_file(key, number).map_err(|error| said(&error))?;
                    key
                }
            };
            self.denied.insert(stat, key);
        }
        released.programs.extend(old.into_values().map(|key| (number, key)));
        Ok(())
    }
}

/// How long until an engine that went away is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends something whenever Docker or Podman's service tells of a container, in threads that end with the process: they name a
/// container before they start it.
pub fn wake_on_events(wake: &SyncSender<()>) {
    let sockets = containers::engine::Sockets::usual(Path::new("/"));
    for socket in sockets.docker.into_iter().chain(sockets.podman) {
        let wake = wake.clone();
        std::thread::spawn(move || {
            loop {
                let _ = listen(&socket, &wake);
                std::thread::sleep(PAUSE);
            }
        });
    }
}

fn listen(socket: &PathBuf, wake: &SyncSender<()>) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    // {"type":["container"]}
    stream.write_all(
        b"GET /events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n",
    )?;
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer)? > 0 {
        // Full: somebody will look soon anyway.
        let _ = wake.try_send(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use containers::path::Engine;

    use super::*;

    fn labelled(id: &str, value: &str) -> Metadata {
        let labels = BTreeMap::from([("ringfence.level".to_owned(), value.to_owned())]);
        Metadata { labels, ..Metadata::new(Engine::Docker, id) }
    }

    fn ids(notices: &[Notice]) -> Vec<&str> {
        let id = |notice: &'_ Notice| matches!(notice, Notice::Mislabelled { .. });
        assert!(notices.iter().all(id), "{notices:?}");
        notices
            .iter()
            .filter_map(|notice| if let Notice::Mislabelled { id, .. } = notice { Some(id.as_str()) } else { None })
            .collect()
    }

    #[test]
    fn a_label_that_means_nothing_is_told_once_and_again_when_it_says_another_thing() {
        let values = ["baseline".to_owned()].into();
        let mut follower = Follower::with_label(LabelValues { key: "ringfence.level".into(), values });
        let without = Metadata::new(Engine::Docker, "d");
        let known = [labelled("a", "baseline"), labelled("b", "basline"), labelled("c", ""), without];

        assert_eq!(ids(&follower.mislabelled_in(&known)), ["b", "c"]);
        assert!(follower.has_mislabelled());
        assert_eq!(ids(&follower.mislabelled_in(&known)), [""; 0]);
        assert_eq!(ids(&follower.mislabelled_in(&[labelled("b", "BASELINE")])), ["b"]);
        assert_eq!(ids(&follower.mislabelled_in(&[labelled("b", "baseline")])), [""; 0]);
        assert!(!follower.has_mislabelled());
        assert_eq!(ids(&Follower::new().mislabelled_in(&known)), [""; 0]);
    }
}
