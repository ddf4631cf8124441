//! What is done with sockets.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{Text, decimal};
use crate::{Device, Errno, RunId};

/// Which side began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The other end.
    In,
    /// The container.
    Out,
}

impl Direction {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
        }
    }
}

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP, over IPv4 or IPv6.
    Tcp,
    /// UDP (and UDP-Lite), over IPv4 or IPv6.
    Udp,
    /// ICMP, over IPv4 or IPv6, of a socket for ping or a raw one.
    Icmp,
    /// Another protocol over a raw socket.
    Raw,
    /// SCTP.
    Sctp,
    /// Multipath TCP.
    Mptcp,
    /// A unix socket of type stream.
    UnixStream,
    /// A unix socket of type datagram.
    UnixDatagram,
    /// A unix socket of type seqpacket.
    UnixSeqpacket,
    /// A socket between a virtual machine and its host.
    Vsock,
    /// Something else.
    Other,
}

impl Protocol {
    /// Every protocol, in the order of their numbers in the kernel side.
    pub const ALL: [Protocol; 11] = [
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Icmp,
        Protocol::Raw,
        Protocol::Sctp,
        Protocol::Mptcp,
        Protocol::UnixStream,
        Protocol::UnixDatagram,
        Protocol::UnixSeqpacket,
        Protocol::Vsock,
        Protocol::Other,
    ];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
            Protocol::Raw => "raw",
            Protocol::Sctp => "sctp",
            Protocol::Mptcp => "mptcp",
            Protocol::UnixStream => "unix-stream",
            Protocol::UnixDatagram => "unix-datagram",
            Protocol::UnixSeqpacket => "unix-seqpacket",
            Protocol::Vsock => "vsock",
            Protocol::Other => "other",
        }
    }

    /// Whether its addresses are paths and names.
    pub fn is_unix(self) -> bool {
        matches!(self, Protocol::UnixStream | Protocol::UnixDatagram | Protocol::UnixSeqpacket)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionEnd {
    /// The container closed it first.
    ClosedHere,
    /// The other end closed it first.
    ClosedByPeer,
    /// The container broke it off.
    ResetHere,
    /// The other end broke it off.
    ResetByPeer,
    /// Nothing came any more.
    TimedOut,
}

impl ConnectionEnd {
    /// Every end, in the order of their numbers in the kernel side.
    pub const ALL: [ConnectionEnd; 5] = [
        ConnectionEnd::ClosedHere,
        ConnectionEnd::ClosedByPeer,
        ConnectionEnd::ResetHere,
        ConnectionEnd::ResetByPeer,
        ConnectionEnd::TimedOut,
    ];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionEnd::ClosedHere => "closed-here",
            ConnectionEnd::ClosedByPeer => "closed-by-peer",
            ConnectionEnd::ResetHere => "reset-here",
            ConnectionEnd::ResetByPeer => "reset-by-peer",
            ConnectionEnd::TimedOut => "timed-out",
        }
    }
}

