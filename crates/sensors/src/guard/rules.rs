//! What the guards are told of deeds that are not programs.

use std::net::IpAddr;

use super::maps::{find, read, write};
use super::{Deed, GuardError, Guards, maps};
use crate::guard_bpf::types::{capability_limit, deed, peer_classes, peer_key, peer_limit};
use crate::record::{self, Plain};

/// Addresses that may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first of them.
    pub address: IpAddr,
    /// How many bits of it they have in common.
    pub bits: u8,
}

// SAFETY: each is made of fixed-width integers and arrays of them (`guard_net.bpf.c`).
unsafe impl Plain for peer_key {}
// SAFETY: as above.
unsafe impl Plain for peer_classes {}

impl Network {
    fn key(self, port: Option<u16>) -> peer_key {
        let (address, most, first) = match self.address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32, peer_limit::PEER_CLASSES_IPV6.0),
            IpAddr::V6(address) => (address.to_bits(), 128, 0),
        };
        let bits = u32::from(self.bits).min(most);
        let kept = address & u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let [high, low] = [(kept >> 64) as u64, kept as u64];
        peer_key { high, low, class: first + bits, port: u32::from(port.unwrap_or(0)) }
    }
}

impl Guards {
    /// Denies all deeds of this kind.
    pub fn deny_kind(&self, kind: Deed, number: u32) -> Result<(), GuardError> {
        self.change_mask("deed_policies", kind.kernel().0, |mask| mask | 1 << number)
    }

    /// Denies connections to these addresses, at one port or all.
    pub fn deny_peer(&self, network: Network, port: Option<u16>, number: u32) -> Result<(), GuardError> {
        let key = network.key(port);
        self.mark("denied_peers", record::bytes(&key), number)?;
        self.change_classes(|classes| classes.policies[key.class as usize] |= 1 << number)
    }

    /// Denies that this port is listened on, or any.
    pub fn deny_port(&self, port: Option<u16>, number: u32) -> Result<(), GuardError> {
        self.mark("denied_ports", &u32::from(port.unwrap_or(0)).to_ne_bytes(), number)?;
        self.change_mask("denied_listeners", 0, |mask| mask | 1 << number)
    }

    /// Denies that this capability is used.
    pub fn deny_capability(&self, capability: u8, number: u32) -> Result<(), GuardError> {
        self.change_mask("denied_capabilities", u32::from(capability), |mask| mask | 1 << number)
    }

    /// Forgets what this policy denies by arrays; `MASKS` has the rest.
    pub(super) fn forget_rules(&self, number: u32) -> Result<(), GuardError> {
        let kinds = [deed::DEED_MOUNT, deed::DEED_PTRACE, deed::DEED_MODULE].map(|kind| ("deed_policies", kind.0));
        let capabilities = (0..capability_limit::CAPABILITIES.0).map(|number| ("denied_capabilities", number));
        for (map, key) in kinds.into_iter().chain(capabilities).chain([("denied_listeners", 0)]) {
            self.change_mask(map, key, |mask| mask & !(1 << number))?;
        }
        self.change_classes(|classes| classes.policies.iter_mut().for_each(|mask| *mask &= !(1 << number)))
    }

    fn change_mask(&self, map: &'static str, key: u32, change: impl FnOnce(u64) -> u64) -> Result<(), GuardError> {
        let _alone = self.pins.alone()?;
        let handle = find(self.object(), map)?;
        let key = key.to_ne_bytes();
        let old = maps::look_up(&handle, map, &key)?.map_or(0, |mask| maps::mask_of(&mask));
        match change(old) {
            new if new == old => Ok(()),
            new => write(&handle, map, &key, &new.to_ne_bytes()),
        }
    }

    fn change_classes(&self, change: impl FnOnce(&mut peer_classes)) -> Result<(), GuardError> {
        let _alone = self.pins.alone()?;
        let map = find(self.object(), "denied_classes")?;
        let mut classes: peer_classes = read(&map, "denied_classes", 0)?;
        change(&mut classes);
        write(&map, "denied_classes", &0_u32.to_ne_bytes(), record::bytes(&classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str, bits: u8) -> (u64, u64, u32) {
        let network = Network { address: address.parse().expect("an address"), bits };
        let key = network.key(Some(80));
        assert_eq!(key.port, 80);
        (key.high, key.low, key.class)
    }

    #[test]
    fn a_network_is_kept_by_its_first_bits_and_their_number() {
        assert_eq!(key("10.1.2.3", 8), (0x0a00_0000_0000_0000, 0, 129 + 8));
        assert_eq!(key("0.0.0.0", 0), (0, 0, 129));
        assert_eq!(key("255.255.255.255", 32), (0xffff_ffff_0000_0000, 0, 129 + 32));
        assert_eq!(key("2001:db8::1", 128), (0x2001_0db8_0000_0000, 1, 128));
        assert_eq!(key("2001:db8::1", 64), (0x2001_0db8_0000_0000, 0, 64));
        assert_eq!(key("::", 0), (0, 0, 0));
    }
}
