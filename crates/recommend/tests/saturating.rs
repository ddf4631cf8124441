//! How sure one can be: what each run added, and whether what is expected is what then turns up.

use std::path::Path;

use event::{Arch, Phase, Syscall, SyscallNames};
use proptest::prelude::*;
use recommend::{Estimate, Options, Refusal, Saturation, saturation, saturation_table};
use report::{Report, TableOptions, Timestamp};

/// A run of a workload that made these calls of the table, one after another, in a second.
fn run(at: u32, numbers: &[u32]) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/client.json");
    let mut report = Report::parse(&std::fs::read(path).expect("docs/example is checked in")).expect("a report");
    report.container.run.generation = at;
    let begin = 1_000_000_000 * u64::from(at + 1);
    report.window.begin.boot_ns = begin;
    report.window.begin.wall = Timestamp::from_unix_ns(1_700_000_000_000_000_000 + begin);
    report.window.end.boot_ns = begin + 1_000_000_000;
    report.behaviour.capabilities.uses.clear();
    let uses = &mut report.behaviour.syscalls.uses;
    let first = uses.iter().find(|used| used.phase == Phase::Main && used.name == "execve").expect("an execve").clone();
    *uses = [59]
        .iter()
        .chain(numbers)
        .enumerate()
        .map(|(index, &number)| {
            let mut used = first.clone();
            used.syscall = Syscall { arch: Arch::X86_64, number };
            used.name = SyscallNames::builtin().name(used.syscall).into_owned();
            used.first.as_mut().expect("a first use").boot_ns = begin + index as u64 * 1_000_000;
            used
        })
        .collect();
    report
}

fn of(runs: &[Report]) -> Saturation {
    saturation(runs, &Options::default()).expect("runs of one workload")
}

fn names(saturation: &Saturation, run: usize) -> Vec<String> {
    saturation.runs[run].new.iter().map(|one| one.name.escaped().into_owned()).collect()
}

#[test]
fn each_run_has_what_those_before_it_had_not_in_the_order_of_first_use() {
    let runs = [run(0, &[0, 1]), run(1, &[2, 1, 3]), run(2, &[0, 1])];

    let found = of(&[runs[2].clone(), runs[0].clone(), runs[1].clone()]);

    assert_eq!(names(&found, 0), ["execve", "read", "write"]);
    assert_eq!(names(&found, 1), ["open", "close"]);
    assert_eq!(names(&found, 2), [""; 0]);
    assert_eq!((found.total, found.in_one_run, found.in_two_runs, found.runs_without_new), (5, 2, 1, 1));
    // close came 3 ms after the beginning of the second run.
    assert_eq!(found.quiet_ns, 997_000_000 + 1_000_000_000);
    assert_eq!(found.runs.iter().map(|run| run.total).collect::<Vec<_>>(), [3, 5, 5]);
}

#[test]
fn the_curve_is_over_all_runs_one_after_another_and_the_sentence_says_its_end() {
    let found = of(&[run(0, &[0, 1]), run(1, &[2, 1, 3]), run(2, &[0, 1])]);

    let points: Vec<(u64, u32, u32)> =
        found.curve.iter().map(|point| (point.observed_ns / 1_000_000, point.runs, point.total)).collect();
    // A run takes a second, and its calls come a millisecond after each other.
    assert_eq!(points, [(0, 1, 1), (1, 1, 2), (2, 1, 3), (1001, 2, 4), (1003, 2, 5), (3000, 3, 5)]);
    assert_eq!(
        found.summary.shown(),
        "no new system call or capability in the last 1.9 s and 1 run; expect about 0.3 more"
    );
    let one = of(&[run(0, &[0])]);
    assert_eq!(
        one.summary.shown(),
        "no new system call or capability in the last 999 ms of the last run; three runs are needed to say what others may add"
    );
    let page = saturation_table(&found, &TableOptions { width: 80, colour: false, all: false });
    let bars: Vec<usize> =
        page.lines().filter(|line| line.contains('#')).map(|line| line.matches('#').count()).collect();
    assert_eq!(bars.len(), 10, "{page}");
    assert!(bars.is_sorted() && bars[0] == 24 && bars[9] == 40, "{page}");
}