/// A number that has a name in most cases; in text the name, else the number.
macro_rules! named_number {
    ($(#[$about:meta])* $type:ident, $pattern:literal, $names:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub u16);

        impl $type {
            /// The name; the number if it has none here.
            pub fn name(self) -> Cow<'static, str> {
                match $names.iter().find(|(number, _)| *number == self.0) {
                    Some((_, name)) => Cow::Borrowed(name),
                    None => Cow::Owned(self.0.to_string()),
                }
            }

            /// What [`Self::name`] gives this text for.
            pub fn parse(text: &str) -> Option<$type> {
                let named = $names.iter().find(|(_, name)| *name == text).map(|(number, _)| $type(*number));
                named.or_else(|| text.parse().ok().map($type).filter(|it| it.name() == text))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.name())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                $type::parse(&text).ok_or_else(|| {
                    serde::de::Error::custom(format_args!("{text:?} is neither a name that is known here nor a number"))
                })
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

named_number! {
    /// The family of a socket: `inet`, `inet6`, `unix` and so on; its number if it has no name here.
    SocketFamily, "^[a-z0-9-]+$", FAMILIES
}

named_number! {
    /// The type of a socket: `stream`, `datagram` and so on; its number if it has no name here.
    SocketType, "^[a-z0-9-]+$", TYPES
}

/// AF_* of include/linux/socket.h (6.18), without those whose code is gone.
const FAMILIES: &[(u16, &str)] = &[
    (0, "unspecified"),
    (1, "unix"),
    (2, "inet"),
    (3, "ax25"),
    (5, "appletalk"),
    (9, "x25"),
    (10, "inet6"),
    (15, "key"),
    (16, "netlink"),
    (17, "packet"),
    (21, "rds"),
    (29, "can"),
    (30, "tipc"),
    (31, "bluetooth"),
    (33, "rxrpc"),
    (38, "alg"),
    (39, "nfc"),
    (40, "vsock"),
    (41, "kcm"),
    (42, "qipcrtr"),
    (43, "smc"),
    (44, "xdp"),
    (45, "mctp"),
];

/// enum sock_type of include/linux/net.h (6.18).
const TYPES: &[(u16, &str)] =
    &[(1, "stream"), (2, "datagram"), (3, "raw"), (4, "rdm"), (5, "seqpacket"), (6, "dccp"), (10, "packet")];

/// A socket was made, or was to be: all of one kind, and how many they have been until now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketUsed {
    /// The family.
    pub family: SocketFamily,
    /// The type.
    pub socket_type: SocketType,
    /// The protocol that was asked for, as the family numbers it; 0 stands for the usual one.
    pub protocol: u32,
    /// How it failed; none if it did not.
    pub errno: Option<Errno>,
    /// How many.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
}

/// Somebody can reach the container here: it listens, or has bound a socket that takes datagrams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenUsed {
    /// The protocol.
    pub protocol: Protocol,
    /// The address: of IP, `::` and `0.0.0.0` standing for all; a path; or, behind an `@`, an abstract name.
    #[schemars(example = &"0.0.0.0")]
    pub address: Text,
    /// The port; 0 if the protocol has none.
    pub port: u32,
    /// The network namespace's number, as `/proc/PID/ns/net` shows it.
    pub namespace: u32,
    /// The file system that the name of a unix socket lies in.
    pub device: Device,
    /// The inode number of that name; 0 if it has none.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub inode: u64,
    /// How often.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
}

/// What went to and from one peer, over one port: for the container or for the other end, whoever began it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowUsed {
    /// Which side began it.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// The other end: an IP address, or the number of a virtual machine. Of unix sockets the name that was connected to,
    /// whichever end has it: a path, or, behind an `@`, an abstract name. `*` stands for all others, beyond those that are
    /// listed; empty if it is not known.
    #[schemars(example = &"172.17.0.3")]
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
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub inode: u64,
    /// How the attempts failed; none if these did not.
    pub errno: Option<Errno>,
    /// How many connections, or attempts that failed. Without connections: how many sockets.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub connections: u64,
    /// What was sent and received.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How the connections ended, in the order of [`ConnectionEnd::ALL`].
    pub ends: Vec<u32>,
    /// How long it took to connect; none if nothing was measured.
    pub connect_time: Option<Durations>,
}

/// What was sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Bytes that were sent, without headers; of TCP each once.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub sent_bytes: u64,
    /// Bytes that were received, without headers.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub received_bytes: u64,
    /// Segments of TCP, else messages, that were sent.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub sent_packets: u64,
    /// Segments of TCP, else messages, that were received.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub received_packets: u64,
    /// Segments of TCP that were sent again.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub retransmits: u64,
}

impl Traffic {
    /// Both together.
    pub fn plus(self, other: Traffic) -> Traffic {
        self.zip(other, u64::saturating_add)
    }

