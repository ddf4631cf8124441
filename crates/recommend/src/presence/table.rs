//! Permissions beside the runs that showed them, on a terminal.

use event::Text;
use report::{Column, Fit, Style, TableOptions, counted, lay_out, wrap};

use super::{PermissionPresence, Presence};

/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;
/// So many columns are told apart by marks in one line; of more only the number is.
const MOST_MARKS: usize = 24;

/// The table for a terminal: text that a container chose is made harmless, and no line is wider than it.
///
/// `what` is the title of the columns' names, and the word for one. Without `all`, what every column showed is only counted.
pub fn table(presence: &Presence, what: (&'static str, &str), options: &TableOptions) -> String {
    let width = options.width.max(MIN_WIDTH);
    let mut out = String::new();
    let columns = presence.columns.len();
    let is_everywhere = |one: &&PermissionPresence| one.columns.len() == columns;
    let everywhere = presence.permissions.iter().filter(is_everywhere).count() as u64;
    let listed: Vec<&PermissionPresence> =
        presence.permissions.iter().filter(|one| options.all || !is_everywhere(one)).collect();

    let column = |title, fit, style| Column { title, fit, style };
    let titles = [
        column("", Fit::Right, Style::Plain),
        column(what.0, Fit::CutEnd, Style::Label),
        column("SHOWED", Fit::Right, Style::Plain),
        column("ADDED", Fit::Right, Style::Plain),
        column("ALONE", Fit::Right, Style::Plain),
        column("WHAT IT ADDED", Fit::CutEnd, Style::Plain),
    ];
    let rows: Vec<Vec<String>> = presence
        .columns
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            let showed = presence.permissions.iter().filter(|one| one.columns.contains(&number)).count();
            let added: Vec<String> = presence.added_by(number).map(|name| name.shown().into_owned()).collect();
            // Of the first nearly everything is.
            let names = if at == 0 { String::new() } else { added.join(", ") };
            let alone = presence.only_in(number).count();
            vec![
                (at + 1).to_string(),
                shown(name),
                showed.to_string(),
                added.len().to_string(),
                alone.to_string(),
                names,
            ]
        })
        .collect();
    push(&mut out, lay_out(&titles, &rows, width, options.colour));

    out.push('\n');
    if everywhere > 0 && columns > 1 && !options.all {
        let text = format!("{} in each {}: --all lists them", counted(everywhere, "permission", "permissions"), what.1);
        push(&mut out, wrap(&text, width).iter().map(|line| Style::Faint.paint(line, options.colour)));
        if !listed.is_empty() {
            out.push('\n');
        }
    }
    if listed.is_empty() {
        return out;
    }
    let titles = [
        column("PERMISSION", Fit::CutEnd, Style::Label),
        column("SEEN IN", Fit::Right, Style::Plain),
        column("WHICH", Fit::Left, Style::Plain),
        column("ONLY IN", Fit::CutEnd, Style::Plain),
    ];
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|one| {
            let only = match one.columns[..] {
                [only] if columns > 1 => presence.columns.get(only as usize).map(shown).unwrap_or_default(),
                _ => String::new(),
            };
            vec![shown(&one.name), format!("{} of {columns}", one.columns.len()), marks(one, columns), only]
        })
        .collect();
    push(&mut out, lay_out(&titles, &rows, width, options.colour));
    out
}

/// One mark for each column, in groups of five: `x` where it was seen.
fn marks(one: &PermissionPresence, columns: usize) -> String {
    if columns > MOST_MARKS {
        return String::new();
    }
    let mut marks = String::new();
    for at in 0..columns {
        if at > 0 && at.is_multiple_of(5) {
            marks.push(' ');
        }
        marks.push(if one.columns.iter().any(|&seen| seen as usize == at) { 'x' } else { '.' });
    }
    marks
}

fn shown(text: &Text) -> String {
    text.shown().into_owned()
}

fn push(out: &mut String, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        out.push_str(&line);
        out.push('\n');
    }
}
