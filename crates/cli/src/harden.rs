//! `ringfence harden`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::recommend::{Beside, Options, Profile, Recommendation, Target, recommend};
use ::report::{Report, TableOptions, html};
use anyhow::{Context as _, ensure};
use clap::Args;
use event::{Phase, PrivilegedOperation, Text};
use prove::{Client, Plan, Proof, Starter, Verdict, record, table, verify};

use crate::exit;
use crate::recommend::{YesNo, write};
use crate::report::{terminal_width, wants_colour};
use crate::starting::{StartArgs, What, told_to_stop};
use crate::streams::print;
use crate::verify::missing;

/// What is denied is added so often; more is no matter of chance.
const MOST_AMENDMENTS: usize = 3;

/// Record a workload, recommend what it needs, prove that, and write it all into a folder.
///
/// It is started --starts times as its engine starts everybody and recorded; what is recommended from that is proved with --runs
/// starts. What turns out to be missing is added, and that is proved anew. Record what the workload does beside starting: give a
/// --check that makes it work, fail and end as it does in earnest.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence harden nginx:1 --check 'curl -fs http://$RINGFENCE_ADDRESS/'
  ringfence harden worker:2 --out hardened --run-options '--volume /data:/data' -- --once
  ringfence harden --engine runc --bundle /srv/job --out hardened")]
pub(crate) struct HardenArgs {
    /// The image.
    #[arg(required_unless_present_any = ["bundle", "container"])]
    image: Option<String>,

    /// Start others like this container: its image, command, variables, user and network; its volumes are shared.
    #[arg(long, value_name = "NAME")]
    container: Option<String>,

    /// The bundle that runc or crun starts; it is not changed.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    start: StartArgs,

    /// Whether it will be started with no_new_privileges. Without it: if no program gained rights when it was executed.
    #[arg(long, value_enum, value_name = "YES|NO")]
    no_new_privileges: Option<YesNo>,

    /// How often it is started to be recorded.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,

    /// How often it is started to prove what is recommended.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,

    /// The folder for the results; files of an earlier time are replaced.
    #[arg(long, value_name = "DIR", default_value = "hardened")]
    out: PathBuf,

