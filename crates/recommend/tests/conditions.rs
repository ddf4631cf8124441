//! Conditions on arguments: from reports of `docs/example` to which what calls were passed is added.

use std::collections::BTreeSet;
use std::path::Path;

use behaviour::{ArgumentUse, OperationUse, SyscallUse, ValueUse};
use event::{Arch, Phase, PrivilegedOperation, Syscall, SyscallNames, Text, constants};
use proptest::prelude::*;
use recommend::{
    AllowReason, AnyReason, Condition, LeftOutReason, Missing, MissingPermission, Options, Profile, Recommendation,
    Runtime, ValueReason, recommend,
};
use report::Report;

/// The calls that are looked at, the position and the bits of what is, and what the workload passes if a test does not say.
const WATCHED: [(&str, u8, u32, u32); 16] = [
    ("bpf", 0, u32::MAX, 5),
    ("clone", 0, 0xffff_ff00, 0x120_0000),
    ("fcntl", 1, u32::MAX, 3),
    ("fcntl64", 1, u32::MAX, 3),
    ("ioctl", 1, u32::MAX, 0x5401),
    ("keyctl", 0, u32::MAX, 0),
    ("madvise", 2, u32::MAX, 4),
    ("mmap", 2, 7, 3),
    ("mmap2", 2, 7, 3),
    ("mprotect", 2, 7, 1),
    ("personality", 0, u32::MAX, u32::MAX),
    ("pkey_mprotect", 2, 7, 1),
    ("prctl", 0, u32::MAX, 15),
    ("setns", 1, u32::MAX, 0x4000_0000),
    ("socket", 0, u32::MAX, 2),
    ("unshare", 0, u32::MAX, 0x200),
];

fn example() -> Report {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/client.json");
    Report::parse(&std::fs::read(file).expect("docs/example is checked in")).expect("a report")
}

fn any_use(report: &Report) -> SyscallUse {
    let uses = &report.behaviour.syscalls.uses;
    uses.iter().find(|used| used.phase == Phase::Main && used.count > 0).expect("a call").clone()
}

/// A report of a container that made these calls, too, and in which each call has what it was passed: what is said here, else
/// what is usual.
fn passing(said: &[(Arch, &str, &[u32])]) -> Report {
    let names = SyscallNames::builtin();
    let mut report = example();
    let template = any_use(&report);
    report.behaviour.syscalls.uses.retain(|used| used.phase != Phase::RuntimeInit && used.name != "clone3");
    for (arch, name, _) in said {
        let syscall = Syscall { arch: *arch, number: names.number(*arch, name).expect("a call") };
        report.behaviour.syscalls.uses.retain(|used| used.syscall != syscall);
        let made = SyscallUse { syscall, name: (*name).to_owned(), count: 3, ..template.clone() };
        report.behaviour.syscalls.uses.push(made);
    }
    let first = template.first.clone().expect("a first use");
    report.behaviour.arguments.uses.clear();
    for used in &report.behaviour.syscalls.uses {
        let Some((name, position, mask, usual)) = WATCHED.iter().find(|(name, ..)| *name == used.name) else {
            continue;
        };
        let is_it = |(arch, one, _): &&(Arch, &str, &[u32])| (*arch, *one) == (used.syscall.arch, *name);
        let values: BTreeSet<u32> = match said.iter().find(is_it) {
            Some((.., values)) => values.iter().copied().collect(),
            None => BTreeSet::from([*usual]),
        };
        let value =
            |value: u32| ValueUse { value, words: constants::words(name, value).into_owned(), first: first.clone() };
        report.behaviour.arguments.uses.push(ArgumentUse {
            phase: used.phase,
            syscall: used.syscall,
            name: (*name).to_owned(),
            position: *position,
            mask: *mask,
            values: values.into_iter().map(value).collect(),
            others: false,
        });
    }
    report.sections.insert("arguments".into(), true);
    report
}

const NATIVE: Arch = Arch::X86_64;

fn recommended(report: &Report, options: &Options) -> Recommendation {
    recommend(std::slice::from_ref(report), options, "0.0.0").expect("a recommendation")
}

fn of(report: &Report) -> Recommendation {
    recommended(report, &Options { runtime: Some(Runtime::Crun), ..Options::default() })
}

fn condition<'r>(recommendation: &'r Recommendation, name: &str) -> Option<&'r Condition> {
    recommendation.seccomp.conditions.iter().find(|condition| condition.name == name)
}

fn any_reason(recommendation: &Recommendation, name: &str) -> Option<AnyReason> {
    recommendation.seccomp.any_argument.iter().find(|one| one.name == name).map(|one| one.because)
}

