//! `/proc/PID/net/tcp` and its like: the sockets of a network namespace, by the inode number that descriptors show.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ParseError, lines, number};

/// A file of sockets, by its name in `/proc/PID/net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketTable {
    /// TCP over IPv4.
    Tcp,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp,
    /// UDP over IPv6.
    Udp6,
    /// Raw sockets over IPv4.
    Raw,
    /// Raw sockets over IPv6.
    Raw6,
    /// Unix sockets.
    Unix,
}

impl SocketTable {
    /// Every table.
    pub const ALL: [SocketTable; 7] = [
        SocketTable::Tcp,
        SocketTable::Tcp6,
        SocketTable::Udp,
        SocketTable::Udp6,
        SocketTable::Raw,
        SocketTable::Raw6,
        SocketTable::Unix,
    ];

    /// The name of the file.
    pub fn name(self) -> &'static str {
        match self {
            SocketTable::Tcp => "tcp",
            SocketTable::Tcp6 => "tcp6",
            SocketTable::Udp => "udp",
            SocketTable::Udp6 => "udp6",
            SocketTable::Raw => "raw",
            SocketTable::Raw6 => "raw6",
            SocketTable::Unix => "unix",
        }
    }

    fn is_of_ip6(self) -> bool {
        matches!(self, SocketTable::Tcp6 | SocketTable::Udp6 | SocketTable::Raw6)
    }
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketEntry {
    /// Its inode number, as in the target of a descriptor's link: `socket:[4711]`. 0 once nobody has it open.
    pub inode: u64,
    /// Its state, as the kernel numbers it (`TCP_ESTABLISHED` is 1, `TCP_LISTEN` 10; of unix sockets `SS_CONNECTED` is 3).
    pub state: u8,
    /// Its ends.
    pub ends: SocketAddresses,
}

/// What a socket is bound and connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketAddresses {
    /// Over IP: the end here and the other one. Nothing is connected where the other one is all zero.
    Ip {
        /// Here.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// A unix socket's name, if it has one: a path, or, behind an `@`, an abstract name.
    Unix(Option<Vec<u8>>),
}

/// Reads one of the files. Each begins with a line of titles.
pub fn parse_sockets(table: SocketTable, bytes: &[u8]) -> Result<Vec<SocketEntry>, ParseError> {
    let entries = lines(bytes).skip(1);
    match table {
        SocketTable::Unix => entries.map(|(line, text)| unix(line, text)).collect(),
        _ => entries.map(|(line, text)| ip(line, text, table.is_of_ip6())).collect(),
    }
}

/// net/ipv4/tcp_ipv4.c (6.18), `get_tcp4_sock`; the others are alike up to the inode.
fn ip(line: usize, text: &[u8], is_of_ip6: bool) -> Result<SocketEntry, ParseError> {
    let wrong = |field| ParseError { line, field };
    let mut fields = text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let local = fields.nth(1).and_then(|text| address(text, is_of_ip6)).ok_or(wrong("local address"))?;
    let remote = fields.next().and_then(|text| address(text, is_of_ip6)).ok_or(wrong("remote address"))?;
    let state = fields.next().and_then(|text| hexadecimal(text, 2)).ok_or(wrong("state"))?;
    let inode = fields.nth(5).and_then(number).ok_or(wrong("inode"))?;
    Ok(SocketEntry { inode, state: state as u8, ends: SocketAddresses::Ip { local, remote } })
}

/// The words of an address stand as numbers of the machine, whose bytes are in the order of the network.
fn address(text: &[u8], is_of_ip6: bool) -> Option<SocketAddr> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let (digits, port) = (&text[..colon], hexadecimal(&text[colon + 1..], 4)?);
    if digits.len() != if is_of_ip6 { 32 } else { 8 } {
        return None;
    }
    let mut bytes = [0; 16];
    for (word, place) in digits.chunks_exact(8).zip(bytes.chunks_exact_mut(4)) {
        place.copy_from_slice(&hexadecimal(word, 8)?.to_ne_bytes());
    }
    let ip = if is_of_ip6 {
        IpAddr::V6(Ipv6Addr::from(bytes))
    } else {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    };
    Some(SocketAddr::new(ip, port as u16))
}

