//! Privileged operations, each tried where it is allowed and where it is not: compared with what the program itself got from
//! the kernel, and rights with what /proc says of them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::programs::program;
use e2e::recorder::{Recorder, record_command};
use e2e::reports::{Report, list, number};
use e2e::runtime::Runtime;
use e2e::{need, sealed};
use serde_json::{Value, json};

/// What this machine has of capabilities: SYS_RESOURCE is missing where containers are nested, and is not needed.
const ALL: [&str; 16] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_TIME",
    "CAP_BPF",
];
const EPERM: i32 = 1;

/// What the program printed.
struct Results {
    /// The errno of each operation, 0 if it was done.
    deeds: BTreeMap<String, i32>,
    /// What /proc/self/status said.
    status: BTreeMap<String, String>,
}

impl Results {
    fn parse(stdout: &str) -> Result<Results> {
        let mut results = Results { deeds: BTreeMap::new(), status: BTreeMap::new() };
        for line in stdout.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["status", name, value] => results.status.insert(name.to_owned(), value.to_owned()).map(|_| ()),
                [name, errno] => results.deeds.insert(name.to_owned(), errno.parse()?).map(|_| ()),
                _ => anyhow::bail!("no result: {line}"),
            };
        }
        ensure!(results.deeds.len() == 39 && results.status.len() == 7, "not all was tried: {stdout}");
        Ok(results)
    }

    /// How many of these ended with this errno.
    fn count(&self, errno: i32) -> usize {
        self.deeds.values().filter(|one| **one == errno).count()
    }
}

/// A root with the program, and with one of it that runs as root whoever starts it.
fn root() -> Result<Overlay> {
    let overlay = sealed::root_with(&["privileged"])?;
    let elevated = overlay.root().join("bin/elevated");
    std::fs::copy(program("privileged")?, &elevated)?;
    std::fs::set_permissions(&elevated, PermissionsExt::from_mode(0o4755))?;
    Ok(overlay)
}

/// Runs it with these capabilities and this filter; what it printed, and its report.
fn run(capabilities: &[&str], seccomp: Option<Value>) -> Result<(Results, Report)> {
    let overlay = root()?;
    let id = unique_name("rf-priv");
    let bundle = Bundle::new(&overlay.root(), &["/bin/privileged"])?.change(|config| {
        let sets = ["bounding", "effective", "permitted"];
        config["process"]["capabilities"] = sets.iter().map(|set| ((*set).to_owned(), json!(capabilities))).collect();
        if let Some(filter) = seccomp {
            config["linux"]["seccomp"] = filter;
        }
    });
    let recorder = Recorder::start(&["--all"])?;
    let runtime = Runtime::new("runc")?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    container.wait(sealed::LIMIT)?;
    let stdout = container.stdout();
    container.delete()?;
    let recording = recorder.stop()?;
    let report = recording.of(&id)?;
    report.must_be_exact_except(&["other"])?;
    ensure!(report.json["sections"]["privileged"] == true, "{}", report.json["sections"]);
    Ok((Results::parse(&stdout).with_context(|| stdout.clone())?, Report::read(&report.path)?))
}

fn operations(report: &Report) -> Vec<&Value> {
    let all = list(&report.json["behaviour"]["privileged"]["operations"]);
    all.iter().filter(|one| one["phase"] == "main").collect()
}

/// How often each operation ended with each errno, by its name.
fn counts(report: &Report) -> Result<BTreeMap<(String, String), u64>> {
    let mut counts = BTreeMap::new();
    for one in operations(report) {
        let name = one["operation"].as_str().unwrap_or_default().to_owned();
        let errno = one["errno"].as_str().unwrap_or("0").to_owned();
        *counts.entry((name, errno)).or_insert(0) += number(&one["count"])?;
    }
    Ok(counts)
}

/// The report has each operation of the program once, with the errno that the program got, and none that it did not try.
fn must_agree(results: &Results, report: &Report) -> Result<()> {
    let mut wanted = BTreeMap::new();
    for (name, errno) in &results.deeds {
        match name.as_str() {
            "from-memory" => {
                *wanted.entry(("memfd_create".to_owned(), "0".to_owned())).or_insert(0) += 1;
                wanted.insert(("exec-memfd".to_owned(), "0".to_owned()), 1);
            }
            "elevated" => {}
            name => {
                let errno = if *errno == 0 { "0".to_owned() } else { errno_name(*errno)? };
                *wanted.entry((name.to_owned(), errno)).or_insert(0) += 1;
            }
        }
    }
    // As another user it starts the elevated program, if it may become that user.
    match results.deeds["elevated"] {
        253 => *wanted.entry(("setresuid".to_owned(), "EPERM".to_owned())).or_insert(0) += 1,
        _ => {
            *wanted.entry(("setresuid".to_owned(), "0".to_owned())).or_insert(0) += 1;
            wanted.insert(("exec-elevated".to_owned(), "0".to_owned()), 1);
        }
    }
    let found = counts(report)?;
    ensure!(found == wanted, "the program got {wanted:#?}\nthe report has {found:#?}");
    for one in operations(report) {
        let outcome = match one["errno"].as_str() {
            None => "allowed",
            Some("EPERM" | "EACCES") => "denied",
            Some(_) => "failed",
        };
        ensure!(one["outcome"] == outcome, "{one}");
    }
    Ok(())
}

