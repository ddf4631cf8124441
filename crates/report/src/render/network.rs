//! The network, as the lists that people ask for: who can reach the container, whom it talked to, by which names.

use core::net::IpAddr;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use behaviour::{FirstUse, FlowUse, InterfaceUse, ListenerUse, LookupUse, OtherEnd, SocketUse};
use event::{Direction, Errno, Phase, Protocol, RunId, SocketFamily, SocketType, Text};

use super::facts::short_id;
use super::units::{bytes, count, counted, duration};
use crate::Report;

/// A peer shows so many of its names, a list of addresses as many of those; how many more there are is said.
const MOST_NAMES: usize = 3;

/// One list: its title, what that means, what stands above its columns, and its rows. All of it is safe for a terminal.
pub(super) struct List {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    pub(super) rows: Vec<Row>,
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, or bytes.
    Number,
    /// A name or an address, which says most at its beginning.
    Name,
    /// A path, which says most at its end.
    Path,
    Words,
}

/// One row of a list.
pub(super) struct Row {
    /// One for each column.
    pub(super) cells: Vec<Value>,
    /// What there is to say beyond the columns; may be empty.
    pub(super) more: Vec<String>,
}

/// One cell.
pub(super) struct Value {
    /// What it is sorted by, if it is a number.
    pub(super) number: u64,
    pub(super) shown: String,
}

fn words(shown: String) -> Value {
    Value { number: 0, shown }
}

fn number(number: u64) -> Value {
    Value { number, shown: count(number) }
}

fn size(number: u64) -> Value {
    Value { number, shown: bytes(number) }
}

/// How much there is.
pub(super) fn about(report: &Report) -> String {
    let network = &report.behaviour.network;
    let sum = |of: fn(&FlowUse) -> u64| network.flows.iter().fold(0, |sum: u64, flow| sum.saturating_add(of(flow)));
    let peers: BTreeSet<&Text> = network.flows.iter().map(|flow| &flow.address).collect();
    let all = [
        counted(peers.len() as u64, "peer", "peers"),
        counted(sum(|flow| flow.connections), "connection", "connections"),
        format!("{} sent", bytes(sum(|flow| flow.traffic.sent_bytes))),
        format!("{} received", bytes(sum(|flow| flow.traffic.received_bytes))),
        counted(network.listeners.len() as u64, "listener", "listeners"),
    ];
    all.join(", ")
}

