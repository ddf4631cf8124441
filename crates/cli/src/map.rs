//! `ringfence map`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::report::{Map, Report, TableOptions, map_table, svg};
use agent::{Recording, Settings, Target};
use anyhow::Context as _;
use behaviour::Redaction;
use clap::{Args, ValueEnum};
use containers::engine::Sockets;
use event::SyscallNames;
use store::Folder;

use crate::observe::explain;
use crate::record::run_until_over;
use crate::report::{load_all, terminal_width, wants_colour};
use crate::signals::Signals;
use crate::streams::print;
use crate::{exit, units};

/// Draw who talks to whom.
///
/// Takes the reports of the last recording, or those that are named, or records every container for a while. The other
/// end of each connection is resolved to the container that has it, the host, or an address outside; files that one
/// container wrote and another read through a volume are there too.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence map                                 the last recording, as a table
  ringfence map --for 30s --format svg > map.svg
  ringfence map web db proxy                    the newest reports of three containers
  ringfence map reports/*.json --format json    files
  ringfence map --format mermaid                for a document on GitHub
  ringfence map --format dot | dot -Tpdf > map.pdf
  ringfence map --schema > map-1.json           what is in a map, as JSON Schema")]
pub(crate) struct MapArgs {
    /// Reports' files, or containers' names or ids, as `ringfence report` takes them.
    #[arg(value_name = "FILE|CONTAINER")]
    reports: Vec<OsString>,

    /// Record every container for so long, keep no report, and draw that: 500ms, 30s, 5m, 2h. Ctrl-C ends it earlier.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration, conflicts_with_all = ["reports", "dir"])]
    duration: Option<Duration>,

    /// How to draw it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Show every edge, however many they are (only the table leaves any out).
    #[arg(long)]
    all: bool,

    /// Look in this folder only; the arguments are then names of containers or of files in it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The size of the kernel's ring buffer: a power of two, such as 8M.
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = units::ring_bytes, requires = "duration")]
    buffer: u32,

    /// Print the JSON Schema of maps instead.
    #[arg(long, conflicts_with_all = ["reports", "duration", "format", "all", "dir"])]
    schema: bool,
}

/// How a map is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal: one line per edge.
    Table,
    /// For Graphviz.
    Dot,
    /// For Mermaid, in documents.
    Mermaid,
    /// A drawing for a browser.
    Svg,
    /// For programs.
    Json,
}

pub(crate) fn run(args: &MapArgs) -> anyhow::Result<ExitCode> {
    let (output, code) = if args.schema {
        (Map::schema(), ExitCode::SUCCESS)
    } else {
        let (reports, code) = match args.duration {
            Some(duration) => recorded(duration, args.buffer)?,
            None => (kept(args)?, ExitCode::SUCCESS),
        };
        (drawn(&Map::of(&reports), args), code)
    };
    print(output)?;
    Ok(code)
}

fn drawn(map: &Map, args: &MapArgs) -> String {
    match args.format {
        Format::Table => {
            map_table(map, &TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all })
        }
        Format::Dot => map.to_dot(),
        Format::Mermaid => map.to_mermaid(),
        Format::Svg => svg(map),
        Format::Json => map.to_json(),
    }
}

/// Those that are named, else those of the last recording.
fn kept(args: &MapArgs) -> anyhow::Result<Vec<Report>> {
    if !args.reports.is_empty() {
        let each = args.reports.iter().map(|name| load_all(name, args.dir.as_deref()));
        return Ok(each.collect::<anyhow::Result<Vec<Vec<Report>>>>()?.concat());
    }
    let folders = match &args.dir {
        Some(dir) => {
            anyhow::ensure!(dir.is_dir(), "there is no folder {}: give an existing one with --dir", dir.display());
            vec![Folder::to_read(Some(dir))?]
        }
        None => Folder::all_to_read()?,
    };
    let paths = store::last_recording(&folders)?;
    let looked: Vec<String> = folders.iter().map(|folder| folder.path().display().to_string()).collect();
    anyhow::ensure!(
        !paths.is_empty(),
        "there is no report in {}: record some with `ringfence record`, or draw what happens now with --for 30s",
        looked.join(" or ")
    );
    paths.iter().map(|path: &PathBuf| Ok(store::read(path)?)).collect()
}

/// What every container did from now on for so long, and whether something is missing. Nothing is kept on disk.
fn recorded(duration: Duration, ring_bytes: u32) -> anyhow::Result<(Vec<Report>, ExitCode)> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&reports);
    let settings = Settings {
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
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
            Ok(PathBuf::new())
        })),
    };
    let mut recording = Recording::start(settings).map_err(explain)?;
    let is_terminal = io::stderr().is_terminal();
    if is_terminal {
        eprintln!("recording for {duration:?}; Ctrl-C ends it now");
    }
    run_until_over(&mut recording, &mut signals, Some(duration), Duration::from_millis(200), !is_terminal)?;
    let ended = recording.finish()?;
    if ended.not_recorded > 0 {
        eprintln!("ringfence: {} containers were not recorded: no slot was free for them", ended.not_recorded);
    }
    let has_gaps = ended.with_gaps > 0 || ended.not_recorded > 0;
    let reports = std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((reports, if has_gaps { ExitCode::from(exit::FINDINGS) } else { ExitCode::SUCCESS }))
}