fn errno_name(errno: i32) -> Result<String> {
    let header = std::fs::read_to_string("/usr/include/asm-generic/errno-base.h")?
        + &std::fs::read_to_string("/usr/include/asm-generic/errno.h")?;
    let line = header.lines().find(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("#define") && words.nth(1) == Some(&errno.to_string())
    });
    let name = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(name.with_context(|| format!("no errno {errno}"))?.to_owned())
}

/// One state of the report is what /proc/self/status said.
fn must_have_state(results: &Results, report: &Report) -> Result<()> {
    let mask = |set: &Value| -> Result<String> {
        let bits = list(set).iter().map(|name| {
            let name = name.as_str().unwrap_or_default();
            NAMES.iter().position(|known| *known == name).with_context(|| name.to_owned())
        });
        let mut mask = 0_u64;
        for bit in bits {
            mask |= 1 << bit?;
        }
        Ok(format!("{mask:016x}"))
    };
    let states = list(&report.json["behaviour"]["privileged"]["confinement"]);
    for state in states.iter().filter(|state| state["phase"] == "main") {
        let seccomp = match state["seccomp"].as_str() {
            Some("disabled") => "0",
            Some("strict") => "1",
            _ => "2",
        };
        let told = [
            ("CapInh", mask(&state["inheritable"])?),
            ("CapPrm", mask(&state["permitted"])?),
            ("CapEff", mask(&state["effective"])?),
            ("CapBnd", mask(&state["bounding"])?),
            ("CapAmb", mask(&state["ambient"])?),
            ("NoNewPrivs", u8::from(state["no_new_privileges"] == true).to_string()),
            ("Seccomp", seccomp.to_owned()),
        ];
        if told.iter().all(|(name, value)| results.status.get(*name) == Some(value)) {
            return Ok(());
        }
    }
    anyhow::bail!("no state is {:?}: {states:#?}", results.status)
}

/// By number: linux/capability.h.
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
];

fn find<'a>(report: &'a Report, operation: &str) -> Result<&'a Value> {
    let found = operations(report).into_iter().find(|one| one["operation"] == operation);
    found.with_context(|| format!("no {operation}"))
}

