//! What a container used of the machine, as one table.

use behaviour::{BlockRequests, Resources};
use event::{BlockDirection, Resource};

use super::units::{bytes, count, counted, duration};
use crate::Report;

/// What stands above the columns.
pub(super) const COLUMNS: [&str; 4] = ["RESOURCE", "USED", "LIMIT", "REMARKS"];

/// One row: what it is about, how much was used, how much may be, and what else there is to say. Safe for a terminal.
pub(super) type Row = [String; 4];

/// When it was read.
pub(super) fn about(report: &Report) -> String {
    let resources = &report.behaviour.resources;
    let Some(as_of) = resources.as_of_boot_ns else {
        return "its cgroup could not be read".to_owned();
    };
    let before = duration(report.window.end.boot_ns.saturating_sub(as_of));
    if resources.read_at_end {
        format!("its cgroup as it was {before} before the end")
    } else {
        format!("its cgroup as it was {before} before the end, while it still ran: it may have used more")
    }
}

/// All that is known.
pub(super) fn rows(report: &Report) -> Vec<Row> {
    let resources = &report.behaviour.resources;
    let mut rows = Vec::new();
    rows.extend(cpu_time(resources));
    rows.extend(throttling(resources));
    rows.extend(memory(resources));
    rows.extend(tasks(resources));
    rows.extend(devices(resources));
    rows.extend(pressure(resources));
    rows.extend(run_delay(resources));
    rows.extend(resources.block_requests.iter().map(requests));
    rows
}

/// What is not known, and why.
pub(super) fn absent(report: &Report) -> Vec<[String; 2]> {
    let absent = report.behaviour.resources.absent.iter();
    absent.map(|(what, reason)| [title(*what).to_owned(), reason.shown().into_owned()]).collect()
}

fn title(what: Resource) -> &'static str {
    match what {
        Resource::CpuTime => "CPU time",
        Resource::CpuLimit => "CPU limit",
        Resource::Memory => "memory",
        Resource::BlockDevices => "block devices",
        Resource::Tasks => "tasks",
        Resource::Pressure => "pressure",
        Resource::RunDelay => "waiting for a CPU",
        Resource::BlockLatency => "block latency",
    }
}

fn row(title: impl Into<String>, used: String, limit: Option<String>, remarks: Vec<Option<String>>) -> Row {
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    [title.into(), used, limit.unwrap_or_default(), remarks.join("; ")]
}

fn cpu_time(resources: &Resources) -> Option<Row> {
    let cpu = &resources.cpu;
    let part = |name, ns: Option<u64>| ns.map(|ns| format!("{} {name}", duration(ns)));
    let remarks = vec![part("user", cpu.user_ns), part("system", cpu.system_ns)];
    Some(row("CPU time", duration(cpu.usage_ns?), None, remarks))
}

fn throttling(resources: &Resources) -> Option<Row> {
    let cpu = &resources.cpu;
    let periods = cpu.periods.filter(|&periods| periods > 0 || cpu.limit_ns_per_second.is_some())?;
    let used = format!("throttled in {} of {}", count(cpu.throttled_periods?), counted(periods, "period", "periods"));
    let limit = cpu.limit_ns_per_second.map(|ns| {
        let hundredths = ns / 10_000_000;
        format!("{}.{:02} CPUs", count(hundredths / 100), hundredths % 100)
    });
    let waited = cpu.throttled_ns.map(|ns| format!("held back for {}", duration(ns)));
    Some(row("CPU limit", used, limit, vec![waited]))
}

fn sampled(resources: &Resources, what: Resource) -> Option<String> {
    let is_sampled = resources.sampled.contains(&what);
    is_sampled.then(|| "the highest of the readings: the kernel keeps no peak".to_owned())
}

fn memory(resources: &Resources) -> Option<Row> {
    let memory = &resources.memory;
    let times = |what: &str, number: Option<u64>| {
        number.filter(|&number| number > 0).map(|number| format!("{what} {}", counted(number, "time", "times")))
    };
    let killed = memory.oom_kills.filter(|&kills| kills > 0);
    let remarks = vec![
        sampled(resources, Resource::Memory),
        times("limit reached", memory.limit_hits),
        times("out of memory", memory.oom_events),
        killed.map(|kills| format!("{} killed for it", counted(kills, "process", "processes"))),
        memory.major_faults.map(|faults| counted(faults, "major fault", "major faults")),
    ];
    Some(row("memory, peak", bytes(memory.peak_bytes?), memory.limit_bytes.map(bytes), remarks))
}

fn tasks(resources: &Resources) -> Option<Row> {
    let tasks = &resources.tasks;
    let remarks = vec![sampled(resources, Resource::Tasks)];
    Some(row("tasks, peak", count(tasks.peak?), tasks.limit.map(count), remarks))
}

fn devices(resources: &Resources) -> impl Iterator<Item = Row> {
    resources.devices.iter().map(|one| {
        let used = format!("{} read, {} written", bytes(one.read_bytes), bytes(one.written_bytes));
        let requests = format!(
            "{} and {}",
            counted(one.reads, "request to read", "requests to read"),
            counted(one.writes, "to write", "to write")
        );
        row(format!("device {}", one.device), used, None, vec![Some(requests)])
    })
}

fn run_delay(resources: &Resources) -> Option<Row> {
    let delay = resources.run_delay?;
    let ended = format!("all tasks together; {} have ended", count(delay.ended_tasks));
    Some(row("waiting for a CPU", duration(delay.ns), None, vec![Some(ended)]))
}

fn requests(of: &BlockRequests) -> Row {
    let title = match of.direction {
        BlockDirection::Read => "block reads",
        BlockDirection::Write => "block writes",
    };
    let used = format!("{} in {}", bytes(of.bytes), counted(of.requests, "request", "requests"));
    let mean = of.ns.checked_div(of.requests).map(|ns| format!("{} on average", duration(ns)));
    // The bucket that the request in question is in: the first with which so many are below.
    let within = |hundredths: u64| {
        let wanted = (u128::from(of.requests) * u128::from(hundredths)).div_ceil(100);
        let mut below = 0_u128;
        let bucket = of.latency.iter().find(|bucket| {
            below += u128::from(bucket.requests);
            below >= wanted
        });
        bucket.map(|bucket| format!("{hundredths} % below {}", duration(bucket.below_ns)))
    };
    row(title, used, None, vec![mean, within(50), within(99)])
}

fn pressure(resources: &Resources) -> Option<Row> {
    let pressure = &resources.pressure;
    let of = |name, ns: Option<u64>| ns.map(|ns| format!("{} for {name}", duration(ns)));
    let waits = [
        of("a CPU", Some(pressure.cpu_some_ns?)),
        of("memory", pressure.memory_some_ns),
        of("storage", pressure.io_some_ns),
    ];
    let waits: Vec<String> = waits.into_iter().flatten().collect();
    Some(row("pressure", waits.join(", "), None, vec![Some("time in which at least one task waited".to_owned())]))
}
