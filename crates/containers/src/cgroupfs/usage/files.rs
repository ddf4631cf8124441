//! The contents of a cgroup's files: bytes to numbers. A line that is not as the kernel writes it says nothing.

use std::collections::BTreeMap;

use event::{Device, DeviceUsage};

/// No list of devices is longer.
pub(super) const MAX_DEVICES: usize = 1024;

/// A file with one number. `max`, or -1 as the quota of v1 has it, is no number: there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single {
    Number(u64),
    Unlimited,
}

impl Single {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Single::Number(number) => Some(number),
            Single::Unlimited => None,
        }
    }
}

fn number(word: &[u8]) -> Option<u64> {
    // The standard library would also take a sign.
    let digits = std::str::from_utf8(word).ok().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n')
}

/// `memory.current`, `pids.max`, `cpuacct.usage` and their like.
pub(super) fn single(bytes: &[u8]) -> Option<Single> {
    let mut words = words(bytes);
    let value = match words.next()? {
        b"max" | b"-1" => Single::Unlimited,
        word => Single::Number(number(word)?),
    };
    words.next().is_none().then_some(value)
}

/// The number behind a name, in a file of such lines: `cpu.stat`, `memory.stat`, `memory.events`, `memory.oom_control`.
pub(super) fn keyed(bytes: &[u8], key: &str) -> Option<u64> {
    lines(bytes).find_map(|line| {
        let mut words = words(line);
        let value = words.next().filter(|word| *word == key.as_bytes()).and(words.next())?;
        words.next().is_none().then(|| number(value))?
    })
}

/// `cpu.max` of v2: the quota, none if there is no limit, and the period, in microseconds.
pub(super) fn cpu_max(bytes: &[u8]) -> Option<(Option<u64>, u64)> {
    let mut words = words(bytes);
    let quota = match words.next()? {
        b"max" => None,
        word => Some(number(word)?),
    };
    Some((quota, number(words.next()?)?))
}

/// What a quota in each period, both in microseconds, is in each second, in nanoseconds.
pub(super) fn ns_per_second(quota: u64, period: u64) -> Option<u64> {
    let ns = u128::from(quota) * 1_000_000_000 / (period > 0).then_some(u128::from(period))?;
    u64::try_from(ns).ok()
}

/// The `total` of a line of a pressure file (`some` or `full`), in nanoseconds: the kernel has microseconds.
pub(super) fn pressure_ns(bytes: &[u8], which: &str) -> Option<u64> {
    let line = lines(bytes).find(|line| words(line).next() == Some(which.as_bytes()))?;
    words(line).find_map(|word| number(word.strip_prefix(b"total=")?))?.checked_mul(1000)
}

fn device(word: &[u8]) -> Option<Device> {
    let colon = word.iter().position(|&byte| byte == b':')?;
    let part = |word| number(word).and_then(|number| u32::try_from(number).ok());
    Some(Device { major: part(&word[..colon])?, minor: part(&word[colon + 1..])? })
}

/// `io.stat` of v2.
pub(super) fn io_stat(bytes: &[u8]) -> Vec<DeviceUsage> {
    let mut devices = BTreeMap::new();
    for line in lines(bytes) {
        let mut words = words(line);
        let Some(device) = words.next().and_then(device) else { continue };
        let mut usage = DeviceUsage { device, ..DeviceUsage::default() };
        for word in words {
            let value = |name: &str| word.strip_prefix(name.as_bytes()).and_then(number);
            usage.read_bytes = value("rbytes=").unwrap_or(usage.read_bytes);
            usage.written_bytes = value("wbytes=").unwrap_or(usage.written_bytes);
            usage.reads = value("rios=").unwrap_or(usage.reads);
            usage.writes = value("wios=").unwrap_or(usage.writes);
        }
        keep(&mut devices, usage);
    }
    devices.into_values().collect()
}

/// `blkio.throttle.io_service_bytes` and `blkio.throttle.io_serviced` of v1, and their `_recursive` kin.
pub(super) fn blkio(bytes: &[u8], requests: &[u8]) -> Vec<DeviceUsage> {
    let mut devices = BTreeMap::new();
    for (of, is_bytes) in [(bytes, true), (requests, false)] {
        for line in lines(of) {
            let mut words = words(line);
            let Some(device) = words.next().and_then(device) else { continue };
            let (Some(what), Some(value)) = (words.next(), words.next().and_then(number)) else { continue };
            let mut usage = devices.get(&device).copied().unwrap_or(DeviceUsage { device, ..DeviceUsage::default() });
            match (what, is_bytes) {
                (b"Read", true) => usage.read_bytes = value,
                (b"Write", true) => usage.written_bytes = value,
                (b"Read", false) => usage.reads = value,
                (b"Write", false) => usage.writes = value,
                // Sync, Async, Discard and Total are of the same requests, or move nothing.
                _ => continue,
            }
            keep(&mut devices, usage);
        }
    }
    devices.into_values().collect()
}

