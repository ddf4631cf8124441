//! `ringfence report`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::report::{Image, ImageFile, ImagePlace, Report, TableOptions, Untouched, csv, html, markdown, schema, table};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use containers::image::{self, Found};
use event::Text;
use store::{FindError, Folder};

use crate::streams::print;

/// What a terminal has that does not say.
const USUAL_WIDTH: usize = 80;

/// Show a report.
///
/// The report is a file, or the newest one of a container by its name, its id or the beginning of its id. Reports are
/// looked for in the folder that `record` writes to; users find those that root recorded, too, if they may read them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence report web                          the newest report of the container `web`
  ringfence report 3f2a --dir reports           by the beginning of its id, in another folder
  ringfence report reports/web-20260131T235959Z-3.0.json --all
  ringfence report web --untouched              also the files of its image that it never used
  ringfence report web --format html > web.html one page for a browser
  ringfence report web --format csv > web.csv   its system calls for a spreadsheet
  ssh host ringfence report web --format json | ringfence report -
  ringfence report --schema > report-1.json     what is in a report, as JSON Schema")]
pub(crate) struct ReportArgs {
    /// A report's file, a container's name or id, or `-` for standard input.
    #[arg(value_name = "FILE|CONTAINER", required_unless_present = "schema")]
    report: Option<OsString>,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Show everything, however long (json and csv always do).
    #[arg(long)]
    all: bool,

    /// Also look up which files of the image were not touched: neither opened, run, mapped nor changed. Needs the image on this
    /// host.
    ///
    /// The report says where its layers are; DIR is a directory with its files instead. What a program only asked the attributes
    /// of is not touched. Nothing is listed if it cannot be said for certain: the reason is the error then.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    untouched: Option<Option<PathBuf>>,

    /// Look in this folder only; the argument is then the name of a container or of a file in it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print the JSON Schema of reports instead.
    #[arg(long, conflicts_with_all = ["report", "format", "all", "untouched", "dir"])]
    schema: bool,
}

/// How a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Table,
    /// The report itself, as it is stored.
    Json,
    /// For a document or an issue.
    Markdown,
    /// One self-contained page for a browser.
    Html,
    /// The system calls, one per line.
    Csv,
}

pub(crate) fn run(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let output = match &args.report {
        Some(name) => {
            let mut report = load(name, args.dir.as_deref())?;
            if let Some(directory) = &args.untouched {
                report.untouched =
                    Some(untouched(&report, directory.as_deref()).context("cannot say which files were not touched")?);
            }
            show(&report, args.format, args.all)
        }
        None => schema(),
    };
    print(output)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn load(name: &OsString, dir: Option<&Path>) -> anyhow::Result<Report> {
    Ok(match place(name, dir)? {
        Place::StandardInput => store::read_from(io::stdin().lock(), Path::new("standard input"))?,
        Place::File(path) => store::read(&path)?,
    })
}

/// The same, or all reports of a merged file.
pub(crate) fn load_all(name: &OsString, dir: Option<&Path>) -> anyhow::Result<Vec<Report>> {
    Ok(match place(name, dir)? {
        Place::StandardInput => store::read_all_from(io::stdin().lock(), Path::new("standard input"))?,
        Place::File(path) => store::read_all(&path)?,
    })
}

/// Where something is that a user named.
pub(crate) enum Place {
    StandardInput,
    File(PathBuf),
}

/// Where the report is that a user named: as a file, or by its container.
pub(crate) fn place(name: &OsString, dir: Option<&Path>) -> anyhow::Result<Place> {
    let path = Path::new(name);
    let key = Text::new(name.clone().into_vec());
    if let Some(dir) = dir {
        let folder = Folder::to_read(Some(dir))?;
        anyhow::ensure!(dir.is_dir(), "there is no folder {}: give an existing one with --dir", dir.display());
        // A merged file has no container's name; it is found by its own.
        let merged = dir.join(name);
        return Ok(Place::File(match folder.find(&key) {
            Err(FindError::NoSuchReport { .. }) if merged.is_file() => merged,
            found => found?,
        }));
    }
    if name == "-" {
        return Ok(Place::StandardInput);
    }
    // A folder of the container's name is no report; a path that leads nowhere is no container.
    let is_path = name.as_bytes().contains(&b'/') || std::fs::metadata(path).is_ok_and(|found| !found.is_dir());
    if is_path {
        return Ok(Place::File(path.to_owned()));
    }
    Ok(Place::File(store::find_in(&Folder::all_to_read()?, &key)?))
}

/// Looks at the image: where the report says it is, unless a directory is given.
fn untouched(report: &Report, directory: Option<&Path>) -> anyhow::Result<Untouched> {
    report.check_untouched()?;
    let path = |text: &Text| PathBuf::from(OsString::from_vec(text.as_bytes().to_vec()));
    let layers = match (directory, report.image_place()) {
        (Some(directory), _) => vec![directory.to_owned()],
        (None, Some(ImagePlace::Layers(layers))) => layers.iter().map(path).collect(),
        (None, Some(ImagePlace::Directory(directory))) => vec![path(&directory)],
        (None, None) => anyhow::bail!("the report does not say where the image is: give a directory, --untouched=DIR"),
    };
    let mut image = Image::default();
    image::read(&layers, |found| match found {
        Found::File { path, bytes, shared } => image.files.push(ImageFile { path, bytes, shared }),
        Found::Link { path, target } => drop(image.links.insert(path, target)),
    })?;
    Ok(report.untouched(&image)?)
}

fn show(report: &Report, format: Format, all: bool) -> String {
    match format {
        Format::Table => table(report, &TableOptions { width: terminal_width(), colour: wants_colour(), all }),
        Format::Json => report.to_json(),
        Format::Markdown => markdown(report, all),
        Format::Html => html(report, all),
        Format::Csv => csv(report),
    }
}

/// What COLUMNS says, else the terminal.
pub(crate) fn terminal_width() -> usize {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    wanted.or_else(terminal).filter(|&columns| columns > 0).unwrap_or(USUAL_WIDTH)
}

/// On a terminal that has colours, unless NO_COLOR is set to anything.
pub(crate) fn wants_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
