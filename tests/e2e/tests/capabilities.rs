//! Which capabilities a container used: compared with what it could not do without them, one taken away at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::Background;
use e2e::engines::{Docker, Engine as _};
use e2e::machine::{alone, unique_name};
use e2e::programs::program;
use e2e::recorder::Recorder;
use e2e::reports::Report;
use e2e::runtime::Runtime;
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs, sealed};
use serde_json::Value;

/// What capable.c does for each capability, and the system call that it does it by.
const DEEDS: [(&str, &str); 11] = [
    ("CAP_CHOWN", "fchown"),
    ("CAP_DAC_OVERRIDE", "openat"),
    ("CAP_FOWNER", "chmod"),
    ("CAP_KILL", "kill"),
    ("CAP_SETGID", "setgid"),
    ("CAP_SETUID", "setuid"),
    ("CAP_SETPCAP", "prctl"),
    ("CAP_NET_BIND_SERVICE", "bind"),
    ("CAP_NET_RAW", "socket"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_MKNOD", "mknodat"),
];
const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// One entry of `behaviour.capabilities`.
#[derive(Clone, Debug)]
struct Entry {
    capability: String,
    verdict: String,
    audit: String,
    namespace: String,
    credentials: String,
    count: u64,
    syscall: Option<String>,
    program: String,
}

fn entries(report: &Report, phase: &str) -> Result<Vec<Entry>> {
    let all = report.json["behaviour"]["capabilities"].as_array().context("no list of capabilities")?;
    let of_phase = all.iter().filter(|entry| entry["phase"] == phase);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    of_phase
        .map(|entry| {
            Ok(Entry {
                capability: text(&entry["capability"]),
                verdict: text(&entry["verdict"]),
                audit: text(&entry["audit"]),
                namespace: text(&entry["namespace"]),
                credentials: text(&entry["credentials"]),
                count: text(&entry["count"]).parse().context("a count")?,
                syscall: entry["first"]["syscall"]["name"].as_str().map(str::to_owned),
                program: text(&entry["first"]["executable"]),
            })
        })
        .collect()
}

/// Those that matter to whoever gives out capabilities: asked with audit, of the task itself.
fn asked<'a>(entries: &'a [Entry], verdict: &'a str) -> impl Iterator<Item = &'a Entry> {
    entries.iter().filter(move |it| it.verdict == verdict && it.audit == "yes" && it.credentials == "own")
}

fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<&'a str> {
    entries.map(|entry| entry.capability.as_str()).collect()
}

/// What became of each deed: its errno, by the capability that it should need.
fn results(stdout: &str) -> Result<BTreeMap<String, i32>> {
    let results = stdout.lines().map(|line| {
        let (name, errno) = line.split_once(' ').with_context(|| format!("no result: {line}"))?;
        Ok((name.to_owned(), errno.parse()?))
    });
    let results: BTreeMap<String, i32> = results.collect::<Result<_>>()?;
    ensure!(results.len() == DEEDS.len(), "{results:?}");
    Ok(results)
}

