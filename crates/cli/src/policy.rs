//! `ringfence policy`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::enforce::{EnforceError, Enforcer, PolicyState, Status};
use anyhow::ensure;
use clap::{Args, Subcommand};
use event::Text;

use crate::block::line::Shown;
use crate::block::names::Names;
use crate::block::status::{PolicyDocument, policy_text};
use crate::block::{Format, counted, explain, note, short};
use crate::streams::print;
use crate::{exit, policy_file};

/// Show and remove what is blocked.
#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// List the policies that are in force.
    List {
        /// How they are shown.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show one policy as the file that it could be taken from.
    Show {
        /// Its number.
        number: u32,
    },
    /// Deny nothing by a policy from now on: count, and tell what would have been denied. It stays in force, with its containers, its
    /// counts and its end.
    #[command(after_help = "\
Examples:
  ringfence policy complain 0       policy 0 only counts
  ringfence policy complain --all   all that are in force now only count")]
    Complain(SwitchArgs),
    /// Deny again by a policy that only counts. It is said only after a process of our own was blocked.
    #[command(after_help = "\
Examples:
  ringfence policy enforce 0       policy 0 denies
  ringfence policy enforce --all   all that are in force now deny, also those that were put in force with --audit")]
    Enforce(SwitchArgs),
    /// Take a policy away: what it denied works again. With the last one the guards go, too.
    Remove(RemoveArgs),
    /// Say what a policy's file (JSON, or YAML if its name ends in .yaml or .yml) means here, without putting it in force.
    Test {
        /// The file.
        file: PathBuf,
    },
}

/// Which.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// Their numbers.
    #[arg(required_unless_present = "all")]
    numbers: Vec<u32>,

    /// All of them, and the guards, even if they are of no use any more.
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
}

/// Which.
#[derive(Args)]
pub(crate) struct SwitchArgs {
    /// Their numbers.
    #[arg(required_unless_present = "all")]
    numbers: Vec<u32>,

    /// All that are in force.
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
}

pub(crate) fn run(command: &PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::List { format } => list(*format),
        PolicyCommand::Show { number } => show(*number),
        PolicyCommand::Complain(args) => switch(args, PolicyState::Audit),
        PolicyCommand::Enforce(args) => switch(args, PolicyState::Enforce),
        PolicyCommand::Remove(args) => remove(args),
        PolicyCommand::Test { file } => test(file),
    }
}

fn list(format: Format) -> anyhow::Result<ExitCode> {
    let (policies, names) = match Enforcer::find().map_err(explain)? {
        Some(enforcer) => {
            let policies = enforcer.policies()?;
            let names = Names::of_tainted(&enforcer, &policies)?;
            (policies, names)
        }
        None => (Vec::new(), Names::default()),
    };
    let shown = Shown::new(format);
    match format {
        Format::Text if policies.is_empty() => print("no policy is in force\n")?,
        Format::Text => print(policies.iter().map(|status| policy_text(status, &shown, &names)).collect::<String>())?,
        Format::Json => {
            let documents: Vec<_> = policies.iter().map(|status| PolicyDocument::of(status, &shown, &names)).collect();
            print(report::json(&documents))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(number: u32) -> anyhow::Result<ExitCode> {
    let enforcer = Enforcer::find().map_err(explain)?.ok_or(EnforceError::NoPolicy(number))?;
    let status = enforcer.policy(number)?;
    print(report::json(&status.policy))?;
    Ok(ExitCode::SUCCESS)
}

fn switch(args: &SwitchArgs, to: PolicyState) -> anyhow::Result<ExitCode> {
    let found = Enforcer::find().map_err(explain)?;
    let numbers = match &found {
        Some(enforcer) if args.all => {
            enforcer.policies()?.iter().filter(|status| !status.is_over()).map(|status| status.number).collect()
        }
        _ => args.numbers.clone(),
    };
    let Some(enforcer) = found.filter(|_| !numbers.is_empty()) else {
        if let Some(number) = numbers.first() {
            return Err(EnforceError::NoPolicy(*number).into());
        }
        note("no policy is in force");
        return Ok(ExitCode::SUCCESS);
    };
    for status in enforcer.switch(&numbers, to)? {
        note(&format!("policy {}: {}", status.number, switched(&status, to)));
    }
    if to == PolicyState::Enforce {
        note("a process of our own was blocked so");
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of a policy that was so before.
fn switched(before: &Status, to: PolicyState) -> String {
    let what = match (to, before.policy.audit) {
        (PolicyState::Audit, true) => "only counts, as before",
        (PolicyState::Audit, false) => "denies nothing from now on, and only counts",
        (PolicyState::Enforce, false) => "denies, as before",
        (PolicyState::Enforce, true) => "denies from now on",
    };
    format!("{what} ({} so far)", counted(before))
}

fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let found = Enforcer::find().map_err(explain)?;
    if args.all {
        match found {
            Some(enforcer) => {
                enforcer.end()?;
                note("nothing is blocked any more");
            }
            None => note("nothing was blocked"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(enforcer) = found else { return Err(EnforceError::NoPolicy(args.numbers[0]).into()) };
    for number in &args.numbers {
        let status = enforcer.remove(*number)?;
        note(&format!("policy {number} is removed: {}", counted(&status)));
    }
    if enforcer.end_if_unused()? {
        note("it was the last one: the guards are gone, too");
    }
    Ok(ExitCode::SUCCESS)
}

fn test(file: &Path) -> anyhow::Result<ExitCode> {
    let policy = match policy_file::read(file) {
        Err(error) if error.downcast_ref::<EnforceError>().is_some_and(EnforceError::is_refusal) => {
            exit::print(&error);
            return Ok(ExitCode::from(exit::REFUSED));
        }
        read => read?,
    };
    let said = format!("{} in {}{}", policy.what(), policy.whom(), policy.when());
    let mut lines = format!("{}\n", Text::from(said.as_str()).shown());
    let matching = ::enforce::matching(&policy)?;
    ensure!(matching.len() < 100_000, "more containers than can be shown");
    for (id, name) in &matching {
        let name = name.as_deref().map(|name| format!("{name} ")).unwrap_or_default();
        let _ = writeln!(lines, "  {}", Text::from(format!("{name}{}", short(id)).as_str()).shown());
    }
    if matching.is_empty() {
        lines.push_str("  no container that runs now\n");
    }
    print(lines)?;
    if matching.is_empty() {
        return Ok(ExitCode::from(exit::REFUSED));
    }
    Ok(ExitCode::SUCCESS)
}
