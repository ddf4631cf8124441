//! From a tree of words to one of fields: each name must be known, each operator fit the field's type, and each value
//! be one that the field can have.

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use crate::error::Issue;
use crate::eval::{Check, Node, Operand, Test};
use crate::falco::{self, Argument, Call, Direct, Takes};
use crate::fields::{Field, Type, registry};
use crate::glob::{Glob, PathPrefix};
use crate::lexer::{Literal, Name};
use crate::network::Network;
use crate::operator::Operator;
use crate::parser::{Comparison, Dialect, Expression, FieldUse, Right, Transformer};
use crate::similar::similar;

mod test;

use test::{bool_test, network_test, number_test, text_test};

/// What a compiled regular expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A condition that is complete by itself.
pub(crate) fn resolve(expression: &Expression<'_>) -> Result<Node, Issue> {
    let all = |parts: &[Expression<'_>]| parts.iter().map(resolve).collect::<Result<Vec<Node>, Issue>>();
    Ok(match expression {
        Expression::And(parts) => Node::All(all(parts)?),
        Expression::Or(parts) => Node::Any(all(parts)?),
        Expression::Not(inner) => Node::Not(Box::new(resolve(inner)?)),
        Expression::Comparison(comparison) => {
            let values = match &comparison.right {
                Right::Values(values) => Cow::Borrowed(values.as_slice()),
                Right::Field(_) => Cow::Borrowed([].as_slice()),
            };
            Node::Check(check(comparison, &values, Dialect::Condition)?)
        }
        Expression::Macro(name) => {
            return Err(Issue::new(name.span.clone(), format!("{} stands alone", name.text)));
        }
    })
}

/// A comparison with these values on its right side, if there is no field.
pub(crate) fn check(comparison: &Comparison<'_>, values: &[Literal], dialect: Dialect) -> Result<Check, Issue> {
    let left = operand(&comparison.left, dialect)?;
    let of = type_after(&left, &comparison.left)?;
    let is_list = left.field.is_list && left.argument == Argument::None && left.transformers.is_empty();
    fits(left.field, of, is_list, comparison)?;
    let operator = comparison.operator;
    let of_every = (is_list && operator == Operator::In) || (left.field.has_any() && operator == Operator::NotEqual);
    let about = About { field: left.field, operator, operator_span: &comparison.operator_span, values };
    let test = match (&comparison.right, of) {
        _ if operator == Operator::Exists => Test::Exists,
        (Right::Field(right), _) => field_test(comparison, of, right, dialect)?,
        (Right::Values(_), Type::Number) => number_test(&about)?,
        (Right::Values(_), Type::Bool) => bool_test(&about)?,
        (Right::Values(_), Type::Text) => text_test(&about)?,
        (Right::Values(_), Type::Address) => network_test(&about)?,
    };
    if matches!(left.field.direct(), Some((Direct::EvtType | Direct::SyscallType, _)))
        && matches!(operator, Operator::Equal | Operator::NotEqual | Operator::In | Operator::Intersects)
    {
        values.iter().try_for_each(is_event)?;
    }
    let shown = shown(&left, comparison, values).into();
    Ok(Check { left, of_every, test, shown })
}

/// A field that stands alone, as in a template: perhaps with an argument, perhaps in transformers.
pub(crate) fn named_operand(text: &str, dialect: Dialect) -> Result<Operand, Issue> {
    let with_operator = format!("{text} exists");
    match crate::parser::parse(&with_operator, dialect)? {
        Expression::Comparison(comparison) if comparison.operator == Operator::Exists => {
            let operand = operand(&comparison.left, dialect)?;
            type_after(&operand, &comparison.left)?;
            Ok(operand)
        }
        _ => Err(Issue::new(0..text.len(), format!("{text} is no field"))),
    }
}

/// What a test is made from.
struct About<'c> {
    field: &'static Field,
    operator: Operator,
    operator_span: &'c Range<usize>,
    values: &'c [Literal],
}

fn operand(used: &FieldUse<'_>, dialect: Dialect) -> Result<Operand, Issue> {
    let (field, argument) = match dialect {
        Dialect::Condition => of_condition(used)?,
        Dialect::Rule => of_rule(used)?,
    };
    let transformers: Vec<Transformer> = used.transformers.iter().map(|(transformer, _)| *transformer).collect();
    let plain = field.direct().map(|(direct, _)| direct).filter(|_| transformers.is_empty());
    Ok(Operand { field, argument, transformers, plain })
}

fn of_condition(used: &FieldUse<'_>) -> Result<(&'static Field, Argument), Issue> {
    let Name { text: name, span } = &used.field;
    let field = registry().find(name).ok_or_else(|| unknown(name, span.clone()))?;
    Ok((field, element(field, used)?))
}

