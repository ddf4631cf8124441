//! Incidents for people: what is shown is decided once, in `line` and `facts`; `text` and `html` say how.

mod facts;
mod html;
mod line;
mod text;

pub use html::html;
pub use text::text;

use event::Text;
use report::Timestamp;

/// The time of day in UTC, to the millisecond.
fn time_of_day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}

/// A command line, safe for a terminal.
fn command_line(argv: &[Text]) -> String {
    argv.iter().map(report::quoted).collect::<Vec<_>>().join(" ")
}