/// What the filter answers: none if it lets the call through, else the errno.
fn answer(profile: &Profile, name: &str, arguments: [u64; 3]) -> Option<u32> {
    let rules = profile.syscalls.iter().filter(|rule| rule.names.iter().any(|call| call == name));
    let matching: Vec<_> = rules
        .filter(|rule| {
            assert!(rule.args.len() <= 1, "several conditions of one rule must all be met: {rule:?}");
            rule.args.iter().all(|arg| {
                assert_eq!(arg.op, "SCMP_CMP_MASKED_EQ");
                arguments[arg.index as usize] & arg.value == arg.value_two
            })
        })
        .collect();
    assert!(matching.len() <= 1, "{name} {arguments:?} is decided about twice: {matching:?}");
    match matching.first() {
        Some(rule) if rule.action == "SCMP_ACT_ALLOW" => None,
        Some(rule) => rule.errno_ret,
        None => profile.default_errno_ret,
    }
}

#[test]
fn what_was_passed_is_allowed_whatever_the_upper_half_holds_and_nothing_else() {
    let recommendation = of(&passing(&[(NATIVE, "socket", &[2, 16]), (NATIVE, "personality", &[0x4_0000])]));
    let profile = Profile::new(&recommendation.seccomp);

    for family in [1, 2, 10, 16, 0xffff_ffff_0000_0002] {
        assert_eq!(answer(&profile, "socket", [family, 1, 0]), None, "{family:x}");
    }
    for family in [0, 17, 40, 0xffff_ffff, 0x2_0000_0028] {
        assert_eq!(answer(&profile, "socket", [family, 1, 0]), Some(38), "{family:x}");
    }
    assert_eq!(answer(&profile, "personality", [0x4_0000, 0, 0]), None);
    assert_eq!(answer(&profile, "personality", [0x40_0000, 0, 0]), Some(38));
    let socket = condition(&recommendation, "socket").expect("it has one");
    let because = |value| &socket.evidence.iter().find(|one| one.value == value).expect("evidence").reasons;
    assert!(matches!(
        because(16).as_slice(),
        [ValueReason::Observed { nested: false, phase: Phase::Main, arch: NATIVE, runs: 1, program }] if !program.is_empty()
    ));
    assert!(matches!(because(1).as_slice(), [ValueReason::Portability { .. }]));
    assert_eq!(socket.evidence.iter().find(|one| one.value == 16).map(|one| one.words.as_str()), Some("AF_NETLINK"));
}

#[test]
fn no_rule_without_a_condition_names_a_call_that_has_one() {
    let recommendation = of(&passing(&[(NATIVE, "unshare", &[0x200]), (NATIVE, "keyctl", &[0])]));
    let profile = Profile::new(&recommendation.seccomp);

    assert!(recommendation.seccomp.conditions.len() > 8, "{:?}", recommendation.seccomp.conditions);
    for rule in &profile.syscalls {
        for name in &rule.names {
            assert_eq!(condition(&recommendation, name).is_some(), !rule.args.is_empty(), "{name} in {rule:?}");
        }
    }
    let by_rules: BTreeSet<&str> = profile
        .syscalls
        .iter()
        .filter(|rule| rule.action == "SCMP_ACT_ALLOW")
        .flat_map(|rule| &rule.names)
        .map(String::as_str)
        .collect();
    let allowed: BTreeSet<&str> = recommendation.seccomp.allowed.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(by_rules, allowed);
}

#[test]
fn memory_is_written_or_run_but_not_both_unless_it_was() {
    let recommendation = of(&passing(&[(NATIVE, "mmap", &[0, 1, 3, 5]), (NATIVE, "mprotect", &[0, 1, 3])]));
    let profile = Profile::new(&recommendation.seccomp);
    for (name, protection, expected) in [
        ("mmap", 3, None),
        ("mmap", 5, None),
        ("mmap", 7, Some(1)),
        ("mprotect", 3, None),
        ("mprotect", 5, Some(1)),
        ("mprotect", 7, Some(1)),
    ] {
        assert_eq!(answer(&profile, name, [0, 4096, protection]), expected, "{name} {protection}");
    }

    let jit = of(&passing(&[(NATIVE, "mmap", &[3, 7]), (NATIVE, "mprotect", &[1, 5])]));
    let profile = Profile::new(&jit.seccomp);
    assert_eq!(any_reason(&jit, "mmap"), Some(AnyReason::NothingToRefuse));
    assert_eq!(answer(&profile, "mmap", [0, 4096, 7]), None);
    assert_eq!(answer(&profile, "mprotect", [0, 4096, 5]), None);
    assert_eq!(answer(&profile, "mprotect", [0, 4096, 7]), Some(1));
}

