//! An alert as a line.

use alerts::{Alert, State};
use event::is_unsafe_on_a_terminal;

/// How alerts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// All of it in one line of text, safe for a terminal.
pub(crate) fn one_line(alert: &Alert) -> String {
    let mut line = format!(
        "{} {} in {}: {}",
        alert.priority.name(),
        alert.rule.shown(),
        alert.container.called(),
        alert.output.shown()
    );
    line.push_str(&format!(" (id {}", alert.id.shown()));
    if alert.state == State::Update || alert.count > 1 {
        line.push_str(&format!(", {} times", alert.count));
    }
    if alert.suppressed > 0 {
        line.push_str(&format!(", {} others not told", alert.suppressed));
    }
    line.push(')');
    debug_assert!(!line.chars().any(is_unsafe_on_a_terminal));
    line
}