    /// The arguments behind the image.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: &HardenArgs) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let starter = args.start.starter(What {
        image: args.image.clone(),
        command: &args.command,
        container: args.container.as_deref(),
        bundle: args.bundle.clone(),
        sources: &[],
    })?;
    let (patience, progress, stop) = (args.start.patience(), args.start.progress(), told_to_stop()?);
    let reports = record(&starter, &patience, args.starts, &stop, &progress);
    args.start.done();
    let reports = reports.context("nothing was recorded")?;
    let setting = args.no_new_privileges.map_or_else(|| !gains_rights(&reports), |answer| answer == YesNo::Yes);
    let options = Options { no_new_privileges: Some(setting), ..Options::default() };
    let mut recommendation =
        recommend(&reports, &options, env!("CARGO_PKG_VERSION")).context("nothing is recommended")?;
    // The names that the recorded containers had are nobody's any more, and volumes and services get theirs from these.
    let name = name_of(&starter);
    recommendation.sources.iter_mut().for_each(|source| source.name.clone_from(&name));

    let mut proof = None;
    for amendments in 0..=MOST_AMENDMENTS {
        let plan = Plan {
            recommendation: &recommendation,
            starter: &starter,
            patience: &patience,
            runs: args.runs,
            settings: &[recommendation.no_new_privileges],
            minimise: 0,
            stop: &stop,
            progress: &progress,
        };
        let proved = verify(&plan, env!("CARGO_PKG_VERSION"));
        args.start.done();
        let proved = proved.context("nothing is proved")?;
        let missing = missing(&proved, &recommendation);
        let is_last = missing.is_empty() || amendments == MOST_AMENDMENTS;
        proof = Some(proved);
        if is_last {
            break;
        }
        for one in &missing {
            eprintln!("ringfence: denied, and added: {}", one.what);
        }
        recommendation = recommendation.with(&missing);
    }
    let proof = proof.context("nothing was started")?;
    let written = write_all(&args.out, &starter, &reports, &recommendation, &proof)?;
    print(table(&proof, &TableOptions { width: terminal_width(), colour: wants_colour(), all: true }))?;
    print(format!("\n{}", written))?;
    Ok(if proof.verdict == Verdict::Proved { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

/// What the workload is called: as its image, without where it is from and which it is of those with its name.
fn name_of(starter: &Starter) -> Option<Text> {
    let Starter::Engine(engine) = starter else { return None };
    let last = engine.image.rsplit('/').next()?;
    last.split([':', '@']).next().filter(|name| !name.is_empty()).map(Text::from)
}

/// Whether a program of the workload got more rights by being executed: no_new_privileges would keep them from it.
fn gains_rights(reports: &[Report]) -> bool {
    let operations = reports.iter().flat_map(|report| &report.behaviour.privileged.operations);
    let gained = |one: &behaviour::OperationUse| {
        one.phase != Phase::RuntimeInit && one.operation == PrivilegedOperation::ExecElevated
    };
    operations.into_iter().any(gained)
}

/// Writes the folder; gives what is in it, a line for each file.
fn write_all(
    folder: &Path,
    starter: &Starter,
    reports: &[Report],
    recommendation: &Recommendation,
    proof: &Proof,
) -> anyhow::Result<String> {
    let mut lines = String::new();
    let mut notes: Vec<String> = Vec::new();
    let mut file = |name: &str, content: &str, what: &str| -> anyhow::Result<()> {
        write(&folder.join(name), content)?;
        lines.push_str(&format!("{}  {what}\n", folder.join(name).display()));
        Ok(())
    };
    file("recommendation.json", &recommendation.to_json(), "what is recommended, and why")?;
    file("seccomp.json", &Profile::new(&recommendation.seccomp).to_json(), "the seccomp profile")?;
    file("proof.json", &proof.to_json(), "what was started under it, and what came of it")?;
    for (number, report) in (1..).zip(reports) {
        file(&format!("report-{number}.json"), &report.to_json(), "what it did")?;
    }
    let last = reports.last().context("there is no report")?;
    file("report.html", &html(last, true), "the same of the last start, for people")?;
    let profile = std::path::absolute(folder.join("seccomp.json")).context("cannot tell where the folder is")?;
    let profile = profile.to_str().context("engines take only UTF-8: name the folder so")?;
    let beside = Beside { profile: Some(profile), config: None };
    let targets: &[(Target, &str, &str)] = match starter {
        Starter::Engine(engine) if engine.client == Client::Podman => &[
            (Target::Podman, "flags", "the arguments for `podman run`, as they were proved"),
            (Target::Quadlet, "hardened.container", "a drop-in for a Quadlet of podman"),
        ],
        Starter::Engine(_) => &[
            (Target::Docker, "flags", "the arguments for `docker run`, as they were proved"),
            (Target::Compose, "compose.yaml", "a file that docker compose merges into yours"),
        ],
        Starter::Bundle(_) => &[],
    };
    for (target, name, what) in targets {
        let output = target.write(recommendation, &Profile::new(&recommendation.seccomp), &beside)?;
        file(name, &output.text, what)?;
        notes.extend(output.notes);
    }
    if let Starter::Bundle(bundle) = starter {
        let config = bundle.folder.join("config.json");
        let config = fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
        let beside = Beside { profile: None, config: Some(&config) };
        let output = Target::Oci.write(recommendation, &Profile::new(&recommendation.seccomp), &beside)?;
        file("config.json", &output.text, "the bundle's configuration, with what was proved")?;
        notes.extend(output.notes);
    }
    notes.dedup();
    for note in notes {
        eprintln!("ringfence: {note}");
    }
    ensure!(!lines.is_empty(), "nothing was written");
    Ok(lines)
}
