//! When a container was observed.

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// When a container was observed, and what of its life lies outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Whether its start was seen.
    pub observed_from: ObservedFrom,
    /// Whether the runtime was seen setting it up.
    pub runtime_init: RuntimeInit,
    /// The start of the container, or of the observation if that came later.
    pub begin: Moment,
    /// The end of the container, or the moment of the last reading if it still ran.
    pub end: Moment,
    /// Whether the container ended within the window.
    pub ended: bool,
    /// How its init process ended; none if it still ran or its end was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<InitExit>,
    /// When the recording began that the report is part of: with the boot's id it tells recordings apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Moment>,
}

/// Whether the start of a container was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObservedFrom {
    /// It was seen from its first process on.
    Start,
    /// It ran already when it was found: what it did before is not in the report.
    Attach,
}

/// Whether the runtime was seen setting a container up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeInit {
    /// Whether the phase `runtime-init` was observed.
    pub observed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// Nanoseconds since boot (`CLOCK_BOOTTIME`), as everywhere in a report.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub boot_ns: u64,
    /// The host's wall clock, in UTC.
    pub wall: Timestamp,
}

/// How the init process of a container ended: by a status or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitExit {
    /// The exit status; none if a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// The number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
}
