//! Recommendations from the reports in `docs/example`: what is allowed, why, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use event::{Arch, Errno, Phase, Syscall, SyscallNames, Text};
use proptest::prelude::*;
use recommend::{
    AllowReason, Beside, LeftOutReason, Options, Profile, Recommendation, Refusal, Runtime, Seccomp, Target, recommend,
    table,
};
use report::{ObservedFrom, Reason, ReasonCode, Report, TableOptions};

/// Every report that is checked in, by the name of its container.
static REPORTS: LazyLock<BTreeMap<String, Report>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example");
    let files = std::fs::read_dir(&folder).expect("docs/example is checked in");
    let paths = files.map(|file| file.expect("a file of docs/example").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, Report::parse(&std::fs::read(&path).expect("a readable file")).expect("a report"))
        })
        .collect()
});

fn example(name: &str) -> Report {
    REPORTS[name].clone()
}

fn recommended(report: &Report, options: &Options) -> Recommendation {
    recommend(std::slice::from_ref(report), options, "0.0.0").expect("a recommendation")
}

fn names(seccomp: &Seccomp) -> BTreeSet<&str> {
    seccomp.allowed.iter().map(|call| call.name.as_str()).collect()
}

fn refusal(report: &Report) -> Refusal {
    recommend(std::slice::from_ref(report), &Options::default(), "0.0.0").expect_err("a refusal")
}

/// The names of the calls that were made in these phases.
fn made(report: &Report, phases: &[Phase]) -> BTreeSet<String> {
    let uses = report.behaviour.syscalls.uses.iter();
    uses.filter(|used| phases.contains(&used.phase) && used.count > 0).map(|used| used.name.clone()).collect()
}

/// Adds system calls to what the workload did.
fn with_call(report: &Report, arch: Arch, number: u32, count: u64, errno: Option<Errno>) -> Report {
    let mut report = report.clone();
    let uses = &mut report.behaviour.syscalls.uses;
    uses.retain(|used| used.syscall != Syscall { arch, number } || used.phase == Phase::RuntimeInit);
    let mut new = uses.iter().find(|used| used.phase == Phase::Main).expect("a call").clone();
    new.syscall = Syscall { arch, number };
    new.name = SyscallNames::builtin().name(new.syscall).into_owned();
    new.count = count;
    new.failures = errno.map(|errno| behaviour::FailureCount { errno, count: 3 }).into_iter().collect();
    uses.push(new);
    report
}

fn without_call(report: &Report, name: &str) -> Report {
    let mut report = report.clone();
    report.behaviour.syscalls.uses.retain(|used| used.name != name);
    report
}

#[test]
fn what_was_made_is_allowed_and_each_call_more_has_a_reason() {
    assert!(REPORTS.len() >= 5, "{:?}", REPORTS.keys());
    for (name, report) in &*REPORTS {
        let seccomp = recommended(report, &Options::default()).seccomp;
        let made = made(report, &[Phase::Main, Phase::Exec]);

        for call in &made {
            assert!(seccomp.allows(call), "{name}: {call} was made");
        }
        for call in &seccomp.allowed {
            assert!(!call.reasons.is_empty(), "{name}: {} has no reason", call.name);
            let is_observed = call.reasons.iter().any(|reason| matches!(reason, AllowReason::Observed { .. }));
            assert_eq!(is_observed, made.contains(&call.name), "{name}: {}", call.name);
        }
        assert!(seccomp.allowed.len() < made.len() + 90, "{name}: {} of {}", seccomp.allowed.len(), made.len());
        assert_eq!(seccomp.architectures, [Arch::X86_64]);
    }
}

#[test]
fn the_evidence_is_what_the_report_says() {
    let web = example("web");
    let used = web.behaviour.syscalls.uses.iter().find(|used| used.phase == Phase::Main && used.name == "accept4");
    let used = used.expect("a server accepts");

    let recommendation = recommended(&web, &Options::default());

    let call = recommendation.seccomp.allowed.iter().find(|call| call.name == "accept4").expect("allowed");
    let AllowReason::Observed { phase, arch, count, runs, program, nested: false } = &call.reasons[0] else {
        panic!("{call:?}")
    };
    assert_eq!((*phase, *arch, *count, *runs), (Phase::Main, Arch::X86_64, used.count, 1));
    assert_eq!(Some(program), used.first.as_ref().map(|first| &first.executable));
}

