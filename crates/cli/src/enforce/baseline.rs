//! `ringfence enforce --baseline`: nothing may run but what reports saw.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ::enforce::{EnforceError, Listed, Policy, Program, Script, Target};
use ::recommend::{Programs, programs};
use ::report::{Report, Runs, counted};
use anyhow::{Context as _, bail};
use clap::Args;
use event::Text;

use crate::block::{Force, Format, Whom, note, put_in_force};
use crate::recommend::print;
use crate::report::load_all;
use crate::units;

/// How nothing may run but what reports saw.
#[derive(Args)]
pub(crate) struct BaselineArgs {
    /// Reports of the workload, or containers' names or ids, as `ringfence report` takes them: what they did not see run is denied.
    #[arg(long, value_name = "REPORT", num_args = 1.., conflicts_with = "policy")]
    pub(crate) baseline: Vec<OsString>,

    /// Look for reports in this folder only.
    #[arg(long, value_name = "DIR", requires = "baseline")]
    dir: Option<PathBuf>,

    /// Take reports that miss something: what they miss is denied.
    #[arg(long, requires = "baseline")]
    allow_incomplete: bool,

    /// Print the policy (with --levels: the policies, in YAML) as a file for `--policy` instead of putting it in force.
    #[arg(long, requires = "derived", conflicts_with_all = ["limit", "later", "once", "policy"])]
    pub(super) print: bool,

    #[command(flatten)]
    whom: Whom,

    /// Also only programs that came with the container's image may run: not one that was written or changed since, even if it lies
    /// where a listed one lay.
    #[arg(long, requires = "baseline")]
    image_binaries_only: bool,

    /// Deny nothing by --baseline or --levels: count what would be denied, and say by whom.
    #[arg(long, requires = "derived")]
    pub(super) audit: bool,

    /// How long it is in force; without it until it is removed.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration, requires = "baseline")]
    limit: Option<Duration>,

    /// Do not fail if no container matches yet: those that come are held to it.
    #[arg(long, requires = "baseline")]
    later: bool,
}

pub(super) fn run(args: &BaselineArgs, once: bool, format: Format) -> anyhow::Result<ExitCode> {
    let dir = args.dir.as_deref();
    let each = args.baseline.iter().map(|name| load_all(name, dir));
    let reports = each.collect::<anyhow::Result<Vec<Vec<Report>>>>()?.concat();
    let found = programs(&reports, args.allow_incomplete).context("nothing is denied")?;
    for reason in &found.incomplete {
        note(&format!("incomplete: {}", reason.shown()));
    }
    let (listed, left_out) = list(&found);
    say(&found, &listed, &left_out);
    let policy = Policy {
        schema_version: Policy::SCHEMA_VERSION,
        name: found.runs.first().map(|run| format!("baseline of {}", run.name.shown())),
        containers: if args.whom.is_empty() { named(&reports)? } else { args.whom.targets() },
        exec: Vec::new(),
        hash: Vec::new(),
        image_binaries_only: args.image_binaries_only,
        only: Some(listed),
        file: Vec::new(),
        connect: Vec::new(),
        listen: Vec::new(),
        capability: Vec::new(),
        mount: false,
        ptrace: false,
        module: false,
        audit: args.audit,
    };
    policy.check().map_err(EnforceError::Policy)?;
    if args.print {
        print(&::report::json(&policy))?;
        return Ok(ExitCode::SUCCESS);
    }
    put_in_force(&Force { policy: &policy, only: None, limit: args.limit, later: args.later, once, format })
}

/// The containers that the reports are of.
fn named(reports: &[Report]) -> anyhow::Result<Vec<Target>> {
    let runs = Runs::of(reports).own;
    let names: BTreeSet<&Text> =
        runs.iter().filter_map(|run| run.container.name.as_ref().or(run.container.id.as_ref())).collect();
    if names.is_empty() {
        bail!("the reports do not name their container: say which with --container, --image or --label");
    }
    let text = |name: &Text| String::from_utf8(name.as_bytes().to_vec());
    let names: Result<Vec<String>, _> = names.into_iter().map(text).collect();
    Ok(names
        .context("the name of a container is no text: say which with --container")?
        .into_iter()
        .map(Target::Container)
        .collect())
}

/// As a policy lists it, and what no policy can.
fn list(found: &Programs) -> (Listed, BTreeSet<Text>) {
    let mut left_out = found.unlistable.clone();
    let parsed = |path: &Text| Program::parse(std::str::from_utf8(path.as_bytes()).ok()?).ok();
    let mut listed = Listed::default();
    for path in &found.programs {
        match parsed(path) {
            Some(program) => listed.programs.push(program),
            None => {
                left_out.insert(path.clone());
            }
        }
    }
    for script in &found.scripts {
        let called = std::str::from_utf8(script.called.as_bytes()).ok().filter(|called| Script::may_be_called(called));
        match parsed(&script.path).zip(called) {
            Some((path, called)) => {
                listed.scripts.push(Script { called: (called != path.as_str()).then(|| called.to_owned()), path });
            }
            None => {
                left_out.insert(script.path.clone());
            }
        }
    }
    for name in &found.applets {
        match std::str::from_utf8(name.as_bytes()) {
            Ok(name) if Listed::may_be_picked(name) => listed.applets.push(name.to_owned()),
            _ => {
                left_out.insert(name.clone());
            }
        }
    }
    (listed, left_out)
}

/// What is listed, and how the runs themselves fare under it: before anything is denied.
fn say(found: &Programs, listed: &Listed, left_out: &BTreeSet<Text>) {
    let names: BTreeSet<&Text> = found.runs.iter().map(|run| &run.name).collect();
    let names: Vec<String> = names.into_iter().map(::report::quoted).collect();
    let mut parts = vec![counted(listed.programs.len() as u64, "program", "programs")];
    for (many, one, several) in
        [(listed.scripts.len(), "script", "scripts"), (listed.applets.len(), "applet", "applets")]
    {
        if many > 0 {
            parts.push(counted(many as u64, one, several));
        }
    }
    let runs = counted(found.runs.len() as u64, "run", "runs");
    note(&format!("seen in {runs} ({}): {}", names.join(", "), parts.join(", ")));
    for what in left_out {
        note(&format!("  not listed, as no path finds it again: {}", ::report::quoted(what)));
    }
    if found.runs.len() < 2 {
        note("one run alone cannot tell what it would deny in others: record more, or count with --audit first");
        return;
    }
    let (execs, denied) =
        found.runs.iter().fold((0, 0), |(execs, denied), run| (execs + run.execs, denied + run.denied));
    note(&format!(
        "each run, if only what the others ran might run: {} of {} would have been denied",
        denied,
        counted(execs, "program start", "program starts")
    ));
    for run in found.runs.iter().filter(|run| run.denied > 0) {
        let what: Vec<String> = run.denied_programs.iter().take(SHOWN).map(::report::quoted).collect();
        let more = run.denied_programs.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        note(&format!("  {}: {} of {}: {}{more}", ::report::quoted(&run.name), run.denied, run.execs, what.join(", ")));
    }
}

/// So many programs of a run are named.
const SHOWN: usize = 8;