fn keep(devices: &mut BTreeMap<Device, DeviceUsage>, usage: DeviceUsage) {
    if devices.len() < MAX_DEVICES || devices.contains_key(&usage.device) {
        devices.insert(usage.device, usage);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Linux 6.12 writes it, with the controller `cpu`.
    const CPU_STAT: &[u8] = b"usage_usec 1543210\nuser_usec 1200000\nsystem_usec 343210\nnice_usec 0\n\
        core_sched.force_idle_usec 0\nnr_periods 31\nnr_throttled 29\nthrottled_usec 1458291\nnr_bursts 0\nburst_usec 0\n";

    #[test]
    fn a_number_stands_behind_its_whole_name() {
        assert_eq!(keyed(CPU_STAT, "usage_usec"), Some(1_543_210));
        assert_eq!(keyed(CPU_STAT, "throttled_usec"), Some(1_458_291));
        assert_eq!(keyed(CPU_STAT, "usec"), None);
        assert_eq!(keyed(b"pgfault 12\npgmajfault 3\n", "pgmajfault"), Some(3));
        assert_eq!(keyed(b"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(keyed(b"a -1\n", "a"), None);
        assert_eq!(keyed(b"a 1 2\n", "a"), None);
        assert_eq!(keyed(b"a 99999999999999999999\n", "a"), None);
    }

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(single(b"max\n"), Some(Single::Unlimited));
        assert_eq!(single(b"-1\n"), Some(Single::Unlimited));
        assert_eq!(single(b"67108864\n"), Some(Single::Number(67_108_864)));
        assert_eq!(single(b""), None);
        assert_eq!(single(b"1 2\n"), None);
        assert_eq!(cpu_max(b"max 100000\n"), Some((None, 100_000)));
        assert_eq!(cpu_max(b"50000 100000\n"), Some((Some(50_000), 100_000)));
        assert_eq!(cpu_max(b"50000\n"), None);
    }

    #[test]
    fn a_quota_is_a_share_of_each_second() {
        assert_eq!(ns_per_second(50_000, 100_000), Some(500_000_000));
        assert_eq!(ns_per_second(250_000, 100_000), Some(2_500_000_000));
        assert_eq!(ns_per_second(1, 0), None);
        assert_eq!(ns_per_second(u64::MAX, 1), None);
    }

    #[test]
    fn pressure_is_the_total_of_its_line() {
        let file =
            b"some avg10=0.00 avg60=0.12 avg300=0.05 total=215312\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n";

        assert_eq!((pressure_ns(file, "some"), pressure_ns(file, "full")), (Some(215_312_000), Some(3_000)));
        assert_eq!(pressure_ns(b"some avg10=0.00\n", "some"), None);
    }

    #[test]
    fn devices_of_v2_have_their_bytes_and_requests() {
        let file = b"254:0 rbytes=1048576 wbytes=4096 rios=16 wios=1 dbytes=0 dios=0\n8:0 \n(unknown) rbytes=3\n";

        let found = io_stat(file);

        let vda = DeviceUsage {
            device: Device { major: 254, minor: 0 },
            read_bytes: 1_048_576,
            written_bytes: 4096,
            reads: 16,
            writes: 1,
        };
        let sda = DeviceUsage { device: Device { major: 8, minor: 0 }, ..DeviceUsage::default() };
        assert_eq!(found, [sda, vda]);
    }

    #[test]
    fn devices_of_v1_have_their_bytes_and_requests() {
        let bytes = b"254:0 Read 8388608\n254:0 Write 0\n254:0 Sync 8388608\n254:0 Async 0\n254:0 Discard 0\n\
            254:0 Total 8388608\nTotal 8388608\n";
        let requests = b"254:0 Read 8\n254:0 Write 0\n254:0 Total 8\nTotal 8\n";

        let found = blkio(bytes, requests);

        let vda = DeviceUsage {
            device: Device { major: 254, minor: 0 },
            read_bytes: 8_388_608,
            reads: 8,
            ..DeviceUsage::default()
        };
        assert_eq!(found, [vda]);
        assert_eq!(blkio(b"Total 0\n", b"Total 0\n"), []);
    }

    #[test]
    fn no_list_of_devices_grows_without_end() {
        let lines: String = (0..3000).map(|minor| format!("8:{minor} rbytes=1\n")).collect();

        assert_eq!(io_stat(lines.as_bytes()).len(), MAX_DEVICES);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in "[a-z_ =:0-9.\n-]{0,80}") {
            let bytes = bytes.as_bytes();
            let _ = (single(bytes), keyed(bytes, "a"), cpu_max(bytes), pressure_ns(bytes, "some"));
            let _ = (io_stat(bytes), blkio(bytes, bytes));
        }

        #[test]
        fn what_the_kernel_writes_is_read(value: u64) {
            prop_assert_eq!(single(format!("{value}\n").as_bytes()), Some(Single::Number(value)));
            prop_assert_eq!(keyed(format!("x 1\nname {value}\n").as_bytes(), "name"), Some(value));
        }
    }
}
