//! Reports as JSON.

use std::io;

use event::is_unsafe_on_a_terminal;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use crate::Report;

impl Report {
    /// The report as JSON for people and programs: indented, fields in the order of the format, one newline at the end.
    ///
    /// Characters that a terminal would obey stand as `\u….`, so that the file can be printed on one as it is.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// Any of our own types as indented JSON with a newline at the end; safe for a terminal as reports are.
pub fn json(value: &impl Serialize) -> String {
    written(value, PrettyFormatter::new()) + "\n"
}

/// Any of our own types as JSON on one line, without its end; safe for a terminal as reports are.
pub fn json_line(value: &impl Serialize) -> String {
    written(value, CompactFormatter)
}

fn written(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, TerminalSafe(formatter));
    value.serialize(&mut serializer).expect("memory can be written to, and every map of ours has texts as keys");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// JSON in which no string holds a control character or one that reorders or hides text.
///
/// JSON itself asks this only of the first 32 characters; but terminals obey others too (U+009B starts an escape
/// sequence), and a report holds text that its container chose.
struct TerminalSafe<F>(F);

impl<F: Formatter> Formatter for TerminalSafe<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, unsafe_char)) = rest.char_indices().find(|&(_, c)| is_unsafe_on_a_terminal(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in unsafe_char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + unsafe_char.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
