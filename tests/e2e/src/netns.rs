//! Networks of the test's own: namespaces, with cables between them and nothing else.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::{command, must};
use crate::machine::unique_name;

/// A named network namespace; dropped, it is removed with its cables.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes one and brings its loopback up.
    pub fn new() -> Result<Netns> {
        let netns = Netns { name: unique_name("rf-net") };
        must(&mut command("ip", ["netns", "add", &netns.name]))?;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The file that stands for it.
    pub fn path(&self) -> String {
        PathBuf::from("/run/netns").join(&self.name).display().to_string()
    }

    /// Runs `ip ARGS` in it; it must succeed.
    pub fn ip(&self, args: &str) -> Result<()> {
        must(command("ip", ["-n", &self.name]).args(args.split(' ')))?;
        Ok(())
    }

    /// A command that runs in it, and in nothing else of its own.
    pub fn command(&self, line: &str) -> Command {
        let mut command = command("nsenter", [format!("--net={}", self.path())]);
        command.args(line.split(' '));
        command
    }

    /// A cable to another one, and the addresses (with the length of the network's prefix) of both ends.
    pub fn connect(&self, address: &str, other: &Netns, address_there: &str) -> Result<()> {
        let [here, there] = ["a", "b"].map(|_| unique_name("rfv").replace("rfv-", "v"));
        self.ip(&format!("link add {here} type veth peer name {there} netns {}", other.name))?;
        for (netns, end, address) in [(self, &here, address), (other, &there, address_there)] {
            // Without the wait for another with the same address.
            let duplicates = if address.contains(':') { " nodad" } else { "" };
            netns.ip(&format!("address add {address} dev {end}{duplicates}"))?;
            netns.ip(&format!("link set {end} up"))?;
        }
        Ok(())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = must(&mut command("ip", ["netns", "delete", &self.name]));
    }
}
