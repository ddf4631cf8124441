//! `ringfence saturation`.

use std::process::ExitCode;

use ::recommend::{Saturation, saturation, saturation_table};
use ::report::TableOptions;
use anyhow::Context as _;
use clap::Args;

use crate::exit;
use crate::recommend::{Format, Sources};
use crate::report::{terminal_width, wants_colour};
use crate::streams::print;

/// Say how sure one can be that several runs showed all that a workload needs.
///
/// Lists what each run added to those before it, for how long nothing was new, and what as many runs more are expected to
/// add (Chao2, an estimator for species that nobody has seen yet). Needs three runs for that.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence saturation reports/web-*.json          what each run of `web` added
  ringfence saturation reports/web-*.json --all    those too that added nothing
  ringfence saturation reports/web-*.json --format json | jq .estimate")]
pub(crate) struct SaturationArgs {
    #[command(flatten)]
    sources: Sources,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Show every run, and all of what the first one added (json always does).
    #[arg(long)]
    all: bool,

    /// Print the JSON Schema of the answer instead.
    #[arg(long, conflicts_with_all = ["reports", "format", "all", "dir"])]
    schema: bool,
}

pub(crate) fn run(args: &SaturationArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        print(Saturation::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let reports = args.sources.load()?;
    let found = saturation(&reports, &args.sources.options()).context("nothing can be said")?;
    print(&match args.format {
        Format::Table => {
            let options = TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all };
            saturation_table(&found, &options)
        }
        Format::Json => found.to_json(),
    })?;
    let is_whole = found.incomplete.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}
