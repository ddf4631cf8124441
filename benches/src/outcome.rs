//! What an item of the measurements found: tables of numbers, and targets that were met or missed.

use std::fmt::Write as _;

use serde::Serialize;

use crate::host::Load;

/// The result of one item.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) tables: Vec<Table>,
    pub(crate) checks: Vec<Check>,
    /// What a reader must know: what could not be measured and why, what was thrown away.
    pub(crate) notes: Vec<String>,
    pub(crate) load: Load,
    pub(crate) seconds: f64,
}

/// Numbers in rows.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One line of a table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) cells: Vec<f64>,
}

/// A number that had to be reached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) target: String,
    pub(crate) met: bool,
}

/// What an item gives to its caller; the rest of an [`Outcome`] is the same for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) tables: Vec<Table>,
    pub(crate) checks: Vec<Check>,
    pub(crate) notes: Vec<String>,
}

impl Findings {
    /// Adds a target and how far it was reached.
    pub(crate) fn check(&mut self, what: impl Into<String>, measured: String, target: String, met: bool) {
        self.checks.push(Check { what: what.into(), measured, target, met });
    }

    /// A target that could not be measured, which is not met.
    pub(crate) fn not_measured(&mut self, what: impl Into<String>, why: &str) {
        self.check(what, format!("not measured: {why}"), "a measurement".into(), false);
    }

    /// The same for a number that must not be above its target.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, measured: f64, target: f64, unit: &str) {
        self.check(
            what,
            format!("{}{unit}", short(measured)),
            format!("<= {}{unit}", short(target)),
            measured <= target,
        );
    }
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<const N: usize>(caption: impl Into<String>, columns: [&str; N]) -> Table {
        Table { caption: caption.into(), columns: columns.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds a line.
    pub(crate) fn row<const N: usize>(&mut self, label: impl Into<String>, cells: [f64; N]) {
        self.rows.push(Row { label: label.into(), cells: cells.to_vec() });
    }
}

impl Outcome {
    /// Whether every target was met.
    pub(crate) fn is_met(&self) -> bool {
        self.checks.iter().all(|check| check.met)
    }

    /// As Markdown, which reads as well on a terminal.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        for table in &self.tables {
            let _ = writeln!(text, "{}\n", table.caption);
            text.push_str(&grid(&table.lines()));
            text.push('\n');
        }
        if !self.checks.is_empty() {
            let mut lines = vec![["target", "wanted", "measured", "result"].map(str::to_owned).to_vec()];
            for check in &self.checks {
                let result = if check.met { "met" } else { "missed" };
                lines.push(vec![check.what.clone(), check.target.clone(), check.measured.clone(), result.into()]);
            }
            text.push_str(&grid(&lines));
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        let _ = writeln!(text, "- `{}`: {:.0} s; {}.", self.name, self.seconds, self.load);
        text
    }
}

impl Table {
    fn lines(&self) -> Vec<Vec<String>> {
        let head = std::iter::once(String::new()).chain(self.columns.iter().cloned()).collect();
        let rows = self.rows.iter().map(|row| {
            let cells = row.cells.iter().copied().map(short);
            std::iter::once(row.label.clone()).chain(cells).collect()
        });
        std::iter::once(head).chain(rows).collect()
    }
}

/// A table in Markdown; the first column is left-aligned, and so is all text.
fn grid(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |line: &Vec<String>, column: usize| line.get(column).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| cell(line, column).chars().count()).max().unwrap_or_default().max(3))
        .collect();
    let is_number = |column: usize| lines.iter().skip(1).all(|line| cell(line, column).parse::<f64>().is_ok());
    let right: Vec<bool> = (0..columns).map(|column| column > 0 && is_number(column)).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, &width) in widths.iter().enumerate() {
            let cell = cell(line, column);
            let _ = if right[column] { write!(text, "| {cell:>width$} ") } else { write!(text, "| {cell:<width$} ") };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let _ = write!(text, "|{}{}", "-".repeat(width + 1), if right[column] { ":" } else { "-" });
            }
            text.push_str("|\n");
        }
    }
    text
}

/// A number with as many digits as say something.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 1000.0 || number.fract() == 0.0 {
        format!("{number:.0}")
    } else if size >= 100.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(met: bool) -> Outcome {
        let mut table = Table::new("Times.", ["ns", "ratio"]);
        table.row("nothing", [93.25, 1.0]);
        table.row("something", [1234.6, 0.5]);
        let mut findings = Findings::default();
        findings.at_most("cost", if met { 1.0 } else { 1.3 }, 1.2, "x");
        Outcome {
            name: "item",
            title: "An item",
            tables: vec![table],
            checks: findings.checks,
            notes: vec!["a note".into()],
            load: Load { before: 1.0, after: 2.0, cpus: 2 },
            seconds: 3.0,
        }
    }

    #[test]
    fn numbers_are_aligned_with_as_many_digits_as_say_something() {
        let text = outcome(true).markdown();

        assert!(text.contains("| nothing   | 93.25 |     1 |\n"), "{text}");
        assert!(text.contains("| something |  1235 |  0.50 |\n"), "{text}");
        assert!(text.contains("|-----------|------:|------:|\n"), "{text}");
    }

    #[test]
    fn each_target_says_met_or_missed() {
        assert!(outcome(true).markdown().contains("| <= 1.20x | 1x       | met"), "{}", outcome(true).markdown());
        assert!(outcome(false).markdown().contains("missed"));
        assert!(outcome(true).is_met() && !outcome(false).is_met());
    }

    #[test]
    fn the_load_of_the_machine_is_said() {
        assert!(outcome(true).markdown().contains("load 1.00 before and 2.00 after on 2 CPUs"));
    }
}
