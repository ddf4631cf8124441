//! The kinds of deeds that guards deny, and the programs of each.

use std::fmt;

use super::Step;
use crate::guard_bpf::types::deed;

/// A kind of deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deed {
    /// Running a program.
    Exec,
    /// Reading a file, writing it, or changing what lies at a path.
    File,
    /// Connecting to an address, or sending to it.
    Connect,
    /// Listening on a port.
    Listen,
    /// Using a capability.
    Capability,
    /// Changing mounts.
    Mount,
    /// Tracing another process, or reading its memory.
    Ptrace,
    /// Loading a module into the kernel.
    Module,
    /// Writing what is not listed. What is denied so is told as [`Deed::File`].
    Write,
}

impl Deed {
    /// All of them.
    pub const ALL: [Deed; 9] = [
        Deed::Exec,
        Deed::File,
        Deed::Connect,
        Deed::Listen,
        Deed::Capability,
        Deed::Mount,
        Deed::Ptrace,
        Deed::Module,
        Deed::Write,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Deed::Exec => "exec",
            Deed::File => "file",
            Deed::Connect => "connect",
            Deed::Listen => "listen",
            Deed::Capability => "capability",
            Deed::Mount => "mount",
            Deed::Ptrace => "ptrace",
            Deed::Module => "module",
            Deed::Write => "write",
        }
    }

    /// What it is, for people.
    pub fn description(self) -> &'static str {
        match self {
            Deed::Exec => "running a program",
            Deed::File => "reading or writing a file",
            Deed::Connect => "connecting",
            Deed::Listen => "listening",
            Deed::Capability => "using a capability",
            Deed::Mount => "mounting",
            Deed::Ptrace => "tracing a process",
            Deed::Module => "loading a module",
            Deed::Write => "writing what is not listed",
        }
    }

    pub(super) fn kernel(self) -> deed {
        match self {
            Deed::Exec => deed::DEED_EXEC,
            Deed::File => deed::DEED_FILE,
            Deed::Connect => deed::DEED_CONNECT,
            Deed::Listen => deed::DEED_LISTEN,
            Deed::Capability => deed::DEED_CAPABILITY,
            Deed::Mount => deed::DEED_MOUNT,
            Deed::Ptrace => deed::DEED_PTRACE,
            Deed::Module => deed::DEED_MODULE,
            Deed::Write => deed::DEED_WRITE,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Deed> {
        Deed::ALL.into_iter().find(|known| known.kernel().0 == u32::from(number))
    }

    pub(super) fn bit(self) -> u32 {
        1 << self.kernel().0
    }

    /// The programs that deny it, beside [`SHARED`] ones; none at a step that cannot deny it.
    pub(super) fn programs(self, step: Step) -> Option<&'static [&'static str]> {
        Some(match (self, step) {
            // What is denied is judged before what is not listed.
            (Deed::Exec, Step::Lsm) => &["lsm_program", "lsm_listed", "lsm_mapping", "on_exec_guard", "on_exec_listed"],
            (Deed::Exec, Step::FmodRet) => {
                &["result_of_program", "result_of_listed", "result_of_mapping", "on_exec_guard", "on_exec_listed"]
            }
            (Deed::Exec, Step::Kill) => &["on_exec_guard", "on_exec_listed"],
            (_, Step::Kill) => return None,
            (Deed::File, Step::Lsm) => &[
                "open_lsm",
                "cut_lsm",
                "mode_lsm",
                "make_lsm",
                "make_folder_lsm",
                "make_symlink_lsm",
                "remove_lsm",
                "remove_folder_lsm",
                "link_lsm",
                "move_lsm",
                "owner_lsm",
            ],
            (Deed::File, Step::FmodRet) => &[
                "open_result",
                "cut_result",
                "mode_result",
                "make_result",
                "make_folder_result",
                "make_symlink_result",
                "remove_result",
                "remove_folder_result",
                "link_result",
                "move_result",
                "owner_result",
            ],
            (Deed::Connect, Step::Lsm) => &["connect_lsm", "sendmsg_lsm"],
            (Deed::Connect, Step::FmodRet) => &["connect_result", "sendmsg_result"],
            (Deed::Listen, Step::Lsm) => &["listen_lsm", "bind_lsm"],
            (Deed::Listen, Step::FmodRet) => &["listen_result", "bind_result"],
            (Deed::Capability, Step::Lsm) => &["capable_lsm"],
            (Deed::Capability, Step::FmodRet) => &["capable_result"],
            (Deed::Mount, Step::Lsm) => &["mount_lsm", "unmount_lsm", "move_mount_lsm", "pivot_lsm"],
            (Deed::Mount, Step::FmodRet) => &["mount_result", "unmount_result", "move_mount_result", "pivot_result"],
            (Deed::Ptrace, Step::Lsm) => &["ptrace_lsm", "traceme_lsm"],
            (Deed::Ptrace, Step::FmodRet) => &["ptrace_result", "traceme_result"],
            (Deed::Module, Step::Lsm) => &["load_data_lsm", "read_file_lsm", "request_lsm"],
            (Deed::Module, Step::FmodRet) => &["load_data_result", "read_file_result", "request_result"],
            (Deed::Write, Step::Lsm) => &[
                "written_open_lsm",
                "written_cut_lsm",
                "written_mode_lsm",
                "written_make_lsm",
                "written_make_folder_lsm",
                "written_make_symlink_lsm",
                "written_remove_lsm",
                "written_remove_folder_lsm",
                "written_link_lsm",
                "written_move_lsm",
                "written_owner_lsm",
            ],
            (Deed::Write, Step::FmodRet) => &[
                "written_open_result",
                "written_cut_result",
                "written_mode_result",
                "written_make_result",
                "written_make_folder_result",
                "written_make_symlink_result",
                "written_remove_result",
                "written_remove_folder_result",
                "written_link_result",
                "written_move_result",
                "written_owner_result",
            ],
        })
    }

    /// Whether a runtime does it, too, in the container that it makes: it may until it starts the container's program.
    pub(super) fn is_of_runtimes(self) -> bool {
        matches!(self, Deed::Capability | Deed::Mount | Deed::Write)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The programs whose functions are given structures by value, which kernels before 6.1 do not allow: there owners can be changed.
pub(super) const WITH_STRUCTURES: [&str; 4] =
    ["owner_lsm", "owner_result", "written_owner_lsm", "written_owner_result"];

/// The programs that know whom policies are about: there at every step, and for every deed.
pub(super) const SHARED: [&str; 3] = ["on_mkdir_guard", "on_mkdir_guard_again", "on_rmdir_guard"];

/// The programs that know what is still the runtime's.
pub(super) const NEWCOMERS: [&str; 3] = ["on_fork_newcomer", "on_exec_newcomer", "on_attach_newcomer"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_step_that_kills_only_programs_can_be_denied() {
        for kind in Deed::ALL {
            assert_eq!(kind.programs(Step::Kill).is_some(), kind == Deed::Exec, "{kind}");
            assert!(kind.programs(Step::Lsm).is_some() && kind.programs(Step::FmodRet).is_some(), "{kind}");
        }
    }

    #[test]
    fn each_has_a_number_of_its_own() {
        for kind in Deed::ALL {
            assert_eq!(Deed::from_number(kind.kernel().0 as u8), Some(kind));
        }
        assert_eq!(Deed::from_number(200), None);
    }
}