#[test]
fn a_profile_decides_about_each_call_once_and_by_names_that_exist() {
    let known = SyscallNames::builtin();
    for (name, report) in &*REPORTS {
        let seccomp = recommended(report, &Options::default()).seccomp;

        let profile = Profile::new(&seccomp);

        let mut seen = BTreeSet::new();
        // One that is filtered by an argument has a rule for each value, and none without a condition.
        let (filtered, plain): (Vec<_>, Vec<_>) = profile.syscalls.iter().partition(|rule| !rule.args.is_empty());
        let filtered: BTreeSet<&String> = filtered.iter().flat_map(|rule| &rule.names).collect();
        for call in plain.iter().flat_map(|rule| &rule.names).chain(filtered) {
            assert!(seen.insert(call.as_str()), "{name}: {call} stands twice");
            assert!(known.number(Arch::X86_64, call).is_some(), "{name}: {call} is no call of x86_64");
        }
        let all: BTreeSet<&str> = known.all(Arch::X86_64).map(|(_, name)| name).collect();
        assert_eq!(seen, all, "{name}: every call is in one rule");
        let allowed = profile.syscalls.iter().filter(|rule| rule.action == "SCMP_ACT_ALLOW");
        assert_eq!(allowed.flat_map(|rule| &rule.names).map(String::as_str).collect::<BTreeSet<_>>(), names(&seccomp));
        assert_eq!((profile.default_action.as_str(), profile.default_errno_ret), ("SCMP_ACT_ERRNO", Some(38)));
        assert_eq!(profile.architectures, ["SCMP_ARCH_X86_64"]);
    }
}

fn errno_of(profile: &Profile, name: &str) -> Option<u32> {
    let rule = profile.syscalls.iter().find(|rule| rule.names.iter().any(|call| call == name)).expect("a rule");
    rule.errno_ret
}

#[test]
fn what_libraries_try_first_is_answered_as_a_kernel_without_it_would() {
    let options = Options { siblings: false, runtime: Some(Runtime::Crun), ..Options::default() };
    let report = ["clone3", "statx", "rseq", "faccessat2"]
        .iter()
        .fold(example("client"), |report, call| without_call(&report, call));

    let profile = Profile::new(&recommended(&report, &options).seccomp);

    for call in ["clone3", "statx", "rseq", "faccessat2", "openat2", "io_uring_setup", "cachestat"] {
        assert_eq!(errno_of(&profile, call), Some(38), "{call}");
    }
    for call in ["reboot", "mount", "bpf", "ptrace", "init_module", "kexec_load", "unshare"] {
        assert_eq!(errno_of(&profile, call), Some(1), "{call}");
    }
}

