//! Which processes there are in containers, and whose children they are, as rules ask for it.
//!
//! The builder of a behaviour keeps what came first, for a report; rules ask for what lives. So this table forgets what ended (some
//! later: a child may outlive its parents) and is bounded. Of ancestors outside of the container, such as the runtime's shim, `/proc`
//! is asked once.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use containers::proc::{Proc, TICKS_PER_SECOND};
use event::{Event, Exec, ExecId, ImageFacts, Payload, ProcessId, RunId, Text};
use rules::{Lineage, Relative};
use rustc_hash::FxHashMap;

/// How many processes are kept, those that live and those that ended last.
const MAX_PROCESSES: usize = 32 * 1024;
const MAX_ENDED: usize = 4096;
/// How many processes outside of containers are remembered.
const MAX_OUTSIDE: usize = 1024;
/// No more ancestors are looked at.
const MAX_LEVELS: usize = 64;
/// So many earlier programs of a process are kept: an event may wait for the name of its container.
const MAX_EARLIER: usize = 2;

/// All processes of all containers.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    inside: FxHashMap<ProcessId, Entry>,
    ended: VecDeque<ProcessId>,
    /// By when they came: where there is no room the oldest leaves.
    order: VecDeque<ProcessId>,
    outside: RefCell<BTreeMap<ProcessId, Option<Arc<Entry>>>>,
    /// How many that lived found no room.
    pub(crate) forgotten: u64,
}

/// One process.
#[derive(Clone, Debug, Default)]
struct Entry {
    run: Option<RunId>,
    parent: Option<ProcessId>,
    name: Text,
    pid: u32,
    start_ns: u64,
    pid_inside: Option<u32>,
    program: Program,
    /// What it ran before that, the newest last.
    earlier: Vec<Program>,
}

/// What a process runs from one exec to the next.
#[derive(Clone, Debug, Default)]
struct Program {
    /// How often the process had called exec.
    number: u32,
    exec: Option<Arc<Exec>>,
    image: Option<Arc<ImageFacts>>,
}

impl Entry {
    /// Its newest program, if that has this number; else the number is that of a new one.
    fn program(&mut self, number: u32) -> &mut Program {
        if number > self.program.number {
            self.earlier.push(std::mem::replace(&mut self.program, Program { number, ..Program::default() }));
            if self.earlier.len() > MAX_EARLIER {
                self.earlier.remove(0);
            }
        }
        &mut self.program
    }

    fn relative(&self) -> Relative<'_> {
        Relative {
            name: &self.name,
            executable: self.program.exec.as_deref().map(|exec| &exec.executable).filter(|path| !path.is_empty()),
            argv: self.program.exec.as_deref().map(|exec| exec.argv.as_slice()).unwrap_or_default(),
            pid: self.pid,
            pid_inside: self.pid_inside,
            start_ns: self.start_ns,
        }
    }
}

impl Processes {
    /// Takes in an event.
    pub(crate) fn observe(&mut self, event: &Event, proc: &Proc) {
        let (task, process) = (&event.task, event.task.image.process);
        match &event.payload {
            Payload::Fork(fork) if fork.child_tid == fork.child.pid => {
                let of_parent = self.inside.get(&process);
                let child = Entry {
                    run: Some(event.run),
                    parent: known(fork.parent),
                    name: task.comm.clone(),
                    pid: fork.child.pid,
                    start_ns: fork.child.start_ns,
                    pid_inside: (fork.child_tid_inside != 0).then_some(fork.child_tid_inside),
                    program: of_parent.map(|parent| parent.program.clone()).unwrap_or_default(),
                    earlier: of_parent.map(|parent| parent.earlier.clone()).unwrap_or_default(),
                };
                self.keep(fork.child, child);
            }
            Payload::Exec(exec) => {
                let entry = self.meet(event);
                entry.program(task.image.exec).exec = Some(Arc::new(exec.clone()));
                entry.parent = known(exec.parent).or(entry.parent);
                entry.pid_inside = Some(exec.pid_inside).filter(|pid| *pid != 0).or(entry.pid_inside);
                // Who started a container, or came into it, may be gone when somebody asks.
                if entry.parent.is_some_and(|parent| !self.inside.contains_key(&parent)) {
                    self.ancestors(proc, process).chain();
                }
            }
            Payload::Image(image) => {
                self.meet(event).program(task.image.exec).image = Some(Arc::new(image.clone()));
            }
            Payload::Exit(exit) if exit.last_thread => {
                if self.inside.contains_key(&process) {
                    self.ended.push_back(process);
                }
                while self.ended.len() > MAX_ENDED {
                    if let Some(oldest) = self.ended.pop_front() {
                        self.inside.remove(&oldest);
                    }
                }
            }
            _ => {
                if let Some(entry) = self.inside.get_mut(&process)
                    && task.tid == process.pid
                    && entry.name != task.comm
                {
                    entry.name = task.comm.clone();
                }
            }
        }
    }

