//! Which run showed which permission.

use std::path::Path;

use event::{Phase, Text};
use recommend::{Presence, presence_table};
use report::{Report, TableOptions};

fn example(name: &str) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example").join(format!("{name}.json"));
    Report::parse(&std::fs::read(path).expect("docs/example is checked in")).expect("a report")
}

/// Runs that made these calls in `main`.
fn run(calls: &[&str]) -> Report {
    let mut report = example("web");
    report.behaviour.capabilities.uses.clear();
    report.behaviour.syscalls.uses.retain(|used| used.phase == Phase::Main && calls.contains(&used.name.as_str()));
    report
}

fn of(columns: &[(&str, &Report)]) -> Presence {
    let columns: Vec<(Text, Vec<&Report>)> =
        columns.iter().map(|(name, run)| (Text::from(*name), vec![*run])).collect();
    Presence::of(&columns)
}

fn names<'t>(texts: impl Iterator<Item = &'t Text>) -> Vec<String> {
    texts.map(|text| text.shown().into_owned()).collect()
}

#[test]
fn what_a_column_added_and_what_it_alone_showed_are_not_the_same() {
    let runs = [run(&["execve", "openat"]), run(&["execve", "openat", "close"]), run(&["execve", "close", "read"])];

    let presence = of(&[("one", &runs[0]), ("two", &runs[1]), ("three", &runs[2])]);

    assert_eq!(names(presence.added_by(0)), ["execve", "openat"]);
    assert_eq!(names(presence.added_by(1)), ["close"]);
    assert_eq!(names(presence.only_in(1)), [""; 0]);
    assert_eq!(names(presence.only_in(2)), ["read"]);
    assert_eq!(presence.permissions.iter().map(|one| one.columns.len()).collect::<Vec<_>>(), [2, 3, 2, 1]);
}

#[test]
fn calls_of_the_runtime_are_no_permission_of_the_workload() {
    let mut setting_up = run(&["execve", "openat"]);
    for used in &mut setting_up.behaviour.syscalls.uses {
        if used.name == "openat" {
            used.phase = Phase::RuntimeInit;
        }
    }
    assert_eq!(names(of(&[("one", &setting_up)]).added_by(0)), ["execve"]);
}

#[test]
fn a_terminal_gets_what_differs_and_no_line_that_is_too_wide() {
    let runs = [run(&["execve", "openat"]), run(&["execve", "close"])];
    let columns: Vec<(String, &Report)> = (0..40).map(|at| (format!("run \u{1b}[2J {at}"), &runs[at % 2])).collect();
    let many: Vec<(&str, &Report)> = columns.iter().map(|(name, run)| (name.as_str(), *run)).collect();
    for presence in [of(&[("one", &runs[0]), ("two", &runs[1])]), of(&many), of(&[("alone", &runs[0])])] {
        for width in [40, 100] {
            for all in [false, true] {
                let page = presence_table(&presence, ("RUN", "run"), &TableOptions { width, colour: false, all });
                assert!(page.lines().all(|line| report::width(line) <= width), "{page}");
                assert!(!page.contains('\u{1b}'), "{page}");
            }
        }
    }
    let two = of(&[("one", &runs[0]), ("two", &runs[1])]);
    let page = presence_table(&two, ("RUN", "run"), &TableOptions { width: 80, colour: false, all: false });
    assert!(page.contains("1 permission in each run: --all lists them"), "{page}");
    assert!(page.contains("close        1 of 2  .x     two"), "{page}");
    assert!(!page.contains("\nexecve"), "{page}");
}

#[test]
fn the_schema_of_presence_that_is_checked_in_is_the_one_of_the_types() {
    let presence = of(&[("one", &run(&["execve"]))]);
    assert_eq!(serde_json::from_str::<Presence>(&presence.to_json()).expect("its own form"), presence);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/presence-1.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, Presence::schema()).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(Presence::schema() == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}
