//! What observing cost.

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What ringfence itself used, for all containers together, from its start until the report was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// CPU time of ringfence's own process in user mode, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub cpu_user_ns: u64,
    /// CPU time of ringfence's own process in the kernel, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub cpu_system_ns: u64,
    /// Memory of ringfence's own process when the report was written, in bytes.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub rss_bytes: u64,
    /// Memory of ringfence's maps in the kernel, in bytes.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub kernel_map_bytes: u64,
    /// What each program in the kernel took; empty if the kernel did not measure it (`kernel.bpf_stats_enabled`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<ProgramCost>,
}

/// What one program in the kernel took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ProgramCost {
    /// The program's name.
    pub name: Text,
    /// How often it ran, on the whole host.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub runs: u64,
    /// How long all runs took together, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub run_time_ns: u64,
    /// How long one run took on average, in nanoseconds, rounded down; 0 if it never ran.
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    pub ns_per_run: u64,
}

impl ProgramCost {
    /// The cost of a program that ran so often and so long.
    pub fn new(name: impl Into<Text>, runs: u64, run_time_ns: u64) -> ProgramCost {
        ProgramCost { name: name.into(), runs, run_time_ns, ns_per_run: run_time_ns.checked_div(runs).unwrap_or(0) }
    }
}
