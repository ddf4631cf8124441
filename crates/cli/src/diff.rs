//! `ringfence diff`.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::recommend::{Diff, Direction, Subject, diff, diff_table};
use ::report::TableOptions;
use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::exit;
use crate::recommend::Format;
use crate::report::{Place, place, terminal_width, wants_colour};
use crate::streams::print;

/// Compare two reports, merged files, recommendations or seccomp profiles, in what they mean.
///
/// Of profiles it is what is decided on every call of every table, with conditions on arguments, and in Docker's form with each
/// combination of capabilities and kernels that rules depend on: layout, order and repetition make no difference. Reports are
/// compared in the system calls, capabilities and programs of the workload. A report and a profile or recommendation: what the
/// report shows and the other does not let through.
///
/// The exit code is 0 if there is no difference, 1 if there is one, 2 if they cannot be compared.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence diff old.json new.json                    two seccomp profiles, or two reports
  ringfence diff monday.runs.json tuesday.runs.json   two merged files
  ringfence diff web web.json                         does the profile let through what `web` did?
  ringfence diff old.json new.json --fail-on added    in CI: fail only if more gets through than before
  ringfence diff old.json new.json --format json | jq '.changes[].name'")]
pub(crate) struct DiffArgs {
    /// How it was: a file, or a container's name or id as `ringfence report` takes it; `-` for standard input.
    #[arg(value_name = "FILE|CONTAINER", required_unless_present = "schema")]
    before: Option<OsString>,

    /// How it is.
    #[arg(value_name = "FILE|CONTAINER", required_unless_present = "schema")]
    after: Option<OsString>,

    /// Which differences give the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Any)]
    fail_on: FailOn,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Show every difference, however many they are (json always does).
    #[arg(long)]
    all: bool,

    /// Look for containers' reports in this folder only.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print the JSON Schema of differences instead.
    #[arg(long, conflicts_with_all = ["before", "after", "fail_on", "format", "all", "dir"])]
    schema: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any difference.
    Any,
    /// Something is done or gets through that did not.
    Added,
    /// Something is no longer done, or no longer gets through.
    Removed,
}

pub(crate) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (Some(before), Some(after)) = (&args.before, &args.after) else {
        print(Diff::schema())?;
        return Ok(ExitCode::SUCCESS);
    };
    anyhow::ensure!(before != "-" || after != "-", "standard input can be read once: give a file for the other");
    let found = diff(&load(before, args)?, &load(after, args)?, env!("CARGO_PKG_VERSION"))
        .context("these cannot be compared")?;
    print(&match args.format {
        Format::Table => {
            let options = TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all };
            diff_table(&found, &options)
        }
        Format::Json => found.to_json(),
    })?;
    let fails = match args.fail_on {
        FailOn::Any => !found.changes.is_empty(),
        FailOn::Added => found.has(Direction::Added),
        FailOn::Removed => found.has(Direction::Removed),
    };
    Ok(if fails { ExitCode::from(exit::FINDINGS) } else { ExitCode::SUCCESS })
}

fn load(name: &OsString, args: &DiffArgs) -> anyhow::Result<Subject> {
    let (bytes, path) = match place(name, args.dir.as_deref())? {
        Place::StandardInput => {
            let path = Path::new("standard input").to_owned();
            (store::read_bytes_from(io::stdin().lock(), &path)?, path)
        }
        Place::File(path) => {
            let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            (store::read_bytes_from(file, &path)?, path)
        }
    };
    Subject::parse(&bytes).with_context(|| format!("{} cannot be compared", path.display()))
}
