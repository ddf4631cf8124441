//! The network: sockets that were made, who can reach the container, whom it talked to, and by which names.

use std::collections::BTreeMap;

use event::{
    ConnectionEnd, Device, Direction, Durations, Errno, Phase, Protocol, RunId, SocketFamily, SocketType, Text, Traffic,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lists::{earlier, merged};
use crate::syscalls::failures_in_order;
use crate::{FailureCount, FirstUse};

/// What a container did with sockets. Each list is ordered by its first fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// The sockets that it made, or tried to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketUse>,
    /// Where it can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerUse>,
    /// Whom it talked to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowUse>,
    /// The names that it had looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<LookupUse>,
    /// The interfaces of its network namespace, and all that went through them; at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceUse>,
}

/// The sockets of one kind that were made in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The family.
    pub family: SocketFamily,
    /// The type.
    pub socket_type: SocketType,
    /// The protocol that was asked for, as the family numbers it; 0 stands for the usual one.
    pub protocol: u32,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// How many.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first.
    pub first: Option<FirstUse>,
    /// The end of the last snapshot interval in which there were more, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
}

/// Where the container can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The protocol.
    pub protocol: Protocol,
    /// The address: of IP, `::` and `0.0.0.0` standing for all; a path; or, behind an `@`, an abstract name.
    pub address: Text,
    /// The port; 0 if the protocol has none.
    pub port: u32,
    /// The network namespace's number, as `/proc/PID/ns/net` shows it.
    pub namespace: u32,
    /// The file system that the name of a unix socket lies in.
    pub device: Device,
    /// The inode number of that name; 0 if it has none.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub inode: u64,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first time.
    pub first: Option<FirstUse>,
}

/// What went to and from one peer over one port in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowUse {
    /// The part of the container's life in which it began.
    pub phase: Phase,
    /// Which side began it.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// The other end: an IP address, or the number of a virtual machine. Of unix sockets the name that was connected to,
    /// whichever end has it: a path, or, behind an `@`, an abstract name. `*` stands for all others, beyond those that are
    /// listed; empty if it is not known.
    pub address: Text,
    /// The port of whoever did not begin it; 0 if the protocol has none.
    pub port: u32,
    /// The container's own address, at the first use.
    pub local_address: Text,
    /// The container's own port, at the first use.
    pub local_port: u32,
    /// The network namespace's number, as `/proc/PID/ns/net` shows it, at the first use.
    pub namespace: u32,
    /// The file system that the name of a unix socket lies in.
    pub device: Device,
    /// The inode number of that name; 0 if it has none.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub inode: u64,
    /// How many connections came about. Without connections, as UDP is: how many sockets were used for it.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub connections: u64,
    /// How many did not, by errno, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureCount>,
    /// What was sent and received.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How the connections ended; those that did not are still open.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<ConnectionEnd, u32>,
    /// How long it took to connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<Durations>,
    /// The names that the container had looked up and was answered this address for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Text>,
    /// The names that it asked a TLS server for, in the first 64 connections that began so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_names: Vec<Text>,
    /// The containers that the kernel saw at the other end. Not all that were there need be here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_ends: Vec<OtherEnd>,
    /// The first use.
    pub first: Option<FirstUse>,
    /// The end of the last snapshot interval in which something was sent, received or tried, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
}

/// A container at the other end of connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct OtherEnd {
    /// Its run, in the same recording.
    pub run: RunId,
    /// The id that its engine gave it; left out if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Text>,
    /// Its name; left out if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The address of the end that was connected to, as the other container has it: it differs where addresses are
    /// translated.
    pub address_there: Text,
    /// The port of that end, as the other container has it.
    pub port_there: u32,
    /// How many connections.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub connections: u64,
}

/// A name that was looked up by DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LookupUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The name, without the dot at its end.
    pub name: Text,
    /// What was asked for: `A`, `AAAA`, `MX` …
    pub record_type: Text,
    /// The codes of all answers: 0 no error, 3 no such name … (RFC 6895); none if no answer was seen.
    pub codes: Vec<u32>,
    /// The addresses of all answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Text>,
    /// The names that it is another name of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Text>,
    /// The servers that were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Text>,
    /// The first question or answer.
    pub first: Option<FirstUse>,
}

/// An interface of the container's network namespace, and what went through it since the namespace was made; of the host's
/// since the recording saw it first. Read once a second while the container's first process lives: what comes after the last
/// time is missing. Containers that share a network namespace share this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceUse {
    /// Its name.
    pub name: Text,
    /// The network namespace's number.
    pub namespace: u32,
    /// Bytes received, with headers.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub received_bytes: u64,
    /// Packets received.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub received_packets: u64,
    /// Packets that came and were dropped.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub received_drops: u64,
    /// Bytes sent, with headers.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub sent_bytes: u64,
    /// Packets sent.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub sent_packets: u64,
    /// Packets that were to be sent and were dropped.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub sent_drops: u64,
}

