//! A recording: from attaching the sensors to the last report.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use behaviour::Redaction;
use containers::cgroupfs::{Layout, Mode, Sandbox, Version, cgroup_id};
use containers::engine::Sockets;
use containers::proc::{Namespace, Proc};
use event::{Event, Payload, RunId, SyscallNames};
use report::{Buffers, CgroupLayout, Host, Report};
use sensors::{ActionCalls, CallFilter, Hierarchy, Kernel, Options, Watch};

use crate::adopt::{self, AdoptError};
use crate::assemble::{self, Common};
use crate::clock::{self, Clock};
use crate::context::Surroundings;
use crate::error::{FinishError, StartError};
use crate::launch::Launched;
use crate::live::{Verdict, Waiting, Watcher};
use crate::names::Names;
use crate::pipeline::{Closed, Pipeline};
use crate::reader::{BATCH_EVENTS, Batch, QUEUE_BATCHES, Reader};
use crate::run::Run;
use crate::sink::{EventFormat, Sink};
use crate::target::Target;

/// How to record.
pub struct Settings {
    /// Which containers to report on.
    pub targets: Vec<Target>,
    /// The size of the kernel's ring in bytes.
    pub ring_bytes: u32,
    /// A file for every event.
    pub events: Option<(PathBuf, EventFormat)>,
    /// What system calls are called.
    pub names: SyscallNames,
    /// Where engines are asked for names.
    pub sockets: Sockets,
    /// Make an event of each system call that matches.
    pub trace: Option<CallFilter>,
    /// Count bytes for each file, not only for each mount.
    pub file_bytes: bool,
    /// Bytes of what is typed and shown on terminals that are kept of each container and phase; 0: none.
    pub terminal_bytes: u32,
    /// Make an event of each of these calls that is unlike those before it, and of each program that begins.
    pub actions: Option<ActionCalls>,
    /// What is taken out of what is typed and shown.
    pub redaction: Redaction,
    /// Gets each event of a container that is reported on, as soon as it is known that it is one.
    pub watch: Option<Watcher>,
    /// Behave as on a kernel before 5.17: for tests of that path.
    pub as_old_kernel: bool,
    /// Keeps a report; a run is forgotten only when this has succeeded. Without it nobody wants reports.
    pub save: Option<Save>,
}

/// Keeps a report and says where it is.
pub type Save = Box<dyn FnMut(&Report) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>>>;

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Containers that are observed now.
    pub containers: usize,
    /// Reports written.
    pub reports: usize,
    /// Events taken in.
    pub events: u64,
    /// Programs started.
    pub execs: u64,
    /// Losses of every kind, of the containers that are observed now.
    pub lost: u64,
    /// Containers that found no free slot.
    pub not_recorded: u64,
}

/// What a recording came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The reports, in the order in which they were written.
    pub reports: Vec<PathBuf>,
    /// How many of them miss something that this kernel could have shown.
    pub with_gaps: usize,
    /// Containers that found no free slot.
    pub not_recorded: u64,
    /// Events of the containers that never came, or that could not be shown.
    pub lost_events: u64,
    /// How the command ended, if there was one.
    pub command: Option<ExitStatus>,
}

/// A recording in progress. Dropping it detaches everything.
pub struct Recording {
    reader: Reader,
    pipeline: Pipeline,
    kernel: Arc<Kernel>,
    layout: Layout,
    targets: Vec<Target>,
    save: Option<Save>,
    sink: Option<Sink>,
    watch: Option<Watcher>,
    /// Events that the watcher will get when it is known whose they are.
    waiting: Waiting,
    /// Events of containers that ended which never came, and those that found no room among the waiting.
    lost_events: u64,
    sandbox: Option<Sandbox>,
    /// The run of the command's sandbox.
    own_run: Option<RunId>,
    launched: Option<Launched>,
    command: Option<ExitStatus>,
    /// Runs that have ended, until everything that happened before has been taken in.
    ending: Vec<RunId>,
    drain: u64,
    last_scan: Instant,
    last_snapshot: Instant,
    last_told: Instant,
    ended: Ended,
    wanted_cgroups: Vec<Vec<u8>>,
    has_seen_enough: bool,
}

/// How often the slots are looked at.
const SCAN: Duration = Duration::from_millis(50);
/// How often the counts of living containers are read: how exactly the last use of a call is known.
const SNAPSHOT: Duration = Duration::from_secs(10);

