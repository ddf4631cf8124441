//! What all findings together mean for each thing that ringfence does.

use serde::Serialize;

use super::canary::{Program, ProgramState};
use super::engines::{Engines, SocketState};
use super::hooks::{Answer, Hook};
use super::machine::Machine;

/// Whether a feature works here, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) feature: &'static str,
    pub(super) grade: Grade,
    pub(super) why: Vec<String>,
}

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    Works,
    /// It works, and something is missing.
    InPart,
    /// It could not be tried.
    NotTried,
    Fails,
}

impl Grade {
    pub(super) fn name(self) -> &'static str {
        match self {
            Grade::Works => "works",
            Grade::InPart => "works in part",
            Grade::NotTried => "could not be tried",
            Grade::Fails => "does not work",
        }
    }
}

/// What the verdicts are made from.
pub(super) struct Findings<'a> {
    pub(super) machine: &'a Machine,
    /// Why the sensors could not be loaded.
    pub(super) failure: Option<&'a str>,
    /// The same with an event for each call.
    pub(super) traced_failure: Option<&'a str>,
    pub(super) programs: &'a [Program],
    /// Why the sensors could not be put to the test.
    pub(super) untried: Option<&'a str>,
    pub(super) hooks: &'a [Hook],
    pub(super) engines: &'a Engines,
}

/// One for each feature of this version.
pub(super) fn verdicts(findings: &Findings<'_>) -> Vec<Verdict> {
    let recording = recording(findings);
    let sandbox = sandbox(findings, &recording);
    let tracing = tracing(findings, &recording);
    vec![recording, sandbox, tracing, names(findings)]
}

fn recording(findings: &Findings<'_>) -> Verdict {
    let mut verdict = Verdict { feature: "recording", grade: Grade::Works, why: Vec::new() };
    let missing: Vec<String> = findings.machine.missing().iter().map(ToString::to_string).collect();
    if !missing.is_empty() {
        verdict.add(Grade::Fails, format!("it needs {}: try with sudo", missing.join(" and ")));
        return verdict;
    }
    if !findings.machine.btf {
        let why = "the kernel has no BTF: it was built without CONFIG_DEBUG_INFO_BTF=y";
        verdict.add(Grade::Fails, why.into());
    } else if let Some(why) = findings.failure {
        verdict.add(Grade::Fails, why.to_owned());
    }
    if findings.failure.is_some() && findings.machine.in_user_namespace {
        let why = "root in a user namespace is an ordinary user to the kernel: run it outside";
        verdict.add(Grade::Fails, why.into());
    }
    if let Some(why) = findings.untried {
        verdict.add(Grade::NotTried, format!("the sensors are attached, and could not be put to the test: {why}"));
    }
    verdict.add_programs(findings.programs.iter().filter(|program| !program.only_traced));
    let is_missing = |hook: &&Hook| hook.used && matches!(hook.result, Answer::Refused | Answer::NeverCalled);
    // There everything is refused, which has been said.
    let tried = findings.hooks.iter().filter(|_| !findings.machine.in_user_namespace);
    for hook in tried.filter(is_missing) {
        verdict.add(Grade::InPart, format!("{} does not work: {}", hook.kind, hook.cost));
    }
    if let Some(cost) = findings.machine.pid_namespace.cost {
        verdict.add(Grade::InPart, cost.to_owned());
    }
    verdict
}

fn sandbox(findings: &Findings<'_>, recording: &Verdict) -> Verdict {
    let mut verdict = Verdict { feature: "record -- COMMAND", grade: Grade::Works, why: Vec::new() };
    if let Some(why) = findings.untried {
        verdict.add(Grade::Fails, why.to_owned());
    } else if recording.grade != Grade::Works {
        verdict.add(recording.grade, "as recording".into());
    }
    verdict
}

fn tracing(findings: &Findings<'_>, recording: &Verdict) -> Verdict {
    let mut verdict = Verdict { feature: "--trace-syscalls", grade: Grade::Works, why: Vec::new() };
    if recording.grade != Grade::Works {
        verdict.add(recording.grade, "as recording".into());
    }
    if let Some(why) = findings.traced_failure {
        verdict.add(Grade::Fails, why.to_owned());
    }
    verdict.add_programs(findings.programs.iter().filter(|program| program.only_traced));
    verdict
}

fn names(findings: &Findings<'_>) -> Verdict {
    let mut verdict = Verdict { feature: "names of containers", grade: Grade::Works, why: Vec::new() };
    let engines = findings.engines;
    if let Some(why) = &engines.failed {
        verdict.add(Grade::Fails, why.clone());
    }
    for socket in engines.with(SocketState::Fails) {
        let reason = socket.reason.as_ref().map(|reason| reason.shown().into_owned()).unwrap_or_default();
        verdict.add(Grade::InPart, format!("{}: {reason}", socket.interface));
    }
    if engines.with(SocketState::Answers).next().is_none() {
        let why = "no engine answers on this host: a container is called by its cgroup, or by its bundle's state";
        verdict.why.push(why.into());
    }
    verdict
}

impl Verdict {
    fn add_programs<'a>(&mut self, programs: impl Iterator<Item = &'a Program>) {
        for program in programs {
            let grade = match program.state {
                ProgramState::Works | ProgramState::Attached => continue,
                ProgramState::Wrong => Grade::Fails,
                ProgramState::Unsupported | ProgramState::Failed => Grade::InPart,
            };
            let reason = program.reason.as_deref().unwrap_or("it did not work");
            self.add(grade, format!("{} of the sensor {}: {reason}", program.name, program.sensor));
        }
    }

    fn add(&mut self, grade: Grade, why: String) {
        self.grade = self.grade.max(grade);
        self.why.push(why);
    }
}

