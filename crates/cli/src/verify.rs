//! `ringfence verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::recommend::{Missing, MissingPermission, Recommendation};
use ::report::TableOptions;
use anyhow::Context as _;
use clap::{Args, Parser, ValueEnum};
use prove::{Denied, Plan, Proof, Verdict, table, verify};

use crate::exit;
use crate::recommend::{Format, write};
use crate::report::{terminal_width, wants_colour};
use crate::starting::{StartArgs, What, told_to_stop};
use crate::streams::print;

/// So many bytes a recommendation may have.
const MAX_BYTES: u64 = 64 << 20;

/// Prove a recommendation: start the workload under it, and see whether it works and what it is denied.
///
/// It is started twice as its engine starts everybody, then --runs times under the recommendation, and each start is recorded.
/// Then the proof is put to the test: a call that the workload makes is taken away, which must be noticed, and calls that are
/// not allowed are made in its container, which must be refused. The exit code is 0 only if the recommendation is proved.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence recommend web --format json > web.json
  ringfence verify web.json                              as it was recorded, by the same engine
  ringfence verify web.json --runs 50 --check 'curl -fs http://$RINGFENCE_ADDRESS/' --out proof.json
  ringfence verify web.json --image web:2 --run-options '--volume /srv:/srv' -- --port 8080
  ringfence verify web.json --container web              with the settings of a container that there is
  ringfence verify job.json --engine crun --bundle /srv/job
  ringfence verify web.json --amended better.json        with what was denied, if something was")]
pub(crate) struct VerifyArgs {
    /// The recommendation, as `ringfence recommend --format json` prints it; `-` for standard input.
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    recommendation: Option<PathBuf>,

    /// The image. Without it: the one that was recorded, with the command that was recorded.
    #[arg(long)]
    image: Option<String>,

    /// Start another one like this container: its image, command, variables, user and network; its volumes are shared.
    #[arg(long, value_name = "NAME")]
    container: Option<String>,

    /// The bundle that runc or crun starts; it is not changed.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    start: StartArgs,

    /// How often it is started, for each setting of no_new_privileges.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,

    /// Whether it is started with no_new_privileges. Without it: as is recommended.
    #[arg(long, value_enum, value_name = "SETTING")]
    no_new_privileges: Option<Setting>,

    /// Take a recommendation from reports that miss something. What is started under it is shown, and proves nothing.
    #[arg(long)]
    allow_incomplete: bool,

    /// Also start it N times without each of the capabilities: whether it is needed.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3", default_value_t = 0)]
    minimise: u32,

    /// Write the proof to this file; an older one is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// If something was denied: write the recommendation with it to this file. It is not proved then.
    #[arg(long, value_name = "FILE")]
    amended: Option<PathBuf>,

    /// How to show the proof.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Print the JSON Schema of proofs instead.
    #[arg(long, conflicts_with_all = ["recommendation", "out", "amended"])]
    schema: bool,

    /// The arguments behind the image.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A setting of no_new_privileges, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Setting {
    Yes,
    No,
    Both,
}

pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let Some(path) = args.recommendation.as_ref().filter(|_| !args.schema) else {
        print(Proof::schema())?;
        return Ok(ExitCode::SUCCESS);
    };
    prove(args, &read(path)?)
}

/// As `ringfence verify` does without any option but the number of starts.
pub(crate) fn prove_as_recorded(recommendation: &Recommendation, runs: u32) -> anyhow::Result<ExitCode> {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: VerifyArgs,
    }
    let line = Line::try_parse_from(["verify", "--runs", &runs.to_string(), "-"])?;
    prove(&line.args, recommendation)
}

fn prove(args: &VerifyArgs, recommendation: &Recommendation) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        recommendation.incomplete.is_empty() || args.allow_incomplete,
        "the recommendation is derived from reports that miss something: record the workload again, or take it with --allow-incomplete: \
         it is not proved then"
    );
    let settings = match args.no_new_privileges {
        None => vec![recommendation.no_new_privileges],
        Some(Setting::Yes) => vec![true],
        Some(Setting::No) => vec![false],
        Some(Setting::Both) => vec![false, true],
    };
    let starter = args.start.starter(What {
        image: args.image.clone(),
        command: &args.command,
        container: args.container.as_deref(),
        bundle: args.bundle.clone(),
        sources: &recommendation.sources,
    })?;
    let stop = told_to_stop()?;
    let plan = Plan {
        recommendation,
        starter: &starter,
        patience: &args.start.patience(),
        runs: args.runs,
        settings: &settings,
        minimise: args.minimise,
        stop: &stop,
        progress: &args.start.progress(),
    };
    let proof = verify(&plan, env!("CARGO_PKG_VERSION")).context("nothing is proved");
    args.start.done();
    let proof = proof?;

    if let Some(out) = &args.out {
        write(out, &proof.to_json())?;
    }
    print(&match args.format {
        Format::Table => table(&proof, &TableOptions { width: terminal_width(), colour: wants_colour(), all: true }),
        Format::Json => proof.to_json(),
    })?;
    let missing = missing(&proof, recommendation);
    match &args.amended {
        Some(amended) if !missing.is_empty() => write(amended, &recommendation.with(&missing).to_json())?,
        Some(amended) => {
            eprintln!("ringfence: nothing was denied that it has now: {} is not written", amended.display())
        }
        None if !missing.is_empty() => {
            eprintln!("ringfence: --amended FILE writes the recommendation with what was denied")
        }
        None => {}
    }
    Ok(if proof.verdict == Verdict::Proved { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

/// What was denied, as permissions; only what the workload has now: a program that looks how it is confined must not talk its
/// way to more.
pub(crate) fn missing(proof: &Proof, recommendation: &Recommendation) -> Vec<Missing> {
    let is_open_now = |what: &MissingPermission| match what {
        MissingPermission::Call(name) => recommendation.lets_through_now(name),
        MissingPermission::Capability(capability) => recommendation.capabilities.now.contains(*capability),
    };
    let denials = proof.settings.iter().flat_map(|setting| &setting.denials);
    let permission = |denied: &Denied| match denied {
        Denied::Call { call } => {
            std::str::from_utf8(call.as_bytes()).ok().map(|call| MissingPermission::Call(call.to_owned()))
        }
        Denied::Capability { capability } => Some(MissingPermission::Capability(*capability)),
        // Which permission that is, nobody has said.
        Denied::Failure { .. } => None,
    };
    denials
        .filter_map(|denial| {
            let what = permission(&denial.denied).filter(is_open_now)?;
            Some(Missing { what, starts: denial.starts, program: denial.program.clone() })
        })
        .collect()
}

/// Reads a recommendation.
fn read(path: &Path) -> anyhow::Result<Recommendation> {
    use std::io::Read as _;
    let from: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Recommendation::parse(&bytes).with_context(|| format!("{} is no recommendation that can be proved", path.display()))
}
