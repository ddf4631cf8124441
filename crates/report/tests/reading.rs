//! Reading reports that are old, new, damaged or no reports at all.

mod fixtures;

use std::path::Path;

use proptest::prelude::*;
use report::{MAX_BYTES, Map, ParseError, Report, Summary, TableOptions, csv, html, map_table, markdown, table};

fn docker() -> String {
    fixtures::all().remove(0).1.to_json()
}

#[test]
fn every_report_that_was_ever_written_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let bytes = std::fs::read(&path).expect("file");

        let report = Report::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));

        assert_eq!(Report::parse(report.to_json().as_bytes()).expect("own bytes"), report);
        read += 1;
    }
    assert!(read > 0);
}

#[test]
fn a_field_that_is_not_known_is_skipped() {
    let json = docker().replacen("\"window\": {", "\"novelty\": [1, {}], \"window\": {\n\"other\": null,", 1);

    assert!(Report::parse(json.as_bytes()).is_ok());
}

#[test]
fn text_that_is_not_json_says_where() {
    let cut = &docker()[..100];

    let error = Report::parse(cut.as_bytes()).expect_err("cut short");

    assert!(matches!(error, ParseError::NotJson { line: 6, .. }), "{error:?}");
    assert!(error.to_string().starts_with("not JSON at line 6, column "), "{error}");
}

#[test]
fn other_json_is_no_report() {
    for other in ["{}", "[]", "3", "null", "\"a\"", "{\"schema_version\": 1}", "{\"schema_version\": \"1\"}"] {
        let error = Report::parse(other.as_bytes()).expect_err(other);

        assert!(matches!(error, ParseError::NotAReport { .. }), "{other}: {error:?}");
    }
    let zero = docker().replacen("\"schema_version\": 1", "\"schema_version\": 0", 1);
    assert!(matches!(Report::parse(zero.as_bytes()), Err(ParseError::NotAReport { .. })));
}

#[test]
fn a_later_version_says_what_to_do() {
    let json = r#"{"schema_version": 2, "ringfence_version": "3.1.0", "all": "is different"}"#;

    let error = Report::parse(json.as_bytes()).expect_err("version 2");

    assert!(matches!(error, ParseError::Newer { found: 2, .. }));
    assert!(error.to_string().ends_with("read it with ringfence 3.1.0 or later"), "{error}");
}

#[test]
fn a_wrong_field_says_which_and_where() {
    let json = docker().replacen("\"observed_from\": \"start\"", "\"observed_from\": \"\x7f\u{202e}\"", 1);

    let error = Report::parse(json.as_bytes()).expect_err("no such window");

    let ParseError::Unreadable { line, problem, .. } = &error else { panic!("{error:?}") };
    assert!(*line > 10);
    assert!(problem.contains("expected `start` or `attach`"), "{problem}");
    assert!(!error.to_string().chars().any(event::is_unsafe_on_a_terminal), "{error}");
}

#[test]
fn deep_nesting_is_refused_and_no_crash() {
    let json = format!("{{\"schema_version\": {}", "[".repeat(1_000_000));

    assert!(matches!(Report::parse(json.as_bytes()), Err(ParseError::NotJson { .. } | ParseError::NotAReport { .. })));
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    let bytes = vec![b' '; MAX_BYTES as usize + 1];

    assert!(matches!(Report::parse(&bytes), Err(ParseError::TooLarge)));
}

#[test]
fn a_summary_says_what_the_report_says() {
    for (name, report) in fixtures::all() {
        let summary = Summary::parse(report.to_json().as_bytes()).expect(name);

        assert_eq!((summary.run, summary.begin), (report.container.run, report.window.begin.wall));
        assert_eq!((summary.name, summary.id), (report.container.name, report.container.id));
    }
}

/// What a fuzz target does with its bytes: nothing may panic, and what is read can be shown and read again.
fn everything(bytes: &[u8]) {
    let _ = Summary::parse(bytes);
    let Ok(report) = Report::parse(bytes) else { return };
    let json = report.to_json();
    assert_eq!(Report::parse(json.as_bytes()).expect("own bytes"), report);
    for all in [false, true] {
        let _ = table(&report, &TableOptions { width: 40, colour: true, all });
        let _ = markdown(&report, all);
    }
    let _ = csv(&report);
    let _ = html(&report, false);
    let _ = map_table(&Map::of(&[report.clone(), report.clone()]), &TableOptions::default());
    let finished = report.finish();
    assert_eq!(finished.clone().finish(), finished);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        everything(&bytes);
    }

    #[test]
    fn no_damage_makes_the_reader_panic(at in any::<prop::sample::Index>(), with in "[0-9\"\\\\\\[\\]{},:a-z\\PC]{0,4}", length in 0usize..9) {
        let json = docker().into_bytes();
        let start = at.index(json.len());
        let end = (start + length).min(json.len());
        let damaged = [&json[..start], with.as_bytes(), &json[end..]].concat();
        everything(&damaged);
    }

    #[test]
    fn no_number_makes_the_renderers_panic(value in any::<u64>(), which in any::<prop::sample::Index>()) {
        let json = docker();
        let numbers: Vec<(usize, usize)> = json
            .match_indices(": \"")
            .filter_map(|(at, _)| {
                let start = at + 3;
                let length = json[start..].find('"')?;
                json[start..start + length].parse::<u64>().ok()?;
                Some((start, start + length))
            })
            .collect();
        let (start, end) = numbers[which.index(numbers.len())];
        let changed = format!("{}{value}{}", &json[..start], &json[end..]);
        prop_assert!(Report::parse(changed.as_bytes()).is_ok());
        everything(changed.as_bytes());
    }
}
