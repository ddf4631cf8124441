//! Events on standard output, as text, JSON or CSV.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

use event::Text;
use report::json_line;
use rules::{Subject, Value, registry};

use super::Format;
use super::line::Layout;
use crate::report::{terminal_width, wants_colour};

/// Where events go. Each is written at once and whole, so that a reader at the other end of a pipe is up to date.
pub(super) struct Output {
    out: Stdout,
    form: Form,
}

enum Form {
    Text(Box<Layout>),
    Json,
    Csv,
}

impl Output {
    /// CSV begins with its header.
    pub(super) fn new(format: Format) -> io::Result<Output> {
        let form = match format {
            Format::Text => Form::Text(Box::new(Layout::new(wants_colour(), is_cut()))),
            Format::Json => Form::Json,
            Format::Csv => Form::Csv,
        };
        let mut output = Output { out: io::stdout(), form };
        if matches!(output.form, Form::Csv) {
            let columns = registry().common().iter().map(|field| field.name.as_str());
            output.put(&csv_line(columns.chain(["payload"]))?)?;
        }
        Ok(output)
    }

    /// One event.
    pub(super) fn write(&mut self, subject: &Subject<'_>) -> io::Result<()> {
        let line = match &mut self.form {
            Form::Text(layout) => layout.line(subject, terminal_width()) + "\n",
            Form::Json => json_line(subject) + "\n",
            Form::Csv => csv_row(subject)?,
        };
        self.put(&line)
    }

    fn put(&mut self, line: &str) -> io::Result<()> {
        let mut out = self.out.lock();
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}

/// Whether lines are cut: for a terminal, and where somebody says how wide; never in a file, where nothing could be
/// found any more.
fn is_cut() -> bool {
    io::stdout().is_terminal() || std::env::var_os("COLUMNS").is_some()
}

/// The fields that every event has, in the order of the registry, then the payload as JSON.
fn csv_row(subject: &Subject<'_>) -> io::Result<String> {
    let mut cells = Vec::new();
    for field in registry().common() {
        let mut cell = String::new();
        field.values_of(subject, &mut |value| cell = plain(value));
        cells.push(cell);
    }
    cells.push(json_line(&subject.fact()));
    csv_line(cells.iter().map(String::as_str))
}

fn csv_line<'c>(cells: impl Iterator<Item = &'c str>) -> io::Result<String> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells)?;
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// A value without quotes, safe for a terminal.
pub(super) fn plain(value: Value<'_>) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(bytes) => Text::new(bytes).shown().into_owned(),
        Value::Address(address) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use event::is_unsafe_on_a_terminal;

    use super::super::line::tests::{hostile, with};
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_each_field_that_every_event_has() {
        with(&hostile(), |subject| {
            let row = csv_row(subject).expect("a row");

            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
            let cells = reader.records().next().expect("a row").expect("CSV");
            assert_eq!(cells.len(), registry().common().len() + 1);
            assert_eq!(cells.get(0), Some("exec"));
            assert_eq!(cells.iter().filter(|cell| cell.is_empty()).count(), 1, "{row}"); // the image is not known
            assert!(cells[cells.len() - 1].starts_with("{\"executable\":"), "{row}");
            assert!(!row.trim_end().chars().any(is_unsafe_on_a_terminal), "{row:?}");
        });
    }

    #[test]
    fn json_has_each_field_at_its_name_and_nothing_that_a_terminal_obeys() {
        with(&hostile(), |subject| {
            let line = json_line(subject);

            assert!(!line.chars().any(is_unsafe_on_a_terminal), "{line:?}");
            let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(json["container"]["name"], "w\u{202e}eb");
            assert_eq!(json["exec"]["argv"][1], "\u{1b}[2J\\xff");
            assert_eq!(json["event"]["wall_time"], "1767323045006000000");
        });
    }
}