#[test]
#[ignore = "needs root"]
fn what_a_container_needs_is_among_what_it_used_and_what_it_lacked_among_what_was_denied() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let data = tempfile::tempdir()?;
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o755))?;
    let file = data.path().join("of-others");
    std::fs::write(&file, "")?;
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o000))?;
    chown(&file, Some(65_534), Some(65_534))?;
    std::fs::copy(program("capable")?, data.path().join("capable"))?;
    let mut other = Background::spawn(Command::new("sleep").arg("600").uid(65_534))?;

    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let prefix = unique_name("rf-cap");
    let volume = format!("{}:/data", data.path().display());
    let pid = other.pid().as_raw_nonzero().to_string();
    // The name of the container, and what it could not do.
    let run = |without: &str| -> Result<(String, BTreeMap<String, i32>)> {
        let name = format!("{prefix}-{}", without.to_lowercase());
        let mut args = vec!["run", "--name", &name, "--network", "host", "--pid", "host", "--volume", &volume];
        // Its filter would refuse calls before any capability is asked for.
        args.extend(["--security-opt", "seccomp=unconfined", "--cap-drop", "ALL"]);
        for (capability, _) in DEEDS.iter().filter(|(capability, _)| without != "all" && *capability != without) {
            args.extend(["--cap-add", capability.trim_start_matches("CAP_")]);
        }
        args.extend([BUSYBOX_IMAGE, "/data/capable", &pid, "/data/of-others"]);
        let results = results(&docker.docker(&args)?).with_context(|| name.clone())?;
        docker.remove(&name)?;
        Ok((name, results))
    };
    let (with_all, done) = run("none")?;
    let (with_none, undone) = run("all")?;
    let mut one_less = Vec::new();
    for (capability, _) in DEEDS {
        one_less.push((capability, run(capability)?));
    }
    let recording = recorder.stop()?;
    other.end(std::time::Duration::from_secs(5))?;

    // What is needed, by trying.
    ensure!(done.values().all(|errno| *errno == 0), "{done:?}");
    ensure!(undone.values().all(|errno| [EPERM, EACCES].contains(errno)), "{undone:?}");
    for (capability, (_, results)) in &one_less {
        let failed: Vec<&String> = results.iter().filter(|(_, errno)| **errno != 0).map(|(name, _)| name).collect();
        ensure!(failed == [capability], "without {capability} failed: {results:?}");
    }

    let report = recording.of(&with_all)?;
    report.must_be_complete()?;
    let entries_with_all = entries(report, "main")?;
    for (capability, syscall) in DEEDS {
        let entry = asked(&entries_with_all, "used").find(|entry| entry.capability == capability);
        let entry = entry.with_context(|| format!("{capability} is not used: {entries_with_all:#?}"))?;
        ensure!(entry.syscall.as_deref() == Some(syscall), "{entry:?}");
        ensure!(entry.program.ends_with("/capable") && entry.namespace == "initial" && entry.count > 0, "{entry:?}");
    }
    // Whatever else was used is there with its cause.
    for entry in asked(&entries_with_all, "used") {
        ensure!(entry.syscall.is_some() && !entry.program.is_empty(), "no cause: {entry:?}");
        if !DEEDS.iter().any(|(capability, _)| *capability == entry.capability) {
            println!("used, not needed: {entry:?}");
        }
    }
    ensure!(entries_with_all.iter().all(|entry| entry.audit != "unknown"), "{entries_with_all:#?}");
    // Every program start asks for this one without audit.
    let silent = entries_with_all.iter().find(|entry| entry.capability == "CAP_SYS_ADMIN" && entry.audit == "no");
    ensure!(silent.is_some_and(|entry| entry.verdict == "denied"), "{silent:?}");
    ensure!(!names(asked(&entries_with_all, "denied")).contains("CAP_SYS_ADMIN"), "{entries_with_all:#?}");

    let report = recording.of(&with_none)?;
    report.must_be_complete()?;
    let entries_with_none = entries(report, "main")?;
    let (used, denied) = (names(asked(&entries_with_none, "used")), names(asked(&entries_with_none, "denied")));
    ensure!(used.is_empty(), "it had none: {used:?}");
    for (capability, syscall) in DEEDS {
        let entry = asked(&entries_with_none, "denied").find(|entry| entry.capability == capability);
        let entry = entry.with_context(|| format!("{capability} was not denied: {denied:?}"))?;
        ensure!(entry.syscall.as_deref() == Some(syscall), "{entry:?}");
    }

    for (capability, (name, _)) in &one_less {
        let report = recording.of(name)?;
        report.must_be_complete()?;
        let entries = entries(report, "main")?;
        let (used, denied) = (names(asked(&entries, "used")), names(asked(&entries, "denied")));
        ensure!(!used.contains(capability) && denied.contains(capability), "{capability}: {used:?}, {denied:?}");
        for (other, _) in DEEDS.iter().filter(|(other, _)| other != capability) {
            ensure!(used.contains(other), "without {capability} {other} was used all the same: {used:?}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_container_in_a_user_namespace_uses_its_own_capabilities_and_none_of_the_hosts() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&[])?;
    let script = "touch /tmp/x && chown 5 /tmp/x && chroot / /bin/true; mount -t tmpfs none /tmp; true";
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?.with_user_namespace(100_000);
    let id = unique_name("rf-e2e");

    let recorder = Recorder::start(&["--all"])?;
    Runtime::new("runc")?.run(&bundle, &id, sealed::LIMIT)?;
    let recording = recorder.stop()?;

    let entries = entries(recording.of(&id)?, "main")?;
    for (capability, syscall) in [("CAP_CHOWN", ["chown", "lchown", "fchownat"]), ("CAP_SYS_CHROOT", ["chroot"; 3])] {
        let entry = asked(&entries, "used").find(|entry| entry.capability == capability);
        let entry = entry.with_context(|| format!("{capability}: {entries:#?}"))?;
        ensure!(entry.namespace == "container", "{entry:?}");
        ensure!(entry.syscall.as_deref().is_some_and(|call| syscall.contains(&call)), "{entry:?}");
    }
    let of_host: Vec<&Entry> = asked(&entries, "used").filter(|entry| entry.namespace != "container").collect();
    ensure!(of_host.is_empty(), "{of_host:#?}");
    ensure!(names(asked(&entries, "denied")).contains("CAP_SYS_ADMIN"), "mount: {entries:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_a_workload_does_in_a_user_namespace_of_its_own_is_told_apart() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let id = unique_name("rf-e2e");
    let args = ["/bin/busybox", "unshare", "-U", "-r", "-m", "/bin/busybox", "mount", "-t", "tmpfs", "none", "/tmp"];

    let recording = sealed::record_one("runc", &[], &args, &id)?;

    let entries = entries(recording.of(&id)?, "main")?;
    let mounted = asked(&entries, "used").find(|entry| {
        entry.capability == "CAP_SYS_ADMIN" && entry.namespace == "workload" && entry.program.ends_with("busybox")
    });
    ensure!(mounted.is_some(), "{entries:#?}");
    let of_host =
        asked(&entries, "used").find(|entry| entry.capability == "CAP_SYS_ADMIN" && entry.namespace != "workload");
    ensure!(of_host.is_none(), "{of_host:?}");
    Ok(())
}
