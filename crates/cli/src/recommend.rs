//! `ringfence recommend`.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::recommend::{Options, Profile, Recommendation, Runtime, docker_flags, recommend, table};
use ::report::{Report, TableOptions, quoted};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use event::Text;

use crate::exit;
use crate::report::{load, terminal_width, wants_colour};

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
  ringfence recommend web --runtime crun --no-new-privileges yes
  ringfence recommend web --format json          for programs; --schema says what is in it")]
pub(crate) struct RecommendArgs {
    #[command(flatten)]
    sources: Sources,

    /// Print it in the form that somebody else takes.
    #[arg(long, value_enum, conflicts_with = "format")]
    target: Option<Target>,

    /// Where the seccomp profile is written; an older one is replaced. The target `docker` needs it, as docker takes a file.
    #[arg(long, value_name = "FILE", requires = "target")]
    out: Option<PathBuf>,

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

    /// Print the JSON Schema of recommendations instead.
    #[arg(long, conflicts_with_all = ["reports", "target", "format", "all", "dir"])]
    schema: bool,
}

/// Reports of one workload.
#[derive(Args)]
pub(crate) struct Sources {
    /// Reports' files, or containers' names or ids, as `ringfence report` takes them; `-` for standard input.
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
        self.reports.iter().map(|name| load(name, self.dir.as_deref())).collect()
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// A seccomp profile, as runc, crun, docker, podman, containerd and Kubernetes take it.
    Seccomp,
    /// Arguments for `docker run` or `podman run`, on one line as a shell takes them.
    Docker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuntimeName {
    Runc,
    Crun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
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
        print(&Recommendation::schema())?;
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
        Some(Target::Seccomp) => {
            let profile = Profile::new(&recommendation.seccomp).to_json();
            match &args.out {
                Some(out) => write(out, &profile)?,
                None => print(&profile)?,
            }
        }
        Some(Target::Docker) => {
            let out =
                args.out.as_deref().context("docker takes the seccomp profile as a file: say where with --out FILE")?;
            // A path that docker finds from any folder, and that is no option.
            let path = std::path::absolute(out).with_context(|| format!("cannot tell where {} is", out.display()))?;
            let name = path.to_str().with_context(|| format!("docker takes only UTF-8: {} is not", path.display()))?;
            write(out, &Profile::new(&recommendation.seccomp).to_json())?;
            let flags: Vec<String> =
                docker_flags(&recommendation, name).iter().map(|flag| quoted(&Text::from(flag.as_str()))).collect();
            print(&(flags.join(" ") + "\n"))?;
        }
    }
    if args.target.is_some() {
        for reason in &recommendation.incomplete {
            eprintln!("ringfence: incomplete: {}", reason.shown());
        }
    }
    let is_whole = recommendation.incomplete.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

pub(crate) fn print(output: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(output.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().as_bytes().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".ringfence-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(cannot)?;
    file.write_all(content.as_bytes()).and_then(|()| file.as_file().sync_all()).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}
