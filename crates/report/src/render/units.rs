//! Numbers for people.

/// A count with its thousands apart: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and what is counted: `1 thread`, `2 threads`; both forms are given because English is irregular.
pub fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// A duration with three digits or so: `870 ns`, `12.3 ms`, `4 min 05 s`, `3 d 04 h`.
pub fn duration(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => scaled(ns, 1_000, "µs"),
        1_000_000..SECOND => scaled(ns, 1_000_000, "ms"),
        _ => {
            let seconds = ns / SECOND;
            match seconds {
                0..60 => scaled(ns, SECOND, "s"),
                60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
                3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
                _ => format!("{} d {:02} h", count(seconds / 86_400), seconds / 3_600 % 24),
            }
        }
    }
}

/// A size in binary units: `512 B`, `23.1 MiB`.
pub fn bytes(value: u64) -> String {
    match value {
        0..1_024 => format!("{value} B"),
        1_024..1_048_576 => scaled(value, 1 << 10, "KiB"),
        1_048_576..1_073_741_824 => scaled(value, 1 << 20, "MiB"),
        _ => scaled(value, 1 << 30, "GiB"),
    }
}

/// One digit after the point below 100 units, none above; rounded down, so that it never shows the next unit.
fn scaled(value: u64, unit: u64, name: &str) -> String {
    let whole = value / unit;
    if whole >= 100 {
        return format!("{} {name}", count(whole));
    }
    format!("{whole}.{} {name}", value % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, duration};

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567, u64::MAX].map(count);

        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn durations_take_the_unit_that_fits() {
        let shown =
            [0, 999, 1_000, 12_345_678, 999_999_999, 1_000_000_000, 245_000_000_000, 11_045_000_000_000].map(duration);

        assert_eq!(shown, ["0 ns", "999 ns", "1.0 µs", "12.3 ms", "999 ms", "1.0 s", "4 min 05 s", "3 h 04 min"]);
        assert_eq!(duration(u64::MAX), "213,503 d 23 h");
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        let shown = [0, 1_023, 1_024, 24_222_105, 1 << 30, u64::MAX].map(bytes);

        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "23.0 MiB", "1.0 GiB", "17,179,869,183 GiB"]);
    }
}
