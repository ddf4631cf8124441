//! From a tree of words to one of fields: each name must be known, each operator fit the field's type, and each value
//! be one that the field can have.

use std::collections::BTreeSet;
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use crate::error::Issue;
use crate::eval::{Check, Node, Test};
use crate::falco;
use crate::fields::{Field, Type, registry};
use crate::glob::{Glob, PathPrefix};
use crate::lexer::Literal;
use crate::operator::Operator;
use crate::parser::{Comparison, Expression};
use crate::similar::similar;

/// What a compiled regular expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

pub(crate) fn resolve(expression: &Expression<'_>) -> Result<Node, Issue> {
    let all = |parts: &[Expression<'_>]| parts.iter().map(resolve).collect::<Result<Vec<Node>, Issue>>();
    Ok(match expression {
        Expression::And(parts) => Node::All(all(parts)?),
        Expression::Or(parts) => Node::Any(all(parts)?),
        Expression::Not(inner) => Node::Not(Box::new(resolve(inner)?)),
        Expression::Comparison(comparison) => Node::Check(check(comparison)?),
    })
}

fn check(comparison: &Comparison<'_>) -> Result<Check, Issue> {
    let name = comparison.field.text;
    let field = registry().find(name).ok_or_else(|| unknown(name, comparison.field.span.clone()))?;
    if let Some((_, span)) = comparison.index.as_ref().filter(|_| !field.is_list) {
        return Err(Issue::new(span.clone(), format!("{name} is a {}, no list", field.type_name())));
    }
    let is_list = field.is_list && comparison.index.is_none();
    fits(field, is_list, comparison)?;
    Ok(Check {
        field,
        index: comparison.index.as_ref().map(|(index, _)| *index),
        of_every: is_list && comparison.operator == Operator::In,
        test: match field.of {
            _ if comparison.operator == Operator::Exists => Test::Exists,
            Type::Number => number_test(field, comparison)?,
            Type::Bool => bool_test(field, comparison)?,
            Type::Text => text_test(field, comparison)?,
        },
    })
}

fn unknown(name: &str, span: Range<usize>) -> Issue {
    if falco::has_field(name) {
        let issue = Issue::new(span, format!("{name} is a field of Falco's that ringfence does not have"));
        return match falco::nearest(name) {
            Some(ours) => issue.help(format!("the nearest is {ours}")),
            None => issue.help("`ringfence fields` prints those that there are"),
        };
    }
    let issue = Issue::new(span, format!("unknown field {name}"));
    match registry().similar(name) {
        Some(meant) => issue.did_you_mean(Some(meant)),
        None => issue.help("`ringfence fields` prints those that there are"),
    }
}

/// Whether the operator is one for the field's type.
fn fits(field: &Field, is_list: bool, comparison: &Comparison<'_>) -> Result<(), Issue> {
    use Operator::{AtLeast, AtMost, Equal, Exists, Greater, In, Intersects, Less, NotEqual};
    let operator = comparison.operator;
    let wrong = || {
        let kind = if is_list { field.type_name() } else { name_of(field.of) };
        Issue::new(comparison.operator_span.clone(), format!("{} is a {kind}: `{operator}` is not for it", field.name))
    };
    if matches!(operator, In | Intersects | Exists) {
        return Ok(());
    }
    if is_list && (matches!(operator, Equal | NotEqual) || field.of != Type::Text) {
        let name = &field.name;
        return Err(wrong().help(format!("write {name} intersects (…), or {name}[0] for the first element")));
    }
    match (field.of, operator) {
        (_, Equal | NotEqual) | (Type::Number, Less | AtMost | Greater | AtLeast) => Ok(()),
        (Type::Text, Less | AtMost | Greater | AtLeast) => Err(wrong().help("it compares numbers")),
        (Type::Text, _) => Ok(()),
        _ => Err(wrong()),
    }
}

fn name_of(of: Type) -> &'static str {
    match of {
        Type::Number => "number",
        Type::Text => "text",
        Type::Bool => "bool",
    }
}

