//! `ringfence enforce`.

mod baseline;
mod levels;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::enforce::{Enforcer, Follower, Policy};
use anyhow::{Context as _, ensure};
use clap::{ArgGroup, Args};
use event::Text;

use crate::block::status::mode;
use crate::block::{Format, explain, follow, note, refused};
use crate::policy_file;
use crate::signals::Signals;
use crate::streams::print;
use baseline::BaselineArgs;
use levels::LevelsArgs;

/// Put policies in force: all of a folder, those of the levels that containers name, or that nothing runs or is written but what
/// reports saw.
///
/// With --policy, as `ringfence block --later --policy FILE` for each file of the folder whose name ends in .json, .yaml or .yml, and containers are
/// held to them as they come. Nothing is put in force if one of them is no policy. What is in force already stays as it is: it can be
/// started again at any time, as by a service when the machine starts.
///
/// With --levels, a container says by its label `ringfence.level` how much is denied in it: `privileged` nothing; `baseline` known ways out of a
/// container and changes of the kernel; `restricted` also every program that did not come with its image, and most capabilities. One
/// without the label is held to nothing. May be given beside --policy.
///
/// With --baseline, every program that the reports did not see run in the workload, or in a session in it, is denied, and so is
/// writing where they saw nothing written: in the containers that have the names of the reports' own, unless others are named. What
/// a runtime does to set a container up or to bring a program into one is not judged. First it is said how the runs
/// themselves would fare, each under what the others did. Reports that miss something are refused, and so is a kernel on which
/// writing cannot be denied, unless only programs are to be held (--programs-only).
#[derive(Args)]
#[command(group = ArgGroup::new("derived").args(["baseline", "levels"]))]
#[command(after_help = "\
Examples:
  ringfence enforce --policy /etc/ringfence/policies       all policies of this folder
  ringfence enforce --levels                               containers are held to the level that they name
  ringfence enforce --levels --audit                       count first what the levels would deny
  ringfence enforce --levels --print                       the policies of the levels, to copy and change
  ringfence enforce --baseline web                         nothing in web but what its newest report saw
  ringfence enforce --baseline web --programs-only         the same of programs; files may be written anywhere
  ringfence enforce --baseline runs/*.json --container web --audit   count first what would be denied
  ringfence enforce --baseline web --print > /etc/ringfence/policies/web.json   for --policy")]
pub(crate) struct EnforceArgs {
    /// The folder with policies.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["baseline", "levels"], conflicts_with_all = ["container", "image", "label"])]
    policy: Option<PathBuf>,

    #[command(flatten)]
    levels: LevelsArgs,

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
    if !args.baseline.baseline.is_empty() {
        return refused(baseline::run(&args.baseline, args.once, args.format));
    }
    if args.baseline.print {
        print(levels::printed(args.baseline.audit))?;
        return Ok(ExitCode::SUCCESS);
    }
    refused(policies(args).and_then(|policies| put_in_force(args, &policies)))
}

/// All that are asked for, each with what it is called.
fn policies(args: &EnforceArgs) -> anyhow::Result<Vec<(String, Policy)>> {
    let mut policies = args.policy.as_deref().map(read).transpose()?.unwrap_or_default();
    if args.levels.levels {
        policies.extend(levels::policies(args.baseline.audit)?);
    }
    Ok(policies)
}

fn put_in_force(args: &EnforceArgs, policies: &[(String, Policy)]) -> anyhow::Result<ExitCode> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let enforcer = Enforcer::start(None).map_err(explain)?;
    note(&format!("step {}: {}", enforcer.climb().step, enforcer.climb().step.guarantee()));
    for (file, policy) in policies {
        if let Some(status) = enforcer.policies()?.into_iter().find(|status| status.is_of(policy)) {
            let is_as_written = status.policy.audit == policy.audit;
            let mode = if is_as_written { String::new() } else { format!(", which {}", mode(&status)) };
            note(&format!("{file}: in force already, as policy {}{mode}", status.number));
            continue;
        }
        match enforcer.apply(policy, None, true) {
            Ok(applied) => {
                let verb = if policy.audit { " only counted" } else { "" };
                let said = format!("{}{verb} in {}{}", policy.what(), policy.whom(), policy.when());
                note(&format!("{file}: policy {}: {said}", applied.number));
            }
            Err(error) => {
                // Guards that deny nothing are not left behind.
                enforcer.end_if_unused()?;
                return Err(anyhow::Error::from(error).context(file.clone()));
            }
        }
    }
    let follower = if args.levels.levels { Follower::with_label(levels::label()) } else { Follower::new() };
    follow(args.format, args.once, enforcer, follower, None, signals)
}

/// All policies of the folder, in the order of their names.
fn read(folder: &Path) -> anyhow::Result<Vec<(String, Policy)>> {
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
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        policies.push((file, policy));
    }
    Ok(policies)
}
