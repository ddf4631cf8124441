//! Capabilities and sets of them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One capability; in text its name.
///
/// A kernel may have capabilities that are newer than this program: those are written with their number, `CAP_41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(u8);

impl Capability {
    /// The newest capability that has a name here.
    pub const LAST_NAMED: Capability = Capability(NAMES.len() as u8 - 1);

    /// The capability with this number; none from 64 on, for which the kernel's sets have no room.
    pub fn new(number: u8) -> Option<Capability> {
        (number < 64).then_some(Capability(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its name, as in `linux/capability.h`.
    pub fn name(self) -> Cow<'static, str> {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("CAP_{}", self.0)),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// A text that is no capability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no capability: it needs a name such as CAP_CHOWN, or `CAP_41` for a number without a name")]
pub struct ParseCapabilityError(String);

impl FromStr for Capability {
    type Err = ParseCapabilityError;

    /// Reads exactly what [`Capability`] is written as.
    fn from_str(text: &str) -> Result<Capability, ParseCapabilityError> {
        (0..64)
            .map(Capability)
            .find(|capability| capability.name() == text)
            .ok_or_else(|| ParseCapabilityError(text.chars().take(80).collect()))
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Capability, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Capability {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Capability".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The name of a capability; `CAP_41` if its number has none.",
            "pattern": "^CAP_[A-Z0-9_]+$",
        })
    }
}

/// A set of capabilities; in JSON a list of names, by number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// The set that a `Cap…:` line of `/proc/PID/status` has as its value: up to 16 hexadecimal digits.
    pub fn parse_hex(value: &str) -> Option<CapabilitySet> {
        let digits = value.trim_ascii();
        let is_hex = (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(digits, 16).ok().map(CapabilitySet))?
    }

    /// The set that stands under a name (`CapEff`, `CapPrm`, `CapBnd` …) in the text of `/proc/PID/status`.
    pub fn from_status(status: &str, name: &str) -> Option<CapabilitySet> {
        let value = |line| str::strip_prefix(line, name)?.strip_prefix(':');
        CapabilitySet::parse_hex(status.lines().find_map(value)?)
    }

    /// Every capability of a kernel whose last one is this (`/proc/sys/kernel/cap_last_cap`).
    pub fn full(last: Capability) -> CapabilitySet {
        CapabilitySet(u64::MAX >> (63 - last.0))
    }

    /// Whether it has every capability of a kernel whose last one is this.
    pub fn is_full(self, last: Capability) -> bool {
        let full = CapabilitySet::full(last).0;
        self.0 & full == full
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has this one.
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= 1 << capability.0;
    }

    /// Those it has, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..64).map(Capability).filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> CapabilitySet {
        let mut set = CapabilitySet::default();
        capabilities.into_iter().for_each(|capability| set.insert(capability));
        set
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Capability::name)).finish()
    }
}

impl Serialize for CapabilitySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for CapabilitySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CapabilitySet, D::Error> {
        Ok(Vec::<Capability>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl JsonSchema for CapabilitySet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CapabilitySet".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Vec<Capability>>::json_schema(generator)
    }
}

/// By number: `linux/capability.h` (6.12).
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_capability_survives_its_text() {
        for number in 0..64 {
            let capability = Capability::new(number).expect("in a set");
            assert_eq!(capability.to_string().parse(), Ok(capability));
        }
        assert_eq!(Capability::new(64), None);
    }

    #[test]
    fn names_are_those_of_the_kernel_and_newer_ones_are_numbers() {
        let name = |number| Capability::new(number).expect("in a set").name();

        assert_eq!(
            (name(0), name(21), name(40)),
            ("CAP_CHOWN".into(), "CAP_SYS_ADMIN".into(), "CAP_CHECKPOINT_RESTORE".into())
        );
        assert_eq!((name(41), name(63)), ("CAP_41".into(), "CAP_63".into()));
        assert_eq!(Capability::LAST_NAMED.number(), 40);
    }

    #[test]
    fn a_text_that_is_never_written_is_not_read() {
        for wrong in ["", "CHOWN", "cap_chown", "CAP_0", "CAP_64", "CAP_041", "CAP_"] {
            assert!(wrong.parse::<Capability>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_set_is_a_list_of_names() {
        let set = CapabilitySet(1 | 1 << 41);

        let json = serde_json::to_string(&set).expect("json");

        assert_eq!(json, r#"["CAP_CHOWN","CAP_41"]"#);
        assert_eq!(serde_json::from_str::<CapabilitySet>(&json).expect("a set"), set);
        assert!(serde_json::from_str::<CapabilitySet>(r#"["CAP_NOPE"]"#).is_err());
    }

    #[test]
    fn lines_of_proc_status_are_read() {
        let status = "Name:\tCapEff\nCapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t000001ffffffffff\n";

        let last = Capability::LAST_NAMED;
        assert_eq!(CapabilitySet::from_status(status, "CapEff"), Some(CapabilitySet(0xa804_25fb)));
        assert_eq!(CapabilitySet::from_status(status, "CapInh").map(CapabilitySet::is_empty), Some(true));
        assert_eq!(CapabilitySet::from_status(status, "CapBnd").map(|set| set.is_full(last)), Some(true));
        assert_eq!(CapabilitySet::from_status(status, "CapAmb"), None);
    }

    #[test]
    fn what_is_no_hexadecimal_set_is_refused() {
        for wrong in ["", " ", "0x1", "-1", "+1", "xyz", "1ffffffffffffffff", "1 2"] {
            assert_eq!(CapabilitySet::parse_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn full_depends_on_the_kernels_last_one() {
        let last = |number| Capability::new(number).expect("in a set");

        assert!(CapabilitySet(0x1ff_ffff_ffff).is_full(last(40)));
        assert!(!CapabilitySet(0x1ff_ffff_ffff).is_full(last(41)));
        assert!(CapabilitySet(u64::MAX).is_full(last(40)));
        assert!(!CapabilitySet(0xff_ffff_ffff).is_full(last(40)));
        assert_eq!(CapabilitySet::full(last(63)), CapabilitySet(u64::MAX));
        assert_eq!(CapabilitySet::full(last(0)), CapabilitySet(1));
    }

    proptest! {
        #[test]
        fn a_set_is_what_is_in_it(bits: u64) {
            let set = CapabilitySet(bits);

            prop_assert_eq!(set.iter().collect::<CapabilitySet>(), set);
            prop_assert_eq!(set.iter().count() as u32, bits.count_ones());
            prop_assert_eq!(CapabilitySet::parse_hex(&format!("{bits:016x}\n")), Some(set));
        }
    }
}
