//! Recommendations: somebody else may have written or damaged them before they are proved.

use recommend::{Beside, Missing, MissingPermission, Profile, Recommendation, Target, table};
use report::TableOptions;

use crate::laws::assert_harmless;

/// What is read is written and shown without harm, and its profile neither lets everything through nor nothing.
pub fn check(bytes: &[u8]) {
    let recommendation = match Recommendation::parse(bytes) {
        Ok(recommendation) => recommendation,
        Err(error) => return assert_harmless(&error.to_string(), ""),
    };

    let json = recommendation.to_json();
    assert_harmless(&json, "\n");
    assert_eq!(Recommendation::parse(json.as_bytes()).expect("our own can be read"), recommendation);
    assert_harmless(&table(&recommendation, &TableOptions { width: 80, colour: false, all: true }), "\n");

    let profile = Profile::new(&recommendation.seccomp);
    assert_eq!(profile.default_action, "SCMP_ACT_ERRNO", "what no rule is about is let through");
    let lets_through = |name: &str| {
        let allows = profile.syscalls.iter().filter(|rule| rule.action == "SCMP_ACT_ALLOW");
        allows.flat_map(|rule| &rule.names).any(|one| one == name)
    };
    assert!(lets_through("execve") || lets_through("execveat"), "nothing could be started");
    let beside = Beside { profile: Some("/p.json"), config: Some(r#"{"root":{},"process":{}}"#) };
    for target in Target::ALL {
        match target.write(&recommendation, &profile, &beside) {
            Ok(output) => assert_harmless(&output.text, "\n"),
            Err(error) => assert_harmless(&error.to_string(), ""),
        }
    }

    let what = MissingPermission::Call("getpid".to_owned());
    let missing = [Missing { what, starts: 1, program: "/bin/x".into() }];
    let more = recommendation.with(&missing);
    assert!(more.seccomp.allows("getpid"), "what was added is not allowed");
    assert_eq!(more.with(&missing), more, "what was added twice");
}
