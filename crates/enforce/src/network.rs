//! Addresses and ports that policies name, and capabilities.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use sensors::guard::Network;
use serde::{Deserialize, Serialize};

use crate::PolicyError;

/// Whom nobody may connect to: `*`, an address or a network, and a port of it if not all are meant: `10.0.0.0/8`,
/// `192.0.2.1:443`, `[2001:db8::/32]:443`, `*:25`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Peer {
    /// None: all.
    network: Option<(IpAddr, u8)>,
    port: Option<u16>,
}

impl Peer {
    /// The networks that the kernel is told; all addresses are one of each family.
    pub(crate) fn networks(&self) -> Vec<Network> {
        let all = [(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)];
        let networks = self.network.map_or_else(|| all.to_vec(), |network| vec![network]);
        networks.into_iter().map(|(address, bits)| Network { address, bits }).collect()
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Peer {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Peer, PolicyError> {
        let wrong = |why: String| PolicyError::Peer { peer: text.to_owned(), why };
        let (network, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inner, after) = rest.split_once(']').ok_or_else(|| wrong("its `[` has no `]`".into()))?;
                if !inner.contains(':') {
                    return Err(wrong("in `[…]` stands an IPv6 address or network".into()));
                }
                match after.strip_prefix(':') {
                    Some(port) => (inner, Some(port)),
                    None if after.is_empty() => (inner, None),
                    None => return Err(wrong("behind `]` stands nothing or `:PORT`".into())),
                }
            }
            None => match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => (text, None),
                Some((network, port)) => (network, Some(port)),
                None => (text, None),
            },
        };
        let port =
            port.map(|port| parse_port(port).ok_or_else(|| wrong(format!("{port:?} is no port from 1 to 65535"))));
        let network = match network {
            "*" => None,
            network => Some(parse_network(network).map_err(wrong)?),
        };
        Ok(Peer { network, port: port.transpose()? })
    }
}

fn parse_network(text: &str) -> Result<(IpAddr, u8), String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) => parse_number(bits)
            .and_then(|bits| u8::try_from(bits).ok())
            .filter(|bits| *bits <= most)
            .ok_or_else(|| format!("{bits:?} is no length of a network from 0 to {most}"))?,
    };
    // The kernel sends them as IPv4.
    let (address, bits) = match address {
        IpAddr::V6(six) if bits >= 96 && six.to_ipv4_mapped().is_some() => (address.to_canonical(), bits - 96),
        _ => (address, bits),
    };
    let first = first_of(address, bits);
    match first == address {
        true => Ok((address, bits)),
        false => Err(format!("{address} is not the first address of its network: write {first}/{bits}")),
    }
}

fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => {
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0)))
        }
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0)))
        }
    }
}

/// Digits alone: no sign, as `parse` would take.
fn parse_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn parse_port(text: &str) -> Option<u16> {
    parse_number(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

impl From<Peer> for String {
    fn from(peer: Peer) -> String {
        let network = match peer.network {
            None => "*".to_owned(),
            Some((address, bits)) if bits == if address.is_ipv4() { 32 } else { 128 } => address.to_string(),
            Some((address, bits)) => format!("{address}/{bits}"),
        };
        match peer.port {
            None => network,
            Some(port) if network.contains(':') => format!("[{network}]:{port}"),
            Some(port) => format!("{network}:{port}"),
        }
    }
}

impl TryFrom<String> for Peer {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Peer, PolicyError> {
        text.parse()
    }
}

/// A port that nobody may listen on: its number, or `*` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Port(pub(crate) Option<u16>);

impl FromStr for Port {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Port, PolicyError> {
        match text {
            "*" => Ok(Port(None)),
            _ => parse_port(text).map(|port| Port(Some(port))).ok_or_else(|| PolicyError::Port(text.to_owned())),
        }
    }
}

impl From<Port> for String {
    fn from(port: Port) -> String {
        port.0.map_or_else(|| "*".to_owned(), |port| port.to_string())
    }
}

impl TryFrom<String> for Port {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Port, PolicyError> {
        text.parse()
    }
}

/// A capability by any of the ways to write it: `CAP_NET_RAW`, `net_raw`.
pub fn capability(text: &str) -> Result<event::Capability, PolicyError> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    name.parse().map_err(|_| PolicyError::Capability(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        text.parse::<Peer>().ok().map(String::from)
    }

    #[test]
    fn a_peer_is_an_address_a_network_or_all_with_a_port_or_without() {
        for (written, read) in [
            ("*", "*"),
            ("*:25", "*:25"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8:443", "10.0.0.0/8:443"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32:1", "192.0.2.1:1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("[2001:db8::/32]:443", "[2001:db8::/32]:443"),
            ("[::1]", "::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("[::ffff:10.1.2.3]:80", "10.1.2.3:80"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(canonical(written).as_deref(), Some(read), "{written}");
            assert_eq!(canonical(read).as_deref(), Some(read), "{read}");
        }
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for wrong in [
            "",
            ":80",
            "*:",
            "*:0",
            "*:65536",
            "*:+1",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "example.org",
            "example.org:80",
            "[10.0.0.1]:80",
            "[::1",
            "[::1]80",
            "::1/129",
            "2001:db8::1/32",
            "*/8",
            "10.0.0.1:80:80",
        ] {
            assert_eq!(canonical(wrong), None, "{wrong}");
        }
        let said = "10.1.2.3/8".parse::<Peer>().expect_err("it has bits behind the network").to_string();
        assert!(said.contains("write 10.0.0.0/8"), "{said}");
    }

    #[test]
    fn all_peers_are_those_of_both_families() {
        let all: Peer = "*:25".parse().expect("a peer");
        let networks = all.networks();
        assert_eq!(
            networks.iter().map(|network| (network.address.is_ipv4(), network.bits)).collect::<Vec<_>>(),
            [(true, 0), (false, 0)]
        );
        assert_eq!(all.port(), Some(25));
    }

    #[test]
    fn a_port_is_a_number_or_all_of_them() {
        assert_eq!("*".parse(), Ok(Port(None)));
        assert_eq!("8080".parse(), Ok(Port(Some(8080))));
        for wrong in ["0", "65536", "", "http", "+1", "1-2"] {
            assert_eq!(wrong.parse::<Port>(), Err(PolicyError::Port(wrong.into())), "{wrong}");
        }
    }

    #[test]
    fn a_capability_has_its_name_with_or_without_its_beginning() {
        for text in ["CAP_NET_RAW", "net_raw", "NET_RAW", "cap_net_raw"] {
            assert_eq!(capability(text).map(|it| it.to_string()), Ok("CAP_NET_RAW".into()), "{text}");
        }
        assert!(capability("raw").is_err() && capability("").is_err());
    }
}