impl Recording {
    /// Attaches the sensors and finds what runs already.
    pub fn start(settings: Settings) -> Result<Recording, StartError> {
        let proc = Proc::default();
        let layout = Layout::detect(&proc)?;
        let identity = layout.identity();
        let hierarchy = match identity.version {
            Version::V2 => Hierarchy::Unified,
            Version::V1 => Hierarchy::Controller {
                name: identity
                    .identity_controller()
                    .ok_or_else(|| StartError::NoController(identity.mount_point.clone()))?
                    .to_owned(),
                id: identity.number,
            },
        };
        let sink = settings.events.as_ref().map(|(path, format)| Sink::create(path, *format)).transpose()?;
        let options = Options {
            hierarchy,
            ring_bytes: settings.ring_bytes,
            as_old_kernel: settings.as_old_kernel,
            without_hooks: Vec::new(),
            counted_tasks: None,
            trace: settings.trace,
            file_bytes: settings.file_bytes,
            terminal_bytes: settings.terminal_bytes,
            actions: settings.actions,
        };
        let kernel = Arc::new(Kernel::load(&options)?);
        let reader = Reader::start(Arc::clone(&kernel)).map_err(StartError::Thread)?;
        let common = Common {
            host: host(&layout, settings.ring_bytes),
            clock: Clock::now(),
            began_ns: clock::boot_ns(),
            sensors: assemble::sensors(&kernel),
            redaction: settings.redaction,
        };
        adopt::enter_running(&kernel, &proc, &layout)?;
        let mut wanted_cgroups = Vec::new();
        for target in &settings.targets {
            match target {
                Target::Cgroup(path) => match identity.directory(path).and_then(|at| cgroup_id(&at).ok()) {
                    Some(id) if kernel.run_of_cgroup(id.0).is_none() => {
                        adopt::enter_cgroup(&kernel, &proc, identity, id.0, path)?;
                    }
                    _ => wanted_cgroups.push(path.clone()),
                },
                Target::Pid(pid) => enter_tree(&kernel, &proc, *pid)?,
                _ => {}
            }
        }
        let engines = Names::start(settings.sockets).map_err(StartError::Thread)?;
        let mut pipeline = Pipeline::new(Arc::clone(&kernel), proc, layout.clone(), settings.names, common, engines);
        if settings.watch.as_ref().is_some_and(|watch| watch.wants_context()) {
            pipeline.surroundings = Some(Surroundings::new());
        }
        pipeline.adopt().map_err(AdoptError::Map)?;
        kernel.look_for_namespaces();
        Ok(Recording {
            reader,
            pipeline,
            kernel,
            layout,
            targets: settings.targets,
            save: settings.save,
            sink,
            watch: settings.watch,
            waiting: Waiting::default(),
            lost_events: 0,
            sandbox: None,
            own_run: None,
            launched: None,
            command: None,
            ending: Vec::new(),
            drain: 0,
            last_scan: Instant::now(),
            last_snapshot: Instant::now(),
            last_told: Instant::now(),
            ended: Ended::default(),
            wanted_cgroups,
            has_seen_enough: false,
        })
    }

    /// Runs a command in a cgroup of its own; only that is reported on.
    pub fn launch(&mut self, command: &[OsString]) -> Result<(), StartError> {
        let id = format!("{}-{}", std::process::id(), crate::clock::boot_ns());
        self.layout.hierarchies().iter().for_each(remove_orphans);
        let launched = Launched::start(command)?;
        let mut sandbox = match Sandbox::create(self.layout.identity(), &id) {
            Ok(sandbox) => sandbox,
            Err(error) => {
                launched.abandon();
                return Err(error.into());
            }
        };
        sandbox.account(&self.layout, &Proc::default().cgroup(std::process::id()).unwrap_or_default());
        let Some(run) = self.kernel.run_of_cgroup(sandbox.id().0) else {
            launched.abandon();
            return Err(StartError::NoSlot { exhausted: self.kernel.slots_exhausted() });
        };
        self.kernel.name(run);
        if let Err(error) = sandbox.add(launched.pid().as_raw_nonzero().get().unsigned_abs()) {
            launched.abandon();
            return Err(error.into());
        }
        launched.go()?;
        self.sandbox = Some(sandbox);
        self.own_run = Some(run);
        self.launched = Some(launched);
        Ok(())
    }

