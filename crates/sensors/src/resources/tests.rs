use event::{BlockDirection, ResourceTotal, Total};

use crate::bpf::types::{resource_record, resource_what};
use crate::record::{self, DecodeError};
use crate::testing::Bench;

#[test]
fn it_writes_no_samples() {
    assert_eq!(super::decode(0, &[0; 512]), Err(DecodeError::UnknownKind(0)));
}

#[test]
fn a_record_says_what_its_key_says() {
    let mut record = resource_record::default();
    record.key.what = resource_what::RESOURCE_WRITES.0 as u8;
    record.key.bucket = 7;
    (record.total.count, record.total.ns, record.total.bytes) = (2, 300_000, 8192);
    let writes = ResourceTotal::Blocks {
        direction: BlockDirection::Write,
        bucket: 7,
        requests: 2,
        bytes: 8192,
        ns: 300_000,
    };
    assert_eq!(super::total(record::bytes(&record)), Ok(Total::Resource(writes)));

    record.key.bucket = 200;
    assert_eq!(super::total(record::bytes(&record)), Err(DecodeError::UnknownValue(200)));
    record.key.what = 9;
    assert_eq!(super::total(record::bytes(&record)), Err(DecodeError::UnknownValue(9)));
}

fn totals(bench: &Bench) -> Vec<ResourceTotal> {
    let kept = bench.kernel.read_sets(&[bench.run]).expect("the sets can be read");
    let kept = kept.into_values().flatten();
    kept.filter_map(|kept| match kept.total {
        Total::Resource(total) => Some(total),
        _ => None,
    })
    .collect()
}

/// Nanoseconds that the threads of a process have waited for a CPU, as the kernel shows it.
fn schedstat(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it lives");
    text.split(' ').nth(1).and_then(|ns| ns.parse().ok()).expect("a number")
}

fn pinned_burner(seconds: &str) -> [String; 2] {
    // Two that share one CPU wait for each other half of the time.
    let burn = "while :; do :; done";
    let script = format!(
        "taskset -c 0 timeout {seconds} sh -c '{burn}' & taskset -c 0 timeout {seconds} sh -c '{burn}' & wait; :"
    );
    ["-c".into(), script]
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn two_that_share_a_cpu_wait_for_each_other() {
    for as_old_kernel in [false, true] {
        let bench = Bench::with(|options| options.as_old_kernel = as_old_kernel);
        let args = pinned_burner("1");

        bench.run("/bin/sh", &args.each_ref().map(String::as_str));

        let ended: Vec<_> = totals(&bench)
            .into_iter()
            .filter_map(|total| match total {
                ResourceTotal::EndedDelays { tasks, ns } => Some((tasks, ns)),
                _ => None,
            })
            .collect();
        let [(tasks, ns)] = ended[..] else { panic!("{ended:?}") };
        // The shell that was moved in, two timeouts (taskset becomes one) and two shells, all of which ended.
        assert_eq!(tasks, 5, "old: {as_old_kernel}");
        assert!((700_000_000..4_000_000_000).contains(&ns), "two of one second on one CPU waited {ns} ns");
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn what_a_living_task_has_waited_is_what_schedstat_says_without_what_came_before() {
    let bench = Bench::new();
    let burner = || {
        let args = ["-c", "0", "sh", "-c", "while :; do :; done"];
        std::process::Command::new("/usr/bin/taskset").args(args).spawn().expect("taskset")
    };
    let living = || -> Vec<u64> {
        let totals = totals(&bench).into_iter();
        totals.filter_map(|total| if let ResourceTotal::LivingDelay { ns } = total { Some(ns) } else { None }).collect()
    };
    // The two share one CPU from the beginning; one is moved in, and makes no call after that.
    let (mut child, mut rival) = (burner(), burner());
    let some_time = std::time::Duration::from_millis(700);
    std::thread::sleep(some_time);

    let before = schedstat(child.id());
    bench.add(child.id());
    std::thread::sleep(some_time);
    let seen = living();
    let after = schedstat(child.id());
    for process in [&mut child, &mut rival] {
        process.kill().expect("it lives");
        process.wait().expect("it ends");
    }

    assert!(before > 100_000_000, "it waited {before} ns while there was a rival");
    let [seen] = seen[..] else { panic!("{seen:?}") };
    // A moment lies between the looks.
    assert!(seen.abs_diff(after - before) < 50_000_000, "{seen} ns, but {before} and then {after}");
    assert_eq!(living(), [0_u64; 0], "one that ended still counts as living");
}

/// Copies 100 blocks of 64 KiB past the page cache.
fn copy(from: &str, to: &str, past_the_cache: &str) -> [String; 6] {
    let arguments = [&format!("if={from}"), &format!("of={to}"), past_the_cache, "bs=65536", "count=100", "status=none"];
    arguments.map(str::to_owned)
}

#[test]
#[ignore = "needs root, a kernel with BTF and a disk below /var/tmp"]
fn each_byte_that_goes_past_the_cache_is_in_the_histogram() {
    let file = format!("/var/tmp/ringfence-resources-{}", std::process::id());
    for as_old_kernel in [false, true] {
        let bench = Bench::with(|options| options.as_old_kernel = as_old_kernel);
        let run = |arguments: [String; 6]| bench.run("/bin/dd", &arguments.each_ref().map(String::as_str)).success();

        let copied = run(copy("/dev/zero", &file, "oflag=direct")) && run(copy(&file, "/dev/null", "iflag=direct"));
        let _ = std::fs::remove_file(&file);
        assert!(copied, "the file system below /var/tmp takes no O_DIRECT");

        for wanted in [BlockDirection::Write, BlockDirection::Read] {
            let (mut requests, mut bytes) = (0, 0);
            for total in totals(&bench) {
                let ResourceTotal::Blocks { direction, bucket, requests: n, bytes: b, ns } = total else { continue };
                // The mean of a bucket lies in it.
                let mean_us = ns / n / 1000;
                assert!(mean_us < 2 << bucket && (bucket == 0 || mean_us >= 1 << bucket), "{total:?}");
                if direction == wanted {
                    (requests, bytes) = (requests + n, bytes + b);
                }
            }
            // The programs themselves, and what the file system notes of the file, may be among them.
            let expected = 100 * 65536;
            assert!((expected..expected + (2 << 20)).contains(&bytes), "{wanted:?}: {bytes} bytes, {requests} requests");
            assert!((1..=400).contains(&requests), "{wanted:?}: {requests} requests");
        }
    }
}