#[test]
fn a_runtime_needs_less_with_no_new_privileges_and_each_its_own() {
    let report = example("client");
    let of = |runtime, no_new_privileges| {
        let options =
            Options { runtime: Some(runtime), no_new_privileges: Some(no_new_privileges), ..Options::default() };
        let recommendation = recommended(&report, &options);
        assert_eq!(
            (recommendation.runtimes.as_slice(), recommendation.no_new_privileges),
            (&[runtime][..], no_new_privileges)
        );
        names(&recommendation.seccomp).into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (plain, tight) = (of(Runtime::Runc, false), of(Runtime::Runc, true));
    let small = without_call(&report, "nothing");
    assert!(small == report && plain.is_superset(&tight) && plain != tight);
    for call in ["capset", "getdents64", "futex", "rt_sigreturn", "fchown", "setgroups"] {
        assert!(plain.contains(call), "runc calls {call}");
    }
    assert!(tight.contains("fstatfs") && !of(Runtime::Crun, true).contains("fstatfs"));
    assert!(of(Runtime::Crun, false).contains("setresuid"));
}

#[test]
fn of_a_runtime_that_is_not_known_the_needs_of_all_are_met() {
    let mut report = example("client");
    report.host.runtime = None;

    let recommendation = recommended(&report, &Options::default());

    assert_eq!(recommendation.runtimes, Runtime::ALL);
    assert!(recommendation.seccomp.allows("setresuid") && recommendation.seccomp.allows("setgroups"));
}

#[test]
fn siblings_are_added_with_their_reason_and_can_be_left_out() {
    let report = without_call(&example("client"), "clone3");
    let seccomp = recommended(&report, &Options::default()).seccomp;

    let stat = seccomp.allowed.iter().find(|call| call.name == "statx").expect("statx stands in for newfstatat");
    assert!(
        stat.reasons
            .iter()
            .any(|reason| matches!(reason, AllowReason::Portability { .. } | AllowReason::Observed { .. }))
    );
    let bare = recommended(&report, &Options { siblings: false, ..Options::default() }).seccomp;
    assert!(names(&bare).is_subset(&names(&seccomp)) && names(&bare) != names(&seccomp));
    for call in ["exit_group", "rt_sigreturn", "restart_syscall", "clock_gettime"] {
        assert!(bare.allows(call), "{call} is needed always");
    }
    let reasons = bare.allowed.iter().flat_map(|call| &call.reasons);
    assert!(!reasons.clone().any(|reason| matches!(reason, AllowReason::Portability { .. })));
}

#[test]
fn sessions_from_outside_can_be_left_out_and_that_is_said() {
    let web = example("web");
    let only_exec: BTreeSet<String> =
        made(&web, &[Phase::Exec]).difference(&made(&web, &[Phase::Main])).cloned().collect();
    assert!(!only_exec.is_empty(), "the example has a session with calls of its own");
    let options = Options { exec: false, siblings: false, runtime: Some(Runtime::Crun), ..Options::default() };

    let recommendation = recommended(&web, &options);

    let observed = recommendation.seccomp.allowed.iter().flat_map(|call| &call.reasons);
    assert!(!observed.clone().any(|reason| matches!(reason, AllowReason::Observed { phase: Phase::Exec, .. })));
    assert!(only_exec.iter().any(|call| !recommendation.seccomp.allows(call)));
    assert!(recommendation.notes.iter().any(|note| note.escaped().contains("are left out: they may fail")));
}

#[test]
fn what_runs_inside_of_a_container_is_under_its_filter_too() {
    let outer = example("client");
    let mut inner = with_call(&example("db"), Arch::X86_64, 165, 2, None);
    inner.container.parent = Some(report::Parent { run: outer.container.run, id: None });
    inner.container.run.slot += 100;
    let alone = recommended(&outer, &Options::default());

    let both = recommend(&[inner.clone(), outer.clone()], &Options::default(), "0.0.0").expect("one workload");

    assert_eq!((both.sources.len(), both.nested.len()), (1, 1));
    let is_taken_over = |name: &str| both.seccomp.left_out.iter().any(|call| call.name == name);
    for call in made(&inner, &Phase::ALL).into_iter().filter(|call| !is_taken_over(call)) {
        assert!(both.seccomp.allows(&call), "{call} is made inside, by the runtime or the workload");
    }
    assert!(both.seccomp.allows("mount") && !alone.seccomp.allows("mount"));
    assert!(names(&both.seccomp).is_superset(&names(&alone.seccomp)));
    assert!(
        both.capabilities.add.iter().any(|need| need.capability.to_string() == "CAP_SYS_ADMIN"),
        "its runtime mounts"
    );
    assert_eq!(both.capabilities.now, alone.capabilities.now);

    // One that was made elsewhere is another workload.
    inner.container.parent = None;
    assert!(recommend(&[inner, outer], &Options::default(), "0.0.0").is_err());
}

#[test]
fn a_call_that_was_refused_while_recorded_stays_refused_in_the_same_way() {
    let web = without_call(&example("web"), "clone3");
    let refused = |number, errno| with_call(&web, Arch::X86_64, number, 0, Some(Errno(errno)));
    for (number, name, errno) in [(435, "clone3", 38), (165, "mount", 1), (165, "mount", 38)] {
        let seccomp = recommended(&refused(number, errno), &Options::default()).seccomp;

        assert!(!seccomp.allows(name));
        let left_out = seccomp.left_out.iter().find(|call| call.name == name).expect("it is named");
        assert_eq!(left_out.reason, LeftOutReason::RefusedWhileRecorded { errnos: vec![Errno(errno)] });
        assert_eq!(errno_of(&Profile::new(&seccomp), name), Some(errno.into()));
    }
}

#[test]
fn rings_are_allowed_only_if_something_was_asked_for_through_one() {
    let web = example("web");
    let set_up = with_call(&web, Arch::X86_64, 425, 1, None);

    let unused = recommended(&set_up, &Options::default());

    assert!(!unused.seccomp.allows("io_uring_setup"));
    assert!(unused.seccomp.left_out.iter().any(|call| call.reason == LeftOutReason::RingNotUsed));
    assert_eq!(errno_of(&Profile::new(&unused.seccomp), "io_uring_setup"), Some(38));

    let used = recommended(&with_call(&set_up, Arch::X86_64, 426, 1, None), &Options::default());
    assert!(used.seccomp.allows("io_uring_setup") && used.seccomp.allows("io_uring_enter"));
    assert!(used.notes.iter().any(|note| note.escaped().contains("passes the seccomp filter unseen")));
}

#[test]
fn another_table_of_calls_is_let_through_only_if_it_was_used() {
    let seccomp = recommended(&with_call(&example("web"), Arch::X86, 4, 1, None), &Options::default()).seccomp;

    assert_eq!(seccomp.architectures, [Arch::X86_64, Arch::X86]);
    let profile = Profile::new(&seccomp);
    assert_eq!(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    assert_eq!(errno_of(&profile, "socketcall"), Some(1));
}

#[test]
fn capabilities_are_those_that_the_workload_used() {
    let web = recommended(&example("web"), &Options::default()).capabilities;
    let added: Vec<String> = web.add.iter().map(|need| need.capability.to_string()).collect();
    for needed in ["CAP_SETGID", "CAP_SETUID"] {
        assert!(added.iter().any(|name| name == needed), "nginx becomes another user with {needed}: {added:?}");
    }
    for other in ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SYS_CHROOT"] {
        assert!(!added.iter().any(|name| name == other), "{other} in {added:?}");
    }
    let left_out =
        web.left_out.iter().find(|one| one.capability.to_string() == "CAP_SYS_ADMIN").expect("the runtime's");
    assert!(!left_out.reasons.is_empty());
    assert_eq!(web.now.0.count_ones(), 14, "docker's default");
    assert!(web.left_out.iter().all(|one| web.add.iter().all(|need| need.capability != one.capability)));
}

#[test]
fn what_it_would_be_wrong_for_is_refused() {
    let web = example("web");
    assert!(matches!(recommend(&[], &Options::default(), "0.0.0"), Err(Refusal::NoReport)));

    let mut nothing = web.clone();
    nothing.behaviour.syscalls.uses.retain(|used| used.phase == Phase::RuntimeInit);
    assert!(matches!(refusal(&nothing), Refusal::Nothing { .. }));
    assert!(matches!(refusal(&without_call(&web, "execve")), Refusal::NoExec { .. }));
    assert!(matches!(refusal(&with_call(&web, Arch::X86_64, 4000, 1, None)), Refusal::Unnamed { number: 4000, .. }));

    let mut hidden = web.clone();
    hidden.reasons.push(Reason { code: ReasonCode::WorkloadNotVisible, sensor: None, text: "another kernel".into() });
    let anyway = Options { allow_incomplete: true, ..Options::default() };
    assert!(matches!(recommend(&[hidden], &anyway, "0.0.0"), Err(Refusal::NotVisible { .. })));

    let found = recommend(&[web.clone(), example("db")], &Options::default(), "0.0.0").expect_err("two images");
    assert!(matches!(found, Refusal::Mismatch(report::Mismatch::Workloads { .. })), "{found}");
    let mut arm = web.clone();
    arm.host.architecture = "aarch64".into();
    arm.container.run.generation += 1;
    let found = recommend(&[web, arm], &Options::default(), "0.0.0").expect_err("two machines");
    assert!(matches!(found, Refusal::Mismatch(report::Mismatch::Architectures { .. })), "{found}");
}

#[test]
fn what_is_incomplete_is_refused_or_marked_and_only_where_it_matters() {
    let mut late = example("web");
    late.window.observed_from = ObservedFrom::Attach;
    let late = late.finish();
    let Refusal::Incomplete { reasons } = refusal(&late) else { panic!("it is incomplete") };
    assert!(reasons.len() == 1 && reasons[0].starts_with("web: the container ran already"), "{reasons:?}");

    let marked = recommended(&late, &Options { allow_incomplete: true, ..Options::default() });
    assert_eq!(marked.incomplete.len(), 1);
    assert!(!marked.sources[0].complete);

    let with_reason = |sensor: &str| {
        let mut report = example("web");
        let (code, text) = (ReasonCode::Other, Text::from("something"));
        report.reasons.push(Reason { code, sensor: Some(sensor.into()), text });
        report.finish()
    };
    assert!(matches!(refusal(&with_reason("syscalls")), Refusal::Incomplete { .. }));
    assert!(matches!(refusal(&with_reason("capabilities")), Refusal::Incomplete { .. }));
    assert!(recommended(&with_reason("network"), &Options::default()).incomplete.is_empty());
}

fn docker_flags(recommendation: &Recommendation, profile: &str) -> Vec<String> {
    let beside = Beside { profile: Some(profile), config: None };
    Target::Docker
        .write(recommendation, &Profile::new(&recommendation.seccomp), &beside)
        .expect("it can be written")
        .words
}

#[test]
fn docker_takes_the_profile_and_the_capabilities() {
    let recommendation = recommended(&example("cache"), &Options::default());

    let flags = docker_flags(&recommendation, "/tmp/cache.json");

    assert_eq!(flags[..4], ["--security-opt", "seccomp=/tmp/cache.json", "--cap-drop", "ALL"]);
    let added = flags.windows(2).filter(|pair| pair[0] == "--cap-add");
    assert_eq!(added.clone().count(), recommendation.capabilities.add.len(), "{flags:?}");
    assert!(added.clone().all(|pair| !pair[1].starts_with("CAP_")), "{flags:?}");
    let options = Options { no_new_privileges: Some(true), ..Options::default() };
    assert!(docker_flags(&recommended(&example("cache"), &options), "p").contains(&"no-new-privileges".to_owned()));
}

#[test]
fn a_terminal_gets_no_line_that_is_too_wide_and_nothing_that_it_obeys() {
    let mut web = example("web");
    web.container.name = Some(Text::new(b"w\x1b[2Jeb\xff\n"));
    for used in &mut web.behaviour.syscalls.uses {
        if let Some(first) = &mut used.first {
            first.executable = Text::new(b"/usr/\x1b]0;owned\x07sbin/nginx");
        }
    }
    let recommendation = recommended(&web, &Options::default());
    for width in [40, 80, 200] {
        let page = table(&recommendation, &TableOptions { width, colour: false, all: true });
        assert!(page.lines().all(|line| report::width(line) <= width), "{page}");
        assert!(!page.chars().any(|c| c != '\n' && event::is_unsafe_on_a_terminal(c)), "{page:?}");
    }
    assert!(!recommendation.to_json().contains('\u{1b}'));
}

#[test]
fn a_recommendation_survives_its_json() {
    for report in REPORTS.values() {
        let recommendation = recommended(report, &Options::default());
        let json = recommendation.to_json();
        assert_eq!(serde_json::from_str::<Recommendation>(&json).expect("its own form"), recommendation);
    }
}

#[test]
fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/recommendation-1.json");
    let actual = Recommendation::schema();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}

