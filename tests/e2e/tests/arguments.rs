//! What calls are passed is what a program passes; and under what is recommended from it nothing else gets through.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::recommended::{Recommended, Setting, Started, refused};
use e2e::recorder::{Recorder, Recording};
use e2e::reports::{NATIVE, Report, list};
use e2e::runtime::Runtime;
use e2e::workloads;
use e2e::{need, rootfs};
use serde_json::{Value, json};

/// What `passes` printed, line by line, and its report.
struct Run {
    lines: Vec<String>,
    report: Report,
    /// As long as it is there, the report's file is.
    _recording: Recording,
}

/// Runs `passes` with these words, under this filter.
fn run(runtime: &'static str, words: &[&str], seccomp: Option<Value>) -> Result<Run> {
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let args = [&["/passes"], words].concat();
    let bundle = Bundle::new(&overlay.root(), &args)?.with_program("passes", "/passes")?.change(|config| {
        // So that what a filter lets through is not refused for another reason.
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN", "CAP_NET_RAW"]);
        }
        if let Some(filter) = seccomp {
            config["linux"]["seccomp"] = filter;
        }
    });
    let runtime = Runtime::new(runtime)?;
    let id = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all"])?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    container.wait(workloads::LIMIT)?;
    let lines: Vec<String> = container.stdout().lines().map(str::to_owned).collect();
    let says = container.stderr();
    container.delete()?;
    let recording = recorder.stop()?;
    let report = Report::read(&recording.of(&id)?.path)?;
    report.must_be_complete()?;
    ensure!(lines.len() == words.len(), "{lines:?} of {words:?}; it says: {says}");
    Ok(Run { lines, report, _recording: recording })
}

impl Run {
    /// The values of a call in `main`, and whether there were more.
    fn values(&self, arch: &str, name: &str) -> Option<(Vec<u64>, bool)> {
        let all = list(&self.report.json["behaviour"]["arguments"]);
        let one = all.iter().find(|one| one["phase"] == "main" && one["arch"] == arch && one["name"] == name)?;
        let values = list(&one["values"]).iter().filter_map(|value| value["value"].as_u64()).collect();
        Some((values, one["others"] == true))
    }

    /// The errno of a word.
    fn errno(&self, word: &str) -> Result<i32> {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        line.with_context(|| format!("{word} in {:?}", self.lines))?.parse().context("a number")
    }
}

#[test]
#[ignore = "needs root"]
fn each_call_has_the_values_that_it_was_passed() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let words = [
        "socket:1,1",
        "socket:2,0x80001",
        "socket:2,1",
        "socket:0xffffffff00000028,1",
        "unshare:0",
        "unshare:0x200",
        "unshare:0x200",
        "personality:0xffffffff",
        "keyctl:99",
        "bpf:77",
        "setns:-1,0x40000000",
        "clone:0x2000011",
        "clone:0x11",
        "socket/32:16,1",
        "personality/32:0xffffffff",
    ];

    let run = run("runc", &words, None)?;

    let exactly = |values: &[u64]| Some((values.to_vec(), false));
    ensure!(run.values(NATIVE, "socket") == exactly(&[1, 2, 40]), "{:?}", run.values(NATIVE, "socket"));
    ensure!(run.values(NATIVE, "unshare") == exactly(&[0, 0x200]), "{:?}", run.values(NATIVE, "unshare"));
    ensure!(run.values(NATIVE, "personality") == exactly(&[0xffff_ffff]), "{:?}", run.values(NATIVE, "personality"));
    ensure!(run.values(NATIVE, "keyctl") == exactly(&[99]), "{:?}", run.values(NATIVE, "keyctl"));
    ensure!(run.values(NATIVE, "bpf") == exactly(&[77]), "{:?}", run.values(NATIVE, "bpf"));
    ensure!(run.values(NATIVE, "setns") == exactly(&[0x4000_0000]), "{:?}", run.values(NATIVE, "setns"));
    ensure!(run.values(NATIVE, "clone") == exactly(&[0, 0x200_0000]), "{:?}", run.values(NATIVE, "clone"));
    if NATIVE == "x86_64" {
        ensure!(run.values("x86", "socket") == exactly(&[16]), "{:?}", run.values("x86", "socket"));
        ensure!(run.values("x86", "personality") == exactly(&[0xffff_ffff]));
    }
    // Each call that was counted has an entry in the same phase and table, and no other has.
    let watched: BTreeSet<&str> = "bpf clone fcntl fcntl64 ioctl keyctl madvise mmap mmap2 mprotect personality pkey_mprotect prctl setns socket unshare".split(' ').collect();
    let counted = run.report.syscalls()?.into_iter().filter(|one| one.count > 0 && watched.contains(one.name.as_str()));
    let counted: BTreeSet<_> = counted.map(|one| (one.phase, one.arch, one.name)).collect();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let with_values = list(&run.report.json["behaviour"]["arguments"]).iter();
    let with_values: BTreeSet<_> =
        with_values.map(|one| (text(one, "phase"), text(one, "arch"), text(one, "name"))).collect();
    ensure!(counted == with_values, "{counted:?}, not {with_values:?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_seccomp_refuses_is_no_value() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        ],
    });

    let run = run("runc", &["socket:1,1", "socket:40,1", "socket:1,1", "personality:0xffffffff"], Some(filter))?;

    ensure!((run.errno("socket:40,1")?, run.errno("personality:0xffffffff")?) == (1, 1), "{:?}", run.lines);
    ensure!(run.values(NATIVE, "socket") == Some((vec![1], false)), "{:?}", run.values(NATIVE, "socket"));
    ensure!(run.values(NATIVE, "personality").is_none());
    Ok(())
}

