//! What a container uses of the machine, as the files of its cgroup have it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Device, Text, optional_decimal};

/// Declares figures that may be missing: each is a 64-bit number in JSON's decimal digits, left out if it is not known.
macro_rules! figures {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            $(
                $(#[$field_about])*
                #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_decimal")]
                #[schemars(with = "Option<crate::decimal::Digits>")]
                pub $field: Option<u64>,
            )*
        }

        impl $name {
            /// Takes over each figure that the newer reading has; those that it has not stay.
            pub fn renew(&mut self, newer: &$name) {
                $(self.$field = newer.$field.or(self.$field);)*
            }
        }
    };
}

figures! {
    /// CPU time, and how its limit held it back.
    CpuUsage {
        /// All CPU time, in nanoseconds.
        usage_ns,
        /// Of it, in user mode.
        user_ns,
        /// Of it, in the kernel.
        system_ns,
        /// The periods of the limit in which something ran. Without a limit there are none.
        periods,
        /// Of these, those in which the limit was reached.
        throttled_periods,
        /// How long its tasks waited for the next period, in nanoseconds, added up over the CPUs.
        throttled_ns,
        /// The CPU time that it may use in each second, in nanoseconds: 500,000,000 is half a CPU. Missing, too, if it
        /// has no limit of its own.
        limit_ns_per_second,
    }
}

figures! {
    /// Memory: what is accounted to the cgroup, the page cache of its files included.
    MemoryUsage {
        /// The most that was in use, in bytes.
        peak_bytes,
        /// What it may use, in bytes. Missing, too, if it has no limit of its own.
        limit_bytes,
        /// How often the limit was reached (with v1 also that of memory and swap together), so that the kernel had to take memory back from it.
        limit_hits,
        /// How often it was out of memory: nothing could be taken back.
        oom_events,
        /// How many of its processes were killed for that.
        oom_kills,
        /// Page faults that had to wait for storage.
        major_faults,
    }
}

figures! {
    /// Tasks: processes and threads together.
    TaskUsage {
        /// The most that were there at one time.
        peak,
        /// How many may be there. Missing, too, if it has no limit of its own.
        limit,
    }
}

figures! {
    /// How long its tasks were held up because something was scarce (PSI), in nanoseconds.
    PressureUsage {
        /// At least one of its tasks waited for a CPU.
        cpu_some_ns,
        /// At least one of its tasks waited for memory.
        memory_some_ns,
        /// All that were not idle waited for memory.
        memory_full_ns,
        /// At least one of its tasks waited for storage.
        io_some_ns,
        /// All that were not idle waited for storage.
        io_full_ns,
    }
}

/// What went to and from one block device, as the cgroup's own counters have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceUsage {
    /// The device.
    pub device: Device,
    /// Bytes that were read.
    #[serde(with = "crate::decimal")]
    #[schemars(with = "crate::decimal::Digits")]
    pub read_bytes: u64,
    /// Bytes that were written.
    #[serde(with = "crate::decimal")]
    #[schemars(with = "crate::decimal::Digits")]
    pub written_bytes: u64,
    /// Requests to read.
    #[serde(with = "crate::decimal")]
    #[schemars(with = "crate::decimal::Digits")]
    pub reads: u64,
    /// Requests to write.
    #[serde(with = "crate::decimal")]
    #[schemars(with = "crate::decimal::Digits")]
    pub writes: u64,
}

/// One reading of a cgroup's files: what it and the cgroups below it have used since they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// CPU time.
    pub cpu: CpuUsage,
    /// Memory. Where the kernel keeps no peak, its `peak_bytes` is what is in use now.
    pub memory: MemoryUsage,
    /// Tasks. Where the kernel keeps no peak, its `peak` is what is there now.
    pub tasks: TaskUsage,
    /// Pressure.
    pub pressure: PressureUsage,
    /// Block devices that were used, by device; none if it is not known.
    pub devices: Option<Vec<DeviceUsage>>,
    /// Figures that are only what the kernel had at this moment.
    pub momentary: Momentary,
    /// Why there is nothing about something.
    pub absent: BTreeMap<Resource, Text>,
}

/// Which peaks are no peaks, as the kernel keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Momentary {
    /// `memory.peak_bytes`.
    pub memory: bool,
    /// `tasks.peak`.
    pub tasks: bool,
}

/// What a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// CPU time.
    CpuTime,
    /// The limit of CPU time, and how often it was reached.
    CpuLimit,
    /// Memory.
    Memory,
    /// Bytes to and from block devices.
    BlockDevices,
    /// Processes and threads.
    Tasks,
    /// Pressure.
    Pressure,
    /// How long its tasks waited for a CPU.
    RunDelay,
    /// How long block devices took.
    BlockLatency,
}

impl Resource {
    /// All, in their order.
    pub const ALL: [Resource; 8] = [
        Resource::CpuTime,
        Resource::CpuLimit,
        Resource::Memory,
        Resource::BlockDevices,
        Resource::Tasks,
        Resource::Pressure,
        Resource::RunDelay,
        Resource::BlockLatency,
    ];

    /// Those that a cgroup's files tell of.
    pub const OF_CGROUP: [Resource; 6] = [
        Resource::CpuTime,
        Resource::CpuLimit,
        Resource::Memory,
        Resource::BlockDevices,
        Resource::Tasks,
        Resource::Pressure,
    ];

    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Resource::CpuTime => "cpu-time",
            Resource::CpuLimit => "cpu-limit",
            Resource::Memory => "memory",
            Resource::BlockDevices => "block-devices",
            Resource::Tasks => "tasks",
            Resource::Pressure => "pressure",
            Resource::RunDelay => "run-delay",
            Resource::BlockLatency => "block-latency",
        }
    }
}

/// Which way the data of a block device went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BlockDirection {
    /// From the device.
    Read,
    /// To the device.
    Write,
}

/// What the kernel side has added up for a container, beside its cgroup's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceTotal {
    /// How long the tasks that ended had waited for a CPU.
    EndedDelays {
        /// How many.
        tasks: u64,
        /// Nanoseconds, of all together.
        ns: u64,
    },
    /// How long one task that lives has waited for a CPU.
    LivingDelay {
        /// Nanoseconds.
        ns: u64,
    },
    /// The requests to block devices that took about as long.
    Blocks {
        /// Which way.
        direction: BlockDirection,
        /// They took between 2^bucket and 2^(bucket + 1) microseconds; those of bucket 0 less, too.
        bucket: u8,
        /// How many.
        requests: u64,
        /// The bytes of all of them.
        bytes: u64,
        /// Nanoseconds, of all together.
        ns: u64,
    },
}
