//! `./x prove`, a small part of it: rows are done once, kept, and told.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::command::{command, finish};
use e2e::need;
use e2e::recorder::binary;

#[test]
#[ignore = "needs root"]
fn rows_are_done_once_and_the_page_tells_them() -> Result<()> {
    need!("dockerd", "podman", "runc", "crun", "mmdebstrap", "busybox", "gcc");
    // It takes the machine for itself.
    let folder = tempfile::tempdir()?;
    let (results, page) = (folder.path().join("rows.ndjson"), folder.path().join("proof.md"));
    let prove = || -> Result<_> {
        let mut prove = command(env!("CARGO_BIN_EXE_prove"), ["--runs", "2", "--starts", "1", "--short", "3"]);
        prove.args(["--only", "bundle", "--only", "runc", "--only", "nnp", "--only", "short"]);
        prove.arg("--results").arg(&results).arg("--write").arg(&page).env("RINGFENCE_BIN", binary()?);
        finish(&mut prove, Duration::from_secs(300))
    };

    let first = prove()?;
    ensure!(first.status.success(), "{}{}", first.stdout(), first.stderr());
    ensure!(first.stderr().contains("1 of 1: short bundle runc nnp"), "{}", first.stderr());
    let told = std::fs::read_to_string(&page)?;
    ensure!(told == first.stdout() && told.contains("| short | bundle | runc "), "{told}");
    ensure!(told.contains("| yes | 3 | 3 | 0 | below 63.16 % |") && told.contains("| proved |"), "{told}");
    ensure!(told.contains("1 of 1 rows are done, 3 starts: 0 failed, 0 denials; 0 rows are not proved."), "{told}");

    // What is there is not done again.
    let again = prove()?;
    ensure!(again.status.success() && again.stderr().is_empty(), "{}", again.stderr());
    ensure!(again.stdout() == first.stdout() && std::fs::read_to_string(&results)?.lines().count() == 1);
    Ok(())
}