    /// Takes in a process that was there before.
    pub(crate) fn adopt(&mut self, run: RunId, adopted: &behaviour::Adopted) {
        let process = adopted.image.process;
        if self.inside.contains_key(&process) {
            return;
        }
        let exec = adopted.program.clone().map(Arc::new);
        let name = exec.as_deref().map(|exec| short_name(exec.executable.as_bytes())).unwrap_or_default();
        let entry = Entry {
            run: Some(run),
            parent: adopted.parent.or(exec.as_deref().map(|exec| exec.parent)).and_then(known),
            name,
            pid: process.pid,
            start_ns: process.start_ns,
            pid_inside: adopted.pid_inside,
            program: Program { number: adopted.image.exec, exec, image: None },
            earlier: Vec::new(),
        };
        self.keep(process, entry);
    }

    /// Forgets the processes of a run that is over.
    pub(crate) fn forget(&mut self, run: RunId) {
        self.inside.retain(|_, entry| entry.run != Some(run));
        let inside = &self.inside;
        self.ended.retain(|process| inside.contains_key(process));
        self.order.retain(|process| inside.contains_key(process));
    }

    fn meet(&mut self, event: &Event) -> &mut Entry {
        let process = event.task.image.process;
        if !self.inside.contains_key(&process) {
            let entry =
                Entry { run: Some(event.run), pid: process.pid, start_ns: process.start_ns, ..Entry::default() };
            self.keep(process, entry);
        }
        let entry = self.inside.entry(process).or_default();
        if entry.name != event.task.comm {
            entry.name = event.task.comm.clone();
        }
        entry
    }

    fn keep(&mut self, process: ProcessId, entry: Entry) {
        if self.inside.insert(process, entry).is_none() {
            self.order.push_back(process);
        }
        while self.inside.len() > MAX_PROCESSES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forgotten += u64::from(self.inside.remove(&oldest).is_some() && !self.ended.contains(&oldest));
        }
        // Those that ended have left the table, not this list.
        if self.order.len() > 2 * MAX_PROCESSES {
            let inside = &self.inside;
            self.order.retain(|process| inside.contains_key(process));
        }
    }

    /// The exec with which a program began.
    pub(crate) fn exec(&self, image: ExecId) -> Option<&Exec> {
        self.program(image)?.exec.as_deref()
    }

    /// What that program was when it began.
    pub(crate) fn image(&self, image: ExecId) -> Option<&ImageFacts> {
        self.program(image)?.image.as_deref()
    }

    /// A process may run another program by now than at the time that somebody asks about.
    fn program(&self, image: ExecId) -> Option<&Program> {
        let entry = self.inside.get(&image.process)?;
        let earlier = entry.earlier.iter().find(|program| program.number == image.exec);
        Some(earlier.unwrap_or(&entry.program))
    }

    /// The ancestors of a process, those outside of the container too; looked up when the first is asked for.
    pub(crate) fn ancestors<'t>(&'t self, proc: &'t Proc, process: ProcessId) -> Ancestors<'t> {
        Ancestors { processes: self, proc, own: self.inside.get(&process), chain: OnceCell::new() }
    }

    fn chain(&self, proc: &Proc, own: Option<&Entry>) -> Vec<Link<'_>> {
        let mut chain = Vec::new();
        let mut next = own.and_then(|entry| entry.parent);
        while let Some(parent) = next.filter(|_| chain.len() < MAX_LEVELS) {
            if let Some(entry) = self.inside.get(&parent) {
                chain.push(Link::Inside(entry));
                next = entry.parent;
            } else {
                let Some(entry) = self.outside(proc, parent) else { break };
                next = entry.parent;
                chain.push(Link::Outside(entry));
            }
        }
        chain
    }

    /// A process outside: asked for once, whatever the answer.
    fn outside(&self, proc: &Proc, process: ProcessId) -> Option<Arc<Entry>> {
        if let Some(known) = self.outside.borrow().get(&process) {
            return known.clone();
        }
        let found = read(proc, process).map(Arc::new);
        let mut outside = self.outside.borrow_mut();
        if outside.len() >= MAX_OUTSIDE {
            outside.clear();
        }
        outside.insert(process, found.clone());
        found
    }
}

