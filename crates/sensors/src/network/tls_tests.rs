//! The messages are those of real clients, as they were on the wire.

use event::Text;
use proptest::prelude::*;

use super::{Hello, server_name};

/// openssl s_client -servername shop.example.org -alpn h2,http/1.1 (OpenSSL 3.0)
const OPENSSL: &str = "160301014f0100014b030326aa3acfe785bd2cee6007ec3fb068df703ea3a667cd6946e0558551cfd73e94209603e95b52a083a5bda2bb\
    b00af9c54413bc3447d4f2c8da262be266e480c36e003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039\
    c009c0130033009d009c003d003c0035002f00ff010000c400000015001300001073686f702e6578616d706c652e6f7267000b000403000102000a001600140\
    01d0017001e0019001801000101010201030104002300000010000e000c02683208687474702f312e310016000000170000000d002a0028040305030603080\
    708080809080a080b080408050806040105010601030303010302040205020602002b0009080304030303020301002d00020101003300260024001d00202a3\
    3ad9f2d2905e063208a8435467bd2f5fe5cffec5d644757cd6213aecf1158";

/// openssl s_client -noservername (OpenSSL 3.0)
const WITHOUT_NAME: &str = "1603010124010001200303fde195d45b5e70dab6f6f15eecba106213d754496359055018dde6a12d8f050420d7bc06860718032765a6f3\
    a0ccc832e327ab5f4e1cf688726199b1cee8f862b1003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac01400\
    39c009c0130033009d009c003d003c0035002f00ff01000099000b000403000102000a00160014001d0017001e0019001801000101010201030104002300000\
    016000000170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602002b000908030403030\
    3020301002d00020101003300260024001d00206b13f4766f36febdc584c954a3c4d106d313fa1e36a13fb6dabad5f7ad8e157c";

/// curl https://api.example.org:4433/ (7.88, OpenSSL 3.0), without the zeros that fill it up to 517 bytes
const CURL: &str = "1603010200010001fc0303e9fdb4aec01d371bfc8a521344760bf5e8b517781ab000d96a3ea53d55d8bd93204c2443278e9a013df11edbae8b1\
    97570141cda3f0e81dbecd23adcbeb5475d7d003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c00\
    9c0130033009d009c003d003c0035002f00ff0100017500000014001200000f6170692e6578616d706c652e6f7267000b000403000102000a00160014001d001\
    7001e00190018010001010102010301040010000e000c02683208687474702f312e31001600000017000000310000000d002a00280403050306030807080808\
    09080a080b080408050806040105010601030303010302040205020602002b0009080304030303020301002d00020101003300260024001d00203c1617b8156\
    e876933b52f944a55eed40cc7c671450c2afe945ff0e3c538807a001500ae";

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte");
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn hello(name: &str, protocols: &[&str]) -> Hello {
    let protocols = protocols.iter().map(|it| Text::from(*it)).collect();
    Hello { server_name: name.into(), protocols, is_cut: false }
}

/// The same message in records of at most so many bytes.
fn in_records_of(size: usize, record: &[u8]) -> Vec<u8> {
    let records = record[5..].chunks(size).flat_map(|part| {
        let length = u16::try_from(part.len()).expect("a record is short");
        [&[22, 3, 1], &length.to_be_bytes()[..], part].concat()
    });
    records.collect()
}

#[test]
fn a_hello_has_the_server_and_the_protocols() {
    assert_eq!(server_name(&bytes(OPENSSL)), Some(hello("shop.example.org", &["h2", "http/1.1"])));
    let mut curl = bytes(CURL);
    curl.resize(517, 0);
    assert_eq!(server_name(&curl), Some(hello("api.example.org", &["h2", "http/1.1"])));
}

#[test]
fn a_hello_without_a_name_has_none() {
    assert_eq!(server_name(&bytes(WITHOUT_NAME)), Some(hello("", &[])));
}

#[test]
fn what_is_whole_before_the_cut_counts_and_the_cut_is_told() {
    let whole = bytes(OPENSSL);

    let seen: Vec<_> = (0..whole.len()).map(|end| server_name(&whole[..end])).collect();

    // The head of the record and of the message, version and random are there.
    assert_eq!(seen.iter().position(Option::is_some), Some(5 + 4 + 2 + 32));
    assert!(seen.iter().flatten().all(|hello| hello.is_cut));
    let lengths = seen.iter().map(|it| it.as_ref().map(|it| (it.server_name.as_bytes().len(), it.protocols.len())));
    let mut stages: Vec<_> = lengths.collect();
    stages.dedup();
    assert_eq!(stages, [None, Some((0, 0)), Some((16, 0)), Some((16, 2))]);
}

