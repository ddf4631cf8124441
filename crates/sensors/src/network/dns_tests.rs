//! The messages are those of dig 9.18 and dnsmasq 2.90, as they were on the wire.

use event::Text;
use proptest::prelude::*;

use super::{Dns, parse, parse_tcp};

const ADDRESSES: &str = "280385800001000200000001026462076578616d706c65036f72670000010001c00c00010001000000000004c0000207c00c0001\
    0001000000000004c000020800002904d0000000000000";
const ALIASES: &str = "30758580000100040000000103575757074578616d706c65036f72670000010001c00c0005000100000000001103776562076578\
    616d706c65036f726700c02d00050001000000000010026462076578616d706c65036f726700c04a00010001000000000004c0000208c04a000100010000\
    00000004c000020700002904d0000000000000";
const NO_SUCH_NAME: &str =
    "657581830001000000000001076e6f7468657265076578616d706c65036f7267000001000100002904d0000000000000";
const TWO_OVER_TCP: &str = "003801070120000100000000000103777777076578616d706c65036f7267000001000100002904d000000000000c000a0008d3fd\
    c7f322b34c4c0037208401200001000000000001026462076578616d706c65036f726700001c000100002904d000000000000c000a0008d3fdc7f322b34c4c";

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte");
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn question(name: &str, record_type: &str) -> Dns {
    Dns {
        is_answer: false,
        name: name.into(),
        record_type: record_type.into(),
        code: 0,
        addresses: Vec::new(),
        aliases: Vec::new(),
    }
}

fn answer(name: &str, record_type: &str, addresses: &[&str]) -> Dns {
    let addresses = addresses.iter().map(|it| Text::from(*it)).collect();
    Dns { is_answer: true, addresses, ..question(name, record_type) }
}

#[test]
fn a_question_has_its_name_and_its_type() {
    for (hex, name, record_type) in [
        (
            "280301200001000000000001026462076578616d706c65036f7267000001000100002904d000000000000c000a00087132b8194c4dba5f",
            "db.example.org",
            "A",
        ),
        (
            "bcb401200001000000000001076578616d706c65036f726700fde7000100002904d000000000000c000a0008ed549a77c1bfdcc7",
            "example.org",
            "TYPE64999",
        ),
        ("70f001200001000000000001000002000100002904d000000000000c000a000889fb950e26a4a76f", ".", "NS"),
    ] {
        assert_eq!(parse(&bytes(hex)), Some(question(name, record_type)));
    }
}

#[test]
fn every_byte_of_a_label_is_kept_and_its_dots_are_told_from_those_between_labels() {
    // dig 'a\.b\\c\000\255.example.org' TXT
    let hex = "008a0120000100000000000107612e625c6300ff076578616d706c65036f7267000010000100002904d000000000000c000a0008\
        70d74f5323b165c5";

    let name = parse(&bytes(hex)).expect("a question").name;

    assert_eq!(name, Text::new(*b"a\\.b\\\\c\0\xff.example.org"));
    assert_eq!(name.shown(), r"a\\.b\\\\c\u{0}\xff.example.org");
}

#[test]
fn an_answer_has_the_addresses_of_both_families() {
    let four = parse(&bytes(ADDRESSES));
    let six = parse(&bytes(
        "7a6a85800001000100000001026462076578616d706c65036f726700001c0001c00c001c000100000000001020010db8000000000000\
         00000000000700002904d0000000000000",
    ));

    assert_eq!(four, Some(answer("db.example.org", "A", &["192.0.2.7", "192.0.2.8"])));
    assert_eq!(six, Some(answer("db.example.org", "AAAA", &["2001:db8::7"])));
}

#[test]
fn aliases_lead_from_the_name_to_its_addresses_whatever_their_case() {
    let parsed = parse(&bytes(ALIASES));

    let aliases = vec!["web.example.org".into(), "db.example.org".into()];
    assert_eq!(parsed, Some(Dns { aliases, ..answer("WWW.Example.org", "A", &["192.0.2.8", "192.0.2.7"]) }));
}

#[test]
fn an_answer_says_that_there_is_no_such_name() {
    assert_eq!(parse(&bytes(NO_SUCH_NAME)), Some(Dns { code: 3, ..answer("nothere.example.org", "A", &[]) }));
}

