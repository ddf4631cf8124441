//! Differences on a terminal.

use report::{Style, TableOptions, counted, wrap};

use super::{Change, Changed, Compared, Diff, Direction};

/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;
/// Without `all`, so many differences are listed.
const MOST_LISTED: usize = 40;

/// The differences for a terminal: text that a container chose is made harmless, and no line is wider than it.
pub fn table(diff: &Diff, options: &TableOptions) -> String {
    let width = options.width.max(MIN_WIDTH);
    let mut out = String::new();
    let mut paragraph = |text: &str, indent: usize, style: Style| {
        for (at, line) in wrap(text, width - indent).into_iter().enumerate() {
            let lead = " ".repeat(if at == 0 { indent.saturating_sub(2) } else { indent });
            out.push_str(&lead);
            out.push_str(&style.paint(&line, options.colour));
            out.push('\n');
        }
    };
    let sum = |direction: Direction| diff.changes.iter().filter(|one| one.directions.contains(&direction)).count();
    let differences = counted(diff.changes.len() as u64, "difference", "differences");
    let title = match (diff.changes.is_empty(), diff.compared) {
        (true, Compared::RunsWithProfile) => "nothing that was done is denied".to_owned(),
        (true, _) => "no difference".to_owned(),
        (false, _) => format!(
            "{differences}: {} added, {} removed, {} changed",
            sum(Direction::Added),
            sum(Direction::Removed),
            sum(Direction::Changed)
        ),
    };
    paragraph(&title, 0, Style::Title);
    let shown = if options.all { diff.changes.len() } else { diff.changes.len().min(MOST_LISTED) };
    let mut last = None;
    for change in &diff.changes[..shown] {
        if last != Some(change.what) {
            last = Some(change.what);
            paragraph("", 0, Style::Plain);
            paragraph(heading(change.what), 0, Style::Label);
        }
        paragraph(&line(change), 4, style(change));
        if let Some(example) = &change.example {
            paragraph(&format!("for example {}", example.shown()), 6, Style::Faint);
        }
    }
    if shown < diff.changes.len() {
        let more = counted((diff.changes.len() - shown) as u64, "difference", "differences");
        paragraph(&format!("… {more} more: --all lists them"), 0, Style::Faint);
    }
    if !diff.notes.is_empty() {
        paragraph("", 0, Style::Plain);
    }
    for note in &diff.notes {
        paragraph(&format!("note: {}", note.shown()), 2, Style::Faint);
    }
    out
}

fn heading(what: Changed) -> &'static str {
    match what {
        Changed::Default => "DEFAULT",
        Changed::Architecture => "ARCHITECTURES",
        Changed::SystemCall => "SYSTEM CALLS",
        Changed::Capability => "CAPABILITIES",
        Changed::Program => "PROGRAMS",
    }
}

fn style(change: &Change) -> Style {
    match change.directions[..] {
        [Direction::Added] => Style::Good,
        [Direction::Removed] => Style::Bad,
        _ => Style::Plain,
    }
}

/// `+ mount (x86_64, x86), with CAP_SYS_ADMIN: EPERM -> allowed`.
fn line(change: &Change) -> String {
    let sign = match change.directions[..] {
        [Direction::Added] => '+',
        [Direction::Removed] => '-',
        _ => '~',
    };
    let mut text = format!("{sign} {}", change.name.shown());
    if !change.architectures.is_empty() {
        let names: Vec<&str> = change.architectures.iter().map(|arch| arch.name()).collect();
        text.push_str(&format!(" ({})", names.join(", ")));
    }
    if !change.when.is_empty() {
        let cases: Vec<String> = change.when.iter().map(|case| case.shown().into_owned()).collect();
        text.push_str(&format!(", {}", cases.join(", or ")));
    }
    text.push_str(&format!(": {} -> {}", change.before.shown(), change.after.shown()));
    text
}