#[test]
#[ignore = "needs root"]
fn what_a_container_with_rights_does_is_told_with_its_outcome() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;

    let (results, report) = run(&ALL, None)?;

    ensure!(results.count(0) >= 15, "next to nothing was allowed: {:?}", results.deeds);
    ensure!(results.deeds["elevated"] == 0, "the program with the set-user-id bit did not run as root");
    must_agree(&results, &report)?;
    must_have_state(&results, &report)?;

    let mount = find(&report, "mount")?;
    ensure!(mount["object"] == "/tmp" && mount["source"] == "nothing" && mount["type_name"] == "tmpfs", "{mount}");
    ensure!(mount["details"] == json!(["MS_NOSUID", "MS_NODEV"]), "{mount}");
    ensure!(find(&report, "unshare")?["details"] == json!(["CLONE_NEWNS", "CLONE_NEWUTS"]));
    ensure!(find(&report, "setns")?["details"] == json!(["CLONE_NEWUTS"]), "the type was told by the descriptor");
    ensure!(find(&report, "clone")?["details"] == json!(["CLONE_NEWIPC"]));
    ensure!(find(&report, "clone3")?["details"] == json!(["CLONE_NEWUTS"]));
    ensure!(find(&report, "ptrace")?["details"] == json!(["PTRACE_TRACEME"]));
    ensure!(find(&report, "process_vm_readv")?["has_target"] == true);
    ensure!(find(&report, "process_vm_readv")?["target_comm"] == "privileged");
    ensure!(find(&report, "bpf")?["details"] == json!(["BPF_PROG_GET_NEXT_ID"]));
    ensure!(find(&report, "sethostname")?["object"] == "renamed", "{}", find(&report, "sethostname")?);
    ensure!(find(&report, "mmap")?["details"] == json!(["writable", "anonymous"]));
    ensure!(find(&report, "mprotect")?["details"] == json!(["anonymous"]));
    ensure!(find(&report, "exec-memfd")?["object"] == "copied");
    let setuid = find(&report, "setuid")?;
    ensure!(setuid["before"]["uid"] == 0 && setuid["after"]["euid"] == 65_533, "{setuid}");
    let elevated = find(&report, "exec-elevated")?;
    ensure!(elevated["details"] == json!(["set-user-id"]), "{elevated}");
    ensure!(elevated["before"]["euid"] == 77 && elevated["after"]["euid"] == 0, "{elevated}");
    // What the runtime did for it is told apart.
    let all = list(&report.json["behaviour"]["privileged"]["operations"]);
    ensure!(all.iter().any(|one| one["phase"] == "runtime-init" && one["operation"] == "mount"));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_a_container_without_rights_tries_is_told_as_denied() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;

    let (results, report) = run(&[], None)?;

    ensure!(results.count(EPERM) >= 20, "next to nothing was denied: {:?}", results.deeds);
    must_agree(&results, &report)?;
    must_have_state(&results, &report)?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_is_asked_for_through_io_uring_is_told_by_its_kind_and_says_what_may_be_missing() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let ring = program("ring")?.display().to_string();
    let asked = |words: &[&str]| -> Result<(Report, String)> {
        let command = [&[ring.as_str()][..], words].concat();
        let mut recording = record_command::<&str, &str>(&[], &command, Duration::from_secs(60))?;
        ensure!(recording.status.success(), "{words:?}: {}", recording.stderr);
        ensure!(recording.reports.len() == 1, "{} reports", recording.reports.len());
        Ok((recording.reports.remove(0), recording.stdout.trim().to_owned()))
    };
    let requests = |report: &Report| -> Result<Vec<(String, u64)>> {
        let found = operations(report).into_iter().filter(|one| one["operation"] == "io_uring-request");
        found.map(|one| Ok((one["details"][0].to_string(), number(&one["count"])?))).collect()
    };
    let is_whole = |report: &Report| ["files", "network"].map(|section| report.json["sections"][section] == true);

    let (report, done) = asked(&["0", "nop", "1000"])?;
    ensure!(
        done == "1000" && requests(&report)? == [("\"IORING_OP_NOP\"".to_owned(), 1000)],
        "{:?}",
        requests(&report)?
    );
    ensure!(is_whole(&report) == [true, true], "{}", report.json["reasons"]);

    let (report, done) = asked(&["0", "nop", "3", "open", "2"])?;
    ensure!(
        done == "5" && requests(&report)?.contains(&("\"IORING_OP_OPENAT\"".to_owned(), 2)),
        "{:?}",
        requests(&report)?
    );
    ensure!(is_whole(&report) == [false, true], "{}", report.json["reasons"]);

    // Both may be read from.
    let (report, done) = asked(&["0", "read", "1"])?;
    ensure!(done == "1" && is_whole(&report) == [false, false], "{}", report.json["reasons"]);

    // The kernel takes requests of such a ring itself.
    let (report, done) = asked(&["2", "nop", "1"])?;
    ensure!(done == "1" && is_whole(&report) == [false, false], "{}", report.json["reasons"]);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn namespaces_that_are_shared_with_the_host_are_told_with_each_state() -> Result<()> {
    need!("unshare");
    let _alone = alone()?;
    let command = ["unshare", "--net", "--ipc", "--uts", "--mount", "--cgroup", "--pid", "--fork", "sh", "-c", ":"];

    let recording = record_command::<&str, &str>(&[], &command, Duration::from_secs(60))?;

    let states = list(&recording.only()?.json["behaviour"]["privileged"]["confinement"]);
    let of = |program: &str| {
        let found = states.iter().find(|one| {
            let by = one["first"]["executable"].as_str().unwrap_or_default();
            one["phase"] == "main" && Path::new(by).file_name().is_some_and(|name| name == program)
        });
        let found = found.with_context(|| format!("no state of {program}: {states:#?}"))?;
        let names = list(&found["host_namespaces"]).iter().filter_map(|name| name.as_str().map(str::to_owned));
        Ok::<_, anyhow::Error>(names.collect::<Vec<_>>())
    };
    ensure!(of("unshare")? == ["cgroup", "ipc", "mount", "net", "pid", "uts"], "{states:#?}");
    let shell = std::fs::canonicalize("/bin/sh")?;
    let shell = shell.file_name().and_then(|name| name.to_str()).context("a shell")?;
    ensure!(of(shell)?.is_empty(), "{states:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_seccomp_denies_is_told_although_the_kernel_never_began_it() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let names = ["mount", "unshare", "ptrace", "process_vm_readv", "perf_event_open", "keyctl", "io_uring_setup"];
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}],
    });

    let (results, report) = run(&ALL, Some(filter))?;

    for name in names {
        ensure!(results.deeds[name] == EPERM, "{name}: {}", results.deeds[name]);
        ensure!(find(&report, name)?["outcome"] == "denied", "{}", find(&report, name)?);
    }
    must_agree(&results, &report)?;
    must_have_state(&results, &report)?;
    ensure!(results.status["Seccomp"] == "2", "{:?}", results.status);
    Ok(())
}