/// What the workload did, and with `all` what the runtime did too; only lists that have rows.
pub(super) fn lists(report: &Report, all: bool) -> Vec<List> {
    let network = &report.behaviour.network;
    let is_shown = |phase: Phase| all || phase != Phase::RuntimeInit;

    let mut listeners: Vec<&ListenerUse> = network.listeners.iter().filter(|one| is_shown(one.phase)).collect();
    listeners.sort_by_key(|one| (Reach::of(one), one.protocol, one.port, &one.address, one.phase));
    let mut flows: Vec<&FlowUse> = network.flows.iter().filter(|one| is_shown(one.phase)).collect();
    flows.sort_by_key(|one| {
        let traffic = one.traffic.sent_bytes.saturating_add(one.traffic.received_bytes);
        let key = (one.protocol, &one.address, one.port, one.phase);
        (is_others(one), Reverse(traffic), Reverse(one.connections.saturating_add(failed(one))), key)
    });
    let run = report.container.run;
    let flows = |direction, title, about| List {
        title,
        about,
        columns: &[
            ("COUNT", Kind::Number),
            ("SENT", Kind::Number),
            ("RECEIVED", Kind::Number),
            ("PEER", Kind::Name),
            ("FIRST BY", Kind::Path),
        ],
        rows: flows.iter().filter(|flow| flow.direction == direction).map(|flow| flow_row(run, flow)).collect(),
    };
    let mut lookups: Vec<&LookupUse> = network.lookups.iter().filter(|one| is_shown(one.phase)).collect();
    lookups.sort_by_key(|one| (!is_failed(one), &one.name, &one.record_type, one.phase));

    let mut lists = vec![
        List {
            title: "Can be reached at",
            about: "it listens there, or has bound a socket that takes datagrams",
            columns: &[("TIMES", Kind::Number), ("WHERE", Kind::Name), ("FROM", Kind::Words), ("FIRST BY", Kind::Path)],
            rows: listeners.into_iter().map(listener_row).collect(),
        },
        flows(Direction::Out, "Connections out", "the container began them; the port is the peer's"),
        flows(Direction::In, "Connections in", "the peer began them; the port is the container's"),
        List {
            title: "Names looked up",
            about: "by DNS; what failed comes first",
            columns: &[("NAME", Kind::Name), ("TYPE", Kind::Words), ("ANSWER", Kind::Words), ("FIRST BY", Kind::Path)],
            rows: lookups.into_iter().map(lookup_row).collect(),
        },
        List {
            title: "Sockets",
            about: "that were made, by family and type",
            columns: &[
                ("MADE", Kind::Number),
                ("SOCKET", Kind::Name),
                ("FAILED", Kind::Words),
                ("FIRST BY", Kind::Path),
            ],
            rows: socket_rows(network.sockets.iter().filter(|one| is_shown(one.phase))),
        },
        List {
            title: "Interfaces",
            about: "of its network namespace, with headers; containers that share it share these",
            columns: &[
                ("RECEIVED", Kind::Number),
                ("SENT", Kind::Number),
                ("INTERFACE", Kind::Name),
                ("DROPPED", Kind::Words),
            ],
            rows: network.interfaces.iter().map(interface_row).collect(),
        },
    ];
    lists.retain(|list| !list.rows.is_empty());
    lists
}

/// From where a listener can be reached, the widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Everywhere,
    OneAddress,
    Path,
    Namespace,
    Loopback,
}

impl Reach {
    fn of(listener: &ListenerUse) -> Reach {
        let address = &listener.address;
        if listener.protocol.is_unix() {
            return if address.as_bytes().starts_with(b"@") { Reach::Namespace } else { Reach::Path };
        }
        match parsed(address) {
            Some(ip) if ip.is_unspecified() => Reach::Everywhere,
            Some(ip) if ip.is_loopback() => Reach::Loopback,
            Some(_) | None => Reach::OneAddress,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Reach::Everywhere => "every network that it is in",
            Reach::OneAddress => "the network of this address",
            Reach::Path => "whoever can open the path",
            Reach::Namespace => "its network namespace",
            Reach::Loopback => "its network namespace (loopback)",
        }
    }
}

/// The IP address, in the shape that says most: one of IPv4 also where a socket of IPv6 has it.
fn parsed(address: &Text) -> Option<IpAddr> {
    let ip: IpAddr = std::str::from_utf8(address.as_bytes()).ok()?.parse().ok()?;
    Some(ip.to_canonical())
}

fn listener_row(listener: &ListenerUse) -> Row {
    let address = place(listener.protocol, &listener.address, listener.port);
    let from = in_phase(Reach::of(listener).name().to_owned(), listener.phase);
    let cells = vec![number(listener.count), words(address), words(from), words(program(listener.first.as_ref()))];
    Row { cells, more: Vec::new() }
}

fn flow_row(run: RunId, flow: &FlowUse) -> Row {
    let mut peer = place(flow.protocol, &flow.address, flow.port);
    let named = some_of(flow.names.iter());
    if !named.is_empty() {
        peer += &format!(" [{named}]");
    }
    let cells = vec![
        number(flow.connections),
        size(flow.traffic.sent_bytes),
        size(flow.traffic.received_bytes),
        words(in_phase(peer, flow.phase)),
        words(program(flow.first.as_ref())),
    ];
    Row { cells, more: remarks(run, flow) }
}

