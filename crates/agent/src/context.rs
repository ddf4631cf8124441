//! What is around an event, for rules that ask for it: the process's program and ancestors, its container, names.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use behaviour::{Adopted, Builder};
use containers::accounts::Accounts;
use containers::engine::Metadata;
use containers::proc::Proc;
use event::{Event, Phase, RunId, Text};
use rules::{ContainerFacts, ContainerMount, Context, Names};

use crate::clock::Clock;
use crate::lineage::Processes;
use crate::run::Run;

/// How long names are taken for right: a container can change its files.
const ACCOUNTS_AGE: Duration = Duration::from_secs(10);
/// Of so many containers names are kept.
const MAX_ACCOUNTS: usize = 256;

/// All that is kept for it.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) processes: Processes,
    number: u64,
    accounts: RefCell<BTreeMap<RunId, (Instant, Rc<Lazy>)>>,
    mounts: RefCell<BTreeMap<RunId, Rc<Vec<ContainerMount>>>>,
    hostname: String,
}

/// Names in the files of a container, read when the first is asked for.
#[derive(Debug)]
struct Lazy {
    proc: Proc,
    /// Processes whose root may be the container's; the first that can be read counts.
    pids: Vec<u32>,
    read: OnceCell<Rc<Accounts>>,
    /// What was read before: it stands when there is nothing to be read any more.
    before: Rc<Accounts>,
}

impl Lazy {
    fn accounts(&self) -> &Rc<Accounts> {
        self.read.get_or_init(|| {
            let of = |pid: &u32| Some(Accounts::of_process(&self.proc, *pid)).filter(|all| *all != Accounts::default());
            self.pids.iter().find_map(of).map_or_else(|| Rc::clone(&self.before), Rc::new)
        })
    }
}

/// What the container's files say, and what it was told when it asked for names: looked up when a rule asks.
#[derive(Debug)]
struct Told<'a> {
    surroundings: &'a Surroundings,
    proc: &'a Proc,
    container: RunId,
    pids: [u32; 2],
    phase: Phase,
    files: OnceCell<Rc<Lazy>>,
    /// Of the container, and of the cgroup in it where the event was.
    by_dns: [&'a Builder; 2],
}

impl Told<'_> {
    fn accounts(&self) -> &Accounts {
        let look_up = || self.surroundings.names(self.container, self.pids, self.proc, self.phase);
        self.files.get_or_init(look_up).accounts()
    }
}

impl Names for Told<'_> {
    fn user(&self, uid: u32) -> Option<&[u8]> {
        self.accounts().user(uid)
    }

    fn group(&self, gid: u32) -> Option<&[u8]> {
        self.accounts().group(gid)
    }

    fn hosts(&self, address: &[u8], visit: &mut dyn FnMut(&[u8])) {
        self.accounts().hosts(address).iter().for_each(|name| visit(name));
        let address = Text::new(address);
        self.by_dns.iter().for_each(|builder| builder.names_of(&address, |name| visit(name.as_bytes())));
    }
}

impl Surroundings {
    pub(crate) fn new() -> Surroundings {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Surroundings { hostname, ..Surroundings::default() }
    }

    /// Takes in an event, before anybody is told of it.
    pub(crate) fn observe(&mut self, event: &Event, proc: &Proc) {
        self.processes.observe(event, proc);
        self.number += 1;
    }

    /// Reads the names of a container that begins: when somebody asks for them it may have ended.
    pub(crate) fn begin(&self, run: RunId, init_pid: u32, proc: &Proc) {
        self.names(run, [init_pid, 0], proc, Phase::Main).accounts();
    }

    /// Takes in a process that was there before.
    pub(crate) fn adopt(&mut self, run: RunId, adopted: &Adopted) {
        self.processes.adopt(run, adopted);
    }

    /// Forgets a run that is over.
    pub(crate) fn forget(&mut self, run: RunId) {
        self.processes.forget(run);
        self.accounts.borrow_mut().remove(&run);
        self.mounts.borrow_mut().remove(&run);
    }

