//! The walk-through of `docs/attack`: each step of an attack is told, and with what is recommended and blocks each is stopped.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{command, finish};
use e2e::machine::alone;
use e2e::need;
use e2e::recorder::binary;
use e2e::rootfs;

const LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs root"]
fn each_step_of_an_attack_is_told_and_then_stopped() -> Result<()> {
    need!("dockerd", "docker", "mmdebstrap", "jq", "gcc", "ip", "unshare");
    let _alone = alone()?;
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let work = tempfile::tempdir()?;
    let mut script = command("unshare", ["--mount", "--net", "--uts", "--propagation", "private"]);
    script.arg(tree.join("tools/record-attack")).arg(binary()?).arg(rootfs::attacked()?.archive).arg(work.path());

    let ended = finish(&mut script, LIMIT)?;

    // It fails by itself if a step is not told, or not stopped.
    ensure!(ended.status.success(), "{}{}", ended.stdout(), ended.stderr());
    let page = std::fs::read_to_string(work.path().join("kept/README.md")).context("the page")?;
    for said in ["critical: Reverse shell", "critical: Miner", "critical: Engine's socket", "blocked: /usr/bin/bash"] {
        ensure!(page.contains(said), "{said}: {page}");
    }
    Ok(())
}
