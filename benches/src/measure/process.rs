//! What a process holds and uses.

use anyhow::{Context as _, Result};

/// The resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    resident_in(&status).with_context(|| format!("{path} has no VmRSS"))
}

/// As much of it as is memory of BPF maps, which the kernel has too, in bytes.
pub(crate) fn resident_bytes_of_maps(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps");
    let all = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(resident_maps_in(&all))
}

/// Each mapping has a line with what it is, and then, among others, one with its resident kilobytes.
fn resident_maps_in(smaps: &str) -> u64 {
    let (mut is_map, mut kilobytes) = (false, 0);
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Rss:") if is_map => kilobytes += words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
            Some(first) if !first.ends_with(':') => is_map = line.ends_with("anon_inode:bpf-map"),
            _ => {}
        }
    }
    kilobytes << 10
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// The CPU time that a process used in user mode, in nanoseconds; the kernel counts it in ticks.
pub(crate) fn user_ns(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let ticks = user_ticks_in(&stat).with_context(|| format!("{path} has no user time"))?;
    Ok(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// The 14th field; the second, in parentheses, may hold anything.
fn user_ticks_in(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(11)?.parse().ok()
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_in_kilobytes() {
        assert_eq!(resident_in("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    1024 kB\n"), Some(1 << 20));
        assert_eq!(resident_in("Name:\tx\n"), None);
    }

    #[test]
    fn memory_of_maps_is_told_from_other_memory() {
        let smaps = "7f00-7f10 rw-s 0000 00:0e 1 anon_inode:bpf-map\nSize: 64 kB\nRss: 8 kB\nPss: 4 kB\n\
                     7f10-7f20 rw-p 0000 00:00 0 [heap]\nRss: 16 kB\n7f20-7f30 rw-p 0000 00:00 0\nRss: 32 kB\n\
                     7f30-7f40 r--s 0000 00:0e 1 anon_inode:bpf-map\nRss: 2 kB\n";
        assert_eq!(resident_maps_in(smaps), 10 << 10);
    }

    #[test]
    fn user_time_is_the_14th_field_whatever_the_name() {
        assert_eq!(user_ticks_in("7 (a) b) S 1 7 7 0 -1 4 93 0 0 0 41 42 0 0 20"), Some(41));
        assert_eq!(user_ticks_in("7 (a"), None);
    }
}
