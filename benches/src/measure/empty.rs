//! Empty programs on the hooks of the system calls: what it costs at least to be there.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::command::Background;

/// Attached until it is dropped or detached.
#[derive(Debug)]
pub(crate) struct EmptyPrograms(Background);

/// Where they can be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hooks {
    Enter,
    Both,
}

impl Hooks {
    fn names(self) -> &'static str {
        match self {
            Hooks::Enter => "sys_enter",
            Hooks::Both => "sys_enter,sys_exit",
        }
    }
}

impl EmptyPrograms {
    /// Attaches one to each hook.
    pub(crate) fn attach(hooks: Hooks) -> Result<EmptyPrograms> {
        let mut command = Command::new(helper()?);
        command.args(["--hooks", hooks.names()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Background::spawn(&mut command)?;
        let mut line = String::new();
        let pipe = process.child().stdout.take().context("no pipe")?;
        BufReader::new(pipe).read_line(&mut line).context("the helper with the empty programs")?;
        ensure!(line == "ready\n", "the empty programs cannot be attached");
        Ok(EmptyPrograms(process))
    }

    /// Detaches them.
    pub(crate) fn detach(mut self) -> Result<()> {
        drop(self.0.child().stdin.take());
        let status = self.0.wait(Duration::from_secs(10))?;
        ensure!(status.success(), "the helper with the empty programs ended with {status}");
        Ok(())
    }
}

/// Loading them takes libbpf, so that they are an example of the crate that has it.
fn helper() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let built = own.parent().context("we are in no folder")?.join("examples/empty_programs");
    ensure!(
        built.is_file(),
        "{} is missing: cargo build --release -p sensors --example empty_programs",
        built.display()
    );
    Ok(built)
}
