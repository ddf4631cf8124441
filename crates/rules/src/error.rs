//! Why a text is no condition: what is wrong, where, and what may have been meant.

use std::fmt;
use std::ops::Range;

use event::is_unsafe_on_a_terminal;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How much of a long condition is shown on each side of what is wrong, in characters.
const AROUND: usize = 40;

/// Why a text is no condition.
///
/// Shown, it has three lines: what is wrong, the condition, and marks below the place. It is safe on a terminal:
/// characters that one would obey stand as `�`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    text: String,
    span: Range<usize>,
    message: String,
}

impl std::error::Error for ConditionError {}

impl ConditionError {
    /// What is wrong, on one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The bytes of the condition that are wrong; an empty range where something is missing.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn new(text: &str, issue: Issue) -> ConditionError {
        let end = floor(text, issue.span.end.min(text.len()));
        let begin = floor(text, issue.span.start.min(end));
        let message = harmless(&match issue.help {
            Some(help) => format!("{}; {help}", issue.message),
            None => issue.message,
        });
        ConditionError { text: text.to_owned(), span: begin..end, message }
    }
}

/// The same, while the text is at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether it is right as it is written, but asks for what is not there.
    pub(crate) is_not_provided: bool,
}

impl Issue {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Issue {
        Issue { span, message: message.into(), help: None, is_not_provided: false }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Issue {
        self.help = Some(help.into());
        self
    }

    /// Says that it is right as it is written, but asks for what is not there.
    pub(crate) fn not_provided(mut self) -> Issue {
        self.is_not_provided = true;
        self
    }

    /// Asks whether this was meant, if something may have been.
    pub(crate) fn did_you_mean(self, meant: Option<&str>) -> Issue {
        match meant {
            Some(meant) => self.help(format!("did you mean {meant}?")),
            None => self,
        }
    }
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, rest) = self.text.split_at(self.span.start);
        let (wrong, after) = rest.split_at(self.span.end - self.span.start);
        let skipped = before.chars().count().saturating_sub(AROUND);
        let before: String = before.chars().skip(skipped).collect();
        let shown = |text: &str| harmless(&text.chars().take(AROUND).collect::<String>());
        let (before, wrong, after) = (harmless(&before), shown(wrong), shown(after));
        let lead = if skipped > 0 { "…" } else { "" };
        let indent = " ".repeat(lead.width() + width(&before));
        let marks = "^".repeat(width(&wrong).max(1));
        write!(f, "{}\n  {lead}{before}{wrong}{after}\n  {indent}{marks}", self.message)
    }
}

pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\n' {
                ' '
            } else if is_unsafe_on_a_terminal(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// The nearest boundary of a character at or before a place.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_stand_below_what_is_wrong() {
        let error = ConditionError::new("日本 = wrong", Issue::new(9..14, "it is wrong").help("mend it"));

        assert_eq!(error.to_string(), "it is wrong; mend it\n  日本 = wrong\n         ^^^^^");
    }

    #[test]
    fn what_is_missing_is_marked_too() {
        let error = ConditionError::new("a =", Issue::new(3..3, "nothing there"));

        assert_eq!(error.to_string(), "nothing there\n  a =\n     ^");
    }

    #[test]
    fn of_a_long_condition_the_surroundings_are_shown_and_nothing_a_terminal_obeys() {
        let text = format!("{}\x1b[2J\n{}", "x".repeat(100), "y".repeat(100));
        let error = ConditionError::new(&text, Issue::new(105..106, "y"));

        let shown = error.to_string();
        assert!(shown.lines().all(|line| line.chars().count() < 100), "{shown}");
        assert!(shown.contains("x\u{fffd}[2J y") && !shown.contains('\x1b'), "{shown}");
    }
}
