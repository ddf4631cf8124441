//! 64-bit numbers that may be missing: a decimal string or null, as `decimal` without the option.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Decimal(#[serde(with = "crate::decimal")] u64);

/// Writes the number as a string, if there is one.
pub fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Decimal).serialize(serializer)
}

/// Reads a string of decimal digits, or null.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Decimal>::deserialize(deserializer)?.map(|Decimal(value)| value))
}
