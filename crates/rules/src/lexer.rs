//! The words of a condition. What may stand at a place depends on what came before, so the parser asks for it.

use std::ops::Range;

use crate::error::Issue;
use crate::escape::unescape;

/// A name or a keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<'t> {
    pub(crate) text: &'t str,
    pub(crate) span: Range<usize>,
}

/// A value, as the bytes that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) bytes: Vec<u8>,
    pub(crate) span: Range<usize>,
    pub(crate) is_quoted: bool,
}

/// A place in the text.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0 }
    }

    /// Where it is, after blanks.
    pub(crate) fn position(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{8}']).len();
        self.at
    }

    pub(crate) fn is_at_end(&mut self) -> bool {
        self.position() == self.text.len()
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// What stands here, for a message: one word or one sign.
    pub(crate) fn anything(&mut self) -> Name<'t> {
        let at = self.position();
        let rest = self.rest();
        let word = rest.find(|c: char| c.is_whitespace() || "()[],=".contains(c)).unwrap_or(rest.len());
        let length = if word == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { word };
        Name { text: &rest[..length], span: at..at + length }
    }

    /// Takes this sign if it stands here.
    pub(crate) fn take(&mut self, sign: &str) -> bool {
        self.position();
        let is_here = self.rest().starts_with(sign);
        if is_here {
            self.at += sign.len();
        }
        is_here
    }

    /// Takes this keyword if it stands here, as a whole word.
    pub(crate) fn take_keyword(&mut self, keyword: &str) -> bool {
        let mut ahead = self.clone();
        let is_here = ahead.name().is_some_and(|name| name.text == keyword);
        if is_here {
            *self = ahead;
        }
        is_here
    }

    /// Takes a name: letters, digits, `_`, `-` and `.`, with a letter first.
    pub(crate) fn name(&mut self) -> Option<Name<'t>> {
        let begin = self.position();
        let rest = self.rest();
        rest.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            self.at += length;
            Name { text: &rest[..length], span: begin..self.at }
        })
    }

    /// Takes an operator: signs of comparison, or a word.
    pub(crate) fn operator(&mut self) -> Option<Name<'t>> {
        let begin = self.position();
        let rest = self.rest();
        let signs = ["==", "!=", "<=", ">=", "=", "<", ">"].into_iter().find(|&signs| rest.starts_with(signs));
        match signs {
            Some(signs) => {
                self.at += signs.len();
                Some(Name { text: &rest[..signs.len()], span: begin..self.at })
            }
            None => self.name(),
        }
    }

    /// Takes `[ARGUMENT]` right behind a name.
    pub(crate) fn argument(&mut self) -> Result<Option<Literal>, Issue> {
        let begin = self.at;
        let Some(inner) = self.rest().strip_prefix('[') else { return Ok(None) };
        self.at += 1;
        let bytes = if inner.starts_with(['"', '\'']) {
            self.literal()?.map(|literal| literal.bytes).unwrap_or_default()
        } else {
            let ends = |c: char| c.is_whitespace() || "[]\"'".contains(c);
            let length = inner.find(ends).unwrap_or(inner.len());
            self.at += length;
            inner.as_bytes()[..length].to_vec()
        };
        if bytes.is_empty() || !self.rest().starts_with(']') {
            let span = begin..self.at + usize::from(self.rest().starts_with(']'));
            return Err(Issue::new(span, "expected a number or a name in brackets, such as [0]"));
        }
        self.at += 1;
        Ok(Some(Literal { bytes, span: begin..self.at, is_quoted: false }))
    }

    /// Takes a value: in quotes, or a bare word, which ends before a blank, a bracket, a comma, a quote or `=`.
    pub(crate) fn literal(&mut self) -> Result<Option<Literal>, Issue> {
        let begin = self.position();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let inner = &rest[1..];
            let length = closing(inner, quote)
                .ok_or_else(|| Issue::new(begin..begin + 1, format!("the quote {quote} is never closed")))?;
            let bytes = unescape(&inner[..length], quote, begin + 1)?;
            self.at += length + 2;
            return Ok(Some(Literal { bytes, span: begin..self.at, is_quoted: true }));
        }
        let ends = |c: char| c.is_ascii_whitespace() || c == '\u{8}' || "()\"'=,".contains(c);
        let length = rest.find(ends).unwrap_or(rest.len());
        self.at += length;
        let bytes = rest.as_bytes()[..length].to_vec();
        Ok((length > 0).then_some(Literal { bytes, span: begin..self.at, is_quoted: false }))
    }
}

/// Where the quote is closed.
fn closing(inner: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_signs_without_blanks_between() {
        let mut lexer = Lexer::new("container.name!=web\tand(x");

        assert_eq!(lexer.name().map(|name| name.text), Some("container.name"));
        assert_eq!(lexer.operator().map(|name| name.text), Some("!="));
        assert_eq!(lexer.literal().expect("a value").map(|literal| literal.bytes), Some(b"web".to_vec()));
        assert!(!lexer.take_keyword("an") && lexer.take_keyword("and") && lexer.take("("));
        assert_eq!(lexer.anything(), Name { text: "x", span: 24..25 });
    }

    #[test]
    fn a_quote_may_hold_anything_and_must_be_closed() {
        let mut lexer = Lexer::new(r#" 'a "b" \' )' x"#);

        let literal = lexer.literal().expect("a value").expect("a value");
        assert_eq!(
            (literal.bytes.as_slice(), literal.span, literal.is_quoted),
            (br#"a "b" ' )"#.as_slice(), 1..13, true)
        );
        assert_eq!(Lexer::new("'a\\'").literal().expect_err("open").span, 0..1);
    }

    #[test]
    fn what_stands_in_brackets_belongs_to_the_name() {
        let argument = |text| {
            let mut lexer = Lexer::new(text);
            lexer.name();
            lexer.argument().map(|found| found.map(|literal| literal.bytes)).map_err(|issue| issue.span)
        };

        assert_eq!((argument("a[12] = b"), argument("a = b")), (Ok(Some(b"12".to_vec())), Ok(None)));
        assert_eq!(argument("a[/etc/*] = b"), Ok(Some(b"/etc/*".to_vec())));
        assert_eq!(argument("a['x y]'] = b"), Ok(Some(b"x y]".to_vec())));
        for (wrong, span) in [("a[]", 1..3), ("a[x", 1..3), ("a[x y]", 1..3), ("a['x'", 1..5)] {
            assert_eq!(argument(wrong), Err(span), "{wrong}");
        }
    }
}
