//! From definitions to conditions: macros and lists are put in, exceptions are added.

use std::collections::HashMap;
use std::rc::Rc;

use super::arena::{Arena, Id, TooMuch};
use crate::error::Issue;
use crate::file::{Definitions, Exception, Joined, Problem, RuleDefinition, Several, Severity, Sources, Written};
use crate::lexer::{Lexer, Literal, Name};
use crate::operator::{Operand, Operator};
use crate::parser::{Comparison, Dialect, Expression, FieldUse, Right, parse};
use crate::resolve::check;
use crate::similar::similar;

/// How many macros may be in one another.
const MAX_MACROS: usize = 64;
/// How many lists may be in one another.
const MAX_LISTS: usize = 64;
/// How many values one list may have.
const MAX_LIST_ITEMS: usize = 200_000;
/// How many values all comparisons may have together.
const MAX_VALUES: usize = 2_000_000;

/// Why a condition cannot be used.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// In short, for a table.
    pub(super) reason: String,
    /// Whether it is right as it is written, but asks for what is not there.
    pub(super) is_not_provided: bool,
    /// Where it stands.
    pub(super) problem: Rc<Problem>,
}

pub(super) struct Expander<'d, 'f> {
    definitions: &'d Definitions,
    sources: Sources<'f>,
    pub(super) arena: Arena,
    macros: HashMap<&'d str, Result<Id, Failure>>,
    /// The macros that are being put in, the outermost first.
    within: Vec<&'d str>,
    lists: HashMap<String, Result<Rc<Vec<Literal>>, String>>,
    values: usize,
}

/// Where a condition is written, and which macros it may name.
#[derive(Clone, Copy)]
struct At<'c> {
    text: &'c Joined,
    /// Those defined before this; none if all.
    before: Option<usize>,
}

impl<'d, 'f> Expander<'d, 'f> {
    pub(super) fn new(definitions: &'d Definitions, sources: Sources<'f>) -> Expander<'d, 'f> {
        Expander {
            definitions,
            sources,
            arena: Arena::default(),
            macros: HashMap::new(),
            within: Vec::new(),
            lists: HashMap::new(),
            values: 0,
        }
    }

    /// The condition of a rule with its exceptions.
    pub(super) fn rule(&mut self, rule: &'d RuleDefinition) -> Result<Id, Failure> {
        let condition = self.condition(At { text: &rule.condition, before: None })?;
        let mut parts = vec![condition];
        for exception in &rule.exceptions {
            if let Some(excepted) = self.exception(exception)? {
                let not = self.arena.not(excepted);
                parts.push(self.bounded(not, &rule.condition)?);
            }
        }
        let joined = self.arena.join(true, parts);
        self.bounded(joined, &rule.condition)
    }

    /// Why a rule about the events of another source is not asked.
    pub(super) fn of_another_source(&self, rule: &RuleDefinition) -> Failure {
        let reason = format!("it is about events of the source {}, and only system calls are looked at", rule.source);
        let problem = self.sources.at(Severity::Warning, &rule.spot, reason.clone());
        Failure { reason, is_not_provided: true, problem: Rc::new(problem) }
    }

