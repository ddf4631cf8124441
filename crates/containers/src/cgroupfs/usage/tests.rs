use std::fs;
use std::path::Path;

use event::{Device, DeviceUsage, Resource};

use super::{UsageError, usage};
use crate::cgroupfs::{CgroupId, Hierarchy, Layout, Version, cgroup_id};

const PATH: &[u8] = b"/docker/ab";

fn hierarchy(version: Version, number: u32, mount_point: &Path, controllers: &[&str]) -> Hierarchy {
    fs::create_dir_all(mount_point.join("docker/ab")).expect("directories");
    Hierarchy {
        version,
        number,
        mount_point: mount_point.into(),
        mounted: b"/".to_vec(),
        controllers: controllers.iter().map(|&name| name.into()).collect(),
        name: None,
    }
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        fs::write(folder.join("docker/ab").join(name), content).expect("a file");
    }
}

fn id(layout: &Layout) -> CgroupId {
    cgroup_id(&layout.identity().directory(PATH).expect("it is mounted")).expect("it is there")
}

fn v2(folder: &Path, files: &[(&str, &str)]) -> Layout {
    let layout = Layout::of(vec![hierarchy(Version::V2, 0, folder, &["cpu", "io", "memory", "pids"])], |_| true);
    write(folder, files);
    layout.expect("a hierarchy")
}

#[test]
fn every_figure_of_v2_is_read() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let layout = v2(
        folder.path(),
        &[
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 7\nnr_throttled 5\nthrottled_usec 9\n",
            ),
            ("cpu.max", "50000 100000\n"),
            ("memory.current", "4096\n"),
            ("memory.peak", "8192\n"),
            ("memory.max", "max\n"),
            ("memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\n"),
            ("memory.stat", "anon 1\npgfault 12\npgmajfault 3\n"),
            ("pids.current", "2\n"),
            ("pids.peak", "6\n"),
            ("pids.max", "64\n"),
            ("io.stat", "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"),
            ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=8\n"),
        ],
    );

    let read = usage(&layout, PATH, id(&layout)).expect("it is there");

    assert_eq!((read.cpu.usage_ns, read.cpu.user_ns, read.cpu.system_ns), (Some(30_000), Some(20_000), Some(10_000)));
    assert_eq!((read.cpu.periods, read.cpu.throttled_periods, read.cpu.throttled_ns), (Some(7), Some(5), Some(9_000)));
    assert_eq!(read.cpu.limit_ns_per_second, Some(500_000_000));
    assert_eq!((read.memory.peak_bytes, read.memory.limit_bytes, read.momentary.memory), (Some(8192), None, false));
    assert_eq!((read.memory.limit_hits, read.memory.oom_events, read.memory.oom_kills), (Some(4), Some(2), Some(1)));
    assert_eq!(read.memory.major_faults, Some(3));
    assert_eq!((read.tasks.peak, read.tasks.limit, read.momentary.tasks), (Some(6), Some(64), false));
    let device = Device { major: 254, minor: 0 };
    let used = DeviceUsage { device, read_bytes: 1, written_bytes: 2, reads: 3, writes: 4 };
    assert_eq!(read.devices, Some(vec![used]));
    assert_eq!((read.pressure.cpu_some_ns, read.pressure.io_full_ns), (Some(8_000), None));
    assert_eq!(read.absent.len(), 0, "{:?}", read.absent);
}

#[test]
fn a_controller_that_is_not_there_gives_a_reason_and_never_zero() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let layout = v2(folder.path(), &[("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n")]);

    let read = usage(&layout, PATH, id(&layout)).expect("it is there");

    assert_eq!(read.cpu.usage_ns, Some(30_000));
    assert_eq!((read.cpu.periods, read.memory.peak_bytes, read.tasks.peak, read.devices), (None, None, None, None));
    let absent: Vec<Resource> = read.absent.keys().copied().collect();
    let expected = [Resource::CpuLimit, Resource::Memory, Resource::BlockDevices, Resource::Tasks, Resource::Pressure];
    assert_eq!(absent, expected);
    assert!(read.absent[&Resource::Memory].shown().contains("has not the controller memory"), "{:?}", read.absent);
}

#[test]
fn without_a_peak_it_is_what_is_in_use_now() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let files = [("memory.current", "4096\n"), ("pids.current", "2\n")];
    let layout = v2(folder.path(), &files);

    let read = usage(&layout, PATH, id(&layout)).expect("it is there");

    assert_eq!((read.memory.peak_bytes, read.momentary.memory), (Some(4096), true));
    assert_eq!((read.tasks.peak, read.momentary.tasks), (Some(2), true));
}