impl Network {
    /// The network of several runs as one: every entry of both, the sums of what was counted, the earliest first use and
    /// the latest last one. The order and the grouping of merges make no difference.
    pub fn merge(self, other: Network) -> Network {
        Network {
            sockets: merged(
                self.sockets,
                other.sockets,
                |one| (one.phase, one.family, one.socket_type, one.protocol, one.errno),
                SocketUse::merge,
            ),
            listeners: merged(
                self.listeners,
                other.listeners,
                |one| (one.phase, one.protocol, one.address.clone(), one.port),
                ListenerUse::merge,
            ),
            flows: merged(
                self.flows,
                other.flows,
                |one| (one.phase, one.direction, one.protocol, one.address.clone(), one.port),
                FlowUse::merge,
            ),
            lookups: merged(
                self.lookups,
                other.lookups,
                |one| (one.phase, one.name.clone(), one.record_type.clone()),
                LookupUse::merge,
            ),
            interfaces: merged(
                self.interfaces,
                other.interfaces,
                |one| (one.name.clone(), one.namespace),
                InterfaceUse::merge,
            ),
        }
    }

    /// How many connections there were with peers that are not listed.
    pub fn unlisted_connections(&self) -> u64 {
        let others = self.flows.iter().filter(|flow| flow.address.as_bytes() == b"*");
        let failed = |flow: &FlowUse| flow.failures.iter().fold(0, |sum: u64, one| sum.saturating_add(one.count));
        others.fold(0, |sum, flow| sum.saturating_add(flow.connections).saturating_add(failed(flow)))
    }
}

impl SocketUse {
    fn merge(self, other: SocketUse) -> SocketUse {
        SocketUse {
            count: self.count.saturating_add(other.count),
            first: earlier(self.first, other.first),
            last_boot_ns: self.last_boot_ns.max(other.last_boot_ns),
            ..SocketUse { first: None, ..self }
        }
    }
}

impl ListenerUse {
    fn merge(self, other: ListenerUse) -> ListenerUse {
        let (mut sum, later) = in_order(self, other, |one| (one.first.clone(), (one.namespace, one.device, one.inode)));
        sum.count = sum.count.saturating_add(later.count);
        sum
    }
}

impl FlowUse {
    fn merge(self, other: FlowUse) -> FlowUse {
        // What is told of the first use goes with it.
        let told = |one: &FlowUse| {
            (one.first.clone(), (one.namespace, one.local_address.clone(), one.local_port, one.device, one.inode))
        };
        let (mut sum, later) = in_order(self, other, told);
        sum.connections = sum.connections.saturating_add(later.connections);
        let mut failures = BTreeMap::<Errno, u64>::new();
        for failure in sum.failures.into_iter().chain(later.failures) {
            let count = failures.entry(failure.errno).or_default();
            *count = count.saturating_add(failure.count);
        }
        sum.failures = failures_in_order(failures);
        sum.traffic = sum.traffic.plus(later.traffic);
        for (end, count) in later.ends {
            let known = sum.ends.entry(end).or_default();
            *known = known.saturating_add(count);
        }
        sum.connect_time = match (sum.connect_time, later.connect_time) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.or(other),
        };
        sum.names = together(sum.names, later.names);
        sum.server_names = together(sum.server_names, later.server_names);
        sum.other_ends = merged(
            sum.other_ends,
            later.other_ends,
            |one| (one.run, one.container.clone(), one.name.clone(), one.address_there.clone(), one.port_there),
            |one, other| OtherEnd { connections: one.connections.saturating_add(other.connections), ..one },
        );
        sum.last_boot_ns = sum.last_boot_ns.max(later.last_boot_ns);
        sum
    }
}

impl LookupUse {
    fn merge(self, other: LookupUse) -> LookupUse {
        let (mut sum, later) = in_order(self, other, |one| (one.first.clone(), ()));
        sum.codes = together(sum.codes, later.codes);
        sum.addresses = together(sum.addresses, later.addresses);
        sum.aliases = together(sum.aliases, later.aliases);
        sum.servers = together(sum.servers, later.servers);
        sum
    }
}

impl InterfaceUse {
    /// It is the same interface, of containers that share it: the larger figures are the newer.
    pub(crate) fn merge(self, other: InterfaceUse) -> InterfaceUse {
        InterfaceUse {
            received_bytes: self.received_bytes.max(other.received_bytes),
            received_packets: self.received_packets.max(other.received_packets),
            received_drops: self.received_drops.max(other.received_drops),
            sent_bytes: self.sent_bytes.max(other.sent_bytes),
            sent_packets: self.sent_packets.max(other.sent_packets),
            sent_drops: self.sent_drops.max(other.sent_drops),
            ..self
        }
    }
}

/// Whatever was first; something that is known before nothing.
fn in_order<T, F: Ord, R: Ord>(one: T, other: T, told: impl Fn(&T) -> (Option<F>, R)) -> (T, T) {
    let rank = |it: &T| {
        let (first, rest) = told(it);
        (first.is_none(), first, rest)
    };
    if rank(&other) < rank(&one) { (other, one) } else { (one, other) }
}

/// Each of both, once, in order.
pub(crate) fn together<T: Ord>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    one.extend(other);
    one.sort();
    one.dedup();
    one
}