/// What its columns leave open.
fn remarks(run: RunId, flow: &FlowUse) -> Vec<String> {
    let mut parts: Vec<String> = flow
        .failures
        .iter()
        .map(|failure| format!("{} failed: {}", count(failure.count), spelled(failure.errno)))
        .collect();
    parts.extend(flow.other_ends.iter().take(MOST_NAMES).map(|end| other_end(run, flow, end)));
    if let Some(more @ 1..) = flow.other_ends.len().checked_sub(MOST_NAMES) {
        parts.push(format!("and {more} more"));
    }
    let asked: Vec<&Text> = flow.server_names.iter().filter(|name| !flow.names.contains(name)).collect();
    if !asked.is_empty() {
        parts.push(format!("TLS for {}", some_of(asked.into_iter())));
    }
    if let Some(took) = flow.connect_time.filter(|took| took.count > 0) {
        let mean = took.total_ns / took.count;
        parts.push(match took.count {
            1 => format!("connected in {}", duration(took.min_ns)),
            _ => {
                let [min, mean, max] = [took.min_ns, mean, took.max_ns].map(duration);
                format!("connected in {min} to {max}, {mean} on average")
            }
        });
    }
    if flow.traffic.retransmits > 0 {
        parts.push(counted(flow.traffic.retransmits, "retransmit", "retransmits"));
    }
    let ends: Vec<String> =
        flow.ends.iter().map(|(end, times)| format!("{} {}", count((*times).into()), end.name())).collect();
    if !ends.is_empty() {
        parts.push(ends.join(", "));
    }
    parts
}

/// A container at the other end, and what it calls this end if that is another address.
fn other_end(run: RunId, flow: &FlowUse, end: &OtherEnd) -> String {
    if end.run == run {
        return "this container itself".to_owned();
    }
    let name = end.name.as_ref().filter(|name| !name.is_empty()).map(|name| name.shown().into_owned());
    let id = end.container.as_ref().filter(|id| !id.is_empty()).map(short_id);
    let who = match (name, id) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => format!("run {}.{}", end.run.slot, end.run.generation),
    };
    // What was connected to: of a connection in, the container's own end.
    let is_own = flow.direction == Direction::In && !flow.protocol.is_unix();
    let here = if is_own { &flow.local_address } else { &flow.address };
    let there = (&end.address_there, end.port_there) != (here, flow.port) && !end.address_there.is_empty();
    let translated =
        if there { format!(", there {}", address_and_port(&end.address_there, end.port_there)) } else { String::new() };
    let of = if end.connections == flow.connections { String::new() } else { format!(" {}×", count(end.connections)) };
    format!("container {who}{of}{translated}")
}

fn is_others(flow: &FlowUse) -> bool {
    flow.address.as_bytes() == b"*"
}

fn failed(flow: &FlowUse) -> u64 {
    flow.failures.iter().fold(0, |sum, failure| sum.saturating_add(failure.count))
}

/// `tcp 192.0.2.1:80`, `udp [2001:db8::1]:53`, `unix-stream /run/a.sock`.
fn place(protocol: Protocol, address: &Text, port: u32) -> String {
    format!("{} {}", protocol.name(), address_and_port(address, port))
}

/// The address as people write it, with its port if it has one.
pub fn address_and_port(address: &Text, port: u32) -> String {
    let shown = match address.as_bytes() {
        b"" => "(not known)".to_owned(),
        b"*" => return "(all others)".to_owned(),
        _ => address.shown().into_owned(),
    };
    match port {
        0 => shown,
        port if shown.contains(':') => format!("[{shown}]:{port}"),
        port => format!("{shown}:{port}"),
    }
}

/// The first few, and how many more there are.
fn some_of<'a>(texts: impl ExactSizeIterator<Item = &'a Text>) -> String {
    let more = texts.len().saturating_sub(MOST_NAMES);
    let mut parts: Vec<String> = texts.take(MOST_NAMES).map(|text| text.shown().into_owned()).collect();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    parts.join(", ")
}

