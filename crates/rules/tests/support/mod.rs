//! Events with everything around them, put together by hand.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use event::{
    Action, Arch, Capability, CapabilitySet, Descriptor, Device, Endpoint, Event, Exec, ExecId, FileType, Ids,
    ImageFacts, Payload, Phase, ProcessId, Protocol, Rights, RunId, SocketEnds, SocketFamily, Syscall, SyscallNames,
    TaskId, Text,
};
use rules::{Container, ContainerFacts, ContainerMount, Context, Names, Options, Relative, RuleSet, Subject};

/// `AT_FDCWD`, as a register has it.
pub(crate) const AT_FDCWD: u64 = -100_i64 as u64;
pub(crate) const O_WRONLY: u32 = 1;
pub(crate) const O_RDWR: u32 = 2;
pub(crate) const O_CREAT: u32 = 0o100;
pub(crate) const O_TRUNC: u32 = 0o1000;

/// The folder with the public rule files; none if the machine has none.
pub(crate) fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("RINGFENCE_TEST_DATA") else {
        println!("skipped: RINGFENCE_TEST_DATA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("falco-rules"))
}

/// Public rule files by name.
pub(crate) fn public(names: &[&str]) -> Option<Vec<(String, String)>> {
    let folder = folder()?;
    let read = |name: &&str| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        ((*name).to_owned(), text)
    };
    Some(names.iter().map(read).collect())
}

/// Rules of a text alone; nothing may be wrong with it.
pub(crate) fn rules(text: &str) -> RuleSet {
    let (set, problems) = RuleSet::load(&[("rules.yaml".into(), text.into())], &Options::default());
    let wrong: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    set
}

/// An ancestor.
#[derive(Clone, Debug)]
pub(crate) struct Ancestor {
    pub(crate) name: Text,
    pub(crate) argv: Vec<Text>,
    pub(crate) executable: Text,
}

/// Names as a container has them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) users: BTreeMap<u32, Vec<u8>>,
    pub(crate) hosts: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Names for Known {
    fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&uid).map(Vec::as_slice)
    }

    fn group(&self, gid: u32) -> Option<&[u8]> {
        (gid == 0).then_some(b"root")
    }

    fn hosts(&self, address: &[u8], visit: &mut dyn FnMut(&[u8])) {
        self.hosts.iter().filter(|(known, _)| known == address).for_each(|(_, name)| visit(name));
    }
}

/// An event and what is around it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) event: Event,
    pub(crate) exec: Exec,
    pub(crate) image: ImageFacts,
    pub(crate) ancestors: Vec<Ancestor>,
    pub(crate) names: Known,
    pub(crate) container_image: String,
    pub(crate) privileged: bool,
    pub(crate) mounts: Vec<ContainerMount>,
    pub(crate) labels: BTreeMap<String, String>,
}

pub(crate) fn texts(words: &[&str]) -> Vec<Text> {
    words.iter().map(|&word| Text::from(word)).collect()
}

pub(crate) fn end(address: &str, port: u32) -> Endpoint {
    Endpoint { address: address.into(), port }
}

pub(crate) fn capabilities(names: &[&str]) -> CapabilitySet {
    let mut set = CapabilitySet::default();
    for name in names {
        set.insert(name.parse::<Capability>().expect("a capability"));
    }
    set
}

fn command(words: &str) -> Vec<Text> {
    words.split_whitespace().map(Text::from).collect()
}

fn base(words: &str) -> &str {
    let first = words.split_whitespace().next().unwrap_or_default();
    first.rsplit('/').next().unwrap_or(first)
}

impl Scene {
    /// A program that begins: its arguments, separated by blanks.
    pub(crate) fn exec(words: &str) -> Scene {
        let mut scene = Scene::new(words);
        scene.event.payload = Payload::Exec(scene.exec.clone());
        scene
    }

