//! What was denied, and which policies became strict: records of the guards' ring -> what they tell.

use std::cell::RefCell;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use event::Text;
use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};

use super::{Cause, Deed, FileAct, FileKey, Taint};
use crate::guard_bpf::types::{denial, deny_action, deny_reason};
use crate::record::{self, DecodeError, Plain};
use crate::ring;

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file's path, as the container sees it.
    Path,
    /// The file itself, under whatever name.
    File,
    /// The file's content. No guard gives it: whoever told the guards of the file knows why.
    Hash,
    /// The file's content is not known. As above.
    NotHashed,
    /// The file's own name, wherever it lies.
    Name,
    /// The text that the caller named the program by.
    Called,
    /// The argument by which a program of many picks what it is.
    Applet,
    /// The argument by which a loader picks what it runs.
    Loader,
    /// The file was mapped as code.
    Mapped,
    /// The file did not come with the image.
    NotOfImage,
    /// The program, or the place that was to be written, is none of those that are listed.
    NotListed,
    /// All deeds of the kind are denied.
    Kind,
    /// The other side's address.
    Address,
    /// The own port.
    Port,
    /// The kernel was to choose the port.
    Unbound,
}

impl Reason {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Path => "path",
            Reason::File => "file",
            Reason::Hash => "hash",
            Reason::NotHashed => "not_hashed",
            Reason::Name => "name",
            Reason::Called => "called",
            Reason::Applet => "applet",
            Reason::Loader => "loader",
            Reason::Mapped => "mapped",
            Reason::NotOfImage => "not_of_image",
            Reason::NotListed => "not_listed",
            Reason::Kind => "kind",
            Reason::Address => "address",
            Reason::Port => "port",
            Reason::Unbound => "unbound",
        }
    }

    pub(super) fn from_number(number: deny_reason) -> Option<Reason> {
        match number {
            deny_reason::DENY_PATH => Some(Reason::Path),
            deny_reason::DENY_FILE => Some(Reason::File),
            deny_reason::DENY_NAME => Some(Reason::Name),
            deny_reason::DENY_CALLED => Some(Reason::Called),
            deny_reason::DENY_APPLET => Some(Reason::Applet),
            deny_reason::DENY_LOADER => Some(Reason::Loader),
            deny_reason::DENY_MAPPED => Some(Reason::Mapped),
            deny_reason::DENY_NOT_OF_IMAGE => Some(Reason::NotOfImage),
            deny_reason::DENY_NOT_LISTED => Some(Reason::NotListed),
            deny_reason::DENY_KIND => Some(Reason::Kind),
            deny_reason::DENY_ADDRESS => Some(Reason::Address),
            deny_reason::DENY_PORT => Some(Reason::Port),
            deny_reason::DENY_UNBOUND => Some(Reason::Unbound),
            _ => None,
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call failed with EPERM.
    Refused,
    /// The process got SIGKILL before the first instruction of the program.
    Killed,
    /// Nothing: the policy only counts.
    Audited,
    /// The process was to get SIGKILL, and the kernel did not send it: the program ran.
    Failed,
}

impl Action {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Action::Refused => "refused",
            Action::Killed => "killed",
            Action::Audited => "audited",
            Action::Failed => "failed",
        }
    }

    fn from_number(number: u8) -> Option<Action> {
        match deny_action(u32::from(number)) {
            deny_action::ACTION_REFUSED => Some(Action::Refused),
            deny_action::ACTION_KILLED => Some(Action::Killed),
            deny_action::ACTION_AUDITED => Some(Action::Audited),
            deny_action::ACTION_FAILED => Some(Action::Failed),
            _ => None,
        }
    }
}

/// What there is to say of a deed beside which file it was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// Nothing.
    Nothing,
    /// What was to be done with the file.
    File(FileAct),
    /// Of a connection: the other side.
    Peer(SocketAddr),
    /// Of a listener: its port; 0 if the kernel was to choose.
    Port(u16),
    /// Its number.
    Capability(u32),
    /// The process that was to be traced, or to trace.
    Process(u32),
}

impl Details {
    fn of(deed: Deed, raw: &denial) -> Option<Details> {
        Some(match deed {
            Deed::File | Deed::Write => Details::File(FileAct::from_number(raw.number)?),
            Deed::Connect => Details::Peer(SocketAddr::new(Ipv6Addr::from(raw.address).to_canonical(), raw.port)),
            Deed::Listen => Details::Port(raw.port),
            Deed::Capability => Details::Capability(raw.number),
            Deed::Ptrace => Details::Process(raw.number),
            Deed::Exec | Deed::Mount | Deed::Module => Details::Nothing,
        })
    }
}

