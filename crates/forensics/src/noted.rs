//! An event as it waits in memory: a subject that owns what it says.

use event::{Event, ExecId, Payload, ProcessId, RunId, TaskId, Text};
use rules::{Container, Parent, Subject, When};

use crate::Cost;

/// One event, with what was known of its process.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) when: When,
    pub(crate) id: ProcessId,
    pub(crate) executable: Option<Text>,
    pub(crate) parent: Option<(u32, Option<Text>)>,
    /// Without the numbers of its run and of its program, which a subject does not tell.
    pub(crate) event: Event,
}

/// What a container is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) engine: Option<String>,
}

impl Noted {
    pub(crate) fn of(subject: &Subject<'_>) -> Noted {
        let process = &subject.process;
        let id = ProcessId { pid: process.pid, start_ns: process.start };
        Noted {
            when: subject.event,
            id,
            executable: process.executable.cloned(),
            parent: process.parent.map(|parent| (parent.pid, parent.executable.cloned())),
            event: Event {
                boot_ns: subject.event.time,
                run: RunId { slot: 0, generation: 0 },
                phase: subject.event.phase,
                task: TaskId { image: ExecId { process: id, exec: 0 }, tid: process.tid, comm: process.name.clone() },
                payload: subject.payload.clone(),
            },
        }
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.event.payload
    }

    pub(crate) fn name(&self) -> &Text {
        &self.event.task.comm
    }

    /// The same again, of a container that is called so.
    pub(crate) fn subject<'n>(&'n self, names: &'n Names) -> Subject<'n> {
        let mut subject = Subject::new(&self.event, self.when.wall_time);
        subject.container = names.container();
        subject.process.executable = self.executable.as_ref();
        subject.process.parent =
            self.parent.as_ref().map(|(pid, executable)| Parent { pid: *pid, executable: executable.as_ref() });
        subject
    }
}

impl Names {
    pub(crate) fn of(container: &Container<'_>) -> Names {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Names {
            name: owned(container.name),
            id: owned(container.id),
            image: owned(container.image),
            engine: owned(container.engine),
        }
    }

    /// Whether it is the same, without making one.
    pub(crate) fn is(&self, container: &Container<'_>) -> bool {
        let mine = self.container();
        (mine.name, mine.id) == (container.name, container.id)
            && (mine.image, mine.engine) == (container.image, container.engine)
    }

    fn container(&self) -> Container<'_> {
        Container {
            name: self.name.as_deref(),
            id: self.id.as_deref(),
            image: self.image.as_deref(),
            engine: self.engine.as_deref(),
        }
    }
}

impl Cost for Noted {
    fn bytes(&self) -> usize {
        let of_parent = self.parent.as_ref().and_then(|(_, executable)| executable.as_ref()).map_or(0, heap);
        // The ring's own entry and the count of its owners come on top.
        size_of::<Noted>()
            + 64
            + heap(self.name())
            + self.executable.as_ref().map_or(0, heap)
            + of_parent
            + of_payload(self.payload())
    }
}

/// What a text has outside of itself.
fn heap(text: &Text) -> usize {
    if text.as_bytes().len() > 16 { text.as_bytes().len() } else { 0 }
}

fn all<'t>(texts: impl IntoIterator<Item = &'t Text>) -> usize {
    texts.into_iter().map(|text| size_of::<Text>() + text.as_bytes().len()).sum()
}

/// What a payload has outside of itself. Those that are not named have a few short texts at most.
fn of_payload(payload: &Payload) -> usize {
    const SHORT_TEXTS: usize = 256;
    match payload {
        Payload::Exec(it) => all([&it.executable, &it.argument, &it.interpreter, &it.cwd]) + all(&it.argv),
        Payload::File(it) => all([&it.path, &it.argument]),
        Payload::Name(it) => all([&it.path, &it.second_path]),
        Payload::Directory(it) => heap(&it.path),
        Payload::Mount(it) => {
            all([&it.point, &it.root, &it.fs_type, &it.source]) + all(&it.host_path) + all(&it.layers)
        }
        Payload::ContainerCreated(it) => heap(&it.path),
        Payload::Listen(it) => heap(&it.address),
        Payload::Flow(it) => all([&it.address, &it.local_address]) + it.ends.len() * size_of::<u32>(),
        Payload::Peer(it) => all([&it.address, &it.address_there]),
        Payload::Dns(it) => all([&it.name, &it.record_type, &it.server]) + all(&it.addresses) + all(&it.aliases),
        Payload::Tls(it) => all([&it.address, &it.server_name]) + all(&it.protocols),
        Payload::Privileged(it) => all([&it.object, &it.source, &it.type_name, &it.target_comm]) + all(&it.details),
        Payload::Image(it) => all(&it.environment) + it.standard.len() * 16,
        Payload::Action(it) => {
            let of_address = it.address.as_ref().map_or(0, |end| heap(&end.address));
            all([&it.path, &it.second_path]) + it.file.as_ref().map_or(0, |file| heap(&file.path) + 128) + of_address
        }
        Payload::TerminalText(it) => heap(&it.text),
        Payload::Fork(_) | Payload::Exit(_) | Payload::ContainerStarted(_) | Payload::ContainerEnded(_) => 0,
        _ => SHORT_TEXTS,
    }
}
