//! Reading reports that somebody else may have written or damaged.

use event::{RunId, Text, is_unsafe_on_a_terminal};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use crate::{MAX_MERGED_BYTES, MERGED_VERSION, Merged, Report, SCHEMA_VERSION, Timestamp};

/// No larger report is read: 64 MiB.
pub const MAX_BYTES: u64 = 64 << 20;

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// There is more than a report can be.
    #[error(
        "larger than {} MiB, so no report that ringfence wrote; give the path of a report",
        MAX_BYTES >> 20
    )]
    TooLarge,
    /// The bytes are not JSON.
    #[error(
        "not JSON at line {line}, column {column} ({problem}); it was cut short or changed: record again, or restore it"
    )]
    NotJson {
        /// The line of the first problem, from 1.
        line: usize,
        /// The column of the first problem, from 1.
        column: usize,
        /// What was found there.
        problem: String,
    },
    /// It is JSON, but no report.
    #[error("JSON, but not a ringfence report: {problem}; give a file that `ringfence record` wrote")]
    NotAReport {
        /// What a report has and this has not.
        problem: String,
    },
    /// It is a merged file where one report is wanted.
    #[error(
        "a merged file of {runs} reports, where one report is wanted: `ringfence merge FILE` says what each run showed, and \
         recommend, saturation, map and diff take it"
    )]
    IsMerged {
        /// How many reports are in it.
        runs: usize,
    },
    /// A merged file is larger than one that ringfence writes.
    #[error("larger than {} MiB, so no merged file that ringfence wrote", MAX_MERGED_BYTES >> 20)]
    MergedTooLarge,
    /// It is from a later version of the format.
    #[error(
        "written in version {found} of the format by ringfence {writer}, and this ringfence reads versions up to \
         {SCHEMA_VERSION}: read it with ringfence {writer} or later"
    )]
    Newer {
        /// The version that it has.
        found: u64,
        /// The program that wrote it, safe for a terminal.
        writer: String,
    },
    /// It says that it is a report of a version that we know, but a field is missing or wrong.
    #[error(
        "a report with a field that cannot be read at line {line}, column {column} ({problem}); \
         it was changed by hand or by another program: record again, or restore it"
    )]
    Unreadable {
        /// The line of the first problem, from 1; 0 if it is not known.
        line: usize,
        /// The column of the first problem.
        column: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What makes JSON a report, and which.
#[derive(Deserialize)]
struct Head {
    schema_version: Option<serde_json::Number>,
    ringfence_version: Option<Text>,
    format: Option<serde_json::Value>,
}

/// What a head is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Report,
    Merged,
}

/// Reads a report, or the reports of a merged file. Never panics, whatever the bytes are.
pub fn parse_reports(bytes: &[u8]) -> Result<Vec<Report>, ParseError> {
    if bytes.len() as u64 > MAX_MERGED_BYTES {
        return Err(ParseError::MergedTooLarge);
    }
    match head(bytes) {
        Err(_) | Ok(Format::Report) if bytes.len() as u64 > MAX_BYTES => Err(ParseError::TooLarge),
        Err(error) => Err(error),
        Ok(Format::Report) => Ok(vec![serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?]),
        Ok(Format::Merged) => {
            let merged: Merged = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
            Ok(merged.runs)
        }
    }
}

impl Report {
    /// Reads a report. Never panics, whatever the bytes are, and needs memory in proportion to their number.
    pub fn parse(bytes: &[u8]) -> Result<Report, ParseError> {
        check_head(bytes)?;
        serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
    }
}

/// As much of a report as is needed to find it among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// The name that people gave the container.
    pub name: Option<Text>,
    /// The id that its engine gave the container.
    pub id: Option<Text>,
    /// When its window began.
    pub begin: Timestamp,
    /// The boot that it is of, if that is known.
    pub boot_id: Option<Text>,
    /// When the recording began that it is part of, if that is known.
    pub recording: Option<Timestamp>,
}

impl Summary {
    /// Reads only what is needed to find a report. The rest may still turn out to be unreadable.
    pub fn parse(bytes: &[u8]) -> Result<Summary, ParseError> {
        #[derive(Deserialize)]
        struct Outline {
            container: Container,
            window: Window,
            host: Host,
        }
        #[derive(Deserialize)]
        struct Host {
            boot_id: Option<Text>,
        }
        #[derive(Deserialize)]
        struct Container {
            run: RunId,
            name: Option<Text>,
            id: Option<Text>,
        }
        #[derive(Deserialize)]
        struct Window {
            begin: Begin,
            recording: Option<Begin>,
        }
        #[derive(Deserialize)]
        struct Begin {
            wall: Timestamp,
        }

        check_head(bytes)?;
        let Outline { container, window, host } = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
        Ok(Summary {
            run: container.run,
            name: container.name,
            id: container.id,
            begin: window.begin.wall,
            boot_id: host.boot_id,
            recording: window.recording.map(|moment| moment.wall),
        })
    }
}

/// That the bytes are JSON from end to end and say that they are a report which we know.
fn check_head(bytes: &[u8]) -> Result<(), ParseError> {
    #[derive(Deserialize)]
    struct Outline {
        runs: Vec<IgnoredAny>,
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ParseError::TooLarge);
    }
    match head(bytes)? {
        Format::Report => Ok(()),
        Format::Merged => {
            let Outline { runs } = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
            Err(ParseError::IsMerged { runs: runs.len() })
        }
    }
}

/// That the bytes are JSON from end to end and say what they are.
fn head(bytes: &[u8]) -> Result<Format, ParseError> {
    let not_a_report = |problem: &str| ParseError::NotAReport { problem: problem.to_owned() };
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        // Left to itself, serde would take a list for a struct without its names.
        let _: IgnoredAny = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
        return Err(not_a_report("it is a list"));
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => not_a_report(&without_position(&error)),
        Category::Io | Category::Syntax | Category::Eof => not_json(&error),
    })?;
    let (format, newest) = match &head.format {
        Some(name) if name == "merged-runs" => (Format::Merged, MERGED_VERSION),
        // A report has no such field, and a field that is not known is skipped.
        _ => (Format::Report, SCHEMA_VERSION),
    };
    let version = head.schema_version.ok_or_else(|| not_a_report("it has no `schema_version`"))?;
    let writer = head.ringfence_version.ok_or_else(|| not_a_report("it has no `ringfence_version`"))?;
    match version.as_u64() {
        Some(0) | None => Err(not_a_report(&format!("its `schema_version` is {version}"))),
        Some(found) if found > u64::from(newest) => {
            Err(ParseError::Newer { found, writer: writer.shown().into_owned() })
        }
        Some(_) => Ok(format),
    }
}

fn not_json(error: &serde_json::Error) -> ParseError {
    ParseError::NotJson { line: error.line(), column: error.column(), problem: without_position(error) }
}

fn unreadable(error: &serde_json::Error) -> ParseError {
    ParseError::Unreadable { line: error.line(), column: error.column(), problem: without_position(error) }
}

/// A message quotes at most so much of a file.
const MAX_PROBLEM_CHARS: usize = 200;

/// What is wrong, without serde's own words on where, and safe for a terminal: it may quote the file.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let problem = text.strip_suffix(&position).unwrap_or(&text);
    let mut safe = String::new();
    for c in problem.chars().take(MAX_PROBLEM_CHARS) {
        if is_unsafe_on_a_terminal(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    if problem.chars().nth(MAX_PROBLEM_CHARS).is_some() {
        safe.push('…');
    }
    safe
}
