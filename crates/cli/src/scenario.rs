//! `ringfence scenario`.

mod kept;
mod plan;
mod pump;
mod started;
mod template;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::recommend::{Presence, presence_table};
use ::report::{Merged, Report, TableOptions};
use agent::{Recording, Settings, Target};
use anyhow::{Context as _, ensure};
use behaviour::Redaction;
use clap::{Args, Subcommand};
use containers::engine::Sockets;
use event::{SyscallNames, Text};

use crate::merge::PRIVATE;
use crate::observe::explain;
use crate::recommend::{Format, write_as};
use crate::report::{terminal_width, wants_colour};
use crate::signals::Signals;
use crate::streams::print;
use crate::{exit, units};
use kept::Kept;
use plan::{Engine, Plan, START, Scenario};
use pump::Pump;
use started::{Started, Sweep};
use template::Template;

/// How long the report of a container that has ended may take.
const REPORT_LIMIT: Duration = Duration::from_secs(30);
/// No plan is larger: 1 MiB.
const MAX_PLAN_BYTES: u64 = 1 << 20;

/// Record a workload in named scenarios, and say what each added.
#[derive(Subcommand)]
pub(crate) enum ScenarioCommand {
    Run(RunArgs),
    /// Print a plan to start from.
    #[command(after_help = "\
Examples:
  ringfence scenario template requests > web.toml    then change image and commands
  ringfence scenario run web.toml --out web.runs.json")]
    Template {
        /// Which.
        template: Template,
    },
}

/// Start a container anew for each scenario of a plan, do what the plan says, and record all of it.
///
/// Before the scenarios of the plan there is one in which nothing is done: `start`. What a scenario showed that none before it did
/// is what it added. Each start is a run of its own; --out keeps their reports in one merged file, which `recommend`, `saturation`
/// and `diff` take. The containers are removed, also after Ctrl-C. docs/many-runs.md says what is in a plan.
///
/// Needs what `ringfence record` needs, and docker or podman.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence scenario template errors > web.toml        a plan to start from
  ringfence scenario run web.toml --out web.runs.json  what each scenario added
  ringfence recommend web.runs.json                    what all of them need
  ringfence scenario run web.toml --engine podman --all")]
pub(crate) struct RunArgs {
    /// The plan, in TOML.
    #[arg(value_name = "FILE")]
    plan: PathBuf,

    /// Who starts the containers, whatever the plan says.
    #[arg(long, value_enum)]
    engine: Option<Engine>,

    /// Where the merged reports of all starts are written; an older file is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Also list what every scenario showed (json always does).
    #[arg(long)]
    all: bool,

