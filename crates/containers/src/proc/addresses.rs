//! The addresses of a network namespace, as `/proc/PID/net` has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Those of IPv4 in `fib_trie`: the leaves of all tables that are marked `/32 host LOCAL` (`fib_trie_seq_show` of
/// net/ipv4/fib_trie.c, 6.18). Lines of another form are skipped; each address comes once, in order.
pub fn parse_fib_trie(bytes: &[u8]) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            addresses.extend(leaf.map(IpAddr::V4));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Those of IPv6 in `if_inet6`: 32 hexadecimal digits at the start of each line (`if6_seq_show` of net/ipv6/addrconf.c,
/// 6.18). Lines of another form are skipped; each address comes once, in order.
pub fn parse_if_inet6(bytes: &[u8]) -> Vec<IpAddr> {
    let address = |line: &str| {
        let digits = line.split(' ').next().filter(|digits| digits.len() == 32)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        Some(IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?)))
    };
    let mut addresses: Vec<IpAddr> = String::from_utf8_lossy(bytes).lines().filter_map(address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse_fib_trie, parse_if_inet6};

    /// As 6.18 has it, of a host with a bridge.
    const TRIE: &[u8] = b"Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 172.17.0.1
        /32 host LOCAL
Local:
     |-- 172.17.0.1
        /32 host LOCAL
";

    #[test]
    fn only_addresses_of_the_host_itself_are_taken() {
        let addresses: Vec<String> = parse_fib_trie(TRIE).iter().map(ToString::to_string).collect();

        assert_eq!(addresses, ["127.0.0.1", "172.17.0.1"]);
    }

    #[test]
    fn ipv6_is_taken_from_its_digits() {
        let table = b"fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
            00000000000000000000000000000001 01 80 10 80       lo\nnothing\n";

        let addresses: Vec<String> = parse_if_inet6(table).iter().map(ToString::to_string).collect();

        assert_eq!(addresses, ["::1", "fe80::fc:ff:fe00:1"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..TRIE.len()) {
            let _ = (parse_fib_trie(&bytes), parse_if_inet6(&bytes), parse_fib_trie(&TRIE[..cut]));
        }
    }
}
