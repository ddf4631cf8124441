//! The controls without which a proof would be worth nothing. Pure.

use std::cmp::Reverse;

use event::{Arch, Capability, Phase, SyscallNames};
use recommend::{AllowReason, AllowedCall, Recommendation};

/// No more calls than these are taken away, one after another, until one is missed.
const MOST_TAKEN_AWAY: usize = 8;

/// What nearly every workload needs for what it is there for: these are taken away first.
const TELLING: [&str; 16] = [
    "accept4", "accept", "sendto", "sendmsg", "writev", "write", "recvfrom", "recvmsg", "openat", "open", "read",
    "unlink", "clone", "fork", "mmap", "brk",
];

/// What an intruder tries: ways to other namespaces, to the kernel's memory and code, to other processes, and to what the
/// kernel keeps for the whole machine.
const DANGEROUS: [&str; 24] = [
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "fsopen",
    "init_module",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "mount",
    "move_mount",
    "open_by_handle_at",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "setns",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
];

/// Calls that the workload made, the most telling first; without those that it may well do without.
pub(crate) fn needed(recommendation: &Recommendation) -> Vec<String> {
    let made = |call: &AllowedCall| {
        call.reasons.iter().find_map(|reason| match reason {
            AllowReason::Observed { phase: Phase::Main, count, nested: false, .. } => Some(*count),
            _ => None,
        })
    };
    let is_only_its_own = |call: &AllowedCall| {
        call.reasons.iter().all(|reason| matches!(reason, AllowReason::Observed { .. } | AllowReason::Denied { .. }))
    };
    let rank = |name: &str| TELLING.iter().position(|telling| *telling == name).unwrap_or(TELLING.len());
    let mut calls: Vec<(bool, usize, Reverse<u64>, &str)> = recommendation
        .seccomp
        .allowed
        .iter()
        .filter_map(|call| {
            let count = made(call)?;
            // Without what the runtime needs, too, it fails as surely, but that says less.
            Some((!is_only_its_own(call), rank(&call.name), Reverse(count), call.name.as_str()))
        })
        .collect();
    calls.sort();
    calls.into_iter().take(MOST_TAKEN_AWAY).map(|(.., name)| name.to_owned()).collect()
}

/// The same recommendation without this call.
pub(crate) fn without_call(recommendation: &Recommendation, name: &str) -> Recommendation {
    let mut less = recommendation.clone();
    less.seccomp.allowed.retain(|call| call.name != name);
    less
}

/// The same recommendation without this capability.
pub(crate) fn without_capability(recommendation: &Recommendation, capability: Capability) -> Recommendation {
    let mut less = recommendation.clone();
    less.capabilities.add.retain(|need| need.capability != capability);
    less
}

/// Dangerous calls that there are on this machine: those that the recommendation does not allow, with their numbers, and
/// those that it does.
pub(crate) fn dangerous(recommendation: &Recommendation) -> (Vec<(&'static str, u32)>, Vec<&'static str>) {
    let number = |name: &str| SyscallNames::builtin().number(Arch::NATIVE, name);
    let known = DANGEROUS.into_iter().filter_map(|name| Some((name, number(name)?)));
    let (allowed, refused): (Vec<_>, Vec<_>) = known.partition(|(name, _)| recommendation.seccomp.allows(name));
    (refused, allowed.into_iter().map(|(name, _)| name).collect())
}
