//! The same run under both, with real engines: the entrypoint waits until strace is attached.

use anyhow::Result;
use e2e::engines::{Containerd, Docker, Podman};
use e2e::machine::alone;
use e2e::{against_strace, need};

/// See [`against_strace::engine`].
const NO_PROFILE: [&str; 2] = ["--security-opt", "seccomp=unconfined"];

#[test]
#[ignore = "needs root"]
fn workloads_in_docker_make_the_calls_that_strace_counts() -> Result<()> {
    need!("strace", "gcc", "dockerd", "docker", "ip", "mmdebstrap", "busybox");
    let _alone = alone()?;
    against_strace::all_on_engine(&Docker::start()?, &NO_PROFILE)
}

#[test]
#[ignore = "needs root"]
fn workloads_in_containerd_make_the_calls_that_strace_counts() -> Result<()> {
    need!("strace", "gcc", "containerd", "ctr", "mmdebstrap", "busybox");
    let _alone = alone()?;
    against_strace::all_on_engine(&Containerd::start()?, &[])
}

#[test]
#[ignore = "needs root"]
fn workloads_in_podman_make_the_calls_that_strace_counts() -> Result<()> {
    need!("strace", "gcc", "podman", "runc", "mmdebstrap", "busybox");
    let _alone = alone()?;
    against_strace::all_on_engine(&Podman::new("runc")?, &NO_PROFILE)
}
