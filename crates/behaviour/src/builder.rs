//! From events and kernel counts to a behaviour.

use std::sync::Arc;

use event::{CgroupUsage, Event, ExecId, Kept, Payload, Phase, ProcessId, Resource, SyscallNames, Tally, Text, Total};

use crate::arguments::Passed;
use crate::capabilities::Checks;
use crate::claim::Rank;
use crate::counts::Counts;
use crate::file_sets::FileSets;
use crate::flows::Flows;
use crate::images::Images;
use crate::privileged::Operations;
use crate::resources::Measured;
use crate::scripts::ScriptRuns;
use crate::terminals::Sessions;
use crate::tree::Tree;
use crate::{Behaviour, InterfaceUse};

/// How much of one container is kept. Beyond it things are counted, and the behaviour says that not all is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processes in the tree.
    pub processes: usize,
    /// Programs in the tree, of all processes together.
    pub programs: usize,
    /// Bytes of paths and arguments in the tree. Where a program's arguments do not fit, its paths are kept without.
    pub text_bytes: usize,
    /// Processes whose executable is remembered to say who made a call first: those that live and those that ended last.
    /// A process that is not in the tree is remembered here too, so that it is counted once.
    pub images: usize,
    /// Bytes of the paths of those executables.
    pub image_text_bytes: usize,
    /// Bytes of the paths and names of files.
    pub file_text_bytes: usize,
}

impl Default for Limits {
    /// At most about 15 MB for a container that does its worst; some tens of KB for an ordinary one.
    fn default() -> Limits {
        Limits {
            processes: 4096,
            programs: 6144,
            text_bytes: 1 << 20,
            images: 4096,
            image_text_bytes: 1 << 20,
            file_text_bytes: 2 << 20,
        }
    }
}

/// A process that was there before recording began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its process and how often it had called exec, as the kernel has them: the start time in /proc is in clock ticks
    /// and names another process.
    pub image: ExecId,
    /// Its pid in its own pid namespace, if known.
    pub pid_inside: Option<u32>,
    /// Its parent, if known.
    pub parent: Option<ProcessId>,
    /// The phase it is in.
    pub phase: Phase,
    /// How many threads it had beside its first when the sensors were attached; later ones come as events.
    pub threads: u32,
    /// The program it runs, as far as /proc tells; none if it does not (a process that just ends, a kernel thread).
    pub program: Option<event::Exec>,
}

/// Builds the behaviour of one run of one container.
///
/// The events may come slightly out of order, as they do from several CPUs: an exit before its fork, an exec before
/// the fork of its process. As long as nothing exceeds the [`Limits`] the order makes no difference at all.
#[derive(Clone, Debug)]
pub struct Builder {
    tree: Tree,
    images: Images,
    counts: Counts,
    files: FileSets,
    passed: Passed,
    checks: Checks,
    operations: Operations,
    flows: Flows,
    measured: Measured,
    scripts: ScriptRuns,
    sessions: Sessions,
}

impl Builder {
    /// A behaviour in which nothing has happened yet.
    pub fn new(limits: Limits) -> Builder {
        Builder {
            tree: Tree::new(limits),
            images: Images::new(limits.images, limits.image_text_bytes),
            counts: Counts::default(),
            files: FileSets::new(limits.file_text_bytes),
            passed: Passed::default(),
            checks: Checks::default(),
            operations: Operations::default(),
            flows: Flows::default(),
            measured: Measured::default(),
            scripts: ScriptRuns::default(),
            sessions: Sessions::default(),
        }
    }

    /// Takes in one event of this run; those that no part of the behaviour is made of change nothing.
    pub fn observe(&mut self, event: &Event) {
        let (boot_ns, image) = (event.boot_ns, event.task.image);
        let seen = Sighting { rank: Rank::Seen, boot_ns, phase: event.phase };
        match &event.payload {
            // A new thread: its process is not new.
            Payload::Fork(fork) if fork.child_tid != fork.child.pid => {
                self.meet(fork.child, seen);
                self.tree.threads(fork.child, 1);
            }
            Payload::Fork(fork) => {
                self.meet(fork.child, Sighting { rank: Rank::Created, ..seen });
                self.relate(fork.child, Rank::Created, boot_ns, Some(fork.parent), fork.child_tid_inside);
                self.images.made(fork.child, image, boot_ns);
                self.tree.inherited(fork.child, &self.images);
            }
            Payload::Exec(exec) => {
                self.meet(image.process, seen);
                self.relate(image.process, Rank::Seen, boot_ns, Some(exec.parent), exec.pid_inside);
                self.images.ran(image, &exec.executable);
                self.tree.executed(image, boot_ns, exec);
                self.scripts.observe(event, exec, &self.images);
            }
            Payload::Exit(exit) => {
                self.meet(image.process, seen);
                if exit.last_thread {
                    self.tree.inherited(image.process, &self.images);
                    self.tree.ended(image.process, boot_ns, exit);
                    self.images.ended(image.process);
                }
            }
            Payload::TaskEntered(entered) => {
                self.meet(entered.image.process, Sighting { rank: Rank::Found, ..seen });
                self.operations.observe(event, boot_ns, &self.images);
            }
            Payload::Capability(check) => self.checks.check(event, check, boot_ns, &self.images),
            Payload::Terminal(program) => self.sessions.observe(event, program, &self.images),
            Payload::TerminalText(text) => self.sessions.read(event, text, &self.images),
            Payload::Privileged(_) | Payload::Confinement(_) | Payload::ContainerStarted(_) => {
                self.operations.observe(event, boot_ns, &self.images);
            }
            // What other facts come to is kept by whoever needs it.
            _ => {
                if !self.flows.observe(event, boot_ns, &self.images) {
                    self.files.observe(event);
                }
            }
        }
    }

