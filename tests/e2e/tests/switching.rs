//! A policy in force that is switched: it denies nothing and counts, and denies again, with all else as it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::blocking::{Blocking, Clean, run, status};
use e2e::bundle::Bundle;
use e2e::command::Finished;
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::runtime::{Container, Runtime};
use e2e::{need, rootfs};
use serde_json::Value;

/// A program of its own, as a shell would be what busybox starts as itself.
const PROBE: &str = "/bin/probe";

fn with_probe() -> Result<Overlay> {
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    std::fs::copy(overlay.root().join("bin/busybox"), overlay.root().join(PROBE.trim_start_matches('/')))?;
    Ok(overlay)
}

fn probe(container: &Container<'_>) -> Result<bool> {
    let said = container.exec(&["/bin/sh", "-c", "exec -a echo /bin/probe works"])?;
    Ok(said.status.success() && said.stdout().trim() == "works")
}

fn policy(args: &[&str]) -> Result<Finished> {
    let done = run(None, &[&["policy"], args].concat())?;
    ensure!(done.status.success(), "policy {args:?}: {}", done.stderr());
    Ok(done)
}

/// The only policy that is in force.
fn only() -> Result<Value> {
    let status = status()?;
    ensure!(status["policies"].as_array().map(Vec::len) == Some(1), "not one policy: {status}");
    Ok(status["policies"][0].clone())
}