    /// The size of the kernel's ring buffer: a power of two, such as 8M.
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = units::ring_bytes)]
    buffer: u32,

    /// Do not say how far it is.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(command: &ScenarioCommand) -> anyhow::Result<ExitCode> {
    match command {
        ScenarioCommand::Run(args) => record(args),
        ScenarioCommand::Template { template } => {
            print(template.text())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a scenario came to.
struct Outcome {
    name: String,
    /// Why it was not as the plan expects.
    problem: Option<String>,
    reports: Vec<Report>,
}

fn record(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut plan = read(&args.plan)?;
    plan.container.engine = args.engine.unwrap_or(plan.container.engine);
    let signals = Signals::catch().context("cannot catch signals")?;
    let kept = Arc::new(Mutex::new(Kept::default()));
    let label = unique();
    let recording = Recording::start(settings(args.buffer, Arc::clone(&kept))).map_err(explain)?;
    let mut pump = Pump::new(recording, signals);
    let _sweep = Sweep { engine: plan.container.engine, label: label.clone() };
    let mut outcomes = Vec::new();
    for scenario in std::iter::once(None).chain(plan.scenarios.iter().map(Some)) {
        let outcome = one(&mut pump, &plan, scenario, &label, &kept)?;
        if !args.quiet {
            let problem = outcome.problem.as_deref().unwrap_or("as expected");
            eprintln!("{}: {problem}", outcome.name);
        }
        outcomes.push(outcome);
    }
    let ended = pump.into_recording().finish()?;
    let merged =
        Merged::of(&outcomes.iter().flat_map(|one| one.reports.clone()).collect::<Vec<_>>(), env!("CARGO_PKG_VERSION"))
            .context("the starts are not runs of one workload")?;
    if let Some(out) = &args.out {
        write_as(out, &merged.to_json()?, PRIVATE)?;
    }
    let columns: Vec<(Text, Vec<&Report>)> =
        outcomes.iter().map(|one| (one.name.as_str().into(), one.reports.iter().collect())).collect();
    let presence = Presence::of(&columns);
    print(&match args.format {
        Format::Table => {
            let options = TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all };
            presence_table(&presence, ("SCENARIO", "scenario"), &options)
        }
        Format::Json => presence.to_json(),
    })?;
    let failed: Vec<&str> = outcomes.iter().filter(|one| one.problem.is_some()).map(|one| one.name.as_str()).collect();
    if !failed.is_empty() {
        eprintln!("ringfence: not as the plan expects: {}", failed.join(", "));
    }
    let has_gaps = outcomes.iter().flat_map(|one| &one.reports).any(Report::has_gaps) || ended.not_recorded > 0;
    if has_gaps {
        eprintln!("ringfence: something was lost or not recorded: a recommendation from this is refused");
    }
    let is_whole = failed.is_empty() && !has_gaps;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

/// Starts a container, does to it what a scenario says, and waits for its report.
fn one(
    pump: &mut Pump,
    plan: &Plan,
    scenario: Option<&Scenario>,
    label: &str,
    kept: &Mutex<Kept>,
) -> anyhow::Result<Outcome> {
    let name = scenario.map_or(START, |scenario| &scenario.name);
    let flags = scenario.map_or(&[][..], |scenario| &scenario.flags);
    let container = format!("ringfence-{label}-{name}");
    let cannot = || format!("scenario {name}");
    let kept = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    let started =
        Started::start(pump, &plan.container, flags, container, label, |id| kept().expect(id)).with_context(cannot)?;
    let finished = match scenario {
        _ if started.not_ready.is_some() => None,
        Some(Scenario { run: Some(words), timeout, .. }) => Some(started.on_host(pump, words, *timeout)),
        Some(Scenario { exec: Some(words), timeout, .. }) => Some(started.inside(pump, words, *timeout)),
        _ => None,
    };
    let finished = finished.transpose().with_context(cannot)?;
    started.stop(pump, plan.container.stop_timeout).with_context(cannot)?;
    let has_come = pump.until(REPORT_LIMIT, || kept().has(&started.id))?;
    ensure!(
        has_come,
        "scenario {name}: the container {} ended and no report of it came: is it recorded by `ringfence record {}`?",
        started.name,
        started.name
    );
    let expected = scenario.map_or(0, |scenario| scenario.expect);
    let problem = finished.filter(|finished| finished.status.and_then(|status| status.code()) != Some(expected));
    let problem = problem.map(|finished| format!("not exit status {expected} but {}", finished.said()));
    Ok(Outcome {
        name: name.to_owned(),
        problem: started.not_ready.clone().or(problem),
        reports: kept().of(&started.id),
    })
}

fn read(path: &Path) -> anyhow::Result<Plan> {
    use std::io::Read as _;
    let cannot = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(cannot)?;
    file.take(MAX_PLAN_BYTES + 1).read_to_string(&mut text).with_context(cannot)?;
    ensure!(text.len() as u64 <= MAX_PLAN_BYTES, "{} is larger than 1 MiB, so no plan", path.display());
    Plan::parse(&text).with_context(|| format!("{} is wrong", path.display()))
}

/// Unlike that of any other run of this command on this machine.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_millis() % 1_000_000_000)
}

fn settings(ring_bytes: u32, kept: Arc<Mutex<Kept>>) -> Settings {
    Settings {
        // Which of them are ours their ids say, as soon as the engine has said those.
        targets: vec![Target::All],
        ring_bytes,
        events: None,
        names: SyscallNames::builtin(),
        trace: None,
        file_bytes: false,
        terminal_bytes: 0,
        actions: None,
        redaction: Redaction::default(),
        watch: None,
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: false,
        save: Some(Box::new(move |report: &Report| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).keep(report);
            Ok(PathBuf::new())
        })),
    }
}
