//! For tests that need the kernel: start the sensors, do the deed in a cgroup of its own, look at what they saw.

use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use containers::cgroupfs::{Layout, Sandbox, Version};
use containers::proc::Proc;
use event::{Event, Payload, RunId, Tally};

use crate::{Hierarchy, Kernel, Options};

/// One test at a time: what one makes, the others' sensors would see.
static MACHINE: Mutex<()> = Mutex::new(());

/// The sensors, and a cgroup to do things in.
pub(crate) struct Bench {
    pub(crate) kernel: Kernel,
    layout: Layout,
    sandbox: Option<Sandbox>,
    pub(crate) run: RunId,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Bench {
        let turn = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let layout = Layout::detect(&Proc::default()).expect("cgroups are mounted");
        let identity = layout.identity();
        let hierarchy = match identity.version {
            Version::V2 => Hierarchy::Unified,
            Version::V1 => Hierarchy::Controller {
                name: identity.identity_controller().expect("the hierarchy has a controller").into(),
                id: identity.number,
            },
        };
        let mut options = Options {
            hierarchy,
            ring_bytes: Options::RING_BYTES,
            as_old_kernel: false,
            without_hooks: Vec::new(),
            counted_tasks: None,
            trace: None,
            file_bytes: false,
            terminal_bytes: 0,
            actions: None,
        };
        change(&mut options);
        let kernel = Kernel::load(&options).expect("the sensors load");
        let (sandbox, run) = sandbox(&kernel, &layout);
        Bench { kernel, layout, sandbox: Some(sandbox), run, _turn: turn }
    }

    /// Runs a command in the cgroup and waits for it. What comes before its exec is `runtime-init`.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> ExitStatus {
        self.start(program, args).wait().expect("the command can be waited for")
    }

    /// Starts a command in the cgroup.
    pub(crate) fn start(&self, program: &str, args: &[&str]) -> Child {
        let child = Command::new("/bin/sh")
            .args(["-c", "kill -STOP $$; exec \"$@\"", "sh", program])
            .args(args)
            .spawn()
            .expect("a shell can be started");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::UNTRACED).expect("the shell stops itself");
        self.sandbox.as_ref().expect("the cgroup is there").add(child.id()).expect("the cgroup takes it");
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("the shell is there");
        child
    }

    /// Moves a process into the cgroup.
    pub(crate) fn add(&self, pid: u32) {
        self.sandbox.as_ref().expect("the cgroup is there").add(pid).expect("the cgroup takes it");
    }

    /// Everything that is in the ring, of this cgroup.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut ring = self.kernel.ring().expect("the ring can be read");
        let mut events = Vec::new();
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let batch = ring.poll(Duration::from_millis(50)).expect("the ring can be read");
            assert_eq!(batch.errors, [], "the kernel writes what we read");
            let count = batch.samples();
            events.extend(batch.events);
            if count == 0 || Instant::now() > until {
                break;
            }
        }
        events.retain(|event| event.run == self.run);
        events
    }

    /// The payloads of all events.
    pub(crate) fn payloads(&self) -> Vec<Payload> {
        self.events().into_iter().map(|event| event.payload).collect()
    }

    /// Removes the cgroup, so that its counts are final, and reads them.
    pub(crate) fn final_counts(&mut self) -> Tally {
        let sandbox = self.sandbox.take().expect("the cgroup is there");
        sandbox.remove(Duration::from_secs(2)).expect("the cgroup is empty");
        self.counts()
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> Tally {
        self.kernel.read_counts(&[self.run]).expect("the counts can be read").remove(&self.run).unwrap_or_default()
    }

    /// Gives the slot back and takes a new cgroup, which may get the same one.
    pub(crate) fn renew(&mut self) {
        drop(self.sandbox.take());
        self.kernel.release(&[self.run]).expect("the slot can be given back");
        let (sandbox, run) = sandbox(&self.kernel, &self.layout);
        self.sandbox = Some(sandbox);
        self.run = run;
    }
}

fn sandbox(kernel: &Kernel, layout: &Layout) -> (Sandbox, RunId) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let id = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let sandbox = Sandbox::create(layout.identity(), &id).expect("a cgroup can be made");
    let run = kernel.run_of_cgroup(sandbox.id().0).expect("the kernel saw the cgroup being made");
    kernel.name(run);
    (sandbox, run)
}

/// How often a call was made in a phase.
pub(crate) fn count_of(tally: &Tally, phase: event::Phase, arch: event::Arch, name: &str) -> u64 {
    let number = event::SyscallNames::builtin().number(arch, name).expect("the call has a number");
    let syscall = event::Syscall { arch, number };
    tally.calls.iter().filter(|call| call.phase == phase && call.syscall == syscall).map(|call| call.count).sum()
}