#[cfg(test)]
mod tests {
    use event::{Capability, Errno};

    use super::super::engines::Socket;
    use super::super::machine::{PidNamespace, Privilege, Reading};
    use super::*;

    fn machine() -> Machine {
        let privilege = |number| Privilege {
            name: Capability::new(number).expect("in a set"),
            has: true,
            needed: true,
            purpose: "to be tested",
        };
        Machine {
            kernel_release: "6.12".into(),
            architecture: "x86_64".into(),
            uid: 0,
            in_user_namespace: false,
            capabilities: vec![privilege(38), privilege(39)],
            btf: true,
            lockdown: Reading::Absent,
            lsms: Reading::Absent,
            mounts: Vec::new(),
            pid_namespace: PidNamespace { nested: false, cost: None },
        }
    }

    fn engines(state: SocketState) -> Engines {
        let socket = Socket {
            interface: "docker API",
            path: "/run/docker.sock".into(),
            state,
            engine: None,
            version: None,
            reason: Some("permission denied".into()),
        };
        Engines { sockets: vec![socket], state_folders: Vec::new(), failed: None }
    }

    fn program(state: ProgramState) -> Program {
        let (sensor, name, hook) = ("syscalls", "on_sys_enter", "tp_btf/sys_enter");
        Program {
            sensor,
            name,
            hook,
            only_traced: false,
            state,
            reason: Some("0 of 3 arrived".into()),
            runs: None,
            checks: Vec::new(),
        }
    }

    fn hook(kind: &'static str, used: bool) -> Hook {
        Hook {
            kind,
            tried_on: "it",
            result: Answer::Refused,
            step: Some("load"),
            errno: Some(Errno(22)),
            reason: None,
            used,
            cost: "each call costs more",
        }
    }

    struct Case {
        machine: Machine,
        failure: Option<&'static str>,
        traced_failure: Option<&'static str>,
        programs: Vec<Program>,
        untried: Option<&'static str>,
        hooks: Vec<Hook>,
        engines: Engines,
    }

    impl Case {
        fn good() -> Case {
            Case {
                machine: machine(),
                failure: None,
                traced_failure: None,
                programs: vec![program(ProgramState::Works)],
                untried: None,
                hooks: Vec::new(),
                engines: engines(SocketState::Answers),
            }
        }

        fn grades(&self) -> [Grade; 4] {
            let findings = Findings {
                machine: &self.machine,
                failure: self.failure,
                traced_failure: self.traced_failure,
                programs: &self.programs,
                untried: self.untried,
                hooks: &self.hooks,
                engines: &self.engines,
            };
            let found = verdicts(&findings);
            for verdict in &found {
                assert!(verdict.grade == Grade::Works || !verdict.why.is_empty(), "{verdict:?}");
            }
            [0, 1, 2, 3].map(|at: usize| found[at].grade)
        }
    }

    #[test]
    fn a_machine_that_has_all_works() {
        assert_eq!(Case::good().grades(), [Grade::Works; 4]);
    }

    #[test]
    fn a_program_that_is_attached_and_delivers_nothing_fails() {
        let case = Case { programs: vec![program(ProgramState::Wrong)], ..Case::good() };

        assert_eq!(case.grades(), [Grade::Fails, Grade::Fails, Grade::Fails, Grade::Works]);
    }

    #[test]
    fn what_is_wrong_with_tracing_alone_leaves_recording_as_it_is() {
        let failure = Case { traced_failure: Some("refused"), ..Case::good() };
        let mut program = Case::good();
        program.programs[0] = Program { only_traced: true, state: ProgramState::Wrong, ..program.programs[0].clone() };

        assert_eq!(failure.grades(), [Grade::Works, Grade::Works, Grade::Fails, Grade::Works]);
        assert_eq!(program.grades(), [Grade::Works, Grade::Works, Grade::Fails, Grade::Works]);
    }

    #[test]
    fn a_hook_that_no_sensor_uses_changes_no_verdict_and_one_that_is_used_does() {
        let unused = Case { hooks: vec![hook("fentry", false)], ..Case::good() };
        let used = Case { hooks: vec![hook("task_storage", true)], ..Case::good() };

        assert_eq!(unused.grades(), [Grade::Works; 4]);
        assert_eq!(used.grades(), [Grade::InPart, Grade::InPart, Grade::InPart, Grade::Works]);
    }

    #[test]
    fn without_privilege_nothing_is_recorded() {
        let mut case = Case::good();
        case.machine.capabilities[0].has = false;

        assert_eq!(case.grades()[0], Grade::Fails);
    }

    #[test]
    fn without_a_cgroup_of_its_own_nothing_was_tried_and_no_command_can_be_recorded() {
        let case = Case { untried: Some("cannot make the cgroup"), ..Case::good() };

        assert_eq!(case.grades(), [Grade::NotTried, Grade::Fails, Grade::NotTried, Grade::Works]);
    }

    #[test]
    fn an_engine_that_is_absent_costs_nothing_and_one_that_refuses_costs_names() {
        let absent = Case { engines: engines(SocketState::Absent), ..Case::good() };
        let refuses = Case { engines: engines(SocketState::Fails), ..Case::good() };

        assert_eq!((absent.grades()[3], refuses.grades()[3]), (Grade::Works, Grade::InPart));
    }

    #[test]
    fn a_pid_namespace_is_said_in_the_verdict() {
        let mut case = Case::good();
        case.machine.pid_namespace = PidNamespace { nested: true, cost: Some("pids differ") };

        assert_eq!(case.grades()[0], Grade::InPart);
    }
}
