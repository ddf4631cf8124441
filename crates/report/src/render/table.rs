//! A report on a terminal.

use event::Phase;

use super::arguments;
use super::calls::{self, Group};
use super::checks;
use super::columns::{Column, Fit, lay_out};
use super::style::Style;
use super::tree;
use super::units::{bytes, count, counted, duration};
use super::width::{width, wrap};
use super::{facts, files, network, privileged, resources, scripts, terminals};
use crate::{AttachState, Report};

/// Fewer columns than this are not a terminal that anybody reads on: lines may then be wider than it.
const MIN_WIDTH: usize = 40;
const LABEL_WIDTH: usize = 11;
/// The longest name of a resource, and a gap; a device can have a longer one.
const RESOURCE_WIDTH: usize = 19;
const INDENT: usize = 2;
const PROCESS_LINES: usize = 20;
const CALL_LINES: usize = 15;
/// Lines of each list of files, and of those of scripts and of terminals.
const FILE_LINES: usize = 10;
/// Rows of each list of the network.
const NETWORK_ROWS: usize = 10;
/// Lines of each list of privileged operations.
const PRIVILEGED_LINES: usize = 15;

/// How a report is to look on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// How many columns the terminal has; less than 40 counts as 40.
    pub width: usize,
    /// Whether to use colours.
    pub colour: bool,
    /// Whether to show everything, however long.
    pub all: bool,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions { width: 80, colour: false, all: false }
    }
}

/// The report for a terminal: text that a container chose is made harmless, and no line is wider than the terminal.
pub fn table(report: &Report, options: &TableOptions) -> String {
    let mut page = Page { width: options.width.max(MIN_WIDTH), colour: options.colour, out: String::new() };
    page.head(report, options.all);
    page.processes(report, options.all);
    for group in calls::groups(report) {
        page.calls(&group, options.all);
    }
    page.arguments(report, options.all);
    page.files(report, options.all);
    page.network(report, options.all);
    page.resources(report);
    page.scripts(report, options.all);
    page.terminals(report, options.all);
    if report.behaviour.syscalls.uses.is_empty() {
        page.section("SYSTEM CALLS", "none were recorded");
    }
    for group in checks::groups(report) {
        page.checks(&group);
    }
    if report.behaviour.capabilities.uses.is_empty() {
        page.section("CAPABILITIES", "no check of any was recorded");
    }
    page.privileged(report, options.all);
    page.losses(report);
    page.sensors(report);
    page.cost(report);
    page.out
}

struct Page {
    width: usize,
    colour: bool,
    out: String,
}

