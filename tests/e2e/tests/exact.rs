//! Programs that make exactly N of a call: the counts are N, in ringfence's own sandbox and in a container.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::compare::must_be_equal;
use e2e::machine::{alone, unique_name};
use e2e::programs::program;
use e2e::recorder::{Recorder, Recording, record_command};
use e2e::reports::{NATIVE, Report};
use e2e::runtime::Runtime;
use e2e::strace_log::count;
use e2e::{need, sealed, strace};
use serde_json::json;

const PROGRAMS: [&str; 3] = ["exact", "threads", "forks"];

/// Records `PROGRAM ARGS` in the sandbox and in a runc container, and lets the test look at both reports.
fn in_both(args: &[&str], look: impl Fn(&Report) -> Result<()>) -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let mut on_host: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    on_host[0] = sealed::on_host(args[0])?;
    let none: [&str; 0] = [];
    check(&record_command(&none, &on_host, sealed::LIMIT)?, None, &look).context("in the sandbox")?;

    let id = unique_name("rf-e2e");
    let inside = format!("/bin/{}", args[0]);
    let mut in_container = args.to_vec();
    in_container[0] = &inside;
    let recording = sealed::record_one("runc", &PROGRAMS, &in_container, &id)?;
    check(&recording, Some(&id), &look).context("in a runc container")
}

fn check(recording: &Recording, id: Option<&str>, look: impl Fn(&Report) -> Result<()>) -> Result<()> {
    let report = match id {
        Some(id) => recording.of(id)?,
        None => {
            ensure!(recording.status.success(), "ended with {}: {}", recording.status, recording.stderr);
            recording.only()?
        }
    };
    report.must_be_complete()?;
    ensure!(report.from_start(), "its start was not seen");
    look(report)
}

/// The entry of one call in `main` must have this count and these failures.
fn must_be(report: &Report, arch: &str, name: &str, count: u64, failures: &[(&str, u64)]) -> Result<()> {
    let entry = report.entry("main", arch, name)?.with_context(|| format!("no {name} of {arch} in main"))?;
    let failures: BTreeMap<String, u64> = failures.iter().map(|(errno, count)| ((*errno).into(), *count)).collect();
    ensure!(entry.count == count, "{name} of {arch}: {}, made {count}", entry.count);
    ensure!(entry.failures == failures, "{name} of {arch} failed {:?}, really {failures:?}", entry.failures);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn calls_that_succeed_are_counted_exactly() -> Result<()> {
    in_both(&["exact", "getppid", "100000"], |report| must_be(report, NATIVE, "getppid", 100_000, &[]))
}

#[test]
#[ignore = "needs root"]
fn recordings_that_come_and_go_beside_it_change_no_count() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let exact = sealed::on_host("exact")?;
    let record = |calls: u64| -> Result<()> {
        let none: [&str; 0] = [];
        let recording = record_command(&none, &[&exact, "getppid", &calls.to_string()], sealed::LIMIT)?;
        check(&recording, None, |report| must_be(report, NATIVE, "getppid", calls, &[]))
    };
    std::thread::scope(|scope| {
        let long = scope.spawn(|| record(10_000_000).context("the long one"));
        let mut beside = 0;
        while !long.is_finished() {
            record(1000).context("one beside it")?;
            beside += 1;
        }
        ensure!(beside >= 2, "only {beside} came and went");
        long.join().map_err(|_| anyhow::anyhow!("its thread has ended"))?
    })
}

#[test]
#[ignore = "needs root"]
fn one_call_is_counted_as_one() -> Result<()> {
    in_both(&["exact", "getppid", "1"], |report| must_be(report, NATIVE, "getppid", 1, &[]))
}

#[test]
#[ignore = "needs root"]
fn a_call_that_always_fails_with_eagain_is_counted_with_its_errno() -> Result<()> {
    in_both(&["exact", "eagain", "50000"], |report| must_be(report, NATIVE, "read", 50_000, &[("EAGAIN", 50_000)]))
}

#[test]
#[ignore = "needs root"]
fn a_call_that_fails_every_second_time_is_counted_with_half_the_errnos() -> Result<()> {
    in_both(&["exact", "half", "5000"], |report| must_be(report, NATIVE, "read", 5000, &[("EAGAIN", 2500)]))
}

#[test]
#[ignore = "needs root"]
fn a_path_that_is_not_there_is_counted_as_enoent() -> Result<()> {
    in_both(&["exact", "enoent", "5000"], |report| must_be(report, NATIVE, "openat", 5000, &[("ENOENT", 5000)]))
}

