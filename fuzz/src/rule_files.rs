//! Rule files: others write them, and users change them.

use event::{
    Action, Arch, Descriptor, Endpoint, Event, Exec, ExecId, FileType, ImageFacts, Payload, Phase, ProcessId, Protocol,
    Rights, RunId, SocketEnds, SocketFamily, Syscall, TaskId, Text,
};
use rules::{Context, Options, Relative, RuleCheck, RuleSet, Status, Subject};

use crate::laws::assert_harmless;

/// Whatever the file is, loading it ends, and says what is wrong without harm; the same file says the same; a rule that matches an
/// event is one that the event wakes, and is among those that match when only the first is asked for; what it says is safe on a
/// terminal.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files = [("fuzz.yaml".to_owned(), text.to_owned())];
    let (set, problems) = RuleSet::load(&files, &Options::default());
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for problem in &shown {
        assert_harmless(problem, "\n");
        assert!(problem.lines().count() == 1 || problem.lines().count() == 3, "{problem:?}");
    }
    let (first, again) = RuleSet::load(&files, &Options { first_match_only: true, ..Options::default() });
    assert_eq!(shown, again.iter().map(ToString::to_string).collect::<Vec<_>>());
    for rule in set.rules() {
        assert!(rule.line() > 0, "{:?} is nowhere", rule.name());
        let _ = set.condition(rule);
        let _ = set.fields(rule);
    }
    for event in [exec(bytes), open(bytes), connect()] {
        ask(&event, bytes, &set, &first);
    }
    let check = RuleCheck::new(&files, &set, problems);
    let counted: usize = check.files.iter().map(|file| file.active + file.disabled + file.inactive).sum();
    assert_eq!(counted, set.rules().len());
    let _ = check.to_json();
}

fn ask(event: &Event, bytes: &[u8], set: &RuleSet, first: &RuleSet) {
    let name = Text::new(bytes);
    let argv = [name.clone(), Text::from("-c")];
    let lineage =
        vec![Relative { name: &name, executable: Some(&name), argv: &argv, pid: 1, pid_inside: Some(1), start_ns: 1 }];
    let image = image();
    let mut subject = Subject::new(event, 1);
    subject.context = Context { number: 1, image: Some(&image), lineage: Some(&lineage), ..Context::default() };
    let matching: Vec<_> = set.matching(&subject).collect();
    for rule in &matching {
        assert_eq!(*rule.status(), Status::Active, "{:?} is asked", rule.name());
        let is_known = event.payload.kind() == "action" || rule.kinds().contains(&event.payload.kind());
        assert!(is_known, "{:?} is woken by {} and does not say so", rule.name(), event.payload.kind());
        assert_harmless(&rule.output(&subject), "");
        for part in rule.parts(&subject) {
            assert_harmless(&part.value.unwrap_or_default(), "");
        }
    }
    let only: Vec<&str> = first.matching(&subject).map(|rule| rule.name()).collect();
    let expected: Vec<&str> = matching.iter().take(1).map(|rule| rule.name()).collect();
    assert_eq!(only, expected);
    assert!(matching.is_empty() || set.wakes(&event.payload));
}

fn event(payload: Payload) -> Event {
    let process = ProcessId { pid: 2, start_ns: 1 };
    Event {
        boot_ns: 5,
        run: RunId { slot: 1, generation: 0 },
        phase: Phase::Main,
        task: TaskId { image: ExecId { process, exec: 1 }, tid: 2, comm: "sh".into() },
        payload,
    }
}

fn exec(bytes: &[u8]) -> Event {
    event(Payload::Exec(Exec {
        executable: Text::new(bytes),
        argument: Text::new(bytes),
        interpreter: Text::default(),
        cwd: Text::new(bytes),
        argv: bytes.split(|&byte| byte == b' ').take(16).map(Text::new).collect(),
        argv_truncated: false,
        path_truncated: true,
        parent: ProcessId { pid: 1, start_ns: 1 },
        pid_inside: 1,
        uid: 0,
        gid: 0,
        uid_inside: None,
        gid_inside: Some(1),
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: 3,
    }))
}

fn image() -> ImageFacts {
    ImageFacts {
        rights: Rights::default(),
        login_uid: None,
        terminal: None,
        session: 1,
        process_group: 1,
        process_group_outside: 1,
        from_memory: true,
        deleted: false,
        upper_layer: true,
        inode: 1,
        changed_ns: 2,
        modified_ns: 3,
        standard: Vec::new(),
        environment: vec![Text::from("A=b")],
    }
}

fn action(number: u32) -> Action {
    Action {
        syscall: Syscall { arch: Arch::X86_64, number },
        args: [0; 6],
        result: 3,
        file: None,
        open_flags: None,
        path: Text::default(),
        second_path: Text::default(),
        path_truncated: false,
        address: None,
        rights: Rights::default(),
    }
}

fn descriptor(file_type: FileType, path: Text) -> Descriptor {
    Descriptor { number: 3, file_type, path, path_truncated: false, upper_layer: false, socket: None }
}

/// `openat`.
fn open(bytes: &[u8]) -> Event {
    let path = Text::new(bytes);
    event(Payload::Action(Action {
        open_flags: Some(0o101),
        file: Some(descriptor(FileType::Regular, path.clone())),
        path,
        ..action(257)
    }))
}

fn connect() -> Event {
    let end = |address: &str| Some(Endpoint { address: address.into(), port: 80 });
    let socket = SocketEnds {
        family: SocketFamily(10),
        protocol: Protocol::Tcp,
        local: end("::1"),
        remote: None,
        direction: None,
    };
    event(Payload::Action(Action {
        address: end("::ffff:10.0.0.1"),
        file: Some(Descriptor { socket: Some(socket), ..descriptor(FileType::Socket, Text::default()) }),
        ..action(42)
    }))
}
