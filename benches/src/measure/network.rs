//! A network of our own with nothing but its loopback: load never leaves it.

use std::path::PathBuf;

use anyhow::Result;
use e2e::command::{command, must};
use e2e::machine::unique_name;

/// A named network namespace; dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
}

impl Network {
    /// Makes one and brings its loopback up.
    pub(crate) fn new() -> Result<Network> {
        let network = Network { name: unique_name("ringfence-bench") };
        must(&mut command("ip", ["netns", "add", &network.name]))?;
        must(&mut command("ip", ["-n", &network.name, "link", "set", "lo", "up"]))?;
        Ok(network)
    }

    /// The file that stands for it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// A command line that runs in it, on this CPU.
    pub(crate) fn run_on(&self, cpu: usize, args: &[String]) -> std::process::Command {
        let mut run = command("ip", ["netns", "exec", &self.name, "taskset", "--cpu-list", &cpu.to_string()]);
        run.args(args);
        run
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = must(&mut command("ip", ["netns", "delete", &self.name]));
    }
}
