//! `ringfence recommend`.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use ::recommend::{Beside, Options, Profile, Recommendation, Runtime, Target, recommend, table};
use ::report::{Report, TableOptions};
use anyhow::{Context as _, bail};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::exit;
use crate::report::{load_all, terminal_width, wants_colour};
use crate::streams::print;
use crate::verify;

/// Recommend the least permission that a workload needs.
///
/// Takes reports of one workload: one run, or several for what only some show. Allowed is what it was seen to do, what its
/// runtime does itself when the filter is already in force, and what another libc or kernel uses in the place of a call that
/// was seen. Each permission is listed with the reason. Reports that miss something are refused.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence recommend web                        what `web` needs and why, from its newest report
  ringfence recommend reports/web-*.json --all   from several runs, every line
  ringfence recommend web --target seccomp --out web.json
  docker run $(ringfence recommend web --target docker --out web.json) nginx
  ringfence recommend web --target compose --out web.json > hardened.yaml
  ringfence recommend web --target oci --config bundle/config.json --out bundle/config.json
  ringfence recommend web --runtime crun --no-new-privileges yes
  ringfence recommend web --prove                and start it 20 times under that
  ringfence recommend web --format json          for programs; --schema says what is in it")]
pub(crate) struct RecommendArgs {
    #[command(flatten)]
    sources: Sources,

    /// Print it in the form that somebody else takes.
    #[arg(long, value_enum, conflicts_with = "format")]
    target: Option<TargetName>,

    /// The file that is written; an older one is replaced. Targets that name a seccomp profile (docker, podman, nerdctl, ctr,
    /// compose, quadlet, kubernetes) need it: the profile is written there and the target itself to standard output. Of the
    /// others it is the target itself.
    #[arg(long, value_name = "FILE", requires = "target")]
    out: Option<PathBuf>,

    /// The config.json that the target `oci` changes; only --out is written.
    #[arg(long, value_name = "FILE", requires = "target")]
    config: Option<PathBuf>,

    /// Write a profile that runtimes of this version of the OCI runtime specification read: 1.0 has no errnos.
    #[arg(long, value_enum, value_name = "VERSION", requires = "target")]
    oci_min: Option<OciVersion>,

    /// The runtime that will start the workload. Without it: the one that the reports name, or any if they name none.
    #[arg(long, value_enum)]
    runtime: Option<RuntimeName>,

    /// Whether it will be started with no_new_privileges. Without it: as it was recorded.
    #[arg(long, value_enum, value_name = "YES|NO")]
    no_new_privileges: Option<YesNo>,

    /// Leave out the calls that another libc or kernel uses in the place of those that were seen.
    #[arg(long)]
    without_siblings: bool,

    /// Whether calls whose danger is in an argument (clone, socket, ioctl, prctl, ...) are allowed only with what was passed.
    #[arg(long, value_enum, value_name = "YES|NO", default_value_t = YesNo::Yes)]
    arguments: YesNo,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Show every call that was observed, however many they are (json always does).
    #[arg(long)]
    all: bool,

    /// Then prove it as `ringfence verify` does: the workload is started N times under it, as it was recorded.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with_all = ["target", "schema"])]
    prove: Option<u32>,

    /// Print the JSON Schema of recommendations instead.
    #[arg(long, conflicts_with_all = ["reports", "target", "format", "all", "dir"])]
    schema: bool,
}

/// Reports of one workload.
#[derive(Args)]
pub(crate) struct Sources {
    /// Reports' or merged files, or containers' names or ids, as `ringfence report` takes them; `-` for standard input.
    #[arg(value_name = "FILE|CONTAINER", required_unless_present = "schema")]
    reports: Vec<OsString>,

    /// Leave out what sessions from outside did (`docker exec`, health checks of some engines).
    #[arg(long)]
    without_exec: bool,

    /// Take reports that miss something; the answer is then marked, and the exit code is 1.
    #[arg(long)]
    allow_incomplete: bool,

    /// Look in this folder only; the arguments are then names of containers or of files in it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Sources {
    pub(crate) fn load(&self) -> anyhow::Result<Vec<Report>> {
        let each = self.reports.iter().map(|name| load_all(name, self.dir.as_deref()));
        Ok(each.collect::<anyhow::Result<Vec<Vec<Report>>>>()?.concat())
    }

    /// What these say of how the reports are taken.
    pub(crate) fn options(&self) -> Options {
        Options { exec: !self.without_exec, allow_incomplete: self.allow_incomplete, ..Options::default() }
    }
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal.
    Table,
    /// For programs.
    Json,
}

/// A target by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TargetName(Target);