/// What the workload of the next tests does, once without a filter.
const PASSED: [&str; 13] = [
    "socket:1,1",
    "socket:2,1",
    "unshare:0x200",
    "clone:0x2000011",
    "clone:0x11",
    "personality:0x40000",
    "ioctl:0,0x541b",
    "prctl:21",
    "fcntl:1,3",
    "madvise:0,0,4",
    "mmap:0,4096,5,0x22,-1,0",
    "mprotect:0,0,1",
    "keyctl:0,-1,0",
];

/// What it does then, and the errno; none for what is let through, whatever the kernel says to it.
const TRIED: [(&str, Option<i32>); 33] = [
    ("socket:1,1", None),
    ("socket:0xffffffff00000002,1", None),
    // The same with addresses of the other version.
    ("socket:10,1", None),
    ("socket:40,1", Some(38)),
    ("socket:16,3", Some(38)),
    ("socket:17,3", Some(38)),
    ("unshare:0x200", None),
    ("unshare:0", None),
    ("unshare:0x10000000", Some(1)),
    ("unshare:0x20000", Some(1)),
    ("unshare:0x80", Some(1)),
    ("clone:0x11", None),
    ("clone:0x2000011", None),
    ("clone:0x20011", Some(1)),
    ("clone:0x10000011", Some(1)),
    ("clone:0x40000011", Some(1)),
    ("clone3:0,0", Some(38)),
    ("personality:0x40000", None),
    ("personality:0xffffffff", None),
    ("personality:0x400000", Some(38)),
    ("ioctl:0,0x5401", None),
    ("ioctl:0,0xffffffff0000541b", None),
    ("ioctl:0,0x5412", Some(38)),
    ("prctl:21", None),
    ("prctl:35", Some(38)),
    ("fcntl:1,3", None),
    ("fcntl:1,1026", Some(38)),
    ("madvise:0,0,100", Some(38)),
    ("mmap:0,4096,3,0x22,-1,0", None),
    ("mmap:0,4096,7,0x22,-1,0", Some(1)),
    ("mprotect:0,0,5", Some(1)),
    ("keyctl:0,-1,0", None),
    ("keyctl:11,0,0", Some(38)),
];