const fn column(title: &'static str, fit: Fit, style: Style) -> Column {
    Column { title, fit, style }
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let text = text.trim_end_matches(' ');
        if !text.is_empty() {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(text);
        }
        self.out.push('\n');
    }

    fn wrapped(&mut self, indent: usize, text: &str, style: Style) {
        for line in wrap(text, self.width - indent) {
            let painted = style.paint(&line, self.colour);
            self.line(indent, &painted);
        }
    }

    /// Those of the runtime itself only if everything is shown.
    fn arguments(&mut self, report: &Report, all: bool) {
        for group in arguments::groups(report) {
            if group.phase == Phase::RuntimeInit && !all {
                continue;
            }
            self.section(&format!("ARGUMENTS in {}", group.phase), arguments::ABOUT);
            for line in group.lines {
                self.wrapped(INDENT, &format!("{}: {}", line.call, line.values), Style::Plain);
            }
        }
    }

    fn section(&mut self, title: &str, about: &str) {
        self.line(0, "");
        let mut lines = wrap(&format!("{title}  {about}"), self.width).into_iter();
        let first = lines.next().unwrap_or_default();
        // The title is ours and short, so it is whole on the first line.
        let rest = first.strip_prefix(title).unwrap_or_default().to_owned();
        let painted = Style::Title.paint(title, self.colour) + &rest;
        self.line(0, &painted);
        for line in lines {
            self.line(0, &line);
        }
    }

    /// Lines behind a label, which is ours and short.
    fn labelled(&mut self, label: &str, text: &str) {
        let mut painted =
            Style::Title.paint(label, self.colour) + &" ".repeat(RESOURCE_WIDTH.saturating_sub(width(label)).max(1));
        for line in wrap(text, self.width - INDENT - RESOURCE_WIDTH.max(width(label) + 1)) {
            self.line(INDENT, &format!("{painted}{line}"));
            painted = " ".repeat(RESOURCE_WIDTH);
        }
    }

    fn columns(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        for line in lay_out(columns, rows, self.width - INDENT, self.colour) {
            self.line(INDENT, &line);
        }
    }

    fn head(&mut self, report: &Report, all: bool) {
        self.wrapped(0, &facts::title(report), Style::Title);
        self.line(0, "");
        for fact in facts::facts(report, all) {
            let mut label = Style::Label.paint(fact.label, self.colour) + &" ".repeat(LABEL_WIDTH - fact.label.len());
            let mut style = fact.style;
            for line in &fact.lines {
                // A list item's further lines start below its text.
                let hanging = if line.starts_with("- ") { 2 } else { 0 };
                for (position, part) in wrap(line, self.width - INDENT - LABEL_WIDTH - hanging).iter().enumerate() {
                    let indent = if position == 0 { 0 } else { hanging };
                    let text = format!("{label}{}{}", " ".repeat(indent), style.paint(part, self.colour));
                    self.line(INDENT, &text);
                    label = " ".repeat(LABEL_WIDTH);
                }
                style = Style::Plain;
            }
        }
    }

    fn processes(&mut self, report: &Report, all: bool) {
        let tree = &report.behaviour.processes;
        let about = [
            counted(tree.total, "process", "processes"),
            counted(tree.total_threads, "thread", "threads"),
            counted(tree.total_execs, "program start", "program starts"),
        ];
        self.section("PROCESSES", &about.join(", "));
        let lines = tree::lines(&tree.processes, all);
        let shown = if all { lines.len() } else { lines.len().min(PROCESS_LINES) };
        let rows: Vec<Vec<String>> = lines[..shown]
            .iter()
            .cloned()
            .map(|line| vec![line.pid, line.command, line.phase, line.ran, line.end])
            .collect();
        let columns = [
            column("PID", Fit::Right, Style::Plain),
            column("COMMAND", Fit::CutEnd, Style::Plain),
            column("PHASE", Fit::Left, Style::Faint),
            column("RAN FOR", Fit::Right, Style::Plain),
            column("EXIT", Fit::Left, Style::Plain),
        ];
        if !rows.is_empty() {
            self.columns(&columns, &rows);
        }
        if lines.len() > shown {
            let more = counted((lines.len() - shown) as u64, "more line", "more lines");
            self.wrapped(INDENT, &format!("… {more}: --all shows them"), Style::Faint);
        }
    }

    fn calls(&mut self, group: &Group<'_>, all: bool) {
        let title = format!("SYSTEM CALLS in {}, {}", group.phase, group.arch);
        let about =
            [counted(group.uses.len() as u64, "call", "calls"), counted(group.total(), "entry", "entries")].join(", ");
        self.section(&title, &about);
        let shown = if all { group.uses.len() } else { group.uses.len().min(CALL_LINES) };
        let rows: Vec<Vec<String>> = group.uses[..shown]
            .iter()
            .map(|used| {
                vec![count(used.count), calls::name(used), calls::failures(&used.failures), calls::first_program(used)]
            })
            .collect();
        let columns = [
            column("COUNT", Fit::Right, Style::Plain),
            column("CALL", Fit::Left, Style::Title),
            column("FAILED", Fit::CutEnd, Style::Plain),
            column("FIRST BY", Fit::CutFront, Style::Plain),
        ];
        self.columns(&columns, &rows);
        if group.uses.len() > shown {
            let mut names: Vec<String> = group.uses[shown..].iter().map(|used| calls::name(used)).collect();
            names.sort();
            self.wrapped(INDENT, &format!("… and {} more: {}", names.len(), names.join(" ")), Style::Faint);
        }
    }

    fn files(&mut self, report: &Report, all: bool) {
        let lists = files::lists(report, all);
        if lists.is_empty() {
            return;
        }
        self.section("FILES", &files::about(report));
        for list in lists {
            let number = counted(list.rows.len() as u64, "line", "lines");
            let shown = if all { list.rows.len() } else { list.rows.len().min(FILE_LINES) };
            let more = if shown < list.rows.len() {
                format!(", the first {shown} of {number}: --all shows them")
            } else {
                String::new()
            };
            self.line(0, "");
            self.wrapped(INDENT, &format!("{}{more}", list.title), Style::Label);
            let [first, path, what, by] = list.columns;
            let columns = [
                column(first, Fit::Right, Style::Plain),
                column(path, Fit::CutFront, Style::Title),
                column(what, Fit::CutEnd, Style::Plain),
                column(by, Fit::CutFront, Style::Plain),
            ];
            let rows: Vec<Vec<String>> = list.rows[..shown].iter().map(|row| row.cells.to_vec()).collect();
            self.columns(&columns, &rows);
        }
    }

    fn scripts(&mut self, report: &Report, all: bool) {
        let rows = scripts::rows(report);
        if rows.is_empty() {
            return;
        }
        self.section("SCRIPTS", &scripts::about(report));
        let shown = if all { rows.len() } else { rows.len().min(FILE_LINES) };
        let [number, script, interpreter, phase] = scripts::COLUMNS;
        let columns = [
            column(number, Fit::Right, Style::Plain),
            column(script, Fit::CutEnd, Style::Title),
            column(interpreter, Fit::CutFront, Style::Plain),
            column(phase, Fit::Left, Style::Faint),
        ];
        let cells: Vec<Vec<String>> = rows[..shown].iter().map(|row| row.cells.to_vec()).collect();
        self.columns(&columns, &cells);
        if shown < rows.len() {
            let more = counted((rows.len() - shown) as u64, "line", "lines");
            self.wrapped(INDENT, &format!("… and {more} more: --all shows them"), Style::Faint);
        }
    }

    fn terminals(&mut self, report: &Report, all: bool) {
        let rows = terminals::rows(report);
        if rows.is_empty() {
            return;
        }
        self.section("TERMINALS", &terminals::about(report));
        let shown = if all { rows.len() } else { rows.len().min(FILE_LINES) };
        let [number, terminal, phase, by] = terminals::COLUMNS;
        let columns = [
            column(number, Fit::Right, Style::Plain),
            column(terminal, Fit::Left, Style::Title),
            column(phase, Fit::Left, Style::Plain),
            column(by, Fit::CutFront, Style::Plain),
        ];
        let cells: Vec<Vec<String>> = rows[..shown].iter().map(|row| row.cells.to_vec()).collect();
        self.columns(&columns, &cells);
        if shown < rows.len() {
            let more = counted((rows.len() - shown) as u64, "line", "lines");
            self.wrapped(INDENT, &format!("… and {more} more: --all shows them"), Style::Faint);
        }
        let transcripts = terminals::transcripts(report);
        if !all && !transcripts.is_empty() {
            self.wrapped(INDENT, "what was typed and shown: --all shows it", Style::Faint);
            return;
        }
        for transcript in transcripts {
            self.wrapped(INDENT, &transcript.title, Style::Title);
            transcript.lines.iter().for_each(|line| self.wrapped(INDENT, line, Style::Plain));
            transcript.notes.iter().for_each(|note| self.wrapped(INDENT, note, Style::Faint));
        }
    }

    fn resources(&mut self, report: &Report) {
        let rows = resources::rows(report);
        let absent = resources::absent(report);
        if rows.is_empty() && absent.is_empty() {
            return;
        }
        self.section("RESOURCES", &resources::about(report));
        for [what, used, limit, remarks] in rows {
            let limit = if limit.is_empty() { limit } else { format!("limit {limit}") };
            let parts: Vec<String> = [used, limit, remarks].into_iter().filter(|part| !part.is_empty()).collect();
            self.labelled(&what, &parts.join("; "));
        }
        for [what, reason] in absent {
            self.labelled(&what, &format!("not known: {reason}"));
        }
    }

    fn network(&mut self, report: &Report, all: bool) {
        let lists = network::lists(report, all);
        if lists.is_empty() {
            return;
        }
        self.section("NETWORK", &network::about(report));
        for list in lists {
            let number = counted(list.rows.len() as u64, "row", "rows");
            let shown = if all { list.rows.len() } else { list.rows.len().min(NETWORK_ROWS) };
            let more = if shown < list.rows.len() {
                format!(", the first {shown} of {number}: --all shows them")
            } else {
                String::new()
            };
            self.line(0, "");
            self.wrapped(INDENT, &format!("{}{more}", list.title), Style::Label);
            let columns: Vec<Column> = list
                .columns
                .iter()
                .map(|&(title, kind)| match kind {
                    network::Kind::Number => column(title, Fit::Right, Style::Plain),
                    network::Kind::Name => column(title, Fit::CutEnd, Style::Title),
                    network::Kind::Path => column(title, Fit::CutFront, Style::Plain),
                    network::Kind::Words => column(title, Fit::CutEnd, Style::Plain),
                })
                .collect();
            let rows = &list.rows[..shown];
            let cells: Vec<Vec<String>> =
                rows.iter().map(|row| row.cells.iter().map(|cell| cell.shown.clone()).collect()).collect();
            let mut lines = lay_out(&columns, &cells, self.width - INDENT, self.colour).into_iter();
            // The titles come first, then one line for each row.
            for line in lines.by_ref().take(1) {
                self.line(INDENT, &line);
            }
            for (line, row) in lines.zip(rows) {
                self.line(INDENT, &line);
                if !row.more.is_empty() {
                    self.wrapped(4 * INDENT, &row.more.join("; "), Style::Faint);
                }
            }
        }
    }

    fn checks(&mut self, group: &checks::Group<'_>) {
        let title = format!("CAPABILITIES in {}, {}", group.phase, group.meaning.name());
        self.section(&title, checks::about(group.meaning));
        let rows: Vec<Vec<String>> = group
            .uses
            .iter()
            .map(|used| {
                vec![
                    count(used.count),
                    used.capability.to_string(),
                    checks::remarks(group, used),
                    checks::first_call(used),
                    checks::first_program(used),
                ]
            })
            .collect();
        let columns = [
            column("COUNT", Fit::Right, Style::Plain),
            column("CAPABILITY", Fit::Left, Style::Title),
            column("REMARKS", Fit::CutEnd, Style::Plain),
            column("FIRST IN", Fit::CutEnd, Style::Plain),
            column("FIRST BY", Fit::CutFront, Style::Plain),
        ];
        self.columns(&columns, &rows);
    }

    fn privileged(&mut self, report: &Report, all: bool) {
        for list in privileged::lists(report) {
            let (word, rest) = list.title.split_once(' ').unwrap_or((&list.title, ""));
            self.section(&format!("{} {rest}", word.to_uppercase()), list.about);
            let shown = if all { list.rows.len() } else { list.rows.len().min(PRIVILEGED_LINES) };
            let [first, second, third, by] = list.columns;
            let columns = [
                column(first, Fit::Right, Style::Plain),
                column(second, if second == "PATH" { Fit::CutFront } else { Fit::CutEnd }, Style::Title),
                column(third, Fit::CutEnd, Style::Plain),
                column(by, Fit::CutFront, Style::Plain),
            ];
            let rows: Vec<Vec<String>> = list.rows[..shown].iter().map(|row| row.cells.to_vec()).collect();
            self.columns(&columns, &rows);
            if shown < list.rows.len() {
                let more = counted((list.rows.len() - shown) as u64, "line", "lines");
                self.wrapped(INDENT, &format!("… and {more} more: --all shows them"), Style::Faint);
            }
        }
    }

    fn losses(&mut self, report: &Report) {
        if report.losses.is_empty() {
            self.section("LOST", "nothing");
            return;
        }
        self.section("LOST", "what is not in this report");
        let rows: Vec<Vec<String>> = report
            .losses
            .iter()
            .map(|loss| {
                let knob = loss.knob.as_ref().map(|knob| knob.shown().into_owned()).unwrap_or_default();
                vec![count(loss.count), loss.sensor.shown().into_owned(), loss.stage.name().to_owned(), knob]
            })
            .collect();
        let columns = [
            column("COUNT", Fit::Right, Style::Bad),
            column("SENSOR", Fit::CutEnd, Style::Plain),
            column("WHERE", Fit::Left, Style::Plain),
            column("WHAT HELPS", Fit::CutEnd, Style::Plain),
        ];
        self.columns(&columns, &rows);
    }

    fn sensors(&mut self, report: &Report) {
        let attached = report.sensors.iter().filter(|sensor| sensor.state == AttachState::Attached).count();
        let about = match report.sensors.len() {
            0 => "none".to_owned(),
            all if all == attached => "all attached".to_owned(),
            all => format!("{attached} of {all} attached"),
        };
        self.section("SENSORS", &about);
        for sensor in &report.sensors {
            let mut parts = vec![format!("{}: {}", sensor.name.shown(), sensor.state.name())];
            parts.extend(sensor.hooks.iter().map(|hook| hook.shown().into_owned()));
            let because = sensor.reason.as_ref().map(|reason| format!("; {}", reason.shown())).unwrap_or_default();
            let style = if sensor.state == AttachState::Attached { Style::Plain } else { Style::Bad };
            let lines = wrap(&(parts.join(" ") + &because), self.width - 2 * INDENT);
            for (position, line) in lines.iter().enumerate() {
                let painted = style.paint(line, self.colour);
                self.line(if position == 0 { INDENT } else { 2 * INDENT }, &painted);
            }
        }
    }

    fn cost(&mut self, report: &Report) {
        let cost = &report.cost;
        self.section("COST", "of the whole recording, all containers together");
        let used = format!(
            "CPU {} user + {} system, memory {} + {} in kernel maps",
            duration(cost.cpu_user_ns),
            duration(cost.cpu_system_ns),
            bytes(cost.rss_bytes),
            bytes(cost.kernel_map_bytes),
        );
        self.wrapped(INDENT, &used, Style::Plain);
        let rows: Vec<Vec<String>> = cost
            .programs
            .iter()
            .map(|program| {
                vec![
                    program.name.shown().into_owned(),
                    count(program.runs),
                    format!("{} ns", count(program.ns_per_run)),
                ]
            })
            .collect();
        let columns = [
            column("PROGRAM", Fit::CutEnd, Style::Plain),
            column("RUNS", Fit::Right, Style::Plain),
            column("PER RUN", Fit::Right, Style::Plain),
        ];
        if !rows.is_empty() {
            self.columns(&columns, &rows);
        }
    }
}
