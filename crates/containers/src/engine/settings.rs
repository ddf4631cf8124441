//! What an engine was told to give a container and to hold it to, beside its security settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a container was made with. What a source does not say is none, never a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How many processes and threads it may have; 0 if there is no limit.
    pub pids_limit: Option<u64>,
    /// How many bytes of memory it may use; 0 if there is no limit.
    pub memory_bytes: Option<u64>,
    /// How much CPU time it may use, in thousandths of one CPU; 0 if there is no limit.
    pub cpu_thousandths: Option<u64>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_bytes: Option<u64>,
    /// What was said of its namespaces, by namespace: `pid` to `host`, `net` to `bridge`; without what was left to the engine.
    pub namespaces: Option<BTreeMap<String, String>>,
    /// The devices that it was given beside those that each container has.
    pub devices: Option<Vec<GivenDevice>>,
    /// What is mounted into it beside what each container has.
    pub mounts: Option<Vec<GivenMount>>,
    /// The limits of its processes that were asked for.
    pub ulimits: Option<Vec<GivenUlimit>>,
    /// The paths that are hidden from it.
    pub masked_paths: Option<Vec<String>>,
    /// The paths that it cannot write.
    pub read_only_paths: Option<Vec<String>>,
}

/// A device that was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GivenDevice {
    /// Its path in the container.
    pub path: String,
    /// Its path on the host.
    pub host_path: String,
    /// What may be done: any of `r`, `w` and `m` (mknod).
    pub permissions: String,
}

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GivenMount {
    /// Where, in the container.
    pub destination: String,
    /// `bind`, `volume`, `tmpfs` …
    pub kind: String,
    /// A path of the host, or the name of a volume; empty if there is none.
    pub source: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// A limit of each process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GivenUlimit {
    /// Its name, without `RLIMIT_` and in small letters.
    pub name: String,
    /// The soft limit; -1 for none.
    pub soft: i64,
    /// The hard limit; -1 for none.
    pub hard: i64,
}
