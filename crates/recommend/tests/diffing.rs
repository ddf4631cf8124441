//! Differences: what means the same is the same whatever its layout, and what differs is told as call and condition.

use std::path::{Path, PathBuf};

use event::Phase;
use proptest::prelude::*;
use recommend::{
    Changed, Compared, Diff, DiffError, Direction, Filter, Options, Profile, ProfileError, Subject, diff, diff_table,
    recommend,
};
use report::{Report, TableOptions};
use serde_json::{Value, json};

fn example(name: &str) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example").join(format!("{name}.json"));
    Report::parse(&std::fs::read(path).expect("docs/example is checked in")).expect("a report")
}

fn subject(value: &Value) -> Subject {
    Subject::parse(value.to_string().as_bytes()).expect("something that can be compared")
}

fn of(before: &Value, after: &Value) -> Diff {
    diff(&subject(before), &subject(after), "0.0.0").expect("they can be compared")
}

fn profile(default: &str, syscalls: &Value) -> Value {
    json!({
        "defaultAction": default,
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": syscalls,
    })
}

fn deny(syscalls: &Value) -> Value {
    let mut rules = vec![json!({"names": ["exit"], "action": "SCMP_ACT_ALLOW"})];
    rules.extend(syscalls.as_array().expect("rules").iter().cloned());
    profile("SCMP_ACT_ERRNO", &Value::Array(rules))
}

