//! Report files: somebody else may have written or damaged them.

use report::{
    Map, Merged, ParseError, Report, Summary, TableOptions, csv, html, map_table, markdown, parse_reports, svg, table,
};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::laws::assert_harmless;

/// What is read is written, shown and finished without harm; what is refused says why without harm.
pub fn check(bytes: &[u8]) {
    let summary = Summary::parse(bytes);
    let report = match Report::parse(bytes) {
        Ok(report) => report,
        Err(error @ ParseError::IsMerged { .. }) => {
            check_error(&error, bytes);
            return check_merged(bytes);
        }
        Err(error) => return check_error(&error, bytes),
    };
    assert_eq!(parse_reports(bytes).expect("a file with one report"), std::slice::from_ref(&report));

    let summary = summary.expect("a report has a summary");
    assert_eq!((summary.run, summary.begin), (report.container.run, report.window.begin.wall));
    assert_eq!((&summary.name, &summary.id), (&report.container.name, &report.container.id));

    check_written(&report);
    check_layout(bytes, &report);
    check_shown(&report);
    check_map(&report);

    let _ = report.behaviour.clone().merge(report.behaviour.clone());
    let finished = report.finish();
    check_written(&finished);
    assert_eq!(finished.clone().finish(), finished, "finished twice is not the same");
}

/// What a merged file holds, merged again, is a file that holds the same; the order makes no difference.
fn check_merged(bytes: &[u8]) {
    let mut reports = match parse_reports(bytes) {
        Ok(reports) => reports,
        Err(error) => return check_error(&error, bytes),
    };
    let merged = match Merged::of(&reports, "0.0.0") {
        Ok(merged) => merged,
        Err(error) => return assert_harmless(&error.to_string(), ""),
    };
    let json = merged.to_json().expect("no larger than what was read, or nearly");
    assert_harmless(&json, "\n");
    let read = parse_reports(json.as_bytes()).expect("our own merged file can be read");
    assert_eq!(read, merged.runs);
    assert_eq!(Merged::of(&read, "0.0.0").expect("the same runs"), merged);
    reports.reverse();
    assert_eq!(Merged::of(&reports, "0.0.0").expect("the same runs"), merged, "the order makes a difference");
}

fn check_error(error: &ParseError, bytes: &[u8]) {
    assert_harmless(&error.to_string(), "");
    if let ParseError::NotJson { line, .. } | ParseError::Unreadable { line, .. } = error {
        assert!(*line <= 1 + bytes.iter().filter(|&&byte| byte == b'\n').count(), "{error}");
    }
}

fn check_written(report: &Report) {
    let json = report.to_json();
    assert_harmless(&json, "\n");
    let read = Report::parse(json.as_bytes()).expect("our own report can be read");
    assert_eq!(read, *report);
    assert_eq!(read.to_json(), json);
}

/// Neither spaces nor the order of fields nor one that is not known makes a difference.
fn check_layout(bytes: &[u8], report: &Report) {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else { return };
    fields.insert("made_later".to_owned(), Value::Null);
    let json = Value::Object(fields).to_string();
    assert_eq!(Report::parse(json.as_bytes()).expect("the same report in another layout"), *report);
}

fn check_shown(report: &Report) {
    for all in [false, true] {
        for width in [40, 80] {
            let shown = table(report, &TableOptions { width, colour: false, all });
            assert_harmless(&shown, "\n");
            for line in shown.lines() {
                assert!(line.width() <= width, "{line:?} is wider than {width}");
            }
            let _ = table(report, &TableOptions { width, colour: true, all });
        }
        assert_harmless(&markdown(report, all), "\n");
        assert_harmless(&html(report, all), "\n");
    }
    let rows = csv(report);
    assert_harmless(&rows, "\r\n");
    assert_eq!(rows.lines().count(), 1 + report.behaviour.syscalls.uses.len());
}

/// The map of this container and of another that did the same.
fn check_map(report: &Report) {
    let mut other = report.clone();
    other.container.id = Some("another".into());
    other.container.run.slot = other.container.run.slot.wrapping_add(1);
    let map = Map::of(&[report.clone(), other.clone()]);
    assert_eq!(Map::of(&[other, report.clone()]), map, "the order of the reports makes a difference");
    for shown in [map.to_json(), map.to_dot(), map.to_mermaid(), svg(&map)] {
        assert_harmless(&shown, "\n");
    }
    let shown = map_table(&map, &TableOptions { width: 60, colour: false, all: true });
    assert_harmless(&shown, "\n");
    for line in shown.lines() {
        assert!(line.width() <= 60, "{line:?} is wider than 60");
    }
}
