//! From words to a tree, with the place of everything in it. Names and types are looked at later.

use std::ops::Range;

use crate::MAX_DEPTH;
use crate::error::Issue;
use crate::falco;
use crate::lexer::{Lexer, Literal, Name};
use crate::operator::{Operand, Operator};
use crate::similar::similar;

/// How many transformers may be in one another.
const MAX_TRANSFORMERS: usize = 8;

/// A condition as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression<'t> {
    /// All of them.
    And(Vec<Expression<'t>>),
    /// Any of them.
    Or(Vec<Expression<'t>>),
    /// Not this.
    Not(Box<Expression<'t>>),
    /// A field compared with something.
    Comparison(Comparison<'t>),
    /// What a rule file calls by this name.
    Macro(Name<'t>),
}

/// What is done with a value before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transformer {
    /// ASCII letters become small.
    ToLower,
    /// ASCII letters become capital.
    ToUpper,
    /// The text that this one is in base 64; none if it is no such form.
    B64,
    /// What stands behind the last slash.
    Basename,
    /// How many bytes a text has, or values a list.
    Len,
}

impl Transformer {
    /// Every transformer.
    pub(crate) const ALL: [Transformer; 5] =
        [Transformer::ToLower, Transformer::ToUpper, Transformer::B64, Transformer::Basename, Transformer::Len];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Transformer::ToLower => "tolower",
            Transformer::ToUpper => "toupper",
            Transformer::B64 => "b64",
            Transformer::Basename => "basename",
            Transformer::Len => "len",
        }
    }

    fn from_name(name: &str) -> Option<Transformer> {
        Transformer::ALL.into_iter().find(|transformer| transformer.name() == name)
    }
}

/// What a value on the right side of a comparison is called if it is a field: `val(proc.name)`.
const FIELD_AS_VALUE: &str = "val";

/// A field, and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldUse<'t> {
    pub(crate) field: Name<'t>,
    /// What stands in brackets behind it.
    pub(crate) argument: Option<Literal>,
    /// The innermost first.
    pub(crate) transformers: Vec<(Transformer, Range<usize>)>,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Right<'t> {
    /// None, one or a list, as the operator wants.
    Values(Vec<Literal>),
    /// Another field.
    Field(FieldUse<'t>),
}

/// A field compared with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comparison<'t> {
    pub(crate) left: FieldUse<'t>,
    pub(crate) operator: Operator,
    pub(crate) operator_span: Range<usize>,
    pub(crate) right: Right<'t>,
}

/// Where a condition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// On a command line: complete by itself.
    Condition,
    /// In a rule file, which has macros and lists and knows Falco's fields.
    Rule,
}

