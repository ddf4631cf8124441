//! 64-bit numbers that may be missing: a decimal string or null, as `event::decimal` without the option.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Decimal(#[serde(with = "event::decimal")] u64);

pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Decimal).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Decimal>::deserialize(deserializer)?.map(|Decimal(value)| value))
}
