//! Times as engines give them, in one form.

/// A time in nanoseconds since 1970 as RFC 3339 text in UTC, to the second; none for 0 and before, which mean 'not set'.
pub(super) fn rfc3339(unix_ns: i64) -> Option<String> {
    let unix_ns = u64::try_from(unix_ns).ok().filter(|&ns| ns > 0)?;
    let (date, time) = event::date_and_time(unix_ns);
    Some(format!("{date}T{time}Z"))
}

/// A time that is RFC 3339 already; none if it is not, or means 'not set' (the year 1).
pub(super) fn checked(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() >= 20
        && bytes.len() <= 40
        && shape.iter().zip(bytes).all(|(want, has)| if *want == b'd' { has.is_ascii_digit() } else { want == has })
        && bytes[19..].iter().all(|byte| byte.is_ascii_digit() || b".:+-Z".contains(byte));
    (fits && !text.starts_with("0001-")).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{checked, rfc3339};

    #[test]
    fn days_months_and_leap_years_are_right() {
        let at = |seconds: i64| rfc3339(seconds * 1_000_000_000);

        assert_eq!(at(951_782_400).as_deref(), Some("2000-02-29T00:00:00Z"));
        assert_eq!(at(1_795_392_670).as_deref(), Some("2026-11-23T00:11:10Z"));
        assert_eq!(at(4_107_542_399).as_deref(), Some("2100-02-28T23:59:59Z"));
        assert_eq!(at(4_107_542_400).as_deref(), Some("2100-03-01T00:00:00Z"));
        assert_eq!((rfc3339(0), rfc3339(-1)), (None, None));
        assert!(rfc3339(i64::MAX).is_some());
    }

    #[test]
    fn a_time_that_is_not_set_or_not_a_time_is_none() {
        assert!(checked("2026-11-23T00:11:10.132205687Z").is_some());
        assert!(checked("2026-11-23T00:11:10+01:00").is_some());
        assert_eq!(checked("0001-01-01T00:00:00Z"), None);
        assert_eq!(checked("yesterday, or so it was"), None);
        assert_eq!(checked("2026-11-23T00:11:10\x1b[2J"), None);
    }
}
