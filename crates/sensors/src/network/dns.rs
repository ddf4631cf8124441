//! Messages of DNS (RFC 1035), as a container sent or received them: cut where the kernel side stopped to copy.
//!
//! What is whole before the cut counts. Public parsers take whole messages only, so this is our own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use event::{Direction, DnsMessage, Text};

/// RFC 1035, section 4.1.1.
const HEADER_BYTES: usize = 12;
/// RFC 1035, section 2.3.4: with the length before each label, and the empty one at the end.
const MAX_NAME_BYTES: usize = 255;
/// The class of the internet: an address elsewhere is something else.
const IN: u16 = 1;
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
/// Part of a message and not of its data (RFC 6891).
const OPT: u16 = 41;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dns {
    /// Whether it is an answer; else a question.
    pub(crate) is_answer: bool,
    /// The name that was asked for, as it was sent and without the dot at its end; the root is `.`. In a label, a dot is
    /// `\.` and a backslash `\\`; every other byte is itself.
    pub(crate) name: Text,
    /// What was asked for: `A`, or `TYPE65535` if the number has no name here (RFC 3597).
    pub(crate) record_type: Text,
    /// What became of it, as far as the message goes: the upper eight bits stand at its end (RFC 6891). 0 of a question.
    pub(crate) code: u32,
    /// The addresses of that name, or of what it is another name of, in the message's order and each once.
    pub(crate) addresses: Vec<Text>,
    /// The names that it is another name of, each of the one before.
    pub(crate) aliases: Vec<Text>,
}

impl Dns {
    /// The same, of one who asks or of one who is asked, and with this address at the other end.
    pub(crate) fn message(self, direction: Direction, server: Text) -> DnsMessage {
        let Dns { is_answer, name, record_type, code, addresses, aliases } = self;
        DnsMessage { direction, is_answer, name, record_type, code, addresses, aliases, server }
    }
}

/// One message, or its beginning; none if it is not a question about a name, nor the answer to one. Of several questions
/// in one message, which servers refuse (RFC 9619), it is the first.
pub(crate) fn parse(bytes: &[u8]) -> Option<Dns> {
    let mut message = Message { bytes, at: 0 };
    let _id = message.u16()?;
    let flags = message.u16()?;
    let [questions, answers, authorities, additional] =
        [message.u16()?, message.u16()?, message.u16()?, message.u16()?];
    let is_query = (flags >> 11) & 0xf == 0;
    if !is_query || questions == 0 {
        return None;
    }
    let name = message.name()?;
    let record_type = message.u16()?;
    let _class = message.u16()?;
    let mut dns = Dns {
        is_answer: flags & 0x8000 != 0,
        name: Text::new(&name),
        record_type: type_name(record_type),
        code: 0,
        addresses: Vec::new(),
        aliases: Vec::new(),
    };
    if dns.is_answer {
        dns.code = u32::from(flags & 0xf);
        // What is not there any more, or not well-formed, ends the message: what came before it stands.
        let _ = message.answers(&mut dns, &name, [questions - 1, answers, authorities, additional]);
    }
    Some(dns)
}

/// The messages in what was sent or received over a connection at once, each behind its length (RFC 1035, section 4.2.2). The
/// last may be cut. Where the length went by itself, as when the C library reads it first, it is one message: but not one
/// about the root, for which the head of a message with a length would be taken.
pub(crate) fn parse_tcp(bytes: &[u8]) -> Vec<Dns> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (message, tail) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        found.extend(parse(message));
        rest = tail;
    }
    if found.is_empty() {
        found.extend(parse(bytes).filter(|message| message.name.as_bytes() != b"."));
    }
    found
}

/// A message, and how far it was read.
struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The head of a record.
struct Record {
    /// In lower case: DNS takes `A` and `a` for the same (RFC 4343).
    owner: Vec<u8>,
    record_type: u16,
    class: u16,
    /// Of an OPT the flags.
    ttl: u32,
    data_bytes: usize,
}