#[test]
#[ignore = "needs root"]
fn a_bad_descriptor_is_counted_as_ebadf() -> Result<()> {
    in_both(&["exact", "ebadf", "5000"], |report| {
        let entry = report.entry("main", NATIVE, "close")?.context("no close")?;
        ensure!(entry.failures.get("EBADF") == Some(&5000), "close failed {:?}", entry.failures);
        Ok(())
    })
}

#[test]
#[ignore = "needs root"]
fn a_number_without_a_name_is_counted_under_its_number() -> Result<()> {
    in_both(&["exact", "unknown", "5000"], |report| must_be(report, NATIVE, "nr 999", 5000, &[("ENOSYS", 5000)]))
}

#[cfg(target_arch = "x86_64")]
#[test]
#[ignore = "needs root"]
fn calls_of_the_32_bit_table_are_counted_in_their_own() -> Result<()> {
    in_both(&["exact", "int80", "50000"], |report| {
        must_be(report, "x86", "getppid", 50_000, &[])?;
        ensure!(report.count("main", "getppid")? == 0, "getppid of x86_64 was never called");
        ensure!(report.count("main", "semget")? == 0, "64 is semget only in the other table");
        Ok(())
    })
}

#[cfg(target_arch = "x86_64")]
#[test]
#[ignore = "needs root"]
fn failed_calls_of_the_32_bit_table_are_counted_with_their_errno() -> Result<()> {
    in_both(&["exact", "int80-ebadf", "5000"], |report| must_be(report, "x86", "close", 5000, &[("EBADF", 5000)]))
}

#[test]
#[ignore = "needs root"]
fn calls_of_threads_are_added_up_exactly() -> Result<()> {
    in_both(&["threads", "8", "10000"], |report| {
        must_be(report, NATIVE, "getppid", 80_000, &[])?;
        must_be(report, NATIVE, "exit", 8, &[])?;
        must_be(report, NATIVE, "exit_group", 1, &[])
    })
}

#[test]
#[ignore = "needs root"]
fn calls_of_children_are_added_up_exactly() -> Result<()> {
    in_both(&["forks", "100", "100"], |report| {
        must_be(report, NATIVE, "getppid", 10_000, &[])?;
        must_be(report, NATIVE, "wait4", 100, &[])?;
        must_be(report, NATIVE, "exit_group", 101, &[])
    })
}

/// The whole `main` of a program that always does the same: not only the call that the test is about.
#[test]
#[ignore = "needs root"]
fn the_whole_of_a_program_is_what_strace_counts_in_another_run() -> Result<()> {
    need!("gcc", "strace");
    let _alone = alone()?;
    let args = [sealed::on_host("exact")?, "half".into(), "100".into()];
    let none: [&str; 0] = [];
    let recording = record_command(&none, &args, sealed::LIMIT)?;

    let truth = count(&strace::trace(&program("exact")?, &["half", "100"], sealed::LIMIT)?.calls);

    must_be_equal(recording.only()?, "main", &truth)
}

/// A filter that refuses a call by an argument: what it lets through, what fails all the same, and what it refuses are one call.
#[test]
#[ignore = "needs root"]
fn what_a_filter_refuses_is_counted_apart_from_what_fails() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&[])?;
    // The filter refuses signal 0. One is refused after one that succeeded, and as the first call of a new process.
    let script = "for i in 1 2 3 4 5; do kill -CONT $$; kill -0 $$; done 2> /dev/null; kill -CONT 9999 2> /dev/null; \
                  (kill -0 1 2> /dev/null); kill -CONT $$";
    let rule = json!({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3,
        "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}]});
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    for old in [&["--all"][..], &["--all", "--as-old-kernel"]] {
        let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?
            .change(|config| config["linux"]["seccomp"] = seccomp.clone());
        let id = unique_name("rf-e2e");
        let recorder = Recorder::start(old)?;
        Runtime::new("runc")?.run(&bundle, &id, Duration::from_secs(60))?;
        let recording = recorder.stop()?;

        let report = recording.of(&id)?;
        let kill = report.entry("main", NATIVE, "kill")?.context("no kill")?;
        ensure!((kill.count, kill.refused) == (7, 6), "{old:?}: {kill:?}");
        ensure!(kill.failures == BTreeMap::from([("ESRCH".to_owned(), 7)]), "{old:?}: {kill:?}");
        ensure!(kill.refused_comm.as_deref() == Some("sh"), "{old:?}: {kill:?}");
        // What only failed was not refused.
        let others = report.syscalls()?.into_iter().filter(|entry| entry.refused > 0 && entry.name != "kill");
        ensure!(others.count() == 0, "{old:?}");
    }
    Ok(())
}