#[test]
#[ignore = "needs root"]
fn a_policy_is_switched_in_place_and_a_process_that_follows_it_goes_on() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let (here, later) = (unique_name("rf-here"), unique_name("rf-later"));
    let (root, later_root) = (with_probe()?, with_probe()?);
    let sleeps = ["/bin/sleep", "1000"];
    let bundle = Bundle::new(&root.root(), &sleeps)?;
    let later_bundle = Bundle::new(&later_root.root(), &sleeps)?;
    let container = runtime.create(&bundle, &here)?;
    container.start()?;

    let args = ["--container", &here, "--container", &later, "--exec", PROBE, "--for", "1h", "--format", "json"];
    let blocking = Blocking::start(None, &args)?;
    ensure!(!probe(&container)?, "it is not blocked");
    blocking.expect_denials(1)?;
    let before = only()?;

    let said = policy(&["complain", "0"])?.stderr();
    ensure!(said.contains("policy 0: denies nothing from now on, and only counts (1 denied so far)"), "{said}");
    ensure!(probe(&container)?, "it is blocked by a policy that only counts");
    let denials = blocking.expect_denials(2)?;
    ensure!(denials[1]["action"] == "audited" && denials[1]["reason"] == denials[0]["reason"], "{}", denials[1]);
    blocking.wait_for("policy 0 denies nothing from now on: it only counts")?;
    // One that comes now is held to it as it is.
    let newcomer = runtime.create(&later_bundle, &later)?;
    newcomer.start()?;
    blocking.wait_for(&format!("in force in {later}"))?;
    ensure!(probe(&newcomer)?, "it is blocked in a container that came later");
    blocking.expect_denials(3)?;

    let now = only()?;
    ensure!(now["policy"]["audit"] == true && now["switched"] == true, "{now}");
    ensure!(now["denied"] == 1 && now["audited"] == 2, "counts are lost: {now}");
    ensure!(now["cgroups"].as_u64() >= before["cgroups"].as_u64(), "cgroups are lost: {before} {now}");
    let left = now["seconds_left"].as_u64().context("it has no end any more")?;
    ensure!((3000..3600).contains(&left) && Some(left) <= before["seconds_left"].as_u64(), "{now}");
    let listed = policy(&["list"])?.stdout();
    ensure!(listed.contains("only counts (it was switched: it was to deny)"), "{listed}");
    ensure!(listed.contains("1 denied, 2 would have been denied"), "{listed}");
    let shown: Value = serde_json::from_str(&policy(&["show", "0"])?.stdout())?;
    ensure!(shown["audit"] == true, "{shown}");
    let said = policy(&["complain", "--all"])?.stderr();
    ensure!(said.contains("policy 0: only counts, as before"), "{said}");

    let said = policy(&["enforce", "0"])?.stderr();
    ensure!(said.contains("policy 0: denies from now on") && said.contains("was blocked so"), "{said}");
    ensure!(!probe(&container)? && !probe(&newcomer)?, "it is not blocked any more");
    blocking.expect_denials(5)?;
    blocking.wait_for("policy 0 denies from now on")?;
    let now = only()?;
    ensure!(now["policy"]["audit"] == false && now["switched"] == false, "{now}");
    ensure!(now["denied"] == 3 && now["audited"] == 2, "{now}");
    ensure!(blocking.stop()?.contains("policy 0 stays in force (3 denied, 2 would have been denied)"), "another end");

    for wrong in ["complain", "enforce"] {
        let refused = run(None, &["policy", wrong, "0", "7"])?;
        ensure!(refused.status.code() == Some(2), "{wrong} of one that is not there ends with {}", refused.status);
        ensure!(refused.stderr().contains("there is no policy 7"), "{}", refused.stderr());
        ensure!(only()?["switched"] == false, "some were switched");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_did_not_change_leaves_what_was_switched_as_it_is() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let folder = tempfile::tempdir()?;
    let shown = folder.path().display().to_string();
    let write = |audit: bool| {
        let json = format!(
            r#"{{"schema_version":1,"containers":[{{"container":"rf-none"}}],"exec":["whoami"],"audit":{audit}}}"#
        );
        std::fs::write(folder.path().join("a.json"), json)
    };
    let enforce = || -> Result<String> {
        let done = run(None, &["enforce", "--once", "--policy", &shown])?;
        ensure!(done.status.success(), "enforce: {}", done.stderr());
        Ok(done.stderr())
    };
    write(false)?;
    enforce()?;
    policy(&["complain", "--all"])?;
    let said = enforce()?;
    ensure!(
        said.contains("a.json: in force already, as policy 0, which only counts (it was switched: it was to deny)"),
        "{said}"
    );
    ensure!(only()?["policy"]["audit"] == true, "it was switched back");
    // The file says now what was done by hand.
    write(true)?;
    let said = enforce()?;
    ensure!(said.ends_with("a.json: in force already, as policy 0\n"), "{said}");
    ensure!(only()?["policy"]["audit"] == true, "it was switched back");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn nothing_is_said_to_deny_that_does_not() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let none = run(None, &["policy", "enforce", "--all"])?;
    ensure!(none.status.success() && none.stderr().contains("no policy is in force"), "{}", none.stderr());
    let args = ["block", "--once", "--later", "--container", "rf-none", "--exec", "whoami", "--for"];
    let done = run(None, &[&args[..], &["1s"]].concat())?;
    ensure!(done.status.success(), "{}", done.stderr());
    std::thread::sleep(Duration::from_secs(1));
    let over = run(None, &["policy", "complain", "0"])?;
    ensure!(over.status.code() == Some(2) && over.stderr().contains("time of policy 0 is over"), "{}", over.stderr());
    policy(&["remove", "0"])?;

    let done = run(None, &[&args[..], &["1h", "--audit"]].concat())?;
    ensure!(done.status.success(), "{}", done.stderr());
    // The guards are there by their maps, and are called no more.
    let status = run(None, &["block", "--status"])?;
    let folder =
        status.stdout().lines().find_map(|line| line.strip_prefix("pinned in ")).context("no folder")?.to_owned();
    for link in std::fs::read_dir(format!("{folder}/links"))? {
        std::fs::remove_file(link?.path())?;
    }
    let refused = run(None, &["policy", "enforce", "0"])?;
    ensure!(refused.status.code() == Some(2), "it ends with {}: {}", refused.status, refused.stderr());
    ensure!(refused.stderr().contains("nothing is blocked any more"), "{}", refused.stderr());
    ensure!(!refused.stderr().contains("denies from now on"), "{}", refused.stderr());
    Ok(())
}