    /// Every macro, so that one with a slip is told even if no rule names it.
    pub(super) fn unused_macros(&mut self) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut names: Vec<&'d str> = self.definitions.macros.keys().map(String::as_str).collect();
        names.sort_unstable();
        for name in names {
            if self.macros.contains_key(name) {
                continue;
            }
            let Some(definition) = self.definitions.macros.get(name) else { continue };
            if let Err(issue) = parse(&definition.condition.text, Dialect::Rule) {
                failures.push(self.failure(&definition.condition, issue, Some(name)));
            }
        }
        failures
    }

    fn bounded(&self, result: Result<Id, TooMuch>, text: &Joined) -> Result<Id, Failure> {
        result.map_err(|much| self.failure(text, Issue::new(0..0, much.message()), None))
    }

    fn failure(&self, text: &Joined, issue: Issue, within: Option<&str>) -> Failure {
        let severity = if issue.is_not_provided { Severity::Warning } else { Severity::Error };
        let mut problem = self.sources.in_text(severity, text, &issue);
        if let Some(name) = within.or_else(|| self.within.last().copied()) {
            problem = problem.about(&format!("macro {name}"));
        }
        Failure { reason: issue.message, is_not_provided: issue.is_not_provided, problem: Rc::new(problem) }
    }

    fn condition(&mut self, at: At<'_>) -> Result<Id, Failure> {
        let expression = parse(&at.text.text, Dialect::Rule).map_err(|issue| self.failure(at.text, issue, None))?;
        self.expression(&expression, at)
    }

    fn expression(&mut self, expression: &Expression<'_>, at: At<'_>) -> Result<Id, Failure> {
        let result = match expression {
            Expression::And(parts) | Expression::Or(parts) => {
                let of_all = matches!(expression, Expression::And(_));
                let parts = parts.iter().map(|part| self.expression(part, at)).collect::<Result<Vec<Id>, Failure>>()?;
                self.arena.join(of_all, parts)
            }
            Expression::Not(inner) => {
                let inner = self.expression(inner, at)?;
                self.arena.not(inner)
            }
            Expression::Macro(name) => return self.named(name, at),
            Expression::Comparison(comparison) => {
                let check = self.comparison(comparison).map_err(|issue| self.failure(at.text, issue, None))?;
                self.arena.check(check)
            }
        };
        self.bounded(result, at.text)
    }

    fn comparison(&mut self, comparison: &Comparison<'_>) -> Result<crate::eval::Check, Issue> {
        let values = match &comparison.right {
            Right::Values(values) if comparison.operator.operand() == Operand::List => self.with_lists(values)?,
            Right::Values(values) => values.clone(),
            Right::Field(_) => Vec::new(),
        };
        self.values += values.len();
        if self.values > MAX_VALUES {
            let message = format!("the rules have more than {MAX_VALUES} values together");
            return Err(Issue::new(comparison.operator_span.clone(), message));
        }
        check(comparison, &values, Dialect::Rule)
    }

    /// The condition of a macro.
    fn named(&mut self, name: &Name<'_>, at: At<'_>) -> Result<Id, Failure> {
        let wrong =
            |this: &Self, message: String| Err(this.failure(at.text, Issue::new(name.span.clone(), message), None));
        let definitions = self.definitions;
        let Some((known, definition)) = definitions.macros.get_key_value(name.text) else {
            let meant = similar(name.text, definitions.macros.keys().map(String::as_str));
            let issue = Issue::new(name.span.clone(), format!("there is no macro {}", name.text)).did_you_mean(meant);
            return Err(self.failure(at.text, issue, None));
        };
        if at.before.is_some_and(|before| definition.age.first >= before) {
            return wrong(self, format!("the macro {known} is defined after this one, which cannot use it"));
        }
        if self.within.contains(&known.as_str()) {
            return wrong(self, format!("the macro {known} is a part of itself"));
        }
        if let Some(done) = self.macros.get(known.as_str()) {
            return done.clone();
        }
        if self.within.len() == MAX_MACROS {
            return wrong(self, format!("more than {MAX_MACROS} macros in one another"));
        }
        self.within.push(known);
        let result = self.condition(At { text: &definition.condition, before: Some(definition.age.last) });
        self.within.pop();
        self.macros.insert(known, result.clone());
        result
    }

    /// Values in which the names of lists are replaced by what is in them.
    fn with_lists(&mut self, values: &[Literal]) -> Result<Vec<Literal>, Issue> {
        let mut all = Vec::new();
        for value in values {
            match self.list_of(value) {
                None => all.push(value.clone()),
                Some(list) => {
                    let list = list.map_err(|why| Issue::new(value.span.clone(), why))?;
                    all.extend(list.iter().map(|item| Literal { span: value.span.clone(), ..item.clone() }));
                }
            }
        }
        Ok(all)
    }

    fn list_of(&mut self, value: &Literal) -> Option<Result<Rc<Vec<Literal>>, String>> {
        let name = std::str::from_utf8(&value.bytes).ok().filter(|_| !value.is_quoted)?;
        self.definitions.lists.contains_key(name).then(|| self.list(name, &mut Vec::new()))
    }

    fn list(&mut self, name: &str, within: &mut Vec<String>) -> Result<Rc<Vec<Literal>>, String> {
        if let Some(known) = self.lists.get(name) {
            return known.clone();
        }
        let definitions = self.definitions;
        let Some(definition) = definitions.lists.get(name) else { return Ok(Rc::default()) };
        if within.iter().any(|outer| outer == name) {
            return Err(format!("the list {name} is a part of itself"));
        }
        if within.len() == MAX_LISTS {
            return Err(format!("more than {MAX_LISTS} lists in one another"));
        }
        within.push(name.to_owned());
        let result = self.items(name, definition.age.last, &definition.items, within);
        within.pop();
        let result = result.map(Rc::new);
        self.lists.insert(name.to_owned(), result.clone());
        result
    }

    fn items(
        &mut self,
        name: &str,
        last: usize,
        items: &[Written],
        within: &mut Vec<String>,
    ) -> Result<Vec<Literal>, String> {
        let mut all = Vec::new();
        for item in items {
            let inner = self.definitions.lists.get(&item.text).filter(|inner| inner.age.first < last);
            if inner.is_some() {
                all.extend(self.list(&item.text, within)?.iter().cloned());
            } else {
                let literal = written(&item.text).map_err(|why| format!("the list {name}: {why}"))?;
                all.push(literal);
            }
            if all.len() > MAX_LIST_ITEMS {
                return Err(format!("the list {name} has more than {MAX_LIST_ITEMS} values"));
            }
        }
        Ok(all)
    }

    /// What an exception takes out; none if it has no values.
    fn exception(&mut self, exception: &Exception) -> Result<Option<Id>, Failure> {
        let wrong = |this: &Self, spot, message: String| {
            let message = format!("exception {}: {message}", exception.name);
            let problem = this.sources.at(Severity::Error, spot, message.clone());
            Err(Failure { reason: message, is_not_provided: false, problem: Rc::new(problem) })
        };
        let Some(fields) = &exception.fields else {
            return wrong(self, &exception.spot, "fields are missing".into());
        };
        let mut cases = Vec::new();
        match fields {
            Several::One(field) => {
                let comp = match &exception.comps {
                    None => "in",
                    Some(Several::One(comp)) => &comp.text,
                    Some(Several::Many(_, spot)) => {
                        return wrong(self, spot, "with one field, comps is one operator".into());
                    }
                };
                if !matches!(comp, "in" | "pmatch" | "intersects") {
                    let spot = exception.comps.as_ref().map_or(&exception.spot, Several::spot);
                    return wrong(self, spot, "with one field, comps is in, pmatch or intersects".into());
                }
                if let Some(Several::Many(_, spot)) =
                    exception.values.iter().find(|value| matches!(value, Several::Many(..)))
                {
                    return wrong(self, spot, "with one field, values are a list of texts".into());
                }
                if !exception.values.is_empty() {
                    let all = Several::Many(exception.values.clone(), exception.spot.clone());
                    cases.push(self.excepted(field, comp, &all)?);
                }
            }
            Several::Many(fields, spot) => {
                let comps: Vec<String> = match &exception.comps {
                    None => vec!["=".to_owned(); fields.len()],
                    Some(Several::Many(comps, spot)) if comps.len() == fields.len() => {
                        let Some(comps) = texts(comps) else {
                            return wrong(self, spot, "comps are operators".into());
                        };
                        comps
                    }
                    Some(other) => {
                        return wrong(self, other.spot(), "comps must be as many as the fields".into());
                    }
                };
                for values in &exception.values {
                    let Several::Many(values, _) = values else {
                        return wrong(self, values.spot(), "with several fields, each value is a list".into());
                    };
                    if values.len() != fields.len() {
                        return wrong(self, &exception.spot, "values must be as many as the fields".into());
                    }
                    let mut parts = Vec::new();
                    for ((field, comp), value) in fields.iter().zip(&comps).zip(values) {
                        let Several::One(field) = field else {
                            return wrong(self, spot, "fields are names".into());
                        };
                        parts.push(self.excepted(field, comp, value)?);
                    }
                    let all = self.arena.join(true, parts);
                    cases.push(self.bounded(all, &Joined::new("", &exception.spot))?);
                }
            }
        }
        if cases.is_empty() {
            return Ok(None);
        }
        let any = self.arena.join(false, cases);
        self.bounded(any, &Joined::new("", &exception.spot)).map(Some)
    }

    /// `FIELD COMP VALUE` of an exception.
    fn excepted(&mut self, field: &Written, comp: &str, value: &Several) -> Result<Id, Failure> {
        let text = Joined::new(&field.text, &field.spot);
        let value_text = match value {
            Several::One(written) => Joined::new(&written.text, &written.spot),
            Several::Many(_, spot) => Joined::new("", spot),
        };
        let Some(operator) = Operator::from_name(comp) else {
            let message = format!("{comp} is no operator");
            return Err(self.failure(&text, Issue::new(0..field.text.len(), message), None));
        };
        let left = left_side(&field.text).map_err(|issue| self.failure(&text, issue, None))?;
        let mut literals = Vec::new();
        let written_values: Vec<&Written> = match value {
            Several::One(one) => vec![one],
            Several::Many(many, _) => many
                .iter()
                .filter_map(|one| match one {
                    Several::One(one) => Some(one),
                    Several::Many(..) => None,
                })
                .collect(),
        };
        for one in written_values {
            // One value may be a list in parentheses, as in a condition.
            let inner = one.text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            let read = match inner.filter(|_| operator.operand() == Operand::List) {
                Some(inner) => inner.split(',').map(|part| written(part.trim())).collect::<Result<Vec<_>, _>>(),
                None => written(&one.text).map(|literal| vec![literal]),
            };
            literals.extend(read.map_err(|why| self.failure(&value_text, Issue::new(0..0, why), None))?);
        }
        let comparison = Comparison {
            left,
            operator,
            operator_span: 0..field.text.len(),
            right: Right::Values(literals.into_iter().map(|it| Literal { span: 0..0, ..it }).collect()),
        };
        let check = self.comparison(&comparison).map_err(|issue| self.failure(&value_text, issue, None))?;
        let id = self.arena.check(check);
        self.bounded(id, &text)
    }
}