/// So many hexadecimal digits.
fn hexadecimal(digits: &[u8], count: usize) -> Option<u32> {
    let is_plain = digits.len() == count && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    u32::from_str_radix(digits, 16).ok()
}

/// net/unix/af_unix.c (6.18), `unix_seq_show`: number, references, protocol, flags, type, state, inode, and the name, which may
/// have blanks in it.
fn unix(line: usize, text: &[u8]) -> Result<SocketEntry, ParseError> {
    let wrong = |field| ParseError { line, field };
    let mut rest = text;
    let mut field = || {
        let begin = rest.iter().position(|byte| *byte != b' ')?;
        let end = rest[begin..].iter().position(|byte| *byte == b' ').map_or(rest.len(), |end| begin + end);
        let field = &rest[begin..end];
        rest = &rest[end..];
        Some(field)
    };
    let state = (0..6).map(|_| field()).last().flatten().and_then(|text| hexadecimal(text, 2)).ok_or(wrong("state"))?;
    let inode = field().and_then(number).ok_or(wrong("inode"))?;
    let name = rest.strip_prefix(b" ").filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
    Ok(SocketEntry { inode, state: state as u8, ends: SocketAddresses::Unix(name) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SocketAddresses, SocketTable, parse_sockets};

    const TITLES: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn ends(table: SocketTable, line: &str) -> (u64, u8, String, String) {
        let sockets = parse_sockets(table, format!("{TITLES}{line}\n").as_bytes()).expect("the file is valid");
        let [socket] = &sockets[..] else { panic!("{sockets:?}") };
        match &socket.ends {
            SocketAddresses::Ip { local, remote } => {
                (socket.inode, socket.state, local.to_string(), remote.to_string())
            }
            SocketAddresses::Unix(name) => {
                let name = name.as_deref().map(|name| String::from_utf8_lossy(name).into_owned());
                (socket.inode, socket.state, name.unwrap_or_default(), String::new())
            }
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_those_of_the_wire() {
        let line = "   0: 0100007F:1F90 0201A8C0:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30";
        let expected = (4711, 1, "127.0.0.1:8080".to_owned(), "192.168.1.2:50000".to_owned());
        assert_eq!(ends(SocketTable::Tcp, line), expected);

        let line =
            "  13: 00000000000000000000000001000000:0016 B80D01200000000000000000010000FF:0050 0A 0:0 0:0 0 0 0 9 1";
        let expected = (9, 10, "[::1]:22".to_owned(), "[2001:db8::ff00:1]:80".to_owned());
        assert_eq!(ends(SocketTable::Tcp6, line), expected);
    }

    #[test]
    fn a_name_keeps_its_blanks() {
        let line = "0000000000000000: 00000003 00000000 00010000 0001 01 12 /run/a  b ";
        assert_eq!(ends(SocketTable::Unix, line), (12, 1, "/run/a  b ".to_owned(), String::new()));

        let line = "0000000000000000: 00000003 00000000 00000000 0001 03 13";
        assert_eq!(ends(SocketTable::Unix, line), (13, 3, String::new(), String::new()));
    }

    #[test]
    fn what_is_no_such_line_is_named() {
        let field = |table, line: &str| parse_sockets(table, format!("t\n{line}\n").as_bytes()).map_err(|it| it.field);

        assert_eq!(field(SocketTable::Tcp, "0: 0100007F:1F90"), Err("remote address"));
        assert_eq!(field(SocketTable::Tcp6, "0: 0100007F:1F90 0100007F:1F90 01"), Err("local address"));
        assert_eq!(field(SocketTable::Udp, "0: 0100007F:1F90 0100007F:1F90 01 0:0 0:0 0 0 0"), Err("inode"));
        assert_eq!(field(SocketTable::Unix, "0: 1 2 3 4"), Err("state"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for table in SocketTable::ALL {
                let _ = parse_sockets(table, &bytes);
            }
        }
    }
}
