//! The sessions that had a terminal, as one table, and what was typed and shown in each.

use behaviour::{TerminalSession, Transcript};
use event::Text;

use super::units::{count, counted};
use crate::Report;

/// What stands above the columns.
pub(super) const COLUMNS: [&str; 4] = ["PROGRAMS", "TERMINAL", "IN", "FIRST BY"];

/// One row; its cells are safe for a terminal.
pub(super) struct Row {
    /// What the first cell shows.
    pub(super) value: u64,
    pub(super) cells: [String; 4],
}

/// How many there are.
pub(super) fn about(report: &Report) -> String {
    let sessions = &report.behaviour.terminals.sessions;
    let number = counted(sessions.len() as u64, "session", "sessions");
    let transcripts = || sessions.iter().filter_map(|session| session.transcript.as_ref());
    if transcripts().next().is_none() {
        return format!("{number} with a terminal; what was typed and shown is not recorded");
    }
    let bytes = counted(transcripts().map(Transcript::bytes).sum(), "byte", "bytes");
    format!("{number} with a terminal; {bytes} of what was typed and shown")
}

/// What was typed and shown in one session.
pub(super) struct Shown {
    /// Which session it is.
    pub(super) title: String,
    /// Its lines, each safe for a terminal: `<` was typed, `>` was shown.
    pub(super) lines: Vec<String>,
    /// What is not in them.
    pub(super) notes: Vec<String>,
}

/// What was typed and shown in each session of which that is kept.
pub(super) fn transcripts(report: &Report) -> Vec<Shown> {
    let sessions = report.behaviour.terminals.sessions.iter();
    sessions.filter_map(|session| session.transcript.as_ref().map(|transcript| shown(session, transcript))).collect()
}

fn shown(session: &TerminalSession, transcript: &Transcript) -> Shown {
    let mut lines = Vec::new();
    for passage in &transcript.passages {
        let mark = if passage.typed { '<' } else { '>' };
        let text = on_screen(passage.text.as_bytes());
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        lines.extend(text.split(|byte| *byte == b'\n').map(|line| format!("{mark} {}", Text::new(line).shown())));
    }
    let mut notes = Vec::new();
    if transcript.hidden_bytes > 0 {
        let bytes = counted(transcript.hidden_bytes, "byte was", "bytes were");
        notes.push(format!("{bytes} typed while the terminal did not show them, and are not kept"));
    }
    if transcript.redacted > 0 {
        let secrets = counted(transcript.redacted, "secret was", "secrets were");
        notes.push(format!("{secrets} taken out"));
    }
    if transcript.is_cut {
        notes.push("there is more, which is not kept".to_owned());
    }
    let title = format!("{} in {}, session of pid {}", session.name(), session.phase, session.session);
    Shown { title, lines, notes }
}

/// The text without what only moves the cursor, colours or erases (ECMA-48, and what xterm adds). A character that is stepped
/// back over is gone, and a line that is begun anew is a new one, so that what it had shown before stays.
fn on_screen(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            0x1b => after_escape(after),
            0x07 => after,
            0x08 | 0x7f => {
                step_back(&mut out);
                after
            }
            b'\r' => {
                if after.first() != Some(&b'\n') && !after.is_empty() {
                    out.push(b'\n');
                }
                after
            }
            byte => {
                out.push(byte);
                after
            }
        };
    }
    out
}

/// Takes the last character of the line away.
fn step_back(out: &mut Vec<u8>) {
    while let Some(byte) = out.pop_if(|byte| *byte != b'\n') {
        // The other bytes of a character in UTF-8 come before its first.
        if byte & 0xc0 != 0x80 {
            return;
        }
    }
}

/// What follows an escape sequence.
fn after_escape(text: &[u8]) -> &[u8] {
    let end = match text.first() {
        Some(b'[') => text[1..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map(|at| at + 2),
        // Titles and the like: up to a bell, or ESC \\.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = text.iter().position(|byte| *byte == 0x07).map(|at| at + 1);
            let end = text.windows(2).position(|pair| pair == b"\x1b\\").map(|at| at + 2);
            bell.into_iter().chain(end).min()
        }
        Some(_) => text.iter().position(|byte| !(0x20..=0x2f).contains(byte)).map(|at| at + 1),
        None => None,
    };
    // One that does not end is shown, as it may hide what follows.
    end.map_or(text, |end| &text[end..])
}

/// Each session.
pub(super) fn rows(report: &Report) -> Vec<Row> {
    report.behaviour.terminals.sessions.iter().map(row).collect()
}

fn row(session: &TerminalSession) -> Row {
    let first = &session.first;
    let by = if first.executable.is_empty() { &first.comm } else { &first.executable };
    let cells = [count(session.programs), session.name(), session.phase.to_string(), by.shown().into_owned()];
    Row { value: session.programs, cells }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_colours_and_erases_is_left_out() {
        for (text, expected) in [
            (&b"a\r\nb\n"[..], "a\nb\n"),
            (b"\x1b[1;32mok\x1b[0m done", "ok done"),
            (b"\x1b]0;title\x07$ ", "$ "),
            (b"\x1b]2;title\x1b\\$ ", "$ "),
            (b"lx\x08 \x08s", "ls"),
            ("\u{e9}\u{e9}\x08x".as_bytes(), "\u{e9}x"),
            (b"\x08\x08a", "a"),
            (b"10%\r20%\r\n", "10%\n20%\n"),
            (b"\x1b(Bx\x1b=y", "xy"),
            (b"\x07a\x1b", "a"),
        ] {
            assert_eq!(String::from_utf8_lossy(&on_screen(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn an_escape_sequence_without_an_end_hides_nothing() {
        assert_eq!(on_screen(b"\x1b[12"), b"[12");
        assert_eq!(on_screen(b"\x1b]0;rm -rf /\n"), b"]0;rm -rf /\n");
    }
}