/// One thing that was denied, or would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// When, in nanoseconds since boot.
    pub boot_ns: u64,
    /// The number of the policy that decided.
    pub policy: u32,
    /// The kind of deed.
    pub deed: Deed,
    /// What there is to say of it beside which file it was about.
    pub details: Details,
    /// Why.
    pub reason: Reason,
    /// What became of it.
    pub action: Action,
    /// The task's cgroup in the identity hierarchy.
    pub cgroup_id: u64,
    /// Its mount namespace.
    pub mount_ns: u32,
    /// Its process.
    pub pid: u32,
    /// The process as it is numbered in its own pid namespace.
    pub pid_inside: u32,
    /// The thread.
    pub tid: u32,
    /// Its parent's process.
    pub ppid: u32,
    /// Its real user id, as the host numbers it.
    pub uid: u32,
    /// The task's name; where the exec was done, that of the new program.
    pub comm: Text,
    /// Its parent's name.
    pub parent_comm: Text,
    /// What the caller named the program by, the type of what was to be mounted, or the name of a module; empty where nothing
    /// was called.
    pub called: Text,
    /// The file, or where something was to be mounted, as the task sees it; empty where it was about no file.
    pub path: Text,
    /// Whether the beginning of the path is missing: it is too long, or the task cannot see it.
    pub is_path_cut: bool,
    /// The file, as the kernel numbers it.
    pub file: FileKey,
}

/// A policy that waited and is strict in a container from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tainted {
    /// When, in nanoseconds since boot.
    pub boot_ns: u64,
    /// The number of the policy.
    pub policy: u32,
    /// What made it strict.
    pub cause: Cause,
    /// The container's cgroup in the identity hierarchy.
    pub cgroup_id: u64,
    /// The process that did it.
    pub pid: u32,
    /// The process as it is numbered in its own pid namespace.
    pub pid_inside: u32,
    /// The thread.
    pub tid: u32,
    /// Its parent's process.
    pub ppid: u32,
    /// Its real user id, as the host numbers it.
    pub uid: u32,
    /// Its name.
    pub comm: Text,
    /// Its parent's name.
    pub parent_comm: Text,
    /// The file that it read, as it sees it; empty if it read none.
    pub path: Text,
    /// Whether the beginning of the path is missing.
    pub is_path_cut: bool,
}

impl Tainted {
    /// What is kept of it.
    pub fn taint(&self) -> Taint {
        Taint {
            cgroup_id: self.cgroup_id,
            boot_ns: self.boot_ns,
            pid: self.pid,
            comm: self.comm.clone(),
            cause: self.cause,
        }
    }
}

/// What the guards tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something was denied, or would have been.
    Denial(Denial),
    /// A policy that waited is strict from now on.
    Tainted(Tainted),
}

impl Told {
    /// The number of the policy.
    pub fn policy(&self) -> u32 {
        match self {
            Told::Denial(denial) => denial.policy,
            Told::Tainted(tainted) => tainted.policy,
        }
    }
}

// SAFETY: made of fixed-width integers and arrays of them (`bpf/guard.h`).
unsafe impl Plain for denial {}

/// One record -> what it tells. Whatever the bytes are, it does not panic.
pub(crate) fn decode(bytes: &[u8]) -> Result<Told, DecodeError> {
    let raw = record::read::<denial>(bytes)?;
    match deny_action(u32::from(raw.action)) {
        deny_action::ACTION_TAINTED => tainted(&raw).map(Told::Tainted),
        _ => denied(&raw).map(Told::Denial),
    }
}

fn tainted(raw: &denial) -> Result<Tainted, DecodeError> {
    Ok(Tainted {
        boot_ns: raw.boot_ns,
        policy: raw.policy,
        cause: Cause::from_number(u32::from(raw.reason)).ok_or(DecodeError::UnknownValue(raw.reason))?,
        cgroup_id: raw.cgroup_id,
        pid: raw.pid,
        pid_inside: raw.pid_inside,
        tid: raw.tid,
        ppid: raw.ppid,
        uid: raw.uid,
        comm: Text::new(record::until_nul(&raw.comm)),
        parent_comm: Text::new(record::until_nul(&raw.parent_comm)),
        path: path(&raw.path, raw.path_bytes as usize, raw.path_is_cut != 0),
        is_path_cut: raw.path_is_cut != 0,
    })
}

