//! Privileged operations, and with which rights programs run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Text, decimal};
use crate::{CapabilitySet, Errno, ProcessId, RunId};

/// A list of operations: each variant, what it is, and its name.
macro_rules! operations {
    ($($(#[$about:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What was done, or tried: a system call under its own name, or what is seen elsewhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum PrivilegedOperation {
            $($(#[$about])* #[serde(rename = $text)] $name,)*
        }

        impl PrivilegedOperation {
            /// All of them, in the order in which the kernel side numbers them, from 1 on.
            pub const ALL: &'static [PrivilegedOperation] = &[$(PrivilegedOperation::$name,)*];

            /// The name, as in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(PrivilegedOperation::$name => $text,)*
                }
            }
        }
    };
}

operations! {
    /// mount(2).
    Mount = "mount",
    /// The old umount(2), without flags.
    Umount = "umount",
    /// umount(2).
    Umount2 = "umount2",
    /// pivot_root(2).
    PivotRoot = "pivot_root",
    /// chroot(2).
    Chroot = "chroot",
    /// fsopen(2).
    Fsopen = "fsopen",
    /// fsmount(2).
    Fsmount = "fsmount",
    /// move_mount(2).
    MoveMount = "move_mount",
    /// open_tree(2).
    OpenTree = "open_tree",
    /// mount_setattr(2).
    MountSetattr = "mount_setattr",
    /// open_by_handle_at(2).
    OpenByHandleAt = "open_by_handle_at",
    /// unshare(2).
    Unshare = "unshare",
    /// setns(2).
    Setns = "setns",
    /// clone(2) with a new namespace.
    Clone = "clone",
    /// clone3(2) with a new namespace.
    Clone3 = "clone3",
    /// ptrace(2).
    Ptrace = "ptrace",
    /// process_vm_readv(2).
    ProcessVmReadv = "process_vm_readv",
    /// process_vm_writev(2).
    ProcessVmWritev = "process_vm_writev",
    /// pidfd_getfd(2).
    PidfdGetfd = "pidfd_getfd",
    /// kcmp(2).
    Kcmp = "kcmp",
    /// kill(2), to somebody outside of the container.
    Kill = "kill",
    /// tkill(2), to somebody outside of the container.
    Tkill = "tkill",
    /// tgkill(2), to somebody outside of the container.
    Tgkill = "tgkill",
    /// rt_sigqueueinfo(2), to somebody outside of the container.
    RtSigqueueinfo = "rt_sigqueueinfo",
    /// rt_tgsigqueueinfo(2), to somebody outside of the container.
    RtTgsigqueueinfo = "rt_tgsigqueueinfo",
    /// pidfd_send_signal(2), to somebody outside of the container.
    PidfdSendSignal = "pidfd_send_signal",
    /// init_module(2).
    InitModule = "init_module",
    /// finit_module(2).
    FinitModule = "finit_module",
    /// delete_module(2).
    DeleteModule = "delete_module",
    /// kexec_load(2).
    KexecLoad = "kexec_load",
    /// kexec_file_load(2).
    KexecFileLoad = "kexec_file_load",
    /// reboot(2).
    Reboot = "reboot",
    /// bpf(2).
    Bpf = "bpf",
    /// perf_event_open(2).
    PerfEventOpen = "perf_event_open",
    /// keyctl(2).
    Keyctl = "keyctl",
    /// add_key(2).
    AddKey = "add_key",
    /// request_key(2).
    RequestKey = "request_key",
    /// setuid(2).
    Setuid = "setuid",
    /// setgid(2).
    Setgid = "setgid",
    /// setreuid(2).
    Setreuid = "setreuid",
    /// setregid(2).
    Setregid = "setregid",
    /// setresuid(2).
    Setresuid = "setresuid",
    /// setresgid(2).
    Setresgid = "setresgid",
    /// setfsuid(2).
    Setfsuid = "setfsuid",
    /// setfsgid(2).
    Setfsgid = "setfsgid",
    /// setgroups(2).
    Setgroups = "setgroups",
    /// capset(2).
    Capset = "capset",
    /// prctl(2), with an option that concerns rights.
    Prctl = "prctl",
    /// seccomp(2).
    Seccomp = "seccomp",
    /// landlock_restrict_self(2).
    LandlockRestrictSelf = "landlock_restrict_self",
    /// settimeofday(2).
    Settimeofday = "settimeofday",
    /// clock_settime(2).
    ClockSettime = "clock_settime",
    /// clock_adjtime(2) that changes something.
    ClockAdjtime = "clock_adjtime",
    /// adjtimex(2) that changes something.
    Adjtimex = "adjtimex",
    /// stime(2).
    Stime = "stime",
    /// swapon(2).
    Swapon = "swapon",
    /// swapoff(2).
    Swapoff = "swapoff",
    /// quotactl(2).
    Quotactl = "quotactl",
    /// quotactl_fd(2).
    QuotactlFd = "quotactl_fd",
    /// acct(2).
    Acct = "acct",
    /// syslog(2).
    Syslog = "syslog",
    /// sethostname(2).
    Sethostname = "sethostname",
    /// setdomainname(2).
    Setdomainname = "setdomainname",
    /// iopl(2).
    Iopl = "iopl",
    /// ioperm(2).
    Ioperm = "ioperm",
    /// fanotify_init(2).
    FanotifyInit = "fanotify_init",
    /// io_uring_setup(2).
    IoUringSetup = "io_uring_setup",
    /// io_uring_register(2).
    IoUringRegister = "io_uring_register",
    /// userfaultfd(2).
    Userfaultfd = "userfaultfd",
    /// memfd_create(2).
    MemfdCreate = "memfd_create",
    /// mmap(2) of memory that is executable and also writable or anonymous.
    Mmap = "mmap",
    /// mprotect(2) or pkey_mprotect(2) that makes memory executable which is also writable or anonymous.
    Mprotect = "mprotect",
    /// A program was started that has more rights than whoever started it.
    ExecElevated = "exec-elevated",
    /// A program was started out of a memfd.
    ExecMemfd = "exec-memfd",
    /// Something was asked for through io_uring; what became of it is not known.
    IoUringRequest = "io_uring-request",
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Allowed,
    /// The kernel refused: EPERM or EACCES. That nothing but a lack of rights gives these is not said.
    Denied,
    /// It failed for another reason.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 3] = [Outcome::Allowed, Outcome::Denied, Outcome::Failed];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        }
    }

    /// What an errno says, and that there is none.
    pub fn of(errno: Option<Errno>) -> Outcome {
        match errno {
            None => Outcome::Allowed,
            Some(Errno(1 | 13)) => Outcome::Denied,
            Some(_) => Outcome::Failed,
        }
    }
}

