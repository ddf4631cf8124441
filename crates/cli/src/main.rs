//! `ringfence`: watches what every container on a Linux host really does.

#![deny(clippy::print_stdout)] // It panics where nobody reads: `streams::print`.

mod allow;
mod block;
mod containers;
mod detect;
mod diff;
mod doctor;
mod enforce;
mod exit;
mod fields;
mod generate;
mod harden;
mod incident;
mod map;
mod merge;
mod observe;
mod policy;
mod policy_file;
mod privilege;
mod recommend;
mod record;
mod report;
mod rules;
mod saturation;
mod scenario;
mod signals;
mod starting;
mod streams;
mod trace;
mod units;
mod verify;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Watches what every container on this host really does, and writes one behaviour report per container.
#[derive(Parser)]
#[command(name = "ringfence", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // What these do is said with their arguments.
    Record(Box<record::RecordArgs>),
    Watch(Box<watch::WatchArgs>),
    Detect(Box<detect::DetectArgs>),
    Allow(allow::AllowArgs),
    Report(report::ReportArgs),
    Map(map::MapArgs),
    Recommend(Box<recommend::RecommendArgs>),
    Verify(Box<verify::VerifyArgs>),
    Harden(Box<harden::HardenArgs>),
    Saturation(saturation::SaturationArgs),
    Merge(merge::MergeArgs),
    Diff(diff::DiffArgs),
    #[command(subcommand)]
    Scenario(scenario::ScenarioCommand),
    Fields(fields::FieldsArgs),
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Check, list, explain and try rule files in Falco's language.
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    Block(Box<block::BlockArgs>),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    Enforce(enforce::EnforceArgs),
    /// Show the containers that run now.
    Containers(containers::ContainersArgs),
    /// Find out what ringfence can do on this machine, by doing it.
    Doctor(doctor::DoctorArgs),
    /// Write shell completions or man pages.
    #[command(subcommand)]
    Generate(generate::Generate),
    /// What `doctor` runs in cgroups of its own.
    #[command(hide = true)]
    DoctorChild {
        #[command(subcommand)]
        act: doctor::Act,
    },
    /// What `block` has blocked in a cgroup of its own.
    #[command(hide = true, name = ::enforce::CANARY_SUBCOMMAND)]
    GuardCanary {
        act: String,
    },
    /// What `record -- COMMAND` runs until it becomes the command.
    #[command(hide = true, name = agent::BECOME_COMMAND)]
    Become {
        /// The program's path, the name it is called by, and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Record(args) => record::run(*args),
        Command::Watch(args) => watch::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Allow(args) => allow::run(&args),
        Command::Fields(args) => fields::run(&args),
        Command::Rules(command) => rules::run(&command),
        Command::Block(args) => block::run(&args),
        Command::Policy(command) => policy::run(&command),
        Command::Enforce(args) => enforce::run(&args),
        Command::GuardCanary { act } => return ::enforce::run_canary(&act),
        Command::Report(args) => report::run(args),
        Command::Map(args) => map::run(&args),
        Command::Recommend(args) => recommend::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Harden(args) => harden::run(&args),
        Command::Saturation(args) => saturation::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Scenario(command) => scenario::run(&command),
        Command::Incident(command) => incident::run(&command),
        Command::Containers(args) => containers::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Generate(what) => generate::run(&what, &Cli::command()),
        Command::DoctorChild { act } => doctor::act(act),
        Command::Become { arguments } => Err(agent::become_command(&arguments).into()),
    };
    exit::code_of(result)
}
