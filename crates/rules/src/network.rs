//! Addresses and networks as rules write them.

use core::net::IpAddr;

/// An address, or all that begin like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `fe80::/10`, or an address alone.
    pub(crate) fn parse(text: &[u8]) -> Option<Network> {
        let text = std::str::from_utf8(text).ok()?;
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => bits,
        };
        (prefix <= bits).then_some(Network { address, prefix })
    }

    /// Whether this address is in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (u32::from(ours) ^ u32::from(theirs)) & mask == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (u128::from(ours) ^ u128::from(theirs)) & mask == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        let contains = |network: &str, address: &str| {
            let network = Network::parse(network.as_bytes()).expect("a network");
            network.contains(address.parse().expect("an address"))
        };
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("172.16.0.0/12", "172.31.0.1", true),
            ("172.16.0.0/12", "172.32.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0", "0.0.0.0", true),
            ("0.0.0.0", "0.0.0.1", false),
            ("fe80::/10", "febf::1", true),
            ("fe80::/10", "fec0::1", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
            ("0.0.0.0/0", "::1", false),
        ] {
            assert_eq!(contains(network, address), expected, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_none() {
        for wrong in ["", "10", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::/129", "example.com", "10.0.0.0/8/8"] {
            assert_eq!(Network::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
