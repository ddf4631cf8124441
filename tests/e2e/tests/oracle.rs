//! The oracles themselves, without ringfence: what the other tests compare with must be true.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::bundle::Bundle;
use e2e::command::Background;
use e2e::gate::{self, Gate};
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::programs::program;
use e2e::runtime::Runtime;
use e2e::strace::{Strace, trace};
use e2e::strace_log::{Counts, count};
use e2e::workloads::{self, Workload};
use e2e::{need, sealed};

const LIMIT: Duration = Duration::from_secs(60);

fn entered(counts: &Counts, name: &str) -> u64 {
    counts.calls.values().filter(|count| count.name == name).map(|count| count.entered).sum()
}

fn failed(counts: &Counts, name: &str, errno: &str) -> u64 {
    counts.calls.values().filter(|count| count.name == name).filter_map(|count| count.failures.get(errno)).sum()
}

fn counted(name: &str, args: &[&str]) -> Result<Counts> {
    Ok(count(&trace(&program(name)?, args, LIMIT)?.calls))
}

#[test]
fn strace_counts_the_exact_programs_exactly() -> Result<()> {
    need!("strace", "gcc");
    assert_eq!(entered(&counted("exact", &["getppid", "1000"])?, "getppid"), 1000);
    assert_eq!(failed(&counted("exact", &["eagain", "1000"])?, "read", "EAGAIN"), 1000);
    assert_eq!(failed(&counted("exact", &["enoent", "100"])?, "openat", "ENOENT"), 100);
    assert_eq!(failed(&counted("exact", &["ebadf", "100"])?, "close", "EBADF"), 100);
    let half = counted("exact", &["half", "100"])?;
    assert_eq!((entered(&half, "read"), failed(&half, "read", "EAGAIN")), (100, 50));
    Ok(())
}

#[test]
fn strace_counts_threads_and_children_exactly() -> Result<()> {
    need!("strace", "gcc");
    let threads = counted("threads", &["20", "50"])?;
    assert_eq!((entered(&threads, "getppid"), entered(&threads, "exit")), (1000, 20));

    let forks = counted("forks", &["20", "3"])?;
    assert_eq!((entered(&forks, "getppid"), entered(&forks, "exit_group")), (60, 21));

    let vforks = counted("vforks", &["5", &sealed::on_host("short_life")?])?;
    assert_eq!((entered(&vforks, "vfork"), entered(&vforks, "execve")), (5, 6));

    let thread_exec = counted("thread_exec", &["7", &sealed::on_host("exact")?, "getppid", "5"])?;
    assert_eq!((entered(&thread_exec, "getppid"), entered(&thread_exec, "execve")), (12, 2));

    let double_fork = counted("double_fork", &["9"])?;
    assert_eq!(entered(&double_fork, "getpgid"), 9);
    Ok(())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn strace_tells_the_tables_apart_by_number() -> Result<()> {
    need!("strace", "gcc");
    let counts = counted("exact", &["int80", "100"])?;

    assert_eq!(counts.calls.get(&64).map(|count| (count.name.as_str(), count.entered)), Some(("getppid", 100)));
    Ok(())
}

#[test]
fn a_tracer_at_the_gate_misses_exactly_the_gates_two_calls() -> Result<()> {
    need!("strace", "gcc");
    let gate = Gate::new()?;
    let exact = sealed::on_host("exact")?;
    let fifo = gate.folder().join("fifo").display().to_string();
    let mut waiting = Background::spawn(
        e2e::command::command(gate.folder().join("gate"), [&fifo, &exact, "getppid", "10"]).env_clear(),
    )?;
    let pid = u32::try_from(waiting.pid().as_raw_nonzero().get())?;
    gate.wait_for(pid)?;

    let strace = Strace::attach(pid)?;
    gate.open()?;
    let mut late = count(&strace.finish(LIMIT)?.calls);
    waiting.wait(LIMIT)?;
    gate::add_unseen(&mut late);
    let mut whole = counted("exact", &["getppid", "10"])?;
    for count in whole.calls.values_mut().filter(|count| count.name == "execve") {
        count.entered += 1;
    }

    // The gate's two entries into openat: before the tracer came, and again after it interrupted the wait.
    assert_eq!(entered(&late, "openat"), 2 + entered(&whole, "openat"));
    late.calls.retain(|_, count| count.name != "openat");
    whole.calls.retain(|_, count| count.name != "openat");
    let show = |counts: &Counts| counts.calls.values().map(|c| (c.name.clone(), c.entered)).collect::<Vec<_>>();
    assert_eq!(show(&late), show(&whole));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn every_workload_runs_under_both_bare_runtimes_and_strace() -> Result<()> {
    need!("strace", "gcc", "runc", "crun", "mmdebstrap", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        for name in workloads::NAMES {
            let workload = Workload::new(name)?;
            let overlay = Overlay::above(&workload.rootfs()?.folder)?;
            let bundle = Bundle::new(&overlay.root(), &workload.args)?.bind(workload.folder(), workloads::INSIDE);
            let runtime = Runtime::new(runtime)?;
            let container = runtime.create(&bundle, &unique_name("rf-e2e"))?;

            let strace = Strace::attach(container.pid())?;
            container.start()?;
            workload.drive(container.pid()).with_context(|| format!("{name}: {}", container.stderr()))?;
            let trace = strace.finish(workloads::LIMIT)?;
            let counts = count(trace.from_exec_of(container.pid())?);

            let calls: u64 = counts.calls.values().map(|count| count.entered).sum();
            let errors = container.stderr();
            assert!(calls > 200 && counts.calls.len() > 15, "{name} made {calls} calls: {errors}");
            println!("{} {name}: {calls} calls of {} kinds {errors}", runtime.name(), counts.calls.len());
        }
    }
    Ok(())
}
