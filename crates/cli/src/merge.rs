//! `ringfence merge`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::recommend::{Presence, presence_table};
use ::report::{Merged, Report, Runs, TableOptions, called_apart, counted};
use anyhow::Context as _;
use clap::Args;
use event::Text;

use crate::recommend::{Format, write_as};
use crate::report::{load_all, terminal_width, wants_colour};
use crate::streams::print;

/// Put the reports of several runs of one workload into one file, and show what each run showed.
///
/// The file holds each run's report whole, one of each run, in an order that depends on nothing but the runs: merging again, in
/// another order or in other groups gives the same bytes. `recommend`, `saturation`, `map`, `diff` and `merge` take it in the place
/// of the reports. Reports of different workloads are refused: the same are the image by its digest, the command and the
/// architecture.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence merge reports/web-*.json --out web.runs.json    one file of several runs, and what each added
  ringfence merge web.runs.json new.json --out web.runs.json  one run more
  ringfence merge web.runs.json --all                       every permission, and which runs showed it
  ringfence recommend web.runs.json")]
pub(crate) struct MergeArgs {
    /// Reports' or merged files, or containers' names or ids, as `ringfence report` takes them; `-` for standard input.
    #[arg(value_name = "FILE|CONTAINER", required_unless_present = "schema")]
    reports: Vec<OsString>,

    /// Where the merged file is written; an older one is replaced. `-` is standard output, and then no table is shown.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Also list what every run showed (json always does).
    #[arg(long)]
    all: bool,

    /// Look in this folder only; the arguments are then names of containers or of files in it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print the JSON Schema of merged files instead.
    #[arg(long, conflicts_with_all = ["reports", "out", "format", "all", "dir"])]
    schema: bool,
}

/// The mode of a report: command lines can hold secrets.
pub(crate) const PRIVATE: u32 = 0o600;

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        print(Merged::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let each = args.reports.iter().map(|name| load_all(name, args.dir.as_deref()));
    let reports = each.collect::<anyhow::Result<Vec<Vec<Report>>>>()?.concat();
    let merged = Merged::of(&reports, env!("CARGO_PKG_VERSION")).context("nothing is merged")?;
    let json = merged.to_json().context("nothing is merged")?;
    match args.out.as_deref() {
        Some(out) if out == Path::new("-") => {
            print(&json)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(out) => write_as(out, &json, PRIVATE)?,
        None => {}
    }
    let runs = Runs::of(&merged.runs);
    let names = called_apart(&runs.own);
    let columns: Vec<(Text, Vec<&Report>)> =
        names.iter().zip(&runs.own).map(|(name, run)| (name.as_str().into(), vec![*run])).collect();
    let presence = Presence::of(&columns);
    print(&match args.format {
        Format::Table => {
            let options = TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all };
            presence_table(&presence, ("RUN", "run"), &options)
        }
        Format::Json => presence.to_json(),
    })?;
    if !runs.nested.is_empty() {
        let nested = counted(runs.nested.len() as u64, "container", "containers");
        eprintln!("ringfence: with {nested} that were made inside of these, which the table does not show");
    }
    let given = reports.len() - merged.runs.len();
    if given > 0 {
        eprintln!(
            "ringfence: {} of a run that is there already: the longest of each counts",
            counted(given as u64, "report", "reports")
        );
    }
    Ok(ExitCode::SUCCESS)
}