impl Message<'_> {
    fn answers(
        &mut self,
        dns: &mut Dns,
        name: &[u8],
        [questions, answers, authorities, additional]: [u16; 4],
    ) -> Option<()> {
        for _ in 0..questions {
            self.name()?;
            self.take::<4>()?;
        }
        let mut aliases = BTreeMap::new();
        let mut addresses = Vec::new();
        let read = self.records(answers, &mut aliases, &mut addresses);
        dns.follow(name, &aliases, &addresses);
        read?;
        for _ in 0..u32::from(authorities) + u32::from(additional) {
            let record = self.record()?;
            if record.record_type == OPT {
                dns.code |= (record.ttl >> 24) << 4;
            }
            self.skip(record.data_bytes)?;
        }
        Some(())
    }

    /// Who is another name of whom, and who has which address.
    fn records(
        &mut self,
        count: u16,
        aliases: &mut BTreeMap<Vec<u8>, Vec<u8>>,
        addresses: &mut Vec<(Vec<u8>, String)>,
    ) -> Option<()> {
        for _ in 0..count {
            let record = self.record()?;
            let end = self.at + record.data_bytes;
            match (record.class, record.record_type, record.data_bytes) {
                (IN, A, 4) => addresses.push((record.owner, Ipv4Addr::from(self.take::<4>()?).to_string())),
                (IN, AAAA, 16) => addresses.push((record.owner, Ipv6Addr::from(self.take::<16>()?).to_string())),
                (IN, CNAME, _) => {
                    let target = self.name()?;
                    aliases.entry(record.owner).or_insert(target);
                }
                _ => {}
            }
            self.at = end;
        }
        Some(())
    }

    fn record(&mut self) -> Option<Record> {
        Some(Record {
            owner: self.name()?.to_ascii_lowercase(),
            record_type: self.u16()?,
            class: self.u16()?,
            ttl: u32::from_be_bytes(self.take()?),
            data_bytes: self.u16()?.into(),
        })
    }

    /// A name in the form of [`Dns::name`].
    ///
    /// A pointer leads to what was before everything that was read of the name until then, so no two lead to the same,
    /// and never into the header.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut wire_bytes = 1;
        let mut behind = None;
        let mut part = self.at;
        loop {
            let length = usize::from(self.take::<1>()?[0]);
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    wire_bytes += 1 + length;
                    if wire_bytes > MAX_NAME_BYTES {
                        return None;
                    }
                    let label = self.bytes.get(self.at..self.at + length)?;
                    self.at += length;
                    push_label(&mut name, label);
                }
                3 => {
                    let target = (length & 0x3f) << 8 | usize::from(self.take::<1>()?[0]);
                    behind.get_or_insert(self.at);
                    if target < HEADER_BYTES || target >= part {
                        return None;
                    }
                    (part, self.at) = (target, target);
                }
                // Those of RFC 6891, section 5, and of nothing.
                _ => return None,
            }
        }
        self.at = behind.unwrap_or(self.at);
        if name.is_empty() {
            name.push(b'.');
        }
        Some(name)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len()).then_some(())
    }
}

impl Dns {
    /// From the name that was asked for from one alias to the next, as far as they go or until they come round.
    fn follow(&mut self, name: &[u8], aliases: &BTreeMap<Vec<u8>, Vec<u8>>, addresses: &[(Vec<u8>, String)]) {
        let mut current = name.to_ascii_lowercase();
        let mut chain = BTreeSet::new();
        while chain.insert(current.clone()) {
            let Some(target) = aliases.get(&current) else { break };
            current = target.to_ascii_lowercase();
            if !chain.contains(&current) {
                self.aliases.push(Text::new(target));
            }
        }
        let mut known = BTreeSet::new();
        let of_the_name = addresses.iter().filter(|(owner, _)| chain.contains(owner));
        self.addresses =
            of_the_name.filter(|(_, it)| known.insert(it)).map(|(_, it)| Text::from(it.as_str())).collect();
    }
}

fn push_label(name: &mut Vec<u8>, label: &[u8]) {
    if !name.is_empty() {
        name.push(b'.');
    }
    for &byte in label {
        if matches!(byte, b'.' | b'\\') {
            name.push(b'\\');
        }
        name.push(byte);
    }
}

fn type_name(number: u16) -> Text {
    match TYPES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => Text::from(*name),
        None => Text::from(format!("TYPE{number}")),
    }
}

/// IANA's registry of record types, those that are in use.
const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
