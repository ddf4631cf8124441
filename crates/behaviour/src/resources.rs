//! What a container used of the machine: CPU time, memory, tasks, storage, and how long it waited for them.

use std::collections::{BTreeMap, BTreeSet};

use event::{
    BlockDirection, CgroupUsage, CpuUsage, DeviceUsage, MemoryUsage, PressureUsage, Resource, ResourceTotal, TaskUsage,
    Text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lists::merged;

/// What a container used of the machine, its runtime's part included.
///
/// Most of it is what its cgroup's own files said when they were read last; with v2 that includes the cgroups below it,
/// and so the containers inside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// When the cgroup's files were read last, in nanoseconds since boot; none if they never could be read.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub as_of_boot_ns: Option<u64>,
    /// Whether that was after the container's first process had ended, or at the end of the recording. If not, the
    /// container may have used more until its end, and the cgroup was gone too early to tell.
    #[serde(default)]
    pub read_at_end: bool,
    /// CPU time.
    #[serde(default)]
    pub cpu: CpuUsage,
    /// The most CPU time per second between two readings that were half a second apart or more, in nanoseconds. Readings are
    /// about a second apart: what was used for less time may have been more. None if there were no two such readings.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub cpu_peak_ns_per_second: Option<u64>,
    /// Memory.
    #[serde(default)]
    pub memory: MemoryUsage,
    /// Processes and threads.
    #[serde(default)]
    pub tasks: TaskUsage,
    /// What went to and from block devices, by device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceUsage>,
    /// How long its tasks were held up.
    #[serde(default)]
    pub pressure: PressureUsage,
    /// How long its tasks waited for a CPU; none if no task of it has been seen to end or live, or if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_delay: Option<RunDelay>,
    /// What it asked of block devices, and how long they took, by direction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block_requests: Vec<BlockRequests>,
    /// Peaks that are but the highest of the readings, once a second: this kernel keeps none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sampled: BTreeSet<Resource>,
    /// What there is nothing about, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<Resource, Text>,
}

/// How long tasks were ready to run and did not, as another had the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunDelay {
    /// All tasks together, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub ns: u64,
    /// How many of them have ended.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub ended_tasks: u64,
}

/// Requests to block devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockRequests {
    /// Which way.
    pub direction: BlockDirection,
    /// How many.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub requests: u64,
    /// Their bytes.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub bytes: u64,
    /// How long the devices took, all requests together, in nanoseconds.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub ns: u64,
    /// The same requests by how long each took.
    pub latency: Vec<LatencyBucket>,
}

/// Requests that took about as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyBucket {
    /// They took less than this, in nanoseconds, and at least half of it; those of the first, below 2 microseconds, less, too.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub below_ns: u64,
    /// How many.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub requests: u64,
}

impl Resources {
    /// The resources of several runs as one: sums of what was used, and of times; the highest of peaks and limits; the
    /// newest time of reading. What is absent in one is absent in both together, though a figure of the other is there.
    /// The order and the grouping of merges make no difference.
    pub fn merge(self, other: Resources) -> Resources {
        let read_at_end = match (self.as_of_boot_ns, other.as_of_boot_ns) {
            (Some(_), Some(_)) => self.read_at_end && other.read_at_end,
            // Whichever was read at all.
            _ => self.read_at_end || other.read_at_end,
        };
        let mut absent = self.absent;
        for (what, reason) in other.absent {
            let reason = absent.remove(&what).map_or(reason.clone(), |known| known.min(reason));
            absent.insert(what, reason);
        }
        Resources {
            as_of_boot_ns: self.as_of_boot_ns.max(other.as_of_boot_ns),
            read_at_end,
            cpu: cpu(self.cpu, other.cpu),
            cpu_peak_ns_per_second: self.cpu_peak_ns_per_second.max(other.cpu_peak_ns_per_second),
            memory: memory(self.memory, other.memory),
            tasks: TaskUsage {
                peak: self.tasks.peak.max(other.tasks.peak),
                limit: self.tasks.limit.max(other.tasks.limit),
            },
            devices: merged(self.devices, other.devices, |one| one.device, device),
            pressure: pressure(self.pressure, other.pressure),
            run_delay: match (self.run_delay, other.run_delay) {
                (Some(one), Some(other)) => Some(RunDelay {
                    ns: one.ns.saturating_add(other.ns),
                    ended_tasks: one.ended_tasks.saturating_add(other.ended_tasks),
                }),
                (one, other) => one.or(other),
            },
            block_requests: merged(self.block_requests, other.block_requests, |one| one.direction, block_requests),
            sampled: self.sampled.into_iter().chain(other.sampled).collect(),
            absent,
        }
    }

