//! `ringfence enforce`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::enforce::{EnforceError, Enforcer, Policy};
use anyhow::{Context as _, ensure};
use clap::Args;
use event::Text;

use crate::block::{Format, explain, follow, note, refused};
use crate::exit;
use crate::signals::Signals;

/// Put all policies of a folder in force, and hold containers to them as they come.
///
/// As `ringfence block --later --policy FILE` for each file whose name ends in .json. Nothing is put in force if one of them is no
/// policy. What is in force already stays as it is: it can be started again at any time, as by a service when the machine starts.
#[derive(Args)]
pub(crate) struct EnforceArgs {
    /// The folder.
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,

    /// Put them in force, and end.
    #[arg(long)]
    once: bool,

    /// How denials are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &EnforceArgs) -> anyhow::Result<ExitCode> {
    let policies = match read(&args.policy) {
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
        if path.extension().is_some_and(|end| end == "json") {
            paths.push(path);
        }
    }
    ensure!(!paths.is_empty(), "{} has no file whose name ends in .json", shown(folder));
    paths.sort();
    let mut policies = Vec::new();
    for path in paths {
        let json = std::fs::read(&path).with_context(|| format!("cannot read {}", shown(&path)))?;
        let policy = Policy::parse(&json).map_err(EnforceError::Policy).with_context(|| shown(&path))?;
        policies.push((path, policy));
    }
    Ok(policies)
}
