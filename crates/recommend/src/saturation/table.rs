//! Saturation on a terminal.

use report::{Column, Fit, Style, TableOptions, count, counted, duration, lay_out, wrap};

use super::{Estimate, RunAdds, Saturation};

/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;
/// Without `all`, so many runs are listed; those that added nothing are left out first.
const RUN_LINES: usize = 20;
/// The curve has so many lines.
const SHARES: u64 = 10;
const LONGEST_BAR: usize = 40;

/// The saturation for a terminal: text that a container chose is made harmless, and no line is wider than it.
pub fn table(saturation: &Saturation, options: &TableOptions) -> String {
    let width = options.width.max(MIN_WIDTH);
    let mut out = String::new();
    let mut paragraph = |text: &str, style: Style| {
        for line in wrap(text, width) {
            out.push_str(&style.paint(&line, options.colour));
            out.push('\n');
        }
    };
    let runs = &saturation.runs;
    let needed = counted(saturation.total.into(), "permission", "permissions");
    paragraph(&format!("{needed} in {}", counted(runs.len() as u64, "run", "runs")), Style::Title);
    paragraph(&saturation.summary.shown(), Style::Plain);
    if let Some(estimate) = &saturation.estimate {
        paragraph(&expected(estimate), Style::Faint);
    }
    for reason in &saturation.incomplete {
        paragraph(&format!("incomplete: {}", reason.shown()), Style::Bad);
    }

    let listed: Vec<(usize, &RunAdds)> =
        runs.iter().enumerate().filter(|(_, run)| options.all || !run.new.is_empty()).collect();
    let shown = if options.all { listed.len() } else { listed.len().min(RUN_LINES) };
    let column = |title, fit, style| Column { title, fit, style };
    let columns = [
        column("RUN", Fit::Right, Style::Plain),
        column("NAME", Fit::CutEnd, Style::Label),
        column("OBSERVED", Fit::Right, Style::Plain),
        column("TOTAL", Fit::Right, Style::Plain),
        column("NEW", Fit::Right, Style::Plain),
        column("WHAT IS NEW", Fit::CutEnd, Style::Plain),
    ];
    let row = |(at, run): &(usize, &RunAdds)| {
        let names: Vec<String> = run.new.iter().map(|one| one.name.shown().into_owned()).collect();
        // Of the first run nearly everything is.
        let what = if *at == 0 && !options.all { String::new() } else { names.join(", ") };
        let (number, new) = ((at + 1).to_string(), run.new.len().to_string());
        vec![number, run.name.shown().into_owned(), duration(run.observed_ns), count(run.total.into()), new, what]
    };
    let rows: Vec<Vec<String>> = listed[..shown].iter().map(row).collect();
    out.push('\n');
    for line in lay_out(&columns, &rows, width, options.colour) {
        out.push_str(&line);
        out.push('\n');
    }
    let more = runs.len() - shown;
    if more > 0 {
        let text = format!("… {}: --all shows them", counted(more as u64, "more run", "more runs"));
        for line in wrap(&text, width) {
            out.push_str(&Style::Faint.paint(&line, options.colour));
            out.push('\n');
        }
    }
    let columns = [
        column("AFTER", Fit::Right, Style::Plain),
        column("RUNS", Fit::Right, Style::Plain),
        column("TOTAL", Fit::Right, Style::Plain),
        column("", Fit::CutEnd, Style::Good),
    ];
    let rows = curve(saturation);
    if !rows.is_empty() {
        out.push('\n');
        for line in lay_out(&columns, &rows, width, options.colour) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

/// What is expected, and how sure that is.
fn expected(estimate: &Estimate) -> String {
    let runs = counted(estimate.more_runs.into(), "run", "runs");
    format!(
        "{runs} more are expected to add about {:.1} (with 90 %: {} to {}); without end, at least {:.1} are unseen",
        estimate.expected, estimate.least, estimate.most, estimate.unseen
    )
}

/// How many were known after each tenth of the observed time, with a bar for each.
fn curve(saturation: &Saturation) -> Vec<Vec<String>> {
    let end = saturation.curve.last().map_or(0, |last| last.observed_ns);
    if end == 0 || saturation.total == 0 {
        return Vec::new();
    }
    let row = |share: u64| {
        let until = if share == SHARES { end } else { end / SHARES * share };
        let known = saturation.curve.iter().take_while(|point| point.observed_ns <= until).last();
        let (runs, total) = known.map_or((0, 0), |point| (point.runs, point.total));
        let bar = LONGEST_BAR * total as usize / saturation.total as usize;
        vec![duration(until), runs.to_string(), count(total.into()), "#".repeat(bar)]
    };
    (1..=SHARES).map(row).collect()
}
