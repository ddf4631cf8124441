//! What a cgroup has used, from its own files: of v2, or of each controller's hierarchy in v1.
//!
//! In v1 a container has a cgroup in each hierarchy, at the same path: so every runtime makes them. What has no cgroup
//! there shares one with others, so nothing is read. Each file is opened anew: an open one would keep a cgroup that was
//! removed from going away.

mod files;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use event::{CgroupUsage, CpuUsage, MemoryUsage, PressureUsage, Resource, TaskUsage, Text};

use self::files::{Single, blkio, cpu_max, io_stat, keyed, ns_per_second, pressure_ns, single};
use super::walk::is_gone;
use super::{CgroupId, Hierarchy, Layout, Version, cgroup_id};

/// Why a cgroup's files were not read.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// It is not there (any more), or another one has its path now.
    #[error("the cgroup is gone")]
    Gone,
    /// Its path leads out of what is mounted here.
    #[error("the cgroup is not below a mount that can be seen from here")]
    OutOfSight,
    /// The kernel refused.
    #[error("cannot read the cgroup {path}")]
    Read {
        /// Its directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// How much of a file is read: `memory.stat` has some 2 KiB, `io.stat` a line for each device.
const MAX_BYTES: u64 = 256 * 1024;

/// Reads what the cgroup with this path and id in the identity hierarchy, and those below it, have used so far.
pub fn usage(layout: &Layout, path: &[u8], id: CgroupId) -> Result<CgroupUsage, UsageError> {
    let directory = layout.identity().directory(path).ok_or(UsageError::OutOfSight)?;
    is_still(&directory, id)?;
    let mut usage = CgroupUsage::default();
    let place = Place { layout, path };
    place.cpu(&mut usage);
    place.memory(&mut usage);
    place.tasks(&mut usage);
    place.devices(&mut usage);
    place.pressure(&mut usage);
    // Meanwhile it may have been removed, and made again for the next container of its name.
    is_still(&directory, id)?;
    Ok(usage)
}

fn is_still(directory: &Path, id: CgroupId) -> Result<(), UsageError> {
    match cgroup_id(directory) {
        Ok(found) if found == id => Ok(()),
        Ok(_) => Err(UsageError::Gone),
        Err(error) if is_gone(&error) => Err(UsageError::Gone),
        Err(source) => Err(UsageError::Read { path: directory.into(), source }),
    }
}

/// Where a cgroup is in the hierarchies.
struct Place<'a> {
    layout: &'a Layout,
    path: &'a [u8],
}

/// Its directory for one controller.
struct Directory {
    version: Version,
    path: PathBuf,
    controller: &'static str,
}

impl Directory {
    /// The beginning of a file; why not, in words.
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read = File::open(self.path.join(name)).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(error) if is_gone(&error) && self.version == Version::V2 => {
                Err(format!("{name} is not there: its cgroup has not the controller {}", self.controller))
            }
            Err(error) => Err(format!("{name}: {error}")),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.read(name).ok().and_then(|bytes| single(&bytes)).and_then(Single::number)
    }

    fn keyed(&self, name: &str, key: &str) -> Option<u64> {
        self.read(name).ok().and_then(|bytes| keyed(&bytes, key))
    }

    /// The number of the first file, and whether that is the one that keeps a peak.
    fn peak(&self, peak: &str, now: &str) -> (Option<u64>, bool) {
        match self.number(peak) {
            Some(number) => (Some(number), false),
            None => (self.number(now), true),
        }
    }
}