/// User and group ids of a task, as the first user namespace numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Ids {
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Saved user id.
    pub suid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Saved group id.
    pub sgid: u32,
}

/// A privileged operation: the first of all that are alike, and how many they have been until now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrivilegedUse {
    /// What was done, or tried.
    pub operation: PrivilegedOperation,
    /// What became of it.
    pub outcome: Outcome,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// Flags, requests, options, commands and numbers that were passed, by the kernel's names for them.
    #[schemars(example = &"CLONE_NEWNET")]
    pub details: Vec<Text>,
    /// What it was done to, as it was passed: the mount point, new root, swap file or module; a host name; the name of a
    /// memfd; of a key its description. At most 255 bytes.
    pub object: Text,
    /// What it was done with, as it was passed: what is mounted, or where the old root goes.
    pub source: Text,
    /// The type of the file system or key, as it was passed.
    pub type_name: Text,
    /// Whether one of these three is cut off, or could not be read.
    pub truncated: bool,
    /// The ids before, of calls that change them and of elevated programs; none if they are not known.
    pub before: Option<Ids>,
    /// The ids after, of such a call that succeeded.
    pub after: Option<Ids>,
    /// The process that it was done to.
    pub target: Option<ProcessId>,
    /// The name of that process.
    pub target_comm: Text,
    /// The container of that process; none if it is in none.
    pub target_run: Option<RunId>,
    /// Whether it stands for all those of this operation and outcome that are beyond what is kept apart.
    pub others: bool,
    /// How many there were.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
}

/// Whose user namespace a task's credentials are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UserNamespace {
    /// The first one of the machine.
    Initial,
    /// The one that the container's workload was started in, if that is not the first; before it was, any but the first.
    Container,
    /// One that was made inside the container.
    Workload,
}

impl UserNamespace {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            UserNamespace::Initial => "initial",
            UserNamespace::Container => "container",
            UserNamespace::Workload => "workload",
        }
    }
}

/// Whether seccomp filters a task's system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompMode {
    /// It does not.
    Disabled,
    /// Only read, write, exit and sigreturn are let through.
    Strict,
    /// By filters.
    Filter,
}

impl SeccompMode {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            SeccompMode::Disabled => "disabled",
            SeccompMode::Strict => "strict",
            SeccompMode::Filter => "filter",
        }
    }
}

/// With which rights tasks ran: the first time that such a state was seen, and how often until now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confinement {
    /// Whether seccomp filters their system calls.
    pub seccomp: SeccompMode,
    /// Whether programs that they start gain no rights.
    pub no_new_privileges: bool,
    /// Whose user namespace their capabilities count in.
    pub user_namespace: UserNamespace,
    /// Effective capabilities.
    pub effective: CapabilitySet,
    /// Permitted capabilities.
    pub permitted: CapabilitySet,
    /// Inheritable capabilities.
    pub inheritable: CapabilitySet,
    /// The bounding set.
    pub bounding: CapabilitySet,
    /// Ambient capabilities.
    pub ambient: CapabilitySet,
    /// Their ids.
    pub ids: Ids,
    /// The namespaces that they share with the host: `cgroup`, `ipc`, `mount`, `net`, `pid`, `uts`; or `unknown`.
    #[serde(default)]
    #[schemars(example = &"net")]
    pub host_namespaces: Vec<Text>,
    /// Whether it stands for all states beyond those that are kept apart: then nothing else here means anything.
    pub others: bool,
    /// How often it was seen: when a program started, and after a call that changed it.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eperm_and_eacces_are_denials_and_any_other_errno_is_a_failure() {
        let outcomes = [None, Some(1), Some(13), Some(22), Some(38)].map(|errno| Outcome::of(errno.map(Errno)));

        assert_eq!(outcomes, [Outcome::Allowed, Outcome::Denied, Outcome::Denied, Outcome::Failed, Outcome::Failed]);
    }
}