    /// A system call of a program.
    pub(crate) fn call(words: &str, call: &str) -> Scene {
        let mut scene = Scene::new(words);
        let number = SyscallNames::builtin().number(Arch::X86_64, call).unwrap_or_else(|| panic!("no call {call}"));
        scene.event.payload = Payload::Action(Action {
            syscall: Syscall { arch: Arch::X86_64, number },
            args: [0; 6],
            result: 0,
            file: None,
            open_flags: None,
            path: Text::default(),
            second_path: Text::default(),
            path_truncated: false,
            address: None,
            rights: scene.image.rights,
        });
        scene
    }

    /// A file that is opened.
    pub(crate) fn open(words: &str, path: &str, flags: u32) -> Scene {
        Scene::call(words, "openat").with(|action| {
            action.args = [AT_FDCWD, 0, flags.into(), 0o644, 0, 0];
            action.open_flags = Some(flags);
            action.path = path.into();
            action.result = 3;
            action.file = Some(file(3, path));
        })
    }

    /// A connection over TCP that is made.
    pub(crate) fn connect(words: &str, address: &str, port: u32) -> Scene {
        Scene::call(words, "connect").with(|action| {
            action.address = Some(end(address, port));
            action.file = Some(socket(5, Protocol::Tcp, Some(end("172.17.0.2", 40_000)), None));
        })
    }

    fn new(words: &str) -> Scene {
        let process = ProcessId { pid: 4711, start_ns: 90_000_000_000 };
        let rights = Rights {
            ids: Ids { uid: 1000, euid: 1000, suid: 1000, gid: 1000, egid: 1000, sgid: 1000 },
            ..Rights::default()
        };
        let mut comm = base(words).to_owned();
        comm.truncate(15);
        Scene {
            event: Event {
                boot_ns: 100_000_000_000,
                run: RunId { slot: 1, generation: 0 },
                phase: Phase::Main,
                task: TaskId { image: ExecId { process, exec: 2 }, tid: 4711, comm: comm.as_str().into() },
                payload: Payload::ContainerEnded(event::ContainerEnded {}),
            },
            exec: Exec {
                executable: format!("/usr/bin/{}", base(words)).as_str().into(),
                argument: words.split_whitespace().next().unwrap_or_default().into(),
                interpreter: Text::default(),
                cwd: "/home/app".into(),
                argv: command(words),
                argv_truncated: false,
                path_truncated: false,
                parent: ProcessId { pid: 4700, start_ns: 1 },
                pid_inside: 7,
                uid: 1000,
                gid: 1000,
                uid_inside: Some(1000),
                gid_inside: Some(1000),
                user_namespace: 1,
                pid_namespace: 2,
                mount_namespace: 3,
            },
            image: ImageFacts {
                rights,
                login_uid: None,
                terminal: None,
                session: 1,
                process_group: 1,
                process_group_outside: 4700,
                from_memory: false,
                deleted: false,
                upper_layer: false,
                inode: 77,
                changed_ns: 5,
                modified_ns: 5,
                standard: Vec::new(),
                environment: Vec::new(),
            },
            ancestors: Vec::new(),
            names: Known::default(),
            container_image: "registry.example:5000/shop/web:1.2".into(),
            privileged: false,
            mounts: Vec::new(),
            labels: BTreeMap::new(),
        }
        .below("node server.js")
        .below("containerd-shim -namespace moby")
    }

    /// Adds an ancestor above those that there are.
    #[must_use]
    pub(crate) fn below(mut self, words: &str) -> Scene {
        let mut name = base(words).to_owned();
        name.truncate(15);
        let executable = format!("/usr/bin/{}", base(words));
        self.ancestors.push(Ancestor {
            name: name.as_str().into(),
            argv: command(words),
            executable: executable.as_str().into(),
        });
        self
    }

    /// With these ancestors alone, the parent first.
    #[must_use]
    pub(crate) fn only_below(mut self, all: &[&str]) -> Scene {
        self.ancestors.clear();
        all.iter().fold(self, |scene, words| scene.below(words))
    }

