//! An event as it waits in memory: a subject that owns what it says.

use event::{Payload, ProcessId, Text};
use rules::{Container, Parent, Process, Subject, When};

use crate::Cost;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) when: When,
    pub(crate) name: Text,
    pub(crate) id: ProcessId,
    pub(crate) tid: u32,
    pub(crate) executable: Option<Text>,
    pub(crate) parent: Option<(u32, Option<Text>)>,
    pub(crate) payload: Payload,
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
        Noted {
            when: subject.event,
            name: process.name.clone(),
            id: ProcessId { pid: process.pid, start_ns: process.start },
            tid: process.tid,
            executable: process.executable.cloned(),
            parent: process.parent.map(|parent| (parent.pid, parent.executable.cloned())),
            payload: subject.payload.clone(),
        }
    }

    /// The same again, of a container that is called so.
    pub(crate) fn subject<'n>(&'n self, names: &'n Names) -> Subject<'n> {
        Subject {
            event: self.when,
            container: names.container(),
            process: Process {
                name: &self.name,
                pid: self.id.pid,
                tid: self.tid,
                executable: self.executable.as_ref(),
                start: self.id.start_ns,
                parent: self
                    .parent
                    .as_ref()
                    .map(|(pid, executable)| Parent { pid: *pid, executable: executable.as_ref() }),
            },
            payload: &self.payload,
        }
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
        size_of::<Noted>() + 64 + heap(&self.name) + self.executable.as_ref().map_or(0, heap) + of_parent
            + of_payload(&self.payload)
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
        Payload::Exec(it) => {
            all([&it.executable, &it.argument, &it.interpreter, &it.cwd]) + all(&it.argv)
        }
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
        Payload::Dns(it) => {
            all([&it.name, &it.record_type, &it.server]) + all(&it.addresses) + all(&it.aliases)
        }
        Payload::Tls(it) => all([&it.address, &it.server_name]) + all(&it.protocols),
        Payload::Privileged(it) => {
            all([&it.object, &it.source, &it.type_name, &it.target_comm]) + all(&it.details)
        }
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