/// Pid 0 is no process of a container: the kernel could not say.
fn known(process: ProcessId) -> Option<ProcessId> {
    (process.pid != 0).then_some(process)
}

/// As the kernel cuts names.
fn short_name(path: &[u8]) -> Text {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    Text::new(&name[..name.len().min(15)])
}

fn read(proc: &Proc, process: ProcessId) -> Option<Entry> {
    let stat = proc.stat(process.pid).ok()?;
    // A parent that was read here is known by its pid alone.
    let is_other =
        process.start_ns != 0 && process.start_ns.abs_diff(stat.start_ns()) > 1_000_000_000 / TICKS_PER_SECOND;
    if is_other {
        return None;
    }
    let executable = proc.exe(process.pid).ok().flatten().unwrap_or_default();
    let argv = proc.cmdline(process.pid).unwrap_or_default().args.into_iter().map(Text::new).collect();
    let parent = ProcessId { pid: stat.ppid, start_ns: 0 };
    let exec = Exec {
        executable: Text::new(executable),
        argument: Text::default(),
        interpreter: Text::default(),
        cwd: Text::default(),
        argv,
        argv_truncated: false,
        path_truncated: false,
        parent,
        pid_inside: 0,
        uid: 0,
        gid: 0,
        uid_inside: None,
        gid_inside: None,
        user_namespace: 0,
        pid_namespace: 0,
        mount_namespace: 0,
    };
    Some(Entry {
        run: None,
        parent: known(parent),
        name: Text::new(&stat.comm),
        pid: process.pid,
        start_ns: stat.start_ns(),
        pid_inside: None,
        program: Program { number: 0, exec: Some(Arc::new(exec)), image: None },
        earlier: Vec::new(),
    })
}

#[derive(Debug)]
enum Link<'t> {
    Inside(&'t Entry),
    Outside(Arc<Entry>),
}

impl Link<'_> {
    fn entry(&self) -> &Entry {
        match self {
            Link::Inside(entry) => entry,
            Link::Outside(entry) => entry,
        }
    }
}

/// The ancestors of one process, the parent first.
#[derive(Debug)]
pub(crate) struct Ancestors<'t> {
    processes: &'t Processes,
    proc: &'t Proc,
    own: Option<&'t Entry>,
    chain: OnceCell<Vec<Link<'t>>>,
}

impl<'t> Ancestors<'t> {
    fn chain(&self) -> &[Link<'t>] {
        self.chain.get_or_init(|| self.processes.chain(self.proc, self.own))
    }

    /// The one whose pid inside leads, else the eldest with the same leader, of the process itself and those above it.
    fn leader(&self, of: impl Fn(&ImageFacts) -> u32) -> Option<Relative<'_>> {
        let own = self.own?;
        let number = own.program.image.as_deref().map(&of).filter(|number| *number != 0)?;
        let all = || std::iter::once(own).chain(self.chain().iter().map(Link::entry)).filter(|one| one.run == own.run);
        let same = |one: &&Entry| one.program.image.as_deref().map(&of) == Some(number);
        all().find(|one| one.pid_inside == Some(number)).or_else(|| all().filter(same).last()).map(Entry::relative)
    }
}

impl Lineage for Ancestors<'_> {
    fn ancestor(&self, level: usize) -> Option<Relative<'_>> {
        Some(self.chain().get(level.checked_sub(1)?)?.entry().relative())
    }

    fn session_leader(&self) -> Option<Relative<'_>> {
        self.leader(|image| image.session)
    }

    fn group_leader(&self) -> Option<Relative<'_>> {
        self.leader(|image| image.process_group)
    }
}

#[cfg(test)]
mod tests;