    /// The same without what the cgroup's files say: those of the cgroup around it have that already.
    pub fn without_cgroup(self) -> Resources {
        Resources { run_delay: self.run_delay, block_requests: self.block_requests, ..Resources::default() }
    }

    fn has(&self, what: Resource) -> bool {
        match what {
            Resource::CpuTime => self.cpu.usage_ns.is_some(),
            Resource::CpuLimit => self.cpu.periods.is_some(),
            Resource::Memory => self.memory.peak_bytes.is_some(),
            Resource::Tasks => self.tasks.peak.is_some(),
            Resource::BlockDevices => !self.devices.is_empty(),
            Resource::Pressure => self.pressure.cpu_some_ns.is_some(),
            Resource::RunDelay => self.run_delay.is_some(),
            Resource::BlockLatency => !self.block_requests.is_empty(),
        }
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

fn cpu(one: CpuUsage, other: CpuUsage) -> CpuUsage {
    CpuUsage {
        usage_ns: sum(one.usage_ns, other.usage_ns),
        user_ns: sum(one.user_ns, other.user_ns),
        system_ns: sum(one.system_ns, other.system_ns),
        periods: sum(one.periods, other.periods),
        throttled_periods: sum(one.throttled_periods, other.throttled_periods),
        throttled_ns: sum(one.throttled_ns, other.throttled_ns),
        limit_ns_per_second: one.limit_ns_per_second.max(other.limit_ns_per_second),
    }
}

fn memory(one: MemoryUsage, other: MemoryUsage) -> MemoryUsage {
    MemoryUsage {
        peak_bytes: one.peak_bytes.max(other.peak_bytes),
        limit_bytes: one.limit_bytes.max(other.limit_bytes),
        limit_hits: sum(one.limit_hits, other.limit_hits),
        oom_events: sum(one.oom_events, other.oom_events),
        oom_kills: sum(one.oom_kills, other.oom_kills),
        major_faults: sum(one.major_faults, other.major_faults),
    }
}

fn pressure(one: PressureUsage, other: PressureUsage) -> PressureUsage {
    PressureUsage {
        cpu_some_ns: sum(one.cpu_some_ns, other.cpu_some_ns),
        memory_some_ns: sum(one.memory_some_ns, other.memory_some_ns),
        memory_full_ns: sum(one.memory_full_ns, other.memory_full_ns),
        io_some_ns: sum(one.io_some_ns, other.io_some_ns),
        io_full_ns: sum(one.io_full_ns, other.io_full_ns),
    }
}

fn device(one: DeviceUsage, other: DeviceUsage) -> DeviceUsage {
    DeviceUsage {
        device: one.device,
        read_bytes: one.read_bytes.saturating_add(other.read_bytes),
        written_bytes: one.written_bytes.saturating_add(other.written_bytes),
        reads: one.reads.saturating_add(other.reads),
        writes: one.writes.saturating_add(other.writes),
    }
}

fn block_requests(one: BlockRequests, other: BlockRequests) -> BlockRequests {
    BlockRequests {
        direction: one.direction,
        requests: one.requests.saturating_add(other.requests),
        bytes: one.bytes.saturating_add(other.bytes),
        ns: one.ns.saturating_add(other.ns),
        latency: merged(
            one.latency,
            other.latency,
            |bucket| bucket.below_ns,
            |one, other| LatencyBucket { requests: one.requests.saturating_add(other.requests), ..one },
        ),
    }
}

/// Over less time than this, a share of a CPU says more of the scheduler than of the workload.
const CPU_PEAK_INTERVAL_NS: u64 = 500_000_000;

/// What is known of one run so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    known: Resources,
    delays: Delays,
    /// When CPU time was read before, and what it was.
    cpu_before: Option<(u64, u64)>,
    /// By direction and bucket; each reading replaces the last, and none falls.
    blocks: BTreeMap<(BlockDirection, u8), Blocks>,
}

/// How long tasks waited for a CPU: those that ended, and those that lived at one reading.
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    ended_tasks: u64,
    ended_ns: u64,
    /// The reading that `living_ns` is of.
    read_ns: u64,
    living_ns: u64,
    /// The most that a reading came to: a task that ended in the middle of one is missing there.
    most_ns: u64,
    is_known: bool,
}

