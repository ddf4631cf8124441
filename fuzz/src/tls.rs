//! The first message of a TLS client, cut anywhere and in records of any length.

use event::Text;
use sensors::parse_tls;

use crate::laws::{assert_harmless, assert_survives_json};

/// The same message in other records says the same; one that is cut says nothing that the whole does not.
pub fn check(bytes: &[u8]) {
    let address = Text::from("192.0.2.80");
    let parse = |bytes: &[u8]| parse_tls(bytes, &address, 443);
    let Some((hello, is_cut)) = parse(bytes) else { return };

    assert_survives_json(&hello);
    let texts = || hello.protocols.iter().chain([&hello.server_name]);
    for text in texts() {
        assert_harmless(&text.shown(), "");
    }
    assert!(texts().map(|text| text.as_bytes().len()).sum::<usize>() <= bytes.len());

    let message = handshake(bytes);
    for size in [1, 7, 1 << 14] {
        let records = message.chunks(size).flat_map(|part| {
            let length = u16::try_from(part.len()).expect("no record is longer than 16 KiB");
            [&[22, 3, 3], &length.to_be_bytes()[..], part].concat()
        });
        assert_eq!(parse(&records.collect::<Vec<_>>()), Some((hello.clone(), is_cut)), "{size}");
    }
    for cut in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        // What follows a message is no part of it.
        if let Some((part, true)) = parse(&bytes[..cut]) {
            assert!(part.server_name.is_empty() || part.server_name == hello.server_name);
            assert!(part.protocols.is_empty() || part.protocols == hello.protocols);
        }
    }
}

/// What the records carry.
fn handshake(bytes: &[u8]) -> Vec<u8> {
    let mut carried = Vec::new();
    let mut rest = bytes;
    while let [22, 3, _, high, low, body @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > 1 << 14 {
            break;
        }
        let (record, tail) = body.split_at(length.min(body.len()));
        carried.extend(record);
        rest = tail;
    }
    carried
}