#[test]
fn fewer_than_three_runs_say_nothing_about_others() {
    assert_eq!(of(&[run(0, &[0])]).estimate, None);
    assert_eq!(of(&[run(0, &[0]), run(1, &[0])]).estimate, None);
    let estimate = of(&[run(0, &[0]), run(1, &[0]), run(2, &[0])]).estimate.expect("three are enough");
    assert_eq!((estimate.unseen, estimate.expected, estimate.more_runs), (0.0, 0.0, 3));
    assert!(matches!(saturation(&[], &Options::default()), Err(Refusal::NoReport)));
}

#[test]
fn a_terminal_gets_the_plain_sentence_and_no_line_that_is_too_wide() {
    let runs: Vec<Report> = (0..30).map(|at| run(at, &[at % 7, 20 + at / 3])).collect();
    let found = of(&runs);
    for width in [40, 80, 160] {
        for all in [false, true] {
            let page = saturation_table(&found, &TableOptions { width, colour: false, all });
            assert!(page.lines().all(|line| report::width(line) <= width), "{page}");
            assert!(page.replace('\n', " ").contains("30 runs more are expected to add about"), "{page}");
        }
    }
}

#[test]
fn it_survives_its_json_and_the_schema_is_the_one_of_the_types() {
    let found = of(&(0..5).map(|at| run(at, &[at])).collect::<Vec<_>>());
    assert_eq!(serde_json::from_str::<Saturation>(&found.to_json()).expect("its own form"), found);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/saturation-1.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, Saturation::schema()).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(Saturation::schema() == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    /// Between 0 and 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Workloads whose calls have chances between rare and certain: over 400 splits into seen and held back, what is expected is what
/// turns up, on average and in its spread.
#[test]
fn what_is_expected_is_what_turns_up_on_average() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut expected, mut found, mut inside, splits) = (0.0, 0.0, 0, 400);
    for _ in 0..splits {
        let chances: Vec<f64> = (0..80).map(|_| dice.roll().powi(4)).collect();
        let runs: Vec<Vec<bool>> =
            (0..20).map(|_| chances.iter().map(|&chance| dice.roll() < chance).collect()).collect();
        let (seen, later) = runs.split_at(10);
        let times: Vec<usize> = (0..80).map(|call| seen.iter().filter(|run| run[call]).count()).collect();
        let in_runs = |wanted| times.iter().filter(|&&times| times == wanted).count() as u32;
        let estimate = Estimate::of(10, in_runs(1), in_runs(2), 10);
        let new = (0..80).filter(|&call| times[call] == 0 && later.iter().any(|run| run[call])).count() as u32;
        expected += estimate.expected;
        found += f64::from(new);
        inside += u32::from((estimate.least..=estimate.most).contains(&new));
    }
    let ratio = expected / found;
    println!("expected {:.2}, found {:.2} on average; {inside} of {splits} inside", expected / 400.0, found / 400.0);
    assert!((0.5..=2.0).contains(&ratio), "expected {expected}, found {found}");
    assert!(inside >= splits * 8 / 10, "{inside} of {splits} inside the interval of 90 %");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_estimate_is_a_number_whatever_was_seen(
        runs in 0..2000u32, once in 0..400u32, twice in 0..400u32, more in 0..2000u32
    ) {
        let estimate = Estimate::of(runs, once, twice, more);
        prop_assert!(estimate.unseen.is_finite() && estimate.unseen >= 0.0);
        prop_assert!(estimate.expected.is_finite() && estimate.expected >= 0.0);
        prop_assert!(estimate.least <= estimate.most);
        prop_assert!(estimate.expected <= estimate.unseen.max(f64::from(once)) + 1e-9);
    }
}
