//! Events through the rules, on one core and without the kernel: what the rule stage of the pipeline costs by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::rules::{Container, ContainerFacts, Context, Names, Options, Relative, RuleSet, Subject};
use anyhow::{Context as _, Result};
use event::{
    Action, Arch, Descriptor, Endpoint, Event, Exec, ExecId, FileType, Ids, ImageFacts, Payload, Phase, ProcessId,
    Protocol, Rights, RunId, SocketEnds, SocketFamily, Syscall, SyscallNames, TaskId, Text,
};

use super::Settings;
use super::detecting::{NO_RULES, public_rules};
use crate::measure::spread::Spread;
use crate::outcome::{Findings, Table, short};

/// How many events there are that differ.
const EVENTS: usize = 1_024;
/// `AT_FDCWD`, as a register has it.
const AT_FDCWD: u64 = -100_i64 as u64;
/// What has to be reached, in events per second.
const WANTED: f64 = 1e6;

/// Item `rules`.
pub(crate) fn rules(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let what = "events through all public rules, per second";
    let Some(paths) = public_rules() else {
        findings.not_measured(what, NO_RULES);
        return Ok(findings);
    };
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        files.push((path.display().to_string(), text));
    }
    let begun = Instant::now();
    let (set, _) = RuleSet::load(&files, &Options::default());
    let loaded = begun.elapsed();

    let mut table = Table::new(
        "Events per second of CPU time of one thread.",
        ["25th percentile", "median", "highest", "matches of 1,000"],
    );
    let mut mixed = 0.0;
    for (label, kinds) in [
        ("mixed: 1 exec, 5 opens, 2 connections", vec![exec, open, open, connect, open, open, connect, open]),
        ("execs", vec![exec as fn(usize) -> Made]),
        ("opens", vec![open]),
        ("connections", vec![connect]),
    ] {
        let events: Vec<Made> = (0..EVENTS).map(|at| kinds[at % kinds.len()](at)).collect();
        let (spread, matches) = measure(&set, &events, settings)?;
        if mixed == 0.0 {
            mixed = spread.p25;
        }
        table.row(label, [spread.p25, spread.median, spread.max, matches * 1e3]);
    }
    findings.tables.push(table);
    findings.check(what, short(mixed), format!(">= {}", short(WANTED)), mixed >= WANTED);
    findings.notes.push(format!(
        "{} rules are active; reading the files and putting the rules together took {:.0} ms.",
        set.active().count(),
        loaded.as_secs_f64() * 1e3
    ));
    Ok(findings)
}

/// Events per second, and how many matches an event has.
fn measure(set: &RuleSet, events: &[Made], settings: Settings) -> Result<(Spread, f64)> {
    let labels = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
    let lineages: Vec<Vec<Relative<'_>>> = events.iter().map(Made::lineage).collect();
    let subjects: Vec<Subject<'_>> = events
        .iter()
        .zip(&lineages)
        .map(|(made, lineage)| {
            let mut subject = Subject::new(&made.event, 1_767_323_045_000_000_000);
            subject.container = Container {
                name: Some("web"),
                id: Some("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
                image: Some("registry.example:5000/shop/web:1.2"),
                engine: Some("docker"),
            };
            subject.context = Context {
                number: 1,
                image: Some(&made.image),
                exec: Some(&made.exec),
                lineage: Some(lineage),
                container: ContainerFacts {
                    privileged: Some(false),
                    mounts: Some(&[]),
                    labels: Some(&labels),
                    ..ContainerFacts::default()
                },
                names: Some(&Nobody),
                hostname: Some("node"),
            };
            subject
        })
        .collect();
    let rounds = settings.choose(41, 9);
    let at_least = settings.choose(Duration::from_millis(120), Duration::from_millis(30));
    let mut speeds = Vec::new();
    let (mut matches, mut asked) = (0, 0);
    for round in 0..=rounds {
        let begun = on_cpu();
        let mut done = 0;
        while on_cpu() - begun < at_least {
            for subject in &subjects {
                matches += std::hint::black_box(set.matching(std::hint::black_box(subject))).count();
            }
            done += subjects.len();
        }
        // The first only warms up.
        if round > 0 {
            speeds.push(done as f64 / (on_cpu() - begun).as_secs_f64());
        }
        asked += done;
    }
    Ok((Spread::of(&speeds)?, matches as f64 / asked as f64))
}

/// How long this thread was on a CPU: what others do meanwhile is no part of it.
fn on_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// An event, and what is kept of its process.
struct Made {
    event: Event,
    exec: Exec,
    image: ImageFacts,
    ancestors: Vec<(Text, Vec<Text>)>,
}

impl Made {
    fn lineage(&self) -> Vec<Relative<'_>> {
        self.ancestors
            .iter()
            .enumerate()
            .map(|(level, (name, argv))| Relative {
                name,
                executable: argv.first(),
                argv,
                pid: 100 - level as u32,
                pid_inside: Some(1),
                start_ns: 1,
            })
            .collect()
    }
}