/// A failure in words and by its name.
fn spelled(errno: Errno) -> String {
    let words = match errno.name() {
        Some("ECONNREFUSED") => "nobody listens there",
        Some("ETIMEDOUT") => "no answer in time",
        Some("EHOSTUNREACH") => "no route to the host",
        Some("ENETUNREACH") => "no route to the network",
        Some("ECONNRESET") => "broken off by the other end",
        Some("EACCES" | "EPERM") => "not permitted",
        Some("EADDRNOTAVAIL") => "no address or port left for this end",
        Some("EADDRINUSE") => "address in use",
        Some("ENOENT") => "no such name",
        Some("EINTR") => "interrupted",
        Some("EAGAIN") => "the other end's queue is full",
        Some("EAFNOSUPPORT" | "EPROTONOSUPPORT") => "not supported",
        _ => return errno.to_string(),
    };
    format!("{words} ({errno})")
}

fn is_failed(lookup: &LookupUse) -> bool {
    lookup.codes.iter().all(|code| *code != 0)
}

fn lookup_row(lookup: &LookupUse) -> Row {
    // RFC 6895, section 2.3.
    let codes = lookup.codes.iter().filter(|code| **code != 0).map(|code| match code {
        1 => "question not understood".to_owned(),
        2 => "the server failed".to_owned(),
        3 => "no such name".to_owned(),
        4 => "not implemented".to_owned(),
        5 => "refused".to_owned(),
        code => format!("code {code}"),
    });
    let mut answer: Vec<String> = codes.collect();
    let addresses = some_of(lookup.addresses.iter());
    if !addresses.is_empty() {
        answer.insert(0, addresses);
    }
    if lookup.codes.is_empty() {
        answer.push("none seen".to_owned());
    } else if answer.is_empty() {
        answer.push("nothing of this type".to_owned());
    }
    let mut more = Vec::new();
    if !lookup.aliases.is_empty() {
        more.push(format!("alias of {}", some_of(lookup.aliases.iter())));
    }
    if !lookup.servers.is_empty() {
        more.push(format!("asked {}", some_of(lookup.servers.iter())));
    }
    let cells = vec![
        words(in_phase(lookup.name.shown().into_owned(), lookup.phase)),
        words(lookup.record_type.shown().into_owned()),
        words(answer.join("; ")),
        words(program(lookup.first.as_ref())),
    ];
    Row { cells, more }
}

/// One row for each family and type, its protocols and failures in it; the most first.
fn socket_rows<'a>(uses: impl Iterator<Item = &'a SocketUse>) -> Vec<Row> {
    let mut kinds: BTreeMap<(Phase, SocketFamily, SocketType), Vec<&SocketUse>> = BTreeMap::new();
    for used in uses {
        kinds.entry((used.phase, used.family, used.socket_type)).or_default().push(used);
    }
    let made = |uses: &[&SocketUse]| {
        uses.iter().filter(|used| used.errno.is_none()).fold(0, |sum: u64, used| sum.saturating_add(used.count))
    };
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, uses)| Reverse(made(uses)));
    let row = |((phase, family, socket_type), uses): &((Phase, SocketFamily, SocketType), Vec<&SocketUse>)| {
        let mut failures: BTreeMap<Errno, u64> = BTreeMap::new();
        for (errno, used) in uses.iter().filter_map(|used| Some((used.errno?, used))) {
            let sum = failures.entry(errno).or_default();
            *sum = sum.saturating_add(used.count);
        }
        let failures: Vec<String> =
            failures.iter().map(|(errno, times)| format!("{} {errno}", count(*times))).collect();
        let protocols: BTreeSet<u32> = uses.iter().map(|used| used.protocol).filter(|number| *number != 0).collect();
        let protocols: Vec<String> = protocols.into_iter().map(|number| protocol_name(*family, number)).collect();
        let about = if protocols.is_empty() { String::new() } else { format!(" ({})", protocols.join(", ")) };
        let kind = in_phase(format!("{} {}{about}", family.name(), socket_type.name()), *phase);
        let first = uses.iter().filter_map(|used| used.first.as_ref()).min();
        let cells = vec![number(made(uses)), words(kind), words(failures.join(", ")), words(program(first))];
        Row { cells, more: Vec::new() }
    };
    kinds.iter().map(row).collect()
}

