//! Which kinds of hooks and maps this kernel takes, tried one by one.

use std::fs::File;

use containers::cgroupfs::{Layout, Sandbox, Version};
use event::{Errno, Text};
use sensors::probe::{CgroupTrial, HookKind, Outcome, try_hook};
use serde::Serialize;

use super::child::Child;

/// One kind.
#[derive(Debug, Serialize)]
pub(super) struct Hook {
    pub(super) kind: &'static str,
    pub(super) tried_on: &'static str,
    pub(super) result: Answer,
    /// `load`, `attach` or `read`, if the kernel refused.
    pub(super) step: Option<&'static str>,
    pub(super) errno: Option<Errno>,
    pub(super) reason: Option<Text>,
    /// Whether this version's sensors are made of it.
    pub(super) used: bool,
    /// What is lost where it does not work.
    pub(super) cost: &'static str,
}

/// What a try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Works,
    NeverCalled,
    Refused,
    NotTried,
}

/// Tries every kind; `why_not` says why that is not possible at all.
pub(super) fn try_all(layout: Option<&Layout>, sandbox: &str, why_not: Option<&str>) -> Vec<Hook> {
    HookKind::ALL
        .into_iter()
        .map(|kind| {
            let outcome = match why_not {
                Some(why) => Outcome::NotTried(why.to_owned()),
                None if kind == HookKind::Cgroup => try_cgroup(layout, sandbox),
                None => try_hook(kind, None),
            };
            hook(kind, outcome)
        })
        .collect()
}

fn hook(kind: HookKind, outcome: Outcome) -> Hook {
    let (used, cost) = worth(kind);
    let (result, step, errno, reason) = match outcome {
        Outcome::Works => (Answer::Works, None, None, None),
        Outcome::NeverCalled if kind == HookKind::Lsm => {
            let reason = "it was attached without an error and is never called: `bpf` is not among the active LSMs";
            (Answer::NeverCalled, None, None, Some(reason.into()))
        }
        Outcome::NeverCalled => (Answer::NeverCalled, None, None, Some("it was attached and never called".into())),
        Outcome::Refused { step, errno, reason } => (Answer::Refused, Some(step.name()), errno, Some(reason.into())),
        Outcome::NotTried(reason) => (Answer::NotTried, None, None, Some(reason.into())),
    };
    Hook { kind: kind.name(), tried_on: kind.tried_on(), result, step, errno, reason, used, cost }
}

/// Whether the sensors of this version are made of it, and what its absence costs.
fn worth(kind: HookKind) -> (bool, &'static str) {
    match kind {
        HookKind::TpBtf => (true, "nothing can be recorded: every sensor is made of these"),
        HookKind::Iter => {
            (true, "nothing can be recorded: what runs already could not be found, nor live threads counted")
        }
        HookKind::RingBuffer => (true, "nothing can be recorded: no event would arrive"),
        HookKind::TaskStorage => (true, "system calls cannot be traced one by one"),
        HookKind::Loop => (
            true,
            "system calls are counted in shared tables: each call in a container costs more; of a program's path only the \
             last 40 names are followed",
        ),
        HookKind::RawTp | HookKind::Tracepoint | HookKind::PerfEvent | HookKind::Uprobe => {
            (false, "nothing: no sensor of this version uses it")
        }
        HookKind::Cgroup | HookKind::CgroupStorage => (false, "nothing: no sensor of this version uses it"),
        HookKind::Fexit => (
            false,
            "nothing where there is a tracepoint cap_capable (6.14 has it); elsewhere no capabilities can be recorded",
        ),
        HookKind::Fentry => {
            (false, "nothing in this version; what a program does through io_uring without a system call stays unseen")
        }
        HookKind::FmodRet => {
            (false, "nothing in this version; where LSM does not work either, nothing could be denied")
        }
        HookKind::Lsm => (false, "nothing in this version; only fmod_ret could deny anything before it happens"),
        HookKind::Kprobe => (false, "nothing: no sensor of this version uses it"),
    }
}

/// In a cgroup of version 2 of our own, with a child in it that opens a socket.
fn try_cgroup(layout: Option<&Layout>, sandbox: &str) -> Outcome {
    let unified = layout.and_then(|layout| layout.hierarchies().iter().find(|it| it.version == Version::V2));
    let Some(unified) = unified else {
        return Outcome::NotTried("cgroup version 2 is not mounted".into());
    };
    let not_tried = |what: &str, error: &dyn std::error::Error| Outcome::NotTried(format!("{what}: {error}"));
    let sandbox = match Sandbox::create(unified, sandbox) {
        Ok(sandbox) => sandbox,
        Err(error) => return not_tried("no cgroup for the test could be made", &error),
    };
    let directory = match File::open(sandbox.directory()) {
        Ok(directory) => directory,
        Err(error) => return not_tried("the cgroup for the test cannot be opened", &error),
    };
    let child = Child::start(&["socket"]).and_then(|child| {
        sandbox.add(child.pid()).map_err(std::io::Error::other)?;
        Ok(child)
    });
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return not_tried("no process for the test could be started", &error),
    };
    let mut open_socket = || {
        // Whether it did so is told by the program's count.
        let _ = child.go().and_then(|()| child.wait());
    };
    let trial = CgroupTrial { directory: std::os::fd::AsFd::as_fd(&directory), open_socket: &mut open_socket };
    let outcome = try_hook(HookKind::Cgroup, Some(trial));
    drop(child);
    let _ = sandbox.remove(std::time::Duration::from_secs(1));
    outcome
}

#[cfg(test)]
mod tests {
    use sensors::probe::Step;

    use super::*;

    #[test]
    fn an_lsm_program_that_is_never_called_says_what_to_look_at() {
        let hook = hook(HookKind::Lsm, Outcome::NeverCalled);

        assert_eq!(hook.result, Answer::NeverCalled);
        assert!(hook.reason.is_some_and(|reason| reason.shown().contains("active LSMs")));
    }

    #[test]
    fn a_refusal_keeps_step_and_errno() {
        let refused =
            Outcome::Refused { step: Step::Load, errno: Some(Errno(1)), reason: "Operation not permitted".into() };

        let json = serde_json::to_value(hook(HookKind::Fentry, refused)).expect("JSON");

        assert_eq!(
            (&json["result"], &json["step"], &json["errno"]),
            (&"refused".into(), &"load".into(), &"EPERM".into())
        );
    }

    #[test]
    fn nothing_is_tried_where_that_is_not_possible() {
        let hooks = try_all(None, "unused", Some("needs root"));

        assert_eq!(hooks.len(), HookKind::ALL.len());
        assert!(hooks.iter().all(|hook| hook.result == Answer::NotTried));
    }
}
