//! What was done. A new kind of fact is one more variant here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::text::{Text, decimal};
use crate::{
    Action, Capability, Confinement, Device, DirectoryUsed, DnsMessage, ExecId, FileUsed, FlowUsed, ImageFacts,
    ListenUsed, MountUsed, NameUsed, PeerFound, PrivilegedUse, ProcessId, SocketUsed, Syscall, TlsHello,
};

/// One line per kind of fact: its name in Rust, what is known of it, and its name in files.
macro_rules! payloads {
    ($($(#[$about:meta])* $name:ident($fact:ty) = $kind:literal),* $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind")]
        #[non_exhaustive] // so that one more changes nothing outside of this crate
        pub enum Payload {
            $($(#[$about])* #[serde(rename = $kind)] $name($fact),)*
        }

        impl Payload {
            /// The names of all kinds, in the order of this list.
            pub const KINDS: &'static [&'static str] = &[$($kind,)*];

            /// The name of the kind, as in `--events` files.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Payload::$name(_) => $kind,)*
                }
            }

            /// The place of the kind in [`Payload::KINDS`].
            pub fn kind_number(&self) -> usize {
                enum Place {
                    $($name,)*
                }
                (match self {
                    $(Payload::$name(_) => Place::$name,)*
                }) as usize
            }

            /// Writes what is known of the fact, without its kind.
            pub fn serialize_fact<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Payload::$name(fact) => fact.serialize(serializer),)*
                }
            }
        }
    };
}

payloads! {
    /// A cgroup or namespace that is, or may become, a container.
    ContainerCreated(ContainerCreated) = "container_created",
    /// The workload's first program is about to run: `main` begins.
    ContainerStarted(ContainerStarted) = "container_started",
    /// The last task is gone and the cgroup was removed.
    ContainerEnded(ContainerEnded) = "container_ended",
    /// A task came in from outside.
    TaskEntered(TaskEntered) = "task_entered",
    /// A process or thread was created.
    Fork(Fork) = "fork",
    /// A process replaced its program.
    Exec(Exec) = "exec",
    /// A thread ended; with the last one, its process.
    Exit(Exit) = "exit",
    /// A path was used for the first time in this phase.
    File(FileUsed) = "file",
    /// Something was done to a name, or an open failed, for the first time in this phase.
    Name(NameUsed) = "name",
    /// A directory whose files are counted together.
    Directory(DirectoryUsed) = "directory",
    /// A mount was used for the first time in this phase.
    Mount(MountUsed) = "mount",
    /// A system call was made (only with `--trace-syscalls`).
    Syscall(SyscallMade) = "syscall",
    /// The kernel checked a capability, for the first time in this way.
    Capability(CapabilityCheck) = "capability",
    /// A privileged operation was done, or tried, for the first time in this way.
    Privileged(PrivilegedUse) = "privileged",
    /// A task ran with such rights for the first time.
    Confinement(Confinement) = "confinement",
    /// A socket was made, or was to be, for the first time in this way.
    Socket(SocketUsed) = "socket",
    /// The container can be reached here.
    Listen(ListenUsed) = "listen",
    /// Something went to or came from a peer, or was to, for the first time over this port.
    Flow(FlowUsed) = "flow",
    /// The other end of a flow is in a container, too.
    Peer(PeerFound) = "peer",
    /// A name was asked for, or the answer came.
    Dns(DnsMessage) = "dns",
    /// A TLS connection was begun.
    Tls(TlsHello) = "tls",
    /// A program was started in a session with a terminal.
    Terminal(TerminalProgram) = "terminal",
    /// Something was typed or shown on a terminal (only with `--terminal`).
    TerminalText(TerminalText) = "terminal_text",
    /// A program is about to begin (only with rules that ask for it).
    Image(ImageFacts) = "image",
    /// A system call was made that rules ask for.
    Action(Action) = "action",
}

/// A cgroup or namespace that is, or may become, a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerCreated {
    /// The cgroup's id in the identity hierarchy; 0 if the container has none of its own.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub cgroup_id: u64,
    /// The slot of the container that the new one was made inside of; 0 if none.
    pub parent_slot: u32,
    /// The cgroup's path below the root of its hierarchy.
    pub path: Text,
}

