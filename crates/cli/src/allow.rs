//! `ringfence allow`.

use std::path::PathBuf;
use std::process::ExitCode;

use alerts::{Allowed, Origin, allowed_fact, rule_exception};
use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::detect::state::{self, State};
use crate::merge::PRIVATE;
use crate::recommend::write_as;
use crate::streams::print;

/// Say that what an alert tells of is right, so that it is not told again.
///
/// Of an alert that a rule made it writes an exception from that rule, which `ringfence detect` and other programs that read Falco's
/// rules take; of what is not in a baseline, an entry that makes it normal. It is as narrow as it can be, and says what it widens.
/// `ringfence detect` reads both when it starts.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence allow 8d0c21f7b3aa                     the alert with this id, in its container
  ringfence allow 8d0c --image                     what is not in its baseline, in every container of its image
  ringfence allow 8d0c --file my-rules/allowed.yaml --from /var/log/ringfence.ndjson")]
pub(crate) struct AllowArgs {
    /// The alert's id, or its first digits.
    #[arg(value_name = "ALERT-ID")]
    id: String,

    /// As what: the alert says by itself which it needs.
    #[arg(long = "as", value_enum, value_name = "WHAT")]
    kind: Option<Kind>,

    /// Of what is not in a baseline: in every container of the image.
    #[arg(long)]
    image: bool,

    /// Where it is written [default: the state folder, which `detect` reads].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Where the alert is looked for: a file of JSON lines [default: the state folder].
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// The state folder of `detect`.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Print what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What an alert is allowed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An exception from its rule.
    Rule,
    /// An entry beside the baseline.
    Baseline,
}

pub(crate) fn run(args: &AllowArgs) -> anyhow::Result<ExitCode> {
    let state = State::at(args.state.as_deref())?;
    let alert = match &args.from {
        Some(file) => state::find(std::slice::from_ref(file), &args.id)?,
        None => state.find(&args.id)?,
    };
    let needs = if alert.origin == Origin::Rule { Kind::Rule } else { Kind::Baseline };
    let made_by = if needs == Kind::Rule { "a rule" } else { "the comparison with a baseline" };
    anyhow::ensure!(
        args.kind.is_none_or(|kind| kind == needs),
        "{made_by} made the alert {}: only that can let it be",
        alert.id.shown()
    );
    anyhow::ensure!(!args.image || needs == Kind::Baseline, "--image is for what is not in a baseline");
    if args.file.is_none() && !args.dry_run {
        state.make()?;
    }
    match needs {
        Kind::Rule => {
            let exception = rule_exception(&alert).with_context(|| {
                format!(
                    "the alert {} names nothing that an exception could go by: change the rule \"{}\" instead",
                    alert.id.shown(),
                    alert.rule.shown()
                )
            })?;
            let path = args.file.clone().unwrap_or_else(|| state.exceptions_path());
            if args.dry_run {
                print(&exception.yaml)?;
            } else {
                let before = std::fs::read_to_string(&path).or_else(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => Ok(String::new()),
                    _ => Err(error),
                });
                let before = before.with_context(|| format!("cannot read {}", path.display()))?;
                let name = format!("ringfence_{}", alert.id.escaped());
                if before.contains(&name) {
                    print(format!("it is allowed already in {}\n", path.display()))?;
                    return Ok(ExitCode::SUCCESS);
                }
                let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
                write_as(&path, &format!("{before}{gap}{}", exception.yaml), PRIVATE)?;
                print(format!("{}\n", path.display()))?;
            }
            eprintln!("ringfence: {}", exception.widens);
        }
        Kind::Baseline => {
            let entry = allowed_fact(&alert, args.image).with_context(|| {
                format!("nothing tells which container the alert {} is of, so nothing can be allowed", alert.id.shown())
            })?;
            let path = args.file.clone().unwrap_or_else(|| state.allowed_path());
            let mut allowed: Allowed = state::allowed(&path)?;
            let place = match (&entry.container, &entry.image) {
                (Some(name), _) => format!("the container {}", name.shown()),
                (None, image) => {
                    format!("every container of {}", image.as_ref().map(|image| image.shown()).unwrap_or_default())
                }
            };
            let words = entry.fact.words();
            if allowed.allowed.contains(&entry) {
                print(format!("it is allowed already in {}\n", path.display()))?;
                return Ok(ExitCode::SUCCESS);
            }
            allowed.allowed.push(entry);
            let json = ::report::json(&allowed);
            if args.dry_run {
                print(json)?;
            } else {
                write_as(&path, &json, PRIVATE)?;
                print(format!("{}\n", path.display()))?;
            }
            eprintln!("ringfence: in {place} it is normal from now on that it {words}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
