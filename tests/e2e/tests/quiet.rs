//! `./x quiet`, a slice of it: real workloads make no alert of the rules that come with ringfence.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::command::{command, finish};
use e2e::machine::alone;
use e2e::need;
use e2e::recorder::binary;

#[test]
#[ignore = "needs root"]
fn real_workloads_make_no_alert_of_the_rules_that_come_with_ringfence() -> Result<()> {
    need!("runc", "ip", "nsenter", "mmdebstrap", "busybox", "gcc");
    let _alone = alone()?;
    let mut quiet = command(env!("CARGO_BIN_EXE_quiet"), ["--seconds", "20"]);

    let ended = finish(quiet.env("RINGFENCE_BIN", binary()?), Duration::from_secs(300))?;

    ensure!(ended.status.success(), "{}{}", ended.stdout(), ended.stderr());
    ensure!(ended.stdout().contains("10 workloads, "), "{}", ended.stdout());
    ensure!(ended.stdout().contains("Rules that come with ringfence: 0 alerts."), "{}", ended.stdout());
    Ok(())
}
