//! The descriptors of a process, and what their sockets connect.

use std::collections::BTreeMap;

use containers::proc::{Held, SocketAddresses, SocketEntry, SocketTable};
use event::Text;

use crate::missing::Gaps;
use crate::{Descriptor, DescriptorKind, SocketEnds};

/// So many descriptors are listed, those with the lowest numbers.
const MAX_DESCRIPTORS: usize = 256;

pub(super) fn of(held: &Held, gaps: &mut Gaps) -> Vec<Descriptor> {
    let Some(found) = gaps.take("descriptors", held.descriptors(MAX_DESCRIPTORS)) else { return Vec::new() };
    if found.more > 0 {
        gaps.add("descriptors", format!("{} more than are listed", found.more));
    }
    let mut descriptors = Vec::new();
    let mut sockets: BTreeMap<u64, Option<SocketEnds>> = BTreeMap::new();
    for number in found.numbers {
        // One that was closed meanwhile is none.
        let Ok(target) = held.link(&format!("fd/{number}")) else { continue };
        if let Some(inode) = socket_number(&target) {
            sockets.insert(inode, None);
        }
        let access = held.open_flags(number).ok().map(|flags| match flags & 3 {
            0 => "r",
            1 => "w",
            _ => "rw",
        });
        descriptors.push(Descriptor {
            number,
            kind: kind(&target),
            target: Text::new(&target),
            access: access.map(Text::from),
            socket: None,
        });
    }
    find(held, &mut sockets, gaps);
    for descriptor in &mut descriptors {
        if let Some(inode) = socket_number(descriptor.target.as_bytes()) {
            descriptor.socket = sockets.get(&inode).cloned().flatten();
            if descriptor.socket.is_none() {
                let what = format!("socket of descriptor {}", descriptor.number);
                gaps.add(
                    what,
                    "it is in no table of the process's network namespace: not connected, or of another kind",
                );
            }
        }
    }
    descriptors
}

/// Looks for sockets by their numbers, in the tables of the network namespace that the process is in.
fn find(held: &Held, sockets: &mut BTreeMap<u64, Option<SocketEnds>>, gaps: &mut Gaps) {
    for table in SocketTable::ALL {
        if sockets.values().all(Option::is_some) {
            return;
        }
        for entry in gaps.take("sockets", held.sockets(table)).unwrap_or_default() {
            if let Some(place) = sockets.get_mut(&entry.inode) {
                *place = Some(ends(table, &entry));
            }
        }
    }
}

fn ends(table: SocketTable, entry: &SocketEntry) -> SocketEnds {
    let (local, remote) = match &entry.ends {
        SocketAddresses::Ip { local, remote } => {
            let is_connected = remote.port() != 0 || !remote.ip().is_unspecified();
            (Some(Text::from(local.to_string())), is_connected.then(|| Text::from(remote.to_string())))
        }
        SocketAddresses::Unix(name) => (name.as_ref().map(Text::new), None),
    };
    let protocol = table.name().trim_end_matches('6');
    SocketEnds { protocol: protocol.into(), state: state(table, entry.state), local, remote }
}

/// include/net/tcp_states.h and include/uapi/linux/net.h (6.18).
fn state(table: SocketTable, number: u8) -> Text {
    const TCP: [&str; 12] = [
        "established",
        "syn-sent",
        "syn-received",
        "fin-wait-1",
        "fin-wait-2",
        "time-wait",
        "closed",
        "close-wait",
        "last-ack",
        "listen",
        "closing",
        "new-syn-received",
    ];
    const UNIX: [&str; 4] = ["unconnected", "connecting", "connected", "disconnecting"];
    let names: &[&str] = if table == SocketTable::Unix { &UNIX } else { &TCP };
    let name = usize::from(number).checked_sub(1).and_then(|at| names.get(at));
    name.map_or_else(|| Text::from(number.to_string()), |name| Text::from(*name))
}

fn socket_number(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn kind(target: &[u8]) -> DescriptorKind {
    if target.starts_with(b"/") {
        DescriptorKind::Path
    } else if target.starts_with(b"socket:[") {
        DescriptorKind::Socket
    } else if target.starts_with(b"pipe:[") {
        DescriptorKind::Pipe
    } else {
        DescriptorKind::Anonymous
    }
}
