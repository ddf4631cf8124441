//! The filter for runtimes that know version 1.0 of the OCI runtime specification and no later one.

use super::profile::Profile;

const ENOSYS: u32 = 38;

impl Profile {
    /// The same without what version 1.1 brought: errnos. An error is then always EPERM.
    ///
    /// Where ENOSYS is the answer, the action is TRACE: the kernel gives it for a call that nobody traces
    /// (`kernel/seccomp.c` (6.18), `__seccomp_filter`). Who traces the workload may let such a call through; if the workload
    /// may trace itself, the answer is EPERM, too, and [`Profile::answers_enosys`] says so.
    pub fn for_oci_1_0(mut self) -> Profile {
        let traces = self
            .syscalls
            .iter()
            .any(|rule| rule.action == "SCMP_ACT_ALLOW" && rule.names.iter().any(|name| name == "ptrace"));
        let action =
            |errno: Option<u32>| if errno == Some(ENOSYS) && !traces { "SCMP_ACT_TRACE" } else { "SCMP_ACT_ERRNO" };
        if let Some(errno) = self.default_errno_ret.take() {
            self.default_action = action(Some(errno)).to_owned();
        }
        for rule in &mut self.syscalls {
            if let Some(errno) = rule.errno_ret.take() {
                rule.action = action(Some(errno)).to_owned();
            }
        }
        self
    }

    /// Whether a call that it does not know is answered as by a kernel without it.
    pub fn answers_enosys(&self) -> bool {
        self.default_errno_ret == Some(ENOSYS) || self.default_action == "SCMP_ACT_TRACE"
    }
}
