//! Escapes in quoted text: those of the text form that reports show, and those that Falco knows beside them.

use std::ops::Range;

use crate::error::Issue;

/// The bytes of a text between quotes; `begin` is where it begins in the condition.
pub(crate) fn unescape(inner: &str, quote: char, begin: usize) -> Result<Vec<u8>, Issue> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let from = begin + inner.len() - rest.len() + at;
        let (length, byte) = match escape.chars().next() {
            // A blank, too, leaves the backslash alone, as Falco has it: its rules rely on that.
            Some('\\' | ' ') => (1, b'\\'),
            Some('/') => (1, b'/'),
            Some('n') => (1, b'\n'),
            Some('r') => (1, b'\r'),
            Some('t') => (1, b'\t'),
            Some('b') => (1, 8),
            Some('f') => (1, 12),
            Some(c) if c == quote => (1, c as u8),
            Some('x') => (3, hex(escape).ok_or_else(|| wrong(from..from + 2, "\\x needs two hexadecimal digits"))?),
            Some('u') => {
                let (length, c) = unicode(escape)
                    .ok_or_else(|| wrong(from..from + 2, "\\u needs a character's number, as in \\u{1b}"))?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &escape[length..];
                continue;
            }
            Some(c) => {
                let message = format!("\\{c} is no escape: write \\\\ for a backslash");
                return Err(wrong(from..from + 1 + c.len_utf8(), &message));
            }
            None => return Err(wrong(from..from + 1, "a backslash at the end escapes nothing")),
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn wrong(span: Range<usize>, message: &str) -> Issue {
    Issue::new(span, message)
}

fn hex(escape: &str) -> Option<u8> {
    let digits = escape.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// `u{…}`: its length, and the character.
fn unicode(escape: &str) -> Option<(usize, char)> {
    let (digits, _) = escape.strip_prefix("u{")?.split_once('}')?;
    let is_number = (1..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = is_number.then(|| u32::from_str_radix(digits, 16).ok()).flatten()?;
    Some((digits.len() + 3, char::from_u32(number)?))
}

#[cfg(test)]
mod tests {
    use event::Text;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        let bytes = unescape(r#"a\\b\x00\xFf\u{1b}\u{20ac}\n\r\t\"\/"#, '"', 0);

        assert_eq!(bytes, Ok([b"a\\b\0\xff\x1b".as_slice(), "€\n\r\t\"/".as_bytes()].concat()));
    }

    #[test]
    fn what_is_no_escape_is_said_where_it_is() {
        for (inner, span) in
            [("ab\\d", 2..4), ("\\'", 0..2), ("a\\", 1..2), ("\\x1", 0..2), ("\\u{d800}", 0..2), ("\\u1b", 0..2)]
        {
            let issue = unescape(inner, '"', 10).expect_err(inner);
            assert_eq!(issue.span, 10 + span.start..10 + span.end, "{inner}");
        }
    }

    proptest! {
        #[test]
        fn what_reports_show_can_be_written_in_quotes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = Text::new(&bytes);
            for form in [text.shown(), text.escaped()] {
                prop_assert_eq!(unescape(&form, '"', 0), Ok(bytes.clone()));
            }
        }
    }
}