#[test]
fn namespaces_that_were_not_made_are_refused_and_clone3_gives_way_to_clone() {
    let recommendation = of(&passing(&[(NATIVE, "clone", &[0x3d_0f00, 0x2000_0000]), (NATIVE, "clone3", &[])]));
    let profile = Profile::new(&recommendation.seccomp);

    assert_eq!(answer(&profile, "clone", [0x3d_0f00, 0, 0]), None);
    assert_eq!(answer(&profile, "clone", [0x2000_0011, 0, 0]), None, "CLONE_NEWPID was made");
    for flag in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x4000_0000] {
        assert_eq!(answer(&profile, "clone", [flag | 0x11, 0, 0]), Some(1), "{flag:x}");
    }
    assert_eq!(answer(&profile, "clone3", [0, 0, 0]), Some(38));
    let left_out = recommendation.seccomp.left_out.iter().find(|call| call.name == "clone3").expect("it was made");
    assert_eq!(left_out.reason, LeftOutReason::TakenOver { by: "clone".to_owned(), made: true });
    assert!(recommendation.notes.iter().any(|note| note.to_string().contains("clone3")), "{:?}", recommendation.notes);
}

#[test]
fn clone_is_allowed_where_only_clone3_was_made_even_without_siblings() {
    let mut report = passing(&[(NATIVE, "clone3", &[])]);
    report.behaviour.syscalls.uses.retain(|used| used.name != "clone");
    report.behaviour.arguments.uses.retain(|used| used.name != "clone");

    let bare = recommended(&report, &Options { siblings: false, runtime: Some(Runtime::Crun), ..Options::default() });

    let clone = bare.seccomp.allowed.iter().find(|call| call.name == "clone").expect("it takes over");
    assert!(matches!(clone.reasons.as_slice(), [AllowReason::Portability { sibling, .. }] if sibling == "clone3"));
    assert_eq!(condition(&bare, "clone").map(|it| (it.mask, it.values.clone())), Some((0x7e02_0000, vec![0])));
    assert!(!bare.seccomp.allows("clone3"));
    let free = recommended(&report, &Options { arguments: false, ..Options::default() });
    assert!(
        free.seccomp.allows("clone3") && free.seccomp.conditions.is_empty() && free.seccomp.any_argument.is_empty()
    );
}

fn with_clone3(flags: &[&str]) -> Report {
    let mut report = passing(&[(NATIVE, "clone3", &[])]);
    report.sections.insert("privileged".into(), true);
    let operations = &mut report.behaviour.privileged.operations;
    let first = any_use(&example()).first.expect("a first use");
    operations.push(OperationUse {
        phase: Phase::Main,
        operation: PrivilegedOperation::Clone3,
        outcome: event::Outcome::of(None),
        errno: None,
        details: flags.iter().map(|&flag| flag.into()).collect(),
        object: "".into(),
        source: "".into(),
        type_name: "".into(),
        truncated: false,
        before: None,
        after: None,
        has_target: false,
        target_comm: "".into(),
        target_run: None,
        others: false,
        count: 1,
        first,
        last_boot_ns: 0,
    });
    report
}

#[test]
fn namespaces_that_clone3_made_may_be_made_by_clone() {
    let recommendation = of(&with_clone3(&["CLONE_NEWNS", "CLONE_NEWUSER"]));
    let profile = Profile::new(&recommendation.seccomp);

    assert_eq!(answer(&profile, "clone", [0x1002_0011, 0, 0]), None);
    assert_eq!(answer(&profile, "clone", [0x4000_0011, 0, 0]), Some(1));
    let clone = condition(&recommendation, "clone").expect("it has one");
    assert!(clone.evidence.iter().any(|one| one.reasons == [ValueReason::ObservedByClone3]), "{clone:?}");
}

#[test]
fn what_only_clone3_can_do_keeps_it_and_nothing_of_it_is_filtered() {
    let recommendation = of(&with_clone3(&["CLONE_NEWTIME"]));

    assert!(recommendation.seccomp.allows("clone3") && condition(&recommendation, "clone").is_none());
    assert_eq!(any_reason(&recommendation, "clone"), Some(AnyReason::Clone3Needed));

    let mut unknown = with_clone3(&["CLONE_NEWNS"]);
    unknown.sections.insert("privileged".into(), false);
    let recommendation = of(&unknown);
    assert!(recommendation.seccomp.allows("clone3") && condition(&recommendation, "clone").is_none());
    assert_eq!(any_reason(&recommendation, "clone"), Some(AnyReason::NotRecorded));
}