    /// Takes in what happens, for at most this long.
    pub fn step(&mut self, patience: Duration) -> Result<(), FinishError> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(SCAN);
            match self.reader.batches.recv_timeout(left) {
                Ok(batch) => self.take(batch)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(FinishError::Ring("its thread has ended".into())),
            }
            if self.last_scan.elapsed() >= SCAN {
                self.last_scan = Instant::now();
                self.scan(false)?;
            }
            if self.last_snapshot.elapsed() >= SNAPSHOT {
                self.last_snapshot = Instant::now();
                self.pipeline.snapshot()?;
            }
            self.tell_behaviours(false)?;
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Whether whoever gets the events wants no more, or the command, if there is one, and all that it started have
    /// ended.
    pub fn is_over(&mut self) -> Result<bool, FinishError> {
        if self.has_seen_enough {
            return Ok(true);
        }
        let Some(launched) = &mut self.launched else { return Ok(false) };
        if self.command.is_none() {
            self.command = launched.ended().map_err(FinishError::Wait)?;
        }
        // As long as it runs nothing else needs to be asked, which is done after each batch of events.
        Ok(self.command.is_some()
            && self.sandbox.as_ref().is_none_or(|sandbox| sandbox.processes().is_ok_and(|all| all.is_empty())))
    }

    /// Hands a signal on to the command, unless a terminal has given it one already; gives whether there is a command.
    pub fn hand_on(&mut self, signal: i32, from_terminal: bool) -> bool {
        match &self.launched {
            Some(launched) if self.command.is_none() => {
                if !from_terminal {
                    launched.signal(signal);
                }
                true
            }
            _ => false,
        }
    }

    /// How the command ended, once it has.
    pub fn command_status(&self) -> Option<ExitStatus> {
        self.command
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let lost_of = |run: &Run| {
            let losses = &run.slot.losses;
            losses.samples.iter().chain(&losses.entries).sum::<u64>()
        };
        Progress {
            containers: self.pipeline.runs().filter(|run| run.is_container() && self.wants(run)).count(),
            reports: self.ended.reports.len(),
            events: self.pipeline.events,
            execs: self.pipeline.execs,
            lost: self.pipeline.runs().map(lost_of).sum::<u64>()
                + self.reader.undecoded()
                + self.kernel.lost_without_slot(),
            not_recorded: self.kernel.slots_exhausted(),
        }
    }

    /// Events that never came, or that could not be shown: at least so many.
    pub fn lost_events(&self) -> u64 {
        self.count_lost_events(false)
    }

    fn count_lost_events(&self, at_most: bool) -> u64 {
        let wanted = self.pipeline.runs().filter(|run| self.verdict(run.id()) == Verdict::Show);
        self.lost_events
            + wanted.map(Run::lost_samples).sum::<u64>()
            + self.reader.undecoded()
            + self.pipeline.lost_of_all(at_most)
    }

    /// Ends the recording: takes in what is on the way, and writes a report of every container that still runs.
    pub fn finish(mut self) -> Result<Ended, FinishError> {
        // Before the cgroup goes: what it used goes with it.
        self.pipeline.measure(true);
        if let Some(sandbox) = self.sandbox.take_if(|sandbox| sandbox.processes().is_ok_and(|left| left.is_empty())) {
            // With its cgroup gone the counts are final; that it could not be removed only leaves them so.
            let _ = sandbox.remove(Duration::from_millis(500));
        }
        self.drain()?;
        self.scan(true)?;
        self.drain()?;
        self.settle(&self.waiting.runs(), true)?;
        self.tell_behaviours(true)?;
        self.ended.lost_events = self.count_lost_events(true);
        if self.save.is_some() {
            let undecoded = self.reader.undecoded();
            let left: Vec<RunId> = self.pipeline.runs().map(Run::id).collect();
            let closed = self.pipeline.close(left, false, undecoded)?;
            self.keep(closed)?;
        }
        if let Some(sink) = &mut self.sink {
            sink.flush()?;
        }
        self.ended.not_recorded = self.kernel.slots_exhausted();
        self.ended.command = self.command;
        Ok(std::mem::take(&mut self.ended))
    }

    fn drain(&mut self) -> Result<(), FinishError> {
        self.drain += 1;
        let wanted = self.drain;
        self.reader.ask_to_drain(wanted);
        loop {
            match self.reader.batches.recv() {
                Ok(Batch::Drained(number)) => {
                    self.close_ended()?;
                    if number >= wanted {
                        return Ok(());
                    }
                }
                Ok(batch) => self.take(batch)?,
                Err(_) => return Err(FinishError::Ring("its thread has ended".into())),
            }
        }
    }