fn denied(raw: &denial) -> Result<Denial, DecodeError> {
    let deed = Deed::from_number(raw.deed).ok_or(DecodeError::UnknownValue(raw.deed))?;
    let reason = Reason::from_number(deny_reason(u32::from(raw.reason)));
    Ok(Denial {
        boot_ns: raw.boot_ns,
        policy: raw.policy,
        deed,
        details: Details::of(deed, raw).ok_or(DecodeError::UnknownValue(raw.number.to_le_bytes()[0]))?,
        reason: reason.ok_or(DecodeError::UnknownValue(raw.reason))?,
        action: Action::from_number(raw.action).ok_or(DecodeError::UnknownValue(raw.action))?,
        cgroup_id: raw.cgroup_id,
        mount_ns: raw.mount_ns,
        pid: raw.pid,
        pid_inside: raw.pid_inside,
        tid: raw.tid,
        ppid: raw.ppid,
        uid: raw.uid,
        comm: Text::new(record::until_nul(&raw.comm)),
        parent_comm: Text::new(record::until_nul(&raw.parent_comm)),
        called: Text::new(record::until_nul(&raw.called)),
        path: match path(&raw.path, raw.path_bytes as usize, raw.path_is_cut != 0) {
            root if deed == Deed::Mount && root.is_empty() => Text::from("/"),
            path => path,
        },
        is_path_cut: raw.path_is_cut != 0,
        file: FileKey { device: raw.device, inode: raw.inode },
    })
}

/// Turns names, leaf first, each with its length before it, into a path.
fn path(bytes: &[u8], used: usize, is_cut: bool) -> Text {
    let mut names = Vec::new();
    let mut rest = &bytes[..used.min(bytes.len())];
    while let Some((&length, tail)) = rest.split_first() {
        let name = &tail[..usize::from(length).min(tail.len())];
        names.push(name);
        rest = &tail[name.len()..];
    }
    let mut whole = Vec::new();
    for (at, name) in names.iter().rev().enumerate() {
        if at > 0 || !is_cut {
            whole.push(b'/');
        }
        whole.extend_from_slice(name);
    }
    Text::new(whole)
}

/// Reads denials; make it in the thread that reads.
pub struct DenialReader {
    buffer: RingBuffer<'static>,
    read: Rc<RefCell<Vec<Result<Told, DecodeError>>>>,
}

impl DenialReader {
    /// How many are given out at once: bounds the memory.
    const BATCH: usize = 1024;

    pub(super) fn new(map: &MapHandle) -> Result<DenialReader, libbpf_rs::Error> {
        let read = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&read);
        let mut builder = RingBufferBuilder::new();
        builder.add(map, move |record| {
            sink.borrow_mut().push(decode(record));
            0
        })?;
        Ok(DenialReader { buffer: builder.build()?, read })
    }

    /// Waits for what the guards tell, at most this long, and takes what is there.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<Result<Told, DecodeError>>, libbpf_rs::Error> {
        ring::take(&self.buffer, timeout, DenialReader::BATCH)?;
        Ok(self.read.take())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_from_the_leaf_up_become_a_path() {
        assert_eq!(path(b"\x06whoami\x03bin\x03usr", 15, false), Text::from("/usr/bin/whoami"));
        assert_eq!(path(b"\x06whoami\x03bin", 11, true), Text::from("bin/whoami"));
        assert_eq!(path(b"", 0, false), Text::from(""));
    }

    #[test]
    fn a_policy_that_became_strict_is_no_denial() {
        let mut record = denial { action: deny_action::ACTION_TAINTED.0 as u8, policy: 3, ..denial::default() };
        record.reason = 1;
        record.path[..5].copy_from_slice(b"\x04data");
        record.path_bytes = 5;

        let Ok(Told::Tainted(tainted)) = decode(record::bytes(&record)) else { panic!("it is told as another thing") };
        assert_eq!((tainted.policy, tainted.cause, tainted.path), (3, Cause::File, Text::from("/data")));
        let unknown = denial { reason: 9, ..record };
        assert_eq!(decode(record::bytes(&unknown)), Err(DecodeError::UnknownValue(9)));
    }

    #[test]
    fn a_value_without_a_meaning_is_refused() {
        let record = denial { action: 9, ..denial::default() };

        assert_eq!(decode(record::bytes(&record)), Err(DecodeError::UnknownValue(9)));
    }

    proptest! {
        #[test]
        fn no_record_makes_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = decode(&bytes);
        }
    }
}