    /// The larger of each.
    pub fn max(self, other: Traffic) -> Traffic {
        self.zip(other, u64::max)
    }

    fn zip(self, other: Traffic, with: fn(u64, u64) -> u64) -> Traffic {
        Traffic {
            sent_bytes: with(self.sent_bytes, other.sent_bytes),
            received_bytes: with(self.received_bytes, other.received_bytes),
            sent_packets: with(self.sent_packets, other.sent_packets),
            received_packets: with(self.received_packets, other.received_packets),
            retransmits: with(self.retransmits, other.retransmits),
        }
    }
}

/// How long something took, each time it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Durations {
    /// How often.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
    /// The shortest, in nanoseconds.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub min_ns: u64,
    /// The longest, in nanoseconds.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub max_ns: u64,
    /// All together, in nanoseconds.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub total_ns: u64,
}

impl Durations {
    /// Those of both.
    pub fn plus(self, other: Durations) -> Durations {
        Durations {
            count: self.count.saturating_add(other.count),
            min_ns: self.min_ns.min(other.min_ns),
            max_ns: self.max_ns.max(other.max_ns),
            total_ns: self.total_ns.saturating_add(other.total_ns),
        }
    }
}

/// The other end of connections turned out to be a container, too: the kernel had both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerFound {
    /// Which side began it.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// The other end, as in the flow.
    pub address: Text,
    /// The port, as in the flow.
    pub port: u32,
    /// The run of the other container.
    pub peer: RunId,
    /// What the other container calls the end that was connected to: it differs where addresses are translated.
    pub address_there: Text,
    /// The port as the other container has it.
    pub port_there: u32,
    /// How many connections.
    #[serde(with = "decimal")]
    #[schemars(with = "decimal::Digits")]
    pub count: u64,
}

/// A message of DNS, over UDP or TCP, that was not the same as one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsMessage {
    /// Which side asked.
    pub direction: Direction,
    /// Whether it is an answer; else a question.
    pub is_answer: bool,
    /// The name that was asked for, without the dot at its end. This and the type are empty if it is something else that
    /// goes over the port of DNS.
    #[schemars(example = &"example.org")]
    pub name: Text,
    /// What was asked for: `A`, `AAAA`, `MX` and so on, or `TYPE65535`.
    pub record_type: Text,
    /// What became of it: 0 no error, 2 the server failed, 3 no such name; RFC 6895 has the others.
    pub code: u32,
    /// The addresses that it was answered with.
    pub addresses: Vec<Text>,
    /// The names that it is another name of (CNAME).
    pub aliases: Vec<Text>,
    /// The other end: of a question the server that was asked.
    pub server: Text,
}

/// The beginning of a TLS connection of the container's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsHello {
    /// The address that it was sent to.
    pub address: Text,
    /// The port.
    pub port: u32,
    /// The server's name, as the client asked for it (RFC 6066); empty if it asked for none.
    #[schemars(example = &"example.org")]
    pub server_name: Text,
    /// The protocols that it offered to speak, such as `h2` (RFC 7301).
    pub protocols: Vec<Text>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_types_are_names_or_numbers_and_survive_it() {
        for number in 0..=u16::MAX {
            assert_eq!(SocketFamily::parse(&SocketFamily(number).name()), Some(SocketFamily(number)));
            assert_eq!(SocketType::parse(&SocketType(number).name()), Some(SocketType(number)));
        }
        assert_eq!((SocketFamily(10).name(), SocketFamily(200).name()), ("inet6".into(), "200".into()));
        for wrong in ["", "INET", "2", "+200", "0200", "70000"] {
            assert_eq!(SocketFamily::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_in_json_are_those_of_reports() {
        for protocol in Protocol::ALL {
            assert_eq!(serde_json::to_string(&protocol).expect("json"), format!("{:?}", protocol.name()));
        }
        for end in ConnectionEnd::ALL {
            assert_eq!(serde_json::to_string(&end).expect("json"), format!("{:?}", end.name()));
        }
    }
}
