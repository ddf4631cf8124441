//! What filters decide, beside what the filter decides that libseccomp makes of the same profile.
//!
//! `libseccomp.py` does with libseccomp (package `python3-seccomp`) what runc does, and runs the program that comes out.

use std::io::Write as _;
use std::process::{Command, Stdio};

use event::{Arch, SyscallNames};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use recommend::{Decision, Filter};

const CALLS: [&str; 8] =
    ["read", "clone", "socket", "accept", "socketcall", "semop", "personality", "a_call_that_no_table_has"];
const VALUES: [u64; 8] = [0, 1, 5, 7, 0x7e02_0000, 0xffff_ffff, 0x1_0000_0001, u64::MAX];
const PROFILES: usize = 400;

/// A Python that has libseccomp's module.
fn python() -> Option<&'static str> {
    let has_it = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import seccomp"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_it)
}

fn action() -> impl Strategy<Value = (&'static str, Option<u32>)> {
    prop_oneof![
        Just(("SCMP_ACT_ALLOW", None)),
        Just(("SCMP_ACT_ERRNO", None)),
        Just(("SCMP_ACT_ERRNO", Some(38))),
        Just(("SCMP_ACT_KILL", None)),
        Just(("SCMP_ACT_LOG", None)),
    ]
}

fn argument() -> impl Strategy<Value = Value> {
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let value = || prop::sample::select(VALUES.to_vec());
    (0..3_u64, value(), value(), prop::sample::select(operators.to_vec())).prop_map(
        |(index, value, two, operator)| json!({"index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{operator}")}),
    )
}

fn profile() -> impl Strategy<Value = Value> {
    let rule = (
        prop::sample::subsequence(CALLS.to_vec(), 1..4),
        action(),
        prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(argument(), 1..3)],
    )
        .prop_map(
            |(names, (action, errno), args)| json!({"names": names, "action": action, "errnoRet": errno, "args": args}),
        );
    let tables = prop::sample::subsequence(vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], 1..=3);
    (action(), tables, prop::collection::vec(rule, 0..5)).prop_map(|((default, errno), tables, mut rules)| {
        rules.push(json!({"names": ["exit"], "action": "SCMP_ACT_ALLOW"}));
        json!({"defaultAction": default, "defaultErrnoRet": errno, "architectures": tables, "syscalls": rules})
    })
}

/// What a filter returns for a decision (`include/uapi/linux/seccomp.h` of Linux).
fn returned(decision: Decision) -> u64 {
    match decision {
        Decision::KillProcess => 0x8000_0000,
        Decision::KillThread => 0,
        Decision::Trap => 0x0003_0000,
        Decision::Errno(errno) => 0x0005_0000 | u64::from(errno),
        Decision::Notify => 0x7fc0_0000,
        Decision::Trace(message) => 0x7ff0_0000 | u64::from(message),
        Decision::Log => 0x7ffc_0000,
        Decision::Allow => 0x7fff_0000,
    }
}

#[test]
fn every_decision_is_the_one_of_the_filter_that_libseccomp_makes() {
    let Some(python) = python().filter(|_| Arch::NATIVE == Arch::X86_64) else {
        println!("skipped: no python3-seccomp, or not on x86_64");
        return;
    };
    let mut runner = TestRunner::deterministic();
    let mut draw = |most: usize| (0..most).prop_map(|at| at).new_tree(&mut runner).expect("a number").current();
    let arguments: Vec<[u64; 6]> = (0..60)
        .map(|_| {
            let mut one = || VALUES[draw(VALUES.len())].wrapping_add([0, 1, u64::MAX][draw(3)]);
            [one(), one(), one(), 0, 0, 0]
        })
        .collect();
    let mut runner = TestRunner::deterministic();
    let profiles: Vec<Value> =
        (0..PROFILES).map(|_| profile().new_tree(&mut runner).expect("a profile").current()).collect();
    let question = json!({"profiles": profiles, "calls": calls(), "arguments": arguments});
    let mut child = Command::new(python)
        .args(["-c", include_str!("libseccomp.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    child.stdin.take().expect("a pipe").write_all(question.to_string().as_bytes()).expect("written");
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "{output:?}");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("answers");

    let (mut compared, mut refused) = (0, 0);
    for (profile, answer) in profiles.iter().zip(&answers) {
        let filter = Filter::parse(profile.to_string().as_bytes()).expect("a profile");
        refused += usize::from(answer.is_null());
        for (at, (arch, _, name)) in calls().into_iter().enumerate() {
            // Which of contradicting rules counts nobody promises; libseccomp refuses some.
            let Some(ours) = filter.decisions(arch, name, &arguments) else { continue };
            if answer.is_null() || orders_among_others(profile, name) {
                continue;
            }
            let theirs = answer[at].as_array().expect("one for each");
            for ((arguments, ours), theirs) in arguments.iter().zip(ours).zip(theirs) {
                let ours = returned(ours);
                assert_eq!(Some(ours), theirs.as_u64(), "{arch} {name} {arguments:x?} of {profile}");
                compared += 1;
            }
        }
    }
    assert!(compared > 100_000 && refused < PROFILES / 4, "{compared} compared, {refused} profiles refused");
}

/// The names that a rule for a call is about on some table: 32-bit x86 makes some calls through others.
fn about(name: &str) -> &'static [&'static str] {
    match name {
        "socket" => &["socket", "socketcall"],
        "accept" => &["accept", "socketcall"],
        "semop" => &["semop", "ipc"],
        "socketcall" => &["socketcall"],
        "read" => &["read"],
        "clone" => &["clone"],
        "personality" => &["personality"],
        _ => &[],
    }
}

/// Whether a comparison by order is one of several on a call: libseccomp 2.5.4 gets some of these wrong. Of `arg0 != 5` and
/// `arg0 > 5` it does not see that 0 is not 5, of `arg0 < 0` and `arg0 < 0x100000001 and arg1 >= 5` nothing is let through.
fn orders_among_others(profile: &Value, name: &str) -> bool {
    let is_about = |rule: &&Value| {
        let names = rule["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.flat_map(about).any(|one| *one == name)
    };
    let rules: Vec<&Value> = profile["syscalls"].as_array().into_iter().flatten().filter(is_about).collect();
    let operators = rules.iter().flat_map(|rule| rule["args"].as_array().into_iter().flatten());
    let operators: Vec<&str> = operators.filter_map(|arg| arg["op"].as_str()).collect();
    let orders = |operator: &str| !["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"].contains(&operator);
    operators.len() > 1 && operators.iter().any(|operator| orders(operator))
}

/// The calls of each table that have a number in it.
fn calls() -> Vec<(Arch, u32, &'static str)> {
    let names = SyscallNames::builtin();
    [Arch::X86_64, Arch::X86, Arch::X32]
        .into_iter()
        .flat_map(|arch| {
            let numbers = CALLS.into_iter().filter_map(|name| Some((arch, names.number(arch, name)?, name)));
            numbers.collect::<Vec<_>>()
        })
        .collect()
}
