//! What the ways out need, and whether a container has it.

use event::{Arch, Capability};

use super::EscapeState;
use crate::default_profile::Passage;
use crate::hardening::{Access, MountAction, Verdict};
use crate::present::{Present, states};
use crate::source::Runs;
use crate::{CapabilityAdvice, Hardening, Seccomp};

/// Something that a way needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// A system call.
    Call(&'static str),
    /// A capability in the first user namespace.
    Capability(Capability),
    /// A user namespace of its own.
    UserNamespace,
    /// Sockets of a family: its name and number.
    Family(&'static str, u32),
    /// Calls of a table of 32 bits, or of x32.
    Compat,
    /// Programs that run as the host's root.
    Root,
    /// Programs that gain rights.
    Gain,
    /// A namespace of the host.
    Namespace(&'static str),
    /// What engines hide or make read-only.
    SystemPaths,
    /// Being privileged.
    Privileged,
    /// A block device.
    BlockDevice,
    /// The socket of an engine.
    EngineSocket,
    /// A directory of the host that can be written.
    HostDirectory,
    /// Nothing that is recommended here.
    Always,
}

/// Of each socket family that ways need its number: `include/linux/socket.h` (6.18).
const FAMILIES: [(&str, u32); 4] = [("AF_NETLINK", 16), ("AF_PACKET", 17), ("AF_ALG", 38), ("AF_VSOCK", 40)];
/// The flag of clone(2) that makes a user namespace: `include/uapi/linux/sched.h` (6.18).
const CLONE_NEWUSER: u64 = 0x1000_0000;

impl Term {
    /// The term that stands so in the table.
    pub(super) fn parse(text: &'static str) -> Term {
        match text.split_once(':') {
            Some(("call", name)) => Term::Call(name),
            Some(("cap", name)) => Term::Capability(format!("CAP_{name}").parse().expect("a capability that we know")),
            Some(("family", name)) => {
                let family = FAMILIES.into_iter().find(|(known, _)| *known == name).expect("a family that we know");
                Term::Family(family.0, family.1)
            }
            Some(("ns", name)) => Term::Namespace(name),
            Some(_) => panic!("{text} is no term"),
            None => match text {
                "always" => Term::Always,
                "block" => Term::BlockDevice,
                "compat" => Term::Compat,
                "engine" => Term::EngineSocket,
                "gain" => Term::Gain,
                "hostdir" => Term::HostDirectory,
                "paths" => Term::SystemPaths,
                "privileged" => Term::Privileged,
                "root" => Term::Root,
                "userns" => Term::UserNamespace,
                other => panic!("{other} is no term"),
            },
        }
    }

    /// Whether the recommended system calls and capabilities alone say that it is there.
    pub(super) fn is_allowed(self, seccomp: &Seccomp, capabilities: &CapabilityAdvice) -> bool {
        match self {
            Term::Call(name) => seccomp.allows(name),
            Term::Capability(capability) => capabilities.add.iter().any(|need| need.capability == capability),
            Term::UserNamespace => makes_user_namespaces(seccomp),
            Term::Family(_, number) => makes_sockets(seccomp, number),
            Term::Compat => {
                let is_compat = |arch: &Arch| matches!(arch, Arch::X86 | Arch::X32 | Arch::Arm);
                seccomp.architectures.iter().any(is_compat)
            }
            _ => false,
        }
    }

    /// In words, as what a way needs.
    pub(super) fn need(self) -> String {
        match self {
            Term::Call(name) => format!("the system call {name}"),
            Term::Capability(capability) => capability.to_string(),
            Term::UserNamespace => "a user namespace of its own".to_owned(),
            Term::Family(name, _) => format!("a socket of {name}"),
            Term::Compat => "32-bit or x32 calls".to_owned(),
            Term::Root => "a program that runs as root".to_owned(),
            Term::Gain => "a program that gains rights".to_owned(),
            Term::Namespace(name) => format!("the host's {name} namespace"),
            Term::SystemPaths => "what engines hide of /proc and /sys or make read-only".to_owned(),
            Term::Privileged => "to be privileged".to_owned(),
            Term::BlockDevice => "a block device".to_owned(),
            Term::EngineSocket => "the socket of a container engine".to_owned(),
            Term::HostDirectory => "a directory of the host that can be written".to_owned(),
            Term::Always => "nothing that is decided on here".to_owned(),
        }
    }

    /// In words, as what closes a way.
    pub(super) fn closed(self) -> String {
        match self {
            Term::Call(name) => format!("the system call {name} is not let through"),
            Term::Capability(capability) => format!("{capability} is not held"),
            Term::UserNamespace => "no user namespace can be made".to_owned(),
            Term::Family(name, _) => format!("no socket of {name} can be made"),
            Term::Compat => "32-bit and x32 calls are not let through".to_owned(),
            Term::Root => "nothing runs as the host's root".to_owned(),
            Term::Gain => "no program gains rights".to_owned(),
            Term::Namespace(name) => format!("its {name} namespace is its own"),
            Term::SystemPaths => "engines' paths stay hidden or read-only".to_owned(),
            Term::Privileged => "it is not privileged".to_owned(),
            Term::BlockDevice => "it has no block device".to_owned(),
            Term::EngineSocket => "it does not reach the socket of an engine".to_owned(),
            Term::HostDirectory => "no directory of the host can be written".to_owned(),
            Term::Always => String::new(),
        }
    }
}

/// All that says whether a container has what a way needs.
pub(super) struct Facts<'f> {
    pub(super) runs: &'f Runs<'f>,
    pub(super) present: &'f Present<'f>,
    pub(super) seccomp: &'f Seccomp,
    pub(super) capabilities: &'f CapabilityAdvice,
    pub(super) hardening: &'f Hardening,
    /// Whether the recommendation is for no_new_privileges.
    pub(super) no_new_privileges: bool,
}

impl Facts<'_> {
    /// Whether the container has it now.
    pub(super) fn now(&self, term: Term) -> EscapeState {
        match term {
            Term::Call(name) => state(self.passes_now(name)),
            Term::Capability(capability) => state(self.present.capabilities.map(|held| held.contains(capability))),
            Term::UserNamespace => state(self.makes_namespaces_now()),
            Term::Family(_, number) => state(self.has_family_now(number)),
            Term::Compat => {
                let tables = [Arch::X86, Arch::X32, Arch::Arm].map(|arch| self.present.has_table(arch));
                state(any(&tables))
            }
            Term::Root => state(self.runs_as_root()),
            Term::Gain => state(self.hardening.no_new_privileges.now.map(|now| !now)),
            Term::Namespace(name) => state(self.shares(name)),
            Term::SystemPaths => state(self.hardening.system_paths.advice.now.map(|now| !now)),
            Term::Privileged => state(self.hardening.unprivileged.now.map(|now| !now)),
            Term::BlockDevice => self.block_device_now(),
            Term::EngineSocket => match self.hardening.engine_sockets.is_empty() {
                false => EscapeState::Open,
                true => state(self.knows_mounts().then_some(false)),
            },
            Term::HostDirectory => {
                let has_one =
                    self.hardening.mounts.iter().any(|mount| mount.kind.as_bytes() == b"bind" && !mount.read_only);
                if has_one { EscapeState::Open } else { state(self.knows_mounts().then_some(false)) }
            }
            Term::Always => EscapeState::Open,
        }
    }

    /// Whether it has it after.
    pub(super) fn after(&self, term: Term) -> EscapeState {
        let hardening = self.hardening;
        // What is not known, or needed, stays as it is.
        let unless = |verdict: Verdict| match verdict {
            Verdict::Apply => EscapeState::Closed,
            Verdict::Needed | Verdict::Unknown => self.now(term),
        };
        match term {
            Term::Call(_) | Term::Capability(_) | Term::UserNamespace | Term::Family(..) | Term::Compat => {
                state(Some(term.is_allowed(self.seccomp, self.capabilities)))
            }
            Term::Root => match (hardening.user.advice.verdict, hardening.user.user) {
                (Verdict::Apply, Some(user)) if user.uid != 0 => EscapeState::Closed,
                _ => self.now(term),
            },
            Term::Gain if self.no_new_privileges => EscapeState::Closed,
            Term::Gain => unless(hardening.no_new_privileges.verdict),
            Term::Namespace(name) => {
                let advice = hardening.host_namespaces.iter().find(|one| one.namespace.as_bytes() == name.as_bytes());
                advice.map_or_else(|| self.now(term), |one| unless(one.advice.verdict))
            }
            Term::SystemPaths => unless(hardening.system_paths.advice.verdict),
            Term::Privileged => unless(hardening.unprivileged.verdict),
            Term::BlockDevice => {
                let needs_one =
                    hardening.devices.needed.iter().any(|one| one.file_type == event::FileType::BlockDevice);
                if needs_one { EscapeState::Open } else { unless(hardening.devices.advice.verdict) }
            }
            Term::EngineSocket => {
                let stay = hardening.engine_sockets.iter().any(|socket| socket.advice.verdict != Verdict::Apply);
                if stay {
                    EscapeState::Open
                } else if hardening.engine_sockets.is_empty() {
                    self.now(term)
                } else {
                    EscapeState::Closed
                }
            }
            Term::HostDirectory => {
                let stays = |mount: &crate::MountAdvice| {
                    let is_open = mount.kind.as_bytes() == b"bind" && !mount.read_only;
                    is_open && (mount.action == MountAction::Keep || mount.access == Access::Write)
                };
                match hardening.mounts.iter().any(stays) {
                    true => EscapeState::Open,
                    false => state(self.knows_mounts().then_some(false)),
                }
            }
            Term::Always => EscapeState::Open,
        }
    }

    fn passes_now(&self, call: &str) -> Option<bool> {
        self.present.passage(call).map(|passage| passage != Passage::Closed)
    }

    /// With unshare, clone or clone3, or in one that somebody else made. A capability for it is not needed.
    fn makes_namespaces_now(&self) -> Option<bool> {
        let clone = self.present.passage("clone").map(|passage| match passage {
            Passage::Closed => false,
            Passage::Open => true,
            Passage::Some(alternatives) => alternatives.iter().any(|all| !all.iter().any(|one| masks_new_user(one))),
        });
        any(&[self.passes_now("unshare"), self.passes_now("clone3"), clone])
    }

    fn has_family_now(&self, family: u32) -> Option<bool> {
        let socket = self.present.passage("socket").map(|passage| match passage {
            Passage::Closed => false,
            Passage::Open => true,
            Passage::Some(alternatives) => {
                alternatives.iter().any(|all| all.iter().all(|condition| holds(condition, family.into())))
            }
        });
        // 32-bit programs make sockets with this call, whose arguments no filter sees.
        let multiplexed = both(self.passes_now("socketcall"), self.present.has_table(Arch::X86));
        any(&[socket, multiplexed])
    }

    fn runs_as_root(&self) -> Option<bool> {
        let mut known = true;
        let mut is_root = false;
        for run in &self.runs.own {
            let mut states = states(run).peekable();
            known &= states.peek().is_some();
            is_root |= states.any(|state| {
                state.user_namespace == event::UserNamespace::Initial
                    && [state.ids.uid, state.ids.euid, state.ids.suid].contains(&0)
            });
        }
        if is_root { Some(true) } else { known.then_some(false) }
    }

    fn shares(&self, name: &str) -> Option<bool> {
        let all = self.runs.own.iter().flat_map(|run| states(run));
        let mut shared = all.flat_map(|state| &state.host_namespaces).peekable();
        let known = self.runs.own.iter().all(|run| states(run).next().is_some());
        if shared.any(|one| one.as_bytes() == name.as_bytes()) {
            return Some(true);
        }
        let mut all = self.runs.own.iter().flat_map(|run| states(run)).flat_map(|state| &state.host_namespaces);
        let is_unknown = all.any(|one| one.as_bytes() == b"unknown");
        (known && !is_unknown).then_some(false)
    }

    fn knows_mounts(&self) -> bool {
        self.runs
            .own
            .iter()
            .all(|run| run.container.settings.as_ref().is_some_and(|settings| settings.mounts.is_some()))
    }

    fn block_device_now(&self) -> EscapeState {
        let mut used = self.hardening.devices.needed.iter();
        if used.any(|one| one.file_type == event::FileType::BlockDevice)
            || self.hardening.unprivileged.now == Some(false)
        {
            return EscapeState::Open;
        }
        let gives_none = self.runs.own.iter().all(|run| {
            let given = run.container.settings.as_ref().and_then(|settings| settings.devices.as_ref());
            given.is_some_and(Vec::is_empty)
        });
        state(gives_none.then_some(false))
    }
}

