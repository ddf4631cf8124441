//! Messages of DNS, over UDP and TCP, cut anywhere.

use event::{DnsMessage, Text};
use sensors::parse_dns;

use crate::laws::{assert_harmless, assert_survives_json};

/// A message of UDP is what a stream of one message says; one that is cut says nothing that the whole does not.
pub fn check(bytes: &[u8]) {
    let server = Text::from("192.0.2.53");
    let (message, stream) = parse_dns(bytes, &server);
    for message in message.iter().chain(&stream) {
        check_message(message, bytes.len());
    }
    if let Ok(length) = u16::try_from(bytes.len()) {
        let framed = [&length.to_be_bytes(), bytes].concat();
        let of_stream = parse_dns(&framed, &server).1;
        assert!(message.is_none() || of_stream == Vec::from_iter(message.clone()));
        assert!(of_stream.len() <= 1);
    }
    for cut in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let (part, part_of_stream) = parse_dns(&bytes[..cut], &server);
        if let Some(part) = part {
            let whole = message.as_ref().expect("nothing that was read before the cut is read otherwise");
            assert_eq!(
                (part.is_answer, &part.name, &part.record_type),
                (whole.is_answer, &whole.name, &whole.record_type)
            );
            assert_eq!(part.code & !whole.code, 0);
        }
        assert!(part_of_stream.len() <= stream.len());
    }
}

fn check_message(message: &DnsMessage, length: usize) {
    assert_survives_json(message);
    for text in [&message.name, &message.record_type].into_iter().chain(&message.aliases).chain(&message.addresses) {
        assert_harmless(&text.shown(), "");
    }
    // Of 253 bytes, each may be escaped.
    assert!(message.aliases.iter().chain([&message.name]).all(|name| (1..=2 * 253).contains(&name.as_bytes().len())));
    // A record is at least 11 bytes.
    assert!(message.aliases.len() + message.addresses.len() <= length / 11);
    assert!(message.is_answer || message.code == 0 && message.aliases.is_empty() && message.addresses.is_empty());
    for address in &message.addresses {
        let address = std::str::from_utf8(address.as_bytes()).expect("an address is written by us");
        address.parse::<std::net::IpAddr>().expect("it is an address");
    }
}