#[test]
fn the_upper_bits_of_the_code_are_in_the_record_of_edns() {
    let mut message = bytes(NO_SUCH_NAME);
    let option = message.len() - 11;
    // Its name, type and class are five bytes. BADVERS is 16: one, and none of the lower four bits.
    message[option + 5] = 1;
    message[3] &= 0xf0;

    assert_eq!(parse(&message).map(|it| it.code), Some(16));
    message.truncate(option);
    assert_eq!(parse(&message).map(|it| it.code), Some(0));
}

#[test]
fn addresses_of_other_names_are_not_those_of_the_name() {
    // The first record's owner becomes `example.org`; and those of a service stand in the additional part.
    let mut message = bytes(ADDRESSES);
    let owner = message.windows(2).position(|it| it == [0xc0, 0x0c]).expect("a pointer");
    message[owner + 1] = 0x0f;
    let service = parse(&bytes(
        "0bfd85800001000100000004055f68747470045f746370076578616d706c65036f72670000210001c00c0021000100000000001600000000\
         0050026462076578616d706c65036f726700c03a00010001000000000004c0000207c03a00010001000000000004c0000208c03a001c0001\
         00000000001020010db800000000000000000000000700002904d0000000000000",
    ));

    assert_eq!(parse(&message), Some(answer("db.example.org", "A", &["192.0.2.8"])));
    assert_eq!(service, Some(answer("_http._tcp.example.org", "SRV", &[])));
}

#[test]
fn what_is_whole_before_the_cut_counts() {
    let message = bytes(ALIASES);

    let seen: Vec<_> = (0..=message.len())
        .map(|end| parse(&message[..end]).map(|it| (it.aliases.len(), it.addresses.len())))
        .collect();

    let question_end = 12 + "3WWW7Example3org0".len() + 4;
    assert!(seen.iter().position(Option::is_some) == Some(question_end) && seen.is_sorted());
    assert_eq!(seen.last(), Some(&Some((2, 2))));
    for stage in [(0, 0), (1, 0), (2, 0), (2, 1)] {
        assert!(seen.contains(&Some(stage)), "{stage:?}");
    }
}

#[test]
fn over_tcp_every_message_has_its_length_before_it() {
    let stream = bytes(TWO_OVER_TCP);
    let [first, second] = [question("www.example.org", "A"), question("db.example.org", "AAAA")];

    assert_eq!(parse_tcp(&stream), [first.clone(), second.clone()]);
    assert_eq!(parse_tcp(&stream[..2 + 0x38 + 2 + 40]), [first.clone(), second]);
    assert_eq!(parse_tcp(&stream[..2 + 0x38 + 1]), [first]);
    assert_eq!(parse_tcp(&[0; 64]), []);
}

#[test]
fn over_tcp_the_length_may_have_come_before() {
    let stream = bytes(TWO_OVER_TCP);

    assert_eq!(parse_tcp(&stream[..2]), []);
    assert_eq!(parse_tcp(&stream[2..2 + 0x38]), [question("www.example.org", "A")]);
    assert_eq!(parse_tcp(&bytes(ALIASES)), Vec::from_iter(parse(&bytes(ALIASES))));
    // What is no question with its length is none about the root without.
    let mut update = stream[..2 + 0x38].to_vec();
    update[4] = 0x28;
    assert_eq!(parse_tcp(&update), []);
}

#[test]
fn what_is_no_question_about_a_name_is_nothing() {
    let question = bytes("280301200001000000000000026462076578616d706c65036f72670000010001");
    let changed = |at: usize, byte: u8| {
        let mut message = question.clone();
        message[at] = byte;
        parse(&message)
    };

    assert!(parse(&question).is_some());
    assert_eq!(changed(2, 0x29), None, "an update (RFC 2136)");
    assert_eq!(changed(5, 0), None, "no question");
    assert_eq!(changed(12, 0x42), None, "a label of type 01");
    assert_eq!(changed(12, 0x82), None, "a label of type 10");
    assert_eq!(changed(15, 63), None, "a label beyond the end");
    for other in [&b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[..], b"", &[0; 512], &[0xff; 512]] {
        assert_eq!(parse(other), None);
    }
}