/// Whether a program can make a user namespace under the recommended filter.
fn makes_user_namespaces(seccomp: &Seccomp) -> bool {
    ["clone", "clone3", "unshare"].into_iter().any(|call| seccomp.allows(call))
}

/// Whether a program can make a socket of this family under the recommended filter.
fn makes_sockets(seccomp: &Seccomp, _family: u32) -> bool {
    ["socket", "socketcall"].into_iter().any(|call| seccomp.allows(call))
}

/// Whether a condition is a mask with the flag of a user namespace.
fn masks_new_user(condition: &str) -> bool {
    let mask = condition.split_once('&').and_then(|(_, mask)| mask.parse::<u64>().ok());
    mask.is_some_and(|mask| mask & CLONE_NEWUSER != 0)
}

/// Whether a condition on the first argument holds for this value; one that is not understood may.
fn holds(condition: &str, value: u64) -> bool {
    let Some(comparison) = condition.strip_prefix('0') else { return true };
    let split = comparison.find(|c: char| c.is_ascii_digit()).unwrap_or(comparison.len());
    let (operator, number) = comparison.split_at(split);
    let Ok(number) = number.parse::<u64>() else { return true };
    match operator {
        "<" => value < number,
        "<=" => value <= number,
        "==" => value == number,
        ">=" => value >= number,
        ">" => value > number,
        "!=" => value != number,
        _ => true,
    }
}

fn state(is_open: Option<bool>) -> EscapeState {
    match is_open {
        Some(true) => EscapeState::Open,
        Some(false) => EscapeState::Closed,
        None => EscapeState::Unknown,
    }
}

/// Whether one of them is so.
fn any(all: &[Option<bool>]) -> Option<bool> {
    if all.contains(&Some(true)) {
        return Some(true);
    }
    if all.contains(&None) { None } else { Some(false) }
}

/// Whether both are so.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_the_default_profile_are_understood() {
        assert!(
            holds("0<38", 16) && !holds("0<38", 40) && holds("0==39", 39) && !holds("0>40", 40) && holds("0>40", 41)
        );
        assert!(masks_new_user("0&2114060288") && !masks_new_user("0&1") && !masks_new_user("0==8"));
        assert!(holds("1==2", 5), "another argument");
    }

    #[test]
    fn what_is_not_known_is_open_or_closed_only_where_it_does_not_matter() {
        assert_eq!(any(&[None, Some(true)]), Some(true));
        assert_eq!((any(&[None, Some(false)]), any(&[Some(false)])), (None, Some(false)));
        assert_eq!((both(None, Some(false)), both(None, Some(true))), (Some(false), None));
    }
}
