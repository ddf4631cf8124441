//! Text that somebody else chose: names, paths and arguments are bytes, not UTF-8, and are stored exactly.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// Bytes from a container, with one exact text form.
///
/// The text form is UTF-8 in which a backslash stands as `\\` and each byte that is not part of valid UTF-8 stands as
/// `\xHH` (two lower-case hex digits); everything else, control characters included, stands for itself. So every byte
/// string has exactly one text form, and [`Text::parse`] gives the bytes back. [`Text::shown`] is the form for a
/// terminal: there, control characters are escaped too.
///
/// The name of a task, and most paths of programs, fit into the value itself: one event has many of them.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(SmallVec<[u8; 16]>);

impl Text {
    /// The text of these bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Text {
        Text(SmallVec::from_slice(bytes.as_ref()))
    }

    /// The bytes as the kernel had them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The exact text form.
    pub fn escaped(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.contains('\\') => Cow::Borrowed(text),
            _ => Cow::Owned(self.escape_with(|_| false)),
        }
    }

    /// The form that is safe on a terminal: as [`Text::escaped`], and control characters and those that change the
    /// direction of text stand as `\u{…}`, `\n`, `\r` or `\t`.
    pub fn shown(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.chars().any(|c| c == '\\' || is_unsafe_on_a_terminal(c)) => Cow::Borrowed(text),
            _ => Cow::Owned(self.escape_with(is_unsafe_on_a_terminal)),
        }
    }

    /// The bytes that this text form stands for; `None` if it is not one that [`Text::escaped`] writes.
    pub fn parse(escaped: &str) -> Option<Text> {
        let mut bytes = Vec::with_capacity(escaped.len());
        let mut rest = escaped;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('\\') {
                bytes.push(b'\\');
                rest = tail;
            } else {
                let hex = after.strip_prefix('x')?.get(..2)?;
                if !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                    return None;
                }
                bytes.push(u8::from_str_radix(hex, 16).ok()?);
                rest = &after[3..];
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        let text = Text::new(bytes);
        (text.escaped() == escaped).then_some(text)
    }

    fn escape_with(&self, also: impl Fn(char) -> bool) -> String {
        use fmt::Write;
        let mut out = String::with_capacity(self.0.len() + 8);
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    c if also(c) => out.extend(c.escape_default()),
                    c => out.push(c),
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        out
    }
}

/// Control characters, and the marks that reorder or hide what follows them (Unicode's bidirectional and zero-width
/// formatting characters).
pub fn is_unsafe_on_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::new(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.shown())
    }
}

/// Safe on a terminal; for files use [`Text::escaped`].
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.shown())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.escaped())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        let escaped = Cow::<'de, str>::deserialize(deserializer)?;
        Text::parse(&escaped).ok_or_else(|| {
            serde::de::Error::custom(format_args!("{escaped:?} has a backslash that starts neither `\\\\` nor `\\xHH`"))
        })
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Bytes as text: `\\\\` is a backslash, `\\xHH` a byte that is not valid UTF-8.",
        })
    }
}

/// 64-bit numbers as decimal strings: JSON readers that know only doubles would round them.
pub mod decimal {
    use std::borrow::Cow;

    use schemars::JsonSchema;
    use serde::{Deserialize, Deserializer, Serializer};

    /// How such a number looks in a schema, which tells it from other text: `#[schemars(with = "decimal::Digits")]`.
    #[derive(Debug)]
    pub struct Digits;

    impl Digits {
        /// The pattern that marks it.
        pub const PATTERN: &str = "^[0-9]{1,20}$";
    }

    impl JsonSchema for Digits {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Digits".into()
        }

        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({ "type": "string", "pattern": Digits::PATTERN })
        }
    }

    /// Writes the number as a string.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads a string of decimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        // The standard library would also take a sign.
        let digits = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is not a 64-bit decimal number")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::value::{Error, StrDeserializer};

    use super::Text;

    #[test]
    fn a_byte_that_is_not_utf8_stands_as_hex() {
        let text = Text::new(*b"a\xffb\\c\n");

        assert_eq!(text.escaped(), "a\\xffb\\\\c\n");
        assert_eq!(text.shown(), "a\\xffb\\\\c\\n");
    }

    #[test]
    fn an_escape_sequence_never_reaches_a_terminal() {
        let text = Text::from("\x1b[2Jroot\u{202e}x");

        assert_eq!(text.to_string(), "\\u{1b}[2Jroot\\u{202e}x");
    }

    #[test]
    fn a_number_is_read_from_digits_alone() {
        let read = |text: &str| super::decimal::deserialize(StrDeserializer::<Error>::new(text)).ok();

        assert_eq!((read("0"), read("18446744073709551615")), (Some(0), Some(u64::MAX)));
        for wrong in ["", "+8", "-8", " 8", "8 ", "0x8", "18446744073709551616"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_form_that_is_never_written_is_not_read() {
        for wrong in ["\\", "\\x4", "\\xFF", "\\x41", "\\n", "a\\"] {
            assert_eq!(Text::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_string_survives_json(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = Text::new(bytes);
            let parsed = Text::parse(&text.escaped());
            prop_assert_eq!(parsed, Some(text));
        }

        #[test]
        fn what_is_shown_has_no_control_character(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!Text::new(bytes).shown().chars().any(char::is_control));
        }
    }
}
