//! Conditions: a user types them, and later rule files of others bring them.

use event::{Event, Exec, ExecId, Payload, Phase, ProcessId, RunId, TaskId, Text};
use rules::{Condition, Container, MAX_BYTES, Subject};

use crate::laws::assert_harmless;

/// What is refused says where and why without harm; what is read means the same with blanks, parentheses and two `not`
/// around it, and the opposite with one; and it can be asked about any event.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => {
            let shown = error.to_string();
            assert_harmless(&shown, "\n");
            assert_eq!(shown.lines().count(), 3, "{shown:?}");
            assert!(text.get(error.span()).is_some(), "{:?} is no part of {text:?}", error.span());
            return;
        }
    };
    assert!(!condition.fields().is_empty(), "{text:?} names nothing");
    for event in [exec(bytes), exec(b"/bin/sh")] {
        let subject =
            Subject { container: Container { name: Some("web"), ..Container::default() }, ..Subject::new(&event, 1) };
        let holds = condition.matches(&subject);
        for (around, expected) in [
            (format!(" \n{text}\t"), holds),
            (format!("({text})"), holds),
            (format!("not not ({text})"), holds),
            (format!("not ({text})"), !holds),
            (format!("({text}) and not ({text})"), false),
            (format!("({text}) or not ({text})"), true),
        ] {
            // One parenthesis more, or a few bytes, may be one too many.
            if let Ok(condition) = Condition::parse(&around) {
                assert_eq!(condition.matches(&subject), expected, "{around:?}");
            } else {
                assert!(text.contains('(') || text.len() * 2 + 32 > MAX_BYTES, "{around:?} is refused");
            }
        }
    }
}

fn exec(bytes: &[u8]) -> Event {
    let process = ProcessId { pid: 2, start_ns: 1 };
    let payload = Payload::Exec(Exec {
        executable: Text::new(bytes),
        argument: Text::new(bytes),
        interpreter: Text::default(),
        cwd: Text::new(bytes),
        argv: bytes.split(|&byte| byte == b' ').take(64).map(Text::new).collect(),
        argv_truncated: false,
        path_truncated: true,
        parent: process,
        pid_inside: 1,
        uid: 0,
        gid: 0,
        uid_inside: None,
        gid_inside: Some(1),
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: 3,
    });
    Event {
        boot_ns: 5,
        run: RunId { slot: 1, generation: 0 },
        phase: Phase::Main,
        task: TaskId { image: ExecId { process, exec: 1 }, tid: 2, comm: "sh".into() },
        payload,
    }
}