    /// Hands on what is around an event of this container, that was in this cgroup of it.
    pub(crate) fn around<T>(
        &self,
        event: &Event,
        (container, run): (&Run, &Run),
        proc: &Proc,
        clock: Clock,
        then: impl FnOnce(Context<'_>) -> T,
    ) -> T {
        let process = event.task.image.process;
        let ancestors = self.processes.ancestors(proc, process);
        let known = container.known();
        let mounts = self.mounts(container, known);
        let names = Told {
            surroundings: self,
            proc,
            container: container.id(),
            pids: [container.slot.init_pid, process.pid],
            phase: event.phase,
            files: OnceCell::new(),
            by_dns: [&container.builder, &run.builder],
        };
        then(Context {
            number: self.number,
            image: self.processes.image(event.task.image),
            exec: self.processes.exec(event.task.image),
            lineage: Some(&ancestors),
            container: facts(container, known, mounts.as_deref().map(Vec::as_slice), clock),
            names: Some(&names),
            hostname: Some(&self.hostname),
        })
    }

    /// The names of a container, as the first of these processes that is there has them.
    fn names(&self, container: RunId, pids: [u32; 2], proc: &Proc, phase: Phase) -> Rc<Lazy> {
        let lazy = |pids, before| Rc::new(Lazy { proc: proc.clone(), pids, read: OnceCell::new(), before });
        // The root of a process that sets the container up may still be the host's.
        if phase == Phase::RuntimeInit {
            return lazy(Vec::new(), Rc::default());
        }
        let mut all = self.accounts.borrow_mut();
        let known = all.get(&container);
        if let Some((_, names)) = known.filter(|(read, _)| read.elapsed() < ACCOUNTS_AGE) {
            return Rc::clone(names);
        }
        let before = known.map(|(_, names)| Rc::clone(names.accounts())).unwrap_or_default();
        let names = lazy(pids.into_iter().filter(|pid| *pid != 0).collect(), before);
        if all.len() >= MAX_ACCOUNTS {
            all.clear();
        }
        all.insert(container, (Instant::now(), Rc::clone(&names)));
        names
    }

    fn mounts(&self, container: &Run, known: Option<&Metadata>) -> Option<Rc<Vec<ContainerMount>>> {
        let given = known?.settings.as_ref()?.mounts.as_ref()?;
        let mut all = self.mounts.borrow_mut();
        let mounts = all.entry(container.id()).or_insert_with(|| {
            let mount = |one: &containers::engine::GivenMount| ContainerMount {
                source: one.source.clone(),
                destination: one.destination.clone(),
                mode: String::new(),
                is_writable: !one.read_only,
                propagation: String::new(),
            };
            Rc::new(given.iter().map(mount).collect())
        });
        Some(Rc::clone(mounts))
    }
}

fn facts<'a>(
    container: &Run,
    known: Option<&'a Metadata>,
    mounts: Option<&'a [ContainerMount]>,
    clock: Clock,
) -> ContainerFacts<'a> {
    let namespaces = known.and_then(|known| known.settings.as_ref()).and_then(|settings| settings.namespaces.as_ref());
    let is_host = |name: &str| namespaces.map(|all| all.get(name).is_some_and(|mode| mode == "host"));
    ContainerFacts {
        image_id: known.and_then(|known| known.image_id.as_deref()),
        image_digest: known.and_then(|known| known.image_digest.as_deref()),
        privileged: known.and_then(|known| known.security.privileged),
        mounts,
        labels: known.map(|known| &known.labels),
        start: container.slot.started_ns.map(|boot_ns| clock.at(boot_ns).wall.unix_ns()),
        host_network: is_host("net"),
        host_pid: is_host("pid"),
        host_ipc: is_host("ipc"),
        address: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId { slot: 1, generation: 0 };

    #[test]
    fn names_are_read_when_a_container_begins_and_stand_when_it_is_gone() {
        let tree = tempfile::tempdir().expect("a folder");
        let etc = tree.path().join("7/root/etc");
        std::fs::create_dir_all(&etc).expect("folders");
        std::fs::write(etc.join("passwd"), "web:x:33:33::/:/bin/sh\n").expect("a file");
        let (proc, surroundings) = (Proc::new(tree.path()), Surroundings::default());
        let name = |phase| surroundings.names(RUN, [7, 0], &proc, phase).accounts().user(33).map(<[u8]>::to_vec);

        assert_eq!(name(Phase::RuntimeInit), None, "its root may be the host's");
        surroundings.begin(RUN, 7, &proc);
        std::fs::remove_dir_all(tree.path().join("7")).expect("its end");
        assert_eq!(name(Phase::Main).as_deref(), Some(&b"web"[..]));

        // Too old, and there is nothing newer.
        if let Some((read, _)) = surroundings.accounts.borrow_mut().get_mut(&RUN) {
            *read -= ACCOUNTS_AGE;
        }
        assert_eq!(name(Phase::Main).as_deref(), Some(&b"web"[..]));
    }
}
