//! `ringfence rules`: rule files in Falco's language.

mod check;
mod explain;
pub(crate) mod files;
mod list;
mod page;
pub(crate) mod shipped;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

/// Check, list, explain and try rule files in Falco's language.
#[derive(Subcommand)]
#[command(after_help = "\
Without files these are about the rules that come with ringfence.

Examples:
  ringfence rules list                                  the rules that come with ringfence
  ringfence rules check rules.d/                        how many rules are active, and why others are not
  ringfence rules list falco_rules.yaml                 each rule, and what wakes it
  ringfence rules explain 'Clear Log Activities' falco_rules.yaml
  ringfence rules test my_rules.yaml --events run.ndjson")]
pub(crate) enum RulesCommand {
    Check(check::CheckArgs),
    List(list::ListArgs),
    Explain(explain::ExplainArgs),
    Test(test::TestArgs),
}

pub(crate) fn run(command: &RulesCommand) -> anyhow::Result<ExitCode> {
    match command {
        RulesCommand::Check(args) => check::run(args),
        RulesCommand::List(args) => list::run(args),
        RulesCommand::Explain(args) => explain::run(args),
        RulesCommand::Test(args) => test::run(args),
    }
}
