use event::{Errno, Text};

use super::super::canary::Check;
use super::super::cgroups::{Cgroups, Described};
use super::super::cost::{CallCost, Cost};
use super::super::engines::{Engines, Socket};
use super::super::machine::{FileSystem, PidNamespace};
use super::super::verdict::Verdict;
use super::super::{Diagnosis, Sensors};
use super::*;

const HOSTILE: &str = "a\x1b[2J\u{202e}b";

/// A machine where nothing is as it should be, and all text wants to be obeyed.
fn diagnosis() -> Diagnosis {
    let socket = |state| Socket {
        interface: "docker API",
        path: HOSTILE.into(),
        state,
        engine: Some("docker"),
        version: Some(HOSTILE.into()),
        reason: Some(HOSTILE.into()),
    };
    let program = |name, state| Program {
        sensor: "syscalls",
        name,
        hook: "tp_btf/sys_enter",
        only_traced: false,
        state,
        reason: Some(HOSTILE.into()),
        runs: Some(1530),
        checks: vec![Check { what: "calls of getppid", expected: 1000, seen: 999 }],
    };
    let hook = |kind, result| Hook {
        kind,
        tried_on: "file_open",
        result,
        step: Some("load"),
        errno: Some(Errno(1)),
        reason: Some(HOSTILE.into()),
        used: false,
        cost: "nothing could be denied",
    };
    let spread = Spread { min_ns: 93.4, median_ns: 101.0, rounds: 40 };
    Diagnosis {
        schema_version: 1,
        ringfence_version: "0.1.0",
        verdicts: vec![Verdict { feature: "recording", grade: Grade::Fails, why: vec![HOSTILE.into()] }],
        machine: Machine {
            kernel_release: HOSTILE.into(),
            architecture: HOSTILE.into(),
            uid: 1000,
            in_user_namespace: true,
            capabilities: Vec::new(),
            btf: false,
            lockdown: Reading::Unknown { reason: HOSTILE.into() },
            lsms: Reading::Known { value: "capability,landlock".into() },
            mounts: vec![FileSystem { name: "tracefs", mounted_at: None, cost: "names" }],
            pid_namespace: PidNamespace { nested: true, cost: Some("inside a pid namespace pids differ") },
        },
        cgroups: Ok(Cgroups {
            mode: "hybrid",
            hierarchies: vec![Described {
                version: 1,
                number: 8,
                controllers: vec!["pids".into()],
                name: Some(HOSTILE.into()),
                mounted_at: HOSTILE.into(),
                partly_mounted: true,
                identifies: true,
            }],
            why: "it has the pids controller",
        }),
        sensors: Sensors {
            failure: Some(HOSTILE.into()),
            traced_failure: Some(HOSTILE.into()),
            log: vec![HOSTILE.into()],
            untried: Some(HOSTILE.into()),
            programs: vec![program("on_sys_enter", ProgramState::Wrong), program("on_sys_exit", ProgramState::Failed)],
        },
        hooks: vec![hook("lsm", Answer::NeverCalled), hook("fentry", Answer::Refused), hook("iter", Answer::Works)],
        engines: Engines {
            sockets: [SocketState::Answers, SocketState::Fails, SocketState::Absent].map(socket).into(),
            state_folders: vec![Text::from(HOSTILE)],
            failed: None,
        },
        cost: Some(Cost {
            map_bytes: 17 << 20,
            getppid: Some(CallCost { untraced: spread, outside: spread, inside: spread }),
            not_measured: None,
        }),
    }
}

#[test]
fn no_width_is_exceeded_and_no_control_character_gets_out() {
    for width in [60, 80, 200] {
        let table = table(&diagnosis(), width, false);

        for line in table.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert!(!line.chars().any(event::is_unsafe_on_a_terminal), "{line:?}");
        }
    }
}

#[test]
fn what_is_missing_is_said_with_its_cost() {
    let table = table(&diagnosis(), 300, false);

    for line in [
        "  recording                   does not work\n",
        "capability,landlock; `bpf` is not among them",
        "not mounted; this costs: names",
        "tp_btf/sys_enter on_sys_enter: attached, and wrong, called 1530 times, calls of getppid: 999 of 1000",
        "  fentry                      refused at load: EPERM; this costs: nothing could be denied\n",
        "  getppid, untraced           93 ns, median 101 ns, 40 rounds\n",
        "inside a pid namespace",
    ] {
        assert!(table.contains(line), "{line}\nis not in\n{table}");
    }
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    assert!(!table(&diagnosis(), 80, false).contains('\x1b'));
    assert!(table(&diagnosis(), 80, true).contains("\x1b[1;31mdoes not work"));
}

#[test]
fn where_nothing_was_tried_the_reason_is_said_once() {
    let mut diagnosis = diagnosis();
    for hook in &mut diagnosis.hooks {
        (hook.result, hook.reason) = (Answer::NotTried, Some("it needs CAP_BPF".into()));
    }

    assert_eq!(table(&diagnosis, 80, false).matches("it needs CAP_BPF").count(), 1);
}
