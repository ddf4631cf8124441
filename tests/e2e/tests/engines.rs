//! The engines of the tests themselves, without ringfence: they start, run a container, and leave nothing behind.

use anyhow::{Result, ensure};
use e2e::command::{is_gone, wait_until};
use e2e::engines::{Containerd, Docker, Engine, Podman, Wish};
use e2e::gate::{self, Gate};
use e2e::machine::{alone, unique_name};
use e2e::strace::Strace;
use e2e::strace_log::count;
use e2e::workloads::{self, BUSYBOX_IMAGE, Workload};
use e2e::{need, rootfs};

fn a_gated_container_can_be_traced(engine: &dyn Engine) -> Result<()> {
    engine.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let gate = Gate::new()?;
    let workload = Workload::new("shell")?;
    let name = unique_name("rf-e2e");
    let args = gate.command_line(&workload.args);
    let mounts = [(gate.folder(), gate::INSIDE), (workload.folder(), workloads::INSIDE)];

    let started = engine.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &[] })?;
    gate.wait_for(started.pid)?;
    let strace = Strace::attach(started.pid)?;
    gate.open()?;
    let counts = count(&strace.finish(workloads::LIMIT)?.calls);
    wait_until("the container ends", workloads::LIMIT, || Ok(is_gone(started.pid)))?;
    engine.remove(&name)?;

    let calls: u64 = counts.calls.values().map(|count| count.entered).sum();
    ensure!(calls > 300, "{} calls", calls);
    println!("{}: {calls} calls", engine.name());
    Ok(())
}

fn nothing_of_it_is_mounted() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let left = mounts
        .lines()
        .find(|line| line.contains("/rf-docker") || line.contains("/rf-ctd") || line.contains("/rf-podman"));
    ensure!(left.is_none(), "left behind: {left:?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn docker_runs_a_traced_container_and_leaves_nothing() -> Result<()> {
    need!("strace", "gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    a_gated_container_can_be_traced(&Docker::start()?)?;
    nothing_of_it_is_mounted()
}

#[test]
#[ignore = "needs root"]
fn containerd_runs_a_traced_container_and_leaves_nothing() -> Result<()> {
    need!("strace", "gcc", "containerd", "ctr", "busybox");
    let _alone = alone()?;
    a_gated_container_can_be_traced(&Containerd::start()?)?;
    nothing_of_it_is_mounted()
}

#[test]
#[ignore = "needs root"]
fn podman_runs_a_traced_container_and_leaves_nothing() -> Result<()> {
    need!("strace", "gcc", "podman", "runc", "busybox");
    let _alone = alone()?;
    a_gated_container_can_be_traced(&Podman::new("runc")?)?;
    nothing_of_it_is_mounted()
}
