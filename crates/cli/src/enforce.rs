//! `ringfence enforce`.

mod baseline;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::enforce::{EnforceError, Enforcer, Policy};
use anyhow::{Context as _, ensure};
use clap::Args;
use event::Text;

use crate::block::{Format, explain, follow, note, refused};
use crate::signals::Signals;
use crate::{exit, policy_file};
use baseline::BaselineArgs;

/// Put policies in force: all of a folder, or that nothing runs or is written but what reports saw.
///
/// With --policy, as `ringfence block --later --policy FILE` for each file of the folder whose name ends in .json, .yaml or .yml, and containers are
/// held to them as they come. Nothing is put in force if one of them is no policy. What is in force already stays as it is: it can be
/// started again at any time, as by a service when the machine starts.
///
/// With --baseline, every program that the reports did not see run in the workload, or in a session in it, is denied, and so is
/// writing where they saw nothing written: in the containers that have the names of the reports' own, unless others are named. What
/// a runtime does to set a container up or to bring a program into one is not judged. First it is said how the runs
/// themselves would fare, each under what the others did. Reports that miss something are refused, and so is a kernel on which
/// writing cannot be denied, unless only programs are to be held (--programs-only).
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence enforce --policy /etc/ringfence/policies       all policies of this folder
  ringfence enforce --baseline web                         nothing in web but what its newest report saw
  ringfence enforce --baseline web --programs-only         the same of programs; files may be written anywhere
  ringfence enforce --baseline runs/*.json --container web --audit   count first what would be denied
  ringfence enforce --baseline web --print > /etc/ringfence/policies/web.json   for --policy")]
pub(crate) struct EnforceArgs {
    /// The folder with policies.
    #[arg(long, value_name = "DIR", required_unless_present = "baseline", conflicts_with_all = ["container", "image", "label"])]
    policy: Option<PathBuf>,

    #[command(flatten)]
    baseline: BaselineArgs,

    /// Put them in force, and end.
    #[arg(long)]
    once: bool,

    /// How denials are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &EnforceArgs) -> anyhow::Result<ExitCode> {
    let Some(folder) = &args.policy else {
        return refused(baseline::run(&args.baseline, args.once, args.format));
    };
    let policies = match read(folder) {
        Err(error) if error.downcast_ref::<EnforceError>().is_some_and(EnforceError::is_refusal) => {
            exit::print(&error);
            return Ok(ExitCode::from(exit::REFUSED));
        }
        other => other?,
    };
    refused(put_in_force(args, &policies))
}

fn put_in_force(args: &EnforceArgs, policies: &[(PathBuf, Policy)]) -> anyhow::Result<ExitCode> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let enforcer = Enforcer::start(None).map_err(explain)?;
    note(&format!("step {}: {}", enforcer.climb().step, enforcer.climb().step.guarantee()));
    for (path, policy) in policies {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(status) = enforcer.policies()?.into_iter().find(|status| status.policy == *policy) {
            note(&format!("{file}: in force already, as policy {}", status.number));
            continue;
        }
        let applied = enforcer.apply(policy, None, true).map_err(anyhow::Error::from).with_context(|| file.clone())?;
        note(&format!("{file}: policy {}: {} in {}", applied.number, policy.what(), policy.whom()));
    }
    follow(args.format, args.once, enforcer, None, signals)
}

/// All policies of the folder, in the order of their names.
fn read(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Policy)>> {
    let shown = |path: &Path| Text::from(path.to_string_lossy().as_ref()).shown().into_owned();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", shown(folder)))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", shown(folder)))?.path();
        if policy_file::is_named_so(&path) {
            paths.push(path);
        }
    }
    ensure!(!paths.is_empty(), "{} has no file whose name ends in .json, .yaml or .yml", shown(folder));
    paths.sort();
    let mut policies = Vec::new();
    for path in paths {
        let policy = policy_file::read(&path)?;
        policies.push((path, policy));
    }
    Ok(policies)
}