fn number_test(field: &Field, comparison: &Comparison<'_>) -> Result<Test, Issue> {
    let numbers = comparison.values.iter().map(|value| number(field, value));
    let numbers = numbers.collect::<Result<Vec<i128>, Issue>>()?;
    Ok(match (comparison.operator, numbers.as_slice()) {
        (Operator::In | Operator::Intersects, _) => Test::Numbers(numbers.into_iter().collect()),
        (operator, numbers) => Test::Number(operator, one(numbers, comparison)?),
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

fn bool_test(field: &Field, comparison: &Comparison<'_>) -> Result<Test, Issue> {
    let read = |value: &Literal| match value.bytes.as_slice() {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(Issue::new(value.span.clone(), format!("{} is true or false", field.name))),
    };
    let values = comparison.values.iter().map(read).collect::<Result<Vec<bool>, Issue>>()?;
    Ok(match comparison.operator {
        Operator::Equal => Test::Bool(one(&values, comparison)?),
        Operator::NotEqual => Test::Bool(!one(&values, comparison)?),
        _ if values.contains(&true) && values.contains(&false) => Test::Exists,
        _ => match values.first() {
            Some(&value) => Test::Bool(value),
            None => Test::OneOf(BTreeSet::new()),
        },
    })
}

fn text_test(field: &Field, comparison: &Comparison<'_>) -> Result<Test, Issue> {
    let operator = comparison.operator;
    if matches!(operator, Operator::Equal | Operator::NotEqual | Operator::In | Operator::Intersects) {
        comparison.values.iter().try_for_each(|value| possible(field, value))?;
    }
    let texts = || comparison.values.iter().map(|value| value.bytes.clone());
    match operator {
        Operator::In | Operator::Intersects => return Ok(Test::OneOf(texts().collect())),
        Operator::Pmatch => {
            let paths = comparison
                .values
                .iter()
                .map(|value| PathPrefix::new(&value.bytes).map_err(|why| Issue::new(value.span.clone(), why)));
            return Ok(Test::Below(paths.collect::<Result<_, _>>()?));
        }
        _ => {}
    }
    let value = one(&comparison.values, comparison)?;
    let glob = |ignores_case| {
        Glob::new(&value.bytes, ignores_case).map(Test::Glob).map_err(|why| Issue::new(value.span.clone(), why))
    };
    Ok(match operator {
        Operator::Equal => Test::Is(value.bytes),
        Operator::NotEqual => Test::IsNot(value.bytes),
        Operator::Contains => Test::Contains(value.bytes),
        Operator::Icontains => Test::ContainsInAnyCase(value.bytes),
        Operator::Bcontains => Test::Contains(hexadecimal(&value)?),
        Operator::Startswith => Test::StartsWith(value.bytes),
        Operator::Bstartswith => Test::StartsWith(hexadecimal(&value)?),
        Operator::Endswith => Test::EndsWith(value.bytes),
        Operator::Glob => glob(false)?,
        Operator::Iglob => glob(true)?,
        Operator::Regex => Test::Regex(Box::new(regex(&value)?)),
        _ => return Err(Issue::new(comparison.operator_span.clone(), format!("`{operator}` is not for text"))),
    })
}

/// The only value; the parser saw to it that there is one.
fn one<V: Clone>(values: &[V], comparison: &Comparison<'_>) -> Result<V, Issue> {
    let missing = || Issue::new(comparison.operator_span.clone(), "expected one value");
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

/// A regular expression about bytes that must fit the whole text.
fn regex(value: &Literal) -> Result<Regex, Issue> {
    let wrong = |why: String| Issue::new(value.span.clone(), format!("this regular expression cannot be used: {why}"));
    let mut pattern = String::new();
    for chunk in value.bytes.utf8_chunks() {
        pattern.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| pattern.push_str(&format!("\\x{byte:02x}")));
    }
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern).unicode(false).size_limit(MAX_REGEX_BYTES).nest_limit(100).build().map_err(|error| {
            let text = error.to_string();
            // The last line says why; those above show the place.
            wrong(text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
        })
    };
    // Alone first: a parenthesis too many must not end the group around it.
    compile(&pattern)?;
    compile(&format!("\\A(?:{pattern})\\z"))
}
