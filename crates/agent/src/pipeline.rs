//! Books what happened on the container it happened in, and closes the book when the container is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use behaviour::Behaviour;
use containers::cgroupfs::{CgroupId, Layout, usage};
use containers::engine::State;
use containers::path::{Engine, Kind};
use containers::proc::{Namespace, Proc};
use event::{Event, Payload, Phase, Resource, RunId, SyscallNames, Text};
use report::{Parent, Report};
use rules::Subject;
use sensors::{Kernel, ReadError, Slot};

use crate::adopt;
use crate::assemble::{self, Common, Parts};
use crate::clock;
use crate::context::Surroundings;
use crate::host_paths::seen_from_outside;
use crate::live::Place;
use crate::losses::{CommonLosses, History};
use crate::names::Names;
use crate::peers::{self, Called, Past};
use crate::run::Run;

/// How long the end of a container waits for the first answer of its engine.
const PATIENCE_NS: u64 = 2_000_000_000;
/// How long the end of the recording does.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// How deep containers in containers are followed to the outermost.
const MAX_NESTED: usize = 8;

/// The runs that are open, and what is needed to close them.
pub(crate) struct Pipeline {
    kernel: Arc<Kernel>,
    proc: Proc,
    layout: Layout,
    /// Whether the kernel keeps account of how long tasks wait for a CPU.
    has_run_delay: bool,
    names: SyscallNames,
    common: Common,
    runs: BTreeMap<RunId, Run>,
    /// The slots of what was absorbed into a run.
    inner_slots: BTreeMap<RunId, Vec<Slot>>,
    engines: Names,
    history: History,
    /// What runs that are over were called.
    past: Past,
    /// The network namespace of the host.
    host_network: u32,
    /// What is kept for rules; none if nobody asks for it.
    pub(crate) surroundings: Option<Surroundings>,
    /// Events taken in.
    pub(crate) events: u64,
    /// Programs started.
    pub(crate) execs: u64,
}

/// A run that is over, or that was read at the end of the recording.
pub(crate) struct Closed {
    pub(crate) report: Report,
    /// What is needed to decide whether somebody wants it.
    pub(crate) run: Run,
    /// The events of it that found no room in the ring.
    pub(crate) lost_samples: u64,
}

