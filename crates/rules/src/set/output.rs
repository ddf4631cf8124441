//! What a rule says when it matches: a template with the values of fields in it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Issue;
use crate::eval::Operand;
use crate::falco::Cache;
use crate::lexer::Lexer;
use crate::parser::Dialect;
use crate::pick::Value;
use crate::resolve::named_operand;
use crate::subject::Subject;

/// What stands where a field has no value.
const UNSET: &str = "<NA>";

/// A template that was read.
#[derive(Debug, Default)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// A field as it is written, and what it is; none if it is not there.
    Field(String, Option<Box<Operand>>),
}

/// A field in the output of a rule, with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Part {
    /// The field as the rule names it: `proc.aname[2]`.
    pub field: String,
    /// The value, escaped so that it is safe on a terminal; none if it is unset.
    pub value: Option<String>,
}

impl Template {
    /// Reads a template; fields that are not there are told, and shown as unset.
    pub(super) fn parse(text: &str, unknown: &mut Vec<Issue>) -> Template {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(offset) = text[at..].find('%') {
            let percent = at + offset;
            plain.push_str(&text[at..percent]);
            let rest = &text[percent + 1..];
            if rest.starts_with('%') {
                plain.push('%');
                at = percent + 2;
                continue;
            }
            let length = field_length(rest);
            if length == 0 {
                plain.push('%');
                at = percent + 1;
                continue;
            }
            let name = &rest[..length];
            let operand = match named_operand(name, Dialect::Rule) {
                Ok(operand) => Some(Box::new(operand)),
                // What is there for all parts of Falco's rules.
                Err(_) if name == "container.info" => None,
                Err(issue) => {
                    let span = percent..percent + 1 + length;
                    unknown.push(Issue { span, ..issue });
                    None
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Field(name.to_owned(), operand));
            at = percent + 1 + length;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Template { pieces }
    }

    /// The whole text.
    pub(super) fn text(&self, subject: &Subject<'_>) -> String {
        let cache = Cache::default();
        let mut whole = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => whole.push_str(&event::Text::from(text.as_str()).shown()),
                Piece::Field(_, operand) => match value(operand.as_deref(), subject, &cache) {
                    Some(value) => whole.push_str(&value),
                    None => whole.push_str(UNSET),
                },
            }
        }
        whole
    }

    /// The fields with their values, in their order, each once.
    pub(super) fn parts(&self, subject: &Subject<'_>) -> Vec<Part> {
        let cache = Cache::default();
        let mut parts: Vec<Part> = Vec::new();
        for piece in &self.pieces {
            let Piece::Field(field, operand) = piece else { continue };
            if parts.iter().all(|part| part.field != *field) {
                parts.push(Part { field: field.clone(), value: value(operand.as_deref(), subject, &cache) });
            }
        }
        parts
    }

    /// The fields that it shows.
    pub(super) fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(_, operand) => operand.as_deref(),
            Piece::Text(_) => None,
        })
    }
}

/// How long the field at the beginning is: a name, or one in transformers, with what stands in brackets behind it.
fn field_length(text: &str) -> usize {
    let mut lexer = Lexer::new(text);
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return 0;
    }
    let Some(name) = lexer.name() else { return 0 };
    // A full stop or a hyphen at the end belongs to the sentence.
    let trimmed = name.text.trim_end_matches(['.', '-']);
    if trimmed.len() < name.text.len() {
        return if trimmed.contains('.') { trimmed.len() } else { 0 };
    }
    if text[name.span.end..].starts_with('(') {
        let mut depth = 0;
        for (at, c) in text[name.span.end..].char_indices() {
            match c {
                '(' => depth += 1,
                ')' => {
                    depth -= 1;
                    if depth == 0 {
                        return name.span.end + at + 1;
                    }
                }
                c if c.is_whitespace() => break,
                _ => {}
            }
        }
        return 0;
    }
    if !name.text.contains('.') {
        return 0;
    }
    match lexer.argument() {
        Ok(Some(argument)) => argument.span.end,
        _ => name.span.end,
    }
}

fn value(operand: Option<&Operand>, subject: &Subject<'_>, cache: &Cache) -> Option<String> {
    let mut values: Vec<String> = Vec::new();
    operand?.pick(subject, cache, &mut |value| {
        values.push(match value {
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Text(bytes) => event::Text::new(bytes).shown().into_owned(),
            Value::Address(address) => address.to_string(),
        });
    });
    (!values.is_empty()).then(|| values.join("->"))
}
