//! The version of the format and its JSON Schema.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Report, SCHEMA_VERSION};

/// The number of a format's version, and no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatVersion<const VERSION: u32>;

impl<const VERSION: u32> Serialize for FormatVersion<VERSION> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de, const VERSION: u32> Deserialize<'de> for FormatVersion<VERSION> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            version if version == VERSION => Ok(FormatVersion),
            other => Err(serde::de::Error::custom(format_args!("version {other} of this format is not {VERSION}"))),
        }
    }
}

impl<const VERSION: u32> JsonSchema for FormatVersion<VERSION> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FormatVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": VERSION })
    }
}

/// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Report);
    schema.insert("title".into(), format!("ringfence report, version {SCHEMA_VERSION}").into());
    crate::json::json(&schema)
}
