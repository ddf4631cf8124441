//! Merged files: sets of runs, whatever the order, the groups and the repetitions.

use std::path::Path;

use event::{RunId, Text};
use proptest::prelude::*;
use report::{MergeError, Merged, Mismatch, Parent, ParseError, Report, Runs, Timestamp, parse_reports};

fn base() -> Report {
    Report::parse(include_bytes!("reports/1-docker.json")).expect("a kept report")
}

/// A report of the run that began at a moment, as long as it says.
fn run(moment: u64, seconds: u64) -> Report {
    let mut report = base();
    report.window.begin.boot_ns = moment * 1_000_000_000;
    report.window.begin.wall = Timestamp::from_unix_ns((1_700_000_000 + moment) * 1_000_000_000);
    report.window.end.boot_ns = (moment + seconds) * 1_000_000_000;
    report
}

/// One that was made inside of another, with an image of its own.
fn inside(outer: &Report, slot: u32) -> Report {
    let mut inner = outer.clone();
    inner.container.run = RunId { slot, ..outer.container.run };
    inner.container.parent = Some(Parent { run: outer.container.run, id: None });
    inner.container.image_digest = Some("sha256:inner".into());
    inner.container.command = vec!["inner".into()];
    inner
}

fn merged(reports: &[Report]) -> Merged {
    Merged::of(reports, "0.0.0").expect("reports of one workload")
}

fn json(reports: &[Report]) -> String {
    merged(reports).to_json().expect("not too large")
}

fn runs_of(file: &str) -> Vec<Report> {
    parse_reports(file.as_bytes()).expect("our own file")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Idempotent, commutative, associative, to the byte, with several reports of one run among them.
    #[test]
    fn a_merged_file_is_a_set(
        places in prop::collection::vec((0_u64..6, 1_u64..4, any::<bool>()), 1..8),
        order in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut reports: Vec<Report> = Vec::new();
        for (moment, seconds, with_inner) in places {
            let outer = run(moment, seconds);
            if with_inner {
                reports.push(inside(&outer, 77));
            }
            reports.push(outer);
        }
        let all = json(&reports);

        prop_assert_eq!(&json(&runs_of(&all)), &all, "merging it again");
        let mut turned = reports.clone();
        turned.rotate_left(order.index(reports.len()));
        turned.reverse();
        prop_assert_eq!(&json(&turned), &all, "another order");
        // In groups: a container that was made inside of one stays with it.
        let at = cut.index(reports.len());
        let at = at + usize::from(at > 0 && reports[at - 1].container.parent.is_some());
        let (one, other) = reports.split_at(at);
        if !one.is_empty() && !other.is_empty() {
            let groups = [runs_of(&json(one)), runs_of(&json(other))].concat();
            prop_assert_eq!(&json(&groups), &all, "in groups");
        }
        let twice = [reports.clone(), reports].concat();
        prop_assert_eq!(&json(&twice), &all, "each twice");
    }

    /// Two reports are of one workload or not whatever the third is, and in whatever order.
    #[test]
    fn what_is_refused_depends_on_no_order(parts in prop::collection::vec((0_u8..3, 0_u8..3, 0_u8..3), 2..5)) {
        let reports: Vec<Report> = parts
            .into_iter()
            .enumerate()
            .map(|(at, (image, digest, command))| {
                let mut report = run(at as u64, 1);
                let some = |which: u8| (which > 0).then(|| Text::from(format!("{which}").as_str()));
                report.container.image = some(image);
                report.container.image_digest = some(digest);
                report.container.command = some(command).into_iter().collect();
                report
            })
            .collect();
        let result = Merged::of(&reports, "0.0.0").map(|merged| merged.to_json());
        let turned: Vec<Report> = reports.iter().rev().cloned().collect();
        match (result, Merged::of(&turned, "0.0.0").map(|merged| merged.to_json())) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(one.is_err() && other.is_err(), "{:?} {:?}", one.is_ok(), other.is_ok()),
        }
    }
}