#[test]
fn a_report_that_may_miss_what_was_passed_gives_no_condition() {
    // Reports of early versions have no such section.
    let mut early = example();
    early.behaviour.arguments = Default::default();
    early.sections.remove(&Text::from("arguments"));
    let old = of(&early);
    assert!(old.seccomp.conditions.is_empty() && !old.seccomp.any_argument.is_empty());
    assert!(
        old.seccomp.any_argument.iter().all(|one| one.because == AnyReason::NotRecorded),
        "{:?}",
        old.seccomp.any_argument
    );

    // A call that was counted and has no value; or that has too many.
    let whole = passing(&[(NATIVE, "socket", &[2])]);
    assert!(condition(&of(&whole), "socket").is_some());
    let mut lacking = whole.clone();
    lacking.behaviour.arguments.uses.retain(|one| one.name != "socket");
    assert_eq!(any_reason(&of(&lacking), "socket"), Some(AnyReason::NotRecorded));
    assert!(condition(&of(&lacking), "prctl").is_some(), "the others are known");
    let mut empty = whole.clone();
    let socket = |one: &&mut ArgumentUse| one.name == "socket";
    empty.behaviour.arguments.uses.iter_mut().filter(socket).for_each(|one| one.values.clear());
    assert_eq!(any_reason(&of(&empty), "socket"), Some(AnyReason::NotRecorded));
    let mut more = whole.clone();
    more.behaviour.arguments.uses.iter_mut().filter(socket).for_each(|one| one.others = true);
    assert_eq!(any_reason(&of(&more), "socket"), Some(AnyReason::TooManyValues));
    let mut narrow = whole.clone();
    narrow.behaviour.arguments.uses.iter_mut().filter(socket).for_each(|one| one.mask = 0xff);
    assert_eq!(any_reason(&of(&narrow), "socket"), Some(AnyReason::NotRecorded));

    // One of two runs does not say it.
    let mut second = whole.clone();
    second.container.run.slot += 1;
    second.sections.insert("arguments".into(), false);
    let both = recommend(&[whole, second], &Options::default(), "0.0.0").expect("a recommendation");
    assert!(both.seccomp.conditions.is_empty(), "{:?}", both.seccomp.conditions);
}

#[test]
fn many_values_are_no_condition() {
    let few: Vec<u32> = (0..12).collect();
    let many: Vec<u32> = (0..13).collect();

    assert!(condition(&of(&passing(&[(NATIVE, "socket", &few)])), "socket").is_some());
    assert_eq!(any_reason(&of(&passing(&[(NATIVE, "socket", &many)])), "socket"), Some(AnyReason::TooManyValues));
    // The type 0 of setns is any.
    assert!(condition(&of(&passing(&[(NATIVE, "setns", &[0x4000_0000])])), "setns").is_some());
    assert_eq!(
        any_reason(&of(&passing(&[(NATIVE, "setns", &[0, 0x4000_0000])])), "setns"),
        Some(AnyReason::NothingToRefuse)
    );
    let all = 0x7e02_0080;
    assert_eq!(any_reason(&of(&passing(&[(NATIVE, "unshare", &[all])])), "unshare"), Some(AnyReason::NothingToRefuse));
}

#[test]
fn a_table_that_passes_it_differently_gives_no_condition() {
    let recommendation = of(&passing(&[(Arch::X86, "getppid", &[]), (Arch::X86, "ioctl", &[0x5413, 0x541b])]));
    let profile = Profile::new(&recommendation.seccomp);

    assert_eq!(recommendation.seccomp.architectures, [Arch::X86_64, Arch::X86]);
    for name in ["mmap", "socket"] {
        assert_eq!(any_reason(&recommendation, name), Some(AnyReason::OtherTable), "{name}");
    }
    // What one table showed is allowed through each.
    assert_eq!(answer(&profile, "ioctl", [0, 0x541b, 0]), None);
    assert_eq!(answer(&profile, "ioctl", [0, 0x5412, 0]), Some(38));
}