/// Several runs of one workload: the same report with some of its calls left out, another time and other counts.
fn runs() -> impl Strategy<Value = Vec<Report>> {
    let run = (any::<u64>(), 1..50u64);
    proptest::collection::vec(run, 1..5).prop_map(|seeds| {
        let whole = example("client");
        let of_seed = |(at, (seed, factor)): (usize, (u64, u64))| {
            let mut run = whole.clone();
            run.container.run.generation = u32::try_from(at).expect("few runs");
            let mut kept = 0u32;
            run.behaviour.syscalls.uses.retain(|used| {
                kept += 1;
                used.name == "execve" || seed.rotate_left(kept) & 3 != 0
            });
            for used in &mut run.behaviour.syscalls.uses {
                used.count = used.count.saturating_mul(factor);
            }
            run
        };
        seeds.into_iter().enumerate().map(of_seed).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_reports_and_giving_one_twice_make_no_difference(
        (runs, order) in runs().prop_flat_map(|runs| {
            let indices: Vec<usize> = (0..runs.len()).chain(0..runs.len()).collect();
            (Just(runs), Just(indices).prop_shuffle())
        })
    ) {
        let mixed: Vec<Report> = order.iter().map(|&at| runs[at].clone()).collect();
        let [one, other] = [&runs, &mixed].map(|runs| recommend(runs, &Options::default(), "0.0.0").expect("runs"));
        prop_assert_eq!(one.to_json(), other.to_json());
    }

    #[test]
    fn several_runs_allow_what_each_of_them_needs_and_nothing_else(runs in runs()) {
        let options = Options { siblings: false, ..Options::default() };
        let of = |runs: &[Report]| recommend(runs, &options, "0.0.0").expect("runs").seccomp;
        let all = of(&runs);
        let each: Vec<Seccomp> = runs.iter().map(|run| of(std::slice::from_ref(run))).collect();
        let union: BTreeSet<&str> = each.iter().flat_map(names).collect();
        prop_assert_eq!(names(&all), union);
        for call in &all.allowed {
            for reason in &call.reasons {
                if let AllowReason::Observed { runs: seen, phase, .. } = reason {
                    let has = |run: &&Report| {
                        let uses = &run.behaviour.syscalls.uses;
                        uses.iter().any(|used| used.name == call.name && used.phase == *phase && used.count > 0)
                    };
                    prop_assert_eq!(*seen as usize, runs.iter().filter(has).count(), "{}", &call.name);
                }
            }
        }
    }
}
