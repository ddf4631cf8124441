//! `ringfence`: watches what every container on a Linux host really does.

mod exit;
mod record;
mod report;
mod trace;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watches what every container on this host really does, and writes one behaviour report per container.
#[derive(Parser)]
#[command(name = "ringfence", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record what containers, or one command, do; write a report of each.
    Record(record::RecordArgs),
    /// Show a report.
    Report(report::ReportArgs),
    /// What `record -- COMMAND` runs until it becomes the command.
    #[command(hide = true)]
    BecomeCommand {
        /// The program's path, the name it is called by, and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Record(args) => record::run(args),
        Command::Report(args) => report::run(args),
        Command::BecomeCommand { arguments } => Err(agent::become_command(&arguments).into()),
    };
    exit::code_of(result)
}