/// A container without names of its own.
#[derive(Debug)]
struct Nobody;

impl Names for Nobody {
    fn user(&self, _: u32) -> Option<&[u8]> {
        None
    }

    fn group(&self, _: u32) -> Option<&[u8]> {
        None
    }

    fn hosts(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) {}
}

const PROGRAMS: [&str; 8] = [
    "node server.js --port 8080",
    "python3 /srv/app.py",
    "sh -c 'date; id'",
    "nginx -g daemon_off;",
    "java -Xmx1g -jar /srv/app.jar",
    "curl -s http://api/health",
    "ls -l /srv",
    "redis-server *:6379",
];

fn words(text: &str) -> Vec<Text> {
    text.split(' ').map(Text::from).collect()
}

fn made(at: usize, payload: impl FnOnce(&Exec, &ImageFacts) -> Payload) -> Made {
    let argv = words(PROGRAMS[at % PROGRAMS.len()]);
    let name = argv[0].clone();
    let process = ProcessId { pid: 4711, start_ns: 90_000_000_000 };
    let exec = Exec {
        executable: format!("/usr/bin/{name}").as_str().into(),
        argument: name.clone(),
        interpreter: Text::default(),
        cwd: "/srv".into(),
        argv,
        argv_truncated: false,
        path_truncated: false,
        parent: ProcessId { pid: 100, start_ns: 1 },
        pid_inside: 7,
        uid: 1000,
        gid: 1000,
        uid_inside: Some(1000),
        gid_inside: Some(1000),
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: 3,
    };
    let ids = Ids { uid: 1000, euid: 1000, suid: 1000, gid: 1000, egid: 1000, sgid: 1000 };
    let image = ImageFacts {
        rights: Rights { ids, ..Rights::default() },
        login_uid: None,
        terminal: None,
        session: 1,
        process_group: 1,
        process_group_outside: 100,
        from_memory: false,
        deleted: false,
        upper_layer: false,
        inode: 7,
        changed_ns: 5,
        modified_ns: 5,
        standard: Vec::new(),
        environment: words("PATH=/usr/bin HOME=/root"),
    };
    let ancestors = ["bash", "node server.js", "tini -- node server.js", "containerd-shim -namespace moby"];
    let ancestors = ancestors.iter().map(|argv| (words(argv)[0].clone(), words(argv))).collect();
    let payload = payload(&exec, &image);
    let event = Event {
        boot_ns: 100_000_000_000,
        run: RunId { slot: 1, generation: 0 },
        phase: Phase::Main,
        task: TaskId { image: ExecId { process, exec: 2 }, tid: 4711, comm: name },
        payload,
    };
    Made { event, exec, image, ancestors }
}

fn exec(at: usize) -> Made {
    made(at, |exec, _| Payload::Exec(exec.clone()))
}

fn action(call: &str, rights: Rights) -> Action {
    let number = SyscallNames::builtin().number(Arch::X86_64, call).unwrap_or_default();
    Action {
        syscall: Syscall { arch: Arch::X86_64, number },
        args: [AT_FDCWD, 0, 0, 0, 0, 0],
        result: 0,
        file: None,
        open_flags: None,
        path: Text::default(),
        second_path: Text::default(),
        directory: Text::default(),
        second_directory: Text::default(),
        path_truncated: false,
        address: None,
        rights,
    }
}

fn open(at: usize) -> Made {
    let folder = ["/srv/app/lib", "/usr/lib/x86_64-linux-gnu", "/tmp", "/etc/ssl", "/var/lib/app"][at % 5];
    let path: Text = format!("{folder}/file-{at}").as_str().into();
    // One of three is written, and made if it is not there.
    let flags = if at.is_multiple_of(3) { 0o101 } else { 0 };
    made(at, |_, image| {
        Payload::Action(Action {
            open_flags: Some(flags),
            result: 5,
            path: path.clone(),
            file: Some(Descriptor {
                number: 5,
                file_type: FileType::Regular,
                path,
                path_truncated: false,
                upper_layer: false,
                socket: None,
            }),
            ..action("openat", image.rights)
        })
    })
}

fn connect(at: usize) -> Made {
    let end = |address: String, port| Some(Endpoint { address: address.as_str().into(), port });
    let remote = end(format!("{}.0.{}.{}", [10, 172, 203][at % 3], at / 256, at % 256), [443, 5432, 6379][at % 3]);
    made(at, |_, image| {
        Payload::Action(Action {
            address: remote,
            file: Some(Descriptor {
                number: 5,
                file_type: FileType::Socket,
                path: Text::default(),
                path_truncated: false,
                upper_layer: false,
                socket: Some(SocketEnds {
                    family: SocketFamily(2),
                    protocol: Protocol::Tcp,
                    local: end("172.17.0.2".into(), 40_000),
                    remote: None,
                    direction: None,
                }),
            }),
            ..action("connect", image.rights)
        })
    })
}