    /// Changes the system call.
    #[must_use]
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Action)) -> Scene {
        let Payload::Action(action) = &mut self.event.payload else { panic!("no action") };
        change(action);
        self
    }

    /// Changes what the program was when it began.
    #[must_use]
    pub(crate) fn image(mut self, change: impl FnOnce(&mut ImageFacts)) -> Scene {
        change(&mut self.image);
        self
    }

    /// Changes the exec.
    #[must_use]
    pub(crate) fn program(mut self, change: impl FnOnce(&mut Exec)) -> Scene {
        change(&mut self.exec);
        if let Payload::Exec(exec) = &mut self.event.payload {
            *exec = self.exec.clone();
        }
        self
    }

    /// Changes anything.
    #[must_use]
    pub(crate) fn change(mut self, change: impl FnOnce(&mut Scene)) -> Scene {
        change(&mut self);
        self
    }

    /// With these capabilities, effective and permitted.
    #[must_use]
    pub(crate) fn capable(mut self, names: &[&str]) -> Scene {
        let set = capabilities(names);
        let give = |rights: &mut Rights| (rights.effective, rights.permitted) = (set, set);
        give(&mut self.image.rights);
        if let Payload::Action(action) = &mut self.event.payload {
            give(&mut action.rights);
        }
        self
    }

    /// As this user.
    #[must_use]
    pub(crate) fn user(mut self, uid: u32, name: &str) -> Scene {
        self.names.users.insert(uid, name.into());
        let give = |rights: &mut Rights| (rights.ids.uid, rights.ids.euid) = (uid, uid);
        give(&mut self.image.rights);
        if let Payload::Action(action) = &mut self.event.payload {
            give(&mut action.rights);
        }
        self
    }

    /// On a terminal.
    #[must_use]
    pub(crate) fn on_terminal(self) -> Scene {
        self.image(|image| image.terminal = Some(Device { major: 136, minor: 2 }))
    }

    /// Asks with what is known of it.
    pub(crate) fn ask<T>(&self, then: impl FnOnce(&Subject<'_>) -> T) -> T {
        let relative = |(level, it): (usize, &Ancestor)| Relative {
            name: Box::leak(Box::new(it.name.clone())),
            executable: Some(Box::leak(Box::new(it.executable.clone()))),
            argv: Box::leak(it.argv.clone().into_boxed_slice()),
            pid: 4700 - level as u32,
            pid_inside: Some(1),
            start_ns: 1_000_000_000,
        };
        let lineage: Vec<Relative<'_>> = self.ancestors.iter().enumerate().map(relative).collect();
        let mut subject = Subject::new(&self.event, 1_767_323_045_000_000_000);
        subject.container = Container {
            name: Some("web"),
            id: Some("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            image: Some(&self.container_image),
            engine: Some("docker"),
        };
        subject.context = Context {
            number: 1,
            image: Some(&self.image),
            exec: Some(&self.exec),
            lineage: Some(&lineage),
            container: ContainerFacts {
                privileged: Some(self.privileged),
                mounts: Some(&self.mounts),
                labels: Some(&self.labels),
                start: Some(1_767_323_000_000_000_000),
                ..ContainerFacts::default()
            },
            names: Some(&self.names),
            hostname: Some("node-1"),
        };
        then(&subject)
    }

    /// The names of the rules that match, in their order.
    pub(crate) fn matching(&self, set: &RuleSet) -> Vec<String> {
        self.ask(|subject| set.matching(subject).map(|rule| rule.name().to_owned()).collect())
    }
}

/// A regular file that is open.
pub(crate) fn file(number: i32, path: &str) -> Descriptor {
    Descriptor {
        number,
        file_type: FileType::Regular,
        path: path.into(),
        path_truncated: false,
        upper_layer: false,
        socket: None,
    }
}

/// A socket that is open.
pub(crate) fn socket(number: i32, protocol: Protocol, local: Option<Endpoint>, remote: Option<Endpoint>) -> Descriptor {
    let family = if protocol.is_unix() { SocketFamily(1) } else { SocketFamily(2) };
    Descriptor {
        number,
        file_type: FileType::Socket,
        path: Text::default(),
        path_truncated: false,
        upper_layer: false,
        socket: Some(SocketEnds { family, protocol, local, remote, direction: None }),
    }
}