    fn take(&mut self, batch: Batch) -> Result<(), FinishError> {
        match batch {
            Batch::Events(events) => {
                let undecoded = self.reader.undecoded();
                for event in &events {
                    self.pipeline.observe(event, undecoded);
                    let one_too_many = self.has_seen_enough && matches!(event.payload, Payload::Syscall(_));
                    if let Some(sink) = self.sink.as_mut().filter(|_| !one_too_many) {
                        sink.write(event)?;
                    }
                    self.show(event)?;
                }
                if self.kernel.has_late_groups() {
                    self.kernel.adopt()?;
                }
                self.name_wanted();
            }
            Batch::Drained(_) => self.close_ended()?,
            Batch::Broken(why) => return Err(FinishError::Ring(why)),
        }
        Ok(())
    }

    /// Hands an event to the watcher, now or when it is known whose it is.
    fn show(&mut self, event: &Event) -> Result<(), FinishError> {
        if !self.watch.as_ref().is_some_and(|watch| watch.looks_at(&event.payload)) {
            return Ok(());
        }
        if self.waiting.has(event.run) {
            self.settle(&[event.run], false)?;
        }
        match self.verdict(event.run) {
            Verdict::Show => self.hand_over(event),
            Verdict::Drop => Ok(()),
            Verdict::Candidate | Verdict::Nameless => {
                self.waiting.push(event);
                Ok(())
            }
        }
    }

