//! `ringfence incident`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::report::{Column, Fit, Style, TableOptions, bytes, json, lay_out, short_id};
use clap::{Args, Subcommand};
use event::Text;
use forensics::{Found, Incident, Incidents, IncidentsError, Listing};
use serde::Serialize;

use crate::exit;
use crate::report::{terminal_width, wants_colour};
use crate::streams::print;

/// Show the incidents that were kept: alerts with the evidence for them.
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  ringfence incident list
  ringfence incident show web                        the newest incident of the container `web`
  ringfence incident show 20260131T235959Z-web-1f3a9c --html > incident.html
  ringfence incident show 20260131T23 --json | jq -r '.files[].sha256'
  ringfence incident schema > incident-1.json        what is in an incident, as JSON Schema")]
pub(crate) enum IncidentCommand {
    /// Show all incidents, one line each, the newest first.
    List(ListArgs),
    /// Show one incident, to be read from top to bottom.
    Show(ShowArgs),
    /// Print the JSON Schema of incidents.
    Schema,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Look in this folder [default: where `detect` keeps them].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct ShowArgs {
    /// An incident by its name or the beginning of it; by an alert of it; or the newest one of a container by its name, its id or the
    /// beginning of its id.
    #[arg(value_name = "ID")]
    incident: String,

    /// As one self-contained page for a browser, with everything.
    #[arg(long, conflicts_with = "json")]
    html: bool,

    /// As it is stored.
    #[arg(long)]
    json: bool,

    /// Show everything, however long (--html and --json always do).
    #[arg(long)]
    all: bool,

    /// Look in this folder [default: where `detect` keeps them].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(command: &IncidentCommand) -> anyhow::Result<ExitCode> {
    match command {
        IncidentCommand::List(args) => list(args),
        IncidentCommand::Show(args) => show(args),
        IncidentCommand::Schema => print(Incident::schema()).map(|()| ExitCode::SUCCESS),
    }
}

/// The folder to read; that somebody named one that is not there is an error, not an empty list.
fn folder(dir: Option<&Path>) -> anyhow::Result<Incidents> {
    if let Some(dir) = dir {
        anyhow::ensure!(dir.is_dir(), "there is no folder {}: give an existing one with --dir", dir.display());
    }
    Ok(Incidents::to_read(dir)?)
}

/// One line of the list, as JSON has it.
#[derive(Serialize)]
struct Line<'l> {
    id: &'l Text,
    path: &'l Path,
    container: &'l forensics::Container,
    begin: ::report::Timestamp,
    end: ::report::Timestamp,
    alerts: usize,
    rules: Vec<&'l Text>,
    files: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct Lines<'l> {
    schema_version: u32,
    incidents: Vec<Line<'l>>,
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let folder = folder(args.dir.as_deref())?;
    let listing = folder.list()?;
    let output = if args.json { as_json(&listing) } else { as_table(&listing) };
    print(&output)?;
    for error in &listing.unreadable {
        say(error);
    }
    if listing.incidents.is_empty() && !args.json {
        eprintln!("ringfence: no incidents in {}", Text::from(folder.path().to_string_lossy().as_ref()).shown());
    }
    Ok(if listing.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

fn line(found: &Found) -> Line<'_> {
    let incident = &found.incident;
    let mut rules: Vec<&Text> = incident.alerts.iter().map(|alert| &alert.rule).collect();
    rules.sort();
    rules.dedup();
    Line {
        id: &incident.id,
        path: &found.path,
        container: &incident.container,
        begin: incident.begin,
        end: incident.end,
        alerts: incident.alerts.len(),
        rules,
        files: incident.files.iter().filter(|file| file.sha256.is_some()).count(),
        bytes: found.bytes,
    }
}

fn as_json(listing: &Listing) -> String {
    json(&Lines { schema_version: 1, incidents: listing.incidents.iter().map(line).collect() })
}

fn as_table(listing: &Listing) -> String {
    let column = |title, fit| Column { title, fit, style: Style::Plain };
    let columns = [
        column("INCIDENT", Fit::Left),
        column("BEGAN", Fit::Left),
        column("CONTAINER", Fit::CutEnd),
        column("ALERTS", Fit::Right),
        column("FILES", Fit::Right),
        column("SIZE", Fit::Right),
        column("RULES", Fit::CutEnd),
    ];
    let row = |found: &Found| {
        let line = line(found);
        let name = line.container.name.as_ref().map(|name| name.shown().into_owned());
        let name = name.or_else(|| line.container.id.as_ref().map(short_id)).unwrap_or_default();
        let rules: Vec<String> = line.rules.iter().map(|rule| rule.shown().into_owned()).collect();
        vec![
            line.id.shown().into_owned(),
            line.begin.readable(),
            name,
            line.alerts.to_string(),
            line.files.to_string(),
            bytes(line.bytes),
            rules.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = listing.incidents.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    lay_out(&columns, &rows, terminal_width(), wants_colour()).iter().map(|line| format!("{line}\n")).collect()
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let folder = folder(args.dir.as_deref())?;
    let key = Text::from(args.incident.as_str());
    let found = folder.find(&key)?;
    let incident = &found.incident;
    let output = if args.html {
        forensics::html(incident)
    } else if args.json {
        incident.to_json()
    } else {
        let options = TableOptions { width: terminal_width(), colour: wants_colour(), all: args.all };
        let folder = Text::from(found.path.to_string_lossy().as_ref());
        forensics::text(incident, &options) + &format!("\nkept in {}\n", folder.shown())
    };
    print(&output)?;
    Ok(ExitCode::SUCCESS)
}

/// An incident that cannot be read, beside those that can.
fn say(error: &IncidentsError) {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    eprintln!("ringfence: {}", Text::from(line).shown());
}