/// Reads a whole condition.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Expression<'_>, Issue> {
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0, dialect };
    if parser.lexer.is_at_end() {
        return Err(Issue::new(0..0, "the condition is empty").help("write one such as container.name = web"));
    }
    let expression = parser.any()?;
    if parser.lexer.is_at_end() {
        return Ok(expression);
    }
    let found = parser.lexer.anything();
    Err(match found.text {
        ")" => Issue::new(found.span, "this parenthesis was never opened"),
        _ => Issue::new(found.span, "expected `and`, `or` or the end")
            .help("put a value with blanks or signs into quotes"),
    })
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    depth: usize,
    dialect: Dialect,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Expression<'t>, Issue> {
        let mut parts = vec![self.all()?];
        while self.lexer.take_keyword("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn all(&mut self) -> Result<Expression<'t>, Issue> {
        let mut parts = vec![self.one()?];
        while self.lexer.take_keyword("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn one(&mut self) -> Result<Expression<'t>, Issue> {
        let mut is_negated = false;
        while self.lexer.take_keyword("not") {
            is_negated = !is_negated;
        }
        let begin = self.lexer.position();
        let expression = if self.lexer.take("(") { self.group(begin)? } else { self.comparison()? };
        Ok(if is_negated { Expression::Not(Box::new(expression)) } else { expression })
    }

    fn group(&mut self, begin: usize) -> Result<Expression<'t>, Issue> {
        if self.depth == MAX_DEPTH {
            return Err(Issue::new(begin..begin + 1, format!("more than {MAX_DEPTH} parentheses in one another")));
        }
        self.depth += 1;
        let expression = self.any()?;
        if !self.lexer.take(")") {
            if self.lexer.is_at_end() {
                return Err(Issue::new(begin..begin + 1, "this parenthesis is never closed"));
            }
            return Err(Issue::new(self.lexer.anything().span, "expected `and`, `or` or `)`"));
        }
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression<'t>, Issue> {
        let Some(left) = self.field_use(0)? else {
            let found = self.lexer.anything();
            return Err(Issue::new(found.span, "expected a field, `not` or `(`"));
        };
        let field = left.field.clone();
        if matches!(field.text, "and" | "or") {
            return Err(Issue::new(field.span, format!("expected a field before `{}`", field.text)));
        }
        let is_word = left.transformers.is_empty() && left.argument.is_none() && !field.text.contains('.');
        let mut ahead = self.lexer.clone();
        let found = ahead.operator().filter(|found| !matches!(found.text, "and" | "or"));
        let operator = found.as_ref().and_then(|found| Operator::from_name(found.text));
        // What follows a macro is `and`, `or`, `)` or the end; what follows a field is its operator.
        if self.dialect == Dialect::Rule && is_word && (found.is_none() || operator.is_none()) {
            return Ok(Expression::Macro(field));
        }
        let Some(found) = found else { return Err(stands_alone(field, ahead)) };
        let Some(operator) = operator else {
            if is_word && matches!(field.text, "AND" | "OR" | "NOT") {
                return Err(Issue::new(field.span, format!("write {} in small letters", field.text)));
            }
            let names = Operator::ALL.iter().map(|operator| operator.name());
            let meant = similar(&found.text.to_lowercase(), names);
            return Err(Issue::new(found.span, format!("{} is no operator", found.text)).did_you_mean(meant));
        };
        self.lexer = ahead;
        let right = match operator.operand() {
            Operand::Nothing => Right::Values(Vec::new()),
            _ => match self.field_as_value()? {
                Some(field) => Right::Field(field),
                None if operator.operand() == Operand::One => Right::Values(vec![self.value(operator)?]),
                None => Right::Values(self.list(operator)?),
            },
        };
        Ok(Expression::Comparison(Comparison { left, operator, operator_span: found.span, right }))
    }

    /// A field, perhaps with an argument, perhaps in transformers.
    fn field_use(&mut self, depth: usize) -> Result<Option<FieldUse<'t>>, Issue> {
        let Some(name) = self.lexer.name() else { return Ok(None) };
        let transformer = Transformer::from_name(name.text).filter(|_| self.lexer.clone().take("("));
        let Some(transformer) = transformer else {
            let argument = self.lexer.argument()?;
            return Ok(Some(FieldUse { field: name, argument, transformers: Vec::new() }));
        };
        if depth == MAX_TRANSFORMERS {
            return Err(Issue::new(name.span, format!("more than {MAX_TRANSFORMERS} transformers in one another")));
        }
        self.lexer.take("(");
        let Some(mut inner) = self.field_use(depth + 1)? else {
            return Err(Issue::new(self.lexer.anything().span, format!("expected a field in {}(…)", name.text)));
        };
        if !self.lexer.take(")") {
            return Err(Issue::new(
                self.lexer.anything().span,
                format!("expected `)` after the field of {}", name.text),
            ));
        }
        inner.transformers.push((transformer, name.span));
        Ok(Some(inner))
    }

    /// `val(FIELD)`, or a field in a transformer.
    fn field_as_value(&mut self) -> Result<Option<FieldUse<'t>>, Issue> {
        let mut ahead = self.lexer.clone();
        let Some(name) = ahead.name().filter(|_| ahead.clone().take("(")) else { return Ok(None) };
        if Transformer::from_name(name.text).is_some() {
            return self.field_use(0);
        }
        if name.text != FIELD_AS_VALUE {
            return Ok(None);
        }
        ahead.take("(");
        self.lexer = ahead;
        let Some(field) = self.field_use(0)? else {
            return Err(Issue::new(self.lexer.anything().span, "expected a field in val(…)"));
        };
        if !self.lexer.take(")") {
            return Err(Issue::new(self.lexer.anything().span, "expected `)` after the field of val"));
        }
        Ok(Some(field))
    }

    fn value(&mut self, operator: Operator) -> Result<Literal, Issue> {
        let mut ahead = self.lexer.clone();
        let Some(literal) = ahead.literal()? else {
            let issue = Issue::new(self.lexer.anything().span, format!("expected a value after `{operator}`"));
            return Err(if ahead.take("(") { issue.help("lists are for in, intersects and pmatch") } else { issue });
        };
        let name = Name { text: std::str::from_utf8(&literal.bytes).unwrap_or_default(), span: literal.span.clone() };
        if !literal.is_quoted && ahead.clone().take("(") && falco::is_modifier(name.text) {
            return Err(Issue::new(name.span, format!("{} is not known here", name.text))
                .help("write in or intersects, or one comparison for each value"));
        }
        let is_strict = self.dialect == Dialect::Condition && !operator.takes_pattern();
        if !literal.is_quoted && is_strict && literal.bytes.contains(&b'\\') {
            return Err(
                Issue::new(literal.span, "a value with a backslash needs quotes").help("in them \\\\ is a backslash")
            );
        }
        self.lexer = ahead;
        Ok(literal)
    }

    fn list(&mut self, operator: Operator) -> Result<Vec<Literal>, Issue> {
        let begin = self.lexer.position();
        if !self.lexer.take("(") {
            let found = self.lexer.anything();
            let issue = Issue::new(found.span.clone(), format!("expected a list in parentheses after `{operator}`"));
            return Err(match found.text {
                "" => issue,
                text if self.dialect == Dialect::Rule => issue.help(format!("write ({text})")),
                text => issue.help(format!("write ({text}); lists that have a name are for rule files")),
            });
        }
        let mut values = Vec::new();
        if self.lexer.take(")") {
            return Ok(values);
        }
        loop {
            values.push(self.value(operator)?);
            if self.lexer.take(")") {
                return Ok(values);
            }
            if self.lexer.is_at_end() {
                return Err(Issue::new(begin..begin + 1, "this list is never closed"));
            }
            if !self.lexer.take(",") {
                return Err(Issue::new(self.lexer.anything().span, "expected `,` or `)` in the list"));
            }
        }
    }
}