    /// Shows what has waited of these runs, where it is known by now whether somebody wants it.
    fn settle(&mut self, runs: &[RunId], is_last: bool) -> Result<(), FinishError> {
        for &id in runs {
            let Some(ready) = self.waiting.settle(id, self.verdict(id), is_last) else { continue };
            if !self.pipeline.run(id).is_some_and(|run| self.wants(self.pipeline.owner(run))) {
                continue;
            }
            self.lost_events += ready.dropped;
            for event in &ready.events {
                self.hand_over(event)?;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, event: &Event) -> Result<(), FinishError> {
        let Some(mut watch) = self.watch.take() else { return Ok(()) };
        if self
            .pipeline
            .show(event, |subject, place| watch.event(subject, place))
            .transpose()
            .map_err(FinishError::Watch)?
            .unwrap_or(true)
        {
            self.watch = Some(watch);
        } else {
            self.has_seen_enough = true;
        }
        Ok(())
    }

    /// Tells the watcher what each container has done, if it is time; at the end in any case.
    fn tell_behaviours(&mut self, at_end: bool) -> Result<(), FinishError> {
        let every = self.watch.as_ref().and_then(|watch| watch.behaviour_every());
        if !every.is_some_and(|every| at_end || self.last_told.elapsed() >= every) {
            return Ok(());
        }
        self.pipeline.snapshot()?;
        self.last_snapshot = Instant::now();
        let open: Vec<RunId> = self.pipeline.runs().map(Run::id).collect();
        for id in open {
            self.tell_behaviour(id, false)?;
        }
        // What it takes to read may be more than the time between two.
        self.last_told = Instant::now();
        Ok(())
    }

    /// Tells the watcher what a container has done. What ran in it without being a container itself is a part of it only at its end.
    fn tell_behaviour(&mut self, id: RunId, is_last: bool) -> Result<(), FinishError> {
        if self.watch.as_ref().is_none_or(|watch| watch.behaviour_every().is_none())
            || self.verdict(id) != Verdict::Show
        {
            return Ok(());
        }
        let (Some(run), Some(watch)) = (self.pipeline.run(id), &mut self.watch) else { return Ok(()) };
        let behaviour = self.pipeline.behaviour(run);
        let told = self.pipeline.place(run, |place| watch.behaviour(&behaviour, place, clock::boot_ns(), is_last));
        told.map_err(FinishError::Watch)
    }

    /// What is to be done with the events of a run.
    fn verdict(&self, id: RunId) -> Verdict {
        let Some(run) = self.pipeline.run(id) else { return Verdict::Drop };
        let owner = self.pipeline.owner(run);
        if self.own_run.is_none() && !owner.is_container() {
            Verdict::Candidate
        } else if self.own_run.is_none() && owner.awaits_its_name() {
            Verdict::Nameless
        } else if self.wants(owner) {
            Verdict::Show
        } else {
            Verdict::Drop
        }
    }

    fn scan(&mut self, all: bool) -> Result<(), FinishError> {
        let ended = self.pipeline.scan(all, self.reader.undecoded());
        self.name_wanted();
        self.settle(&self.waiting.runs(), false)?;
        if self.ending.is_empty() && !ended.is_empty() {
            self.ending = ended;
            self.drain += 1;
            self.reader.ask_to_drain(self.drain);
        }
        Ok(())
    }

    /// Everything that happened in the runs that ended has been taken in.
    fn close_ended(&mut self) -> Result<(), FinishError> {
        let ending = std::mem::take(&mut self.ending);
        if ending.is_empty() {
            return Ok(());
        }
        self.settle(&ending, true)?;
        if self.watch.as_ref().is_some_and(|watch| watch.behaviour_every().is_some()) {
            self.pipeline.snapshot()?;
            for &id in &ending {
                self.tell_behaviour(id, true)?;
            }
        }
        let undecoded = self.reader.undecoded();
        let closed = self.pipeline.close(ending.clone(), true, undecoded)?;
        self.keep(closed)?;
        self.pipeline.release(&ending)?;
        Ok(())
    }

    fn keep(&mut self, closed: Vec<Closed>) -> Result<(), FinishError> {
        for Closed { report, run, lost_samples } in closed {
            if !self.wants(&run) {
                continue;
            }
            self.lost_events += lost_samples;
            let Some(save) = &mut self.save else { continue };
            let path = save(&report).map_err(FinishError::Save)?;
            self.ended.with_gaps += usize::from(report.has_gaps());
            self.ended.reports.push(path);
        }
        Ok(())
    }

    /// Cgroups that the user named before they were made.
    fn name_wanted(&mut self) {
        if self.wanted_cgroups.is_empty() {
            return;
        }
        let found: Vec<RunId> = self
            .pipeline
            .runs()
            .filter(|run| !run.slot.named && self.wanted_cgroups.contains(&run.slot.path))
            .map(Run::id)
            .collect();
        for id in found {
            self.kernel.name(id);
            if let (Some(run), Some(slot)) = (self.pipeline.run_mut(id), self.kernel.slot(id)) {
                run.slot = slot;
            }
        }
    }

    fn wants(&self, run: &Run) -> bool {
        if let Some(own) = self.own_run {
            return run.id() == own;
        }
        self.targets.iter().any(|target| target.wants(run))
    }
}

/// Watches a process that is in no container, and its children.
fn enter_tree(kernel: &Kernel, proc: &Proc, root: u32) -> Result<(), StartError> {
    proc.stat(root).map_err(|_| StartError::NoProcess(root))?;
    let user_ns = proc.namespace(root, Namespace::User).unwrap_or_default();
    let watch = Watch { named: true, attached: true, init_pid: root, user_ns, ..Watch::default() };
    let run = kernel
        .watch(&watch)
        .map_err(AdoptError::Map)?
        .ok_or_else(|| StartError::NoSlot { exhausted: kernel.slots_exhausted() })?;
    // A child that is made while the list is read is found in the next round.
    let mut known = vec![root];
    loop {
        let children: Vec<u32> = proc
            .pids()
            .unwrap_or_default()
            .into_iter()
            .filter(|pid| !known.contains(pid))
            .filter(|&pid| proc.status(pid).is_ok_and(|status| known.contains(&status.ppid)))
            .collect();
        if children.is_empty() {
            break;
        }
        known.extend(children);
    }
    for pid in known {
        kernel.enter_process(pid, run).map_err(AdoptError::Map)?;
    }
    Ok(())
}

/// Removes the empty cgroups of recordings that were killed: their names begin with the pid of a program that is gone.
fn remove_orphans(hierarchy: &containers::cgroupfs::Hierarchy) {
    let entries = std::fs::read_dir(hierarchy.mount_point.join(Sandbox::PARENT)).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            // One that still has processes stays: the kernel refuses.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// All but its network, which each report reads anew.
fn host(layout: &Layout, ring_bytes: u32) -> Host {
    let system = rustix::system::uname();
    Host {
        kernel_release: event::Text::new(system.release().to_bytes()),
        architecture: event::Text::new(system.machine().to_bytes()),
        hostname: Some(event::Text::new(system.nodename().to_bytes())),
        boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().into()),
        engine: None,
        runtime: None,
        cgroup_layout: match layout.mode() {
            Mode::V1 => CgroupLayout::V1,
            Mode::V2 => CgroupLayout::V2,
            Mode::Hybrid => CgroupLayout::Hybrid,
        },
        buffers: Buffers { ring_bytes: u64::from(ring_bytes), queue_events: (QUEUE_BATCHES * BATCH_EVENTS) as u64 },
        network: None,
    }
}