#[test]
fn a_message_may_be_spread_over_records() {
    let whole = bytes(OPENSSL);

    for size in [1, 3, 100, 300] {
        let spread = in_records_of(size, &whole);
        assert_eq!(server_name(&spread), server_name(&whole), "{size}");
        let cut = server_name(&spread[..spread.len() - 1]).expect("its beginning");
        assert!(cut.is_cut && cut.server_name == Text::from("shop.example.org"));
    }
}

#[test]
fn what_follows_the_message_changes_nothing() {
    let mut message = bytes(OPENSSL);
    let alone = server_name(&message);

    message.extend([22, 3, 3, 0, 4, 14, 0, 0, 0, 20, 3, 3, 0, 1, 1]);

    assert_eq!(server_name(&message), alone);
}

#[test]
fn a_hello_of_tls_1_2_needs_no_extensions() {
    let mut message = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    message.extend([7; 32]);
    message.extend([0, 0, 2, 0, 0x2f, 1, 0]);

    assert_eq!(server_name(&message), Some(Hello::default()));
}

#[test]
fn what_is_no_hello_is_nothing() {
    let message = bytes(OPENSSL);
    let changed = |at: usize, byte: u8| {
        let mut message = message.clone();
        message[at] = byte;
        server_name(&message)
    };

    assert_eq!(changed(0, 23), None, "data");
    assert_eq!(changed(1, 2), None, "SSL 2");
    assert_eq!(changed(3, 0x41), None, "a record that is too long");
    assert_eq!(changed(5, 2), None, "the server's hello");
    assert_eq!(changed(9, 2), None, "SSL 2");
    for other in [&b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[..], b"", &[0; 512], &[22; 512]] {
        assert_eq!(server_name(other), None);
    }
}

#[test]
fn a_length_beyond_its_part_is_no_hello() {
    let message = bytes(OPENSSL);
    let list = message.windows(4).position(|it| it == *b"shop").expect("the name") - 5;

    // The list's, the name's.
    for length in [list + 1, list + 4] {
        let mut message = message.clone();
        message[length] += 1;
        assert_eq!(server_name(&message), None, "{length}");
    }
}

/// A hello with these two extensions and others around them.
fn written(name: &[u8], protocols: &[Vec<u8>]) -> Vec<u8> {
    let block = |bytes: &[u8]| [&u16::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat();
    let extension = |number: u8, body: &[u8]| [&[0, number], &block(body)[..]].concat();
    let host = [&[0], &block(name)[..]].concat();
    let offered: Vec<u8> = protocols.iter().flat_map(|it| [&[it.len() as u8], &it[..]].concat()).collect();
    let extensions = [
        extension(23, &[]),
        extension(16, &block(&offered)),
        extension(43, &[2, 3, 4]),
        extension(0, &block(&host)),
        extension(21, &[0; 40]),
    ]
    .concat();
    let body = [&[3, 3], &[9; 32][..], &[0, 0, 2, 0x13, 1, 1, 0], &block(&extensions)].concat();
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1], &block(&message)[..]].concat()
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(message in prop::collection::vec(any::<u8>(), 0..600)) {
        server_name(&message);
        server_name(&[&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], &message[..]].concat());
    }

    #[test]
    fn what_is_written_is_read(
        name in prop::collection::vec(any::<u8>(), 1..80),
        protocols in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..4),
        size in 1usize..200,
    ) {
        let message = written(&name, &protocols);
        let protocols = protocols.iter().map(Text::new).collect();

        let parsed = server_name(&in_records_of(size, &message));

        prop_assert_eq!(parsed, Some(Hello { server_name: Text::new(&name), protocols, is_cut: false }));
    }

    #[test]
    fn a_part_says_nothing_that_the_whole_does_not(
        name in prop::collection::vec(any::<u8>(), 1..80),
        end in any::<prop::sample::Index>(),
    ) {
        let message = written(&name, &[b"h2".to_vec()]);
        let whole = server_name(&message).expect("a hello");

        if let Some(part) = server_name(&message[..end.index(message.len())]) {
            prop_assert!(part.is_cut);
            prop_assert!(part.server_name.is_empty() || part.server_name == whole.server_name);
            prop_assert!(part.protocols.is_empty() || part.protocols == whole.protocols);
        }
    }
}
