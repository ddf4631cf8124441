//! `/proc/PID/net/dev`: the interfaces of a process's network namespace, and what went through them.

use super::{ParseError, lines, number};

/// One interface. Bytes are those of whole frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: Vec<u8>,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets that came and were dropped.
    pub received_drops: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets that were to be sent and were dropped.
    pub sent_drops: u64,
}

/// Two lines of heading.
const HEADING: usize = 2;

/// Reads the file: net/core/net-procfs.c (6.18), `dev_seq_printf_stats`.
pub fn parse_interfaces(bytes: &[u8]) -> Result<Vec<Interface>, ParseError> {
    lines(bytes).skip(HEADING).map(|(line, text)| interface(line, text)).collect()
}

/// A name may have a colon in it, the numbers have none.
fn interface(line: usize, text: &[u8]) -> Result<Interface, ParseError> {
    let wrong = |field| ParseError { line, field };
    let colon = text.iter().rposition(|&byte| byte == b':').ok_or(wrong("interface"))?;
    let fields = text[colon + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let numbers: Option<Vec<u64>> = fields.map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() >= 16).ok_or(wrong("counter"))?;
    Ok(Interface {
        name: text[..colon].trim_ascii_start().to_vec(),
        received_bytes: numbers[0],
        received_packets: numbers[1],
        received_drops: numbers[3],
        sent_bytes: numbers[8],
        sent_packets: numbers[9],
        sent_drops: numbers[11],
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse_interfaces;

    const FILE: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1170      18    0    0    0     0          0         0     1170      18    0    0    0     0       0          0
eth0:1: 9 8 7 6 5 4 3 2 19 18 17 16 15 14 13 12
";

    #[test]
    fn each_line_is_an_interface() {
        let interfaces = parse_interfaces(FILE.as_bytes()).expect("the file is valid");

        let [lo, other] = &interfaces[..] else { panic!("{interfaces:?}") };
        assert_eq!((lo.name.as_slice(), lo.received_bytes, lo.sent_packets), (&b"lo"[..], 1170, 18));
        assert_eq!(other.name, b"eth0:1");
        assert_eq!((other.received_bytes, other.received_packets, other.received_drops), (9, 8, 6));
        assert_eq!((other.sent_bytes, other.sent_packets, other.sent_drops), (19, 18, 16));
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        let error = parse_interfaces(&FILE.as_bytes()[..FILE.len() - 20]).expect_err("a line is not whole");

        assert_eq!((error.line, error.field), (4, "counter"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse_interfaces(&bytes);
        }
    }
}
