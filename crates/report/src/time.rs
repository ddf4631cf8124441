//! Wall-clock times, as RFC 3339 text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// A moment of wall-clock time in UTC, to the nanosecond; from 1970 to 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that is so many nanoseconds after 1970-01-01T00:00:00Z.
    pub fn from_unix_ns(unix_ns: u64) -> Timestamp {
        Timestamp(unix_ns)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ns(self) -> u64 {
        self.0
    }

    /// The moment without punctuation, to the second: `20260131T235959Z`. Sorts by time.
    pub fn compact(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time_of_day();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// The moment for people, to the second: `2026-01-31 23:59:59 UTC`.
    pub fn readable(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time_of_day();
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }

    /// Year, month and day in the proleptic Gregorian calendar.
    fn date(self) -> (u64, u64, u64) {
        let mut days = self.0 / NS_PER_SECOND / SECONDS_PER_DAY;
        let mut year = 1970;
        while days >= days_in_year(year) {
            days -= days_in_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_in_month(year, month) {
            days -= days_in_month(year, month);
            month += 1;
        }
        (year, month, days + 1)
    }

    fn time_of_day(self) -> (u64, u64, u64) {
        let second = self.0 / NS_PER_SECOND % SECONDS_PER_DAY;
        (second / 3600, second / 60 % 60, second % 60)
    }
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn days_in_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// RFC 3339 with nine digits after the point: `2026-01-31T23:59:59.000000001Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time_of_day();
        let ns = self.0 % NS_PER_SECOND;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ns:09}Z")
    }
}

/// The text is not a time in UTC that RFC 3339 allows, or lies outside 1970 to 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2026-01-31T23:59:59.000000000Z")]
pub struct NotATime;

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Timestamp, NotATime> {
        let (seconds, fraction) = text.strip_suffix('Z').and_then(|text| text.split_once('T').map(|_| text)).map_or(
            Err(NotATime),
            |text| match text.split_once('.') {
                Some((seconds, fraction)) if !fraction.is_empty() => Ok((seconds, fraction)),
                Some(_) => Err(NotATime),
                None => Ok((text, "0")),
            },
        )?;
        let field = |at: usize, length: usize| number(seconds.get(at..at + length));
        let separators: Vec<u8> =
            [4, 7, 10, 13, 16].iter().filter_map(|&at| seconds.as_bytes().get(at).copied()).collect();
        if seconds.len() != 19 || separators != *b"--T::" {
            return Err(NotATime);
        }
        let (year, month, day) = (field(0, 4)?, field(5, 2)?, field(8, 2)?);
        let (hour, minute, second) = (field(11, 2)?, field(14, 2)?, field(17, 2)?);
        let valid = (1970..=2554).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !valid || fraction.len() > 9 {
            return Err(NotATime);
        }
        let ns = number(Some(fraction))? * 10u64.pow(9 - fraction.len() as u32);
        let days = (1970..year).map(days_in_year).sum::<u64>()
            + (1..month).map(|month| days_in_month(year, month)).sum::<u64>()
            + (day - 1);
        let unix_seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
        unix_seconds
            .checked_mul(NS_PER_SECOND)
            .and_then(|seconds_ns| seconds_ns.checked_add(ns))
            .map(Timestamp)
            .ok_or(NotATime)
    }
}

fn number(digits: Option<&str>) -> Result<u64, NotATime> {
    let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).ok_or(NotATime)?;
    digits.parse().map_err(|_| NotATime)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format_args!("{text:?} is {error}")))
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Timestamp;

    #[test]
    fn known_moments_have_their_known_dates() {
        for (unix_seconds, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(Timestamp::from_unix_ns(unix_seconds * 1_000_000_000).to_string(), text);
        }
    }

    #[test]
    fn the_compact_form_sorts_and_has_no_punctuation() {
        assert_eq!(Timestamp::from_unix_ns(1_709_251_199_999_999_999).compact(), "20240229T235959Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for wrong in [
            "",
            "Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:+1Z",
            "1969-12-31T23:59:59Z",
            "2554-12-31T00:00:00Z",
            "äääääääääTZ",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_survives_its_text(unix_ns in any::<u64>()) {
            let moment = Timestamp::from_unix_ns(unix_ns);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", close in "[0-9TZ:.+-]{0,32}") {
            let _ = text.parse::<Timestamp>();
            let _ = close.parse::<Timestamp>();
        }
    }
}
