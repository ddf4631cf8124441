//! `ringfence rules test`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use event::Text;
use report::json_line;
use rules::{Match, Options, Recorded, Replay, RuleSet};

use super::files;
use crate::exit;

/// Ask rules about events that were recorded, without privileges.
///
/// What the events themselves do not say is unset: names of users, mounts and labels of the container. Processes that began
/// before the recording have no arguments.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence record web --for 1m --events run.ndjson && ringfence rules test my_rules.yaml --events run.ndjson
  ringfence watch web --format json | ringfence rules test my_rules.yaml --events -

Exit codes: 0 no rule matched; 1 a rule matched; 2 a file cannot be read, or a line is no event.")]
pub(crate) struct TestArgs {
    /// Rule files, or folders of files whose names end with .yaml or .yml; without any those that come with ringfence.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,

    /// Events as `record --events FILE.ndjson` or `watch --format json` writes them; `-` is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "schema")]
    events: Option<PathBuf>,

    /// How to show a match.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Only the first rule that matches an event, as Falco does by default.
    #[arg(long)]
    first_match: bool,

    /// Print the JSON Schema of a match instead.
    #[arg(long, conflicts_with_all = ["paths", "events", "format"])]
    schema: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each.
    Text,
    /// One JSON object on each line.
    Json,
}

/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 4 << 20;

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        crate::streams::print(Match::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options { first_match_only: args.first_match, ..Options::default() };
    let (set, problems) = RuleSet::load(&files::read_or_shipped(&args.paths)?, &options);
    files::tell(&problems);
    let path = args.events.clone().unwrap_or_default();
    let shown = Text::from(path.display().to_string());
    let mut lines: Box<dyn std::io::BufRead> = if path.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(&path).with_context(|| format!("cannot read {shown}"))?))
    };
    let mut replay = Replay::new();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    let (mut number, mut line) = (0_u64, String::new());
    loop {
        line.clear();
        let mut limited = std::io::Read::take(&mut lines, MAX_LINE_BYTES);
        limited.read_line(&mut line).with_context(|| format!("cannot read {shown}"))?;
        if line.is_empty() {
            break;
        }
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        let recorded = Recorded::parse(&line).with_context(|| format!("line {number} of {shown}"))?;
        let matches: Vec<Match> =
            replay.take(&recorded, |subject| set.matching(subject).map(|rule| Match::new(rule, subject)).collect());
        for found in matches {
            *counts.entry(found.rule.clone()).or_default() += 1;
            let text = match args.format {
                Format::Text => found.line(),
                Format::Json => json_line(&found),
            };
            writeln!(out, "{text}").context("cannot write to standard output")?;
        }
    }
    out.flush().context("cannot write to standard output")?;
    let active = set.active().count();
    eprintln!("{number} events, {active} active rules, {} matches", counts.values().sum::<u64>());
    for (rule, count) in &counts {
        eprintln!("  {count} {}", Text::from(rule.as_str()));
    }
    Ok(if counts.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}
