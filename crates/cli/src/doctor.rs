//! `ringfence doctor`.

mod canary;
mod cgroups;
mod child;
mod cost;
mod engines;
mod hooks;
mod machine;
mod table;
mod verdict;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use containers::cgroupfs::Layout;
use containers::proc::Proc;
use event::{Arch, SyscallNames};
use sensors::CallFilter;
use serde::{Serialize, Serializer};

pub(crate) use child::{Act, act};

use crate::exit;
use crate::report::{terminal_width, wants_colour};
use crate::streams::print;

/// Find out what ringfence can do on this machine, by doing it.
///
/// Every sensor is loaded and attached, and must report exactly what a test process in a cgroup of its own does; every
/// other kind of hook is tried with a program of a few instructions. What is missing is named, with what that costs. It
/// takes a few seconds, changes nothing and leaves nothing behind. As an ordinary user it says what it could not try.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 everything that this version does works; 1 something of it does not, or could not be tried; 2 the diagnosis
could not be made.

Examples:
  sudo ringfence doctor
  sudo ringfence doctor --format json | jq '.verdicts'")]
pub(crate) struct DoctorArgs {
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Table,
    /// One document, described in docs/doctor.md.
    Json,
}

/// Everything that was found; in JSON exactly this.
#[derive(Serialize)]
struct Diagnosis {
    schema_version: u32,
    ringfence_version: &'static str,
    verdicts: Vec<verdict::Verdict>,
    machine: machine::Machine,
    #[serde(serialize_with = "known_or_why_not")]
    cgroups: Result<cgroups::Cgroups, String>,
    sensors: Sensors,
    hooks: Vec<hooks::Hook>,
    engines: engines::Engines,
    cost: Option<cost::Cost>,
}

/// The sensors.
#[derive(Debug, Default, Serialize)]
struct Sensors {
    /// Why they could not be loaded.
    failure: Option<String>,
    /// Why they could not be loaded with an event for each call.
    traced_failure: Option<String>,
    /// What libbpf and the verifier said about that.
    log: Vec<String>,
    /// Why they could not be put to the test.
    untried: Option<String>,
    programs: Vec<canary::Program>,
}

fn known_or_why_not<S: Serializer, T: Serialize>(value: &Result<T, String>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Ok(value) => value.serialize(serializer),
        Err(why) => std::collections::BTreeMap::from([("failure", why)]).serialize(serializer),
    }
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let diagnosis = examine();
    let output = match args.format {
        Format::Table => table::table(&diagnosis, terminal_width(), wants_colour()),
        Format::Json => serde_json::to_string_pretty(&diagnosis).context("cannot write JSON")? + "\n",
    };
    print(output)?;
    let all_works = diagnosis.verdicts.iter().all(|verdict| verdict.grade == verdict::Grade::Works);
    Ok(if all_works { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

fn examine() -> Diagnosis {
    let machine = machine::Machine::look();
    let layout = Layout::detect(&Proc::default()).map_err(|error| canary::causes(&error));
    // Unlike any other's, also of another doctor at the same time.
    let name = format!("doctor-{}", std::process::id());

    let missing: Vec<String> = machine.missing().iter().map(ToString::to_string).collect();
    let why_not = (!missing.is_empty()).then(|| format!("it needs {}: try with sudo", missing.join(" and ")));
    let hooks = hooks::try_all(layout.as_ref().ok(), &format!("{name}-hook"), why_not.as_deref());
    let (sensors, cost) = match (&layout, &why_not) {
        (_, Some(why)) => (Sensors { failure: Some(why.clone()), ..Sensors::default() }, None),
        (Err(why), _) => (Sensors { failure: Some(why.clone()), ..Sensors::default() }, None),
        (Ok(layout), None) => try_sensors(layout, &name),
    };
    let engines = engines::ask();
    let verdicts = verdict::verdicts(&verdict::Findings {
        machine: &machine,
        failure: sensors.failure.as_deref(),
        traced_failure: sensors.traced_failure.as_deref(),
        programs: &sensors.programs,
        untried: sensors.untried.as_deref(),
        hooks: &hooks,
        engines: &engines,
    });
    Diagnosis {
        schema_version: 1,
        ringfence_version: env!("CARGO_PKG_VERSION"),
        verdicts,
        machine,
        cgroups: layout.as_ref().map(cgroups::describe).map_err(Clone::clone),
        sensors,
        hooks,
        engines,
        cost,
    }
}

fn try_sensors(layout: &Layout, name: &str) -> (Sensors, Option<cost::Cost>) {
    let outside = cost::Outside::before();
    let first = match canary::try_sensors(layout, name, None) {
        Ok(trial) => trial,
        Err(canary::Failure { why, log }) => {
            return (Sensors { failure: Some(why), log, ..Sensors::default() }, None);
        }
    };
    let cost = cost::measure(&first.kernel, layout, &format!("{name}-cost"), outside);
    let canary::Trial { kernel, mut programs, untried } = first;
    // Both at once would do each other's work.
    drop(kernel);
    // Once more with the programs that are needed only while each call is an event.
    let numbers = SyscallNames::builtin().number(Arch::NATIVE, "getppid").map(|number| vec![number]);
    let trace = CallFilter { numbers, ..CallFilter::default() };
    let mut sensors = Sensors { untried, ..Sensors::default() };
    match canary::try_sensors(layout, &format!("{name}-trace"), Some(trace)) {
        Ok(traced) => {
            let is_new = |program: &canary::Program| !programs.iter().any(|known| known.name == program.name);
            let more: Vec<_> = traced.programs.into_iter().filter(is_new).collect();
            programs.extend(more.into_iter().map(|program| canary::Program { only_traced: true, ..program }));
        }
        Err(canary::Failure { why, log }) => (sensors.traced_failure, sensors.log) = (Some(why), log),
    }
    sensors.programs = programs;
    (sensors, Some(cost))
}
