//! The first message of a TLS client (RFC 8446, section 4.1.2): which server it asks for, and to speak what.
//!
//! It is read as far as the kernel side copied it. With Encrypted Client Hello, the name is the one that it shows to all.

use event::{Text, TlsHello};

/// ContentType.handshake.
const HANDSHAKE: u8 = 22;
/// HandshakeType.client_hello.
const CLIENT_HELLO: u8 = 1;
/// Of a record's body (RFC 8446, section 5.1).
const MAX_RECORD_BYTES: usize = 1 << 14;
/// What is before the body of a handshake message: its type and its length.
const MESSAGE_HEAD_BYTES: usize = 4;
/// RFC 6066, section 3.
const SERVER_NAME: usize = 0;
const HOST_NAME: usize = 0;
/// RFC 7301, section 3.1.
const PROTOCOLS: usize = 16;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The server's name; empty if it asks for none.
    pub(crate) server_name: Text,
    /// The protocols that it offers to speak, the favourite first.
    pub(crate) protocols: Vec<Text>,
    /// Whether the message goes on behind the bytes, so that what was not found may be there.
    pub(crate) is_cut: bool,
}

impl Hello {
    /// The same, to this address.
    pub(crate) fn sent_to(self, address: Text, port: u32) -> TlsHello {
        TlsHello { address, port, server_name: self.server_name, protocols: self.protocols }
    }
}

/// The hello that these bytes, the first of a connection, begin with; none if it is something else.
pub(crate) fn server_name(bytes: &[u8]) -> Option<Hello> {
    let message = first_message(bytes)?;
    let (head, rest) = message.split_first_chunk::<MESSAGE_HEAD_BYTES>()?;
    let [CLIENT_HELLO, length @ ..] = *head else { return None };
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut fields = Fields { bytes: &rest[..length.min(rest.len())] };
    let is_cut = rest.len() < length;

    let [major, _minor] = fields.take()?;
    let _random: [u8; 32] = fields.take()?;
    if major != 3 {
        return None;
    }
    let mut hello = Hello { is_cut, ..Hello::default() };
    // Where the end is missing, what came before it stands.
    match hello.read(&mut fields) {
        Some(()) => Some(hello),
        None => is_cut.then_some(hello),
    }
}

/// The first message of the handshake, which may be spread over records, as far as it is there.
fn first_message(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Fields { bytes };
    let mut message = Vec::new();
    while let Some([HANDSHAKE, 3, _minor]) = fields.take() {
        let Some(length) = fields.u16().filter(|length| (1..=MAX_RECORD_BYTES).contains(length)) else { break };
        message.extend_from_slice(&fields.bytes[..length.min(fields.bytes.len())]);
        if fields.block(length).is_none() {
            break;
        }
    }
    (!message.is_empty()).then_some(message)
}

impl Hello {
    fn read(&mut self, fields: &mut Fields<'_>) -> Option<()> {
        let _session = fields.u8().and_then(|length| fields.block(length))?;
        let _suites = fields.u16().and_then(|length| fields.block(length))?;
        let _compressions = fields.u8().and_then(|length| fields.block(length))?;
        // TLS 1.2 has hellos without extensions.
        if fields.bytes.is_empty() && !self.is_cut {
            return Some(());
        }
        let length = fields.u16()?;
        let there = length.min(fields.bytes.len());
        let mut extensions = Fields { bytes: &fields.bytes[..there] };
        while !extensions.bytes.is_empty() {
            let number = extensions.u16()?;
            let mut extension = extensions.u16().and_then(|length| extensions.block(length))?;
            match number {
                // None may stand there twice (RFC 8446, section 4.2): the first one counts.
                SERVER_NAME if self.server_name.is_empty() => self.server_name = extension.server_name()?,
                PROTOCOLS if self.protocols.is_empty() => self.protocols = extension.protocols()?,
                _ => {}
            }
        }
        (there == length).then_some(())
    }
}

/// What is left of a message. Each part that is taken is whole, or nothing is taken.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<usize> {
        self.take::<1>().map(|[byte]| byte.into())
    }

    fn u16(&mut self) -> Option<usize> {
        self.take().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn block(&mut self, length: usize) -> Option<Fields<'a>> {
        let (bytes, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(Fields { bytes })
    }

    /// The first name of a host in the list; nothing else was ever defined.
    fn server_name(&mut self) -> Option<Text> {
        let mut list = self.u16().and_then(|length| self.block(length))?;
        while !list.bytes.is_empty() {
            let kind = list.u8()?;
            let name = list.u16().and_then(|length| list.block(length))?;
            if kind == HOST_NAME {
                return Some(Text::new(name.bytes));
            }
        }
        Some(Text::default())
    }

    fn protocols(&mut self) -> Option<Vec<Text>> {
        let mut list = self.u16().and_then(|length| self.block(length))?;
        let mut protocols = Vec::new();
        while !list.bytes.is_empty() {
            let name = list.u8().and_then(|length| list.block(length))?;
            protocols.push(Text::new(name.bytes));
        }
        Some(protocols)
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
