//! What a container used of the machine: against the files of its cgroup, which the test reads itself while it lives.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::engines::{Docker, Engine as _, Started, Wish};
use e2e::machine::{alone, unique_name};
use e2e::recorder::{Recorder, record_command};
use e2e::reports::{Report, number};
use e2e::rootfs;
use e2e::workloads::BUSYBOX_IMAGE;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// A file of the cgroup of a process, by the name that it has in v1, or by the one in v2.
fn of_cgroup(pid: u32, controller: &str, v1: &str, v2: &str) -> Result<String> {
    let lines = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let mounted = |kind: &str, option: &str| -> Option<PathBuf> {
        let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let found =
            fields.find(|mount| mount[2] == kind && (option.is_empty() || mount[3].split(',').any(|o| o == option)));
        found.map(|mount| PathBuf::from(mount[1]))
    };
    for line in lines.lines() {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next(), fields.next().context(":")?, fields.next().context(":")?);
        let below = path.trim_start_matches('/');
        let file = match number {
            Some("0") => mounted("cgroup2", "").map(|mount| mount.join(below).join(v2)),
            _ if controllers.split(',').any(|name| name == controller) => {
                mounted("cgroup", controller).map(|mount| mount.join(below).join(v1))
            }
            _ => None,
        };
        if let Some(text) = file.and_then(|file| std::fs::read_to_string(file).ok()) {
            return Ok(text);
        }
    }
    anyhow::bail!("no hierarchy has {v1} or {v2} for {pid}: {lines}")
}

/// The number behind a name.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// CPU time in nanoseconds.
fn cpu_time(pid: u32) -> Result<u64> {
    let text = of_cgroup(pid, "cpuacct", "cpuacct.usage", "cpu.stat")?;
    match keyed(&text, "usage_usec") {
        Some(us) => Ok(us * 1000),
        None => Ok(text.trim().parse()?),
    }
}

/// Waits until the container waits, too: its figures stand still.
fn until_it_rests(pid: u32) -> Result<u64> {
    let start = Instant::now();
    let mut last = cpu_time(pid)?;
    while start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(700));
        let now = cpu_time(pid)?;
        if now == last && now > 0 {
            return Ok(now);
        }
        last = now;
    }
    anyhow::bail!("it never rests")
}

fn figure(report: &Report, part: &str, name: &str) -> Result<u64> {
    let resources = &report.json["behaviour"]["resources"];
    number(&resources[part][name]).with_context(|| format!("{part}.{name} in {resources:#}"))
}

fn must_be_final(report: &Report) -> Result<()> {
    let resources = &report.json["behaviour"]["resources"];
    ensure!(resources["read_at_end"] == true, "the last reading came too early: {resources:#}");
    Ok(())
}

/// Engines remove a container's cgroup as soon as it is over: that the last reading came too early is told, and tried again.
fn in_time(test: impl Fn() -> Result<()>) -> Result<()> {
    for _ in 0..9 {
        match test() {
            Err(error) if error.to_string().starts_with("the last reading came too early") => println!("{error}"),
            result => return result,
        }
    }
    test()
}

/// Runs a container that works and then waits to be told to end.
fn run(docker: &Docker, name: &str, more: &[&str], script: &str) -> Result<Started> {
    let script = format!("{script}; while [ ! -e /tmp/end ]; do sleep 2; done");
    let args = ["sh", "-c", &script].map(str::to_owned);
    docker.run(&Wish { name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more })
}