/// Which element of a list.
fn element(field: &'static Field, used: &FieldUse<'_>) -> Result<Argument, Issue> {
    let Some(argument) = &used.argument else { return Ok(Argument::None) };
    if !field.is_list {
        let message = format!("{} is a {}, no list", field.name, field.type_name());
        return Err(Issue::new(argument.span.clone(), message));
    }
    match place(&argument.bytes) {
        Some(at) => Ok(Argument::Number(at)),
        None => Err(Issue::new(argument.span.clone(), "which element is a number: write [0] for the first")),
    }
}

fn place(bytes: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(bytes).ok()?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A field as a rule names it: `evt.arg.flags` is one with an argument.
fn of_rule(used: &FieldUse<'_>) -> Result<(&'static Field, Argument), Issue> {
    let Name { text: name, span } = &used.field;
    for prefix in ["evt.arg", "evt.rawarg"] {
        let argument = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        if let (Some(argument), Some(field)) = (argument, registry().find_for_rules(prefix)) {
            let argument = Argument::Name(argument.as_bytes().to_vec(), None);
            return known_argument(argument, span.clone()).map(|argument| (field, argument));
        }
    }
    let Some(field) = registry().find_for_rules(name) else { return Err(unknown_in_rule(name, span.clone())) };
    if !field.is_for_rules() {
        return Ok((field, element(field, used)?));
    }
    let wrong = |message: String| match &used.argument {
        Some(argument) => Issue::new(argument.span.clone(), message),
        None => Issue::new(span.clone(), message),
    };
    let argument = match (&used.argument, field.takes()) {
        (None, Takes::Key) => return Err(wrong(format!("{name} needs a name or a number in brackets"))),
        (None, _) => Argument::None,
        (Some(_), Takes::Nothing) => return Err(wrong(format!("{name} takes nothing in brackets"))),
        (Some(argument), Takes::Level) => match place(&argument.bytes) {
            Some(level) => Argument::Number(level),
            None => return Err(wrong(format!("which ancestor is a number: write {name}[2] for the grandparent"))),
        },
        (Some(argument), Takes::Key | Takes::MaybeKey) => match place(&argument.bytes) {
            Some(at) if field.takes() == Takes::Key => Argument::Number(at),
            _ => {
                let pattern = argument.bytes.iter().any(|byte| b"*?[".contains(byte));
                let glob = pattern.then(|| Glob::new(&argument.bytes, false)).transpose();
                let glob = glob.map_err(|why| wrong(why.to_owned()))?;
                Argument::Name(argument.bytes.clone(), glob)
            }
        },
    };
    let is_argument = matches!(field.direct(), Some((Direct::EvtArg | Direct::EvtRawarg, _)));
    let argument = if is_argument { known_argument(argument, span.clone())? } else { argument };
    Ok((field, argument))
}

fn known_argument(argument: Argument, span: Range<usize>) -> Result<Argument, Issue> {
    if falco::is_argument(&argument) {
        return Ok(argument);
    }
    let Argument::Name(name, _) = &argument else { return Ok(argument) };
    let name = event::Text::new(name);
    let names = Call::all().iter().flat_map(|call| call.arguments).map(|(name, _)| *name);
    let meant = similar(&name.escaped(), names).map(str::to_owned);
    let issue = Issue::new(span, format!("no call's argument {name} is looked at")).not_provided();
    Err(issue.did_you_mean(meant.as_deref()))
}

fn unknown(name: &str, span: Range<usize>) -> Issue {
    if falco::has_field(name) {
        let issue = Issue::new(span, format!("{name} is a field of Falco's, for rule files alone"));
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

fn unknown_in_rule(name: &str, span: Range<usize>) -> Issue {
    if let Some(why) = falco::why_absent(name) {
        return Issue::new(span, format!("{name} is not provided: {why}")).not_provided();
    }
    let issue = Issue::new(span, format!("unknown field {name}"));
    match registry().similar_for_rules(name) {
        Some(meant) => issue.did_you_mean(Some(meant)),
        None => issue.help("`ringfence fields` prints those that there are"),
    }
}

/// Whether there is an event with this name.
fn is_event(value: &Literal) -> Result<(), Issue> {
    let text = event::Text::new(&value.bytes);
    let name = text.escaped();
    if Call::named(&name).is_some() {
        return Ok(());
    }
    if let Some(why) = falco::why_absent_event(&name) {
        return Err(Issue::new(value.span.clone(), format!("the event {name} is not provided: {why}")).not_provided());
    }
    let issue = Issue::new(value.span.clone(), format!("there is no system call {name}"));
    Err(issue.did_you_mean(similar(&name, Call::all().iter().map(|call| call.name))))
}

/// The type of what is left after the transformers.
fn type_after(operand: &Operand, used: &FieldUse<'_>) -> Result<Type, Issue> {
    let is_many = operand.field.is_list || operand.field.has_any();
    let mut of = operand.field.of;
    for (at, (transformer, span)) in used.transformers.iter().enumerate() {
        let is_count = *transformer == Transformer::Len && at == 0 && is_many;
        if of != Type::Text && !is_count {
            let message = format!("{}(…) is for texts, and this is a {}", transformer.name(), name_of(of));
            return Err(Issue::new(span.clone(), message));
        }
        if *transformer == Transformer::Len {
            of = Type::Number;
        }
    }
    Ok(of)
}

/// Whether the operator is one for the field's type.
fn fits(field: &Field, of: Type, is_list: bool, comparison: &Comparison<'_>) -> Result<(), Issue> {
    use Operator::{AtLeast, AtMost, Equal, Exists, Greater, In, Intersects, Less, NotEqual};
    let operator = comparison.operator;
    let wrong = || {
        let kind = if is_list { field.type_name() } else { name_of(of) };
        Issue::new(comparison.operator_span.clone(), format!("{} is a {kind}: `{operator}` is not for it", field.name))
    };
    if matches!(operator, In | Intersects | Exists) {
        return Ok(());
    }
    if is_list && (matches!(operator, Equal | NotEqual) || of != Type::Text) {
        let name = &field.name;
        return Err(wrong().help(format!("write {name} intersects (…), or {name}[0] for the first element")));
    }
    match (of, operator) {
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
        Type::Address => "address",
    }
}

fn field_test(comparison: &Comparison<'_>, of: Type, right: &FieldUse<'_>, dialect: Dialect) -> Result<Test, Issue> {
    use Operator::{
        AtLeast, AtMost, Contains, Endswith, Equal, Greater, Icontains, In, Intersects, Less, NotEqual, Startswith,
    };
    let operator = comparison.operator;
    let takes = matches!(
        operator,
        Equal
            | NotEqual
            | Less
            | AtMost
            | Greater
            | AtLeast
            | Contains
            | Icontains
            | Startswith
            | Endswith
            | In
            | Intersects
    );
    if !takes {
        let message = format!("`{operator}` compares with a value, not with a field");
        return Err(Issue::new(comparison.operator_span.clone(), message));
    }
    let field = operand(right, dialect)?;
    let theirs = type_after(&field, right)?;
    if theirs != of {
        let message =
            format!("{} is a {}, and it is compared with a {}", right.field.text, name_of(theirs), name_of(of));
        return Err(Issue::new(right.field.span.clone(), message));
    }
    Ok(Test::Field(operator, Box::new(field)))
}

/// The comparison as it is written, the same for all that are the same.
fn shown(left: &Operand, comparison: &Comparison<'_>, values: &[Literal]) -> String {
    let operator = comparison.operator;
    let left = shown_operand(left);
    let literal = |literal: &Literal| quoted(&literal.bytes);
    match &comparison.right {
        Right::Field(right) => {
            let argument = right.argument.as_ref().map(|it| format!("[{}]", event::Text::new(&it.bytes)));
            let field = format!("{}{}", right.field.text, argument.unwrap_or_default());
            let right = right.transformers.iter().fold(field, |it, (by, _)| format!("{}({it})", by.name()));
            format!("{left} {operator} val({right})")
        }
        Right::Values(_) => match operator.operand() {
            crate::operator::Operand::Nothing => format!("{left} {operator}"),
            crate::operator::Operand::One => {
                format!("{left} {operator} {}", values.first().map(literal).unwrap_or_default())
            }
            crate::operator::Operand::List => {
                format!("{left} {operator} ({})", values.iter().map(literal).collect::<Vec<_>>().join(", "))
            }
        },
    }
}

fn shown_operand(operand: &Operand) -> String {
    let name = match &operand.argument {
        Argument::None => operand.field.name.clone(),
        Argument::Number(at) => format!("{}[{at}]", operand.field.name),
        Argument::Name(name, _) if operand.field.name.starts_with("evt.") => {
            format!("{}.{}", operand.field.name, event::Text::new(name))
        }
        Argument::Name(name, _) => format!("{}[{}]", operand.field.name, event::Text::new(name)),
    };
    operand.transformers.iter().fold(name, |it, by| format!("{}({it})", by.name()))
}

/// A value as it can be written: in quotes unless it is a plain word.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text = event::Text::new(bytes);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:*+%@".contains(c);
    match std::str::from_utf8(bytes) {
        Ok(word) if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        _ => format!("\"{}\"", text.shown().replace('"', "\\\"")),
    }
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

/// Paths that others lie below.
fn prefixes(values: &[Literal]) -> Result<Vec<PathPrefix>, Issue> {
    let prefix = |value: &Literal| PathPrefix::new(&value.bytes).map_err(|why| Issue::new(value.span.clone(), why));
    values.iter().map(prefix).collect()
}

/// Networks.
fn networks(field: &Field, values: &[Literal]) -> Result<Vec<Network>, Issue> {
    let read = |value: &Literal| {
        Network::parse(&value.bytes).ok_or_else(|| {
            let text = event::Text::new(&value.bytes);
            let message = format!("{} is an address, and `{text}` is no address and no network", field.name);
            Issue::new(value.span.clone(), message)
        })
    };
    values.iter().map(read).collect()
}