impl ValueEnum for TargetName {
    fn value_variants<'a>() -> &'a [TargetName] {
        static ALL: LazyLock<Vec<TargetName>> = LazyLock::new(|| Target::ALL.map(TargetName).to_vec());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.about()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OciVersion {
    /// What runtimes of before 2021 read.
    #[value(name = "1.0")]
    Old,
    /// All of it.
    #[value(name = "1.1")]
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuntimeName {
    Runc,
    Crun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    Yes,
    No,
}

impl RecommendArgs {
    fn options(&self) -> Options {
        Options {
            runtime: self.runtime.map(|name| match name {
                RuntimeName::Runc => Runtime::Runc,
                RuntimeName::Crun => Runtime::Crun,
            }),
            no_new_privileges: self.no_new_privileges.map(|answer| answer == YesNo::Yes),
            siblings: !self.without_siblings,
            arguments: self.arguments == YesNo::Yes,
            ..self.sources.options()
        }
    }
}

pub(crate) fn run(args: &RecommendArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        print(Recommendation::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let reports = args.sources.load()?;
    let recommendation =
        recommend(&reports, &args.options(), env!("CARGO_PKG_VERSION")).context("nothing is recommended")?;
    match args.target {
        None => print(&match args.format {
            Format::Table => {
                let options = TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all };
                table(&recommendation, &options)
            }
            Format::Json => recommendation.to_json(),
        })?,
        Some(TargetName(target)) => write_target(args, target, &recommendation)?,
    }
    let missing = args.target.map_or(&[][..], |TargetName(target)| target.missing(&recommendation));
    if args.target.is_some() {
        for reason in recommendation.incomplete.iter().chain(missing) {
            eprintln!("ringfence: incomplete: {}", reason.shown());
        }
    }
    let is_whole = recommendation.incomplete.is_empty() && missing.is_empty();
    if let Some(runs) = args.prove {
        anyhow::ensure!(
            args.format == Format::Table,
            "--prove prints a table: leave --format away, or use `ringfence verify`"
        );
        print("\n")?;
        let proved = verify::prove_as_recorded(&recommendation, runs)?;
        if is_whole {
            return Ok(proved);
        }
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

/// Writes what somebody else takes: one file, and the rest to standard output.
fn write_target(args: &RecommendArgs, target: Target, recommendation: &Recommendation) -> anyhow::Result<()> {
    let missing = target.missing(recommendation);
    if !missing.is_empty() && !args.sources.allow_incomplete {
        let missing: Vec<_> = missing.iter().map(|reason| reason.shown()).collect();
        bail!(
            "{}: the target {} would deny what the workload needs: record it again, whole, or take it with --allow-incomplete",
            missing.join("; "),
            target.name()
        );
    }
    if args.config.is_some() != target.changes_config() {
        let needs =
            if args.config.is_some() { "has no --config" } else { "changes a file: say which with --config FILE" };
        bail!("the target {} {needs}", target.name());
    }
    let mut profile = Profile::new(&recommendation.seccomp);
    if args.oci_min == Some(OciVersion::Old) {
        profile = profile.for_oci_1_0();
    }
    if args.oci_min.is_some() && !target.has_profile() {
        bail!("the target {} has no profile of the OCI runtime specification: leave --oci-min away", target.name());
    }
    let config = args
        .config
        .as_deref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())));
    let config = config.transpose()?;
    let path = args.out.as_deref().filter(|_| target.names_profile()).map(|out| {
        // A path that is found from any folder, and that is no option.
        let path = std::path::absolute(out).with_context(|| format!("cannot tell where {} is", out.display()))?;
        let name = path.to_str().map(str::to_owned);
        name.with_context(|| format!("{} takes only UTF-8: {} is not", target.name(), path.display()))
    });
    let path = path.transpose()?;
    if target.names_profile() && path.is_none() {
        bail!("{} takes the seccomp profile as a file: say where with --out FILE", target.name());
    }
    let beside = Beside { profile: path.as_deref(), config: config.as_deref() };
    let output = target.write(recommendation, &profile, &beside)?;
    match &args.out {
        Some(out) if target.names_profile() => {
            write(out, &profile.to_json())?;
            print(&output.text)?;
        }
        Some(out) => write(out, &output.text)?,
        None => print(&output.text)?,
    }
    for note in &output.notes {
        eprintln!("ringfence: {note}");
    }
    if target.has_profile() && !profile.answers_enosys() {
        eprintln!(
            "ringfence: calls that the profile does not know get EPERM: programs that try newer calls first may fail"
        );
    }
    Ok(())
}

/// Writes a file whole or not at all; everybody may read it.
pub(crate) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    write_as(path, content, 0o644)
}

/// The same with another mode.
pub(crate) fn write_as(path: &Path, content: &str, mode: u32) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().as_bytes().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".ringfence-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .with_context(cannot)?;
    file.write_all(content.as_bytes()).and_then(|()| file.as_file().sync_all()).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}