impl Place<'_> {
    fn directory(&self, controller: &'static str) -> Result<Directory, String> {
        // Where v1 has it, v2 has it not; by the name it has in v2 there.
        let in_v2 = if controller == "blkio" { "io" } else { controller };
        let has = |hierarchy: &&Hierarchy| match hierarchy.version {
            Version::V1 => hierarchy.has(controller),
            // CPU time needs no controller there.
            Version::V2 => hierarchy.has(in_v2) || controller == "cpuacct",
        };
        let hierarchy = self.layout.hierarchies().iter().find(has);
        let hierarchy = hierarchy.ok_or_else(|| format!("no hierarchy that is mounted has the controller {in_v2}"))?;
        self.below(hierarchy, if hierarchy.version == Version::V2 { in_v2 } else { controller })
    }

    fn below(&self, hierarchy: &Hierarchy, controller: &'static str) -> Result<Directory, String> {
        let path = hierarchy.directory(self.path).filter(|path| path.is_dir());
        let path = path.ok_or_else(|| format!("it has no cgroup of its own in the hierarchy of {controller}"))?;
        Ok(Directory { version: hierarchy.version, path, controller })
    }

    fn cpu(&self, usage: &mut CgroupUsage) {
        let time = self.directory("cpuacct").and_then(|directory| match directory.version {
            Version::V2 => cpu_time(&directory.read("cpu.stat")?),
            Version::V1 => cpu_time_of_v1(&directory),
        });
        let limit = self.directory("cpu").and_then(|directory| cpu_limit(&directory));
        if let Some(time) = told(time, Resource::CpuTime, usage) {
            usage.cpu.renew(&time);
        }
        if let Some(limit) = told(limit, Resource::CpuLimit, usage) {
            usage.cpu.renew(&limit);
        }
    }

    fn memory(&self, usage: &mut CgroupUsage) {
        let found = self.directory("memory").and_then(|directory| match directory.version {
            Version::V2 => memory(&directory),
            Version::V1 => memory_of_v1(&directory),
        });
        if let Some((memory, is_momentary)) = told(found, Resource::Memory, usage) {
            (usage.memory, usage.momentary.memory) = (memory, is_momentary);
        }
    }

    fn tasks(&self, usage: &mut CgroupUsage) {
        let found = self.directory("pids").and_then(|directory| {
            directory.read("pids.current")?;
            let (peak, is_momentary) = directory.peak("pids.peak", "pids.current");
            Ok((TaskUsage { peak, limit: directory.number("pids.max") }, is_momentary))
        });
        if let Some((tasks, is_momentary)) = told(found, Resource::Tasks, usage) {
            (usage.tasks, usage.momentary.tasks) = (tasks, is_momentary);
        }
    }

    fn devices(&self, usage: &mut CgroupUsage) {
        let found = self.directory("blkio").and_then(|directory| match directory.version {
            Version::V2 => Ok(io_stat(&directory.read("io.stat")?)),
            Version::V1 => devices_of_v1(&directory),
        });
        usage.devices = told(found, Resource::BlockDevices, usage);
    }

    fn pressure(&self, usage: &mut CgroupUsage) {
        let unified = self.layout.hierarchies().iter().find(|hierarchy| hierarchy.version == Version::V2);
        let found = unified.ok_or_else(|| "only v2 has it, and that is not mounted".to_owned());
        let found = found.and_then(|hierarchy| self.below(hierarchy, "v2")).and_then(|directory| {
            let file = |name| directory.read(name);
            let cpu = file("cpu.pressure").map_err(|_| "this kernel keeps none (CONFIG_PSI, psi=1)".to_owned())?;
            let (memory, io) = (file("memory.pressure").unwrap_or_default(), file("io.pressure").unwrap_or_default());
            Ok(PressureUsage {
                cpu_some_ns: pressure_ns(&cpu, "some"),
                memory_some_ns: pressure_ns(&memory, "some"),
                memory_full_ns: pressure_ns(&memory, "full"),
                io_some_ns: pressure_ns(&io, "some"),
                io_full_ns: pressure_ns(&io, "full"),
            })
        });
        if let Some(pressure) = told(found, Resource::Pressure, usage) {
            usage.pressure = pressure;
        }
    }
}

/// What was found; else the reason is kept.
fn told<T>(found: Result<T, String>, what: Resource, usage: &mut CgroupUsage) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(reason) => {
            usage.absent.insert(what, Text::from(reason));
            None
        }
    }
}

const NS_PER_US: u64 = 1000;

fn cpu_time(stat: &[u8]) -> Result<CpuUsage, String> {
    let ns = |key| keyed(stat, key).and_then(|us| us.checked_mul(NS_PER_US));
    let usage_ns = ns("usage_usec").ok_or("cpu.stat has no usage_usec")?;
    Ok(CpuUsage {
        usage_ns: Some(usage_ns),
        user_ns: ns("user_usec"),
        system_ns: ns("system_usec"),
        ..CpuUsage::default()
    })
}

/// `cpuacct.usage_user` and `cpuacct.usage_sys` are of 4.6 (kernel/sched/cpuacct.c).
fn cpu_time_of_v1(directory: &Directory) -> Result<CpuUsage, String> {
    let usage = directory.read("cpuacct.usage")?;
    let usage_ns = single(&usage).and_then(Single::number).ok_or("cpuacct.usage is no number")?;
    Ok(CpuUsage {
        usage_ns: Some(usage_ns),
        user_ns: directory.number("cpuacct.usage_user"),
        system_ns: directory.number("cpuacct.usage_sys"),
        ..CpuUsage::default()
    })
}

