//! What is done with a value before it is compared, and values that are kept to compare others with.

use core::net::IpAddr;

use crate::eval::{compare, contains_in_any_case};
use crate::operator::Operator;
use crate::parser::Transformer;
use crate::pick::Value;

/// Shows the value that is left after the transformers; none if one of them has nothing to give.
pub(crate) fn transformed(value: Value<'_>, transformers: &[Transformer], visit: &mut dyn FnMut(Value<'_>)) {
    let Some((first, rest)) = transformers.split_first() else { return visit(value) };
    let Value::Text(text) = value else { return };
    match first {
        Transformer::ToLower => transformed(Value::Text(&text.to_ascii_lowercase()), rest, visit),
        Transformer::ToUpper => transformed(Value::Text(&text.to_ascii_uppercase()), rest, visit),
        Transformer::Basename => {
            let begin = text.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
            transformed(Value::Text(&text[begin..]), rest, visit);
        }
        Transformer::B64 => {
            if let Some(decoded) = base64(text) {
                transformed(Value::Text(&decoded), rest, visit);
            }
        }
        Transformer::Len => transformed(Value::Number(text.len() as i128), rest, visit),
    }
}

/// What a text in base 64 stands for; blanks at its end count for nothing.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4 + 1);
    let (mut bits, mut count) = (0_u32, 0);
    for &digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    (count != 6).then_some(bytes)
}

/// A value that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Number(i128),
    Bool(bool),
    Text(Vec<u8>),
    Address(IpAddr),
}

impl Owned {
    pub(crate) fn new(value: Value<'_>) -> Owned {
        match value {
            Value::Number(number) => Owned::Number(number),
            Value::Bool(value) => Owned::Bool(value),
            Value::Text(text) => Owned::Text(text.to_vec()),
            Value::Address(address) => Owned::Address(address),
        }
    }

    /// Whether `left OPERATOR self` is true.
    pub(crate) fn compare(&self, operator: Operator, left: Value<'_>) -> bool {
        use Operator::{Contains, Endswith, Equal, Icontains, In, Intersects, NotEqual, Startswith};
        match (left, self) {
            (Value::Number(left), Owned::Number(right)) => match operator {
                In | Intersects => left == *right,
                _ => compare(operator, left.cmp(right)),
            },
            (Value::Text(left), Owned::Text(right)) => match operator {
                Equal | In | Intersects => left == right,
                NotEqual => left != right,
                Contains => memchr::memmem::find(left, right).is_some(),
                Icontains => contains_in_any_case(left, right),
                Startswith => left.starts_with(right),
                Endswith => left.ends_with(right),
                _ => false,
            },
            (Value::Bool(left), Owned::Bool(right)) => (left == *right) == (operator != NotEqual),
            (Value::Address(left), Owned::Address(right)) => (left == *right) == (operator != NotEqual),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, transformers: &[Transformer]) -> Option<String> {
        let mut found = None;
        transformed(Value::Text(text.as_bytes()), transformers, &mut |value| {
            found = Some(match value {
                Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}"),
            });
        });
        found
    }

    #[test]
    fn transformers_change_the_value_in_their_order() {
        use Transformer::{B64, Basename, Len, ToLower, ToUpper};
        for (text, transformers, expected) in [
            ("/Bin/SH", vec![ToLower], Some("/bin/sh")),
            ("/bin/sh", vec![Basename, ToUpper], Some("SH")),
            ("sh", vec![Basename], Some("sh")),
            ("/bin/", vec![Basename], Some("")),
            ("/bin/sh", vec![Basename, Len], Some("Number(2)")),
            ("aGVsbG8=", vec![B64], Some("hello")),
            ("aGVsbA==", vec![B64], Some("hell")),
            ("aGVs", vec![B64], Some("hel")),
            ("a", vec![B64], None),
            ("a!bc", vec![B64], None),
            ("x", vec![Len, ToLower], None),
        ] {
            assert_eq!(shown(text, &transformers).as_deref(), expected, "{text} {transformers:?}");
        }
    }
}
