//! Layouts of the cgroup hierarchies: the same container is the same container in each.

use anyhow::{Context, Result, ensure};
use e2e::machine::{alone, unique_name};
use e2e::recorder::{View, record_command_in};
use e2e::{need, sealed};

const NONE: [&str; 0] = [];

fn a_container_and_a_sandbox_are_recorded_exactly(view: View) -> Result<()> {
    need!("gcc", "runc", "busybox", "unshare", "mountpoint");
    if !view.is_possible()? {
        e2e::skip!("this machine has no hierarchy for {view:?}");
    }
    let _alone = alone()?;
    let id = unique_name("rf-e2e");
    let recording = sealed::record_one_in(view, "runc", &["exact"], &["/bin/exact", "unknown", "700"], &id)?;
    let report = recording.of(&id)?;
    report.must_be_complete()?;
    ensure!(report.from_start(), "its start was not seen");
    assert_eq!(report.count("main", "nr 999")?, 700);
    assert_eq!(report.count("main", "execve")?, 1);
    ensure!(report.count("runtime-init", "mount")? > 0, "nothing of the runtime was seen");

    let command = [sealed::on_host("exact")?, "unknown".into(), "800".into()];
    let recording = record_command_in(view, &NONE, &command, sealed::LIMIT).context("the sandbox")?;
    let report = recording.only()?;
    report.must_be_complete()?;
    assert_eq!(report.count("main", "nr 999")?, 800);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn on_the_machine_as_it_is() -> Result<()> {
    a_container_and_a_sandbox_are_recorded_exactly(View::Whole)
}

#[test]
#[ignore = "needs root"]
fn with_version_1_alone() -> Result<()> {
    a_container_and_a_sandbox_are_recorded_exactly(View::Version1)
}

#[test]
#[ignore = "needs root"]
fn with_version_2_alone() -> Result<()> {
    a_container_and_a_sandbox_are_recorded_exactly(View::Version2)
}
