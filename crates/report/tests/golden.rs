//! Reports made by hand against the files in `golden/`; `UPDATE=1 cargo test -p report` writes the files anew.

mod fixtures;

use std::path::{Path, PathBuf};

use report::{Report, TableOptions, csv, html, markdown, table};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn assert_is(name: &str, actual: &str) {
    let path = golden(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, actual).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs; it is now:\n{actual}", path.display());
}

#[test]
fn json_is_as_agreed_and_reads_back() {
    for (name, report) in fixtures::all() {
        let json = report.to_json();

        assert_is(&format!("{name}.json"), &json);
        assert_eq!(Report::parse(json.as_bytes()).expect(name), report);
    }
}

#[test]
fn tables_are_as_agreed() {
    for (name, report) in fixtures::all() {
        assert_is(&format!("{name}.txt"), &table(&report, &TableOptions::default()));
    }
}

#[test]
fn a_narrow_table_is_as_agreed() {
    let options = TableOptions { width: 44, ..TableOptions::default() };
    for (name, report) in fixtures::all().into_iter().filter(|(name, _)| ["docker", "gaps"].contains(name)) {
        assert_is(&format!("{name}.narrow.txt"), &table(&report, &options));
    }
}

#[test]
fn a_table_of_everything_is_as_agreed() {
    let options = TableOptions { width: 120, all: true, ..TableOptions::default() };
    for (name, report) in fixtures::all().into_iter().filter(|(name, _)| ["docker", "busy"].contains(name)) {
        assert_is(&format!("{name}.all.txt"), &table(&report, &options));
    }
}

#[test]
fn markdown_is_as_agreed() {
    for (name, report) in fixtures::all() {
        assert_is(&format!("{name}.md"), &markdown(&report, false));
    }
}

#[test]
fn html_is_as_agreed() {
    for (name, report) in fixtures::all().into_iter().filter(|(name, _)| ["docker", "gaps", "bare"].contains(name)) {
        assert_is(&format!("{name}.html"), &html(&report, false));
    }
}

#[test]
fn csv_is_as_agreed() {
    for (name, report) in fixtures::all() {
        assert_is(&format!("{name}.csv"), &csv(&report));
    }
}
