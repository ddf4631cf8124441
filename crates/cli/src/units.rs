//! Durations and sizes as people type them.

use std::time::Duration;

/// `500ms`, `30s`, `5m`, `2h`, or bare seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong_duration(text))?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis).ok_or_else(|| wrong_duration(text))
}

fn wrong_duration(text: &str) -> String {
    format!("`{text}` is no duration: write a number and ms, s, m or h, such as 30s")
}

/// A ring's size: a power of two of bytes with an optional K, M or G, between 64K and 1G.
pub(crate) fn ring_bytes(text: &str) -> Result<u32, String> {
    bytes(text)
        .filter(|bytes| bytes.is_power_of_two() && (1 << 16..=1 << 30).contains(bytes))
        .ok_or_else(|| format!("`{text}` is no buffer size: write a power of two between 64K and 1G, such as 8M"))
}

/// How much is kept of what is typed and shown: bytes with an optional K or M, up to 4M.
pub(crate) fn terminal_bytes(text: &str) -> Result<u32, String> {
    bytes(text)
        .filter(|bytes| (1..=4 << 20).contains(bytes))
        .ok_or_else(|| format!("`{text}` is no size to keep: write one between 1 and 4M, such as 64K"))
}

/// Bytes with an optional K, M or G.
fn bytes(text: &str) -> Option<u32> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let number: u32 = digits.parse().ok()?;
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return None,
    };
    u32::try_from(u64::from(number) << shift).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "s", "-1s", "1d", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_buffer_is_a_power_of_two() {
        assert_eq!(ring_bytes("8M"), Ok(8 << 20));
        assert_eq!(ring_bytes("65536"), Ok(65536));
        for wrong in ["", "3M", "32K", "2G", "4T", "M", "99999999999"] {
            assert!(ring_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_of_terminals_has_a_limit() {
        assert_eq!(terminal_bytes("64K"), Ok(65536));
        assert_eq!(terminal_bytes("100"), Ok(100));
        for wrong in ["", "0", "5M", "64KB", "-1"] {
            assert!(terminal_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
