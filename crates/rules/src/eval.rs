//! Asking a condition about a subject.

use std::cmp::Ordering;

use memchr::memmem::Finder;
use regex::bytes::Regex;
use rustc_hash::FxHashSet;

use crate::falco::{Argument, Cache, Direct, Quick, quick};
use crate::fields::Field;
use crate::glob::{Glob, PathPrefix};
use crate::network::Network;
use crate::operator::Operator;
use crate::parser::Transformer;
use crate::pick::Value;
use crate::subject::Subject;
use crate::transform::{Owned, transformed};

/// A condition whose names and types are right.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Check(Check),
}

/// A field, and what is done with its value.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) field: &'static Field,
    pub(crate) argument: Argument,
    /// The innermost first.
    pub(crate) transformers: Vec<Transformer>,
    /// The field, if it is picked directly and nothing is done with it.
    pub(crate) plain: Option<Direct>,
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) left: Operand,
    /// Whether it must hold of every value, and not of any.
    pub(crate) of_every: bool,
    pub(crate) test: Test,
    /// As it is written.
    pub(crate) shown: Box<str>,
}

/// What must hold of a value. A value of another type never holds: types were checked before.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Exists,
    Never,
    Number(Operator, i128),
    Numbers(FxHashSet<i128>),
    Bool(bool),
    Is(Vec<u8>),
    IsNot(Vec<u8>),
    OneOf(FxHashSet<Vec<u8>>),
    Contains(Box<Finder<'static>>),
    ContainsInAnyCase(Vec<u8>),
    StartsWith(Vec<u8>),
    EndsWith(Vec<u8>),
    Glob(Glob),
    Below(Vec<PathPrefix>),
    Regex(Box<Regex>),
    /// In any of them; with `true` in none.
    Networks(Vec<Network>, bool),
    /// As the operator says, of any value of another field.
    Field(Operator, Box<Operand>),
}

impl Node {
    pub(crate) fn holds(&self, subject: &Subject<'_>, cache: &Cache) -> bool {
        match self {
            Node::All(parts) => parts.iter().all(|part| part.holds(subject, cache)),
            Node::Any(parts) => parts.iter().any(|part| part.holds(subject, cache)),
            Node::Not(inner) => !inner.holds(subject, cache),
            Node::Check(check) => check.holds(subject, cache),
        }
    }

    /// Calls this with each field that is named.
    pub(crate) fn fields(&self, visit: &mut impl FnMut(&'static Field)) {
        match self {
            Node::All(parts) | Node::Any(parts) => parts.iter().for_each(|part| part.fields(visit)),
            Node::Not(inner) => inner.fields(visit),
            Node::Check(check) => check.fields(visit),
        }
    }
}

impl Operand {
    /// Shows its values.
    pub(crate) fn pick(&self, subject: &Subject<'_>, cache: &Cache, visit: &mut impl FnMut(Value<'_>)) {
        if self.transformers.is_empty() {
            return self.field.pick(subject, &self.argument, cache, visit);
        }
        if self.transformers.first() == Some(&Transformer::Len) && (self.field.is_list || self.field.has_any()) {
            let mut count = 0;
            self.field.pick(subject, &self.argument, cache, &mut |_| count += 1);
            return visit(Value::Number(count));
        }
        self.field.pick(subject, &self.argument, cache, &mut |value| {
            transformed(value, &self.transformers, &mut |value| visit(value));
        });
    }
}

impl Check {
    pub(crate) fn fields(&self, visit: &mut impl FnMut(&'static Field)) {
        visit(self.left.field);
        if let Test::Field(_, right) = &self.test {
            visit(right.field);
        }
    }

    pub(crate) fn holds(&self, subject: &Subject<'_>, cache: &Cache) -> bool {
        if let Test::Field(operator, right) = &self.test {
            return self.holds_of_field(*operator, right, subject, cache);
        }
        // Most comparisons are with texts that are there as they are.
        if let Some(direct) = self.left.plain {
            match quick(direct, &self.left.argument, subject, cache) {
                Quick::Text(text) => return self.test.holds(Value::Text(text)),
                Quick::Unset => return false,
                Quick::Other => {}
            }
        }
        let (mut hits, mut misses) = (false, false);
        self.left.pick(subject, cache, &mut |value| {
            if self.test.holds(value) {
                hits = true;
            } else {
                misses = true;
            }
        });
        // What is unset has no value, and no comparison with it is true.
        hits && !(self.of_every && misses)
    }

    fn holds_of_field(&self, operator: Operator, right: &Operand, subject: &Subject<'_>, cache: &Cache) -> bool {
        let mut wanted: Vec<Owned> = Vec::new();
        right.pick(subject, cache, &mut |value| wanted.push(Owned::new(value)));
        let (mut hits, mut misses) = (false, false);
        self.left.pick(subject, cache, &mut |value| {
            let is_hit = match operator {
                Operator::NotEqual => !wanted.is_empty() && wanted.iter().all(|other| other.compare(operator, value)),
                _ => wanted.iter().any(|other| other.compare(operator, value)),
            };
            if is_hit {
                hits = true;
            } else {
                misses = true;
            }
        });
        hits && !(self.of_every && misses)
    }
}

impl Test {
    pub(crate) fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Test::Exists, _) => true,
            (Test::Number(operator, wanted), Value::Number(number)) => compare(*operator, number.cmp(wanted)),
            (Test::Numbers(wanted), Value::Number(number)) => wanted.contains(&number),
            (Test::Bool(wanted), Value::Bool(value)) => value == *wanted,
            (Test::Is(wanted), Value::Text(text)) => text == wanted,
            (Test::IsNot(wanted), Value::Text(text)) => text != wanted,
            (Test::OneOf(wanted), Value::Text(text)) => wanted.contains(text),
            (Test::Contains(wanted), Value::Text(text)) => wanted.find(text).is_some(),
            (Test::ContainsInAnyCase(wanted), Value::Text(text)) => contains_in_any_case(text, wanted),
            (Test::StartsWith(wanted), Value::Text(text)) => text.starts_with(wanted),
            (Test::EndsWith(wanted), Value::Text(text)) => text.ends_with(wanted),
            (Test::Glob(glob), Value::Text(text)) => glob.matches(text),
            (Test::Below(paths), Value::Text(text)) => paths.iter().any(|path| path.covers(text)),
            (Test::Regex(regex), Value::Text(text)) => regex.is_match(text),
            (Test::Networks(networks, is_negated), Value::Address(address)) => {
                networks.iter().any(|network| network.contains(address)) != *is_negated
            }
            _ => false,
        }
    }
}

pub(crate) fn compare(operator: Operator, order: Ordering) -> bool {
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

pub(crate) fn contains_in_any_case(text: &[u8], wanted: &[u8]) -> bool {
    let Some((first, rest)) = wanted.split_first() else { return true };
    let (small, capital) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(small, capital, text)
        .any(|at| text.get(at + 1..at + wanted.len()).is_some_and(|part| part.eq_ignore_ascii_case(rest)))
}