fn cpu_limit(directory: &Directory) -> Result<CpuUsage, String> {
    let stat = directory.read("cpu.stat")?;
    let missing = || format!("cpu.stat has no nr_periods: its cgroup has not the controller {}", directory.controller);
    let periods = keyed(&stat, "nr_periods").ok_or_else(missing)?;
    // The unit is in the name, but for v1.
    let throttled_ns = match directory.version {
        Version::V2 => keyed(&stat, "throttled_usec").and_then(|us| us.checked_mul(NS_PER_US)),
        Version::V1 => keyed(&stat, "throttled_time"),
    };
    let quota_and_period = match directory.version {
        Version::V2 => directory.read("cpu.max").ok().and_then(|bytes| cpu_max(&bytes)),
        Version::V1 => {
            let period = directory.number("cpu.cfs_period_us");
            period.map(|period| (directory.number("cpu.cfs_quota_us"), period))
        }
    };
    let limit = quota_and_period.and_then(|(quota, period)| ns_per_second(quota?, period));
    Ok(CpuUsage {
        periods: Some(periods),
        throttled_periods: keyed(&stat, "nr_throttled"),
        throttled_ns,
        limit_ns_per_second: limit,
        ..CpuUsage::default()
    })
}

/// `memory.peak` is of 5.19 (mm/memcontrol.c).
fn memory(directory: &Directory) -> Result<(MemoryUsage, bool), String> {
    directory.read("memory.current")?;
    let (peak_bytes, is_momentary) = directory.peak("memory.peak", "memory.current");
    let events = directory.read("memory.events").unwrap_or_default();
    let memory = MemoryUsage {
        peak_bytes,
        limit_bytes: directory.number("memory.max"),
        limit_hits: keyed(&events, "max"),
        oom_events: keyed(&events, "oom"),
        oom_kills: keyed(&events, "oom_kill"),
        major_faults: directory.keyed("memory.stat", "pgmajfault"),
    };
    Ok((memory, is_momentary))
}

/// Without a limit v1 shows the largest number of whole pages that a `long` has room for (`PAGE_COUNTER_MAX`,
/// include/linux/page_counter.h, 6.18); pages have up to 64 KiB.
const NO_LIMIT: u64 = i64::MAX as u64 - (64 * 1024 - 1);

/// `memory.oom_control` has `oom_kill` from 4.13 on, of this very cgroup (`memcg_memory_event`,
/// include/linux/memcontrol.h); what is below it is left out there only.
fn memory_of_v1(directory: &Directory) -> Result<(MemoryUsage, bool), String> {
    directory.read("memory.usage_in_bytes")?;
    let (peak_bytes, is_momentary) = directory.peak("memory.max_usage_in_bytes", "memory.usage_in_bytes");
    let memory = MemoryUsage {
        peak_bytes,
        limit_bytes: directory.number("memory.limit_in_bytes").filter(|&limit| limit < NO_LIMIT),
        limit_hits: limit_hits(directory),
        oom_events: None,
        oom_kills: directory.keyed("memory.oom_control", "oom_kill"),
        major_faults: directory.keyed("memory.stat", "total_pgmajfault"),
    };
    Ok((memory, is_momentary))
}

/// One of the two limits is reached at a time (`try_charge_memcg`, mm/memcontrol.c): that of memory, or that of memory and
/// swap together, which is only there if swap is accounted for.
fn limit_hits(directory: &Directory) -> Option<u64> {
    let of_memory = directory.number("memory.failcnt")?;
    Some(of_memory.saturating_add(directory.number("memory.memsw.failcnt").unwrap_or(0)))
}

fn devices_of_v1(directory: &Directory) -> Result<Vec<event::DeviceUsage>, String> {
    let either = |recursive: &str, own: &str| directory.read(recursive).or_else(|_| directory.read(own));
    let bytes = either("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")?;
    let requests = either("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")?;
    let devices = blkio(&bytes, &requests);
    if devices.is_empty() {
        return Err(
            "blkio.throttle.io_service_bytes names no device: kernels that set throttling up only where a limit \
            is set count nothing elsewhere"
                .to_owned(),
        );
    }
    Ok(devices)
}

#[cfg(test)]
mod tests;