#[test]
fn a_pointer_leads_only_backwards() {
    let mut message = bytes(ADDRESSES);
    let owner = message.windows(2).position(|it| it == [0xc0, 0x0c]).expect("a pointer");
    let at = |place: usize| [0xc0 | u8::try_from(place >> 8).expect("small"), (place & 0xff) as u8];

    // To itself, to what comes later, and into the header.
    for target in [owner, owner + 1, owner + 12, 0xff, 4] {
        message[owner..owner + 2].copy_from_slice(&at(target));
        assert_eq!(parse(&message), Some(answer("db.example.org", "A", &[])), "{target}");
    }
    // Round in a circle: in the question, from its second label to its first.
    let mut circle = bytes("280301200001000000000000026462c00c00010001");
    assert_eq!(parse(&circle), None);
    circle[15..17].copy_from_slice(&[1, b'x']);
    circle.insert(17, 0);
    assert_eq!(parse(&circle), Some(question("db.x", "A")));
}

#[test]
fn aliases_that_come_round_end() {
    let mut message = message_head(2);
    push_name(&mut message, &[b"a".to_vec()]);
    message.extend([0, 1, 0, 1]);
    for (owner, target) in [("a", "b"), ("b", "A")] {
        push_name(&mut message, &[owner.into()]);
        message.extend([0, 5, 0, 1, 0, 0, 0, 9, 0, 3]);
        push_name(&mut message, &[target.into()]);
    }

    assert_eq!(parse(&message), Some(Dns { aliases: vec!["b".into()], ..answer("a", "A", &[]) }));
}

/// The head of an answer to one question, with so many records.
fn message_head(answers: u8) -> Vec<u8> {
    vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]
}

fn push_name(message: &mut Vec<u8>, labels: &[Vec<u8>]) {
    for label in labels {
        message.push(label.len().try_into().expect("at most 63 bytes"));
        message.extend(label);
    }
    message.push(0);
}

/// The labels of a name in text, by the rules of RFC 1035, section 5.1.
fn labels_of(name: &[u8]) -> Vec<Vec<u8>> {
    let mut labels = vec![Vec::new()];
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'.' => labels.push(Vec::new()),
            b'\\' => labels.last_mut().expect("one").push(*bytes.next().expect("something is escaped")),
            _ => labels.last_mut().expect("one").push(byte),
        }
    }
    labels
}

fn any_name() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![Just(b'.'), Just(b'\\'), any::<u8>()];
    prop::collection::vec(prop::collection::vec(byte, 1..=63), 1..=8)
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(message in prop::collection::vec(any::<u8>(), 0..600)) {
        parse(&message);
        parse_tcp(&message);
    }

    #[test]
    fn a_message_with_any_changes_makes_no_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        end in any::<prop::sample::Index>(),
    ) {
        let mut message = bytes(ALIASES);
        for (place, byte) in changes {
            let place = place.index(message.len());
            message[place] = byte;
        }
        parse(&message[..end.index(message.len())]);
    }

    #[test]
    fn a_name_can_be_told_from_every_other(labels in any_name()) {
        let mut message = message_head(0);
        push_name(&mut message, &labels);
        let is_too_long = message.len() - 12 > 255;
        message.extend([0, 1, 0, 1]);

        match parse(&message) {
            None => prop_assert!(is_too_long),
            Some(parsed) => prop_assert_eq!((labels_of(parsed.name.as_bytes()), is_too_long), (labels, false)),
        }
    }

    #[test]
    fn a_compressed_name_is_the_same_name(labels in any_name(), split in any::<prop::sample::Index>()) {
        let split = split.index(labels.len());
        // The question has the end of it, the alias's target points there; and the question's name is the alias.
        let mut message = message_head(1);
        push_name(&mut message, &labels[split..]);
        message.extend([0, 1, 0, 1, 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0]);
        let mut target: Vec<u8> = labels[..split].iter().flat_map(|it| [&[it.len() as u8], &it[..]].concat()).collect();
        target.extend([0xc0, 12]);
        message.extend(u16::try_from(target.len()).expect("short").to_be_bytes());
        message.extend(target);
        let fits = labels.iter().map(|it| it.len() + 1).sum::<usize>() < 255;

        let aliases = parse(&message).map(|it| it.aliases).unwrap_or_default();

        match &aliases[..] {
            [] => prop_assert!(!fits || split == 0, "it leads to itself"),
            [alias] => prop_assert_eq!((labels_of(alias.as_bytes()), fits), (labels, true)),
            more => prop_assert!(false, "{:?}", more),
        }
    }
}