fn lines(diff: &Diff) -> Vec<String> {
    let page = diff_table(diff, &TableOptions { width: 400, colour: false, all: true });
    page.lines().filter(|line| line.starts_with("  ")).map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn rules_that_are_split_reordered_or_repeated_decide_the_same() {
    let one = deny(&json!([{"names": ["read", "write", "clone"], "action": "SCMP_ACT_ALLOW"}]));
    let other = deny(&json!([
        {"name": "clone", "action": "SCMP_ACT_ALLOW"},
        {"names": ["write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ]));

    assert_eq!(of(&one, &other).changes, []);
}

#[test]
fn conditions_that_mean_the_same_are_the_same() {
    let arg = |op: &str, value: u64, two: u64| json!([{"index": 0, "value": value, "valueTwo": two, "op": op}]);
    let allow = |args: Value| json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": args});
    let below_two = deny(&json!([allow(arg("SCMP_CMP_LT", 2, 0))]));
    let zero_or_one = deny(&json!([allow(arg("SCMP_CMP_EQ", 1, 0)), allow(arg("SCMP_CMP_EQ", 0, 0))]));
    let masked = deny(&json!([allow(arg("SCMP_CMP_MASKED_EQ", !1, 0))]));
    let below_three = deny(&json!([allow(arg("SCMP_CMP_LE", 2, 0))]));

    assert_eq!(of(&below_two, &zero_or_one).changes, []);
    assert_eq!(of(&masked, &zero_or_one).changes, []);
    let more = of(&below_two, &below_three);
    assert_eq!(
        lines(&more),
        [
            "+ personality (x86_64): allowed if arg0 < 0x2, else ENOSYS -> allowed if arg0 <= 0x2, else ENOSYS",
            "for example arg0=0x2: ENOSYS, then allowed",
        ]
    );
    assert!(more.has(Direction::Added) && !more.has(Direction::Removed));
}

#[test]
fn what_is_answered_differently_is_neither_added_nor_removed() {
    let eperm = deny(&json!([{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]));
    let found = of(&deny(&json!([])), &eperm);

    assert_eq!(lines(&found), ["~ mount (x86_64): ENOSYS -> EPERM"]);
    assert_eq!(found.changes[0].directions, [Direction::Changed]);
    let kills = deny(&json!([{"names": ["mount"], "action": "SCMP_ACT_KILL"}]));
    let thread = deny(&json!([{"names": ["mount"], "action": "SCMP_ACT_KILL_THREAD"}]));
    assert_eq!(of(&kills, &thread).changes, [], "two names of one action");
}

#[test]
fn tables_are_compared_as_hosts_have_them() {
    let rule = json!([{"names": ["read", "exit"], "action": "SCMP_ACT_ALLOW"}]);
    let with = |tables: Value| {
        let mut profile = profile("SCMP_ACT_ERRNO", &rule);
        profile["architectures"] = tables;
        profile
    };
    let mapped = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": rule,
        "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        ],
    });

    // A host's own table is always filtered; a table of another sort of host is of no use there.
    assert_eq!(of(&with(json!(["SCMP_ARCH_X86_64"])), &with(json!([]))).changes, []);
    let listed = with(json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_ARM"]));
    assert_eq!(of(&mapped, &listed).changes, []);
    let found = of(&mapped, &with(json!(["SCMP_ARCH_X86_64"])));
    assert_eq!(
        lines(&found),
        ["- arm: filtered -> every call kills the thread", "- x86: filtered -> every call kills the thread",]
    );
    let found = of(&with(json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"])), &with(json!(["SCMP_ARCH_X86_64"])));
    assert_eq!(lines(&found)[0], "- SCMP_ARCH_S390X: listed -> not listed");
}

#[test]
fn a_socket_call_of_32_bit_x86_goes_two_ways() {
    let tables = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    let with = |names: Value| {
        let mut profile = deny(&json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]));
        profile["architectures"] = tables.clone();
        profile
    };

    let found = of(&with(json!(["read"])), &with(json!(["read", "accept"])));

    // x86 has no number for accept of its own.
    assert_eq!(
        lines(&found),
        [
            "+ accept (x86_64): ENOSYS -> allowed",
            "+ socketcall (x86): ENOSYS -> allowed if arg0 == 0x5, else ENOSYS",
            "for example arg0=0x5: ENOSYS, then allowed",
        ]
    );
}

#[test]
fn dockers_conditions_on_capabilities_and_kernels_are_compared_in_each_case() {
    let rule = |only: Value| {
        let mut rule = json!({"names": ["bpf"], "action": "SCMP_ACT_ALLOW"});
        rule.as_object_mut().expect("a rule").extend(only.as_object().expect("fields").clone());
        deny(&json!([rule]))
    };
    let admin = rule(json!({"includes": {"caps": ["CAP_SYS_ADMIN"]}}));
    let always = rule(json!({}));
    let never = deny(&json!([]));

    assert_eq!(of(&admin, &admin).changes, []);
    assert_eq!(lines(&of(&never, &admin)), ["+ bpf (x86_64), with CAP_SYS_ADMIN: ENOSYS -> allowed"]);
    assert_eq!(lines(&of(&admin, &always)), ["+ bpf (x86_64), without CAP_SYS_ADMIN: ENOSYS -> allowed"]);
    let either = deny(&json!([
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    ]));
    assert_eq!(of(&either, &always).changes, [], "with it and without it is always");
    let kernel = rule(json!({"includes": {"minKernel": "5.8"}}));
    assert_eq!(lines(&of(&kernel, &always)), ["+ bpf (x86_64), before Linux 5.8: ENOSYS -> allowed"]);
    let elsewhere = rule(json!({"includes": {"arches": ["s390x"]}}));
    assert_eq!(of(&elsewhere, &never).changes, [], "on no host that is compared");
    let here = rule(json!({"excludes": {"arches": ["arm64"]}, "includes": {"arches": ["amd64"]}}));
    assert_eq!(of(&here, &always).changes, []);
}

#[test]
fn what_a_call_was_passed_decides_whether_a_condition_lacks_something() {
    let web = example("web");
    let report = Subject::parse(web.to_json().as_bytes()).expect("our own file");
    let lacks = |report: &Subject, family: u32| {
        let family = json!([{"index": 0, "value": 0xffff_ffff_u32, "valueTwo": family, "op": "SCMP_CMP_MASKED_EQ"}]);
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": family}]});
        diff(report, &subject(&profile), "0.0.0").expect("comparable").changes.len()
    };

    // It made sockets of AF_INET (2), and none of AF_VSOCK (40).
    assert_eq!((lacks(&report, 2), lacks(&report, 40)), (1, 0));
    // If it is not known what it passed, it may have been that.
    let mut early = web;
    early.behaviour.arguments = Default::default();
    let early = Subject::parse(early.to_json().as_bytes()).expect("our own file");
    assert_eq!(lacks(&early, 40), 1);
}

#[test]
fn a_report_with_a_profile_says_what_the_profile_lacks() {
    let web = example("web");
    let recommendation = recommend(std::slice::from_ref(&web), &Options::default(), "0.0.0").expect("a recommendation");
    let subject_of = |text: String| Subject::parse(text.as_bytes()).expect("our own file");
    let (report, allowed) = (subject_of(web.to_json()), subject_of(recommendation.to_json()));
    let mut profile: Value = serde_json::from_str(&Profile::new(&recommendation.seccomp).to_json()).expect("JSON");

    let found = diff(&report, &allowed, "0.0.0").expect("comparable");
    assert_eq!((found.compared, &found.changes[..]), (Compared::RunsWithProfile, &[][..]));
    for rule in profile["syscalls"].as_array_mut().expect("rules") {
        rule["names"].as_array_mut().expect("names").retain(|name| name != "openat" && name != "execve");
    }
    profile["syscalls"].as_array_mut().expect("rules").push(json!(
        {"names": ["execve"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_NE"}]}
    ));
    let found = diff(&report, &subject(&profile), "0.0.0").expect("comparable");
    assert_eq!(
        lines(&found)[..2],
        ["~ execve (x86_64): made -> allowed if arg1 != 0x0, else ENOSYS", "- openat (x86_64): made -> ENOSYS",]
    );
    let turned = diff(&subject(&profile), &report, "0.0.0").expect("comparable");
    assert_eq!(turned.changes, found.changes);
}

#[test]
fn reports_differ_in_what_was_done() {
    let web = example("web");
    let mut less = web.clone();
    less.behaviour.syscalls.uses.retain(|used| used.name != "openat");
    less.behaviour.capabilities.uses.clear();
    let of = |report: &Report| Subject::parse(report.to_json().as_bytes()).expect("a report");

    assert_eq!(diff(&of(&web), &of(&web), "0.0.0").expect("comparable").changes, []);
    let found = diff(&of(&less), &of(&web), "0.0.0").expect("comparable");
    let has_openat = web.behaviour.syscalls.uses.iter().any(|used| used.name == "openat" && used.phase == Phase::Main);
    assert_eq!(lines(&found).iter().any(|line| line == "+ openat (x86_64): not made -> made"), has_openat);
    assert!(found.changes.iter().all(|change| change.directions == [Direction::Added]), "{found:?}");
    assert!(found.changes.iter().any(|change| change.what == Changed::Capability), "{found:?}");
}

#[test]
fn bad_profiles_are_refused_with_the_reason() {
    let parse = |text: &str| Filter::parse(text.as_bytes()).expect_err("refused");
    let rule = |rule: Value| parse(&deny(&json!([rule])).to_string());
    let args = |arg: Value| rule(json!({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [arg]}));

    for text in ["", "{", "[]", "[[]]", "null", "3", "{\"defaultAction\": 3}"] {
        assert!(matches!(parse(text), ProfileError::NotAProfile { .. }), "{text}: {:?}", parse(text));
    }
    assert_eq!(parse("{}"), ProfileError::NoDefault);
    assert!(matches!(parse(&profile("SCMP_ACT_SOME", &json!([])).to_string()), ProfileError::UnknownAction { .. }));
    assert_eq!(parse(&profile("SCMP_ACT_ERRNO", &json!([])).to_string()), ProfileError::DeniesEverything);
    let nothing = json!({"names": [], "action": "SCMP_ACT_ALLOW"});
    assert_eq!(rule(nothing), ProfileError::NoName { rule: 2 });
    assert!(matches!(rule(json!({"names": ["read"]})), ProfileError::UnknownAction { .. }));
    assert!(matches!(rule(json!({"names": ["Read me"], "action": "SCMP_ACT_ALLOW"})), ProfileError::BadName { .. }));
    let twice = json!({"name": "read", "names": ["read"], "action": "SCMP_ACT_ALLOW"});
    assert_eq!(rule(twice), ProfileError::TwoNames { rule: 2 });
    let errno = json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096});
    assert_eq!(rule(errno), ProfileError::BadErrno { errno: 4096 });
    assert!(matches!(args(json!({"index": 6, "op": "SCMP_CMP_EQ"})), ProfileError::BadArgument { index: 6, .. }));
    assert!(matches!(args(json!({"index": 0, "op": "=="})), ProfileError::UnknownOperator { .. }));
    let mut both = deny(&json!([]));
    both["archMap"] = json!([{"architecture": "SCMP_ARCH_X86_64"}]);
    assert_eq!(parse(&both.to_string()), ProfileError::TwoArchitectures);
    both["architectures"] = json!(["x86_64"]);
    assert!(matches!(parse(&both.to_string()), ProfileError::BadArchitecture { .. }));
    let hostile = profile("\u{1b}[2J", &json!([]));
    assert!(!parse(&hostile.to_string()).to_string().contains('\u{1b}'));
    let whole = deny(&json!([])).to_string();
    for end in 0..whole.len() {
        assert!(Filter::parse(&whole.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn names_that_no_table_has_are_compared_by_name() {
    let new = deny(&json!([{"names": ["a_newer_call"], "action": "SCMP_ACT_ALLOW"}]));
    let found = of(&deny(&json!([])), &new);
    assert_eq!(lines(&found)[0], "+ a_newer_call: ENOSYS -> allowed");
    assert!(found.notes.iter().any(|note| note.shown().contains("a_newer_call")), "{:?}", found.notes);
    assert_eq!(of(&new, &new).changes, []);
}

#[test]
fn more_conditions_than_can_be_compared_are_refused_by_name() {
    let caps: Vec<String> = (0..20).map(|at| format!("CAP_{at}")).collect();
    let rules: Vec<Value> = caps
        .iter()
        .map(|cap| json!({"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": [cap]}}))
        .collect();
    let many = deny(&Value::Array(rules));
    let error = diff(&subject(&many), &subject(&deny(&json!([]))), "0.0.0").expect_err("2^20 cases");
    assert_eq!(error, DiffError::TooManyCircumstances { name: "bpf".into() });
}

/// Docker's own profile: `RINGFENCE_TEST_DATA` is a folder with `moby/default-seccomp.json`.
fn moby() -> Option<Value> {
    let path = PathBuf::from(std::env::var_os("RINGFENCE_TEST_DATA")?).join("moby/default-seccomp.json");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_slice(&bytes).expect("JSON"))
}

#[test]
fn dockers_default_profile_is_read_and_compared() {
    let Some(docker) = moby() else {
        println!("skipped: RINGFENCE_TEST_DATA is not set");
        return;
    };
    assert_eq!(of(&docker, &docker).changes, []);

    // Every rule for every name of its own, from the last to the first.
    let mut split = docker.clone();
    let rules: Vec<Value> = docker["syscalls"]
        .as_array()
        .expect("rules")
        .iter()
        .flat_map(|rule| {
            rule["names"].as_array().expect("names").iter().map(|name| {
                let mut one = rule.clone();
                one["names"] = json!([name]);
                one
            })
        })
        .rev()
        .collect();
    split["syscalls"] = Value::Array(rules);
    assert_eq!(of(&docker, &split).changes, []);

    let mut more = docker.clone();
    more["syscalls"].as_array_mut().expect("rules").push(json!({"names": ["mount"], "action": "SCMP_ACT_ALLOW"}));
    let found = of(&docker, &more);
    assert_eq!(
        lines(&found)[..1],
        ["+ mount (x86_64, x86, x32, aarch64, arm), without CAP_SYS_ADMIN: EPERM -> allowed"]
    );
    assert_eq!(found.changes.len(), 1);
}

fn rule() -> impl Strategy<Value = Value> {
    let names = prop::sample::subsequence(vec!["read", "write", "clone", "socket", "mount", "a_newer_call"], 1..4);
    let action = prop::sample::select(vec!["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"]);
    let operator = prop::sample::select(vec!["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]);
    let arg = (0..3_u64, 0..20_u64, 0..20_u64, operator).prop_map(
        |(index, value, two, op)| json!({"index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}")}),
    );
    let only = prop::sample::select(vec![json!({}), json!({"caps": ["CAP_A"]}), json!({"minKernel": "5.1"})]);
    (names, action, prop::collection::vec(arg, 0..3), only).prop_map(
        |(names, action, args, only)| json!({"names": names, "action": action, "args": args, "includes": only}),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn layout_makes_no_difference_and_a_difference_turns_round(
        rules in prop::collection::vec(rule(), 0..6),
        others in prop::collection::vec(rule(), 0..6),
    ) {
        let one = deny(&Value::Array(rules.clone()));
        prop_assert_eq!(of(&one, &one).changes, []);
        let split: Vec<Value> = rules
            .iter()
            .rev()
            .flat_map(|rule| rule["names"].as_array().expect("names").iter().map(|name| {
                let mut rule = rule.clone();
                rule["names"] = json!([name]);
                rule
            }))
            .collect();
        prop_assert_eq!(of(&one, &deny(&Value::Array(split))).changes, []);

        let other = deny(&Value::Array(others));
        let (there, back) = (of(&one, &other), of(&other, &one));
        prop_assert_eq!(there.changes.len(), back.changes.len());
        prop_assert_eq!(there.has(Direction::Added), back.has(Direction::Removed));
        prop_assert_eq!(there.has(Direction::Changed), back.has(Direction::Changed));
        prop_assert_eq!(&serde_json::from_str::<Diff>(&there.to_json()).expect("its own form"), &there);
        for width in [40, 80] {
            let page = diff_table(&there, &TableOptions { width, colour: false, all: true });
            prop_assert!(page.lines().all(|line| report::width(line) <= width), "{}", page);
        }
    }
}

#[test]
fn the_schema_of_differences_that_is_checked_in_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/diff-1.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, Diff::schema()).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(Diff::schema() == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}
