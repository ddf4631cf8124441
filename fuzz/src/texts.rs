//! Text forms: bytes as text, errnos, capabilities, times and numbers.

use event::{Capability, CapabilitySet, Errno, Text};
use report::Timestamp;

use crate::laws::{assert_harmless, assert_survives_json};

/// Bytes survive their text form; what is read is written the same; what is shown is harmless.
pub fn check(bytes: &[u8]) {
    let text = Text::new(bytes);
    assert_eq!(Text::parse(&text.escaped()).as_ref(), Some(&text));
    assert_survives_json(&text);
    assert_harmless(&text.shown(), "");
    assert_harmless(&format!("{text:>20}"), "");
    assert_harmless(&format!("{text:?}"), "");

    let Ok(form) = std::str::from_utf8(bytes) else { return };
    if let Some(text) = Text::parse(form) {
        assert_eq!(text.escaped(), form, "one text has two forms");
    }
    if let Ok(errno) = form.parse::<Errno>() {
        assert_eq!(errno.to_string(), form);
    }
    if let Ok(capability) = form.parse::<Capability>() {
        assert_eq!(capability.to_string(), form);
    }
    if let Some(set) = CapabilitySet::parse_hex(form) {
        assert_eq!(CapabilitySet::parse_hex(&format!("{:016x}", set.0)), Some(set));
        assert_survives_json(&set);
    }
    let _ = CapabilitySet::from_status(form, "CapEff");
    if let Ok(time) = form.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse(), Ok(time));
        assert!(form.starts_with(&time.to_string()[..19]), "{form} was read as {time}");
    }
    if let Ok(number) = decimal(form) {
        assert!(form.bytes().all(|byte| byte.is_ascii_digit()), "{form:?} was read as {number}");
    }
}

fn decimal(text: &str) -> Result<u64, serde::de::value::Error> {
    event::decimal::deserialize(serde::de::value::StrDeserializer::new(text))
}