#[test]
fn of_several_reports_of_one_run_the_longest_counts_whole() {
    let (short, long) = (run(1, 1), run(1, 5));

    let merged = merged(&[short, long.clone(), run(0, 2)]);

    assert_eq!(merged.runs.len(), 2);
    assert_eq!(merged.runs[1], long);
    assert_eq!(merged.workload.image_digest, long.container.image_digest);
}

#[test]
fn a_container_inside_of_a_run_is_kept_with_it_and_is_no_run_of_the_workload() {
    let outer = run(1, 5);
    let reports = runs_of(&json(&[inside(&outer, 9), outer.clone()]));

    let runs = Runs::of(&reports);

    assert_eq!((runs.own.len(), runs.nested.len()), (1, 1));
    assert_eq!(runs.own[0], &outer);
    let mut alone = inside(&outer, 9);
    assert_eq!(Runs::of(std::slice::from_ref(&alone)).own.len(), 1, "without its outer one it is a run like others");
    alone.container.parent = Some(Parent { run: alone.container.run, id: None });
    assert_eq!(Runs::of(std::slice::from_ref(&alone)).own.len(), 1, "nothing was made inside of itself");
}

#[test]
fn reports_of_different_workloads_are_refused_by_name() {
    let (one, mut other) = (run(0, 1), run(1, 1));
    other.container.name = Some("other".into());
    other.container.image_digest = Some("sha256:other".into());
    let error = Merged::of(&[one.clone(), other], "0.0.0").expect_err("two images");
    assert!(matches!(&error, MergeError::Mismatch(Mismatch::Workloads { .. })), "{error}");
    assert!(error.to_string().contains("other (sha256:other)"), "{error}");

    let mut other = run(1, 1);
    other.host.architecture = "aarch64".into();
    let error = Merged::of(&[one.clone(), other], "0.0.0").expect_err("two machines");
    assert!(matches!(error, MergeError::Mismatch(Mismatch::Architectures { .. })), "{error}");

    // A name is compared only where a digest is missing.
    let mut other = run(1, 1);
    other.container.image = Some("another:name".into());
    assert!(Merged::of(&[one.clone(), other.clone()], "0.0.0").is_ok());
    other.container.image_digest = None;
    assert!(Merged::of(&[one, other], "0.0.0").is_err());
    assert_eq!(Merged::of(&[], "0.0.0"), Err(MergeError::NoReport));
}

#[test]
fn where_one_report_is_wanted_a_merged_file_is_refused_with_what_takes_it() {
    let file = json(&[run(0, 1), run(1, 1)]);

    let error = Report::parse(file.as_bytes()).expect_err("two reports");

    assert!(matches!(error, ParseError::IsMerged { runs: 2 }), "{error}");
    assert!(matches!(report::Summary::parse(file.as_bytes()), Err(ParseError::IsMerged { .. })));
    assert_eq!(parse_reports(base().to_json().as_bytes()).expect("one report"), [base()]);
}

#[test]
fn a_damaged_or_newer_merged_file_is_refused_with_the_reason() {
    let file = json(&[run(0, 1)]);
    let parse = |text: &str| parse_reports(text.as_bytes()).expect_err("refused");

    assert!(matches!(parse(&file[..file.len() / 2]), ParseError::NotJson { .. }));
    assert!(matches!(parse(""), ParseError::NotJson { .. }));
    let newer = file.replacen("\"schema_version\": 1", "\"schema_version\": 99", 1);
    assert!(matches!(parse(&newer), ParseError::Newer { found: 99, .. }));
    let wrong = file.replacen("\"runs\": [", "\"runs\": [3,", 1);
    assert!(matches!(parse(&wrong), ParseError::Unreadable { .. }), "{}", parse(&wrong));
    let unknown = file.replacen("\"merged-runs\"", "\"something\"", 1);
    assert!(matches!(parse(&unknown), ParseError::Unreadable { .. }), "{}", parse(&unknown));
}

#[test]
fn the_schema_of_merged_files_that_is_checked_in_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/merged-1.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, Merged::schema()).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(Merged::schema() == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}
