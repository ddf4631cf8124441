//! Times as engines give them, in one form.

/// A time in nanoseconds since 1970 as RFC 3339 text in UTC, to the second; none for 0 and before, which mean 'not set'.
pub(super) fn rfc3339(unix_ns: i64) -> Option<String> {
    let seconds = u64::try_from(unix_ns).ok().filter(|&ns| ns > 0)? / 1_000_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
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
