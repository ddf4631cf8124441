//! Asking a condition about a subject.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex::bytes::Regex;

use crate::fields::Field;
use crate::glob::{Glob, PathPrefix};
use crate::operator::Operator;
use crate::pick::Value;
use crate::subject::Subject;

/// A condition whose names and types are right.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Check(Check),
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) field: &'static Field,
    /// Only this element of a list.
    pub(crate) index: Option<usize>,
    /// Whether it must hold of every element, and not of any.
    pub(crate) of_every: bool,
    pub(crate) test: Test,
}

/// What must hold of a value. A value of another type never holds: types were checked before.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Exists,
    Number(Operator, i128),
    Numbers(BTreeSet<i128>),
    Bool(bool),
    Is(Vec<u8>),
    IsNot(Vec<u8>),
    OneOf(BTreeSet<Vec<u8>>),
    Contains(Vec<u8>),
    ContainsInAnyCase(Vec<u8>),
    StartsWith(Vec<u8>),
    EndsWith(Vec<u8>),
    Glob(Glob),
    Below(Vec<PathPrefix>),
    Regex(Box<Regex>),
}

impl Node {
    pub(crate) fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Node::All(parts) => parts.iter().all(|part| part.holds(subject)),
            Node::Any(parts) => parts.iter().any(|part| part.holds(subject)),
            Node::Not(inner) => !inner.holds(subject),
            Node::Check(check) => check.holds(subject),
        }
    }

    /// Calls this with each field that is named.
    pub(crate) fn fields(&self, visit: &mut impl FnMut(&'static Field)) {
        match self {
            Node::All(parts) | Node::Any(parts) => parts.iter().for_each(|part| part.fields(visit)),
            Node::Not(inner) => inner.fields(visit),
            Node::Check(check) => visit(check.field),
        }
    }
}

impl Check {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let (mut hits, mut misses) = (false, false);
        self.field.pick(subject, self.index, &mut |value| {
            if self.test.holds(value) {
                hits = true;
            } else {
                misses = true;
            }
        });
        // What is unset has no value, and no comparison with it is true.
        hits && !(self.of_every && misses)
    }
}

impl Test {
    fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Test::Exists, _) => true,
            (Test::Number(operator, wanted), Value::Number(number)) => compare(*operator, number.cmp(wanted)),
            (Test::Numbers(wanted), Value::Number(number)) => wanted.contains(&number),
            (Test::Bool(wanted), Value::Bool(value)) => value == *wanted,
            (Test::Is(wanted), Value::Text(text)) => text == wanted,
            (Test::IsNot(wanted), Value::Text(text)) => text != wanted,
            (Test::OneOf(wanted), Value::Text(text)) => wanted.contains(text),
            (Test::Contains(wanted), Value::Text(text)) => contains(text, wanted, |a, b| a == b),
            (Test::ContainsInAnyCase(wanted), Value::Text(text)) => {
                contains(text, wanted, <[u8]>::eq_ignore_ascii_case)
            }
            (Test::StartsWith(wanted), Value::Text(text)) => text.starts_with(wanted),
            (Test::EndsWith(wanted), Value::Text(text)) => text.ends_with(wanted),
            (Test::Glob(glob), Value::Text(text)) => glob.matches(text),
            (Test::Below(paths), Value::Text(text)) => paths.iter().any(|path| path.covers(text)),
            (Test::Regex(regex), Value::Text(text)) => regex.is_match(text),
            _ => false,
        }
    }
}

fn compare(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::AtMost => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::AtLeast => order.is_ge(),
        _ => false,
    }
}

fn contains(text: &[u8], wanted: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|part| same(part, wanted))
}