#[test]
#[ignore = "needs root and docker"]
fn cpu_time_and_throttling_are_those_of_the_cgroup() -> Result<()> {
    let _alone = alone()?;
    in_time(|| {
        let docker = Docker::start()?;
        docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
        let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
        let name = unique_name("rf-cpu");

        let burn = "timeout 2 sh -c 'while :; do :; done'";
        let started = run(&docker, &name, &["--cpus", "0.25", "--pids-limit", "64"], burn)?;
        // What is left to be done costs something, too: the loop that waits, and the end.
        std::thread::sleep(Duration::from_secs(3));
        let used = cpu_time(started.pid)?;
        let stat = of_cgroup(started.pid, "cpu", "cpu.stat", "cpu.stat")?;
        let peak: u64 = of_cgroup(started.pid, "pids", "pids.current", "pids.current")?.trim().parse()?;
        docker.docker(&["exec", &name, "touch", "/tmp/end"])?;
        docker.docker(&["wait", &name])?;
        let recording = recorder.stop()?;

        let report = recording.of(&name)?;
        must_be_final(report)?;
        let told = figure(report, "cpu", "usage_ns")?;
        ensure!(used > 300_000_000, "it did not work: {used} ns");
        ensure!((used..used + 300_000_000).contains(&told), "{told} ns, but the cgroup had {used}");
        let parts = figure(report, "cpu", "user_ns")? + figure(report, "cpu", "system_ns")?;
        // v1 tells the two apart by what runs when the clock ticks.
        ensure!(parts.abs_diff(told) <= told / 3, "user and system are {parts} of {told}");
        let throttled = keyed(&stat, "nr_throttled").context("nr_throttled")?;
        let told = figure(report, "cpu", "throttled_periods")?;
        ensure!(throttled >= 5 && (throttled..throttled + 5).contains(&told), "{told}, but the cgroup had {throttled}");
        let waited = keyed(&stat, "throttled_time").or_else(|| keyed(&stat, "throttled_usec").map(|us| us * 1000));
        let waited = waited.context("the time that it was throttled")?;
        let told = figure(report, "cpu", "throttled_ns")?;
        ensure!((waited..waited + 500_000_000).contains(&told), "{told} ns, but the cgroup had {waited}");
        ensure!(figure(report, "cpu", "limit_ns_per_second")? == 250_000_000);
        ensure!(figure(report, "tasks", "peak")? >= peak && figure(report, "tasks", "limit")? == 64);
        Ok(())
    })
}