impl Pipeline {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        proc: Proc,
        layout: Layout,
        names: SyscallNames,
        common: Common,
        engines: Names,
    ) -> Pipeline {
        // Without it, nobody's is the host's.
        let host_network = proc.namespace(1, Namespace::Net).unwrap_or(0);
        Pipeline {
            has_run_delay: has_run_delay(&proc),
            kernel,
            proc,
            layout,
            names,
            common,
            engines,
            history: History::default(),
            past: Past::default(),
            host_network,
            runs: BTreeMap::new(),
            inner_slots: BTreeMap::new(),
            surroundings: None,
            events: 0,
            execs: 0,
        }
    }

    /// The runs that are open.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// One of them.
    pub(crate) fn run(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run)
    }

    /// One of them, to be changed.
    pub(crate) fn run_mut(&mut self, run: RunId) -> Option<&mut Run> {
        self.runs.get_mut(&run)
    }

    /// Takes in one event.
    pub(crate) fn observe(&mut self, event: &Event, undecoded: u64) {
        self.events += 1;
        if self.meet(event.run, undecoded) {
            self.ask();
        }
        if let Some(surroundings) = &mut self.surroundings {
            surroundings.observe(event, &self.proc);
        }
        let Some(run) = self.runs.get_mut(&event.run) else { return };
        match &event.payload {
            Payload::TaskEntered(entered) => {
                if let Some(mut past) = adopt::describe(&self.proc, entered.image, event.phase) {
                    // What /proc says is of this image only if nobody has called exec meanwhile: better none than another's.
                    if self.kernel.slot(event.run).is_none_or(|slot| slot.execs > 0) {
                        past.program = None;
                    }
                    run.builder.adopt(&past);
                    if let Some(surroundings) = &mut self.surroundings {
                        surroundings.adopt(event.run, &past);
                    }
                }
            }
            Payload::ContainerStarted(_) => {
                if let Some(slot) = self.kernel.slot(event.run) {
                    run.slot = slot;
                }
                // A short life may have no other reading.
                measure(&self.layout, run, false);
                if let Some(surroundings) = &self.surroundings {
                    surroundings.begin(run.id(), run.slot.init_pid, &self.proc);
                }
            }
            Payload::Mount(mount) => {
                let pid = event.task.image.process.pid;
                let known = Payload::Mount(seen_from_outside(&self.proc, pid, mount));
                run.builder.observe(&Event { payload: known, ..event.clone() });
                return;
            }
            Payload::Exec(_) => self.execs += 1,
            Payload::Exit(exit) if event.task.image.process.pid == run.slot.init_pid => {
                run.init_exit = Some(exit.clone());
                // Its runtime is about to remove the cgroup.
                measure(&self.layout, run, true);
            }
            _ => {}
        }
        run.builder.observe(event);
    }

    /// Adopts the tasks that were in a container before anybody looked.
    pub(crate) fn adopt(&mut self) -> Result<(), sensors::MapError> {
        let mut threads: BTreeMap<(RunId, event::ProcessId), u32> = BTreeMap::new();
        let mut leaders = Vec::new();
        for found in self.kernel.adopt()? {
            let process = found.task.image.process;
            if found.task.tid == process.pid {
                leaders.push(found);
            } else {
                *threads.entry((found.run, process)).or_default() += 1;
            }
        }
        for found in leaders {
            self.meet(found.run, 0);
            let Some(run) = self.runs.get_mut(&found.run) else { continue };
            // Those that came in later were met when they did.
            if !run.slot.attached {
                continue;
            }
            let process = found.task.image.process;
            let mut past = adopt::describe(&self.proc, found.task.image, Phase::Main).unwrap_or(behaviour::Adopted {
                image: found.task.image,
                pid_inside: Some(found.tid_inside),
                parent: None,
                phase: Phase::Main,
                threads: 0,
                program: None,
            });
            past.parent = Some(found.parent);
            past.threads = threads.get(&(found.run, process)).copied().unwrap_or_default();
            run.builder.adopt(&past);
            if let Some(surroundings) = &mut self.surroundings {
                surroundings.adopt(found.run, &past);
            }
        }
        Ok(())
    }

    /// Looks at every slot that is known, and once a second or if `all` are asked for, at the others: what a lost sample
    /// would have told is there, too. Gives the runs that have ended.
    pub(crate) fn scan(&mut self, all: bool, undecoded: u64) -> Vec<RunId> {
        let kernel = Arc::clone(&self.kernel);
        if self.remember_losses() || all {
            for slot in kernel.slots() {
                self.meet(slot.run, undecoded);
                if let Some(run) = self.runs.get_mut(&slot.run) {
                    run.slot = slot;
                }
            }
            self.measure(false);
        }
        let mut ended: Vec<RunId> = self.runs.keys().copied().filter(|&id| kernel.is_over(id)).collect();
        ended.retain(|&id| !self.has_silent_tasks(id));
        for &id in &ended {
            if let (Some(run), Some(slot)) = (self.runs.get_mut(&id), kernel.slot(id)) {
                run.slot = slot;
            }
        }
        self.ask();
        // An engine that knows the container should have the time to say so.
        let now = clock::boot_ns();
        ended.retain(|id| {
            let ended_ns = self.runs.get(id).and_then(|run| run.slot.ended_ns).unwrap_or_default();
            !self.engines.is_unanswered(*id) || now.saturating_sub(ended_ns) > PATIENCE_NS
        });
        ended
    }

    /// Whether processes that the user named are still there. Those that have made no call since are not counted yet.
    fn has_silent_tasks(&self, id: RunId) -> bool {
        let is_named = self.runs.get(&id).is_some_and(|run| run.slot.no_cgroup && run.slot.attached);
        is_named && self.kernel.adopt().is_ok_and(|tasks| tasks.iter().any(|task| task.run == id))
    }

    /// Asks engines for whatever is a container and was not asked for yet, and takes their answers.
    pub(crate) fn ask(&mut self) {
        for (&id, run) in &mut self.runs {
            match run.metadata {
                None => {
                    if let Some(want) = run.question() {
                        run.asked.get_or_insert_with(Instant::now);
                        self.engines.want(id, want);
                        run.metadata = self.engines.state(id);
                    }
                }
                Some(State::Known(_)) => {}
                Some(_) => run.metadata = self.engines.state(id),
            }
        }
    }

    /// Reads the counts of every run that is open: between two of these lies the last use of each call.
    pub(crate) fn snapshot(&mut self) -> Result<(), ReadError> {
        let open: Vec<RunId> = self.runs.keys().copied().collect();
        let now = clock::boot_ns();
        self.read(&open, now)
    }

    /// Takes in what went through the interfaces of containers whose first process lives.
    fn read_interfaces(&mut self) {
        for run in self.runs.values_mut().filter(|run| run.is_container() && run.slot.init_pid != 0) {
            if let Some(interfaces) = run.interfaces.read(&self.proc, run.slot.init_pid, self.host_network) {
                run.builder.interfaces(interfaces);
            }
        }
    }

    /// Reads what every container that is open has used; `at_end` if that is for the last time.
    pub(crate) fn measure(&mut self, at_end: bool) {
        for run in self.runs.values_mut() {
            if run.is_container() && run.slot.ended_ns.is_none() {
                measure(&self.layout, run, at_end);
            }
        }
        self.read_interfaces();
    }

    /// Takes in all that the kernel keeps of these runs.
    fn read(&mut self, runs: &[RunId], now: u64) -> Result<(), ReadError> {
        for (id, kept) in self.kernel.read_sets(runs)? {
            if let Some(run) = self.runs.get_mut(&id) {
                kept.iter().for_each(|kept| run.builder.keep(kept, now));
            }
        }
        // Last: with the names of system calls, those that were kept get theirs.
        for (id, tally) in self.kernel.read_counts(runs)? {
            if let Some(run) = self.runs.get_mut(&id) {
                run.builder.count(&tally, now, &self.names);
            }
        }
        Ok(())
    }

    /// Reads the counts of these runs for the last time, and gives the reports of those that are containers. They stay
    /// in the kernel until [`Pipeline::release`].
    pub(crate) fn close(
        &mut self,
        mut runs: Vec<RunId>,
        ended: bool,
        undecoded: u64,
    ) -> Result<Vec<Closed>, ReadError> {
        let now = clock::boot_ns();
        self.read(&runs, now)?;
        if !ended {
            self.measure(true);
        }
        for id in &runs {
            if let (Some(run), Some(slot)) = (self.runs.get_mut(id), self.kernel.slot(*id)) {
                run.slot = slot;
            }
        }
        self.ask();
        self.engines.wait_for(&runs, if ended { Duration::ZERO } else { LAST_PATIENCE });
        self.ask();
        // What is inside first: it may belong to what is outside.
        runs.sort_by_key(|id| std::cmp::Reverse(self.runs.get(id).map(|run| run.slot.created_ns)));
        for &id in &runs {
            if let Some(called) = self.called(id) {
                self.past.remember(id, called);
            }
        }
        let mut closed = Vec::new();
        for id in runs {
            let Some(run) = self.runs.remove(&id) else { continue };
            self.engines.forget(id);
            if let Some(surroundings) = &mut self.surroundings {
                surroundings.forget(id);
            }
            let mut behaviour = whole_behaviour(&run);
            peers::name(&mut behaviour.network, |peer| self.called(peer).or_else(|| self.past.get(peer).cloned()));
            let inner = self.inner_slots.remove(&id).unwrap_or_default();
            if let Some(outer) = self.part_of(&run) {
                let slots = self.inner_slots.entry(outer).or_default();
                slots.push(run.slot.clone());
                slots.extend(inner);
                if let Some(outer) = self.runs.get_mut(&outer) {
                    let resources = behaviour.resources.without_cgroup();
                    outer.absorb(Behaviour { resources, ..behaviour });
                    if outer.init_exit.is_none() {
                        outer.init_exit = run.init_exit;
                    }
                }
                continue;
            }
            if !run.is_container() && inner.iter().all(|slot| slot.started_ns.is_none()) {
                continue;
            }
            let parts = Parts {
                slots: std::iter::once(&run.slot).chain(&inner).collect(),
                behaviour,
                parent: run.parent.clone().or_else(|| self.parent(&run)),
                losses: self.losses(*self.kernel.missed_runs().end()),
                undecoded,
                end_boot_ns: run.slot.ended_ns.unwrap_or(now),
                ended,
                run: &run,
            };
            let lost_samples = parts.slots.iter().flat_map(|slot| &slot.losses.samples).sum();
            let report = assemble::report(&self.common, &self.kernel, parts);
            closed.push(Closed { report, run, lost_samples });
        }
        Ok(closed)
    }

    /// Gives the slots of runs that are closed, and safe, back to the kernel.
    pub(crate) fn release(&mut self, runs: &[RunId]) -> Result<(), ReadError> {
        for &run in runs {
            if self.kernel.slot(run).is_some_and(|slot| slot.no_cgroup) {
                // The kernel must not book anybody on it between now and its next owner.
                let _ = self.kernel.end(run);
            }
        }
        self.kernel.release(runs)
    }

    /// Whether the run was not known yet.
    fn meet(&mut self, id: RunId, undecoded: u64) -> bool {
        if self.runs.contains_key(&id) {
            return false;
        }
        let Some(slot) = self.kernel.slot(id) else { return false };
        let lost_before = CommonLosses { undecoded, ..self.history.before(slot.created_ns) };
        let mut run = Run::new(slot, lost_before);
        if !self.has_run_delay {
            run.builder.lacks(Resource::RunDelay, "this kernel keeps no account of it (CONFIG_SCHED_INFO)");
        }
        run.parent = self.parent(&run);
        self.runs.insert(id, run);
        true
    }

    /// Once a second; says whether it was now.
    fn remember_losses(&mut self) -> bool {
        let is_due = self.history.is_due(clock::boot_ns());
        if is_due {
            let losses = self.losses(*self.kernel.missed_runs().start());
            // Only now: what is made later has lost nothing of this.
            self.history.remember(clock::boot_ns(), losses);
        }
        is_due
    }

    fn losses(&self, missed: u64) -> CommonLosses {
        CommonLosses {
            undecoded: 0,
            without_slot: self.kernel.lost_without_slot(),
            missed,
            missed_checks: self.kernel.missed_functions("capabilities"),
        }
    }

    /// What a run that is open is called: of a part of a container, what that is.
    fn called(&self, id: RunId) -> Option<Called> {
        let mut run = self.runs.get(&id)?;
        for _ in 0..MAX_NESTED {
            run = self.part_of(run).and_then(|outer| self.runs.get(&outer)).unwrap_or(run);
        }
        let known = run.known();
        let id = known.map(|known| known.id.clone()).or_else(|| run.id_of_its_own().map(str::to_owned));
        let name = known.and_then(|known| known.name.clone());
        Some(Called { run: run.id(), id: id.map(Text::from), name: name.map(Text::from) })
    }

    /// The run that this one is but a part of: a cgroup that the workload, or the runtime, made inside its container.
    fn part_of(&self, run: &Run) -> Option<RunId> {
        let outer = self.outer(run)?;
        if run.slot.named {
            return None;
        }
        let same_id = run.path_id().is_some() && run.path_id() == outer.path_id();
        let is_part = match (&run.kind, run.slot.started_ns) {
            // The runtime's own leaf below the container's cgroup.
            (_, Some(_)) => same_id && outer.slot.started_ns.is_none(),
            (Kind::Container(_), None) => same_id,
            (_, None) => true,
        };
        is_part.then(|| outer.id())
    }

    /// The run that this one is a part of, or itself: as far as can be told now.
    pub(crate) fn owner<'r>(&'r self, run: &'r Run) -> &'r Run {
        let mut owner = run;
        for _ in 0..MAX_NESTED {
            match self.part_of(owner).and_then(|outer| self.runs.get(&outer)) {
                Some(outer) => owner = outer,
                None => break,
            }
        }
        owner
    }

    /// Where what a run does happens.
    pub(crate) fn place<T>(&self, run: &Run, then: impl FnOnce(&Place<'_>) -> T) -> T {
        let container = self.owner(run);
        then(&Place {
            run: container.id(),
            container: described(container),
            is_settled: !container.awaits_its_name(),
            clock: self.common.clock,
            known: container.known(),
            architecture: &self.common.host.architecture,
        })
    }

    /// All that a run has done until now, with the names of those at the other ends of its connections.
    pub(crate) fn behaviour(&self, run: &Run) -> Behaviour {
        let mut behaviour = whole_behaviour(run);
        peers::name(&mut behaviour.network, |peer| self.called(peer).or_else(|| self.past.get(peer).cloned()));
        behaviour
    }

    /// What conditions and people can be told of an event, at this moment.
    pub(crate) fn show<T>(&self, event: &Event, then: impl FnOnce(&Subject<'_>, &Place<'_>) -> T) -> Option<T> {
        let run = self.runs.get(&event.run)?;
        let container = self.owner(run);
        let process = event.task.image.process;
        let executable = run.builder.executable(event.task.image);
        let parent = run.builder.parent(process);
        let of_parent = parent.and_then(|parent| run.builder.newest_executable(parent));
        let mut subject = Subject::new(event, self.common.clock.at(event.boot_ns).wall.unix_ns());
        subject.container = described(container);
        subject.process.executable = executable.as_deref();
        subject.process.parent =
            parent.map(|parent| rules::Parent { pid: parent.pid, executable: of_parent.as_deref() });
        Some(self.place(run, |place| match &self.surroundings {
            None => then(&subject, place),
            Some(surroundings) => {
                surroundings.around(event, (container, run), &self.proc, self.common.clock, |context| {
                    then(&Subject { context, ..subject }, place)
                })
            }
        }))
    }

    /// What is lost of everybody: no container is known that it belongs to. With `at_most` also what may just be made up
    /// for.
    pub(crate) fn lost_of_all(&self, at_most: bool) -> u64 {
        let missed = self.kernel.missed_runs();
        self.kernel.lost_without_slot() + if at_most { *missed.end() } else { *missed.start() }
    }

    fn outer(&self, run: &Run) -> Option<&Run> {
        if run.slot.parent == 0 {
            return None;
        }
        self.runs.values().rfind(|outer| outer.slot.run.slot == run.slot.parent)
    }

    fn parent(&self, run: &Run) -> Option<Parent> {
        let outer = self.outer(run).filter(|outer| outer.is_container())?;
        Some(Parent { run: outer.id(), id: outer.id_of_its_own().map(Text::from) })
    }
}

