//! `ringfence rules list`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use event::Text;
use report::{Column, Fit, Style, lay_out};
use rules::{Options, Rule, RuleSet, Status};

use super::files;
use super::page::page;
use crate::report::{terminal_width, wants_colour};
use crate::streams::print;

/// Show each rule: how much it matters, whether it is active, and what wakes it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence rules list falco_rules.yaml
  ringfence rules list rules.d/ --tag container --active
  ringfence rules list --format markdown                the page about the rules that come with ringfence")]
pub(crate) struct ListArgs {
    /// Rule files, or folders of files whose names end with .yaml or .yml; without any those that come with ringfence.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,

    /// Only rules with one of these tags.
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tag: Vec<String>,

    /// Only rules that are active.
    #[arg(long)]
    active: bool,

    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Text,
    /// A page with what each is about and how to silence it.
    Markdown,
}

pub(crate) fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let (set, problems) = RuleSet::load(&files::read_or_shipped(&args.paths)?, &Options::default());
    files::tell(&problems);
    let is_wanted = |rule: &&Rule| {
        (args.tag.is_empty() || rule.tags().iter().any(|tag| args.tag.contains(tag)))
            && (!args.active || *rule.status() == Status::Active)
    };
    if args.format == Format::Markdown {
        let rules: Vec<&Rule> = set.rules().iter().filter(is_wanted).collect();
        print(page(&rules))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = set.rules().iter().filter(is_wanted).map(row).collect();
    let columns = [
        ("PRIORITY", Fit::Left, Style::Plain),
        ("STATUS", Fit::Left, Style::Plain),
        ("RULE", Fit::Left, Style::Label),
        ("WAKES FOR", Fit::CutEnd, Style::Plain),
        ("TAGS", Fit::CutEnd, Style::Plain),
    ]
    .map(|(title, fit, style)| Column { title, fit, style });
    // In a file nothing is cut.
    let is_cut = std::io::stdout().is_terminal() || std::env::var_os("COLUMNS").is_some();
    let width = if is_cut { terminal_width() } else { usize::MAX };
    let lines = lay_out(&columns, &rows, width, wants_colour());
    print(lines.into_iter().flat_map(|line| [line, "\n".into()]).collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

fn row(rule: &Rule) -> Vec<String> {
    let shown = |text: &str| Text::from(text).shown().into_owned();
    vec![
        rule.priority().to_string(),
        status(rule).to_owned(),
        shown(rule.name()),
        wakes(rule),
        rule.tags().iter().map(|tag| shown(tag)).collect::<Vec<_>>().join(", "),
    ]
}

pub(super) fn status(rule: &Rule) -> &'static str {
    match rule.status() {
        Status::Active => "active",
        Status::Disabled => "disabled",
        Status::NotProvided { .. } | Status::Wrong { .. } => "inactive",
    }
}

/// The events and calls that a rule is asked about.
pub(super) fn wakes(rule: &Rule) -> String {
    if rule.wakes_for_any_call() {
        return "every event that comes".to_owned();
    }
    let calls = rule.calls().iter().map(|call| call.name);
    rule.kinds().iter().copied().chain(calls).collect::<Vec<_>>().join(", ")
}