#[test]
#[ignore = "needs root and docker"]
fn who_is_killed_for_memory_is_counted_and_the_peak_is_the_limit() -> Result<()> {
    let _alone = alone()?;
    in_time(|| {
        let docker = Docker::start()?;
        docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
        let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
        let name = unique_name("rf-memory");
        let limit = 32 << 20;

        // Its buffer is larger than all that it may have.
        let hog = "dd if=/dev/zero of=/dev/null bs=64M count=1";
        let started = run(&docker, &name, &["--memory", "32m", "--memory-swap", "32m"], hog)?;
        until_it_rests(started.pid)?;
        let events = of_cgroup(started.pid, "memory", "memory.oom_control", "memory.events")?;
        // With v1 swap has a file of its own.
        let swap = of_cgroup(started.pid, "memory", "memory.memsw.failcnt", "none").unwrap_or_default();
        let hits = of_cgroup(started.pid, "memory", "memory.failcnt", "memory.events")?;
        let hits: u64 = keyed(&hits, "max")
            .or_else(|| Some(hits.trim().parse::<u64>().ok()? + swap.trim().parse().unwrap_or(0)))
            .context("how often the limit was reached")?;
        let peak = of_cgroup(started.pid, "memory", "memory.max_usage_in_bytes", "memory.peak").ok();
        docker.docker(&["exec", &name, "touch", "/tmp/end"])?;
        docker.docker(&["wait", &name])?;
        let recording = recorder.stop()?;

        let report = recording.of(&name)?;
        must_be_final(report)?;
        ensure!(keyed(&events, "oom_kill") == Some(1), "nobody was killed: {events}");
        ensure!(figure(report, "memory", "oom_kills")? == 1);
        ensure!(figure(report, "memory", "limit_bytes")? == limit);
        ensure!(figure(report, "memory", "limit_hits")? == hits, "{:#}", report.json["behaviour"]["resources"]);
        let told = figure(report, "memory", "peak_bytes")?;
        if let Some(peak) = peak {
            let peak: u64 = peak.trim().parse()?;
            ensure!(told == peak && peak <= limit && peak > limit - (4 << 20), "{told}, but the cgroup had {peak}");
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs root"]
fn a_command_of_its_own_has_its_cpu_time_and_what_cannot_be_known_has_a_reason() -> Result<()> {
    let _alone = alone()?;
    in_time(|| {
        let burn = "timeout 1 sh -c 'while :; do :; done'; cat /proc/self/cgroup";

        let recording = record_command::<&str, &str>(&[], &["sh", "-c", burn], LIMIT)?;

        let report = recording.only()?;
        must_be_final(report)?;
        let resources = &report.json["behaviour"]["resources"];
        let told = figure(report, "cpu", "usage_ns")?;
        ensure!((500_000_000..1_100_000_000).contains(&told), "{told} ns in a second");
        for (part, name, what) in
            [("cpu", "periods", "cpu-limit"), ("memory", "peak_bytes", "memory"), ("tasks", "peak", "tasks")]
        {
            let is_known = !resources[part][name].is_null();
            let reason = resources["absent"][what].as_str();
            ensure!(is_known != reason.is_some_and(|reason| !reason.is_empty()), "{what}: {resources:#}");
        }
        // Its cgroups are gone with it, in every hierarchy.
        let cgroups: Vec<&str> =
            recording.stdout.lines().filter_map(|line| line.split(":/ringfence/").nth(1)).collect();
        ensure!(!cgroups.is_empty(), "it was in no cgroup of its own: {}", recording.stdout);
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        for mount in
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with("/sys/fs/cgroup"))
        {
            for id in &cgroups {
                ensure!(!Path::new(mount).join("ringfence").join(id).exists(), "{mount} still has {id}");
            }
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs root and a disk below /var/tmp"]
fn what_went_to_and_from_a_disk_is_told_or_has_a_reason() -> Result<()> {
    let _alone = alone()?;
    let folder = tempfile::Builder::new().prefix("ringfence-resources").tempdir_in("/var/tmp")?;
    let file = folder.path().join("file");
    let file = file.display();
    let read = format!(
        "dd if=/dev/zero of={file} oflag=direct bs=1048576 count=8 2>/dev/null || exit 3; \
         dd if={file} of=/dev/null iflag=direct bs=1048576 count=8 2>/dev/null || exit 3; \
         grep -h . /sys/fs/cgroup/blkio$(sed -n s/.*:blkio://p /proc/self/cgroup)/blkio.throttle.io_service_bytes_recursive; :"
    );

    let recording = record_command::<&str, &str>(&[], &["sh", "-c", &read], LIMIT)?;

    ensure!(recording.status.success(), "no O_DIRECT below /var/tmp: {}", recording.stderr);
    let report = recording.only()?;
    let resources = &report.json["behaviour"]["resources"];
    let reads =
        resources["block_requests"].as_array().and_then(|all| all.iter().find(|one| one["direction"] == "read"));
    let reads = reads.with_context(|| format!("no read: {resources:#}"))?;
    let (bytes, requests) = (number(&reads["bytes"])?, number(&reads["requests"])?);
    // The programs themselves may have been read, too.
    ensure!((8 << 20..16 << 20).contains(&bytes) && requests >= 8, "{reads:#}");
    let latency = reads["latency"].as_array().context("no latency")?;
    let told: Result<Vec<u64>> = latency.iter().map(|bucket| number(&bucket["requests"])).collect();
    ensure!(told?.iter().sum::<u64>() == requests, "{reads:#}");
    let devices = resources["devices"].as_array().map_or(&[][..], Vec::as_slice);
    let is_counted = recording.stdout.lines().any(|line| line.contains(" Read "));
    if is_counted {
        let bytes: Result<Vec<u64>> = devices.iter().map(|one| number(&one["read_bytes"])).collect();
        ensure!(bytes?.iter().sum::<u64>() >= 8 << 20, "{resources:#}\n{}", recording.stdout);
    } else {
        ensure!(devices.is_empty() && resources["absent"]["block-devices"] != Value::Null, "{resources:#}");
    }
    Ok(())
}
