//! What is around an event, for rules that ask for it: the process's program and ancestors, its container, names.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use behaviour::Adopted;
use containers::accounts::Accounts;
use containers::engine::Metadata;
use containers::proc::Proc;
use event::{Event, RunId};
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

/// Names of a container, read when the first is asked for.
#[derive(Debug)]
struct Lazy {
    proc: Proc,
    /// Processes whose root may be the container's; the first that can be read counts.
    pids: Vec<u32>,
    read: OnceCell<Accounts>,
}

impl Lazy {
    fn accounts(&self) -> &Accounts {
        self.read.get_or_init(|| {
            let of = |pid: &u32| Some(Accounts::of_process(&self.proc, *pid)).filter(|all| *all != Accounts::default());
            self.pids.iter().find_map(of).unwrap_or_default()
        })
    }
}

impl Names for Lazy {
    fn user(&self, uid: u32) -> Option<&[u8]> {
        self.accounts().user(uid)
    }

    fn group(&self, gid: u32) -> Option<&[u8]> {
        self.accounts().group(gid)
    }

    fn hosts(&self, address: &[u8], visit: &mut dyn FnMut(&[u8])) {
        self.accounts().hosts(address).iter().for_each(|name| visit(name));
    }
}

impl Surroundings {
    pub(crate) fn new() -> Surroundings {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Surroundings { hostname, ..Surroundings::default() }
    }

    /// Takes in an event, before anybody is told of it.
    pub(crate) fn observe(&mut self, event: &Event) {
        self.processes.observe(event);
        self.number += 1;
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

    /// Hands on what is around an event of this container.
    pub(crate) fn around<T>(
        &self,
        event: &Event,
        container: &Run,
        proc: &Proc,
        clock: Clock,
        then: impl FnOnce(Context<'_>) -> T,
    ) -> T {
        let process = event.task.image.process;
        let ancestors = self.processes.ancestors(proc, process);
        let known = container.known();
        let mounts = self.mounts(container, known);
        let names = self.names(container, proc, process.pid);
        then(Context {
            number: self.number,
            image: self.processes.image(process),
            exec: self.processes.exec(process),
            lineage: Some(&ancestors),
            container: facts(container, known, mounts.as_deref().map(Vec::as_slice), clock),
            names: Some(&*names),
            hostname: Some(&self.hostname),
        })
    }

    fn names(&self, container: &Run, proc: &Proc, pid: u32) -> Rc<Lazy> {
        let mut all = self.accounts.borrow_mut();
        if let Some((_, names)) = all.get(&container.id()).filter(|(read, _)| read.elapsed() < ACCOUNTS_AGE) {
            return Rc::clone(names);
        }
        let pids = [container.slot.init_pid, pid].into_iter().filter(|pid| *pid != 0).collect();
        let names = Rc::new(Lazy { proc: proc.clone(), pids, read: OnceCell::new() });
        if all.len() >= MAX_ACCOUNTS {
            all.clear();
        }
        all.insert(container.id(), (Instant::now(), Rc::clone(&names)));
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