#[test]
fn what_a_runtime_passes_is_allowed_though_the_workload_never_did() {
    let mut report = passing(&[(NATIVE, "prctl", &[])]);
    report.behaviour.syscalls.uses.retain(|used| used.name != "prctl");
    report.behaviour.arguments.uses.retain(|used| used.name != "prctl");
    for runtime in Runtime::ALL {
        let options =
            Options { runtime: Some(runtime), no_new_privileges: Some(false), siblings: false, ..Options::default() };

        let recommendation = recommended(&report, &options);

        let profile = Profile::new(&recommendation.seccomp);
        for option in ["PR_SET_KEEPCAPS", "PR_CAPBSET_DROP", "PR_CAP_AMBIENT"] {
            let value = constants::number("prctl", option).expect("a name").into();
            assert_eq!(answer(&profile, "prctl", [value, 0, 0]), None, "{runtime:?} {option}");
        }
        assert_eq!(answer(&profile, "prctl", [35, 0, 0]), Some(38), "{runtime:?}");
    }
}

#[test]
fn what_sessions_passed_counts_as_their_calls_do() {
    let mut report = passing(&[(NATIVE, "socket", &[2]), (NATIVE, "keyctl", &[0])]);
    for used in &mut report.behaviour.syscalls.uses {
        if used.name == "keyctl" {
            used.phase = Phase::Exec;
        }
    }
    for used in &mut report.behaviour.arguments.uses {
        if used.name == "keyctl" {
            used.phase = Phase::Exec;
        }
    }

    let with = of(&report);
    assert!(matches!(
        condition(&with, "keyctl").map(|it| it.evidence[0].reasons.as_slice()),
        Some([ValueReason::Observed { phase: Phase::Exec, .. }])
    ));
    let without = recommended(&report, &Options { exec: false, ..Options::default() });
    assert!(condition(&without, "keyctl").is_none() && !without.seccomp.allows("keyctl"));
}

#[test]
fn runs_are_put_together_and_their_order_makes_no_difference() {
    let one = passing(&[(NATIVE, "socket", &[2])]);
    let mut other = passing(&[(NATIVE, "socket", &[2, 16]), (NATIVE, "unshare", &[0x2000_0000])]);
    other.container.run.slot += 1;

    let both = recommend(&[one.clone(), other.clone()], &Options::default(), "0.0.0").expect("a recommendation");
    let turned = recommend(&[other, one], &Options::default(), "0.0.0").expect("a recommendation");

    assert_eq!(both.to_json(), turned.to_json());
    let socket = condition(&both, "socket").expect("it has one");
    let runs = |value: u32| {
        let reasons = &socket.evidence.iter().find(|one| one.value == value).expect("evidence").reasons;
        reasons.iter().find_map(|reason| match reason {
            ValueReason::Observed { runs, .. } => Some(*runs),
            _ => None,
        })
    };
    assert_eq!((runs(2), runs(16)), (Some(2), Some(1)));
    let json = both.to_json();
    assert_eq!(serde_json::from_str::<Recommendation>(&json).expect("its own form"), both);
}

#[test]
fn a_call_that_was_denied_loses_its_condition_and_one_that_is_taken_away_has_none() {
    let recommendation = of(&passing(&[(NATIVE, "socket", &[2])]));
    let missing = Missing { what: MissingPermission::Call("socket".to_owned()), starts: 1, program: "x".into() };

    let more = recommendation.with(&[missing]);

    assert_eq!((condition(&more, "socket"), any_reason(&more, "socket")), (None, Some(AnyReason::Denied)));
    assert_eq!(answer(&Profile::new(&more.seccomp), "socket", [40, 1, 0]), None);
    let mut less = recommendation.clone();
    less.seccomp.allowed.retain(|call| call.name != "socket");
    assert_eq!(answer(&Profile::new(&less.seccomp), "socket", [2, 1, 0]), Some(1));
}

proptest! {
    #[test]
    fn whatever_was_passed_is_let_through(
        values in prop::collection::vec(prop_oneof![0..50_u32, any::<u32>()], 1..14),
        call in prop::sample::select(WATCHED.to_vec()),
        upper in any::<u32>(),
        siblings in any::<bool>(),
    ) {
        let (name, position, mask, _) = call;
        let number = SyscallNames::builtin().number(NATIVE, name);
        prop_assume!(number.is_some());
        let values: Vec<u32> = values.iter().map(|value| value & mask).collect();
        let report = passing(&[(NATIVE, name, &values)]);
        let recommendation = recommended(&report, &Options { siblings, ..Options::default() });
        let profile = Profile::new(&recommendation.seccomp);

        prop_assert!(condition(&recommendation, name).is_some() != any_reason(&recommendation, name).is_some());
        for value in values {
            let mut arguments = [u64::from(upper) << 32; 3];
            // Bits that are not looked at may be anything.
            arguments[usize::from(position)] |= u64::from(value) | u64::from(upper & !mask);
            prop_assert_eq!(answer(&profile, name, arguments), None, "{} {:x}", name, value);
        }
    }
}
