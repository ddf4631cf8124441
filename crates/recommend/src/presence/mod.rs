//! Which run, or which scenario, showed which permission.

mod table;

use std::collections::BTreeMap;

use event::{Phase, Text};
use report::{FormatVersion, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use table::table;

use crate::permissions::permissions;

/// The version of the format that this program writes.
pub const PRESENCE_VERSION: u32 = 1;

/// Permissions beside the runs that showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// The version of this format.
    pub schema_version: FormatVersion<PRESENCE_VERSION>,
    /// What the columns are: runs or scenarios.
    pub columns: Vec<Text>,
    /// The system calls and capabilities, by name.
    pub permissions: Vec<PermissionPresence>,
}

/// Where one permission was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionPresence {
    /// The name of the system call or capability.
    pub name: Text,
    /// The columns that showed it, counted from 0; not empty.
    pub columns: Vec<u32>,
}

impl Presence {
    /// Looks which of these columns, each with the reports of its runs, showed which permission in `main` or `exec`.
    pub fn of(columns: &[(Text, Vec<&Report>)]) -> Presence {
        let mut seen = BTreeMap::<Text, Vec<u32>>::new();
        for (at, (_, runs)) in columns.iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            for run in runs {
                for name in permissions(run, &[Phase::Main, Phase::Exec]).into_keys() {
                    let places = seen.entry(name).or_default();
                    if places.last() != Some(&at) {
                        places.push(at);
                    }
                }
            }
        }
        Presence {
            schema_version: FormatVersion,
            columns: columns.iter().map(|(name, _)| name.clone()).collect(),
            permissions: seen.into_iter().map(|(name, columns)| PermissionPresence { name, columns }).collect(),
        }
    }

    /// As JSON for people and programs, safe for a terminal.
    pub fn to_json(&self) -> String {
        report::json(self)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Presence);
        schema.insert("title".into(), format!("ringfence presence, version {PRESENCE_VERSION}").into());
        report::json(&schema)
    }

    /// What only this column showed, by name.
    pub fn only_in(&self, column: u32) -> impl Iterator<Item = &Text> {
        self.permissions.iter().filter(move |one| one.columns == [column]).map(|one| &one.name)
    }

    /// What this column showed and none before it did, by name.
    pub fn added_by(&self, column: u32) -> impl Iterator<Item = &Text> {
        self.permissions.iter().filter(move |one| one.columns.first() == Some(&column)).map(|one| &one.name)
    }
}
