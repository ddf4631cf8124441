//! The same run under both: a bare `crun` container, its init traced by strace from before its start. Sets, counts and
//! failures of `main` are equal.

use anyhow::Result;
use e2e::machine::alone;
use e2e::{against_strace, need};

fn equal(workload: &'static str) -> Result<()> {
    need!("strace", "gcc", "crun", "mmdebstrap", "busybox");
    let _alone = alone()?;
    against_strace::bare("crun", workload)
}

#[test]
#[ignore = "needs root"]
fn a_shell_script_makes_the_calls_that_strace_counts() -> Result<()> {
    equal("shell")
}

#[test]
#[ignore = "needs root"]
fn a_threaded_c_program_makes_the_calls_that_strace_counts() -> Result<()> {
    equal("c-threads")
}

#[test]
#[ignore = "needs root"]
fn python_makes_the_calls_that_strace_counts() -> Result<()> {
    equal("python3")
}

#[test]
#[ignore = "needs root"]
fn nginx_makes_the_calls_that_strace_counts() -> Result<()> {
    equal("nginx")
}

#[test]
#[ignore = "needs root"]
fn redis_makes_the_calls_that_strace_counts() -> Result<()> {
    equal("redis")
}

#[test]
#[ignore = "needs root"]
fn node_makes_the_calls_that_strace_counts() -> Result<()> {
    equal("node")
}
