//! What this process is allowed to do.

use event::{Capability, CapabilitySet};

/// CAP_PERFMON and CAP_BPF came with 5.8; CAP_SYS_ADMIN stands for both (include/uapi/linux/capability.h, 6.18).
const CAP_SYS_ADMIN: u8 = 21;
const CAP_PERFMON: u8 = 38;
const CAP_BPF: u8 = 39;

/// The names of the capabilities that recording needs and this process lacks.
pub(crate) fn missing() -> Vec<String> {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    let text = String::from_utf8_lossy(&status);
    let effective = text
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| CapabilitySet::parse_hex(hex.trim()))
        .unwrap_or_default();
    missing_in(effective)
}

fn missing_in(effective: CapabilitySet) -> Vec<String> {
    let has = |number: u8| effective.iter().any(|capability| Capability::new(number) == Some(capability));
    if has(CAP_SYS_ADMIN) {
        return Vec::new();
    }
    [CAP_BPF, CAP_PERFMON]
        .into_iter()
        .filter(|&number| !has(number))
        .filter_map(Capability::new)
        .map(|capability| capability.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bits: &[u8]) -> Vec<String> {
        missing_in(CapabilitySet(bits.iter().map(|bit| 1 << bit).sum()))
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(of(&[]), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(of(&[CAP_BPF]), ["CAP_PERFMON"]);
        assert!(of(&[CAP_BPF, CAP_PERFMON]).is_empty());
        assert!(of(&[CAP_SYS_ADMIN]).is_empty());
    }
}
