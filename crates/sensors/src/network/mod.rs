//! `network`: sockets that are made, where a container can be reached, whom it talks to and how much, and what its peers are
//! called.
//!
//! Four sets that stay in the kernel, so that nothing in them is lost; the first of each entry is also an event: sockets by
//! family, type and protocol; listeners; flows by direction, protocol, peer and the port of whoever did not begin it; and
//! pairs, where the kernel has both ends of a connection and both are in containers.
//!
//! - *TCP* is seen where the kernel changes a connection's state (`inet_sock_set_state`) and where `connect` and `accept`
//!   return. What went over it is what the kernel itself counts, read when it ends, and at every snapshot from those that
//!   are open. Bytes are those of the stream, each once, retransmits apart; packets are segments, those without data
//!   included.
//! - *UDP, ICMP, raw and unix sockets* are counted by message, where the call that sent or took it returns. Who was first
//!   began the flow. Unix sockets go by the name that was connected to, whichever side that is on.
//! - *Names*: messages of DNS (port 53 over UDP and TCP) and the first message of TLS connections that the container makes,
//!   as the program passed them.
//!
//! The same on every kernel from 5.10.
//!
//! It misses connections that were open before the sensors were, and sockets that are handed to the container open, until
//! they are used for something that is seen where it is done; listeners that were there before; what io_uring and `io_submit`
//! send and take over sockets other than TCP, and what io_uring accepts; messages moved by `splice`; calls that x32 has under
//! numbers of its own; what packet sockets and vsock carry, beyond that they are made, bound and connected; and of more
//! than 64 messages in one `sendmmsg` or `recvmmsg` the rest, which is counted as lost. `connect` by UDP sends nothing, and is
//! not told. What a call passed is read when it returns: another thread may have changed it. An answer that is taken without
//! asking who sent it is that of the only one that the socket had sent to; else its sender is not known.
//!
//! Multipath TCP is counted as `mptcp`, by calls, beside those TCP connections that it makes and the kernel shows. Of the messages
//! that a container sends or takes on port 53, 4,096 different ones are told, and of the answers to one question the first 32; of
//! the connections of one flow the first 64 that begin with TLS. 8,192 sockets and whom they talk to are remembered at a time, of
//! the whole machine: beyond, those that were silent for longest are counted once more when they speak again.

pub(crate) mod dns;
pub(crate) mod tls;

use std::net::Ipv6Addr;

use event::{
    ConnectionEnd, Device, Direction, DnsMessage, Durations, Errno, FlowUsed, ListenUsed, Payload, PeerFound, Protocol,
    SocketFamily, SocketType, SocketUsed, Text, TlsHello, Total, Traffic,
};

use crate::bpf::types::{
    flow_key, flow_sample, listener_sample, message_sample, network_call, network_direction, network_kind, open_sample,
    pair_sample, socket_sample, traffic, unix_name,
};
use crate::record::{self, DecodeError, Plain};
use crate::{Call, Program, Sensor, Set, ring, sets};

pub(crate) const SENSOR: Sensor = Sensor { sets: SETS, calls: CALLS, ..Sensor::new(PROGRAMS, decode) };

const PROGRAMS: &[Program] = &[Program::on("tp_btf/inet_sock_set_state", "on_tcp_state")];

const SETS: &[Set] = &[
    Set {
        map: "made_sockets",
        walk: "read_sockets",
        record_bytes: size_of::<socket_sample>(),
        decode: sets::told,
    },
    Set {
        map: "listeners",
        walk: "read_listeners",
        record_bytes: size_of::<listener_sample>(),
        decode: sets::told,
    },
    // Before the connections: one that ends meanwhile is then missing until the next time, and not there twice.
    Set { map: "flows", walk: "read_flows", record_bytes: size_of::<flow_sample>(), decode: sets::told },
    Set {
        map: "connections",
        walk: "read_connections",
        record_bytes: size_of::<open_sample>(),
        decode: |record| ring::decode(record).map(|event| Total::Open(Box::new(event))),
    },
    Set { map: "pairs", walk: "read_pairs", record_bytes: size_of::<pair_sample>(), decode: sets::told },
];

