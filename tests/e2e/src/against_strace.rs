//! One run of one workload, seen by ringfence and by strace.

use anyhow::{Context, Result, ensure};

use crate::bundle::Bundle;
use crate::command::{is_gone, wait_until};
use crate::compare::must_be_equal;
use crate::engines::{Engine, Wish};
use crate::gate::{self, Gate};
use crate::machine::unique_name;
use crate::overlay::Overlay;
use crate::recorder::Recorder;
use crate::rootfs;
use crate::runtime::Runtime;
use crate::strace::Strace;
use crate::strace_log::count;
use crate::workloads::{self, Workload};

/// Creates a container with a bare runtime, attaches strace to its init, starts it, gives it its work; `main` must be
/// what strace counted from the workload's exec on.
pub fn bare(runtime: &'static str, workload: &'static str) -> Result<()> {
    let workload = Workload::new(workload)?;
    let overlay = Overlay::above(&workload.rootfs()?.folder)?;
    let bundle = Bundle::new(&overlay.root(), &workload.args)?.bind(workload.folder(), workloads::INSIDE);
    let runtime = Runtime::new(runtime)?;
    let id = unique_name("rf-e2e");

    let recorder = Recorder::start(&["--all"])?;
    let container = runtime.create(&bundle, &id)?;
    let pid = container.pid();
    let strace = Strace::attach(pid)?;
    container.start()?;
    workload.drive(pid).with_context(|| format!("the container says: {}", container.stderr()))?;
    let trace = strace.finish(workloads::LIMIT)?;
    container.delete()?;
    let recording = recorder.stop()?;

    let report = recording.of(&id)?;
    report.must_be_complete()?;
    ensure!(report.from_start(), "the container's start was not seen");
    let truth = count(trace.from_exec_of(pid)?);
    ensure!(truth.calls.values().map(|count| count.entered).sum::<u64>() > 50, "strace saw next to nothing: {truth:?}");
    must_be_equal(report, "main", &truth)
}

/// Runs a container whose entrypoint waits at a gate, attaches strace, opens the gate; `main` must be what strace
/// counted and the two calls of the gate that it could not see. The images must be there ([`import_images`]).
///
/// `more` must switch the engine's own seccomp profile off: a call that a profile denies is seen by strace, which comes
/// before it, but is never entered.
pub fn engine(engine: &dyn Engine, workload: &'static str, more: &[&str]) -> Result<()> {
    let workload = Workload::new(workload)?;
    let image = workload.image();
    let gate = Gate::new()?;
    let name = unique_name("rf-e2e");

    let recorder = Recorder::start(&["--all"])?;
    let args = gate.command_line(&workload.args);
    let mounts = [(gate.folder(), gate::INSIDE), (workload.folder(), workloads::INSIDE)];
    let started = engine.run(&Wish { name: &name, image, args: &args, mounts: &mounts, more })?;
    gate.wait_for(started.pid)?;
    let strace = Strace::attach(started.pid)?;
    gate.open()?;
    workload.drive(started.pid)?;
    let trace = strace.finish(workloads::LIMIT)?;
    wait_until("the container ends", workloads::LIMIT, || Ok(is_gone(started.pid)))?;
    engine.remove(&name)?;
    let recording = recorder.stop()?;

    let report = recording.of(&started.id)?;
    report.must_be_complete()?;
    let mut truth = count(&trace.calls);
    gate::add_unseen(&mut truth);
    must_be_equal(report, "main", &truth)
}

/// Makes the images that the workloads need.
pub fn import_images(engine: &dyn Engine) -> Result<()> {
    engine.import(&rootfs::busybox()?, workloads::BUSYBOX_IMAGE)?;
    engine.import(&rootfs::debian()?, workloads::DEBIAN_IMAGE)
}

/// Runs every workload on an engine; the error lists all that differ.
pub fn all_on_engine(engine: &dyn Engine, more: &[&str]) -> Result<()> {
    import_images(engine)?;
    let mut wrong = Vec::new();
    for name in workloads::NAMES {
        if let Err(error) = self::engine(engine, name, more) {
            wrong.push(format!("{name}: {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}: {}", engine.name(), wrong.join("\n"));
    Ok(())
}