/// The workload's first program is about to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerStarted {
    /// The mount namespace's number, as `/proc/PID/ns/mnt` shows it.
    pub mount_namespace: u32,
    /// The pid namespace's number.
    pub pid_namespace: u32,
    /// The user namespace's number.
    pub user_namespace: u32,
}

/// The last task is gone and the cgroup was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerEnded {}

/// A task came in from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEntered {
    /// The task's own process, and what it runs (the event's task is the one that moved it).
    #[serde(flatten)]
    pub image: ExecId,
    /// Whether all threads of the process came.
    pub whole_process: bool,
}

/// A process or thread was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fork {
    /// The process of the child: with a new thread, that of its parent.
    pub child: ProcessId,
    /// The child's thread id in the first pid namespace.
    pub child_tid: u32,
    /// The child's thread id in its own pid namespace.
    pub child_tid_inside: u32,
    /// The process that is its parent from now on (differs from the event's with `CLONE_PARENT`).
    pub parent: ProcessId,
}

/// A process replaced its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exec {
    /// The executable's path, resolved by the kernel, seen from the task's own root; of a script: its interpreter's.
    #[schemars(example = &"/bin/sh")]
    pub executable: Text,
    /// The path that the caller passed.
    #[schemars(example = &"./start.sh")]
    pub argument: Text,
    /// The interpreter that the script named, as it named it; empty if it is no script.
    #[schemars(example = &"/bin/sh")]
    pub interpreter: Text,
    /// The working directory, seen from the task's own root.
    #[schemars(example = &"/tmp")]
    pub cwd: Text,
    /// The arguments, the program's own name first.
    #[schemars(example = &"-c")]
    pub argv: Vec<Text>,
    /// Whether `argv` was cut at the limit.
    pub argv_truncated: bool,
    /// Whether a path was cut: its tail is what is here.
    pub path_truncated: bool,
    /// The parent process.
    pub parent: ProcessId,
    /// The pid in the task's own pid namespace.
    pub pid_inside: u32,
    /// Real user id, as the first user namespace numbers it.
    pub uid: u32,
    /// Real group id, as the first user namespace numbers it.
    pub gid: u32,
    /// Real user id, as the task's own user namespace numbers it; none if it is not mapped there.
    pub uid_inside: Option<u32>,
    /// Real group id, as the task's own user namespace numbers it; none if it is not mapped there.
    pub gid_inside: Option<u32>,
    /// The user namespace's number, as `/proc/PID/ns/user` shows it.
    pub user_namespace: u32,
    /// The pid namespace's number.
    pub pid_namespace: u32,
    /// The mount namespace's number.
    pub mount_namespace: u32,
}

/// A program was started in a session with a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminalProgram {
    /// The terminal: a major number of 136 to 143 is that of `/dev/pts/N`, N being the minor number.
    pub device: Device,
    /// The pid of the session's leader in the first pid namespace; 0 if it has ended.
    pub session: u32,
}

/// A program read from a terminal what was typed, or wrote what is shown there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminalText {
    /// The terminal: a major number of 136 to 143 is that of `/dev/pts/N`, N being the minor number.
    pub device: Device,
    /// The pid of the session's leader in the first pid namespace; 0 if it has ended, or has another terminal.
    pub session: u32,
    /// Whether it was typed; else it was shown.
    pub typed: bool,
    /// Whether the terminal did not show what was typed: then no text of it is kept.
    pub hidden: bool,
    /// How much it was.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub bytes: u64,
    /// As much of it as is kept. It goes into reports only, where what looks like a secret has been taken out.
    #[serde(skip)]
    pub text: Text,
}

/// A thread ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// The exit status, 0 to 255; without meaning if a signal ended it.
    pub status: u8,
    /// The signal that ended it; 0 if none.
    pub signal: u8,
    /// Whether it was the last thread, so that the process is gone.
    pub last_thread: bool,
    /// From the thread's start to its end, in nanoseconds.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub run_time_ns: u64,
}