/// Without the account the file is not there, or has zeros (`proc_pid_schedstat`, fs/proc/base.c, 6.18); with it, whoever reads
/// the file has run at least once.
fn has_run_delay(proc: &Proc) -> bool {
    let text = std::fs::read_to_string(proc.root().join("self/schedstat")).unwrap_or_default();
    text.split_ascii_whitespace().nth(2).and_then(|times| times.parse::<u64>().ok()).is_some_and(|times| times > 0)
}

fn measure(layout: &Layout, run: &mut Run, at_end: bool) {
    if run.slot.cgroup_id == 0 {
        run.builder.unmeasured("it has no cgroup of its own");
        return;
    }
    let now = clock::boot_ns();
    match usage(layout, &run.slot.path, CgroupId(run.slot.cgroup_id)) {
        Ok(usage) => run.builder.measure(&usage, now, at_end),
        Err(error) => run.builder.unmeasured(&error.to_string()),
    }
}

/// What conditions know of a container.
fn described(run: &Run) -> rules::Container<'_> {
    let known = run.known();
    rules::Container {
        name: known.and_then(|known| known.name.as_deref()),
        id: known.map(|known| known.id.as_str()).or_else(|| run.id_of_its_own()),
        image: known.and_then(|known| known.image.as_deref()),
        engine: known.map(|known| known.engine).or_else(|| run.engine_by_path()).map(Engine::name),
    }
}

fn whole_behaviour(run: &Run) -> Behaviour {
    let own = run.builder.freeze();
    match &run.absorbed {
        Some(inner) => own.merge(inner.clone()),
        None => own,
    }
}