impl Delays {
    fn total_ns(self) -> u64 {
        self.most_ns.max(self.ended_ns.saturating_add(self.living_ns))
    }

    /// Makes room for a reading of this time: who lived at the last one lives or has ended now.
    fn begin(&mut self, boot_ns: u64) {
        self.is_known = true;
        if self.read_ns != boot_ns {
            self.most_ns = self.total_ns();
            (self.read_ns, self.living_ns) = (boot_ns, 0);
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Blocks {
    requests: u64,
    bytes: u64,
    ns: u64,
}

impl Measured {
    /// Takes in a reading of this time. One that is not newer than another says of peaks alone.
    pub(crate) fn measure(&mut self, usage: &CgroupUsage, boot_ns: u64, at_end: bool) {
        self.measure_cpu_peak(usage, boot_ns);
        let known = &mut self.known;
        let memory_peak = known.memory.peak_bytes.max(usage.memory.peak_bytes);
        let tasks_peak = known.tasks.peak.max(usage.tasks.peak);
        if known.as_of_boot_ns.is_none_or(|before| boot_ns >= before) {
            known.as_of_boot_ns = Some(boot_ns);
            known.read_at_end |= at_end;
            known.cpu.renew(&usage.cpu);
            known.memory.renew(&usage.memory);
            known.tasks.renew(&usage.tasks);
            known.pressure.renew(&usage.pressure);
            // In the middle of its removal a cgroup has fewer files than before.
            if let Some(devices) = usage.devices.as_ref().filter(|devices| !devices.is_empty()) {
                known.devices.clone_from(devices);
            }
        }
        (known.memory.peak_bytes, known.tasks.peak) = (memory_peak, tasks_peak);
        for (is_sampled, what) in [(usage.momentary.memory, Resource::Memory), (usage.momentary.tasks, Resource::Tasks)]
        {
            if is_sampled {
                known.sampled.insert(what);
            }
        }
        for what in Resource::OF_CGROUP {
            match usage.absent.get(&what).filter(|_| !known.has(what)) {
                Some(reason) => known.absent.insert(what, reason.clone()),
                None => known.absent.remove(&what),
            };
        }
    }

    fn measure_cpu_peak(&mut self, usage: &CgroupUsage, boot_ns: u64) {
        let Some(usage_ns) = usage.cpu.usage_ns else { return };
        let Some((before_ns, used_before_ns)) = self.cpu_before else {
            self.cpu_before = Some((boot_ns, usage_ns));
            return;
        };
        let passed_ns = boot_ns.saturating_sub(before_ns);
        if passed_ns < CPU_PEAK_INTERVAL_NS {
            return;
        }
        let used_ns = u128::from(usage_ns.saturating_sub(used_before_ns));
        let per_second = used_ns * 1_000_000_000 / u128::from(passed_ns);
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
        self.known.cpu_peak_ns_per_second = self.known.cpu_peak_ns_per_second.max(Some(per_second));
        self.cpu_before = Some((boot_ns, usage_ns));
    }

    /// Takes in what the kernel side had added up at this time.
    pub(crate) fn keep(&mut self, total: ResourceTotal, boot_ns: u64) {
        let delays = &mut self.delays;
        match total {
            ResourceTotal::EndedDelays { tasks, ns } => {
                delays.begin(boot_ns);
                delays.ended_tasks = delays.ended_tasks.max(tasks);
                delays.ended_ns = delays.ended_ns.max(ns);
            }
            ResourceTotal::LivingDelay { ns } => {
                delays.begin(boot_ns);
                delays.living_ns = delays.living_ns.saturating_add(ns);
            }
            ResourceTotal::Blocks { direction, bucket, requests, bytes, ns } => {
                let blocks = self.blocks.entry((direction, bucket)).or_default();
                blocks.requests = blocks.requests.max(requests);
                blocks.bytes = blocks.bytes.max(bytes);
                blocks.ns = blocks.ns.max(ns);
            }
        }
    }

    /// Says why there is nothing of the cgroup, unless there is.
    pub(crate) fn unmeasured(&mut self, reason: &str) {
        if self.known.as_of_boot_ns.is_none() {
            for what in Resource::OF_CGROUP {
                self.known.absent.insert(what, reason.into());
            }
        }
    }

    /// Says that this is not known on this machine, and why.
    pub(crate) fn lacks(&mut self, what: Resource, reason: &str) {
        self.known.absent.insert(what, reason.into());
    }

    pub(crate) fn freeze(&self) -> Resources {
        let delays = &self.delays;
        let is_known = delays.is_known && !self.known.absent.contains_key(&Resource::RunDelay);
        let run_delay = is_known.then(|| RunDelay { ns: delays.total_ns(), ended_tasks: delays.ended_tasks });
        let directions: BTreeSet<BlockDirection> = self.blocks.keys().map(|(direction, _)| *direction).collect();
        let block_requests = directions.into_iter().map(|direction| self.requests(direction)).collect();
        Resources { run_delay, block_requests, ..self.known.clone() }
    }

    fn requests(&self, direction: BlockDirection) -> BlockRequests {
        let blocks = || self.blocks.iter().filter(move |((of, _), _)| *of == direction);
        let sum = |part: fn(&Blocks) -> u64| blocks().fold(0, |sum, (_, one)| u64::saturating_add(sum, part(one)));
        let latency = blocks().map(|((_, bucket), one)| LatencyBucket {
            below_ns: 2000_u64.checked_shl(u32::from(*bucket)).unwrap_or(u64::MAX),
            requests: one.requests,
        });
        BlockRequests {
            direction,
            requests: sum(|one| one.requests),
            bytes: sum(|one| one.bytes),
            ns: sum(|one| one.ns),
            latency: latency.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{Device, Momentary};

    use super::*;

    fn reading(cpu: u64, memory: u64) -> CgroupUsage {
        CgroupUsage {
            cpu: CpuUsage { usage_ns: Some(cpu), ..CpuUsage::default() },
            memory: MemoryUsage { peak_bytes: Some(memory), limit_bytes: Some(64), ..MemoryUsage::default() },
            devices: Some(vec![DeviceUsage { read_bytes: cpu, ..DeviceUsage::default() }]),
            momentary: Momentary { memory: true, tasks: false },
            absent: BTreeMap::from([(Resource::Tasks, "no pids".into())]),
            ..CgroupUsage::default()
        }
    }

    #[test]
    fn the_newest_reading_counts_and_the_highest_peak() {
        let mut measured = Measured::default();
        measured.measure(&reading(10, 50), 1, false);
        measured.measure(&reading(30, 20), 3, true);
        measured.measure(&reading(20, 40), 2, false);

        let known = measured.freeze();

        assert_eq!((known.as_of_boot_ns, known.read_at_end), (Some(3), true));
        assert_eq!((known.cpu.usage_ns, known.memory.peak_bytes), (Some(30), Some(50)));
        assert_eq!(known.sampled, BTreeSet::from([Resource::Memory]));
        assert_eq!(known.absent, BTreeMap::from([(Resource::Tasks, "no pids".into())]));
    }

    #[test]
    fn the_most_cpu_time_is_told_between_readings_that_are_far_enough_apart() {
        let second = 1_000_000_000;
        let mut measured = Measured::default();
        measured.measure(&reading(0, 1), second, false);
        assert_eq!(measured.freeze().cpu_peak_ns_per_second, None);

        measured.measure(&reading(second / 2, 1), 2 * second, false);
        // All of a CPU, but for a moment.
        measured.measure(&reading(second / 2 + 1000, 1), 2 * second + 1000, false);
        measured.measure(&reading(second / 2 + 3000, 1), 4 * second, true);

        assert_eq!(measured.freeze().cpu_peak_ns_per_second, Some(second / 2));
    }

    #[test]
    fn what_was_known_stays_while_the_cgroup_is_taken_down() {
        let mut measured = Measured::default();
        measured.measure(&reading(10, 50), 1, false);
        let gone = [Resource::CpuTime, Resource::Memory, Resource::BlockDevices].map(|what| (what, "gone".into()));
        measured.measure(&CgroupUsage { absent: BTreeMap::from(gone), ..CgroupUsage::default() }, 2, true);

        let known = measured.freeze();

        assert_eq!(
            (known.cpu.usage_ns, known.memory.peak_bytes, known.memory.limit_bytes),
            (Some(10), Some(50), Some(64))
        );
        assert_eq!(known.devices.len(), 1);
        assert_eq!(known.absent, BTreeMap::new());
    }

    #[test]
    fn without_a_reading_each_figure_has_the_reason() {
        let mut measured = Measured::default();
        measured.unmeasured("no cgroup");
        assert_eq!(measured.freeze().absent.len(), Resource::OF_CGROUP.len());

        measured.measure(&reading(1, 1), 1, true);
        measured.unmeasured("too late");

        assert_eq!(measured.freeze().absent.keys().copied().collect::<Vec<_>>(), [Resource::Tasks]);
    }

    #[test]
    fn a_task_that_lives_counts_until_it_has_ended_and_nothing_falls() {
        let mut measured = Measured::default();
        let ended = |tasks, ns| ResourceTotal::EndedDelays { tasks, ns };
        let ns = |measured: &Measured| measured.freeze().run_delay.map(|delay| (delay.ended_tasks, delay.ns));
        assert_eq!(ns(&measured), None);

        [ended(1, 10), ResourceTotal::LivingDelay { ns: 5 }, ResourceTotal::LivingDelay { ns: 7 }]
            .into_iter()
            .for_each(|total| measured.keep(total, 1));
        assert_eq!(ns(&measured), Some((1, 22)));

        // One of the two ended between the parts of this reading.
        [ended(1, 10), ResourceTotal::LivingDelay { ns: 6 }].into_iter().for_each(|total| measured.keep(total, 2));
        assert_eq!(ns(&measured), Some((1, 22)));

        measured.keep(ended(3, 25), 3);
        assert_eq!(ns(&measured), Some((3, 25)));
        measured.lacks(Resource::RunDelay, "no CONFIG_SCHED_INFO");
        assert_eq!(ns(&measured), None);
    }

    #[test]
    fn requests_are_sums_over_their_buckets() {
        let mut measured = Measured::default();
        let reads = |bucket, requests, ns| ResourceTotal::Blocks {
            direction: BlockDirection::Read,
            bucket,
            requests,
            bytes: 512 * requests,
            ns,
        };
        [reads(0, 1, 900), reads(7, 2, 400_000), reads(7, 3, 600_000)]
            .into_iter()
            .for_each(|total| measured.keep(total, 1));

        let requests = measured.freeze().block_requests;

        let [requests] = &requests[..] else { panic!("{requests:?}") };
        assert_eq!((requests.requests, requests.bytes, requests.ns), (4, 2048, 600_900));
        let latency: Vec<_> = requests.latency.iter().map(|one| (one.below_ns, one.requests)).collect();
        assert_eq!(latency, [(2_000, 1), (256_000, 3)]);
    }

    #[test]
    fn merging_adds_what_was_used_and_keeps_the_highest_peak() {
        let mut one = Measured::default();
        one.measure(&reading(10, 50), 1, true);
        let mut other = Measured::default();
        other.measure(&reading(5, 70), 9, false);

        let both = one.freeze().merge(other.freeze());

        assert_eq!((both.cpu.usage_ns, both.memory.peak_bytes), (Some(15), Some(70)));
        assert_eq!((both.as_of_boot_ns, both.read_at_end), (Some(9), false));
        assert_eq!(both.devices, [DeviceUsage { device: Device::default(), read_bytes: 15, ..DeviceUsage::default() }]);
        assert_eq!(one.freeze().merge(Resources::default()), one.freeze());
    }
}
