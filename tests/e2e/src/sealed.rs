//! The usual small container of a test: busybox, our own programs in `/bin`, a bundle for a bare runtime.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::bundle::Bundle;
use crate::overlay::Overlay;
use crate::programs::program;
use crate::recorder::{Recorder, Recording, View};
use crate::rootfs::busybox;
use crate::runtime::Runtime;

/// How long the workload of a small container may take.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A root file system that the test may change, with busybox and these programs in `/bin`.
pub fn root_with(programs: &[&str]) -> Result<Overlay> {
    let overlay = Overlay::above(&busybox()?.folder)?;
    for name in programs {
        std::fs::copy(program(name)?, overlay.root().join("bin").join(name))?;
    }
    Ok(overlay)
}

/// The path of one of our programs on the host, as an argument.
pub fn on_host(name: &str) -> Result<String> {
    let path: PathBuf = program(name)?;
    Ok(path.display().to_string())
}

/// Records one container of a bare runtime from before its creation until after its end, running `args` (a program of
/// ours by its path in `/bin`, or one of busybox's).
pub fn record_one(runtime: &'static str, programs: &[&str], args: &[&str], id: &str) -> Result<Recording> {
    record_one_in(View::Whole, runtime, programs, args, id)
}

/// The same, with a view of the machine's cgroups.
pub fn record_one_in(
    view: View,
    runtime: &'static str,
    programs: &[&str],
    args: &[&str],
    id: &str,
) -> Result<Recording> {
    let overlay = root_with(programs)?;
    let bundle = Bundle::new(&overlay.root(), args)?;
    let recorder = Recorder::start_in(view, &["--all"])?;
    Runtime::new(runtime)?.run(&bundle, id, LIMIT)?;
    recorder.stop()
}