#[test]
#[ignore = "needs root"]
fn what_was_not_passed_is_refused_by_the_loaded_filter() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let free = run(runtime, &PASSED, None)?;
        let recommended = Recommended::from(&[&free.report])?;

        let words = TRIED.map(|(word, _)| word);
        let confined = run(runtime, &words, Some(recommended.profile.clone()))?;

        for (word, expected) in TRIED {
            let errno = confined.errno(word)?;
            match expected {
                Some(expected) => ensure!(errno == expected, "{runtime}: {word}: {errno}, not {expected}"),
                None => ensure!(![1, 38].contains(&errno), "{runtime}: {word}: {errno}"),
            }
        }
        // Also one that comes right after the same call went through.
        let refused = TRIED.iter().filter(|(_, expected)| expected.is_some());
        let refused = refused.fold(BTreeMap::<&str, u64>::new(), |mut calls, (word, _)| {
            *calls.entry(word.split(':').next().unwrap_or_default()).or_default() += 1;
            calls
        });
        for (name, count) in refused {
            let counted = confined.report.entry("main", NATIVE, name)?.map_or(0, |entry| entry.refused);
            ensure!(counted == count, "{runtime}: {name}: {counted} refused, not {count}");
        }
        // The same without conditions: they are what refuses.
        let args = ["recommend".into(), free.report.path.clone().into_os_string()];
        let more = ["--arguments", "no", "--target", "seccomp"].map(Into::into);
        let finished = e2e::recorder::ringfence(&[&args[..], &more[..]].concat(), std::time::Duration::from_secs(30))?;
        ensure!(finished.status.success(), "{}", finished.stderr());
        let open: Value = serde_json::from_slice(&finished.stdout)?;
        let confined = run(runtime, &["socket:16,3", "personality:0x400000"], Some(open))?;
        ensure!(
            (confined.errno("socket:16,3")?, confined.errno("personality:0x400000")?) == (0, 0),
            "{:?}",
            confined.lines
        );
    }
    Ok(())
}

/// A second table has its own numbers in the same profile.
#[test]
#[ignore = "needs root"]
fn conditions_hold_in_each_table() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    if NATIVE != "x86_64" {
        eprintln!("skipped: this machine has no calls of 32 bits here");
        return Ok(());
    }
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let free = run(
            runtime,
            &["unshare/32:0x200", "ioctl/32:0,0x541b", "personality/32:0xffffffff", "clone:0x11", "socket:1,1"],
            None,
        )?;
        let recommended = Recommended::from(&[&free.report])?;

        let tried = [
            ("unshare/32:0x200", None),
            ("unshare/32:0x10000000", Some(1)),
            ("ioctl/32:0,0x541b", None),
            ("ioctl/32:0,0x5412", Some(38)),
            ("ioctl:0,0x5412", Some(38)),
            ("personality/32:0xffffffff", None),
            ("personality/32:0x400000", Some(38)),
            ("personality:0x400000", Some(38)),
            ("clone:0x10000011", Some(1)),
            ("socket:1,1", None),
        ];
        let confined = run(runtime, &tried.map(|(word, _)| word), Some(recommended.profile))?;

        for (word, expected) in tried {
            let errno = confined.errno(word)?;
            match expected {
                Some(expected) => ensure!(errno == expected, "{runtime}: {word}: {errno}, not {expected}"),
                None => ensure!(![1, 38].contains(&errno), "{runtime}: {word}: {errno}"),
            }
        }
    }
    Ok(())
}

/// Threads of the C library, in C and in Python, are then made by clone.
#[test]
#[ignore = "needs root"]
fn clone3_gives_way_to_clone() -> Result<()> {
    need!("gcc", "runc", "crun", "mmdebstrap", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        for workload in ["c-threads", "python3"] {
            let started = Started::new(workload, Setting { runtime, no_new_privileges: false, uid: 0 })?;
            let free = started.runs(None, 1)?;
            let report = free.reports()?[0];
            ensure!(report.count("main", "clone3")? > 0, "{workload} makes threads by clone3");
            let recommended = Recommended::from(&[report])?;

            let confined = started.runs(Some(&recommended), 1)?;

            let report = confined.reports()?[0];
            ensure!(report.json["window"]["exit"]["status"] == 0, "{workload}: {}", report.json["window"]["exit"]);
            let refused_by_name = refused(report)?;
            ensure!(refused_by_name.is_empty(), "{workload}: {refused_by_name:?}");
            let clone3 = report.entry("main", NATIVE, "clone3")?.context("it is tried")?;
            ensure!(clone3.count == 0 && clone3.failures.get("ENOSYS").is_some_and(|&count| count > 0), "{clone3:?}");
            ensure!(report.count("main", "clone")? > 0, "{workload} makes threads by clone");
        }
    }
    Ok(())
}
