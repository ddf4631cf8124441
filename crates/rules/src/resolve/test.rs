//! What must hold of a value, by the field's type.

use memchr::memmem::Finder;
use rustc_hash::FxHashSet;

use super::{About, networks, prefixes, regex};
use crate::error::Issue;
use crate::eval::Test;
use crate::fields::Field;
use crate::glob::Glob;
use crate::lexer::Literal;
use crate::operator::Operator;
use crate::similar::similar;

pub(super) fn number_test(about: &About<'_>) -> Result<Test, Issue> {
    let numbers = about.values.iter().map(|value| number(about.field, value));
    let numbers = numbers.collect::<Result<Vec<i128>, Issue>>()?;
    Ok(match (about.operator, numbers.as_slice()) {
        (Operator::In | Operator::Intersects, _) => Test::Numbers(numbers.into_iter().collect()),
        (operator, numbers) => Test::Number(operator, one(numbers, about)?),
    })
}

fn number(field: &Field, value: &Literal) -> Result<i128, Issue> {
    let text = std::str::from_utf8(&value.bytes).unwrap_or_default();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        // The standard library would take another sign.
        Some(hex) if hex.bytes().all(|digit| digit.is_ascii_hexdigit()) => i128::from_str_radix(hex, 16).ok(),
        None if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    let magnitude = magnitude.ok_or_else(|| {
        let text = event::Text::new(&value.bytes);
        Issue::new(value.span.clone(), format!("{} is a number, and `{text}` is none", field.name))
    })?;
    Ok(if text.starts_with('-') { -magnitude } else { magnitude })
}

pub(super) fn bool_test(about: &About<'_>) -> Result<Test, Issue> {
    let read = |value: &Literal| match value.bytes.as_slice() {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(Issue::new(value.span.clone(), format!("{} is true or false", about.field.name))),
    };
    let values = about.values.iter().map(read).collect::<Result<Vec<bool>, Issue>>()?;
    Ok(match about.operator {
        Operator::Equal => Test::Bool(one(&values, about)?),
        Operator::NotEqual => Test::Bool(!one(&values, about)?),
        _ if values.contains(&true) && values.contains(&false) => Test::Exists,
        _ => values.first().map_or(Test::Never, |&value| Test::Bool(value)),
    })
}

pub(super) fn network_test(about: &About<'_>) -> Result<Test, Issue> {
    let networks = networks(about.field, about.values)?;
    Ok(match about.operator {
        Operator::Equal | Operator::NotEqual => {
            Test::Networks(vec![one(&networks, about)?], about.operator == Operator::NotEqual)
        }
        _ => Test::Networks(networks, false),
    })
}

pub(super) fn text_test(about: &About<'_>) -> Result<Test, Issue> {
    let operator = about.operator;
    if matches!(operator, Operator::Equal | Operator::NotEqual | Operator::In | Operator::Intersects) {
        about.values.iter().try_for_each(|value| possible(about.field, value))?;
    }
    match operator {
        Operator::In | Operator::Intersects => {
            let texts: FxHashSet<Vec<u8>> = about.values.iter().map(|value| value.bytes.clone()).collect();
            return Ok(Test::OneOf(texts));
        }
        Operator::Pmatch => return Ok(Test::Below(prefixes(about.values)?)),
        _ => {}
    }
    let value = one(about.values, about)?;
    let glob = |ignores_case| {
        Glob::new(&value.bytes, ignores_case).map(Test::Glob).map_err(|why| Issue::new(value.span.clone(), why))
    };
    let contains = |bytes: &[u8]| Test::Contains(Box::new(Finder::new(bytes).into_owned()));
    Ok(match operator {
        Operator::Equal => Test::Is(value.bytes),
        Operator::NotEqual => Test::IsNot(value.bytes),
        Operator::Contains => contains(&value.bytes),
        Operator::Icontains => Test::ContainsInAnyCase(value.bytes),
        Operator::Bcontains => contains(&hexadecimal(&value)?),
        Operator::Startswith => Test::StartsWith(value.bytes),
        Operator::Bstartswith => Test::StartsWith(hexadecimal(&value)?),
        Operator::Endswith => Test::EndsWith(value.bytes),
        Operator::Glob => glob(false)?,
        Operator::Iglob => glob(true)?,
        Operator::Regex => Test::Regex(Box::new(regex(&value)?)),
        _ => return Err(Issue::new(about.operator_span.clone(), format!("`{operator}` is not for text"))),
    })
}

/// The only value; the parser saw to it that there is one.
fn one<V: Clone>(values: &[V], about: &About<'_>) -> Result<V, Issue> {
    let missing = || Issue::new(about.operator_span.clone(), "expected one value");
    values.first().cloned().ok_or_else(missing)
}

/// A field that has few values is never anything else: that would be a slip.
fn possible(field: &Field, value: &Literal) -> Result<(), Issue> {
    if field.values.is_empty() || field.values.iter().any(|known| known.as_bytes() == value.bytes) {
        return Ok(());
    }
    let text = event::Text::new(&value.bytes);
    let issue = Issue::new(value.span.clone(), format!("{} is never `{text}`", field.name));
    let meant = std::str::from_utf8(&value.bytes).ok();
    let meant = meant.and_then(|text| similar(text, field.values.iter().map(String::as_str)));
    Err(match meant {
        Some(meant) => issue.did_you_mean(Some(meant)),
        None => issue.help(format!("it is one of {}", field.values.join(", "))),
    })
}

fn hexadecimal(value: &Literal) -> Result<Vec<u8>, Issue> {
    let wrong = || Issue::new(value.span.clone(), "expected bytes as pairs of hexadecimal digits, such as CAFE01");
    if value.bytes.is_empty() || !value.bytes.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let pair = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    value.bytes.chunks(2).map(pair).collect::<Option<_>>().ok_or_else(wrong)
}
