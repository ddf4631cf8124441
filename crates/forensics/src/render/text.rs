//! An incident on a terminal.

use report::{Column, Fit, Style, TableOptions, cut, lay_out, wrap};

use super::{facts, line, time_of_day};
use crate::{Alert, Incident, Process, Relation};

/// What lines of a section begin with.
const INDENT: &str = "  ";
/// So many lines of one list are shown without `all`.
const FEW: usize = 12;
/// So many lines of the time line are shown without `all`.
const MANY: usize = 120;

/// The incident, to be read from top to bottom: what alerted, when and among what, who did it, with whom it spoke, what was
/// kept and what is missing. Every piece is safe for a terminal, and no line is wider than asked.
pub fn text(incident: &Incident, options: &TableOptions) -> String {
    let mut page = Page { options: TableOptions { width: options.width.max(40), ..*options }, out: String::new() };
    for (label, lines) in facts::of_incident(incident) {
        page.fact(label, &lines, 11);
    }
    page.title("ALERTS");
    for alert in &incident.alerts {
        page.alert(alert);
    }
    page.timeline(incident);
    for process in &incident.processes {
        page.process(process);
    }
    page.peers(incident);
    page.files(incident);
    if !incident.missing.is_empty() {
        page.title("MISSING");
        for it in &incident.missing {
            page.item(1, &format!("{}: {}", it.what.shown(), it.reason.shown()));
        }
    }
    page.out
}

struct Page {
    options: TableOptions,
    out: String,
}

impl Page {
    fn line(&mut self, text: &str, style: Style) {
        let text = cut(text, self.options.width);
        self.out.push_str(&style.paint(&text, self.options.colour));
        self.out.push('\n');
    }

    fn title(&mut self, title: &str) {
        self.out.push('\n');
        self.line(title, Style::Title);
    }

    /// A paragraph that is indented so often, and once more from its second line on.
    fn item(&mut self, depth: usize, text: &str) {
        let lead = INDENT.repeat(depth);
        for (at, part) in wrap(text, self.options.width - lead.len() - INDENT.len()).iter().enumerate() {
            let more = if at == 0 { "" } else { INDENT };
            self.line(&format!("{lead}{more}{part}"), Style::Plain);
        }
    }

    fn fact(&mut self, label: &str, lines: &[String], column: usize) {
        let room = self.options.width.saturating_sub(column + 2).max(10);
        let mut label = label;
        for text in lines {
            for part in wrap(text, room) {
                let used = report::width(label);
                let lead = Style::Label.paint(label, self.options.colour);
                let pad = " ".repeat((column + 2).saturating_sub(used));
                self.out.push_str(&format!("{lead}{pad}{}\n", cut(&part, room)));
                label = "";
            }
        }
    }

    fn alert(&mut self, alert: &Alert) {
        let head = format!(
            "{INDENT}{}  {}  {}  [{}]",
            time_of_day(alert.time),
            alert.priority.shown(),
            alert.rule.shown(),
            alert.id.shown()
        );
        self.line(&head, Style::Bad);
        for part in wrap(&alert.output.shown(), self.options.width - 6) {
            self.line(&format!("      {part}"), Style::Plain);
        }
    }

