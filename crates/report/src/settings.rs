//! What a container was made with, beside its security options and published ports.

use std::collections::BTreeMap;

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the engine was told to give the container and to hold it to. What the engine does not say is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How many processes and threads it may have; 0 if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub pids_limit: Option<u64>,
    /// How many bytes of memory it may use; 0 if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub memory_bytes: Option<u64>,
    /// How much CPU time it may use, in thousandths of one CPU; 0 if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub cpu_thousandths: Option<u64>,
    /// The size of `/dev/shm`, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub shm_bytes: Option<u64>,
    /// What was said of its namespaces, by namespace: `pid` to `host`, `net` to `bridge`; without what was left to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<BTreeMap<Text, Text>>,
    /// The devices that it was given beside those that each container has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<GivenDevice>>,
    /// What is mounted into it beside what each container has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<GivenMount>>,
    /// The limits of its processes that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ulimits: Option<Vec<GivenUlimit>>,
    /// The paths that are hidden from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<Text>>,
    /// The paths that it cannot write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_paths: Option<Vec<Text>>,
}

/// A device that was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GivenDevice {
    /// Its path in the container.
    pub path: Text,
    /// Its path on the host.
    pub host_path: Text,
    /// What may be done: any of `r`, `w` and `m` (mknod).
    pub permissions: Text,
}

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GivenMount {
    /// Where, in the container.
    pub destination: Text,
    /// `bind`, `volume`, `tmpfs` …
    pub kind: Text,
    /// A path of the host, or the name of a volume; empty if there is none.
    pub source: Text,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// A limit of each process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GivenUlimit {
    /// Its name, without `RLIMIT_` and in small letters.
    pub name: Text,
    /// The soft limit; -1 for none.
    pub soft: i64,
    /// The hard limit; -1 for none.
    pub hard: i64,
}