fn texts(several: &[Several]) -> Option<Vec<String>> {
    let text = |one: &Several| match one {
        Several::One(written) => Some(written.text.clone()),
        Several::Many(..) => None,
    };
    several.iter().map(text).collect()
}

/// A field as an exception names it.
fn left_side(text: &str) -> Result<FieldUse<'_>, Issue> {
    let with_operator = format!("{text} exists");
    // Only to see that it is a field and nothing else.
    match parse(&with_operator, Dialect::Rule)? {
        Expression::Comparison(_) => {}
        _ => return Err(Issue::new(0..text.len(), format!("{text} is no field"))),
    }
    let mut lexer = Lexer::new(text);
    match (lexer.name(), lexer.argument()?) {
        (Some(field), argument) if lexer.is_at_end() => Ok(FieldUse { field, argument, transformers: Vec::new() }),
        _ => Err(Issue::new(0..text.len(), format!("{text} is no field"))),
    }
}

/// A value as a list of a rule file has it: with quotes of its own, or as it is.
fn written(text: &str) -> Result<Literal, String> {
    if text.starts_with(['"', '\'']) {
        let mut lexer = Lexer::new(text);
        let literal = lexer.literal().map_err(|issue| issue.message)?;
        return match literal {
            Some(literal) if lexer.is_at_end() => Ok(literal),
            _ => Err(format!("the value {text} goes on behind its quotes")),
        };
    }
    if text.is_empty() {
        return Err("a value is empty".into());
    }
    let is_word = !text.contains(|c: char| "()\"'=,".contains(c));
    if !is_word && !text.contains(' ') {
        return Err(format!("the value {text} needs quotes of its own: write '\"{text}\"'"));
    }
    Ok(Literal { bytes: text.as_bytes().to_vec(), span: 0..0, is_quoted: false })
}