    /// Takes in a process that was there before recording began, once. Its events may have come before.
    pub fn adopt(&mut self, adopted: &Adopted) {
        let process = adopted.image.process;
        self.meet(process, Sighting { rank: Rank::Found, boot_ns: 0, phase: adopted.phase });
        self.relate(process, Rank::Found, 0, adopted.parent, adopted.pid_inside.unwrap_or(0));
        self.tree.threads(process, adopted.threads);
        if adopted.phase == Phase::Main {
            self.operations.start();
        }
        if let Some(program) = &adopted.program {
            self.images.ran(adopted.image, &program.executable);
            self.tree.run(adopted.image, None, program);
        }
    }

    /// The executable that an image runs, as far as it is remembered.
    pub fn executable(&self, image: ExecId) -> Option<Arc<Text>> {
        self.images.executable(image)
    }

    /// The executable that a process ran last, as far as it is remembered.
    pub fn newest_executable(&self, process: ProcessId) -> Option<Arc<Text>> {
        self.images.newest(process)
    }

    /// Shows every name that was looked up in it and answered with this address.
    pub fn names_of(&self, address: &Text, visit: impl FnMut(&Text)) {
        self.flows.names_of(address, visit);
    }

    /// The parent of a process when it was made, or at its last exec, as far as it is remembered.
    pub fn parent(&self, process: ProcessId) -> Option<ProcessId> {
        self.tree.parent_of(process).or_else(|| self.images.maker(process))
    }

    /// Takes in the newest snapshot of the kernel's counts, read at this time: the counts since the run began, not those
    /// since the last snapshot.
    pub fn count(&mut self, tally: &Tally, boot_ns: u64, names: &SyscallNames) {
        self.counts.count(tally, boot_ns, names, &self.images);
        self.files.resolve(&self.images);
        self.passed.name(names);
        self.checks.name(names);
    }

    /// Takes in one entry of a set that the kernel keeps, as it was at this time: what it has come to since the run began.
    /// System calls in it get their names at the next [`Builder::count`].
    pub fn keep(&mut self, kept: &Kept, boot_ns: u64) {
        match &kept.total {
            Total::Argument(seen) => self.passed.keep(kept.phase, seen, &self.images),
            Total::Resource(total) => self.measured.keep(*total, boot_ns),
            Total::Told(event) => match &event.payload {
                Payload::Capability(check) => self.checks.check(event, check, boot_ns, &self.images),
                _ => {
                    if !self.flows.observe(event, boot_ns, &self.images) {
                        self.operations.observe(event, boot_ns, &self.images);
                    }
                }
            },
            Total::Open(event) => self.flows.open(event, boot_ns),
            _ => self.files.keep(kept, boot_ns),
        }
    }

    /// Takes in the interfaces of the container's network namespace, and what has gone through them since the run began.
    pub fn interfaces(&mut self, interfaces: Vec<InterfaceUse>) {
        self.flows.interfaces(interfaces);
    }

    /// Takes in what the cgroup of this run had used at this time; `at_end` if nothing more will come to it that matters.
    pub fn measure(&mut self, usage: &CgroupUsage, boot_ns: u64, at_end: bool) {
        self.measured.measure(usage, boot_ns, at_end);
    }

    /// Says why its cgroup could not be read; of no account if it ever was.
    pub fn unmeasured(&mut self, reason: &str) {
        self.measured.unmeasured(reason);
    }

    /// Says that something cannot be known on this machine, and why.
    pub fn lacks(&mut self, what: Resource, reason: &str) {
        self.measured.lacks(what, reason);
    }

    /// The behaviour so far.
    pub fn freeze(&self) -> Behaviour {
        Behaviour {
            processes: self.tree.freeze(&self.images),
            syscalls: self.counts.freeze(&self.images),
            arguments: self.passed.freeze(&self.images),
            files: self.files.freeze(&self.images),
            capabilities: self.checks.freeze(&self.images),
            network: self.flows.freeze(&self.images),
            privileged: self.operations.freeze(&self.images),
            resources: self.measured.freeze(),
            scripts: self.scripts.freeze(&self.images),
            terminals: self.sessions.freeze(&self.images),
            counts_at_least: self.counts.at_least(),
        }
    }

    fn meet(&mut self, process: ProcessId, sighting: Sighting) {
        // Once a living process was forgotten, an exec or exit of an unknown one is most likely its, and it was counted.
        let may_be_counted = sighting.rank == Rank::Seen && self.images.forgot_living();
        if self.images.meet(process) && !self.tree.keeps(process) && !may_be_counted {
            self.tree.add(process);
        }
        self.tree.phase(process, sighting.rank, sighting.boot_ns, sighting.phase);
    }

    /// Pid 0 is no process of a container: the kernel could not say.
    fn relate(&mut self, process: ProcessId, rank: Rank, boot_ns: u64, parent: Option<ProcessId>, pid_inside: u32) {
        if let Some(parent) = parent.filter(|parent| parent.pid != 0) {
            self.tree.parent(process, rank, boot_ns, parent);
        }
        self.tree.pid_inside(process, rank, boot_ns, pid_inside);
    }
}

/// How a process was noticed.
#[derive(Clone, Copy)]
struct Sighting {
    rank: Rank,
    boot_ns: u64,
    phase: Phase,
}
