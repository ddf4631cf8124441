//! What the events of a container tell of one process and those close to it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{Errno, Exec, FileAccess, FileType, NameOperation, Payload, ProcessId, Text};
use report::Timestamp;

use crate::noted::Noted;
use crate::{Peer, Relation, Relative, Source, Told};

/// So many names of one peer are listed.
const MAX_NAMES: usize = 8;
/// So many peers are listed.
const MAX_PEERS: usize = 256;
/// So many ancestors are told.
const MAX_ANCESTORS: usize = 64;

/// Who is whose child, and what each ran last.
#[derive(Debug, Default)]
pub(crate) struct Family<'e> {
    parents: BTreeMap<ProcessId, ProcessId>,
    execs: BTreeMap<ProcessId, (&'e Noted, &'e Exec)>,
}

/// A file that is worth keeping, by its path in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: Text,
    pub(crate) process: ProcessId,
    /// Its inode number when it was used; none if that is not known.
    pub(crate) inode: Option<u64>,
}

impl<'e> Family<'e> {
    /// From the events of a container, the oldest first.
    pub(crate) fn of(events: &'e [Arc<Noted>]) -> Family<'e> {
        let mut family = Family::default();
        for event in events {
            match event.payload() {
                Payload::Fork(fork) if fork.child != event.id => {
                    family.parents.insert(fork.child, fork.parent);
                }
                Payload::Exec(exec) => {
                    family.parents.insert(event.id, exec.parent);
                    family.execs.insert(event.id, (event, exec));
                }
                _ => {}
            }
        }
        family
    }

    /// What the last start of a program in this process says.
    pub(crate) fn told(&self, process: ProcessId) -> Option<Told> {
        let (event, exec) = self.execs.get(&process)?;
        Some(Told {
            time: Timestamp::from_unix_ns(event.when.wall_time),
            executable: exec.executable.clone(),
            argument: exec.argument.clone(),
            interpreter: exec.interpreter.clone(),
            argv: exec.argv.clone(),
            argv_truncated: exec.argv_truncated,
            cwd: exec.cwd.clone(),
            uid: exec.uid,
            gid: exec.gid,
            parent: exec.parent,
        })
    }

    /// The process and its ancestors as far as they were seen, the outermost first.
    pub(crate) fn line(&self, process: ProcessId) -> Vec<Relative> {
        let mut line = Vec::new();
        let mut next = Some(process);
        while let Some(id) = next.filter(|_| line.len() < MAX_ANCESTORS) {
            next = self.parents.get(&id).copied().filter(|parent| *parent != id);
            let relation = if id == process { Relation::Itself } else { Relation::Ancestor };
            line.push(self.relative(id, next, relation));
        }
        line.reverse();
        line
    }

    fn relative(&self, id: ProcessId, parent: Option<ProcessId>, relation: Relation) -> Relative {
        let exec = self.execs.get(&id);
        Relative {
            id,
            parent_pid: parent.map_or(0, |parent| parent.pid),
            relation,
            source: Source::Events,
            name: exec.map(|(event, _)| event.name().clone()).unwrap_or_default(),
            executable: exec.map(|(_, exec)| exec.executable.clone()),
            argv: exec.map(|(_, exec)| exec.argv.clone()).unwrap_or_default(),
            uid: exec.map(|(_, exec)| exec.uid),
        }
    }

    /// The process, its parent, its parent's other children and its own: whoever drops a file is mostly close to who runs it.
    pub(crate) fn close_to(&self, process: ProcessId) -> BTreeSet<ProcessId> {
        let parent = self.parents.get(&process).copied();
        let is_close = |it: &ProcessId| Some(*it) == parent || *it == process;
        let children = self.parents.iter().filter(|(_, of)| is_close(of)).map(|(child, _)| *child);
        children.chain(parent).chain([process]).collect()
    }

    /// The scripts that these processes ran last, by their paths.
    pub(crate) fn scripts(&self, processes: &BTreeSet<ProcessId>) -> Vec<Candidate> {
        let execs = self.execs.iter().filter(|(id, _)| processes.contains(id));
        let scripts = execs.filter_map(|(id, (_, exec))| {
            let path = behaviour::script_file(exec)?;
            path.as_bytes().starts_with(b"/").then_some(Candidate { path, process: *id, inode: None })
        });
        scripts.collect()
    }
}

/// The files that these processes wrote or opened to write, each once: those of `first` before the others, then the newest
/// first. A file that was renamed afterwards goes by its new name.
pub(crate) fn written(events: &[Arc<Noted>], processes: &BTreeSet<ProcessId>, first: ProcessId) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for event in events.iter().filter(|event| processes.contains(&event.id)) {
        let Some(file) = written_by(event) else {
            if let Payload::Name(name) = event.payload()
                && (name.operation, name.errno, name.truncated) == (NameOperation::Rename, None, false)
            {
                for file in found.iter_mut().filter(|file| file.path == name.path) {
                    file.path = name.second_path.clone();
                }
            }
            continue;
        };
        found.retain(|other| other.path != file.path);
        found.push(file);
    }
    found.reverse();
    // Stable: within each half the order stays.
    found.sort_by_key(|file| file.process != first);
    found
}

fn written_by(event: &Noted) -> Option<Candidate> {
    const ACCESS_MODE: u32 = 3;
    let process = event.id;
    match event.payload() {
        Payload::File(file) => {
            let writes = [FileAccess::OpenedToWrite, FileAccess::Written, FileAccess::Created, FileAccess::Truncated];
            let is_written = writes.iter().any(|access| file.accesses.has(*access));
            let has_path = !file.path_truncated && !file.unreachable && !file.deleted;
            (is_written && has_path && file.file_type == FileType::Regular).then(|| Candidate {
                path: file.path.clone(),
                process,
                inode: Some(file.inode),
            })
        }
        Payload::Action(action) => {
            let file =
                action.file.as_ref().filter(|file| file.file_type == FileType::Regular && !file.path_truncated)?;
            let is_written = action.open_flags.is_some_and(|flags| flags & ACCESS_MODE != 0);
            is_written.then(|| Candidate { path: file.path.clone(), process, inode: None })
        }
        _ => None,
    }
}

/// With whom the container spoke, each once.
pub(crate) fn peers(events: &[Arc<Noted>]) -> Vec<Peer> {
    let mut names: BTreeMap<&Text, Vec<&Text>> = BTreeMap::new();
    for event in events {
        if let Payload::Dns(message) = event.payload()
            && message.is_answer
        {
            for address in &message.addresses {
                let of_it = names.entry(address).or_default();
                if of_it.len() < MAX_NAMES && !of_it.contains(&&message.name) {
                    of_it.push(&message.name);
                }
            }
        }
    }
    let mut peers: Vec<Peer> = Vec::new();
    for event in events {
        let Payload::Flow(flow) = event.payload() else { continue };
        let failed = flow.errno.as_ref().map(|errno: &Errno| Text::from(errno.to_string()));
        let is_it = |peer: &Peer| {
            (peer.direction, peer.protocol, peer.port) == (flow.direction, flow.protocol, flow.port)
                && peer.address == flow.address
                && peer.failed == failed
        };
        if peers.len() == MAX_PEERS || peers.iter().any(is_it) {
            continue;
        }
        peers.push(Peer {
            direction: flow.direction,
            protocol: flow.protocol,
            address: flow.address.clone(),
            port: flow.port,
            failed,
            names: names.get(&flow.address).into_iter().flatten().map(|name| (*name).clone()).collect(),
            first: Timestamp::from_unix_ns(event.when.wall_time),
            process: event.id,
        });
    }
    peers
}

#[cfg(test)]
mod tests;
