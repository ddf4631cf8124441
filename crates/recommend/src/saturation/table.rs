//! Saturation on a terminal.

use report::{Column, Fit, Style, TableOptions, count, counted, duration, lay_out, wrap};

use super::{RunAdds, Saturation};

/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;
/// Without `all`, so many runs are listed; those that added nothing are left out first.
const RUN_LINES: usize = 20;

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
    paragraph(&quiet(saturation), Style::Plain);
    paragraph(&expected(saturation), Style::Plain);
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
    out
}

/// For how long nothing was new.
fn quiet(saturation: &Saturation) -> String {
    let quiet = duration(saturation.quiet_ns);
    match saturation.runs_without_new {
        0 => format!("nothing new in the last {quiet} of the last run"),
        runs => format!("nothing new in the last {quiet} and {}", counted(runs.into(), "whole run", "whole runs")),
    }
}

/// What is expected.
fn expected(saturation: &Saturation) -> String {
    let Some(estimate) = &saturation.estimate else {
        return "three runs are needed to say what others may add".to_owned();
    };
    let runs = counted(estimate.more_runs.into(), "run", "runs");
    format!(
        "{runs} more are expected to add about {:.1} (with 90 %: {} to {}); without end, at least {:.1} are unseen",
        estimate.expected, estimate.least, estimate.most, estimate.unseen
    )
}
