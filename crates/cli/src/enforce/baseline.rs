//! `ringfence enforce --baseline`: nothing may run, and nothing be written, but what reports saw.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ::enforce::{Deed, EnforceError, Listed, Policy, Program, Script, Target, WrittenPlace};
use ::recommend::{Programs, Written, programs, written};
use ::report::{Report, Runs, counted};
use anyhow::{Context as _, bail};
use clap::Args;
use event::Text;

use crate::block::{Force, Format, Whom, note, put_in_force};
use crate::report::load_all;
use crate::streams::print;
use crate::units;

/// How nothing may run or be written but what reports saw.
#[derive(Args)]
pub(crate) struct BaselineArgs {
    /// Reports of the workload, or containers' names or ids, as `ringfence report` takes them: what they did not see run or
    /// written is denied.
    #[arg(long, value_name = "REPORT", num_args = 1.., conflicts_with = "policy")]
    pub(crate) baseline: Vec<OsString>,

    /// Look for reports in this folder only.
    #[arg(long, value_name = "DIR", requires = "baseline")]
    dir: Option<PathBuf>,

    /// Take reports that miss something: what they miss is denied.
    #[arg(long, requires = "baseline")]
    allow_incomplete: bool,

    /// Hold only programs to it: files may be written anywhere, as where only programs can be denied.
    #[arg(long, requires = "baseline")]
    programs_only: bool,

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
    let (mut listed, left_out) = list(&found);
    let wrote = match args.programs_only {
        true => None,
        false => Some(written(&reports, args.allow_incomplete).context(WITHOUT_FILES)?),
    };
    say(&found, &listed, &left_out);
    if let Some(wrote) = &wrote {
        let (places, left_out) = list_places(wrote);
        say_written(wrote, &places, &left_out);
        listed.written = Some(places);
    }
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
        after: Vec::new(),
        audit: args.audit,
    };
    policy.check().map_err(EnforceError::Policy)?;
    if args.print {
        print(::report::json(&policy))?;
        return Ok(ExitCode::SUCCESS);
    }
    let forced =
        put_in_force(&Force { policy: &policy, only: None, limit: args.limit, later: args.later, once, format });
    forced.map_err(|error| match error.downcast_ref() {
        Some(EnforceError::Deed { deed: Deed::Write, .. }) => error.context(WITHOUT_FILES),
        _ => error,
    })
}

/// What to do where files cannot be held to what was seen.
const WITHOUT_FILES: &str =
    "nothing is denied; --programs-only holds programs alone to what was seen, and lets files be written anywhere";

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

/// The places as a policy lists them, and what no policy can.
fn list_places(wrote: &Written) -> (Vec<WrittenPlace>, BTreeSet<Text>) {
    let mut left_out = wrote.unlistable.clone();
    let mut places = Vec::new();
    for place in &wrote.places {
        let path = std::str::from_utf8(place.path.as_bytes()).ok();
        let parsed = path.and_then(|path| match place.is_below {
            true => WrittenPlace::below(path).ok(),
            false => WrittenPlace::at(path).ok(),
        });
        match parsed {
            Some(place) => places.push(place),
            None => drop(left_out.insert(place.path.clone())),
        }
    }
    (places, left_out)
}

/// Where may be written, and how the runs themselves fare under that.
fn say_written(wrote: &Written, places: &[WrittenPlace], left_out: &BTreeSet<Text>) {
    for reason in &wrote.incomplete {
        note(&format!("incomplete: {}", reason.shown()));
    }
    let folders = places.iter().filter(|place| place.is_below()).count();
    note(&format!(
        "written: {}, {} with all below",
        counted((places.len() - folders) as u64, "file", "files"),
        counted(folders as u64, "folder", "folders")
    ));
    let shown: Vec<String> =
        places.iter().filter(|place| place.is_below()).map(|place| quoted(&place.to_string())).collect();
    if !shown.is_empty() {
        note(&format!("  folders: {}", few(&shown)));
    }
    if wrote.is_joined {
        note("  there were too many places: those that lie near each other are put together");
    }
    for folder in &wrote.narrow {
        note(&format!(
            "  names change in {}, which is the system's and is not opened for that: other names there will be denied",
            ::report::quoted(folder)
        ));
    }
    for what in left_out {
        note(&format!("  not listed, as no path finds it again: {}", ::report::quoted(what)));
    }
    if wrote.runs.len() < 2 {
        return;
    }
    let (files, denied) =
        wrote.runs.iter().fold((0, 0), |(files, denied), run| (files + run.files, denied + run.denied));
    note(&format!(
        "each run, if only where the others wrote might be written: {} of {} would have been denied",
        denied,
        counted(files, "file written", "files written")
    ));
    for run in wrote.runs.iter().filter(|run| run.denied > 0) {
        let what: Vec<String> = run.denied_files.iter().map(::report::quoted).collect();
        note(&format!("  {}: {} of {}: {}", ::report::quoted(&run.name), run.denied, run.files, few(&what)));
    }
}

fn quoted(text: &str) -> String {
    ::report::quoted(&Text::from(text))
}

/// The first few, and how many more there are.
fn few(all: &[String]) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let shown = &all[..all.len() - more];
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
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
        let what: Vec<String> = run.denied_programs.iter().map(::report::quoted).collect();
        note(&format!("  {}: {} of {}: {}", ::report::quoted(&run.name), run.denied, run.execs, few(&what)));
    }
}

/// So many programs or files of a run are named.
const SHOWN: usize = 8;
