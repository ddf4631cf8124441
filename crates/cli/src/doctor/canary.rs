//! The sensors, put to the test: load, attach, do things whose number is known, and compare with what arrived.

use std::time::{Duration, Instant};

use containers::cgroupfs::{Layout, Sandbox, Version};
use event::{Arch, Direction, Event, Kept, Payload, Phase, RunId, SyscallNames, Tally, Total};
use sensors::probe::RunCounting;
use sensors::{ActionCalls, CallFilter, Hierarchy, Kernel, Options, State};
use serde::Serialize;

use super::child::{Child, EXPECTED_CALL, EXPECTED_CAPABILITY, EXPECTED_ERRNO};

/// How many calls the test makes.
const CALLS: u32 = 1_000;
/// How long the last events may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// One program of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Program {
    pub(super) sensor: &'static str,
    pub(super) name: &'static str,
    pub(super) hook: &'static str,
    /// Whether it is needed only while each call is an event.
    pub(super) only_traced: bool,
    pub(super) state: ProgramState,
    pub(super) reason: Option<String>,
    /// How often it ran in the test; none if the kernel did not count.
    pub(super) runs: Option<u64>,
    pub(super) checks: Vec<Check>,
}

/// What became of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProgramState {
    /// What it was to deliver arrived, exactly.
    Works,
    /// It is attached; whether it delivers could not be tried.
    Attached,
    /// It is attached, and what it was to deliver did not arrive.
    Wrong,
    /// This kernel has no such hook.
    Unsupported,
    /// It could not be attached.
    Failed,
}

/// One thing that was done so many times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) expected: u64,
    pub(super) seen: u64,
}

/// What a test came to.
pub(super) struct Trial {
    pub(super) kernel: Kernel,
    pub(super) programs: Vec<Program>,
    /// Why nothing could be triggered.
    pub(super) untried: Option<String>,
}

/// Why the sensors could not be loaded.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// What libbpf and the verifier said.
    pub(super) log: Vec<String>,
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure { why, log: Vec::new() }
    }
}

/// How to load the sensors on this host.
fn options(layout: &Layout, trace: Option<CallFilter>) -> Result<Options, String> {
    let identity = layout.identity();
    let hierarchy = match identity.version {
        Version::V2 => Hierarchy::Unified,
        Version::V1 => Hierarchy::Controller {
            name: identity
                .identity_controller()
                .ok_or("the cgroup hierarchy that tells containers apart has no controller")?
                .to_owned(),
            id: identity.number,
        },
    };
    Ok(Options {
        hierarchy,
        ring_bytes: Options::RING_BYTES,
        as_old_kernel: false,
        without_hooks: Vec::new(),
        counted_tasks: None,
        trace,
        file_bytes: false,
        terminal_bytes: 0,
        // None of its calls, but each program that begins.
        actions: Some(ActionCalls::default()),
    })
}

/// Loads the sensors and puts them to the test.
pub(super) fn try_sensors(layout: &Layout, sandbox: &str, trace: Option<CallFilter>) -> Result<Trial, Failure> {
    let kernel = Kernel::load(&options(layout, trace)?).map_err(|error| {
        let log = error.to_string().lines().skip(1).map(str::to_owned).collect();
        Failure { why: causes(&error), log }
    })?;
    // Where it is refused, the programs are judged by what they deliver alone.
    let counting = RunCounting::begin().ok();
    let (seen, untried) = match run(&kernel, layout, sandbox) {
        Ok(seen) => (Some(seen), None),
        Err(why) => (None, Some(why)),
    };
    let costs = kernel.program_costs();
    let runs = |name| {
        let counted = costs.iter().find(|cost| cost.name == name).map(|cost| cost.runs);
        counted.filter(|_| counting.is_some() && seen.is_some())
    };
    let programs = kernel
        .programs()
        .iter()
        .map(|program| {
            let checks = seen.as_ref().map(|seen| seen.checks(program.name)).unwrap_or_default();
            judge(program, checks, runs(program.name))
        })
        .collect();
    Ok(Trial { kernel, programs, untried })
}

/// Programs that need a disk: there may be none, and the test writes to none that it does not know. One that needs a
/// connection, for which there may be no loopback. And those that need io_uring, which may be forbidden.
const UNTRIED: [&str; 5] = ["on_block_issue", "on_block_complete", "on_tcp_state", "on_ring_request", "on_ring_entry"];