    fn timeline(&mut self, incident: &Incident) {
        self.title("WHAT HAPPENED (times in UTC)");
        let all = line::entries(incident);
        let is_shown = |entry: &&line::Entry<'_>| match entry {
            line::Entry::Alert(_) => true,
            line::Entry::Event(event) => self.options.all || !line::is_minor(event),
        };
        let shown: Vec<&line::Entry<'_>> = all.iter().filter(is_shown).collect();
        let most = if self.options.all { usize::MAX } else { MANY };
        // What comes first matters less than what is around the alerts.
        let first_alert = shown.iter().position(|entry| matches!(entry, line::Entry::Alert(_))).unwrap_or_default();
        let from = if shown.len() > most { first_alert.saturating_sub(most / 3) } else { 0 };
        let rows = shown.iter().skip(from).take(most);
        let (mut text, mut count) = (Vec::new(), 0);
        for entry in rows {
            count += 1;
            let (kind, who, what, style) = match entry {
                line::Entry::Alert(alert) => (
                    "ALERT".to_owned(),
                    format!("[{}]", alert.process.pid),
                    alert.rule.shown().into_owned(),
                    Style::Bad,
                ),
                line::Entry::Event(event) => (
                    line::kind(event),
                    format!("{}[{}]", event.name.shown(), event.process.pid),
                    event.text.shown().into_owned(),
                    Style::Plain,
                ),
            };
            text.push((format!("{INDENT}{}  {kind:<10}  {who:<18}  {what}", time_of_day(entry.time())), style));
        }
        for (text, style) in text {
            self.line(&text, style);
        }
        let left_out = all.len() - count;
        if left_out > 0 {
            self.line(&format!("{INDENT}{left_out} more: --all shows them"), Style::Faint);
        }
    }

    fn process(&mut self, process: &Process) {
        self.title(&format!("PROCESS {}", facts::title(process)));
        for (label, lines) in facts::of_process(process) {
            self.fact(&format!("{INDENT}{label}"), &lines, 15);
        }
        self.list("process tree", &facts::tree(&process.tree), |(depth, it)| {
            let mark = if it.relation == Relation::Itself { "▶ " } else { "" };
            let style = if it.relation == Relation::Itself { Style::Bad } else { Style::Plain };
            (format!("{}{mark}{}", "  ".repeat(*depth), facts::relative(it)), style)
        });
        self.list("descriptors", &process.descriptors, |it| {
            let [number, access, target] = facts::descriptor(it);
            let style = if it.socket.is_some() { Style::Label } else { Style::Plain };
            (format!("{number:>3} {access:<2} {target}"), style)
        });
        self.list("files in memory", &process.libraries, |it| {
            let deleted = if it.deleted { " (deleted)" } else { "" };
            let style = if it.deleted { Style::Bad } else { Style::Plain };
            (format!("{}{deleted}, inode {} on {}", it.path.shown(), it.inode, it.device), style)
        });
        if let Some(environment) = &process.environment {
            self.list("environment", environment, |it| (it.shown().into_owned(), Style::Plain));
        }
        self.list("not known", &process.missing, |it| {
            (format!("{}: {}", it.what.shown(), it.reason.shown()), Style::Faint)
        });
    }

    fn list<T>(&mut self, label: &str, items: &[T], line: impl Fn(&T) -> (String, Style)) {
        if items.is_empty() {
            return;
        }
        self.line(&format!("{INDENT}{label}"), Style::Label);
        let most = if self.options.all || items.len() <= FEW + 1 { usize::MAX } else { FEW };
        for item in items.iter().take(most) {
            let (text, style) = line(item);
            self.line(&format!("{INDENT}{INDENT}{text}"), style);
        }
        if items.len() > most {
            self.line(&format!("{INDENT}{INDENT}{} more: --all shows them", items.len() - most), Style::Faint);
        }
    }

    fn peers(&mut self, incident: &Incident) {
        if incident.peers.is_empty() {
            return;
        }
        self.title("PEERS");
        let column = |title, fit| Column { title, fit, style: Style::Plain };
        let columns = [
            column("FIRST", Fit::Left),
            column("WAY", Fit::Left),
            column("ADDRESS", Fit::CutEnd),
            column("NAMES", Fit::CutEnd),
            column("PROCESS", Fit::Right),
            column("", Fit::CutEnd),
        ];
        let rows: Vec<Vec<String>> = incident
            .peers
            .iter()
            .map(|peer| {
                let [way, address, names, failed] = facts::peer(peer);
                vec![time_of_day(peer.first), way, address, names, peer.process.pid.to_string(), failed]
            })
            .collect();
        self.rows(&columns, &rows);
    }

    fn files(&mut self, incident: &Incident) {
        if incident.files.is_empty() {
            return;
        }
        self.title("FILES");
        for file in &incident.files {
            let size = file.file.as_ref().map(|it| format!(", {}", report::bytes(it.size_bytes))).unwrap_or_default();
            self.line(&format!("{INDENT}{} {}{size}", facts::kind(file), file.path.shown()), Style::Label);
            if let Some(hash) = &file.sha256 {
                self.line(&format!("{INDENT}{INDENT}objects/{hash}"), Style::Plain);
            }
            if let Some(note) = &file.note {
                self.item(2, &note.shown());
            }
        }
    }

    fn rows(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        for line in lay_out(columns, rows, self.options.width - INDENT.len(), self.options.colour) {
            self.out.push_str(&format!("{INDENT}{line}\n"));
        }
    }
}