/// As the family numbers them: of IP include/uapi/linux/in.h, of netlink include/uapi/linux/netlink.h (6.18).
fn protocol_name(family: SocketFamily, number: u32) -> String {
    let name = match (&*family.name(), number) {
        ("inet", 1) => "icmp",
        ("inet" | "inet6", 6) => "tcp",
        ("inet" | "inet6", 17) => "udp",
        ("inet6", 58) => "icmpv6",
        ("inet" | "inet6", 132) => "sctp",
        ("inet" | "inet6", 136) => "udp-lite",
        ("inet" | "inet6", 255) => "raw",
        ("inet" | "inet6", 262) => "mptcp",
        ("netlink", 4) => "sock-diag",
        ("netlink", 6) => "xfrm",
        ("netlink", 9) => "audit",
        ("netlink", 11) => "connector",
        ("netlink", 12) => "netfilter",
        ("netlink", 15) => "kobject-uevent",
        ("netlink", 16) => "generic",
        _ => return format!("protocol {number}"),
    };
    name.to_owned()
}

fn interface_row(interface: &InterfaceUse) -> Row {
    let dropped: Vec<String> = [(interface.received_drops, "received"), (interface.sent_drops, "to be sent")]
        .into_iter()
        .filter(|(drops, _)| *drops > 0)
        .map(|(drops, way)| format!("{} {way}", count(drops)))
        .collect();
    let cells = vec![
        size(interface.received_bytes),
        size(interface.sent_bytes),
        words(interface.name.shown().into_owned()),
        words(dropped.join(", ")),
    ];
    let packets = format!(
        "{} in, {} out",
        counted(interface.received_packets, "packet", "packets"),
        count(interface.sent_packets)
    );
    Row { cells, more: vec![packets] }
}

fn in_phase(what: String, phase: Phase) -> String {
    if phase == Phase::Main { what } else { format!("{what} ({phase})") }
}

fn program(first: Option<&FirstUse>) -> String {
    let Some(first) = first else { return String::new() };
    let text = if first.executable.is_empty() { &first.comm } else { &first.executable };
    text.shown().into_owned()
}

#[cfg(test)]
mod tests {
    use event::{Errno, Text};

    use super::{address_and_port, some_of, spelled};

    #[test]
    fn an_address_of_ipv6_stands_in_brackets_before_a_port() {
        let shown = [("::1", 53), ("::1", 0), ("192.0.2.1", 53), ("/run/a", 0), ("", 0), ("*", 7)];

        let shown = shown.map(|(address, port)| address_and_port(&Text::from(address), port));

        assert_eq!(shown, ["[::1]:53", "::1", "192.0.2.1:53", "/run/a", "(not known)", "(all others)"]);
    }

    #[test]
    fn of_many_names_the_first_are_shown_and_the_others_counted() {
        let names: Vec<Text> = ["a", "b", "c", "d", "e"].map(Text::from).to_vec();

        assert_eq!(some_of(names.iter()), "a, b, c, 2 more");
        assert_eq!(some_of(names[..3].iter()), "a, b, c");
    }

    #[test]
    fn a_failure_is_told_in_words_and_by_name() {
        assert_eq!(spelled(Errno(111)), "nobody listens there (ECONNREFUSED)");
        assert_eq!(spelled(Errno(999)), "errno 999");
    }
}
