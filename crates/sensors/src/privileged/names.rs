//! What a call was passed, in words: flags, requests, options, commands by the kernel's names.
//!
//! Numbers without a name are numbers here, too.

use event::{PrivilegedOperation, Text};

use super::tables::{AMBIENT, BPF, CLOCK, CLONE, ELEVATION, KEYCTL, MEMFD, MEMORY, MOUNT, PERF, PRCTL, PTRACE, REBOOT, REGISTER, REQUEST, RING, SECCOMP, SECCOMP_FLAGS, SIGNAL, UNMOUNT};

/// Both details of an operation, in words.
pub(super) fn details(operation: PrivilegedOperation, [first, second]: [u32; 2]) -> Vec<Text> {
    use PrivilegedOperation as Op;
    match operation {
        Op::Mount => flags(MOUNT, first),
        Op::Umount2 => flags(UNMOUNT, first),
        Op::Unshare | Op::Setns | Op::Clone | Op::Clone3 => flags(CLONE, first),
        Op::Ptrace => vec![number(PTRACE, first)],
        Op::Kill
        | Op::Tkill
        | Op::Tgkill
        | Op::RtSigqueueinfo
        | Op::RtTgsigqueueinfo
        | Op::PidfdSendSignal => vec![number(SIGNAL, first)],
        Op::Bpf => vec![number(BPF, first)],
        Op::PerfEventOpen => vec![number(PERF, first)],
        Op::Keyctl => vec![number(KEYCTL, first)],
        Op::Prctl => prctl(first, second),
        Op::Seccomp => {
            let mut words = vec![number(SECCOMP, first)];
            words.extend(flags(SECCOMP_FLAGS, second));
            words
        }
        Op::Reboot => vec![number(REBOOT, first)],
        Op::ClockSettime | Op::ClockAdjtime => vec![number(CLOCK, first)],
        Op::IoUringSetup => flags(RING, first),
        Op::IoUringRegister => vec![number(REGISTER, first)],
        Op::IoUringRequest => {
            let name = REQUEST.get(first as usize);
            vec![name.map_or_else(|| first.to_string().into(), |name| (*name).into())]
        }
        Op::MemfdCreate => flags(MEMFD, first),
        Op::Mmap | Op::Mprotect => flags(MEMORY, first),
        Op::ExecElevated => flags(ELEVATION, first),
        Op::Setuid | Op::Setgid | Op::Setfsuid | Op::Setfsgid => vec![id(first)],
        // Of the three that setresuid(2) takes, the real and the effective one.
        Op::Setreuid | Op::Setregid | Op::Setresuid | Op::Setresgid => vec![id(first), id(second)],
        Op::Setgroups => vec![first.to_string().into()],
        Op::Syslog | Op::Iopl => vec![first.to_string().into()],
        Op::Fsmount
        | Op::MoveMount
        | Op::OpenTree
        | Op::MountSetattr
        | Op::KexecLoad
        | Op::KexecFileLoad
        | Op::Swapon
        | Op::Quotactl
        | Op::QuotactlFd
        | Op::Adjtimex
        | Op::FanotifyInit
        | Op::Userfaultfd => flags(&[], first),
        _ => Vec::new(),
    }
}

fn prctl(option: u32, argument: u32) -> Vec<Text> {
    let mut words = vec![number(PRCTL, option)];
    words.extend(match words[0].as_bytes() {
        b"PR_CAPBSET_DROP" => {
            let capability = u8::try_from(argument).ok().and_then(event::Capability::new);
            let name = capability.map(|capability| capability.name().into_owned());
            Some(name.unwrap_or_else(|| argument.to_string()).into())
        }
        b"PR_CAP_AMBIENT" => Some(number(AMBIENT, argument)),
        b"PR_SET_SECUREBITS" => Some(format!("0x{argument:x}").into()),
        _ => Some(argument.to_string().into()),
    });
    words
}

/// An id as it was passed: all ones leave it as it is.
fn id(id: u32) -> Text {
    if id == u32::MAX { "-1".into() } else { id.to_string().into() }
}

fn number(names: &[(u32, &str)], number: u32) -> Text {
    let name = names.iter().find(|(known, _)| *known == number);
    name.map_or_else(|| number.to_string().into(), |(_, name)| (*name).into())
}

/// Each flag that is set; those without a name as one number.
fn flags(names: &[(u32, &str)], flags: u32) -> Vec<Text> {
    let set = names.iter().filter(|(flag, _)| flags & flag != 0);
    let mut words: Vec<Text> = set.clone().map(|(_, name)| Text::from(*name)).collect();
    let unnamed = set.fold(flags, |rest, (flag, _)| rest & !flag);
    if unnamed != 0 {
        words.push(format!("0x{unnamed:x}").into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(operation: PrivilegedOperation, details: [u32; 2]) -> Vec<String> {
        super::details(operation, details).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_and_flags_without_a_name_are_told_as_they_are() {
        assert_eq!(words(PrivilegedOperation::Unshare, [0x4002_0001, 0]), ["CLONE_NEWNS", "CLONE_NEWNET", "0x1"]);
        assert_eq!(words(PrivilegedOperation::Ptrace, [16, 0]), ["PTRACE_ATTACH"]);
        assert_eq!(words(PrivilegedOperation::Ptrace, [9999, 0]), ["9999"]);
        assert_eq!(words(PrivilegedOperation::Prctl, [24, 21]), ["PR_CAPBSET_DROP", "CAP_SYS_ADMIN"]);
        assert_eq!(words(PrivilegedOperation::Prctl, [24, 999]), ["PR_CAPBSET_DROP", "999"]);
        assert_eq!(words(PrivilegedOperation::Setresuid, [u32::MAX, 5]), ["-1", "5"]);
    }
}
