//! Namespaces have numbers, and the kernel gives one that is free to the next namespace.

use anyhow::{Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, must};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::recorder::Recorder;
use e2e::runtime::Runtime;
use e2e::sealed::{LIMIT, root_with};

#[test]
#[ignore = "needs root"]
fn what_runs_in_a_new_mount_namespace_is_not_in_a_container_that_has_ended() -> Result<()> {
    need!("runc", "busybox", "unshare");
    let _alone = alone()?;
    let overlay = root_with(&[])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", ":"])?;
    let (runtime, id) = (Runtime::new("runc")?, unique_name("rf-namespace"));
    let recorder = Recorder::start(&["--all"])?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    container.wait(LIMIT)?;

    // Its cgroup is there until it is deleted, the number of its namespace is free already: one of many gets it.
    must(&mut command("sh", ["-c", "for i in $(seq 64); do unshare --mount sleep 2.125 & done; wait"]))?;
    container.delete()?;

    let recording = recorder.stop()?;
    let report = recording.of(&id)?.json.to_string();
    ensure!(!report.contains("2.125"), "{report}");
    Ok(())
}
