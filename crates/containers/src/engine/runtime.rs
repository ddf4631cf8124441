//! Runtimes whose workloads run behind another kernel than the host's.

/// Words in the name of a runtime, and what it is.
const OTHER_KERNELS: [(&str, &str); 4] =
    [("runsc", "gVisor"), ("gvisor", "gVisor"), ("kata", "Kata Containers"), ("krun", "libkrun")];

/// What the system calls of a workload go to if not to the host's kernel. The name is as engines have it: `runsc`,
/// `io.containerd.kata.v2`, `/opt/kata/bin/kata-runtime`.
pub fn other_kernel(runtime: &str) -> Option<&'static str> {
    let name = runtime.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_word = |word: &str| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word);
    OTHER_KERNELS.iter().find(|(word, _)| is_word(word)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::other_kernel;

    #[test]
    fn a_runtime_with_a_kernel_of_its_own_is_known_by_its_name() {
        for (runtime, what) in [
            ("runsc", "gVisor"),
            ("io.containerd.runsc.v1", "gVisor"),
            ("/usr/local/bin/runsc", "gVisor"),
            ("kata-runtime", "Kata Containers"),
            ("io.containerd.kata-qemu.v2", "Kata Containers"),
            ("krun", "libkrun"),
        ] {
            assert_eq!(other_kernel(runtime), Some(what), "{runtime}");
        }
    }

    #[test]
    fn others_run_on_the_hosts_kernel() {
        for runtime in ["runc", "crun", "youki", "io.containerd.runc.v2", "/opt/kata/bin/runc", "nvidia", ""] {
            assert_eq!(other_kernel(runtime), None, "{runtime}");
        }
    }
}