fn judge(program: &sensors::ProgramState, checks: Vec<Check>, runs: Option<u64>) -> Program {
    let wrong = checks.iter().find(|check| check.expected != check.seen);
    let (state, reason) = match (&program.state, wrong) {
        (State::Unsupported(why), _) => (ProgramState::Unsupported, Some(why.clone())),
        (State::Failed(why), _) => (ProgramState::Failed, Some(why.clone())),
        (State::Attached, Some(check)) => {
            (ProgramState::Wrong, Some(format!("{}: {} of {} arrived", check.what, check.seen, check.expected)))
        }
        (State::Attached, None) if runs == Some(0) && UNTRIED.contains(&program.name) => (ProgramState::Attached, None),
        (State::Attached, None) if runs == Some(0) => {
            (ProgramState::Wrong, Some("it is attached and was never called".into()))
        }
        (State::Attached, None) if checks.is_empty() && runs.is_none() => (ProgramState::Attached, None),
        (State::Attached, None) => (ProgramState::Works, None),
    };
    Program {
        sensor: program.sensor,
        name: program.name,
        hook: program.hook,
        only_traced: false,
        state,
        reason,
        runs,
        checks,
    }
}

/// What arrived of the test.
#[derive(Debug, Default)]
struct Seen {
    created: u64,
    entered: u64,
    started: u64,
    ended: u64,
    forks: u64,
    execs: u64,
    images: u64,
    exits: u64,
    traced: u64,
    calls: u64,
    failures: u64,
    capability_checks: u64,
    /// Programs that were started, each with the rights that it ran with.
    rights: u64,
    /// Connections that were made, to itself.
    connections: u64,
    processes: u64,
    tasks_entered: u64,
    tasks_left: u64,
    /// Whether each call of the test is to be an event.
    is_traced: bool,
}

impl Seen {
    fn book(&mut self, event: &Event) {
        let counter = match &event.payload {
            Payload::ContainerCreated(_) => &mut self.created,
            Payload::ContainerStarted(_) => &mut self.started,
            Payload::ContainerEnded(_) => &mut self.ended,
            Payload::TaskEntered(_) => &mut self.entered,
            Payload::Fork(_) => &mut self.forks,
            Payload::Exec(_) => &mut self.execs,
            Payload::Image(_) => &mut self.images,
            Payload::Exit(_) => &mut self.exits,
            Payload::Syscall(_) => &mut self.traced,
            // Not something that the test counts.
            _ => return,
        };
        *counter += 1;
    }

    fn count(&mut self, tally: &Tally, names: &SyscallNames) {
        let is = |syscall, name: &str| {
            names
                .number(Arch::NATIVE, name)
                .is_some_and(|number| syscall == event::Syscall { arch: Arch::NATIVE, number })
        };
        let main = |phase| phase == Phase::Main;
        self.calls = tally
            .calls
            .iter()
            .filter(|call| main(call.phase) && is(call.syscall, "getppid"))
            .map(|call| call.count)
            .sum();
        self.failures = tally
            .failures
            .iter()
            .filter(|it| main(it.phase) && is(it.syscall, EXPECTED_CALL) && it.errno == EXPECTED_ERRNO)
            .map(|failure| failure.count)
            .sum();
    }

    /// Takes in one entry of a set.
    fn keep(&mut self, kept: &Kept) {
        let Total::Told(event) = &kept.total else { return };
        match &event.payload {
            Payload::Capability(check) if check.capability.name() == EXPECTED_CAPABILITY => {
                self.capability_checks += check.count;
            }
            Payload::Confinement(state) => self.rights += state.count,
            Payload::Flow(flow) if flow.direction == Direction::Out && flow.errno.is_none() => {
                self.connections += flow.connections;
            }
            _ => {}
        }
    }

    /// What the program of this name was to deliver; a program that is not named here is judged by whether it ran.
    fn checks(&self, program: &str) -> Vec<Check> {
        let one = |what, expected, seen| vec![Check { what, expected, seen }];
        match program {
            "on_cgroup_mkdir" => one("cgroups made", 1, self.created),
            "on_cgroup_rmdir" => one("cgroups removed", 1, self.ended),
            "on_cgroup_attach_task" => one("processes moved in", 1, self.entered),
            "on_fork_identity" => one("processes made", 1, self.processes),
            "on_exec_identity" => one("workloads started", 1, self.started),
            "on_exit_identity" => one("tasks gone of those that came", self.tasks_entered.max(1), self.tasks_left),
            "on_fork_process" => one("forks", 1, self.forks),
            // Those of the two programs; its calls may have changed them in between.
            "on_exec_privileged" => one("rights of programs", 2, self.rights.min(2)),
            "on_tcp_state" if self.connections > 0 => one("connections", 1, self.connections),
            "on_exec_process" => one("execs", 2, self.execs),
            "on_exec_actions" => one("programs that begin", 2, self.images),
            "on_exit_process" => one("exits", 2, self.exits),
            "on_sys_enter" => one("calls of getppid", CALLS.into(), self.calls),
            "on_sys_exit" => one("calls that failed with ESRCH", 1, self.failures),
            "on_cap_capable" | "on_cap_capable_return" => one("checks of CAP_SYS_CHROOT", 1, self.capability_checks),
            "on_exit_syscalls" if self.is_traced => one("calls as events", u64::from(CALLS), self.traced),
            _ => Vec::new(),
        }
    }
}

