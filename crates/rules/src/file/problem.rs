//! What is wrong with rule files, shown with its line and marks below the place.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Issue, harmless, width};

/// How much of a long line is shown on each side of what is wrong, in characters.
const AROUND: usize = 60;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; everything works as written.
    Note,
    /// Something may not do what its author wanted.
    Warning,
    /// Something is wrong: what it belongs to is left out.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Something that is wrong with a rule file, and where.
///
/// Shown, it has one line that says what, and, where there is one, the line of the file with marks below the place. It is
/// safe on a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name, as it was given.
    pub file: String,
    /// The line, the first being 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// The column in characters, the first being 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The rule, macro or list that it is about.
    pub about: Option<String>,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    marked: Range<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = harmless(&self.file);
        if self.line > 0 {
            write!(f, "{name}:{}:{}: ", self.line, self.column)?;
        } else {
            write!(f, "{name}: ")?;
        }
        let message = harmless(&self.message);
        match &self.about {
            Some(about) => write!(f, "{}: {}: {message}", self.severity.name(), harmless(about))?,
            None => write!(f, "{}: {message}", self.severity.name())?,
        }
        let Some(excerpt) = &self.excerpt else { return Ok(()) };
        let chars: Vec<char> = excerpt.line.chars().collect();
        let skipped = excerpt.marked.start.saturating_sub(AROUND).min(chars.len());
        let part = |range: Range<usize>| {
            let end = range.end.min(chars.len());
            harmless(&chars[range.start.min(end)..end].iter().collect::<String>())
        };
        let end = (excerpt.marked.start + AROUND).min(chars.len());
        let before = part(skipped..excerpt.marked.start);
        let wrong = part(excerpt.marked.start..excerpt.marked.end.min(end));
        let after = part(excerpt.marked.end.min(end)..end);
        let lead = if skipped > 0 { "…" } else { "" };
        let indent = " ".repeat(lead.chars().count() + width(&before));
        write!(f, "\n  {lead}{before}{wrong}{after}\n  {indent}{}", "^".repeat(width(&wrong).max(1)))
    }
}

/// Where a value stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The number of the file.
    pub(crate) file: usize,
    /// Its characters, with quotes or the sign that begins a block.
    pub(crate) chars: Range<usize>,
    /// Whether it is a block that begins with `>` or `|`.
    pub(crate) is_block: bool,
}

impl Spot {
    pub(crate) fn start_of(file: usize) -> Spot {
        Spot { file, chars: 0..0, is_block: false }
    }
}

/// The files that are loaded together: name and text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'f>(pub(crate) &'f [(String, String)]);

/// Text that was put together from values of files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    pub(crate) text: String,
    /// Where each piece begins in the text, and where it stands.
    pieces: Vec<(usize, Spot)>,
}

impl Joined {
    pub(crate) fn new(text: &str, spot: &Spot) -> Joined {
        Joined { text: text.to_owned(), pieces: vec![(0, spot.clone())] }
    }

    /// Adds more, behind a blank.
    pub(crate) fn append(&mut self, other: &Joined) {
        self.text.push(' ');
        let begin = self.text.len();
        self.text.push_str(&other.text);
        self.pieces.extend(other.pieces.iter().map(|(at, spot)| (begin + at, spot.clone())));
    }

    fn piece(&self, at: usize) -> Option<(&str, usize, &Spot)> {
        let number = self.pieces.iter().rposition(|(begin, _)| *begin <= at)?;
        let (begin, spot) = self.pieces.get(number)?;
        let end = self.pieces.get(number + 1).map_or(self.text.len(), |(next, _)| next.saturating_sub(1));
        Some((self.text.get(*begin..end)?, at - begin, spot))
    }
}

impl Sources<'_> {
    /// A problem with a value as a whole.
    pub(crate) fn at(self, severity: Severity, spot: &Spot, message: impl Into<String>) -> Problem {
        self.problem(severity, spot.file, Some(spot.chars.clone()), message.into())
    }

    /// A problem with a file as a whole.
    pub(crate) fn of_file(self, severity: Severity, file: usize, message: impl Into<String>) -> Problem {
        self.problem(severity, file, None, message.into())
    }

    /// A problem with a part of a text that stands in a file.
    pub(crate) fn in_text(self, severity: Severity, text: &Joined, issue: &Issue) -> Problem {
        let message = match &issue.help {
            Some(help) => format!("{}; {help}", issue.message),
            None => issue.message.clone(),
        };
        let Some((piece, at, spot)) = text.piece(issue.span.start) else {
            return self.of_file(severity, 0, message);
        };
        let length = issue.span.len().min(piece.len().saturating_sub(at));
        let chars = self.within(spot, piece, at..at + length).unwrap_or_else(|| spot.chars.clone());
        self.problem(severity, spot.file, Some(chars), message)
    }

    /// Where a part of a value stands: blanks differ between the value and the file, all else comes in the same order.
    fn within(self, spot: &Spot, value: &str, part: Range<usize>) -> Option<Range<usize>> {
        let (_, text) = self.0.get(spot.file)?;
        let mut raw = text.chars().enumerate().skip(spot.chars.start).take(spot.chars.len());
        if spot.is_block {
            // What follows `>` or `|` on its line is no part of the value.
            let begins_here = text.chars().nth(spot.chars.start).is_some_and(|c| matches!(c, '>' | '|'));
            if begins_here {
                raw.find(|(_, c)| *c == '\n');
            }
        }
        let mut begin = None;
        let mut end = None;
        let mut previous = spot.chars.start;
        for (at, c) in value.char_indices() {
            if at >= part.end && end.is_some() {
                break;
            }
            if c.is_whitespace() {
                continue;
            }
            let (here, _) = raw.find(|(_, raw)| *raw == c)?;
            if at >= part.start && begin.is_none() {
                begin = Some(here);
            }
            if at < part.end || begin.is_none() {
                previous = here;
            }
            if at + c.len_utf8() >= part.end && end.is_none() {
                end = Some(if at < part.end { here + 1 } else { previous + 1 });
            }
        }
        // What is missing at the end is marked behind the last character.
        let begin = begin.unwrap_or(previous + 1);
        Some(begin..end.unwrap_or(begin).max(begin))
    }

    fn problem(self, severity: Severity, file: usize, chars: Option<Range<usize>>, message: String) -> Problem {
        let (name, text) = self.0.get(file).map_or(("", ""), |(name, text)| (name.as_str(), text.as_str()));
        let place = chars.map(|chars| place(text, chars));
        let (line, column) = place.as_ref().map_or((0, 0), |(line, column, _)| (*line, *column));
        let excerpt = place.map(|(_, _, excerpt)| excerpt);
        Problem { severity, file: name.to_owned(), line, column, message, about: None, excerpt }
    }
}

impl Problem {
    /// Says what it is about.
    pub(crate) fn about(mut self, name: &str) -> Problem {
        self.about = Some(name.to_owned());
        self
    }
}

/// Line, column and the line itself, with what is marked in it.
fn place(text: &str, chars: Range<usize>) -> (usize, usize, Excerpt) {
    let begin: usize = text.chars().take(chars.start).map(char::len_utf8).sum();
    let line_begin = text[..begin].rfind('\n').map_or(0, |at| at + 1);
    let line: String = text[line_begin..].lines().next().unwrap_or_default().to_owned();
    let number = text[..line_begin].matches('\n').count() + 1;
    let from = text[line_begin..begin].chars().count();
    let marked = from..(from + chars.len()).clamp(from, line.chars().count().max(from));
    (number, from + 1, Excerpt { line, marked })
}