const fn call(name: &'static str, number: network_call, also_failed: bool) -> Call<'static> {
    Call { name, number: number.0 as u8, also_failed }
}

const CALLS: &[Call<'static>] = &[
    call("socket", network_call::NETWORK_CALL_SOCKET, true),
    call("bind", network_call::NETWORK_CALL_BIND, false),
    call("connect", network_call::NETWORK_CALL_CONNECT, true),
    call("listen", network_call::NETWORK_CALL_LISTEN, false),
    call("accept", network_call::NETWORK_CALL_ACCEPT, false),
    call("accept4", network_call::NETWORK_CALL_ACCEPT, false),
    call("socketcall", network_call::NETWORK_CALL_SOCKETCALL, true),
    call("read", network_call::NETWORK_CALL_READ, false),
    call("recv", network_call::NETWORK_CALL_READ, false),
    call("readv", network_call::NETWORK_CALL_READV, false),
    call("preadv2", network_call::NETWORK_CALL_READV, false),
    call("recvfrom", network_call::NETWORK_CALL_RECVFROM, false),
    call("recvmsg", network_call::NETWORK_CALL_RECVMSG, false),
    call("recvmmsg", network_call::NETWORK_CALL_RECVMMSG, false),
    call("recvmmsg_time64", network_call::NETWORK_CALL_RECVMMSG, false),
    call("write", network_call::NETWORK_CALL_WRITE, false),
    call("send", network_call::NETWORK_CALL_WRITE, false),
    call("writev", network_call::NETWORK_CALL_WRITEV, false),
    call("pwritev2", network_call::NETWORK_CALL_WRITEV, false),
    call("sendto", network_call::NETWORK_CALL_SENDTO, true),
    call("sendmsg", network_call::NETWORK_CALL_SENDMSG, true),
    call("sendmmsg", network_call::NETWORK_CALL_SENDMMSG, false),
    call("sendfile", network_call::NETWORK_CALL_SENDFILE, false),
    call("sendfile64", network_call::NETWORK_CALL_SENDFILE, false),
];

// SAFETY: integers and arrays of them only (`sockets.h`).
unsafe impl Plain for socket_sample {}
// SAFETY: as above.
unsafe impl Plain for listener_sample {}
// SAFETY: as above (`flows.h`).
unsafe impl Plain for flow_sample {}
// SAFETY: as above (`connections.h`).
unsafe impl Plain for open_sample {}
// SAFETY: as above (`pairs.h`).
unsafe impl Plain for pair_sample {}
// SAFETY: as above (`messages.h`).
unsafe impl Plain for message_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match network_kind(u32::from(kind)) {
        network_kind::NETWORK_SOCKET => decode_socket(bytes).map(Payload::Socket),
        network_kind::NETWORK_LISTENER => decode_listener(bytes).map(Payload::Listen),
        network_kind::NETWORK_FLOW => decode_flow(bytes).map(Payload::Flow),
        network_kind::NETWORK_OPEN => decode_open(bytes).map(Payload::Flow),
        network_kind::NETWORK_PAIR => decode_pair(bytes).map(Payload::Peer),
        network_kind::NETWORK_DNS => decode_dns(bytes).map(Payload::Dns),
        network_kind::NETWORK_TLS => decode_tls(bytes).map(Payload::Tls),
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

fn decode_socket(bytes: &[u8]) -> Result<SocketUsed, DecodeError> {
    let socket_sample { key, state, .. } = record::read::<socket_sample>(bytes)?;
    Ok(SocketUsed {
        family: SocketFamily(key.family),
        socket_type: SocketType(key.r#type),
        protocol: key.protocol,
        errno: errno(key.errno),
        count: state.count,
    })
}

fn decode_listener(bytes: &[u8]) -> Result<ListenUsed, DecodeError> {
    let listener_sample { key, state, .. } = record::read::<listener_sample>(bytes)?;
    let protocol = protocol(key.protocol)?;
    Ok(ListenUsed {
        protocol,
        // Nothing at all stands for every address here.
        address: if key.address == [0, 0] { ip(key.address) } else { address(protocol, key.address, &state.name) },
        port: port(protocol, key.port, key.address),
        namespace: key.namespace,
        device: device(&state.name),
        inode: state.name.inode,
        count: state.count,
    })
}

fn decode_flow(bytes: &[u8]) -> Result<FlowUsed, DecodeError> {
    let flow_sample { key, state, .. } = record::read::<flow_sample>(bytes)?;
    let (direction, protocol) = (direction(key.direction)?, protocol(key.protocol)?);
    let local_address = if protocol.is_unix() {
        // The name is that of the container's own end.
        if direction == Direction::In { text_of_name(&state.name) } else { Text::default() }
    } else if state.local_address == [0, 0] && state.local_port == 0 {
        Text::default()
    } else {
        ip(state.local_address)
    };
    Ok(FlowUsed {
        direction,
        protocol,
        address: flow_address(&key, protocol, &state.name),
        port: port(protocol, key.port, key.address),
        local_address,
        local_port: u32::from(state.local_port),
        namespace: state.namespace,
        device: device(&state.name),
        inode: state.name.inode,
        errno: errno(key.errno),
        connections: state.connections,
        traffic: traffic_of(&state.traffic),
        ends: state.ends[..ConnectionEnd::ALL.len()].to_vec(),
        connect_time: (state.connects > 0).then_some(Durations {
            count: state.connects,
            min_ns: state.connect_min_ns,
            max_ns: state.connect_max_ns,
            total_ns: state.connect_total_ns,
        }),
    })
}

fn decode_open(bytes: &[u8]) -> Result<FlowUsed, DecodeError> {
    let open_sample { key, traffic, .. } = record::read::<open_sample>(bytes)?;
    let (direction, protocol) = (direction(key.direction)?, protocol(key.protocol)?);
    Ok(FlowUsed {
        direction,
        protocol,
        address: flow_address(&key, protocol, &unix_name::default()),
        port: port(protocol, key.port, key.address),
        local_address: Text::default(),
        local_port: 0,
        namespace: 0,
        device: Device::default(),
        inode: 0,
        errno: errno(key.errno),
        connections: 0,
        traffic: traffic_of(&traffic),
        ends: Vec::new(),
        connect_time: None,
    })
}

fn decode_pair(bytes: &[u8]) -> Result<PeerFound, DecodeError> {
    let pair_sample { key, state, .. } = record::read::<pair_sample>(bytes)?;
    let (direction, protocol) = (direction(key.direction)?, protocol(key.protocol)?);
    Ok(PeerFound {
        direction,
        protocol,
        address: if key.is_rest != 0 { Text::from("*") } else { address(protocol, key.address, &state.name) },
        port: port(protocol, key.port, key.address),
        peer: record::run(key.peer_slot, key.peer_generation),
        address_there: address(protocol, state.address_there, &state.name),
        port_there: u32::from(state.port_there),
        count: state.count,
    })
}

/// Whatever goes over that port is told: what is no message of DNS, or cannot be read, has no name and no type.
fn decode_dns(bytes: &[u8]) -> Result<DnsMessage, DecodeError> {
    let (sample, message) = decode_message(bytes)?;
    let (server, direction) = (ip(sample.address), direction(sample.direction)?);
    let parsed = match protocol(sample.protocol)? {
        Protocol::Tcp => dns::parse_tcp(message).into_iter().next(),
        _ => dns::parse(message),
    };
    Ok(parsed.map(|it| it.message(direction, server.clone())).unwrap_or_else(|| DnsMessage {
        direction,
        is_answer: (sample.is_sent != 0) == (direction == Direction::In),
        name: Text::default(),
        record_type: Text::default(),
        code: 0,
        addresses: Vec::new(),
        aliases: Vec::new(),
        server,
    }))
}

fn decode_tls(bytes: &[u8]) -> Result<TlsHello, DecodeError> {
    let (sample, message) = decode_message(bytes)?;
    let (address, port) = (ip(sample.address), u32::from(sample.port));
    Ok(match tls::server_name(message) {
        Some(hello) => hello.sent_to(address, port),
        None => TlsHello { address, port, server_name: Text::default(), protocols: Vec::new() },
    })
}

/// The sample, and the bytes of the message behind it.
fn decode_message(bytes: &[u8]) -> Result<(message_sample, &[u8]), DecodeError> {
    let sample = record::read::<message_sample>(bytes)?;
    let needed = size_of::<message_sample>() + sample.bytes as usize;
    let message = bytes.get(size_of::<message_sample>()..needed);
    Ok((sample, message.ok_or(DecodeError::TooShort { got: bytes.len(), needed })?))
}

fn direction(number: u8) -> Result<Direction, DecodeError> {
    match network_direction(u32::from(number)) {
        network_direction::DIRECTION_OUT => Ok(Direction::Out),
        network_direction::DIRECTION_IN => Ok(Direction::In),
        _ => Err(DecodeError::UnknownValue(number)),
    }
}

pub(crate) fn protocol(number: u8) -> Result<Protocol, DecodeError> {
    Protocol::ALL.get(usize::from(number)).copied().ok_or(DecodeError::UnknownValue(number))
}

fn errno(number: u16) -> Option<Errno> {
    (number != 0).then_some(Errno(number))
}

fn traffic_of(of: &traffic) -> Traffic {
    Traffic {
        sent_bytes: of.sent_bytes,
        received_bytes: of.received_bytes,
        sent_packets: of.sent_packets,
        received_packets: of.received_packets,
        retransmits: of.retransmits,
    }
}

fn flow_address(key: &flow_key, protocol: Protocol, name: &unix_name) -> Text {
    if key.is_rest != 0 { Text::from("*") } else { address(protocol, key.address, name) }
}

/// What an address is called: words are in network order, an IPv4 address mapped into IPv6 (RFC 4291).
fn address(protocol: Protocol, words: [u64; 2], name: &unix_name) -> Text {
    match protocol {
        _ if protocol.is_unix() => text_of_name(name),
        Protocol::Vsock => Text::from(words[1].to_string().as_str()),
        // Of a message whose sender the program did not ask for.
        _ if words == [0, 0] => Text::default(),
        _ => ip(words),
    }
}

pub(crate) fn ip(words: [u64; 2]) -> Text {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&words[0].to_ne_bytes());
    bytes[8..].copy_from_slice(&words[1].to_ne_bytes());
    Text::from(Ipv6Addr::from(bytes).to_canonical().to_string().as_str())
}

/// A vsock port has 32 bits.
fn port(protocol: Protocol, port: u16, words: [u64; 2]) -> u32 {
    if protocol == Protocol::Vsock { words[0] as u32 } else { u32::from(port) }
}

/// A path ends at its first zero; an abstract name begins with one, and zeros in it are part of it.
pub(crate) fn text_of_name(name: &unix_name) -> Text {
    let bytes: Vec<u8> = name.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let bytes = &bytes[..(name.bytes as usize).min(bytes.len())];
    match bytes.split_first() {
        Some((0, rest)) => Text::new([b"@", rest].concat()),
        _ => Text::new(record::until_nul(bytes)),
    }
}

fn device(name: &unix_name) -> Device {
    if name.inode == 0 { Device::default() } else { Device::from_kernel(name.device) }
}

#[cfg(test)]
mod tests;