/// Makes a cgroup, runs a child in it, removes it, and gathers what the kernel reported.
fn run(kernel: &Kernel, layout: &Layout, name: &str) -> Result<Seen, String> {
    let mut ring = kernel.ring().map_err(|error| format!("the ring cannot be read: {error}"))?;
    let sandbox = Sandbox::create(layout.identity(), name).map_err(|error| causes(&error))?;
    let run = kernel.run_of_cgroup(sandbox.id().0).ok_or("the kernel side did not see the cgroup that was made")?;
    // The first program that is started in it starts the workload.
    kernel.name(run);
    let child = |error: std::io::Error| format!("the process for the test: {error}");
    let mut process = Child::start(&["work", &CALLS.to_string()]).map_err(child)?;
    sandbox.add(process.pid()).map_err(|error| causes(&error))?;
    process.go().map_err(child)?;
    let status = process.wait().map_err(child)?;
    if !status.success() {
        return Err(format!("the process for the test ended with {status}"));
    }
    sandbox.remove(Duration::from_secs(2)).map_err(|error| causes(&error))?;

    let mut seen =
        Seen { is_traced: kernel.programs().iter().any(|it| it.name == "on_exit_syscalls"), ..Seen::default() };
    let end = Instant::now() + PATIENCE;
    // The removal is the last thing that happened.
    while seen.ended == 0 && Instant::now() < end {
        poll(&mut ring, run, &mut seen)?;
    }
    let tallies = kernel.read_counts(&[run]).map_err(|error| causes(&error))?;
    if let Some(tally) = tallies.get(&run) {
        seen.count(tally, &SyscallNames::builtin());
    }
    let kept = kernel.read_sets(&[run]).map_err(|error| causes(&error))?;
    kept.values().flatten().for_each(|kept| seen.keep(kept));
    let slot = kernel.slot(run).ok_or("the kernel side has forgotten the cgroup")?;
    seen.processes = slot.processes;
    (seen.tasks_entered, seen.tasks_left) = (slot.tasks_entered, slot.tasks_left);
    Ok(seen)
}

fn poll(ring: &mut sensors::Ring, run: RunId, seen: &mut Seen) -> Result<(), String> {
    let batch = ring.poll(Duration::from_millis(50)).map_err(|error| format!("the ring cannot be read: {error}"))?;
    batch.events.iter().filter(|event| event.run == run).for_each(|event| seen.book(event));
    Ok(())
}

/// An error with its causes in one line: of each what it says first.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let first_line = |error: &dyn std::error::Error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
    };
    let mut text = first_line(error);
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = first_line(cause);
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(state: State) -> sensors::ProgramState {
        sensors::ProgramState { sensor: "syscalls", name: "on_sys_enter", hook: "tp_btf/sys_enter", state }
    }

    fn judged(state: State, seen: u64, runs: Option<u64>) -> ProgramState {
        judge(&program(state), vec![Check { what: "calls", expected: 3, seen }], runs).state
    }

    #[test]
    fn what_needs_a_disk_is_not_wrong_without_one() {
        let on_disk = sensors::ProgramState { name: "on_block_issue", ..program(State::Attached) };

        assert_eq!(judge(&on_disk, Vec::new(), Some(0)).state, ProgramState::Attached);
        assert_eq!(judge(&on_disk, Vec::new(), Some(2)).state, ProgramState::Works);
    }

    #[test]
    fn a_program_works_only_if_everything_arrived() {
        assert_eq!(judged(State::Attached, 3, Some(9)), ProgramState::Works);
        assert_eq!(judged(State::Attached, 2, Some(9)), ProgramState::Wrong);
        assert_eq!(judged(State::Attached, 4, Some(9)), ProgramState::Wrong);
        assert_eq!(judged(State::Failed("no".into()), 3, Some(9)), ProgramState::Failed);
        assert_eq!(judged(State::Unsupported("no".into()), 0, None), ProgramState::Unsupported);
    }

    #[test]
    fn a_program_without_a_check_is_judged_by_whether_it_ran() {
        let judged = |runs| judge(&program(State::Attached), Vec::new(), runs).state;

        assert_eq!(judged(Some(0)), ProgramState::Wrong);
        assert_eq!(judged(Some(1)), ProgramState::Works);
        assert_eq!(judged(None), ProgramState::Attached);
    }

    #[test]
    fn a_log_is_no_part_of_the_reason() {
        let error = anyhow::anyhow!("no right").context("refused; libbpf said:\n0: (b7) r0 = 0\n1: (95) exit");

        assert_eq!(causes(error.as_ref()), "refused; libbpf said: no right");
    }

    #[test]
    fn causes_are_said_once_each() {
        let error = anyhow::anyhow!("no such file").context("cannot open: no such file").context("cannot load");

        assert_eq!(causes(error.as_ref()), "cannot load: cannot open: no such file");
    }
}