fn stands_alone(field: Name<'_>, mut behind: Lexer<'_>) -> Issue {
    if field.text.contains('.') {
        let at = behind.position();
        return Issue::new(at..at, format!("expected an operator after {}", field.text))
            .help("such as =, in or exists");
    }
    Issue::new(field.span, format!("{} stands alone", field.text))
        .help("write a comparison such as container.name = web; macros are for rule files")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in a form without places.
    fn shown(expression: &Expression<'_>) -> String {
        let all = |parts: &[Expression<'_>]| parts.iter().map(shown).collect::<Vec<_>>().join(" ");
        match expression {
            Expression::And(parts) => format!("(and {})", all(parts)),
            Expression::Or(parts) => format!("(or {})", all(parts)),
            Expression::Not(inner) => format!("(not {})", shown(inner)),
            Expression::Macro(name) => name.text.to_owned(),
            Expression::Comparison(it) => {
                let right = match &it.right {
                    Right::Values(values) => {
                        values.iter().map(|value| String::from_utf8_lossy(&value.bytes)).collect::<Vec<_>>().join("|")
                    }
                    Right::Field(field) => format!("field {}", used(field)),
                };
                format!("{} {} [{right}]", used(&it.left), it.operator)
            }
        }
    }

    fn used(field: &FieldUse<'_>) -> String {
        let mut shown = field.field.text.to_owned();
        if let Some(argument) = &field.argument {
            shown += &format!("[{}]", String::from_utf8_lossy(&argument.bytes));
        }
        field.transformers.iter().fold(shown, |shown, (transformer, _)| format!("{}({shown})", transformer.name()))
    }

    fn parse(text: &str) -> Result<Expression<'_>, Issue> {
        super::parse(text, Dialect::Condition)
    }

    fn read(text: &str) -> String {
        parse(text).map(|expression| shown(&expression)).unwrap_or_else(|issue| panic!("{issue:?}"))
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        assert_eq!(read("not a.b=1 and c.d=2 or e.f=3"), "(or (and (not a.b = [1]) c.d = [2]) e.f = [3])");
        assert_eq!(read("a.b=1 and(c.d=2 or e.f=3)"), "(and a.b = [1] (or c.d = [2] e.f = [3]))");
        assert_eq!(read("not not(a.b=1)"), "a.b = [1]");
    }

    #[test]
    fn every_operator_is_read() {
        for operator in Operator::ALL {
            let (text, values) = match operator.operand() {
                Operand::Nothing => (format!("a.b {operator}"), ""),
                Operand::One => (format!("a.b {operator} x"), "x"),
                Operand::List => (format!("a.b {operator} (x, 'y z' ,w)"), "x|y z|w"),
            };
            assert_eq!(read(&text), format!("a.b {operator} [{values}]"));
        }
        assert_eq!(read("a.b==x and a.b in()"), "(and a.b = [x] a.b in [])");
    }

    #[test]
    fn keywords_can_be_values() {
        assert_eq!(read("a.b = and and a.b in (or, not)"), "(and a.b = [and] a.b in [or|not])");
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        for (text, span, said) in [
            ("", 0..0, "empty"),
            ("  \n", 0..0, "empty"),
            ("a.b", 3..3, "expected an operator after a.b"),
            ("a.b =", 5..5, "expected a value after `=`"),
            ("a.b = (x)", 6..7, "expected a value"),
            ("a.b = x y", 8..9, "expected `and`, `or` or the end"),
            ("a.b = x)", 7..8, "never opened"),
            ("(a.b = x", 0..1, "never closed"),
            ("(a.b = x y)", 9..10, "expected `and`, `or` or `)`"),
            ("a.b in x", 7..8, "expected a list"),
            ("a.b in (x", 7..8, "never closed"),
            ("a.b in (x y)", 10..11, "expected `,` or `)`"),
            ("a.b in (x,)", 10..11, "expected a value"),
            ("a.b = 'x", 6..7, "never closed"),
            ("a.b = x\\y", 6..9, "needs quotes"),
            ("a.b startwith x", 4..13, "startwith is no operator"),
            ("= x", 0..1, "expected a field"),
            ("and a.b = x", 0..3, "expected a field before `and`"),
            ("spawned_process and a.b = x", 0..15, "stands alone"),
            ("tolower(a.b = x", 12..13, "expected `)`"),
            ("a.b = val(", 10..10, "expected a field"),
            ("a.b = anyof (x, y)", 6..11, "not known here"),
            ("a.b = x AND c.d = y", 8..11, "expected `and`"),
            ("a[x = y", 1..3, "in brackets"),
        ] {
            let issue = parse(text).expect_err(text);
            assert_eq!(issue.span, span, "{text}: {issue:?}");
            assert!(issue.message.contains(said), "{text}: {issue:?}");
        }
    }

    #[test]
    fn transformers_stand_around_fields_on_both_sides() {
        assert_eq!(read("tolower( basename(a.b[2]) ) = x"), "tolower(basename(a.b[2])) = [x]");
        assert_eq!(read("a.b != val(c.d[x])"), "a.b != [field c.d[x]]");
        assert_eq!(read("a.b in tolower(c.d)"), "a.b in [field tolower(c.d)]");
        assert!(parse(&format!("{}a.b{} = x", "len(".repeat(9), ")".repeat(9))).is_err());
    }

    #[test]
    fn a_word_that_stands_alone_is_a_macro_in_a_rule_file() {
        let read = |text| super::parse(text, Dialect::Rule).map(|it| shown(&it)).map_err(|issue| issue.message);

        assert_eq!(read("a and not b or (c)").as_deref(), Ok("(or (and a (not b)) c)"));
        assert_eq!(read("a.b in (list, x\\y)").as_deref(), Ok("a.b in [list|x\\y]"));
        assert!(read("a.b").is_err_and(|message| message.contains("expected an operator")));
        assert!(read("a b").is_err());
    }

    #[test]
    fn parentheses_are_bounded() {
        let nested = |depth: usize| format!("{}a.b = x{}", "(".repeat(depth), ")".repeat(depth));

        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse(&nested(100_000)).is_err());
        assert!(parse(&format!("{} a.b = x", "not ".repeat(10_000))).is_ok());
    }
}
