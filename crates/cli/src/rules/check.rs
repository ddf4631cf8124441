//! `ringfence rules check`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use event::Text;
use rules::{Options, Problem, RuleCheck, RuleSet, Severity};

use super::files;
use crate::exit;
use crate::streams::print;

/// Read rule files together, in this order, and say which rules are active and why others are not.
///
/// A rule that asks for what ringfence does not provide is inactive, alone, and the reason names it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence rules check falco_rules.yaml my_rules.yaml   the second may change rules of the first
  ringfence rules check rules.d/ --format json

Exit codes: 0 every rule is active, or disabled by its own file; 1 a rule is inactive, or something is wrong; 2 a file cannot be read.")]
pub(crate) struct CheckArgs {
    /// Rule files, or folders of files whose names end with .yaml or .yml; without any those that come with ringfence.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Print the JSON Schema of the answer instead.
    #[arg(long, conflicts_with_all = ["paths", "format"])]
    schema: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One object.
    Json,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        print(RuleCheck::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let files = files::read_or_shipped(&args.paths)?;
    let (set, problems) = RuleSet::load(&files, &Options::default());
    let check = RuleCheck::new(&files, &set, problems);
    print(&match args.format {
        Format::Text => text(&check),
        Format::Json => check.to_json(),
    })?;
    Ok(if check.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

fn text(check: &RuleCheck) -> String {
    let mut out = String::new();
    for problem in &check.problems {
        let _ = writeln!(out, "{problem}");
    }
    if !check.problems.is_empty() {
        out.push('\n');
    }
    for file in &check.files {
        let name = Text::from(file.name.as_str());
        let _ = write!(out, "{name}: {} of {} rules active", file.active, file.rules);
        for (count, what) in [(file.disabled, "disabled"), (file.inactive, "inactive")] {
            if count > 0 {
                let _ = write!(out, ", {count} {what}");
            }
        }
        out.push('\n');
    }
    for rule in &check.inactive {
        let _ = writeln!(out, "inactive: {}: {}", Text::from(rule.name.as_str()), Text::from(rule.reason.as_str()));
    }
    let wrong = |severity| check.problems.iter().filter(|problem: &&Problem| problem.severity == severity).count();
    let _ = writeln!(out, "{} errors, {} warnings", wrong(Severity::Error), wrong(Severity::Warning));
    out
}
