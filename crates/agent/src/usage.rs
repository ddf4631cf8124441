//! What this program itself uses.

use std::fs;

/// CPU time and memory of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu_user_ns: u64,
    pub(crate) cpu_system_ns: u64,
    pub(crate) rss_bytes: u64,
}

impl Usage {
    /// Reads it from `/proc/self`; zero where that cannot be read.
    pub(crate) fn now() -> Usage {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // After the name in parentheses, which may hold anything: state is the first field, utime the 12th.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let pages = fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok())
            .unwrap_or_default();
        Usage {
            cpu_user_ns: ticks(11) * tick_ns,
            cpu_system_ns: ticks(12) * tick_ns,
            rss_bytes: pages * rustix::param::page_size() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn a_running_program_has_memory() {
        assert!(Usage::now().rss_bytes > 100_000);
    }
}