#[test]
fn every_figure_of_v1_is_read_from_the_hierarchy_of_its_controller() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| folder.path().join(name);
    let layout = Layout::of(
        vec![
            hierarchy(Version::V1, 1, &at("cpu"), &["cpu"]),
            hierarchy(Version::V1, 2, &at("cpuacct"), &["cpuacct"]),
            hierarchy(Version::V1, 4, &at("memory"), &["memory"]),
            hierarchy(Version::V1, 7, &at("blkio"), &["blkio"]),
            hierarchy(Version::V1, 8, &at("pids"), &["pids"]),
        ],
        |_| true,
    )
    .expect("hierarchies");
    write(&at("cpu"), &[("cpu.stat", "nr_periods 7\nnr_throttled 5\nthrottled_time 9000\n")]);
    write(&at("cpu"), &[("cpu.cfs_quota_us", "25000\n"), ("cpu.cfs_period_us", "100000\n")]);
    write(&at("cpuacct"), &[("cpuacct.usage", "30\n"), ("cpuacct.usage_user", "20\n"), ("cpuacct.usage_sys", "10\n")]);
    write(
        &at("memory"),
        &[
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.max_usage_in_bytes", "8192\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.failcnt", "4\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            ("memory.stat", "pgmajfault 1\ntotal_pgmajfault 3\n"),
        ],
    );
    write(&at("pids"), &[("pids.current", "2\n"), ("pids.max", "max\n")]);
    write(&at("blkio"), &[("blkio.throttle.io_service_bytes_recursive", "254:0 Read 512\nTotal 512\n")]);
    write(&at("blkio"), &[("blkio.throttle.io_serviced_recursive", "254:0 Read 1\nTotal 1\n")]);

    let read = usage(&layout, PATH, id(&layout)).expect("it is there");

    assert_eq!((read.cpu.usage_ns, read.cpu.user_ns, read.cpu.system_ns), (Some(30), Some(20), Some(10)));
    assert_eq!((read.cpu.periods, read.cpu.throttled_periods, read.cpu.throttled_ns), (Some(7), Some(5), Some(9_000)));
    assert_eq!(read.cpu.limit_ns_per_second, Some(250_000_000));
    assert_eq!((read.memory.peak_bytes, read.memory.limit_bytes, read.momentary.memory), (Some(8192), None, false));
    assert_eq!((read.memory.limit_hits, read.memory.oom_kills, read.memory.major_faults), (Some(4), Some(1), Some(3)));
    assert_eq!((read.tasks.peak, read.tasks.limit, read.momentary.tasks), (Some(2), None, true));
    let read_bytes =
        read.devices.map(|devices| devices.iter().map(|one| (one.read_bytes, one.reads)).collect::<Vec<_>>());
    assert_eq!(read_bytes, Some(vec![(512, 1)]));
    assert_eq!(read.absent.keys().copied().collect::<Vec<_>>(), [Resource::Pressure]);
}

#[test]
fn a_hierarchy_in_which_it_shares_a_cgroup_says_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| folder.path().join(name);
    let memory = hierarchy(Version::V1, 4, &at("memory"), &["memory"]);
    let layout = Layout::of(vec![memory, hierarchy(Version::V1, 8, &at("pids"), &["pids"])], |_| true);
    let layout = layout.expect("hierarchies");
    fs::remove_dir(at("memory").join("docker/ab")).expect("it is empty");
    fs::write(at("memory").join("memory.usage_in_bytes"), "4096\n").expect("a file");
    write(&at("pids"), &[("pids.current", "2\n")]);

    let read = usage(&layout, PATH, id(&layout)).expect("it is there");

    assert_eq!(read.memory.peak_bytes, None);
    assert!(read.absent[&Resource::Memory].shown().contains("no cgroup of its own"), "{:?}", read.absent);
}

#[test]
fn a_cgroup_that_was_made_anew_is_another() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let layout = v2(folder.path(), &[("cpu.stat", "usage_usec 30\n")]);
    let known = id(&layout);

    assert!(matches!(usage(&layout, PATH, CgroupId(known.0 + 1)), Err(UsageError::Gone)));
    assert!(matches!(usage(&layout, b"/docker/cd", known), Err(UsageError::Gone)));
    assert!(matches!(usage(&layout, b"/../x", known), Err(UsageError::OutOfSight)));
}
