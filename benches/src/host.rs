//! What the machine is, and how busy.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// How busy the machine was with all that ran on it, ourselves included.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Load {
    /// The load average of the last minute before the item.
    pub(crate) before: f64,
    /// The same after it.
    pub(crate) after: f64,
    pub(crate) cpus: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load {:.2} before and {:.2} after on {} CPUs", self.before, self.after, self.cpus)
    }
}

/// The machine that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) is_virtual: bool,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) architecture: String,
    pub(crate) system: String,
    /// What the kernel does against flaws of this CPU, and pays for at each call or return.
    pub(crate) mitigations: Vec<String>,
}

impl Host {
    /// This machine; what cannot be read is empty.
    pub(crate) fn this() -> Host {
        let cpuinfo = read("/proc/cpuinfo");
        let uname = rustix::system::uname();
        let release = read("/etc/os-release");
        Host {
            cpu: field(&cpuinfo, "model name", ':'),
            cpus: cpus(),
            is_virtual: field(&cpuinfo, "flags", ':').split(' ').any(|flag| flag == "hypervisor"),
            memory_mib: field(&read("/proc/meminfo"), "MemTotal", ':').trim_end_matches(" kB").parse().unwrap_or(0)
                >> 10,
            kernel: uname.release().to_string_lossy().into_owned(),
            architecture: uname.machine().to_string_lossy().into_owned(),
            system: field(&release, "PRETTY_NAME", '=').trim_matches('"').to_owned(),
            mitigations: mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities")),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Host { cpu, cpus, memory_mib, kernel, architecture, system, is_virtual, .. } = self;
        let virtual_one = if *is_virtual { ", a virtual machine" } else { "" };
        write!(f, "{cpus} CPUs of {cpu} ({architecture}), {memory_mib} MiB, {system}, kernel {kernel}{virtual_one}")
    }
}

/// `NAME: STATE` of each flaw that this CPU has, by name.
fn mitigations(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let state = std::fs::read_to_string(entry.path()).ok()?;
            let is_affected = state.trim() != "Not affected";
            is_affected.then(|| format!("{}: {}", entry.file_name().to_string_lossy(), state.trim()))
        })
        .collect();
    found.sort();
    found
}

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// How many CPUs may run us.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str, separator: char) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(separator)).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_what_stands_after_its_name() {
        assert_eq!(field("a : 1\nmodel name\t: X 7\n", "model name", ':'), "X 7");
        assert_eq!(field("a : 1\n", "model name", ':'), "");
    }

    #[test]
    fn flaws_that_the_cpu_does_not_have_are_not_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("b"), "Mitigation: X\n").expect("a file");
        std::fs::write(folder.path().join("a"), "Not affected\n").expect("a file");

        assert_eq!(mitigations(folder.path()), ["b: Mitigation: X"]);
    }

    #[test]
    fn this_machine_has_cpus_and_a_kernel() {
        let host = Host::this();

        assert!(host.cpus > 0 && !host.kernel.is_empty());
    }
}
