//! A proof on a terminal.

use event::Text;
use report::{Column, Fit, Style, TableOptions, count, counted, lay_out, wrap};

use crate::proof::{Denial, Denied, Proof, Verdict};

/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;
const INDENT: usize = 2;

/// The proof for a terminal: text that a container chose is made harmless, and no line is wider than it.
pub fn table(proof: &Proof, options: &TableOptions) -> String {
    let mut page = Page { width: options.width.max(MIN_WIDTH), colour: options.colour, out: String::new() };
    page.head(proof);
    page.settings(proof);
    page.controls(proof);
    page.capabilities(proof);
    page.out
}

struct Page {
    width: usize,
    colour: bool,
    out: String,
}

impl Page {
    fn wrapped(&mut self, indent: usize, text: &str, style: Style) {
        for line in wrap(text, self.width - indent) {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(&style.paint(&line, self.colour));
            self.out.push('\n');
        }
    }

    fn rows(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        self.out.push('\n');
        for line in lay_out(columns, rows, self.width - INDENT, self.colour) {
            self.out.push_str(&" ".repeat(INDENT));
            self.out.push_str(&line);
            self.out.push('\n');
        }
    }

    fn head(&mut self, proof: &Proof) {
        let (words, style) = match proof.verdict {
            Verdict::Proved => ("PROVED", Style::Title),
            Verdict::WorksWithDenials => ("WORKS, WITH DENIALS", Style::Bad),
            Verdict::Failed => ("FAILED", Style::Bad),
            Verdict::Worthless => ("NOT PROVED", Style::Bad),
        };
        self.wrapped(0, words, style);
        for reason in &proof.reasons {
            self.wrapped(INDENT, &reason.shown(), Style::Bad);
        }
        let workload = &proof.workload;
        let software = |software: &Option<report::Software>| {
            software.as_ref().map(|one| {
                let version = one.version.as_ref().map(|version| format!(" {}", version.shown())).unwrap_or_default();
                format!("{}{version}", one.name.shown())
            })
        };
        let by: Vec<String> = [software(&workload.engine), software(&workload.runtime)].into_iter().flatten().collect();
        let by = by.join(", ");
        let kernel = format!("Linux {} {}", proof.kernel_release.shown(), proof.architecture.shown());
        self.wrapped(INDENT, &format!("{} by {by}, on {kernel}", workload.image.shown()), Style::Plain);
        let check = proof.check.as_ref().map(|check| format!(", and the check succeeds: {}", check.shown()));
        let expected = format!("it works if it {}{}", proof.expected.shown(), check.unwrap_or_default());
        self.wrapped(INDENT, &expected, Style::Plain);
        let hash = &proof.recommendation_sha256;
        self.wrapped(INDENT, &format!("of the recommendation with the SHA-256 {hash}"), Style::Faint);
    }

    fn settings(&mut self, proof: &Proof) {
        let column = |title, fit, style| Column { title, fit, style };
        let columns = [
            column("NO_NEW_PRIVILEGES", Fit::Left, Style::Label),
            column("STARTS", Fit::Right, Style::Plain),
            column("WORKED", Fit::Right, Style::Plain),
            column("DENIALS", Fit::Right, Style::Plain),
            column("FAILURES (95 %)", Fit::Right, Style::Plain),
        ];
        let rows: Vec<Vec<String>> = proof
            .settings
            .iter()
            .map(|setting| {
                let bound = match setting.failures_below {
                    all if all >= 1.0 => "?".to_owned(),
                    bound => format!("below {:.2} %", bound * 100.0),
                };
                vec![
                    if setting.no_new_privileges { "yes" } else { "no" }.to_owned(),
                    setting.starts.to_string(),
                    setting.worked.to_string(),
                    setting.denials.len().to_string(),
                    bound,
                ]
            })
            .collect();
        self.rows(&columns, &rows);

        let denials: Vec<&Denial> = proof.settings.iter().flat_map(|setting| &setting.denials).collect();
        if !denials.is_empty() {
            let columns = [
                column("DENIED", Fit::Left, Style::Label),
                column("PHASE", Fit::Left, Style::Plain),
                column("COUNT", Fit::Right, Style::Plain),
                column("STARTS", Fit::Right, Style::Plain),
                column("FAILED", Fit::Right, Style::Plain),
                column("BY", Fit::CutFront, Style::Faint),
            ];
            let row = |denial: &&Denial| {
                vec![
                    what(&denial.denied),
                    denial.phase.name().to_owned(),
                    count(denial.count),
                    denial.starts.to_string(),
                    denial.failed_starts.to_string(),
                    denial.program.shown().into_owned(),
                ]
            };
            let rows: Vec<Vec<String>> = denials.iter().map(row).collect();
            self.rows(&columns, &rows);
        }
        for setting in &proof.settings {
            for failed in &setting.failed {
                let says =
                    if failed.says.is_empty() { String::new() } else { format!("; it says: {}", failed.says.shown()) };
                self.wrapped(INDENT, &format!("start {}: {}{says}", failed.number, failed.why.shown()), Style::Bad);
            }
        }
    }

    fn controls(&mut self, proof: &Proof) {
        self.out.push('\n');
        let list = |names: &[Text]| names.iter().map(|name| name.shown().into_owned()).collect::<Vec<_>>().join(" ");
        if let Some(control) = &proof.needed {
            if let (Some(missed), Some(how)) = (&control.missed, &control.how) {
                let text = format!("without {} it fails, as it must: {}", missed.shown(), how.shown());
                self.wrapped(INDENT, &text, Style::Plain);
            }
            if !control.not_missed.is_empty() {
                let text = format!("taken away and not missed: {}", list(&control.not_missed));
                self.wrapped(INDENT, &text, Style::Plain);
            }
        }
        let control = &proof.refused;
        for (what, names, style) in [
            ("refused, as they must be", &control.refused, Style::Plain),
            ("not refused, though they are not allowed", &control.entered, Style::Bad),
            ("dangerous, and allowed", &control.allowed, Style::Bad),
        ] {
            if !names.is_empty() {
                self.wrapped(INDENT, &format!("{what}: {}", list(names)), style);
            }
        }
    }

    fn capabilities(&mut self, proof: &Proof) {
        for trial in &proof.capabilities {
            let text = match &trial.how {
                Some(how) => format!("{} is needed: without it {}", trial.capability, how.shown()),
                None => {
                    let starts = counted(trial.starts.into(), "start", "starts");
                    format!("{} was not needed in {starts}", trial.capability)
                }
            };
            self.wrapped(INDENT, &text, Style::Plain);
        }
    }
}

fn what(denied: &Denied) -> String {
    match denied {
        Denied::Call { call } => call.shown().into_owned(),
        Denied::Capability { capability } => capability.to_string(),
        Denied::Failure { call, errno } => format!("{}: {errno}", call.shown()),
    }
}
