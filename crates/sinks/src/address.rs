//! Where a host is: an address, or a name that `/etc/hosts` has.
//!
//! A static program cannot ask the C library for names, and whoever sends alerts should not depend on a server of names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::error::OpenError;

/// The address of a host and port.
pub(crate) fn find(host: &str, port: u16, hosts: &str) -> Result<SocketAddr, OpenError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = bare.parse::<IpAddr>().ok().or_else(|| named(bare, hosts));
    let found = found.or_else(|| (bare == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    found.map(|address| SocketAddr::new(address, port)).ok_or_else(|| OpenError::Host(host.to_owned()))
}

/// The file with names of this machine.
pub(crate) fn hosts() -> String {
    std::fs::read_to_string("/etc/hosts").unwrap_or_default()
}

fn named(name: &str, hosts: &str) -> Option<IpAddr> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_host_is_an_address_or_a_name_of_the_file() {
        let hosts = "127.0.0.1 localhost # here\n10.0.0.9  mail Alerts.example  \n";
        let at = |host: &str| find(host, 80, hosts).map(|address| address.to_string());

        assert_eq!(at("10.1.2.3").expect("an address"), "10.1.2.3:80");
        assert_eq!(at("[::1]").expect("an address"), "[::1]:80");
        assert_eq!(at("alerts.example").expect("a name"), "10.0.0.9:80");
        assert!(at("here").is_err() && at("nowhere.example").is_err());
    }
}