/// A system call that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyscallMade {
    /// Which call.
    #[serde(flatten)]
    pub syscall: Syscall,
    /// Its six argument registers, whether the call takes them or not, in hexadecimal.
    #[serde(with = "hexadecimal")]
    #[schemars(with = "[String; 6]")]
    pub args: [u64; 6],
    /// What it returned, -4095 to -1 being a negative errno; none if it ended the thread instead.
    pub result: Option<i64>,
    /// From its entry to its return or to the thread's end, in nanoseconds.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub duration_ns: u64,
}

/// The kernel checked whether a task has a capability: the first check of all that are alike in everything but the system
/// call, and how many they have been until now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityCheck {
    /// The capability.
    pub capability: Capability,
    /// What the kernel answered.
    pub verdict: Verdict,
    /// Whether it would have a denial audited.
    pub audit: CapabilityAudit,
    /// The user namespace that the capability was asked for.
    pub namespace: CapabilityNamespace,
    /// Whose credentials were looked at.
    pub credentials: Credentials,
    /// The system call that the first check was in; none if it was in none, as in a page fault, or if that is not known.
    pub syscall: Option<Syscall>,
    /// How many checks there were.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
}

/// What the kernel answered when it checked a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The task has it. That it could not have done without is not said.
    Used,
    /// It has not.
    Denied,
}

impl Verdict {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Used => "used",
            Verdict::Denied => "denied",
        }
    }
}

/// Whether the kernel would have the denial of a capability audited (it asks without `CAP_OPT_NOAUDIT`). Where it would
/// not, the answer only decides between two ways of going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapabilityAudit {
    /// It would.
    Yes,
    /// It would not.
    No,
    /// This kernel did not let that be seen.
    Unknown,
}

impl CapabilityAudit {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            CapabilityAudit::Yes => "yes",
            CapabilityAudit::No => "no",
            CapabilityAudit::Unknown => "unknown",
        }
    }
}

/// The user namespace that a capability was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapabilityNamespace {
    /// The first one of the machine.
    Initial,
    /// The one that the container's workload was started in, if that is not the first; before it was, any but the first.
    Container,
    /// One that was made inside the container: whoever made it has all capabilities there.
    Workload,
    /// None of these.
    Other,
}

impl CapabilityNamespace {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            CapabilityNamespace::Initial => "initial",
            CapabilityNamespace::Container => "container",
            CapabilityNamespace::Workload => "workload",
            CapabilityNamespace::Other => "other",
        }
    }
}

/// Whose credentials the kernel looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// The task's, or a copy of them.
    Own,
    /// Others: of whoever mounted an overlay file system, of whoever opened a file, of another process.
    Other,
}

impl Credentials {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Credentials::Own => "own",
            Credentials::Other => "other",
        }
    }
}

pub(crate) mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(args: &[u64; 6], serializer: S) -> Result<S::Ok, S::Error> {
        args.map(|arg| format!("0x{arg:x}")).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 6], D::Error> {
        let texts = <[String; 6]>::deserialize(deserializer)?;
        let mut args = [0; 6];
        for (arg, text) in args.iter_mut().zip(&texts) {
            *arg = text
                .strip_prefix("0x")
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is not a hexadecimal number")))?;
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arch;

    #[test]
    fn arguments_are_read_from_hexadecimal_digits_alone() {
        let made = SyscallMade {
            syscall: Syscall { arch: Arch::X86_64, number: 0 },
            args: [0xff, u64::MAX, 0, 0, 0, 0],
            result: Some(-1),
            duration_ns: 5,
        };
        let json = serde_json::to_string(&made).expect("json");

        assert_eq!(serde_json::from_str::<SyscallMade>(&json).expect("its own form"), made);
        for wrong in ["0x+ff", "0x-ff", "ff", "0x", "0x1ffffffffffffffff"] {
            assert!(
                serde_json::from_str::<SyscallMade>(&json.replace("0xff\"", &format!("{wrong}\""))).is_err(),
                "{wrong}"
            );
        }
    }
}
