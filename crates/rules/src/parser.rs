//! From words to a tree, with the place of everything in it. Names and types are looked at later.

use std::ops::Range;

use crate::MAX_DEPTH;
use crate::error::Issue;
use crate::falco;
use crate::lexer::{Lexer, Literal, Name};
use crate::operator::{Operand, Operator};
use crate::similar::similar;

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
}

/// A field compared with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comparison<'t> {
    pub(crate) field: Name<'t>,
    pub(crate) index: Option<(usize, Range<usize>)>,
    pub(crate) operator: Operator,
    pub(crate) operator_span: Range<usize>,
    /// None, one or a list, as the operator wants.
    pub(crate) values: Vec<Literal>,
}

/// Reads a whole condition.
pub(crate) fn parse(text: &str) -> Result<Expression<'_>, Issue> {
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
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
        let Some(field) = self.lexer.name() else {
            let found = self.lexer.anything();
            return Err(Issue::new(found.span, "expected a field, `not` or `(`"));
        };
        if matches!(field.text, "and" | "or") {
            return Err(Issue::new(field.span, format!("expected a field before `{}`", field.text)));
        }
        let index = self.lexer.index()?;
        let mut ahead = self.lexer.clone();
        if falco::is_transformer(field.text) && ahead.take("(") {
            return Err(transformer(field));
        }
        let Some(found) = ahead.operator().filter(|found| !matches!(found.text, "and" | "or")) else {
            return Err(stands_alone(field, ahead));
        };
        let Some(operator) = Operator::from_name(found.text) else {
            if !field.text.contains('.') && matches!(field.text, "AND" | "OR" | "NOT") {
                return Err(Issue::new(field.span, format!("write {} in small letters", field.text)));
            }
            let names = Operator::ALL.iter().map(|operator| operator.name());
            let meant = similar(&found.text.to_lowercase(), names);
            return Err(Issue::new(found.span, format!("{} is no operator", found.text)).did_you_mean(meant));
        };
        self.lexer = ahead;
        let values = match operator.operand() {
            Operand::Nothing => Vec::new(),
            Operand::One => vec![self.value(operator)?],
            Operand::List => self.list(operator)?,
        };
        Ok(Expression::Comparison(Comparison { field, index, operator, operator_span: found.span, values }))
    }

    fn value(&mut self, operator: Operator) -> Result<Literal, Issue> {
        let mut ahead = self.lexer.clone();
        let Some(literal) = ahead.literal()? else {
            let issue = Issue::new(self.lexer.anything().span, format!("expected a value after `{operator}`"));
            return Err(if ahead.take("(") { issue.help("lists are for in, intersects and pmatch") } else { issue });
        };
        let name = Name { text: std::str::from_utf8(&literal.bytes).unwrap_or_default(), span: literal.span.clone() };
        if !literal.is_quoted && ahead.clone().take("(") {
            if falco::is_transformer(name.text) {
                return Err(transformer(name));
            }
            if falco::is_modifier(name.text) {
                return Err(Issue::new(name.span, format!("{} is known to Falco and not here", name.text))
                    .help("write in or intersects, or one comparison for each value"));
            }
        }
        if !literal.is_quoted && !operator.takes_pattern() && literal.bytes.contains(&b'\\') {
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

fn transformer(name: Name<'_>) -> Issue {
    Issue::new(name.span, format!("{}(…) is known to Falco and not here", name.text))
        .help("icontains and iglob do not tell capital letters from small ones")
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
            Expression::Comparison(it) => {
                let values: Vec<_> = it.values.iter().map(|value| String::from_utf8_lossy(&value.bytes)).collect();
                format!("{} {} [{}]", it.field.text, it.operator, values.join("|"))
            }
        }
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
            ("tolower(a.b) = x", 0..7, "known to Falco"),
            ("a.b = val(c.d)", 6..9, "known to Falco"),
            ("a.b = anyof (x, y)", 6..11, "known to Falco"),
            ("a.b = x AND c.d = y", 8..11, "expected `and`"),
            ("a[x] = y", 1..4, "which element"),
        ] {
            let issue = parse(text).expect_err(text);
            assert_eq!(issue.span, span, "{text}: {issue:?}");
            assert!(issue.message.contains(said), "{text}: {issue:?}");
        }
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
